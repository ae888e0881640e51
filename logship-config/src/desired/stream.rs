//! A declared data stream: what it keeps, what may never be shortened, and how much of the disk it may take.

use serde_json::Value;

/// One entry of `streams.yaml`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stream {
    /// Data stream lifecycle (`data_retention`, `enabled`, `downsampling`); `None`: as its template says.
    pub lifecycle: Option<Value>,
    /// Failure store (`enabled`, `lifecycle`); `None`: as its template says.
    pub failure_store: Option<Value>,
    /// An audit stream: its retention is never shortened by this program, and no budget deletes from it.
    pub protected: bool,
    pub budget: Option<Budget>,
}

/// Retention by disk: the oldest backing indices go first, the write index never.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Budget {
    /// Share of the cluster's data disks that this stream may fill, in percent.
    pub disk_percent: f64,
    /// What is younger stays, whatever the disk says.
    pub floor_millis: i64,
}
