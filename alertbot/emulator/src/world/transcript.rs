//! Every call that a bot made, with what became of it: the evidence of tests.

use std::collections::VecDeque;

use serde::Serialize;
use serde_json::Value;

/// Calls that are remembered; the oldest goes first.
const CALLS_KEPT: usize = 200_000;

#[derive(Debug, Clone, Serialize)]
pub struct RecordedCall {
    pub number: i64,
    /// When it arrived, since the emulator began.
    pub at_milliseconds: u64,
    pub bot: i64,
    /// In lower case.
    pub method: String,
    pub chat: Option<i64>,
    pub parameters: Value,
    /// Parameters that the method does not have: most often misspelt ones.
    pub unknown: Vec<String>,
    /// HTTP status of the answer, also of one that was lost.
    pub code: u16,
    pub description: Option<String>,
    pub retry_after: Option<u64>,
    /// The message that it made or changed.
    pub message: Option<i64>,
    /// The injected fault that it met.
    pub fault: Option<String>,
    /// It was acted on: something was sent or changed, whatever the caller learnt of it.
    pub acted: bool,
    /// Milliseconds since the answer that forbade calls until later: such a call should not have been made.
    pub inside_window: Option<u64>,
}

#[derive(Debug, Default)]
pub(super) struct Transcript {
    calls: VecDeque<RecordedCall>,
}

impl Transcript {
    pub fn push(&mut self, call: RecordedCall) {
        if self.calls.len() >= CALLS_KEPT {
            self.calls.pop_front();
        }
        self.calls.push_back(call);
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &RecordedCall> {
        self.calls.iter()
    }

    pub fn clear(&mut self) {
        self.calls.clear();
    }
}
