//! This module reads the resident memory of a process from /proc. It must not use an allocator's count, which omits retained
//! memory.

use anyhow::{Context, Result};

/// Bytes of a page in statm on every supported machine.
const PAGE: u64 = 4096;

/// Resident memory of this process in bytes.
pub fn resident() -> Result<u64> {
    resident_of(std::process::id())
}

/// Resident memory of a process in bytes.
pub fn resident_of(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/statm");
    let statm = std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    let pages: u64 = statm.split(' ').nth(1).with_context(|| format!("{path} has no second field"))?.parse()?;
    Ok(pages * PAGE)
}
