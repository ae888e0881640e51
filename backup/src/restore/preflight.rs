//! Everything that would stop a restore half way, looked for before anything is done, and told all at once.

use std::{collections::BTreeSet, fmt};

use sqlx::PgConnection;

use super::{Chosen, Opened, Options, RestoreFault, database::Databases, tool::PgRestore};
use crate::{
    archive::{Contents, Entry},
    reading::BackupReader,
    session::quoted,
};

/// `server_version_num` counts majors in these.
const MAJOR: i32 = 10_000;
/// A restored database takes about its rows as text, and indexes and a sort beside them.
const SPACE_PERCENT: u64 = 150;

/// One obstacle, and what removes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    pub wrong: String,
    pub remedy: String,
    /// Our role is not allowed to do it.
    pub right: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Troubles(pub Vec<Trouble>);

impl fmt::Display for Troubles {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|trouble| write!(formatter, "\n  {}; {}", trouble.wrong, trouble.remedy))
    }
}

impl Troubles {
    fn add(&mut self, wrong: impl Into<String>, remedy: impl Into<String>) {
        self.0.push(Trouble { wrong: wrong.into(), remedy: remedy.into(), right: false });
    }

    /// Whether a right is missing among what stands in the way.
    pub fn is_about_rights(&self) -> bool {
        self.0.iter().any(|trouble| trouble.right)
    }

    /// Those of several databases as one: what is in the way of all of them is said once, anything else of its database.
    pub fn of_all(each: &[(String, Self)]) -> Self {
        let mut all: Vec<Trouble> = Vec::new();
        for (database, troubles) in each {
            for trouble in &troubles.0 {
                let common = each.iter().all(|(_, others)| others.0.contains(trouble));
                let wrong = if common { trouble.wrong.clone() } else { format!("{database:?}: {}", trouble.wrong) };
                let trouble = Trouble { wrong, ..trouble.clone() };
                if !all.contains(&trouble) {
                    all.push(trouble);
                }
            }
        }
        Self(all)
    }

    /// Names that the backup mentions and the server does not have.
    fn missing(&mut self, what: &str, wanted: BTreeSet<String>, there: &[String], remedy: &str) {
        let missing: Vec<_> = wanted.into_iter().filter(|name| !there.contains(name)).collect();
        if !missing.is_empty() {
            self.add(format!("the server has no {what} {}", missing.join(", ")), remedy);
        }
    }
}

/// What other restores do before this one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ahead {
    /// Roles and tablespaces that are not there yet and will be by then.
    pub made: BTreeSet<String>,
    /// Bytes of rows that they will have written.
    pub row_bytes: u64,
}

/// Of the tables that were chosen, as text.
pub(super) fn row_bytes(opened: &Opened<'_>, chosen: &Chosen) -> u64 {
    opened.contents.tables.iter().filter(|table| chosen.entries.contains(&table.dump_id)).map(|table| table.raw_bytes).sum()
}

pub(super) async fn check(
    databases: &mut Databases,
    reader: &BackupReader,
    opened: &Opened<'_>,
    chosen: &Chosen,
    options: &Options,
    tool: &PgRestore,
    ahead: &Ahead,
) -> Result<(), RestoreFault> {
    let mut troubles = Troubles::default();
    let toc = opened.toc.only(|entry| chosen.entries.contains(&entry.dump_id));
    versions(&mut troubles, databases.connection(), reader, &toc, tool).await?;
    let target = databases.names.target.clone();
    if databases.exists(&target).await? {
        if !options.replace && !databases.is_as_made(&options.server).await? {
            troubles.add(
                format!("the server has a database {target:?} already"),
                "let it go aside (--replace), or restore this one by itself under another name (--database and --to)",
            );
        } else if databases.is_used().await? {
            troubles.add(
                format!("somebody is connected to the database {target:?}, which is to go aside"),
                "end those sessions (pg_stat_activity has them), or restore this one by itself under another name (--database and --to)",
            );
        }
    }
    let connection = databases.connection();
    rights(&mut troubles, connection, options).await?;
    if options.owners || options.privileges {
        let mut wanted = roles(&toc, options);
        wanted.retain(|name| !ahead.made.contains(name));
        let there = names(connection, "SELECT rolname::text FROM pg_catalog.pg_roles").await?;
        let remedy = "create them (the backup's globals have them: `backup restore --globals`), or restore with --no-owner --no-privileges";
        troubles.missing("role", wanted, &there, remedy);
    }
    if options.tablespaces {
        let wanted = toc.entries.iter().filter(|entry| !entry.tablespace.is_empty()).map(|entry| entry.tablespace.to_string());
        let wanted = wanted.filter(|name| !ahead.made.contains(name));
        let there = names(connection, "SELECT spcname::text FROM pg_catalog.pg_tablespace").await?;
        troubles.missing("tablespace", wanted.collect(), &there, "create it, or restore with --no-tablespaces");
    }
    let wanted = toc.entries.iter().filter(|entry| entry.kind == "EXTENSION").map(|entry| toc.decode(&entry.tag));
    let there = names(connection, "SELECT name::text FROM pg_catalog.pg_available_extensions").await?;
    troubles.missing("extension", wanted.collect(), &there, "install its package on the server");
    locales(&mut troubles, connection, &opened.toc).await?;
    space(&mut troubles, connection, ahead.row_bytes, row_bytes(opened, chosen)).await?;
    for left in databases.left_behind().await? {
        // No obstacle, but room that nobody uses.
        let statement = format!("DROP DATABASE {}", quoted(&left));
        tracing::warn!(database = left, statement, "a restore that was killed has left an unfinished database: drop it");
    }
    if troubles.0.is_empty() { Ok(()) } else { Err(RestoreFault::Preflight(troubles)) }
}

