//! One database as it was at one moment: locks, snapshot, what pg_dump says there is, rows, large objects.
//!
//! ```text
//! coordinator: LOCK every table, then take the snapshot and lend it, hold both to the end
//!   pg_dump --snapshot ─► its table of contents, kept verbatim: the source of truth for what there is
//!   workers, a connection and a lane each: COPY of a stretch of a table ─► seal ─► lane
//! ```
//! Why locks first: a `TRUNCATE` or a rewriting `ALTER` between the snapshot and a COPY would make that COPY succeed with
//! no rows, and every count under the snapshot would agree. Why held to the end: for the same reason.
//!
//! Never: the store (lanes and blobs are handed on), what becomes of a failure.

pub mod check;
mod columns;
mod contents;
mod coordinator;
pub mod globals;
mod large_objects;
mod plan;
pub mod server;
pub mod tools;
mod worker;

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use crate::{
    archive,
    checksum::RowChecksum,
    config::{Limits, Shape, Source},
    failure::{Exit, Failure, Outcome, Stage},
    lane::Lane,
    layout::BackupId,
    manifest,
    progress::Progress,
    seal::Sealer,
    stop::Stop,
};

use coordinator::Coordinator;
pub use large_objects::CHUNK_BYTES as LARGE_OBJECT_CHUNK_BYTES;
use plan::Task;
use tools::Tools;

/// What reading a database needs.
#[derive(Clone)]
pub struct Reading {
    /// With the database in it.
    pub source: Source,
    pub tools: Tools,
    pub shape: Shape,
    pub limits: Limits,
    pub recipients: Vec<age::x25519::Recipient>,
    pub progress: Progress,
    pub stop: Stop,
}

/// A database that was read. Its lanes are in the lanes; the rest goes into blobs.
#[derive(Debug)]
pub struct Dumped {
    pub snapshot_at: Timestamp,
    pub wal_position: Option<String>,
    /// Head and table of contents of pg_dump's archive, verbatim.
    pub toc: Vec<u8>,
    pub contents: manifest::Contents,
    pub rows: u64,
    pub raw_bytes: u64,
}

/// What workers share.
struct Shared {
    reading: Reading,
    coordinator: Coordinator,
    plan: plan::Plan,
    queue: Mutex<std::collections::VecDeque<Task>>,
    /// By place in the plan.
    tables: Mutex<Vec<Read>>,
    large_objects: Mutex<Read>,
}

/// What was read of one thing so far.
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

/// A database that stands still: locked, its snapshot lent, its contents told. Rows are not read yet.
pub struct Begun {
    reading: Reading,
    coordinator: Coordinator,
    toc: Toc,
    plan: plan::Plan,
}

/// Holds a database still and asks what there is; blocks its thread.
///
/// # Errors
/// When its tables cannot be locked or its contents cannot be told.
pub fn begin(reading: Reading) -> Outcome<Begun> {
    let coordinator = Coordinator::begin(&reading)?;
    reading.progress.snapshot_taken();
    let toc = contents::read(&reading, &coordinator)?;
    let plan = plan::make(&reading, &coordinator, &toc.contents)?;
    Ok(Begun { reading, coordinator, toc, plan })
}

/// Reads its rows into lanes; blocks its thread. The lanes come back for the next database.
///
/// # Errors
/// At the first thing that fails: half a database is none.
pub fn read(begun: Begun, id: &BackupId, lanes: Vec<Lane>, sealers: &mut Vec<Sealer>) -> Outcome<(Dumped, Vec<Lane>)> {
    let Begun { reading, coordinator, toc, plan } = begun;
    reading.progress.expect(plan.tables.len() as u64, plan.bytes);
    let (queue, tables) = (plan.tasks(), vec![Read::default(); plan.tables.len()]);
    let shared = Arc::new(Shared {
        reading,
        coordinator,
        plan,
        queue: Mutex::new(queue),
        tables: Mutex::new(tables),
        large_objects: Mutex::default(),
    });
    let lanes = work(&shared, lanes, sealers)?;
    let shared = Arc::into_inner(shared).ok_or_else(|| Failure::told(Stage::Rows, Exit::Failed, "a worker still runs"))?;
    shared.reading.progress.snapshot_released();
    // The locks held to this very moment: the connection that has them still answers.
    let (snapshot_at, wal_position) = shared.coordinator.end()?;
    let tables = shared.tables.into_inner().unwrap_or_else(PoisonError::into_inner);
    let large_objects = shared.large_objects.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut contents = manifest::Contents {
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
        contents,
    };
    Ok((dumped, lanes))
}

/// A thread for each lane until the queue is empty or one fails.
fn work(shared: &Arc<Shared>, lanes: Vec<Lane>, sealers: &mut Vec<Sealer>) -> Outcome<Vec<Lane>> {
    let mut threads = Vec::new();
    for lane in lanes {
        let shared = Arc::clone(shared);
        let sealer = sealers.pop();
        let body = move || {
            let stop = shared.reading.stop.clone();
            let sealer = match sealer {
                Some(sealer) => Ok(sealer),
                None => Sealer::new(shared.reading.shape.compression_level, &shared.reading.recipients)
                    .map_err(|error| Failure::new(Stage::Rows, Exit::Failed, error)),
            };
            let worked = sealer.and_then(|sealer| worker::run(&shared, lane, sealer));
            // Before the others finish their stretches: what they do now is in vain.
            worked.map_err(|failure| {
                stop.stop(failure);
                stop.stopped(Stage::Rows)
            })
        };
        let thread = std::thread::Builder::new().name("backup-rows".into()).spawn(body);
        threads.push(thread.map_err(|error| Failure::new(Stage::Rows, Exit::Failed, error))?);
    }
    let mut lanes = Vec::new();
    let mut failed = None;
    for thread in threads {
        match thread.join() {
            Ok(Ok((lane, sealer))) => {
                lanes.push(lane);
                sealers.push(sealer);
            }
            Ok(Err(failure)) => failed = Some(failure),
            Err(_) => {
                failed = Some(Failure::told(Stage::Rows, Exit::Failed, "a worker panicked: this is a fault of the program"))
            }
        }
    }
    match failed {
        Some(failure) => Err(failure),
        None => Ok(lanes),
    }
}

/// A table of contents, as bytes and as data.
struct Toc {
    bytes: Vec<u8>,
    contents: archive::Contents,
}
