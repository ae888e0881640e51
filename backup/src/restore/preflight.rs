//! This module checks for everything that would stop a restore halfway. It runs before any change and reports all problems at
//! once.

use std::collections::BTreeSet;

use sqlx::PgConnection;

use super::{
    Chosen, Opened, RestoreError, RestoreOptions,
    database::{Databases, LONGEST_NAME_BYTES},
    preflight_error::{PreflightError, PreflightErrors},
    tool::PgRestore,
};
use crate::{
    archive::{Contents, Entry},
    reading::BackupReader,
    session::quoted,
};

/// `server_version_num` of a major version is a multiple of this.
const MAJOR: i32 = 10_000;
/// A restored database needs about the size of its rows as text, plus indexes and a sort.
const SPACE_PERCENT: u64 = 150;

/// Effects of other restores before this one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ahead {
    /// Roles and tablespaces that do not exist yet, but will exist by then.
    pub made: BTreeSet<String>,
    /// Bytes of rows that they will have written.
    pub row_bytes: u64,
}

/// Size of the selected tables as text.
pub(super) fn row_bytes(opened: &Opened<'_>, chosen: &Chosen) -> u64 {
    opened.contents.tables.iter().filter(|table| chosen.entries.contains(&table.dump_id)).map(|table| table.raw_bytes).sum()
}

pub(super) async fn check_target(
    databases: &mut Databases,
    reader: &BackupReader,
    opened: &Opened<'_>,
    chosen: &Chosen,
    options: &RestoreOptions,
    tool: &PgRestore,
    ahead: &Ahead,
) -> Result<(), RestoreError> {
    let mut errors = PreflightErrors::default();
    let toc = opened.toc.only(|entry| chosen.entries.contains(&entry.dump_id));
    versions(&mut errors, databases.connection(), reader, &toc, tool).await?;
    let target = databases.names.target.clone();
    name(&mut errors, &target);
    if databases.exists(&target).await? {
        if !options.replace && !databases.is_as_made(&options.server).await? {
            errors.add(
                format!("the server already has a database {target:?}"),
                "rename it with --replace, or restore this database alone under another name (--database and --to)",
            );
        } else if databases.is_used().await? {
            errors.add(
                format!("the database {target:?}, which must be renamed, has connected sessions"),
                "end those sessions (pg_stat_activity lists them), skip it (--all and --exclude), or restore it alone under another name (--database and --to)",
            );
        }
    }
    let connection = databases.connection();
    rights(&mut errors, connection, options).await?;
    if options.owners || options.privileges {
        let mut wanted = roles(&toc, options);
        wanted.retain(|name| !ahead.made.contains(name));
        let there = names(connection, "SELECT rolname::text FROM pg_catalog.pg_roles").await?;
        let remedy =
            "create them from the backup's globals with `backup restore --globals`, or restore with --no-owner --no-privileges";
        errors.missing("role", wanted, &there, remedy);
    }
    if options.tablespaces {
        let wanted = toc.entries.iter().filter(|entry| !entry.tablespace.is_empty()).map(|entry| entry.tablespace.to_string());
        let wanted = wanted.filter(|name| !ahead.made.contains(name));
        let there = names(connection, "SELECT spcname::text FROM pg_catalog.pg_tablespace").await?;
        errors.missing("tablespace", wanted.collect(), &there, "create it, or restore with --no-tablespaces");
    }
    let wanted = toc.entries.iter().filter(|entry| entry.kind == "EXTENSION").map(|entry| toc.decode(&entry.tag));
    let there = names(connection, "SELECT name::text FROM pg_catalog.pg_available_extensions").await?;
    errors.missing("extension", wanted.collect(), &there, "install its package on the server");
    locales(&mut errors, connection, &opened.toc).await?;
    space(&mut errors, connection, ahead.row_bytes, row_bytes(opened, chosen)).await?;
    for left in databases.left_behind().await? {
        // This is not a problem, but the database uses disk space.
        let statement = format!("DROP DATABASE {}", quoted(&left));
        tracing::warn!(
            database = left,
            statement,
            "found an unfinished database of a killed restore; drop it with the statement"
        );
    }
    if errors.0.is_empty() { Ok(()) } else { Err(RestoreError::Preflight(errors)) }
}

/// The server truncates a longer name with a notice only, so the rename at the end would get another name.
fn name(errors: &mut PreflightErrors, target: &str) {
    let remedy = "give another name with --to";
    if target.is_empty() || target.contains('\0') {
        errors.add(format!("{target:?} is not a name of a database"), remedy);
    } else if target.len() > LONGEST_NAME_BYTES {
        let told = format!("the name {target:?} has {} bytes, but PostgreSQL allows {LONGEST_NAME_BYTES}", target.len());
        errors.add(told, remedy);
    }
}

