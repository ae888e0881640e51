//! Resident memory of this process, from /proc. It must not use an allocator's count, which omits retained memory.

use anyhow::{Context, Result};

/// Bytes of one page as Linux counts them in statm on every machine this runs on.
const PAGE: u64 = 4096;

/// Bytes that this process holds in memory.
pub fn resident() -> Result<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").context("reading /proc/self/statm")?;
    let pages: u64 = statm.split(' ').nth(1).context("/proc/self/statm has no second field")?.parse()?;
    Ok(pages * PAGE)
}
