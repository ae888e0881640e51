//! This module runs pg_dump and reads its custom archive up to the end of the table of contents, without the rows.

use std::{
    io::{self, BufRead, BufReader, Read},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
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
/// Interval of the question whether pg_dump reads rows, or waits for a lock.
const POLL: Duration = Duration::from_millis(20);
const WAITED_TOO_LONG: &str =
    "pg_dump waited for another session's lock for longer than BACKUP_LOCK_WAIT; wait for that session, or raise the limit";

/// Stores the bytes that were read.
struct RecordedInput<Input> {
    input: Input,
    bytes: Vec<u8>,
}

impl<Input: Read> Read for RecordedInput<Input> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.bytes.extend_from_slice(&buffer[..read]);
        Ok(read)
    }
}

/// Reason why pg_dump's session was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EndedWait {
    /// It waited for a session that waits for our own locks. Neither would ever get its lock, and the server does not see that
    /// pg_dump's session and ours belong together.
    Circular,
    /// It waited for longer than the limit. Its own limit covers only `LOCK TABLE`, and it also locks views, indexes and sequences.
    TooLong,
}

/// Runs pg_dump under the snapshot until its table of contents has arrived, then kills it: the agent's own workers read the rows.
///
/// The end of the table of contents leaves pg_dump's buffer only when the first rows fill it, or at exit. A first row that exceeds
/// the limit of memory makes pg_dump exit, and its buffer arrives too. pg_dump has collected everything except rows when its first
/// byte arrives, or, if the buffer holds the whole table of contents, when its session runs COPY.
///
/// Returns `None` if it can succeed only after our locks are released.
pub(super) fn read_contents(reading: &DumpInput, coordinator: &Coordinator) -> Result<Option<Toc>> {
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
    let ended = thread::scope(|scope| {
        let (arrived, waiting) = mpsc::channel::<()>();
        let watching = scope.spawn(move || {
            let seen = watch(coordinator, &session, reading.limits.lock_wait, &waiting);
            if seen == Seen::Rows {
                limit(memory);
            }
            seen
        });
        // The reader below reports an error of this read.
        if output.fill_buf().is_ok_and(|bytes| !bytes.is_empty()) {
            limit(memory);
        }
        drop(arrived);
        match watching.join() {
            Ok(Seen::Ended(why)) => Some(why),
            _ => None,
        }
    });
    let mut kept = RecordedInput { input: output, bytes: Vec::new() };
    let read = Contents::read(&mut kept).and_then(|mut contents| Ok((contents.align_columns()?, contents)));
    reading.progress.moved();
    match read {
        Ok((aligned, mut contents)) => {
            let warnings = child.end();
            let changed = partitions::load_through_roots(coordinator, &mut contents)? || aligned;
            let bytes = if changed { contents.to_bytes() } else { kept.bytes };
            Ok(Some(Toc { bytes, contents, warnings }))
        }
        Err(ArchiveError::CutOff | ArchiveError::NoArchive) => {
            drop(kept);
            let failure = child.failed(Stage::Contents);
            match ended {
                Some(EndedWait::Circular) => Ok(None),
                Some(EndedWait::TooLong) => Err(failure.context(WAITED_TOO_LONG).passing()),
                None => Err(failure),
            }
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

/// The state in which the watch over pg_dump's session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Rows,
    Ended(EndedWait),
    /// Its first byte arrived before, or the server gave no answer.
    Nothing,
}

/// Waits until pg_dump's session copies rows, or its first byte arrives. Ends the session if it waits for a lock in vain.
fn watch(coordinator: &Coordinator, session: &str, lock_wait: Duration, arrived: &mpsc::Receiver<()>) -> Seen {
    // The list of sessions is otherwise that of the transaction's first look.
    let query = format!(
        "SELECT pg_catalog.pg_stat_clear_snapshot(); SELECT pid, CASE WHEN wait_event_type = 'Lock' THEN 'waits' \
         WHEN query LIKE 'COPY %' THEN 'copies' END FROM pg_catalog.pg_stat_activity WHERE application_name = {} AND state = 'active'",
        literal(session)
    );
    let mut waits_since: Option<Instant> = None;
    while arrived.recv_timeout(POLL) == Err(RecvTimeoutError::Timeout) {
        let Ok(rows) = coordinator.query(Stage::Contents, &query) else { return Seen::Nothing };
        let waiting = rows.iter().find(|row| row.get(1).is_some_and(|state| state.as_deref() == Some("waits")));
        let Some(process) = waiting.and_then(|row| row.first()?.as_deref()) else {
            if rows.iter().any(|row| row.get(1).is_some_and(|state| state.as_deref() == Some("copies"))) {
                return Seen::Rows;
            }
            waits_since = None;
            continue;
        };
        let since = *waits_since.get_or_insert_with(Instant::now);
        let why = match waits_for_us(coordinator, process) {
            Some(true) => EndedWait::Circular,
            Some(false) if since.elapsed() > lock_wait => EndedWait::TooLong,
            Some(false) => continue,
            None => return Seen::Nothing,
        };
        let end = format!("SELECT pg_catalog.pg_terminate_backend({process})");
        return if coordinator.query(Stage::Contents, &end).is_ok() { Seen::Ended(why) } else { Seen::Nothing };
    }
    Seen::Nothing
}

/// Whether a session waits, directly or through others, for the session that has our locks. `None`: the server gave no answer.
fn waits_for_us(coordinator: &Coordinator, process: &str) -> Option<bool> {
    let query = format!(
        "WITH RECURSIVE blocking (pid) AS (SELECT pg_catalog.unnest(pg_catalog.pg_blocking_pids({process})) \
         UNION SELECT pg_catalog.unnest(pg_catalog.pg_blocking_pids(pid)) FROM blocking) \
         SELECT 1 FROM blocking WHERE pid = pg_catalog.pg_backend_pid()"
    );
    coordinator.query(Stage::Contents, &query).ok().map(|rows| !rows.is_empty())
}