async fn versions(
    errors: &mut PreflightErrors,
    connection: &mut PgConnection,
    reader: &BackupReader,
    toc: &Contents,
    tool: &PgRestore,
) -> Result<(), RestoreError> {
    let server: i32 = sqlx::query_scalar("SELECT current_setting('server_version_num')::int4")
        .fetch_one(connection)
        .await
        .map_err(RestoreError::asking("asking for the server's version"))?;
    let source = reader.manifest().server.version_number / MAJOR.unsigned_abs();
    if server.unsigned_abs() / MAJOR.unsigned_abs() < source {
        errors.add(
            format!("the server is PostgreSQL {}, older than the backup's ({source})", server / MAJOR),
            format!("restore into PostgreSQL {source} or newer"),
        );
    }
    let (restores, dumped) = (tool.major_version().await?, toc.header.pg_dump_version.lossy().into_owned());
    let dumped: Option<u32> =
        dumped.split(|character: char| !character.is_ascii_digit()).next().and_then(|major| major.parse().ok());
    if dumped.is_some_and(|dumped| restores < dumped) {
        errors.add(
            format!("pg_restore has version {restores}, older than the pg_dump of the backup ({})", toc.header.pg_dump_version),
            "install newer client tools, or set BACKUP_CLIENT_FOLDER to their folder",
        );
    }
    Ok(())
}

async fn rights(
    errors: &mut PreflightErrors,
    connection: &mut PgConnection,
    options: &RestoreOptions,
) -> Result<(), RestoreError> {
    let (may, standby): (bool, bool) = sqlx::query_as(
        "SELECT rolsuper OR rolcreatedb, pg_catalog.pg_is_in_recovery() FROM pg_catalog.pg_roles WHERE rolname = current_user",
    )
    .fetch_one(connection)
    .await
    .map_err(RestoreError::asking("asking for our rights"))?;
    if !may {
        errors.0.push(PreflightError {
            wrong: format!("the role {} may not create databases", options.server.user),
            remedy: "grant it CREATEDB, or restore as a superuser".into(),
            right: true,
        });
    }
    if standby {
        errors.add("the server is a standby", "restore on its primary, or on another server");
    }
    Ok(())
}

/// The locales of the new database. A session's setting of a locale runs the same check.
async fn locales(errors: &mut PreflightErrors, connection: &mut PgConnection, toc: &Contents) -> Result<(), RestoreError> {
    let entry = toc.entries.iter().find(|entry| entry.kind == "DATABASE");
    let definition = entry.map(|entry| entry.definition.lossy()).unwrap_or_default();
    for locale in wanted_locales(&definition) {
        let set = sqlx::query("SELECT pg_catalog.set_config('lc_monetary', $1, true)").bind(&locale);
        match set.execute(&mut *connection).await {
            Ok(_) => {}
            Err(sqlx::Error::Database(_)) => errors.add(
                format!("the server's machine has no locale {locale:?}, which the database needs"),
                "install it there (localedef, or dpkg-reconfigure locales) and restart the server",
            ),
            Err(error) => return Err(RestoreError::asking("asking for a locale")(error)),
        }
    }
    Ok(())
}

/// The options after the template in pg_dump's CREATE DATABASE. ICU locales have other option names.
fn wanted_locales(definition: &str) -> BTreeSet<String> {
    let options = definition.rsplit_once(" WITH TEMPLATE = ").map_or("", |(_, options)| options);
    let value = |name: &str| {
        let (_, rest) = options.split_once(&format!(" {name} = '"))?;
        rest.split_once('\'').map(|(value, _)| value.to_owned())
    };
    ["LOCALE", "LC_COLLATE", "LC_CTYPE"].into_iter().filter_map(value).collect()
}

/// Owners, and roles with grants.
fn roles(toc: &Contents, options: &RestoreOptions) -> BTreeSet<String> {
    named_roles(toc, options.owners, options.privileges)
}

fn named_roles(toc: &Contents, owners: bool, privileges: bool) -> BTreeSet<String> {
    let mut roles = BTreeSet::new();
    for entry in &toc.entries {
        if owners && !entry.owner.is_empty() {
            roles.insert(toc.decode(&entry.owner));
        }
        if privileges && (entry.kind == "ACL" || entry.kind == "DEFAULT ACL") {
            roles.extend(grantees(entry));
        }
    }
    roles
}

impl Contents {
    /// Every role that the database's objects need.
    pub fn roles(&self) -> BTreeSet<String> {
        named_roles(self, true, true)
    }
}

/// Roles after ` TO ` and ` FROM ` at the end of each statement.
fn grantees(entry: &Entry) -> Vec<String> {
    let definition = entry.definition.lossy();
    let statements = definition.lines().filter(|line| line.contains("GRANT ") || line.contains("REVOKE "));
    let named = statements.filter_map(|line| {
        let line = line.trim_end().trim_end_matches(';').trim_end_matches(" WITH GRANT OPTION");
        let at = [line.rfind(" TO ").map(|at| at + 4), line.rfind(" FROM ").map(|at| at + 6)].into_iter().flatten().max()?;
        let name = line[at..].trim();
        match name.strip_prefix('"').and_then(|name| name.strip_suffix('"')) {
            Some(inner) => Some(inner.replace("\"\"", "\"")),
            None if name == "PUBLIC" || name.contains(' ') => None,
            None => Some(name.to_owned()),
        }
    });
    named.collect()
}

