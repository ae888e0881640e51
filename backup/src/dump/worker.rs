//! This module runs a worker with one connection and one stream. It takes tasks from the queue until the queue is empty.

use std::sync::PoisonError;

use super::{
    Shared, coordinator, large_objects,
    piece::{CopyError, Writing},
    plan::Task,
};
use crate::{
    encode::StreamEncoder,
    failure::{Exit, Failure, Result, Stage},
    upload::UploadStream,
    wire::Connection,
};

/// SQLSTATE: the lock was not available.
const LOCK_NOT_AVAILABLE: &str = "55P03";

pub(super) fn run(shared: &Shared, lane: &mut UploadStream, encoder: &mut StreamEncoder) -> Result<()> {
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
            Task::Rows { table, stretch } => rows(shared, connection, table, stretch, encoder, lane)?,
            Task::LargeObjects { from } => large_objects::read_large_objects(shared, connection, from, encoder, lane)?,
        }
    }
}

/// Opens a connection under the coordinator's snapshot.
fn open(shared: &Shared) -> Result<Connection> {
    let mut connection = coordinator::open_snapshot_connection(&shared.reading, Stage::Rows)?;
    adopt(shared, &mut connection)?;
    Ok(connection)
}

fn adopt(shared: &Shared, connection: &mut Connection) -> Result<()> {
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
    encoder: &mut StreamEncoder,
    lane: &mut UploadStream,
) -> Result<()> {
    let table = &shared.plan.tables[place];
    let progress = &shared.reading.progress;
    let (relation, oid) = (table.relation.as_slice(), table.oid.to_string());
    // The coordinator has this lock already. It is refused only while another session waits for an exclusive lock.
    let literal = crate::session::literal_bytes(relation);
    let named = [b"SELECT ", literal.as_slice(), b"::pg_catalog.regclass::pg_catalog.oid; "].concat();
    let named = [named, table.copy_statement(stretch)].concat();
    let own = [b"LOCK TABLE ONLY ", relation, b" IN ACCESS SHARE MODE NOWAIT; ", &named].concat();
    let mut writing = Writing::new(encoder, lane);
    let mut take = |bytes: &[u8]| -> Result<(), CopyError> {
        shared.go_on()?;
        progress.read(bytes.len() as u64);
        Ok(writing.write(bytes)?)
    };
    let copied = match connection.copy_out(&own, &[&oid], &mut take) {
        Err(CopyError::Wire(error)) if error.code() == Some(LOCK_NOT_AVAILABLE) => {
            adopt(shared, connection)?;
            shared.coordinator.copy_out(&named, &[&oid], &mut take)
        }
        copied => copied,
    };
    let told = |fault: CopyError| {
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
