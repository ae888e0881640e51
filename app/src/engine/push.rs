//! This module is a committed batch on its way from the leader to its followers.

use bytes::Bytes;

use crate::chain::Chain;

/// Batches between the leader's commits and one follower's connection. A slower follower reads the gap from the journal.
pub const PUSHES: usize = 256;

/// A committed batch on its way to the followers.
#[derive(Debug, Clone)]
pub struct Push {
    pub first_sequence: i64,
    pub last_sequence: i64,
    pub epoch: i64,
    pub checksum: u32,
    /// History before the batch; `None`: unknown to the leader.
    pub before: Option<Chain>,
    pub payload: Bytes,
}
