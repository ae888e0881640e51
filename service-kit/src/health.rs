//! This module answers whether the program is ready to serve: named latches, each with the reason why it is closed.
//!
//! A program is ready when the last latch opens, and not ready as soon as one closes. Liveness is separate and must
//! not depend on anything outside the process.

use std::sync::Arc;

use serde::Serialize;
use tokio::sync::watch;

/// The latches of one program. Clones share them.
#[derive(Debug, Clone)]
pub struct Health {
    latches: Arc<watch::Sender<Vec<LatchState>>>,
}

/// One latch in the answer of `/readyz`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LatchState {
    pub name: String,
    pub ready: bool,
    /// Why it is closed; absent while it is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// A remark while it is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Opens and closes one latch. Dropping it changes nothing. Clones share the latch.
#[derive(Debug, Clone)]
pub struct Latch {
    latches: Arc<watch::Sender<Vec<LatchState>>>,
    index: usize,
}

impl Default for Health {
    fn default() -> Self {
        Self { latches: Arc::new(watch::Sender::new(Vec::new())) }
    }
}

impl Health {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a closed latch. Add every latch before the admin listener serves, or the program is ready too early.
    pub fn latch(&self, name: &str, reason: &str) -> Latch {
        let mut index = 0;
        self.latches.send_modify(|latches| {
            index = latches.len();
            latches.push(LatchState { name: name.to_owned(), ready: false, reason: Some(reason.to_owned()), note: None });
        });
        Latch { latches: Arc::clone(&self.latches), index }
    }

    pub fn is_ready(&self) -> bool {
        all_open(&self.latches.borrow())
    }

    /// Every latch, in the order in which they were added.
    pub fn latches(&self) -> Vec<LatchState> {
        self.latches.borrow().clone()
    }

    /// Returns once every latch is open.
    pub async fn ready(&self) {
        // Fails only when the sender is dropped, and `self` holds it.
        let _ = self.latches.subscribe().wait_for(|latches| all_open(latches)).await;
    }
}

impl Latch {
    pub fn open(&self) {
        self.set(None, None);
    }

    /// Opens it with a remark for an operator, for instance `follows 10.0.0.1:9601`.
    pub fn open_with(&self, note: impl Into<String>) {
        self.set(None, Some(note.into()));
    }

    /// `reason` names for an operator the step in progress, for instance `replaying the journal: 40 %`.
    pub fn close(&self, reason: impl Into<String>) {
        self.set(Some(reason.into()), None);
    }

    fn set(&self, reason: Option<String>, note: Option<String>) {
        self.latches.send_if_modified(|latches| {
            let latch = &mut latches[self.index];
            let changed = latch.reason != reason || latch.note != note;
            latch.ready = reason.is_none();
            latch.reason = reason;
            latch.note = note;
            changed
        });
    }
}

fn all_open(latches: &[LatchState]) -> bool {
    latches.iter().all(|latch| latch.ready)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn ready_when_the_last_latch_opens_and_not_when_one_closes_again() {
        let health = Health::new();
        let (journal, stream) = (health.latch("journal", "replaying"), health.latch("stream", "not bound"));
        let waiting = tokio::spawn({
            let health = health.clone();
            async move { health.ready().await }
        });
        stream.open();
        assert!(!health.is_ready() && !waiting.is_finished());
        journal.open();
        waiting.await.unwrap();
        assert!(health.is_ready());

        journal.open_with("40 events");
        assert!(health.is_ready(), "a note does not close it");
        stream.clone().close("lost");
        assert!(!health.is_ready());
        let expected = [
            LatchState { name: "journal".into(), ready: true, reason: None, note: Some("40 events".into()) },
            LatchState { name: "stream".into(), ready: false, reason: Some("lost".into()), note: None },
        ];
        assert_eq!(health.latches(), expected);
    }
}
