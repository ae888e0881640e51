//! This module holds the session that locks every table, and then takes the snapshot that all workers read. It holds both until
//! the last row is read.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;

use super::DumpInput;
use crate::{
    failure::{Exit, Failure, Result, Stage},
    session,
    wire::{Connection, CopiedRows, WireError},
};

/// Number of tables in one statement.
const LOCKED_AT_ONCE: usize = 200;
/// How often the list of tables is read again because a table was created or dropped in between. A listing takes milliseconds.
const LISTINGS: usize = 50;

/// Relations `c` in `n` whose rows pg_dump may read: everything in schemas of users, and the configuration tables of extensions,
/// which can be in `pg_catalog`. The extension creates its other relations.
macro_rules! of_the_users {
    () => {
        "c.relpersistence <> 't' \
         AND (n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid \
         AND d.deptype = 'e' AND d.objsubid = 0) \
         OR EXISTS (SELECT FROM pg_catalog.pg_extension e WHERE c.oid = ANY (e.extconfig)))"
    };
}
pub(super) use of_the_users;

const LIST: &str = concat!(
    "SELECT c.oid, quote_ident(n.nspname) || '.' || quote_ident(c.relname) FROM pg_catalog.pg_class c \
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') AND ",
    of_the_users!()
);

/// Oid and file of each relation that has a file.
const FILES: &str = concat!(
    "SELECT c.oid, pg_catalog.pg_relation_filenode(c.oid) FROM pg_catalog.pg_class c \
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND ",
    of_the_users!()
);

/// Tables of [`LIST`] that this session has not locked.
const UNLOCKED: &str = " AND NOT EXISTS (SELECT FROM pg_catalog.pg_locks l WHERE l.pid = pg_catalog.pg_backend_pid() \
     AND l.locktype = 'relation' AND l.relation = c.oid AND l.mode = 'AccessShareLock' AND l.granted \
     AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))";

/// Snapshot, time, position in the write-ahead log, encoding. The time is in microseconds, since `to_char` needs names of months
/// in the database's encoding. This is the first query of the transaction, so it takes the snapshot.
const SNAPSHOT: &str = "SELECT pg_catalog.pg_export_snapshot(), \
     (EXTRACT(EPOCH FROM pg_catalog.clock_timestamp()) * 1000000)::pg_catalog.int8, \
     CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() \
     ELSE pg_catalog.pg_current_wal_lsn() END, \
     pg_catalog.getdatabaseencoding()";

pub(super) struct Coordinator {
    connection: Mutex<Connection>,
    pub snapshot: String,
    snapshot_at: Timestamp,
    wal_position: Option<String>,
    /// The database's encoding, in which rows and names are read and stored.
    pub encoding: String,
    /// Files of the tables at the time of the snapshot, by oid.
    files: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

/// Result of locking the tables and taking a snapshot.
struct LockedSnapshot {
    snapshot: String,
    at: Timestamp,
    wal_position: Option<String>,
    encoding: String,
    files: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

impl Coordinator {
    pub fn begin(reading: &DumpInput) -> Result<Self> {
        let mut connection = open_snapshot_connection(reading, Stage::Locks)?;
        let failed = |error| Failure::wire(Stage::Locks, error);
        connection.query(&format!("SET lock_timeout = {}", reading.limits.lock_wait.as_millis())).map_err(failed)?;
        for _ in 0..LISTINGS {
            if let Some(begun) = Self::attempt(&mut connection)? {
                let LockedSnapshot { snapshot, at, wal_position, encoding, files } = begun;
                return Ok(Self { connection: Mutex::new(connection), snapshot, snapshot_at: at, wal_position, encoding, files });
            }
            connection.query("ROLLBACK").map_err(failed)?;
        }
        let told = "tables were created and dropped faster than they could be locked; run again when the schema does not change";
        Err(Failure::told(Stage::Locks, Exit::Failed, told).passing())
    }

    /// `None`: a table was created or dropped in between.
    fn attempt(connection: &mut Connection) -> Result<Option<LockedSnapshot>> {
        let failed = |error| Failure::wire(Stage::Locks, error);
        let tables = connection.query_raw(LIST).map_err(failed)?;
        connection.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").map_err(failed)?;
        let names: Vec<Vec<u8>> = tables.into_iter().filter_map(|row| row.into_iter().nth(1).flatten()).collect();
        for batch in names.chunks(LOCKED_AT_ONCE) {
            let listed = batch.iter().map(|name| [b"ONLY ", name.as_slice()].concat()).collect::<Vec<_>>().join(&b", "[..]);
            match connection.query(&[b"LOCK TABLE ", listed.as_slice(), b" IN ACCESS SHARE MODE"].concat()) {
                Ok(_) => {}
                // The table or its schema was dropped, or replaced by another kind of relation, in between.
                Err(error) if matches!(error.code(), Some("42P01" | "3F000" | "42809")) => return Ok(None),
                Err(error) => return Err(lock_failure(error)),
            }
        }
        let row = connection.query(SNAPSHOT).map_err(failed)?.into_iter().next().unwrap_or_default();
        let mut row = row.into_iter();
        let mut next = || row.next().flatten();
        let (Some(snapshot), Some(at), wal_position, Some(encoding)) = (next(), next(), next(), next()) else {
            return Err(Failure::told(Stage::Locks, Exit::Failed, "the server gave no snapshot"));
        };
        let at = at.parse().ok().and_then(|micros| Timestamp::from_microsecond(micros).ok());
        let at = at.ok_or_else(|| Failure::told(Stage::Locks, Exit::Failed, "the server named no time of the snapshot"))?;
        // Under the snapshot: another session could empty a visible table that we have not locked.
        if !connection.query(&format!("{LIST}{UNLOCKED} LIMIT 1")).map_err(failed)?.is_empty() {
            return Ok(None);
        }
        let files = files(connection).map_err(failed)?;
        Ok(Some(LockedSnapshot { snapshot, at, wal_position, encoding, files }))
    }

