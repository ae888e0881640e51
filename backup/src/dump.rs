//! This module backs up one database in the state of one moment: locks, snapshot, pg_dump's contents, rows, large objects.
//!
//! ```text
//! coordinator: LOCK every table, then take and export the snapshot, hold both to the end
//!   pg_dump --snapshot ─► its table of contents, stored verbatim: the authoritative list of objects
//!   workers, each with a connection and a stream: COPY of a page range ─► encode ─► stream
//! ```
//! Locks come first: after a `TRUNCATE` or a rewriting `ALTER` between the snapshot and a COPY, that COPY would succeed with no
//! rows. Every count under the snapshot would agree. For the same reason the locks are held to the end.
//!
//! This module must not use the store (it hands on streams and blobs), or decide how to handle a failure.

pub mod check;
mod columns;
mod contents;
mod coordinator;
pub mod globals;
mod large_objects;
mod partitions;
mod piece;
mod plan;
pub mod server;
pub mod tools;
mod worker;

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use jiff::Timestamp;

use crate::{
    abort::Abort,
    archive,
    checksum::RowChecksum,
    config::{DumpShape, SourceSettings, TransferLimits},
    encode::StreamEncoder,
    failure::{Exit, Failure, Result, Stage},
    layout::BackupId,
    manifest,
    progress::Progress,
    upload::UploadStream,
};

use coordinator::Coordinator;
pub use large_objects::CHUNK_BYTES as LARGE_OBJECT_CHUNK_BYTES;
use piece::CopyError;
use plan::Task;
use tools::Tools;

/// How often the locks are released for a session that would otherwise block pg_dump for ever, and taken again.
const BEGINNINGS: usize = 40;

/// Inputs for reading a database.
#[derive(Clone)]
pub struct DumpInput {
    /// Includes the database's name.
    pub source: SourceSettings,
    pub tools: Tools,
    pub shape: DumpShape,
    pub limits: TransferLimits,
    pub recipients: Vec<age::x25519::Recipient>,
    pub progress: Progress,
    pub stop: Abort,
}

/// A database that was read. Its rows are in the streams, and everything else goes into blobs.
#[derive(Debug)]
pub struct Dumped {
    pub snapshot_at: Timestamp,
    pub wal_position: Option<String>,
    /// Header and table of contents of pg_dump's archive, verbatim.
    pub toc: Vec<u8>,
    pub contents: manifest::DatabaseContents,
    pub rows: u64,
    pub raw_bytes: u64,
    /// Roles that the database's objects need.
    pub roles: BTreeSet<String>,
    /// Objects that are not in the backup, one line each.
    pub left_out: Vec<String>,
}

/// Objects that pg_dump cannot see or does not read, one line each.
const LEFT_OUT: &str = "SELECT 'options of the user mapping of ' || usename || ' for the server ' || srvname || ' (passwords): they are hidden from the role' FROM pg_catalog.pg_user_mappings WHERE umoptions IS NULL \
     AND NOT (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) \
     UNION ALL SELECT 'rows of ' || pg_catalog.count(*) || ' unlogged tables: a standby does not have them' FROM pg_catalog.pg_class \
     WHERE relpersistence = 'u' AND relkind = 'r' AND pg_catalog.pg_is_in_recovery() HAVING pg_catalog.count(*) > 0 \
     UNION ALL SELECT 'rows of ' || pg_catalog.count(*) || ' foreign tables: they are on other servers' FROM pg_catalog.pg_foreign_table \
     HAVING pg_catalog.count(*) > 0";

/// State shared by the workers.
struct Shared {
    reading: DumpInput,
    coordinator: Coordinator,
    plan: plan::DumpPlan,
    queue: Mutex<std::collections::VecDeque<Task>>,
    /// By index in the plan.
    tables: Mutex<Vec<Read>>,
    large_objects: Mutex<Read>,
    /// Whether a worker failed.
    failed: AtomicBool,
}

impl Shared {
    /// Returns an error if another worker has failed.
    fn go_on(&self) -> Result<(), CopyError> {
        if self.failed.load(Relaxed) { Err(CopyError::InVain) } else { Ok(()) }
    }
}

/// The part of a table or of the large objects that was read so far.
#[derive(Debug, Clone, Default)]
struct Read {
    checksum: RowChecksum,
    raw_bytes: u64,
    pieces: Vec<manifest::Piece>,
    tasks_done: usize,
}

impl Read {
    fn add(&mut self, checksum: RowChecksum, raw_bytes: u64, piece: Option<manifest::Piece>) {
        self.checksum.merge(checksum);
        self.raw_bytes += raw_bytes;
        self.pieces.extend(piece);
        self.tasks_done += 1;
    }
}

/// A database with its tables locked, its snapshot exported and its contents read. Its rows are not read yet.
pub struct Begun {
    reading: DumpInput,
    coordinator: Coordinator,
    toc: Toc,
    plan: plan::DumpPlan,
}

/// Locks a database and reads its table of contents. Blocks its thread.
///
/// # Errors
/// Returns an error if its tables cannot be locked or its contents cannot be read.
pub fn begin_dump(reading: DumpInput) -> Result<Begun> {
    for _ in 0..BEGINNINGS {
        let coordinator = Coordinator::begin(&reading)?;
        reading.progress.snapshot_taken();
        if let Some(toc) = contents::read_contents(&reading, &coordinator)? {
            let plan = plan::make(&reading, &coordinator, &toc.contents)?;
            return Ok(Begun { reading, coordinator, toc, plan });
        }
        tracing::debug!(database = reading.source.database, "a session waits for an exclusive lock; letting it proceed");
        // The waiting session gets its lock now. The next locks queue behind it.
        drop(coordinator);
        if reading.stop.is_stopped() {
            return Err(reading.stop.stopped(Stage::Contents));
        }
    }
    let told = "other sessions request exclusive locks on tables faster than pg_dump can lock them; \
                run again when fewer TRUNCATE, ALTER, REINDEX or VACUUM FULL run";
    Err(Failure::told(Stage::Contents, Exit::Failed, told).passing())
}

