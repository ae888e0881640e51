//! This module defines a declared data stream: its retention, its protection and its share of the disk.

use serde_json::Value;

/// One entry of `streams.yaml`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stream {
    /// Data stream lifecycle (`data_retention`, `enabled`, `downsampling`). `None`: the template's.
    pub lifecycle: Option<Value>,
    /// Failure store (`enabled`, `lifecycle`). `None`: the template's.
    pub failure_store: Option<Value>,
    /// An audit stream. This program must not shorten its retention, and no budget deletes from it.
    pub protected: bool,
    pub budget: Option<DiskBudget>,
}

/// Retention by disk: the oldest backing indices are deleted first, the write index never.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DiskBudget {
    /// Share of the cluster's data disks that this stream may fill, in percent.
    pub disk_percent: f64,
    /// A younger index stays, even if the stream exceeds its share.
    pub floor_millis: i64,
}
