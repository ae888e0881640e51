//! This module records every answer to a client, as evidence. It must not judge the answers.

use std::sync::{Mutex, PoisonError};

/// One execution in a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fill {
    pub trade: u64,
    pub price: i64,
    pub quantity: i64,
}

/// One answer, or a missing answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// Acknowledged, with its immediate executions.
    Placed { account: u32, market: usize, order: u64, client_id: String, price: i64, quantity: i64, fills: Vec<Fill> },
    /// Acknowledged.
    Canceled { account: u32, market: usize, order: u64 },
    /// Certainly not executed.
    Refused { account: u32, client_id: String },
    /// Executed once or not at all.
    Unknown { account: u32, client_id: String },
}

/// Filled by all clients, drained by the checks.
#[derive(Debug, Default)]
pub struct Log(Mutex<Vec<Record>>);

impl Log {
    pub fn add(&self, record: Record) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(record);
    }

    pub fn take(&self) -> Vec<Record> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn has_acknowledged(&self) -> bool {
        let records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        records.iter().any(|record| matches!(record, Record::Placed { .. } | Record::Canceled { .. }))
    }
}
