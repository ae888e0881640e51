//! This module manages the database that is being restored. It creates it under a temporary name, applies the settings and
//! privileges of the original, renames it at the end, and drops it after a failure.

use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use super::{NotCreated, RestoreError, RestoreSession};
use crate::{
    archive::{Contents, Entry},
    config::SourceSettings,
    session::quoted,
    sql::{Renaming, rename_database, statements, words},
    wire::WireError,
};

/// `NAMEDATALEN` - 1: the server would truncate a longer name.
pub(super) const LONGEST_NAME_BYTES: usize = 63;

/// A database that initdb creates and that contains no user data.
const ALWAYS_THERE: &str = "template1";

/// The names in a restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoredNames {
    /// Name in the backup.
    pub original: String,
    /// Name during the restore.
    pub restoring: String,
    /// Final name.
    pub target: String,
    /// New name of an existing database with the target's name, if it may be replaced.
    pub replaced: String,
}

impl RestoredNames {
    /// `unique` distinguishes this restore from others: letters, digits and underscores.
    pub fn new(original: &str, target: &str, unique: &str) -> Self {
        let with = |middle: &str| {
            let end = format!("_{middle}_{unique}");
            let mut start = target.len().min(LONGEST_NAME_BYTES.saturating_sub(end.len()));
            while !target.is_char_boundary(start) {
                start -= 1;
            }
            format!("{}{end}", &target[..start])
        };
        Self { original: original.into(), restoring: with("restoring"), target: target.into(), replaced: with("replaced") }
    }
}

/// The database of a new server, besides its templates, that clients connect to.
const MADE_BY_INITDB: &str = "postgres";

/// Whether a database contains no user objects: these have oids from 16384 on.
const NOTHING_MADE: &str = "SELECT NOT EXISTS (SELECT FROM pg_catalog.pg_class WHERE oid >= 16384) \
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_type WHERE oid >= 16384) AND NOT EXISTS (SELECT FROM pg_catalog.pg_proc WHERE oid >= 16384) \
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE oid >= 16384) \
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_extension WHERE oid >= 16384) \
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_largeobject_metadata)";

const QUIET: &str = "asking for the rights of the role";

/// Maximum wait for ending sessions. The server itself waits as long before it renames a database.
const SESSIONS_END: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(50);

/// Operations on the database as a whole, over a connection to another database.
pub struct Databases {
    connection: PgConnection,
    server: SourceSettings,
    /// The database that is being restored.
    pub restoring: SourceSettings,
    pub names: RestoredNames,
    /// Whether the target's name belongs to the unchanged, empty `postgres` of initdb. It is replaced, since it has no content.
    as_made: bool,
}

impl Databases {
    pub async fn connect(server: &SourceSettings, names: RestoredNames) -> Result<Self, RestoreError> {
        // A database with connected sessions cannot be renamed.
        let besides = if server.database == names.target { server.with_database(ALWAYS_THERE) } else { server.clone() };
        // The connection is idle during the whole restore; its idle timeouts are pinned.
        let mut connection = super::connect_session(&besides).await?;
        let restoring = quiet(&mut connection, server.with_database(&names.restoring)).await?;
        Ok(Self { connection, server: server.clone(), restoring, names, as_made: false })
    }

    pub fn connection(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    pub async fn exists(&mut self, name: &str) -> Result<bool, RestoreError> {
        let query = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = $1)").bind(name);
        query.fetch_one(&mut self.connection).await.map_err(RestoreError::asking("looking for a database"))
    }

    /// Whether the target's name belongs to the empty `postgres` of a new server. The database of the backup then replaces it.
    pub async fn is_as_made(&mut self, server: &SourceSettings) -> Result<bool, RestoreError> {
        if self.names.target == MADE_BY_INITDB {
            let place = server.with_database(MADE_BY_INITDB);
            let session = PgConnection::connect_with(&place.options()).await;
            let mut session = session.map_err(|error| RestoreError::connecting(&place, &error))?;
            let asked = sqlx::query_scalar(NOTHING_MADE).fetch_one(&mut session).await;
            self.as_made = asked.map_err(RestoreError::asking("looking into the database postgres"))?;
            let _ = session.close().await;
        }
        Ok(self.as_made)
    }

