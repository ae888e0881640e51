//! This module runs pg_dump and reads its custom archive up to the end of the table of contents, without the rows.

use std::{
    io::{self, BufRead, BufReader, Read},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use super::{DumpInput, Toc, coordinator::Coordinator, partitions, tools::ToolMemory};
use crate::{
    archive::{ArchiveError, Contents},
    failure::{Exit, Failure, Result, Stage},
    session::literal,
};

/// Memory that pg_dump may add once its table of contents is complete. It then reads the first row, and would hold a large value
/// twice.
const GROWTH_FOR_ROWS: u64 = 16 << 20;
/// Interval of the question whether pg_dump reads rows.
const POLL: Duration = Duration::from_millis(20);

/// Stores the bytes that were read.
struct Kept<Input> {
    input: Input,
    bytes: Vec<u8>,
}

impl<Input: Read> Read for Kept<Input> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.bytes.extend_from_slice(&buffer[..read]);
        Ok(read)
    }
}

/// Runs pg_dump under the snapshot until its table of contents has arrived, then kills it: the agent's own workers read the rows.
///
/// The end of the table of contents leaves pg_dump's buffer only when the first rows fill it, or at exit. A first row that exceeds
/// the limit of memory makes pg_dump exit, and its buffer arrives too. pg_dump has collected everything except rows when its first
/// byte arrives, or, if the buffer holds the whole table of contents, when its session runs COPY.
pub(super) fn read_contents(reading: &DumpInput, coordinator: &Coordinator) -> Result<Toc> {
    let lock_wait = reading.limits.lock_wait.as_millis();
    let arguments = [
        "--format=custom".to_owned(),
        "--compress=0".to_owned(),
        "--no-password".to_owned(),
        format!("--encoding={}", coordinator.encoding),
        format!("--snapshot={}", coordinator.snapshot),
        // pg_dump locks the locked tables again, and would queue behind sessions that wait for our locks.
        format!("--lock-wait-timeout={lock_wait}"),
    ];
    let session = format!("backup {:016x}", rand::random::<u64>());
    let mut child = reading.tools.start_as(&session, "pg_dump", &arguments, &reading.source)?;
    let mut output = BufReader::new(child.output());
    let memory = child.memory();
    thread::scope(|scope| {
        let (arrived, waiting) = mpsc::channel::<()>();
        scope.spawn(move || {
            if rows_are_read(coordinator, &session, &waiting) {
                limit(memory);
            }
        });
        // The reader below reports an error of this read.
        if output.fill_buf().is_ok_and(|bytes| !bytes.is_empty()) {
            limit(memory);
        }
        drop(arrived);
    });
    let mut kept = Kept { input: output, bytes: Vec::new() };
    let read = Contents::read(&mut kept).and_then(|mut contents| Ok((contents.align_columns()?, contents)));
    reading.progress.moved();
    match read {
        Ok((aligned, mut contents)) => {
            let warnings = child.end();
            let changed = partitions::load_through_roots(coordinator, &mut contents)? || aligned;
            let bytes = if changed { contents.to_bytes() } else { kept.bytes };
            Ok(Toc { bytes, contents, warnings })
        }
        Err(ArchiveError::CutOff | ArchiveError::NoArchive) => {
            drop(kept);
            Err(child.failed(Stage::Contents))
        }
        Err(error @ ArchiveError::Version(_)) => Err(Failure::new(Stage::Contents, Exit::Versions, error)),
        Err(error) => Err(Failure::new(Stage::Contents, Exit::Failed, error)),
    }
}

fn limit(memory: ToolMemory) {
    if let Err(error) = memory.limit_growth(GROWTH_FOR_ROWS) {
        tracing::debug!(error = error.to_string(), "failed to limit the memory of pg_dump; it reads the first row completely");
    }
}

/// Waits until pg_dump's session copies rows. Returns false if its first byte arrives before, or if the server gives no answer.
fn rows_are_read(coordinator: &Coordinator, session: &str, arrived: &mpsc::Receiver<()>) -> bool {
    // The list of sessions is otherwise that of the transaction's first look.
    let query = format!(
        "SELECT pg_catalog.pg_stat_clear_snapshot(); SELECT pid FROM pg_catalog.pg_stat_activity WHERE application_name = {} \
         AND state = 'active' AND query LIKE 'COPY %'",
        literal(session)
    );
    while arrived.recv_timeout(POLL) == Err(RecvTimeoutError::Timeout) {
        match coordinator.query(Stage::Contents, &query) {
            Ok(rows) if rows.len() > 1 => return true,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
    false
}
