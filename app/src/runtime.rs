//! This module builds the runtime of a role. It must not know the tasks that run on it.

use std::{io, num::NonZero, thread};

use tokio::runtime::{Builder, Runtime};

/// Threads by default: processors minus one, at least one. The last processor serves the journal's commits and the kernel's part
/// of every connection. With as many threads as processors a server spends a tenth more time per order on handing tasks over, and
/// commits wait for a processor.
pub fn default_threads() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get).saturating_sub(1).max(1)
}

/// # Errors
///
/// Returns an error if the system cannot start the threads.
pub fn build(threads: usize) -> io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(threads).enable_all().build()
}
