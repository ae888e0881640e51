//! This module reads the resident memory of this process from /proc. It must not use an allocator's count, which omits retained
//! memory.

use anyhow::{Context, Result};

/// Bytes of a page in statm on every supported machine.
const PAGE: u64 = 4096;

/// Resident memory of this process in bytes.
pub fn resident() -> Result<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").context("reading /proc/self/statm")?;
    let pages: u64 = statm.split(' ').nth(1).context("/proc/self/statm has no second field")?.parse()?;
    Ok(pages * PAGE)
}