    /// Runs a query under the snapshot.
    pub fn query(&self, stage: Stage, statement: &str) -> Result<Vec<crate::wire::Row>> {
        self.connection().query(statement).map_err(|error| Failure::wire(stage, error))
    }

    /// The same in the database's encoding.
    pub fn query_raw(&self, stage: Stage, statement: &str) -> Result<Vec<crate::wire::RawRow>> {
        self.connection().query_raw(statement).map_err(|error| Failure::wire(stage, error))
    }

    /// Runs a COPY in the session that has the locks, for a worker that cannot lock the table because another session waits for
    /// an exclusive lock.
    pub fn copy_out<E: From<WireError>>(
        &self,
        statements: &[u8],
        expected: &[&str],
        take: &mut dyn FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<CopiedRows, E> {
        self.connection().copy_out(statements, expected, take)
    }

    /// Releases the locks, after a proof that they were held until now. If their session was lost, another session proves it.
    /// Workers have the snapshot in their own sessions. Only a new file of a table (after a `TRUNCATE` or a rewriting `ALTER`)
    /// hides rows from a snapshot.
    pub fn end(self, reading: &DumpInput) -> Result<(Timestamp, Option<String>)> {
        let lost = |error| {
            Failure::wire(Stage::Locks, error)
                .context("the session with the snapshot and the locks was lost, so the rows may be inconsistent")
                .passing()
        };
        let mut connection = self.connection.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = connection.query("COMMIT") {
            let again = open_snapshot_connection(reading, Stage::Locks).ok().and_then(|mut session| files(&mut session).ok());
            let same = |files: BTreeMap<_, _>| self.files.iter().all(|(oid, file)| files.get(oid) == Some(file));
            if reading.stop.is_stopped() || !again.is_some_and(same) {
                return Err(lost(error));
            }
            let told = "the session with the locks was lost at the end; every table still has its file, so every row was read";
            tracing::warn!(database = reading.source.database, error = %error, "{told}");
        }
        Ok((self.snapshot_at, self.wal_position))
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The file of every table to be read, by oid.
fn files(connection: &mut Connection) -> Result<BTreeMap<Vec<u8>, Option<Vec<u8>>>, WireError> {
    let rows = connection.query_raw(FILES)?;
    let file = |row: crate::wire::RawRow| {
        let mut row = row.into_iter();
        Some((row.next()??, row.next()?))
    };
    Ok(rows.into_iter().filter_map(file).collect())
}

/// Opens a connection with all settings pinned, in the database's encoding.
pub(super) fn open_snapshot_connection(reading: &DumpInput, stage: Stage) -> Result<Connection> {
    let failed = |error| Failure::wire(stage, error);
    let mut connection = Connection::open(&reading.source, |breaker| reading.stop.guard(breaker)).map_err(failed)?;
    connection.query(&session::pin_rows()).map_err(failed)?;
    // Servers without this setting report that; any other error is a failure.
    match connection.query(session::RESTRICT_KINDS) {
        Ok(_) => Ok(connection),
        Err(error) if error.code() == Some("42704") => Ok(connection),
        Err(error) => Err(failed(error)),
    }
}

fn lock_failure(error: WireError) -> Failure {
    let code = error.code().map(str::to_owned);
    let failure = Failure::wire(Stage::Locks, error);
    match code.as_deref() {
        Some("42501") => failure.context(
            "the role may not read every table; grant it pg_read_all_data (PostgreSQL 14 and newer) or SELECT on the table",
        ),
        Some("53200") => failure.context("the server cannot hold a lock on every table; raise max_locks_per_transaction"),
        Some("55P03") => failure
            .context("a table is locked exclusively for longer than BACKUP_LOCK_WAIT; wait for that session, or raise the limit"),
        _ => failure,
    }
}

/// Names for a message, limited in number.
pub(super) fn some_of(names: &BTreeSet<String>) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<_> = names.iter().take(SHOWN).map(String::as_str).collect();
    let more = names.len().saturating_sub(SHOWN);
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}