async fn versions(
    troubles: &mut Troubles,
    connection: &mut PgConnection,
    reader: &BackupReader,
    toc: &Contents,
    tool: &PgRestore,
) -> Result<(), RestoreFault> {
    let server: i32 = sqlx::query_scalar("SELECT current_setting('server_version_num')::int4")
        .fetch_one(connection)
        .await
        .map_err(RestoreFault::asking("asking for the server's version"))?;
    let source = reader.manifest().server.version_number / MAJOR.unsigned_abs();
    if server.unsigned_abs() / MAJOR.unsigned_abs() < source {
        troubles.add(
            format!("the server is PostgreSQL {}, older than that of the backup ({source})", server / MAJOR),
            format!("restore into PostgreSQL {source} or newer"),
        );
    }
    let (restores, dumped) = (tool.major_version().await?, toc.header.pg_dump_version.lossy().into_owned());
    let dumped: Option<u32> =
        dumped.split(|character: char| !character.is_ascii_digit()).next().and_then(|major| major.parse().ok());
    if dumped.is_some_and(|dumped| restores < dumped) {
        troubles.add(
            format!(
                "pg_restore is of version {restores}, older than the pg_dump that took the backup ({})",
                toc.header.pg_dump_version
            ),
            "install newer client tools, or set BACKUP_CLIENT_FOLDER to them",
        );
    }
    Ok(())
}

async fn rights(troubles: &mut Troubles, connection: &mut PgConnection, options: &Options) -> Result<(), RestoreFault> {
    let (may, standby): (bool, bool) = sqlx::query_as(
        "SELECT rolsuper OR rolcreatedb, pg_catalog.pg_is_in_recovery() FROM pg_catalog.pg_roles WHERE rolname = current_user",
    )
    .fetch_one(connection)
    .await
    .map_err(RestoreFault::asking("asking for our rights"))?;
    if !may {
        troubles.0.push(Trouble {
            wrong: format!("the role {} may not create databases", options.server.user),
            remedy: "give it CREATEDB, or restore as a superuser".into(),
            right: true,
        });
    }
    if standby {
        troubles.add("the server is a standby", "restore on its primary, or on another server");
    }
    Ok(())
}

/// The locales that the database is created with. A setting of any session is checked as that is.
async fn locales(troubles: &mut Troubles, connection: &mut PgConnection, toc: &Contents) -> Result<(), RestoreFault> {
    let entry = toc.entries.iter().find(|entry| entry.kind == "DATABASE");
    let definition = entry.map(|entry| entry.definition.lossy()).unwrap_or_default();
    for locale in wanted_locales(&definition) {
        let set = sqlx::query("SELECT pg_catalog.set_config('lc_monetary', $1, true)").bind(&locale);
        match set.execute(&mut *connection).await {
            Ok(_) => {}
            Err(sqlx::Error::Database(_)) => troubles.add(
                format!("the server's machine has no locale {locale:?}, which the database is to have"),
                "install it there (localedef, or dpkg-reconfigure locales) and start the server again",
            ),
            Err(error) => return Err(RestoreFault::asking("asking for a locale")(error)),
        }
    }
    Ok(())
}

