//! This module runs pg_dump and reads its custom archive up to the end of the table of contents, without the rows.

use std::io::{self, BufRead, BufReader, Read};

use super::{Reading, Toc, coordinator::Coordinator};
use crate::{
    archive::{ArchiveError, Contents},
    failure::{Exit, Failure, Result, Stage},
};

/// Memory that pg_dump may add once its table of contents is complete. It then reads the first row, and would hold a large value
/// twice.
const GROWTH_FOR_ROWS: u64 = 16 << 20;

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
/// the limit of memory makes pg_dump exit, and its buffer arrives too.
pub(super) fn read(reading: &Reading, coordinator: &Coordinator) -> Result<Toc> {
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
    let mut child = reading.tools.start("pg_dump", &arguments, &reading.source)?;
    let mut output = BufReader::new(child.output());
    // pg_dump writes the first byte after it has collected everything except rows. The reader below reports an error of this read.
    if output.fill_buf().is_ok_and(|bytes| !bytes.is_empty())
        && let Err(error) = child.limit_growth(GROWTH_FOR_ROWS)
    {
        tracing::debug!(error = error.to_string(), "failed to limit the memory of pg_dump; it reads the first row completely");
    }
    let mut kept = Kept { input: output, bytes: Vec::new() };
    let read = Contents::read(&mut kept).and_then(|mut contents| Ok((contents.align_columns()?, contents)));
    reading.progress.moved();
    match read {
        Ok((changed, contents)) => {
            let warnings = child.end();
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