    /// Whether a session is connected to the database with the target's name.
    pub async fn is_used(&mut self) -> Result<bool, RestoreError> {
        let end = Instant::now() + SESSIONS_END;
        loop {
            // The kind of other roles' sessions may be hidden from us.
            let query = sqlx::query_scalar(
                "SELECT EXISTS (SELECT FROM pg_catalog.pg_stat_activity WHERE datname = $1 AND COALESCE(backend_type, 'client backend') = 'client backend')",
            );
            let used = query.bind(&self.names.target).fetch_one(&mut self.connection).await;
            let used: bool = used.map_err(RestoreError::asking("looking for sessions"))?;
            if !used || Instant::now() > end {
                return Ok(used);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Unfinished databases of killed restores, without connected sessions.
    pub async fn left_behind(&mut self) -> Result<Vec<String>, RestoreError> {
        const MARK: &str = "_restoring_";
        let restoring = &self.names.restoring;
        let begins = restoring.rfind(MARK).map_or(restoring.as_str(), |at| &restoring[..at + MARK.len()]).to_owned();
        let query = sqlx::query_scalar(
            "SELECT datname::text FROM pg_catalog.pg_database d WHERE pg_catalog.starts_with(datname::text, $1) \
             AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity a WHERE a.datid = d.oid) ORDER BY 1",
        );
        query.bind(begins).fetch_all(&mut self.connection).await.map_err(RestoreError::asking("looking for unfinished databases"))
    }

    /// Creates the database empty, with the encoding and locale of the original. `tablespaces`: also in its tablespace.
    pub async fn create(&mut self, contents: &Contents, tablespaces: bool) -> Result<(), RestoreError> {
        let entry = contents.entries.iter().find(|entry| entry.kind == "DATABASE");
        let definition = entry.and_then(|entry| entry.definition.utf8());
        let definition = definition.ok_or_else(|| RestoreError::Contents("it has no CREATE DATABASE statement".into()))?;
        let mut statement = self.renamed(definition, &self.names.restoring);
        if !tablespaces {
            statement = without_tablespace(&statement);
        }
        self.run("creating the database", &statement).await
    }

    pub async fn version_number(&mut self) -> Result<u32, RestoreError> {
        let query = sqlx::query_scalar("SELECT pg_catalog.current_setting('server_version_num')::int4");
        let version: i32 = query.fetch_one(&mut self.connection).await.map_err(RestoreError::asking("asking for the version"))?;
        Ok(version.unsigned_abs())
    }

    /// Applies the original settings of the database, and of roles in it. `keep_going`: returns those that the server refuses, such as
    /// a parameter that a newer release no longer has.
    pub async fn apply_settings(&mut self, contents: &Contents, keep_going: bool) -> Result<Vec<NotCreated>, RestoreError> {
        let entries = contents.entries.iter().filter(|entry| entry.kind == "DATABASE PROPERTIES");
        let settings = entries.flat_map(|entry| statements(&to_characters(entry.definition.bytes())));
        let settings: Vec<String> = settings.filter(|statement| is_setting(statement)).collect();
        let mut refused = Vec::new();
        if settings.is_empty() {
            return Ok(refused);
        }
        let mut inside = self.inside().await?;
        for statement in settings {
            refused.extend(self.tell(&mut inside, "setting of the database", &statement, keep_going).await?);
        }
        Ok(refused)
    }

    /// Applies the original owner, settings, comment and privileges. `keep_going`: returns those that the server refuses.
    pub async fn adopt(
        &mut self,
        contents: &Contents,
        owners: bool,
        privileges: bool,
        keep_going: bool,
    ) -> Result<Vec<NotCreated>, RestoreError> {
        let mut refused = Vec::new();
        let restoring = self.names.restoring.clone();
        // In a session inside the database, since the texts are in its encoding.
        let mut inside = self.inside().await?;
        for entry in &contents.entries {
            let wanted = match &*entry.kind.lossy() {
                "DATABASE" => {
                    if owners && !entry.owner.is_empty() {
                        let owner = format!("ALTER DATABASE {} OWNER TO {}", quoted(&restoring), quoted(&entry.owner.lossy()));
                        self.run("setting the owner of the database", &owner).await?;
                    }
                    false
                }
                "DATABASE PROPERTIES" => true,
                "COMMENT" | "SECURITY LABEL" => is_about_database(entry),
                "ACL" => privileges && is_about_database(entry),
                _ => false,
            };
            if wanted {
                // Statement by statement, so that each has its own result. The settings were applied first.
                let all = statements(&to_characters(entry.definition.bytes()));
                for statement in all.into_iter().filter(|statement| !is_setting(statement)) {
                    refused.extend(self.tell(&mut inside, &entry.kind.lossy(), &statement, keep_going).await?);
                }
            }
        }
        Ok(refused)
    }

    /// A session in the database that is being restored, in its encoding.
    async fn inside(&self) -> Result<RestoreSession, RestoreError> {
        RestoreSession::open(&self.restoring).await
    }

    /// Runs a statement about the original on the database that is being restored. `statement` has a character for each byte. Returns
    /// a refusal only if the restore continues after one.
    async fn tell(
        &self,
        inside: &mut RestoreSession,
        what: &str,
        statement: &str,
        keep_going: bool,
    ) -> Result<Option<NotCreated>, RestoreError> {
        let (from, to) = (to_characters(self.names.original.as_bytes()), to_characters(self.names.restoring.as_bytes()));
        let bytes = to_bytes(&rename_database(statement, &Renaming { from: &from, to: &to }));
        match inside.query(bytes).await {
            Ok(_) => Ok(None),
            Err(error @ WireError::Server { .. }) if keep_going => {
                let object = format!("{what}: {}", statement.trim());
                Ok(Some(NotCreated { object, reason: error.to_string() }))
            }
            Err(error) => Err(RestoreError::by_wire("setting up the database")(error)),
        }
    }

    /// Gives the restored database its final name, after renaming an existing one. Both happen in one transaction.
    pub async fn rename(&mut self, replace: bool) -> Result<(), RestoreError> {
        let mut statements = String::from("BEGIN;");
        if (replace || self.as_made) && self.exists(&self.names.target.clone()).await? {
            statements += &format!("ALTER DATABASE {} RENAME TO {};", quoted(&self.names.target), quoted(&self.names.replaced));
        }
        statements +=
            &format!("ALTER DATABASE {} RENAME TO {};COMMIT", quoted(&self.names.restoring), quoted(&self.names.target));
        self.run("renaming the database", &statements).await?;
        if self.as_made {
            let statement = format!("DROP DATABASE IF EXISTS {}", quoted(&self.names.replaced));
            if let Err(fault) = self.run("dropping the empty database postgres", &statement).await {
                tracing::warn!(
                    error = fault.to_string(),
                    statement,
                    "failed to drop an empty database; drop it with the statement"
                );
            }
        }
        Ok(())
    }

    /// Drops the unfinished database; succeeds if it does not exist.
    pub async fn drop_restoring(&mut self) -> Result<(), RestoreError> {
        drop_database(&mut self.connection, &self.server, &self.names.restoring).await
    }

    fn renamed(&self, statement: &str, to: &str) -> String {
        rename_database(statement, &Renaming { from: &self.names.original, to })
    }

    async fn run(&mut self, what: &'static str, statements: &str) -> Result<(), RestoreError> {
        // An error inside BEGIN would leave the connection in a failed transaction.
        let done = self.connection.execute(AssertSqlSafe(statements.to_owned())).await;
        if done.is_err() && statements.starts_with("BEGIN") {
            let _ = self.connection.execute("ROLLBACK").await;
        }
        done.map(drop).map_err(RestoreError::asking(what))
    }
}

/// A restored database for our own sessions. Its settings must not change their role. Its event triggers must not run: one of a
/// login (since PostgreSQL 17) may write rows or refuse us. Only some roles may prevent that.
pub async fn quiet(connection: &mut PgConnection, restored: SourceSettings) -> Result<SourceSettings, RestoreError> {
    // The function of a privilege on a setting is as new as PostgreSQL 15, so the query must not name it on older servers.
    const PREVENTS: &str = "SELECT pg_catalog.has_parameter_privilege('event_triggers', 'SET')";
    let known = "SELECT EXISTS (SELECT FROM pg_catalog.pg_settings WHERE name = 'event_triggers')";
    let mut prevents: bool = sqlx::query_scalar(known).fetch_one(&mut *connection).await.map_err(RestoreError::asking(QUIET))?;
    if prevents {
        prevents = sqlx::query_scalar(PREVENTS).fetch_one(connection).await.map_err(RestoreError::asking(QUIET))?;
    }
    let mut startup = vec![("role", "none")];
    startup.extend(prevents.then_some(("event_triggers", "off")));
    Ok(SourceSettings { startup, ..restored })
}

/// Drops a database that a restore created, even with connected sessions; succeeds if it does not exist. The server refuses to
/// drop a database with subscriptions. They are dropped first, without contacting the publisher, whose slots belong to the
/// original.
pub async fn drop_database(connection: &mut PgConnection, server: &SourceSettings, name: &str) -> Result<(), RestoreError> {
    const WHAT: &str = "dropping a database that a restore created";
    let query = sqlx::query_scalar(
        "SELECT s.subname::text FROM pg_catalog.pg_subscription s JOIN pg_catalog.pg_database d ON d.oid = s.subdbid WHERE d.datname = $1",
    );
    let subscriptions: Vec<String> = query.bind(name).fetch_all(&mut *connection).await.map_err(RestoreError::asking(WHAT))?;
    if !subscriptions.is_empty() {
        let place = quiet(connection, server.with_database(name)).await?;
        let mut inside = super::connect_session(&place).await?;
        for subscription in subscriptions.iter().map(|subscription| quoted(subscription)) {
            // In separate transactions, since the last statement cannot share one with the others.
            for statement in [
                format!("ALTER SUBSCRIPTION {subscription} DISABLE"),
                format!("ALTER SUBSCRIPTION {subscription} SET (slot_name = NONE)"),
                format!("DROP SUBSCRIPTION {subscription}"),
            ] {
                inside.execute(AssertSqlSafe(statement)).await.map_err(RestoreError::asking(WHAT))?;
            }
        }
    }
    let statement = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quoted(name));
    connection.execute(AssertSqlSafe(statement)).await.map(drop).map_err(RestoreError::asking(WHAT))
}

/// Converts each byte to a character, so that ASCII searches work in any encoding.
fn to_characters(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

fn to_bytes(characters: &str) -> Vec<u8> {
    characters.chars().map(|character| u8::try_from(character).unwrap_or(b'?')).collect()
}

/// `ALTER DATABASE x SET …` and `ALTER ROLE x IN DATABASE y SET …`. Excludes settings that forbid sessions, which are applied
/// last.
fn is_setting(statement: &str) -> bool {
    let words = words(statement, 6);
    let word = |place: usize| words.get(place).map(String::as_str);
    word(0) == Some("ALTER")
        && (word(1) == Some("DATABASE") && word(3) == Some("SET")
            || word(1) == Some("ROLE") && word(3) == Some("IN") && word(4) == Some("DATABASE"))
}

/// pg_dump calls such an entry `DATABASE <name>`.
fn is_about_database(entry: &Entry) -> bool {
    entry.namespace.is_empty() && entry.tag.bytes().starts_with(b"DATABASE ")
}

/// ` TABLESPACE = x` comes last in pg_dump's statement.
fn without_tablespace(statement: &str) -> String {
    match statement.rfind(" TABLESPACE = ") {
        Some(at) => format!("{};", &statement[..at]),
        None => statement.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_cut_between_characters() {
        let names = RestoredNames::new("a", &"ü".repeat(31), "20260131t235959z_0a1b2c3d");
        assert!(names.restoring.len() <= LONGEST_NAME_BYTES && names.restoring.starts_with("üü"), "{names:?}");
        assert!(names.restoring.ends_with("_restoring_20260131t235959z_0a1b2c3d"));
        assert_ne!(names.restoring, names.replaced);
        assert_eq!(RestoredNames::new("a", "shop", "x").restoring, "shop_restoring_x");
    }

    #[test]
    fn each_byte_becomes_one_character() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(to_bytes(&to_characters(&all)), all);
    }

    #[test]
    fn settings_exclude_limits_on_connections() {
        for (statement, setting) in [
            ("ALTER DATABASE \"a b\" SET lc_monetary TO 'de_DE'", true),
            ("ALTER ROLE \"SET\" IN DATABASE a SET work_mem TO '7MB'", true),
            ("ALTER DATABASE a CONNECTION LIMIT = 0", false),
            ("ALTER DATABASE \"SET\" IS_TEMPLATE = true", false),
            ("COMMENT ON DATABASE a IS 'SET'", false),
        ] {
            assert_eq!(is_setting(statement), setting, "{statement}");
        }
    }

    #[test]
    fn a_database_is_created_without_its_tablespace() {
        let statement = "CREATE DATABASE a WITH TEMPLATE = template0 ENCODING = 'UTF8' TABLESPACE = fast;\n";
        assert_eq!(without_tablespace(statement), "CREATE DATABASE a WITH TEMPLATE = template0 ENCODING = 'UTF8';");
        assert_eq!(without_tablespace("CREATE DATABASE a;"), "CREATE DATABASE a;");
    }
}
