//! Where JSON lines go: straight to the descriptor, one `write` a line.
//!
//! Rust's own standard output holds a lock while it writes, so every thread that logs would queue behind the slowest
//! write. The operating system already keeps writes to a pipe apart up to `PIPE_BUF` bytes; only a longer line needs
//! the others to stand back.

use std::{
    fs::File,
    io::Write,
    os::fd::OwnedFd,
    sync::{PoisonError, RwLock},
};

/// What Linux writes to a pipe in one piece.
const PIPE_BUF: usize = 4096;

pub(super) struct Output {
    file: File,
    long_line: RwLock<()>,
}

impl Output {
    pub(super) fn to(descriptor: OwnedFd) -> Self {
        Self { file: File::from(descriptor), long_line: RwLock::new(()) }
    }

    /// Writes a line that ends with a line feed. A line that cannot be written is lost: there is nowhere to say so.
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
