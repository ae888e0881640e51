//! This module runs a worker with one connection and one stream. It takes tasks from the queue until the queue is empty.

use std::{
    io,
    sync::{PoisonError, atomic::Ordering::Relaxed},
};

use super::{Shared, coordinator, large_objects, plan::Task};
use crate::{
    failure::{Exit, Failure, Outcome, Stage},
    lane::Lane,
    manifest::Piece,
    seal::{Sealed, Sealer, Sealing},
    wire::{Connection, WireError},
};

/// SQLSTATE: the lock was not available.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// Failures between the server and the stream.
#[derive(Debug)]
pub(super) enum CopyFault {
    /// Another worker failed, so this one's work is useless.
    InVain,
    Wire(WireError),
    Sink(io::Error),
}

impl From<WireError> for CopyFault {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

impl From<io::Error> for CopyFault {
    fn from(error: io::Error) -> Self {
        Self::Sink(error)
    }
}

impl Shared {
    /// Returns an error if another worker has failed.
    pub(super) fn go_on(&self) -> Result<(), CopyFault> {
        if self.failed.load(Relaxed) { Err(CopyFault::InVain) } else { Ok(()) }
    }
}

impl CopyFault {
    pub fn failure(self, stage: Stage) -> Failure {
        match self {
            Self::InVain => Failure::told(stage, Exit::Failed, "another session that read this database failed"),
            Self::Wire(error) => Failure::wire(stage, error),
            Self::Sink(error) => Failure { whole: true, ..Failure::new(stage, Exit::Failed, error) },
        }
    }
}

/// Begins a piece with its first byte, so that empty input leaves no piece.
pub(super) struct Writing<'a> {
    lane: u32,
    offset: u64,
    state: State<'a>,
}

enum State<'a> {
    Empty(Option<(&'a mut Sealer, &'a mut Lane)>),
    Begun(Sealing<'a, &'a mut Lane>),
}

impl<'a> Writing<'a> {
    pub fn new(sealer: &'a mut Sealer, lane: &'a mut Lane) -> Self {
        Self { lane: lane.number, offset: lane.offset(), state: State::Empty(Some((sealer, lane))) }
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let State::Empty(begin) = &mut self.state
            && let Some((sealer, lane)) = begin.take()
        {
            self.state = State::Begun(sealer.begin(lane)?);
        }
        match &mut self.state {
            State::Begun(sealing) => sealing.write(bytes),
            State::Empty(_) => Err(io::Error::other("the piece was not started")),
        }
    }

    pub fn finish(self, rows: u64) -> io::Result<Option<Piece>> {
        let State::Begun(sealing) = self.state else { return Ok(None) };
        let (_, Sealed { raw_bytes, bytes, sha256 }) = sealing.finish()?;
        Ok(Some(Piece { lane: self.lane, offset: self.offset, bytes, sha256, raw_bytes, rows }))
    }
}

pub(super) fn run(shared: &Shared, lane: &mut Lane, sealer: &mut Sealer) -> Outcome<()> {
    let mut connection = None;
    loop {
        let task = shared.queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let Some(task) = task else { return Ok(()) };
        if shared.reading.stop.is_stopped() {
            return Err(shared.reading.stop.stopped(Stage::Rows));
        }
        let connection = match &mut connection {
            Some(connection) => connection,
            none => none.insert(open(shared)?),
        };
        match task {
            Task::Rows { table, stretch } => rows(shared, connection, table, stretch, sealer, lane)?,
            Task::LargeObjects { from } => large_objects::read(shared, connection, from, sealer, lane)?,
        }
    }
}

/// Opens a connection under the coordinator's snapshot.
fn open(shared: &Shared) -> Outcome<Connection> {
    let mut connection = coordinator::open(&shared.reading, Stage::Rows)?;
    adopt(shared, &mut connection)?;
    Ok(connection)
}

fn adopt(shared: &Shared, connection: &mut Connection) -> Outcome<()> {
    let Shared { coordinator, .. } = shared;
    let statements =
        format!("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT '{}'", coordinator.snapshot);
    connection.query("ROLLBACK").map_err(|error| Failure::wire(Stage::Rows, error))?;
    // Several statements in one message form one transaction; BEGIN makes it outlast the message.
    connection.query(&statements).map(drop).map_err(|error| {
        Failure::wire(Stage::Rows, error).context("the snapshot is not available: the session that exported it may be lost")
    })
}

fn rows(
    shared: &Shared,
    connection: &mut Connection,
    place: usize,
    stretch: usize,
    sealer: &mut Sealer,
    lane: &mut Lane,
) -> Outcome<()> {
    let table = &shared.plan.tables[place];
    let progress = &shared.reading.progress;
    let (relation, oid) = (table.relation.as_slice(), table.oid.to_string());
    // The coordinator has this lock already. It is refused only while another session waits for an exclusive lock.
    let literal = crate::session::literal_bytes(relation);
    let named = [b"SELECT ", literal.as_slice(), b"::pg_catalog.regclass::pg_catalog.oid; "].concat();
    let named = [named, table.copy_statement(stretch)].concat();
    let own = [b"LOCK TABLE ONLY ", relation, b" IN ACCESS SHARE MODE NOWAIT; ", &named].concat();
    let mut writing = Writing::new(sealer, lane);
    let mut take = |bytes: &[u8]| -> Result<(), CopyFault> {
        shared.go_on()?;
        progress.read(bytes.len() as u64);
        Ok(writing.write(bytes)?)
    };
    let copied = match connection.copy_out(&own, &[&oid], &mut take) {
        Err(CopyFault::Wire(error)) if error.code() == Some(LOCK_NOT_AVAILABLE) => {
            adopt(shared, connection)?;
            shared.coordinator.copy_out(&named, &[&oid], &mut take)
        }
        copied => copied,
    };
    let told = |fault: CopyFault| {
        let failure = fault.failure(Stage::Rows).context(format!("reading {}", table.display_name()));
        if failure.exit == Exit::Forbidden {
            failure.context("the role needs SELECT (or pg_read_all_data), and BYPASSRLS where a policy would hide rows")
        } else {
            failure
        }
    };
    let copied = copied.map_err(told)?;
    let piece = writing.finish(copied.checksum.rows).map_err(|error| told(error.into()))?;
    progress.rows(copied.checksum.rows);
    let mut tables = shared.tables.lock().unwrap_or_else(PoisonError::into_inner);
    tables[place].add(copied.checksum, copied.bytes, piece);
    if tables[place].tasks_done == table.stretches.len() {
        progress.table_done();
    }
    Ok(())
}
