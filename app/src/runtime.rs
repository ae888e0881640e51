//! The runtime that a role runs on. Never: what runs on it.

use std::{io, num::NonZero, thread};

use tokio::runtime::{Builder, Runtime};

/// Threads by default: the processors less one, at least one. The last one is for the journal's commits and the kernel's part of
/// every connection; with as many threads as processors a server spends a tenth more time on each order, in handing tasks over,
/// and commits wait for a processor.
pub fn default_threads() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get).saturating_sub(1).max(1)
}

/// # Errors
/// When the system gives no threads.
pub fn build(threads: usize) -> io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(threads).enable_all().build()
}
