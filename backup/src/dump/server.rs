//! This module checks the server's version and our rights before the backup starts.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};

use crate::{
    abort::Abort,
    config::{Job, RolePasswords, SourceSettings},
    failure::{Exit, Failure, Result, Stage},
    manifest::{self, LeftOut},
    session::pin,
    wire,
};

use super::tools::Tools;

/// Older servers are not supported.
const OLDEST: u32 = 130_000;
/// Name, whether it accepts connections, whether it is a template, whether it is invalid.
const DATABASES: &str =
    "SELECT datname::text, datallowconn, datistemplate, datconnlimit = -2 FROM pg_catalog.pg_database ORDER BY datname";
/// Databases of a new server that accept connections.
const MADE_BY_INITDB: [&str; 2] = ["postgres", "template1"];
/// Class of our advisory locks: "backup" as a number.
const LOCK_CLASS: i32 = 0x0062_6b75;

/// A session that is open during the attempt and holds the advisory lock.
pub struct ServerFacts {
    session: PgConnection,
    pub about: manifest::ManifestServer,
    /// Databases to back up, sorted by name.
    pub databases: Vec<String>,
    /// Whether the backup includes password verifiers.
    pub role_passwords: bool,
    pub warnings: Vec<String>,
    /// Databases that are not backed up although they are not excluded by configuration.
    pub left_out: Vec<LeftOut>,
    /// Databases of `BACKUP_DATABASES` that cannot be read: a backup without them is not complete.
    pub failed: Vec<LeftOut>,
    source: SourceSettings,
}

impl ServerFacts {
    /// # Errors
    /// Returns an error if the server cannot be reached, is too old or too new, or is behind a pooler. Also if another backup
    /// runs on it, or a configured database does not exist.
    pub async fn open(job: &Job, source: &SourceSettings, tools: &Tools) -> Result<Self> {
        let failed = |error| Failure::database(Stage::Connect, error);
        let tools = tools.clone();
        // Starting two programs takes as long as logging in, so both run concurrently.
        let asked = tokio::task::spawn_blocking(move || client(&tools));
        let (session, client) = tokio::join!(connect(source), asked);
        let mut session = session.map_err(|error| {
            Failure::database(Stage::Connect, error).context(format!(
                "failed to connect to {} as {}; correct BACKUP_SOURCE_URL, or start the server",
                source.place(),
                source.user
            ))
        })?;
        // The session can be idle for hours while rows are read.
        session.execute(AssertSqlSafe(pin())).await.map_err(failed)?;
        let row = sqlx::query(
            "SELECT pg_catalog.current_setting('server_version_num')::int, current_setting('server_version'), pg_is_in_recovery(), \
             has_table_privilege('pg_catalog.pg_authid', 'SELECT')",
        );
        let row = row.fetch_one(&mut session).await.map_err(failed)?;
        let version_number = u32::try_from(row.get::<i32, _>(0)).unwrap_or(0);
        let client = client.map_err(|error| Failure::new(Stage::Versions, Exit::Failed, error))?;
        let client = fitting(version_number, client)?;
        // The role may not have the right to read the control file.
        let system =
            sqlx::query("SELECT system_identifier::text FROM pg_catalog.pg_control_system()").fetch_one(&mut session).await;
        let about = manifest::ManifestServer {
            version_number,
            version: row.get(1),
            system_identifier: system.ok().map(|row| row.get(0)),
            standby: row.get(2),
            client,
        };
        let mut warnings = Vec::new();
        let role_passwords = role_passwords(job, row.get(3), &mut warnings);
        let (databases, left_out) = databases(&mut session, job).await?;
        let (failed, left_out) = left_out.into_iter().partition(|left| job.databases.contains(&left.database));
        Ok(Self { session, about, databases, role_passwords, warnings, left_out, failed, source: source.clone() })
    }

    /// Ensures one attempt of this job at a time on this server, from any machine. The lock is held until the session ends.
    pub async fn lock(&mut self, job: &str) -> Result<()> {
        let lock = sqlx::query("SELECT pg_try_advisory_lock($1, hashtext($2))").bind(LOCK_CLASS).bind(job);
        let row = lock.fetch_one(&mut self.session).await.map_err(|error| Failure::database(Stage::Lease, error))?;
        if row.get::<bool, _>(0) {
            return Ok(());
        }
        let told =
            format!("another backup of job {job:?} is running on this server (it holds the advisory lock); wait for it to end");
        Err(Failure::told(Stage::Lease, Exit::Busy, told))
    }

    /// Checks that the session, and with it the advisory lock, still exists. A lost session is replaced if the lock is free; the
    /// lease ensures that no other run has written in between.
    pub async fn still_there(&mut self, job: &str) -> Result<()> {
        let Err(lost) = self.session.ping().await else { return Ok(()) };
        let gone = |error| Failure::database(Stage::Connect, error).context("the session with the advisory lock was lost");
        self.session = connect(&self.source).await.map_err(gone)?;
        self.session.execute(AssertSqlSafe(pin())).await.map_err(gone)?;
        self.lock(job).await?;
        tracing::warn!(error = wire::described(&lost), "lost the session with the advisory lock; took the free lock again");
        Ok(())
    }
}

