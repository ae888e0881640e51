//! This module writes JSON lines directly to the descriptor, one `write` per line.
//!
//! Rust's standard output holds a lock while it writes, so every thread that logs would wait for the slowest write.
//! The operating system does not interleave writes to a pipe up to `PIPE_BUF` bytes. Only a longer line needs a lock.

use std::{
    fs::File,
    io::Write,
    os::fd::OwnedFd,
    sync::{PoisonError, RwLock},
};

/// Largest write to a pipe that Linux does not interleave with others, in bytes.
const PIPE_BUF: usize = 4096;

pub(super) struct LogOutput {
    file: File,
    long_line: RwLock<()>,
}

impl LogOutput {
    pub(super) fn to(descriptor: OwnedFd) -> Self {
        Self { file: File::from(descriptor), long_line: RwLock::new(()) }
    }

    /// Writes a line that ends with a line feed. A line that cannot be written is lost and not reported.
    pub(super) fn write(&self, line: &[u8]) {
        if line.len() <= PIPE_BUF {
            let _together = self.long_line.read().unwrap_or_else(PoisonError::into_inner);
            let _ = (&self.file).write_all(line);
        } else {
            let _alone = self.long_line.write().unwrap_or_else(PoisonError::into_inner);
            let _ = (&self.file).write_all(line);
        }
    }
}