/// Reads the database's rows into streams. Blocks its thread. The next database uses the same streams, even after a failure: no
/// piece includes the bytes of a failed database.
///
/// # Errors
/// Returns the first failure: an incomplete database is not a backup.
pub fn read_database(
    begun: Begun,
    id: &BackupId,
    lanes: &mut Vec<UploadStream>,
    encoders: &mut Vec<StreamEncoder>,
) -> Result<Dumped> {
    let Begun { reading, coordinator, toc, plan } = begun;
    reading.progress.expect(plan.tables.len() as u64, plan.bytes);
    let (queue, tables) = (plan.tasks(), vec![Read::default(); plan.tables.len()]);
    let left_out = left_out(&coordinator, toc.warnings)?;
    let shared = Arc::new(Shared {
        reading,
        coordinator,
        plan,
        queue: Mutex::new(queue),
        tables: Mutex::new(tables),
        large_objects: Mutex::default(),
        failed: AtomicBool::new(false),
    });
    work(&shared, lanes, encoders)?;
    let shared = Arc::into_inner(shared).ok_or_else(|| Failure::told(Stage::Rows, Exit::Failed, "a worker still runs"))?;
    shared.reading.progress.snapshot_released();
    // Proves that the locks were held until now: their connection still answers.
    let (snapshot_at, wal_position) = shared.coordinator.end(&shared.reading)?;
    let tables = shared.tables.into_inner().unwrap_or_else(PoisonError::into_inner);
    let large_objects = shared.large_objects.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut contents = manifest::DatabaseContents {
        format: manifest::FORMAT,
        backup: id.clone(),
        database: shared.reading.source.database.clone(),
        tables: shared.plan.tables.iter().zip(tables).map(|(table, read)| table.record(read)).collect(),
        large_objects: None,
    };
    if !shared.plan.large_objects.is_empty() {
        contents.large_objects = Some(manifest::LargeObjects {
            objects: shared.plan.large_objects.len() as u64,
            raw_bytes: large_objects.raw_bytes,
            checksum: large_objects.checksum.text(),
            pieces: large_objects.pieces,
        });
    }
    let raw_bytes = |large: &manifest::LargeObjects| large.raw_bytes;
    let dumped = Dumped {
        snapshot_at,
        wal_position,
        rows: contents.tables.iter().map(|table| table.rows).sum(),
        raw_bytes: contents.tables.iter().map(|table| table.raw_bytes).sum::<u64>()
            + contents.large_objects.as_ref().map_or(0, raw_bytes),
        toc: toc.bytes,
        roles: toc.contents.roles(),
        contents,
        left_out,
    };
    Ok(dumped)
}

/// pg_dump's warnings, and the objects that it omits without a warning.
fn left_out(coordinator: &Coordinator, warnings: Vec<String>) -> Result<Vec<String>> {
    let mut left_out = warnings;
    for row in coordinator.query(Stage::Contents, LEFT_OUT)? {
        left_out.extend(row.into_iter().flatten());
    }
    Ok(left_out)
}

/// Runs a thread for each stream until the queue is empty or a thread fails.
fn work(shared: &Arc<Shared>, lanes: &mut Vec<UploadStream>, encoders: &mut Vec<StreamEncoder>) -> Result<()> {
    let mut threads = Vec::new();
    for mut lane in lanes.drain(..) {
        let shared = Arc::clone(shared);
        let encoder = encoders.pop();
        let body = move || {
            let encoder = match encoder {
                Some(encoder) => Ok(encoder),
                None => StreamEncoder::new(shared.reading.shape.compression_level, &shared.reading.recipients)
                    .map_err(|error| Failure::new(Stage::Rows, Exit::Failed, error)),
            };
            let mut encoder = match encoder {
                Ok(encoder) => encoder,
                Err(failure) => return (lane, None, Err(shared.fail(failure))),
            };
            let worked = worker::run(&shared, &mut lane, &mut encoder);
            (lane, Some(encoder), worked.map_err(|failure| shared.fail(failure)))
        };
        let thread = std::thread::Builder::new().name("backup-rows".into()).spawn(body);
        threads.push(thread.map_err(|error| Failure { whole: true, ..Failure::new(Stage::Rows, Exit::Failed, error) })?);
    }
    let mut failed: Option<Failure> = None;
    for thread in threads {
        let Ok((lane, encoder, worked)) = thread.join() else {
            let told = "a worker panicked; this is a bug in backup, report it";
            failed = Some(Failure { whole: true, ..Failure::told(Stage::Rows, Exit::Failed, told) });
            continue;
        };
        lanes.push(lane);
        encoders.extend(encoder);
        if let Err(Some(failure)) = worked {
            failed = failed.or(Some(failure));
        }
    }
    failed.map_or(Ok(()), Err)
}

impl Shared {
    /// Stops the other workers. Returns the failure only to the first that fails, since the others' failures follow from it.
    fn fail(&self, failure: Failure) -> Option<Failure> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let first = !self.failed.swap(true, Relaxed);
        (first || failure.whole).then_some(failure)
    }
}

/// A table of contents, as bytes and parsed.
struct Toc {
    bytes: Vec<u8>,
    contents: archive::Contents,
    /// Warnings of pg_dump.
    warnings: Vec<String>,
}
