//! Processor time as the kernel accounts it. Never: wall time passed off as work.

use anyhow::{Context, Result};
use std::time::Duration;

/// Time this thread has spent on a processor.
pub fn of_this_thread() -> Result<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").context("reading /proc/thread-self/schedstat")?;
    let nanoseconds = text.split(' ').next().context("/proc/thread-self/schedstat is empty")?.parse()?;
    Ok(Duration::from_nanos(nanoseconds))
}
