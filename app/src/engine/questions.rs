//! This module holds the reads of a follower that wait for the leader's sequence. It must not use the network.

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

/// Reads that wait for the leader's sequence.
#[derive(Debug, Default)]
pub struct Questions {
    /// Asked with the next frame.
    pub(super) next: Mutex<Vec<oneshot::Sender<u64>>>,
    pub(super) wake: Notify,
}

impl Questions {
    /// The sequence that was committed at some moment after this call. An error: no leader answered.
    pub async fn ask(&self) -> Option<u64> {
        let (answer, waiter) = oneshot::channel();
        self.next.lock().push(answer);
        self.wake.notify_one();
        waiter.await.ok()
    }

    /// Answers every waiting read: this replica leads.
    pub fn answer(&self, sequence: u64) {
        for waiter in self.next.lock().drain(..) {
            let _ = waiter.send(sequence);
        }
    }

    pub(super) fn ask_again(&self, asked: Vec<oneshot::Sender<u64>>) {
        let mut next = self.next.lock();
        next.retain(|waiter| !waiter.is_closed());
        next.extend(asked.into_iter().filter(|waiter| !waiter.is_closed()));
    }
}
