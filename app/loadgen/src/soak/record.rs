//! This module records every answer to a client, as evidence. It must not judge the answers.

use crate::client::ApiReply;
use exchange_core::money::parse;
use serde_json::Value;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// One execution in a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedFill {
    pub trade: u64,
    pub price: i64,
    pub quantity: i64,
}

/// One connection that receives the events of an account: its number at a replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subscription {
    pub account: u32,
    pub at: usize,
    pub number: u64,
}

/// One answer, or a missing answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// Acknowledged, with its immediate executions.
    Placed { account: u32, market: usize, order: u64, client_id: String, price: i64, quantity: i64, fills: Vec<RecordedFill> },
    /// Acknowledged.
    Canceled { account: u32, market: usize, order: u64 },
    /// Certainly not executed.
    Refused { account: u32, client_id: String },
    /// Executed once or not at all.
    Unknown { account: u32, client_id: String },
    /// Executed, according to a read or to the refusal of a second order with the same id.
    Exists { account: u32, client_id: String },
    /// Acknowledged as one of the orders of a list.
    Listed { account: u32, client_id: String },
    /// A trade that a stream published.
    Traded { market: usize, trade: u64, price: i64, quantity: i64 },
    /// An execution report that a connection received.
    Reported { subscription: Subscription, sequence: u64, order: u64 },
    /// An answer or event that contradicts an earlier one to the same client.
    Violation(String),
}

impl Record {
    /// An acknowledged order, from the reply.
    pub fn placed(account: u32, market: usize, client_id: String, reply: &ApiReply) -> Self {
        let fills = reply["fills"].as_array().map_or(&[][..], Vec::as_slice);
        let fills = fills.iter().map(|fill| RecordedFill {
            trade: fill["tradeId"].as_u64().unwrap_or_default(),
            price: number(&fill["price"]),
            quantity: number(&fill["qty"]),
        });
        Self::Placed {
            account,
            market,
            order: order_id(reply),
            client_id,
            price: number(&reply["price"]),
            quantity: number(&reply["origQty"]),
            fills: fills.collect(),
        }
    }
}

pub fn order_id(reply: &ApiReply) -> u64 {
    reply["orderId"].as_u64().unwrap_or_default()
}

/// A missing number becomes -1, which matches no record.
pub fn number(value: &Value) -> i64 {
    value.as_str().and_then(|text| parse(text).ok()).unwrap_or(-1)
}

/// Filled by all clients, drained by the checks.
#[derive(Debug, Default)]
pub struct Log {
    records: Mutex<Vec<Record>>,
    times: Mutex<Times>,
}

/// Times of acknowledgements, and requests with an unknown outcome.
#[derive(Debug, Default)]
struct Times {
    last: Option<Instant>,
    longest: Duration,
    failures: usize,
}

impl Log {
    pub fn add(&self, record: Record) {
        if matches!(record, Record::Placed { .. } | Record::Canceled { .. }) {
            let (mut times, now) = (self.times(), Instant::now());
            times.longest = times.longest.max(times.last.map_or(Duration::ZERO, |last| now - last));
            times.last = Some(now);
        }
        self.records.lock().unwrap_or_else(PoisonError::into_inner).push(record);
    }

    /// Counts a request with an unknown outcome.
    pub fn add_failure(&self) {
        self.times().failures += 1;
    }

    /// The longest time without an acknowledgement, and the number of unknown outcomes, since the last call.
    pub fn take_gap(&self) -> (Duration, usize) {
        let mut times = self.times();
        let running = times.last.map_or(Duration::ZERO, |last| last.elapsed());
        (std::mem::take(&mut times.longest).max(running), std::mem::take(&mut times.failures))
    }

    /// Whether anything was acknowledged after `moment`.
    pub fn has_acknowledged_after(&self, moment: Instant) -> bool {
        self.times().last.is_some_and(|last| last > moment)
    }

    fn times(&self) -> std::sync::MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn take(&self) -> Vec<Record> {
        std::mem::take(&mut self.records.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn has_acknowledged(&self) -> bool {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.iter().any(|record| matches!(record, Record::Placed { .. } | Record::Canceled { .. }))
    }
}