async fn names(connection: &mut PgConnection, query: &'static str) -> Result<Vec<String>, RestoreError> {
    sqlx::query_scalar(query).fetch_all(connection).await.map_err(RestoreError::asking("looking at what the server has"))
}

/// Checks free space only if the server's disk is on this machine, since no SQL statement returns it. Bytes of rows: of the
/// databases restored before this one, and of this one.
async fn space(errors: &mut PreflightErrors, connection: &mut PgConnection, before: u64, own: u64) -> Result<(), RestoreError> {
    // The setting is hidden from most roles, and the folder can be on another machine. Both skip the check.
    let folder: Option<String> = sqlx::query_scalar("SELECT setting FROM pg_catalog.pg_settings WHERE name = 'data_directory'")
        .fetch_optional(&mut *connection)
        .await
        .map_err(RestoreError::asking("asking for the data folder"))?;
    let local: bool = sqlx::query_scalar("SELECT pg_catalog.inet_server_addr() IS NULL OR pg_catalog.inet_server_addr() <<= '127.0.0.0/8' OR pg_catalog.inet_server_addr() = '::1'")
        .fetch_one(connection)
        .await
        .map_err(RestoreError::asking("asking for the server's address"))?;
    let Some(disk) = folder.filter(|_| local).and_then(|folder| rustix::fs::statvfs(folder).ok()) else { return Ok(()) };
    if let Some(wrong) = no_room(disk.f_bavail.saturating_mul(disk.f_frsize), before, own) {
        errors.add(wrong, "free disk space, or restore on another server");
    }
    Ok(())
}

fn no_room(free: u64, before: u64, own: u64) -> Option<String> {
    const MEBIBYTE: u64 = 1 << 20;
    let needed = (before + own) / 100 * SPACE_PERCENT;
    let with = if before > 0 { ", including the databases restored before it" } else { "" };
    (free < needed).then(|| {
        format!("the server's disk has {} MiB free, but about {} MiB are needed{with}", free / MEBIBYTE, needed / MEBIBYTE)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_of_several_databases_name_their_database() {
        let errors = |wrongs: &[&str]| {
            let mut errors = PreflightErrors::default();
            wrongs.iter().for_each(|wrong| errors.add(*wrong, "do it"));
            errors
        };
        let each = [("a".to_owned(), errors(&["all", "one"])), ("b".to_owned(), errors(&["two", "all"]))];
        assert_eq!(PreflightErrors::of_all(&each).to_string(), "\n  all; do it\n  \"a\": one; do it\n  \"b\": two; do it");
        assert_eq!(PreflightErrors::of_all(&each[..1]), each[0].1);
    }

    #[test]
    fn needed_room_includes_earlier_databases() {
        const GIBIBYTE: u64 = 1 << 30;
        assert_eq!((no_room(2 * GIBIBYTE, 0, GIBIBYTE), no_room(4 * GIBIBYTE, GIBIBYTE, GIBIBYTE)), (None, None));
        assert_eq!(
            no_room(GIBIBYTE, 0, GIBIBYTE).as_deref(),
            Some("the server's disk has 1024 MiB free, but about 1535 MiB are needed")
        );
        let told = no_room(2 * GIBIBYTE, GIBIBYTE, GIBIBYTE).unwrap();
        assert!(told.ends_with("about 3071 MiB are needed, including the databases restored before it"), "{told}");
    }

    #[test]
    fn locales_in_pg_dumps_format_are_read() {
        let rows: [(&str, &[&str]); 4] = [
            (
                "CREATE DATABASE a WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE_PROVIDER = libc LOCALE = 'fa_IR.UTF-8';",
                &["fa_IR.UTF-8"],
            ),
            (
                "CREATE DATABASE a WITH TEMPLATE = template0 ENCODING = 'UTF8' LC_COLLATE = 'C' LC_CTYPE = 'de_DE.UTF-8';",
                &["C", "de_DE.UTF-8"],
            ),
            (
                "CREATE DATABASE \" LOCALE = 'x'\" WITH TEMPLATE = template0 LOCALE_PROVIDER = icu LOCALE = 'C' ICU_LOCALE = 'en-US';",
                &["C"],
            ),
            ("CREATE DATABASE a;", &[]),
        ];
        for (definition, expected) in rows {
            assert_eq!(wanted_locales(definition).iter().map(String::as_str).collect::<Vec<_>>(), expected, "{definition}");
        }
    }
}
