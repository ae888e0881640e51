//! Everything that would stop a restore half way, looked for before anything is done, and told all at once.

use std::{collections::BTreeSet, fmt};

use sqlx::PgConnection;

use super::{Chosen, Opened, Options, RestoreFault, database::Databases, tool::PgRestore};
use crate::{
    archive::{Contents, Entry},
    reading::BackupReader,
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
        self.0.push(Trouble { wrong: wrong.into(), remedy: remedy.into() });
    }

    /// Names that the backup mentions and the server does not have.
    fn missing(&mut self, what: &str, wanted: BTreeSet<String>, there: &[String], remedy: &str) {
        let missing: Vec<_> = wanted.into_iter().filter(|name| !there.contains(name)).collect();
        if !missing.is_empty() {
            self.add(format!("the server has no {what} {}", missing.join(", ")), remedy);
        }
    }
}

pub(super) async fn check(
    databases: &mut Databases,
    reader: &BackupReader,
    opened: &Opened<'_>,
    chosen: &Chosen,
    options: &Options,
    tool: &PgRestore,
) -> Result<(), RestoreFault> {
    let mut troubles = Troubles::default();
    let toc = opened.toc.only(|entry| chosen.entries.contains(&entry.dump_id));
    versions(&mut troubles, databases.connection(), reader, &toc, tool).await?;
    let (target, replaces) = (databases.names.target.clone(), options.replace);
    if databases.exists(&target).await? && !replaces {
        troubles.add(
            format!("the server has a database {target:?} already"),
            "restore under another name (--to), or let it go aside (--replace)",
        );
    }
    let connection = databases.connection();
    rights(&mut troubles, connection, options).await?;
    if options.owners || options.privileges {
        let wanted = roles(&toc, options);
        let there = names(connection, "SELECT rolname::text FROM pg_catalog.pg_roles").await?;
        let remedy = "create them (the backup's globals have them: `backup restore --globals`), or restore with --no-owner --no-privileges";
        troubles.missing("role", wanted, &there, remedy);
    }
    if options.tablespaces {
        let wanted = toc.entries.iter().filter(|entry| !entry.tablespace.is_empty()).map(|entry| entry.tablespace.to_string());
        let there = names(connection, "SELECT spcname::text FROM pg_catalog.pg_tablespace").await?;
        troubles.missing("tablespace", wanted.collect(), &there, "create it, or restore with --no-tablespaces");
    }
    let wanted = toc.entries.iter().filter(|entry| entry.kind == "EXTENSION").map(|entry| entry.tag.to_string());
    let there = names(connection, "SELECT name::text FROM pg_catalog.pg_available_extensions").await?;
    troubles.missing("extension", wanted.collect(), &there, "install its package on the server");
    space(&mut troubles, connection, opened, chosen).await?;
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
        troubles.add(
            format!("the role {} may not create databases", options.server.user),
            "give it CREATEDB, or restore as a superuser",
        );
    }
    if standby {
        troubles.add("the server is a standby", "restore on its primary, or on another server");
    }
    Ok(())
}

/// Owners, and who is granted something.
fn roles(toc: &Contents, options: &Options) -> BTreeSet<String> {
    let mut roles = BTreeSet::new();
    for entry in &toc.entries {
        if options.owners && !entry.owner.is_empty() {
            roles.insert(entry.owner.to_string());
        }
        if options.privileges && (entry.kind == "ACL" || entry.kind == "DEFAULT ACL") {
            roles.extend(grantees(entry));
        }
    }
    roles
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

/// Only where the server's disk is this machine's: no statement tells free space.
async fn space(
    troubles: &mut Troubles,
    connection: &mut PgConnection,
    opened: &Opened<'_>,
    chosen: &Chosen,
) -> Result<(), RestoreFault> {
    // The setting is hidden from most roles, and the folder may be another machine's: then nothing is said.
    let folder: Option<String> = sqlx::query_scalar("SELECT setting FROM pg_catalog.pg_settings WHERE name = 'data_directory'")
        .fetch_optional(&mut *connection)
        .await
        .map_err(RestoreFault::asking("asking for the data folder"))?;
    let local: bool = sqlx::query_scalar("SELECT pg_catalog.inet_server_addr() IS NULL OR pg_catalog.inet_server_addr() <<= '127.0.0.0/8' OR pg_catalog.inet_server_addr() = '::1'")
        .fetch_one(connection)
        .await
        .map_err(RestoreFault::asking("asking for the server's address"))?;
    let wanted: u64 =
        opened.contents.tables.iter().filter(|table| chosen.entries.contains(&table.dump_id)).map(|table| table.raw_bytes).sum();
    let Some(disk) = folder.filter(|_| local).and_then(|folder| rustix::fs::statvfs(folder).ok()) else { return Ok(()) };
    let (free, needed) = (disk.f_bavail.saturating_mul(disk.f_frsize), wanted / 100 * SPACE_PERCENT);
    if free < needed {
        const MEBIBYTE: u64 = 1 << 20;
        troubles.add(
            format!("the server's disk has {} MiB free, about {} MiB are needed", free / MEBIBYTE, needed / MEBIBYTE),
            "make room, or restore on another server",
        );
    }
    Ok(())
}