/// As they stand behind the template in pg_dump's CREATE DATABASE. (Those of ICU have names of their own there.)
fn wanted_locales(definition: &str) -> BTreeSet<String> {
    let options = definition.rsplit_once(" WITH TEMPLATE = ").map_or("", |(_, options)| options);
    let value = |name: &str| {
        let (_, rest) = options.split_once(&format!(" {name} = '"))?;
        rest.split_once('\'').map(|(value, _)| value.to_owned())
    };
    ["LOCALE", "LC_COLLATE", "LC_CTYPE"].into_iter().filter_map(value).collect()
}

/// Owners, and who is granted something.
fn roles(toc: &Contents, options: &Options) -> BTreeSet<String> {
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
    /// Every role that its objects need.
    pub fn roles(&self) -> BTreeSet<String> {
        named_roles(self, true, true)
    }
}

/// Who stands behind ` TO ` and ` FROM ` at the end of each statement.
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

async fn names(connection: &mut PgConnection, query: &'static str) -> Result<Vec<String>, RestoreFault> {
    sqlx::query_scalar(query).fetch_all(connection).await.map_err(RestoreFault::asking("looking at what the server has"))
}

/// Only where the server's disk is this machine's: no statement tells free space. Bytes of rows: of the databases that are
/// restored before this one, and of this one.
async fn space(troubles: &mut Troubles, connection: &mut PgConnection, before: u64, own: u64) -> Result<(), RestoreFault> {
    // The setting is hidden from most roles, and the folder may be another machine's: then nothing is said.
    let folder: Option<String> = sqlx::query_scalar("SELECT setting FROM pg_catalog.pg_settings WHERE name = 'data_directory'")
        .fetch_optional(&mut *connection)
        .await
        .map_err(RestoreFault::asking("asking for the data folder"))?;
    let local: bool = sqlx::query_scalar("SELECT pg_catalog.inet_server_addr() IS NULL OR pg_catalog.inet_server_addr() <<= '127.0.0.0/8' OR pg_catalog.inet_server_addr() = '::1'")
        .fetch_one(connection)
        .await
        .map_err(RestoreFault::asking("asking for the server's address"))?;
    let Some(disk) = folder.filter(|_| local).and_then(|folder| rustix::fs::statvfs(folder).ok()) else { return Ok(()) };
    if let Some(wrong) = no_room(disk.f_bavail.saturating_mul(disk.f_frsize), before, own) {
        troubles.add(wrong, "make room, or restore on another server");
    }
    Ok(())
}

fn no_room(free: u64, before: u64, own: u64) -> Option<String> {
    const MEBIBYTE: u64 = 1 << 20;
    let needed = (before + own) / 100 * SPACE_PERCENT;
    let with = if before > 0 { ", with the databases that are restored before it" } else { "" };
    (free < needed)
        .then(|| format!("the server's disk has {} MiB free, about {} MiB are needed{with}", free / MEBIBYTE, needed / MEBIBYTE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_the_way_of_several_databases_is_told_of_each() {
        let troubles = |wrongs: &[&str]| {
            let mut troubles = Troubles::default();
            wrongs.iter().for_each(|wrong| troubles.add(*wrong, "do it"));
            troubles
        };
        let each = [("a".to_owned(), troubles(&["all", "one"])), ("b".to_owned(), troubles(&["two", "all"]))];
        assert_eq!(Troubles::of_all(&each).to_string(), "\n  all; do it\n  \"a\": one; do it\n  \"b\": two; do it");
        assert_eq!(Troubles::of_all(&each[..1]), each[0].1);
    }

    #[test]
    fn room_is_for_all_that_comes_before_too() {
        const GIBIBYTE: u64 = 1 << 30;
        assert_eq!((no_room(2 * GIBIBYTE, 0, GIBIBYTE), no_room(4 * GIBIBYTE, GIBIBYTE, GIBIBYTE)), (None, None));
        assert_eq!(
            no_room(GIBIBYTE, 0, GIBIBYTE).as_deref(),
            Some("the server's disk has 1024 MiB free, about 1535 MiB are needed")
        );
        let told = no_room(2 * GIBIBYTE, GIBIBYTE, GIBIBYTE).unwrap();
        assert!(told.ends_with("about 3071 MiB are needed, with the databases that are restored before it"), "{told}");
    }

    #[test]
    fn locales_are_read_as_pg_dump_writes_them() {
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