/// A session in UTF-8 on the server. If the encoding of the source's database cannot be converted to UTF-8 (`MULE_INTERNAL`), it is
/// in another database: everything that it reads belongs to the server.
async fn connect(source: &SourceSettings) -> sqlx::Result<PgConnection> {
    const NO_CONVERSION: &str = "0A000";
    let refused = match PgConnection::connect_with(&source.options()).await {
        Err(sqlx::Error::Database(refused)) if refused.code().as_deref() == Some(NO_CONVERSION) => refused,
        connected => return connected,
    };
    for database in MADE_BY_INITDB {
        if let Ok(session) = PgConnection::connect_with(&source.with_database(database).options()).await {
            return Ok(session);
        }
    }
    Err(sqlx::Error::Database(refused))
}

/// pg_dump's version text, and the older version of pg_dump and pg_dumpall.
fn client(tools: &Tools) -> Result<(String, u32)> {
    let (text, dump) = tools.version("pg_dump")?;
    let (_, dumpall) = tools.version("pg_dumpall")?;
    Ok((text, dump.min(dumpall)))
}

/// The client's version text, if the client supports the server's version.
fn fitting(server: u32, client: Result<(String, u32)>) -> Result<String> {
    if server < OLDEST {
        let told =
            format!("the server's version is {}, but the oldest supported version is 13; upgrade the server", server / 10_000);
        return Err(Failure::told(Stage::Versions, Exit::Versions, told));
    }
    let ((text, oldest), major) = (client?, server / 10_000);
    if oldest < major {
        let told = format!(
            "the client tools have version {oldest}, and the server has version {major}: older tools do not support all of its objects; \
                 install postgresql-client-{major}, or set BACKUP_CLIENT_FOLDER to its folder"
        );
        return Err(Failure::told(Stage::Versions, Exit::Versions, told));
    }
    Ok(text)
}

fn role_passwords(job: &Job, readable: bool, warnings: &mut Vec<String>) -> bool {
    let wanted = match job.encryption.role_passwords {
        RolePasswords::Never => false,
        RolePasswords::Always => true,
        RolePasswords::Encrypted => !job.encryption.recipients.is_empty(),
    };
    if wanted && !readable {
        warnings.push("password verifiers are not in this backup: the role may not read pg_authid".into());
    } else if !wanted && job.encryption.role_passwords == RolePasswords::Encrypted {
        warnings.push("password verifiers are not in this backup: it is not encrypted".into());
    }
    wanted && readable
}

/// The databases to back up, and those left out although they are not excluded.
async fn databases(session: &mut PgConnection, job: &Job) -> Result<(Vec<String>, Vec<LeftOut>)> {
    let failed = |error| Failure::database(Stage::Connect, error);
    let rows: Vec<(String, bool, bool, bool)> = sqlx::query_as(DATABASES).fetch_all(session).await.map_err(failed)?;
    let excluded =
        |name: &String| job.exclude_databases.contains(name) || !job.databases.is_empty() && !job.databases.contains(name);
    let mut left_out = Vec::new();
    let mut there = Vec::new();
    for (name, connects, template, invalid) in rows {
        let reason = if invalid {
            "it is invalid: a DROP DATABASE was interrupted; drop it"
        } else if !connects {
            "it refuses connections (ALLOW_CONNECTIONS false)"
        } else if template && !job.databases.contains(&name) {
            "it is a template; name it in BACKUP_DATABASES to back it up"
        } else {
            there.push(name);
            continue;
        };
        let made_by_initdb = name == "template0" || name == "template1" && template;
        if !excluded(&name) && !made_by_initdb || job.databases.contains(&name) {
            left_out.push(LeftOut { database: name, reason: reason.to_owned() });
        }
    }
    let unknown = |name: &&String| !there.contains(name) && !left_out.iter().any(|left| left.database == **name);
    let missing: Vec<_> = job.databases.iter().filter(unknown).map(String::as_str).collect();
    if !missing.is_empty() {
        let told =
            format!("the server has no database {}; it has {}; correct BACKUP_DATABASES", missing.join(", "), there.join(", "));
        return Err(Failure::told(Stage::Connect, Exit::Configuration, told));
    }
    let databases: Vec<String> = there.into_iter().filter(|name| !excluded(name)).collect();
    if databases.is_empty() {
        let told = "no database is left to back up; correct BACKUP_DATABASES and BACKUP_EXCLUDE_DATABASES";
        return Err(Failure::told(Stage::Connect, Exit::Configuration, told));
    }
    Ok((databases, left_out))
}

/// Checks that the connection reaches the server itself. A pooler reports its own process number, and runs each transaction in
/// any free session: our pinned settings would apply to another session.
///
/// # Errors
/// Returns an error if a pooler answers.
pub fn refuse_pooler(source: &SourceSettings, stop: &Abort) -> Result<()> {
    let failed = |error| Failure::wire(Stage::Connect, error);
    let mut connection = wire::Connection::open(source, |breaker| stop.guard(breaker)).map_err(failed)?;
    let answering = connection.query_one("SELECT pg_catalog.pg_backend_pid()").map_err(failed)?;
    if answering == connection.process().to_string() {
        return Ok(());
    }
    let told = format!("{} is a connection pooler; set BACKUP_SOURCE_URL to the server's own address", source.place());
    Err(Failure::told(Stage::Connect, Exit::Configuration, told))
}
