//! This module measures until when a leader may answer reads: no other replica can have taken the lead before that moment. It
//! must not decide who may lead (see `head`).

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// A replica may claim the lead of a leader whose session ended only when its last statement is older than this. A leader answers
/// reads only while its last statement is younger.
pub const READ_LEASE: Duration = Duration::from_millis(600);

/// The lease of this replica's term. The monotonic clock also counts while the process is paused.
#[derive(Debug, Default)]
pub(super) struct Lease {
    /// When the last successful statement was sent.
    sent: Mutex<Option<Instant>>,
    renewed: Notify,
}

impl Lease {
    /// A statement that was sent at `sent` succeeded: this replica led at that moment or later.
    pub fn renew(&self, sent: Instant) {
        *self.sent.lock() = Some(sent);
        self.renewed.notify_waiters();
    }

    /// Ends the lease, before the lead is released.
    pub fn end(&self) {
        *self.sent.lock() = None;
        self.renewed.notify_waiters();
    }

    /// Whether no other replica led at the moment `asked`: the lease holds, or a statement sent after that moment succeeded.
    pub fn proves(&self, asked: Instant) -> bool {
        self.sent.lock().is_some_and(|sent| sent >= asked || sent.elapsed() < READ_LEASE)
    }

    /// Returns once [`Self::proves`] is true for `asked`, or once the lease changed.
    pub async fn changed(&self, asked: Instant) {
        let renewed = self.renewed.notified();
        tokio::pin!(renewed);
        renewed.as_mut().enable();
        if !self.proves(asked) {
            renewed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_from_the_moment_the_statement_was_sent() {
        let lease = Lease::default();
        let asked = Instant::now();
        assert!(!lease.proves(asked));
        lease.renew(asked);
        assert!(lease.proves(asked) && lease.proves(Instant::now()));
        let sent = asked.checked_sub(READ_LEASE).unwrap();
        lease.renew(sent);
        assert!(!lease.proves(asked), "a statement that took the whole lease proves nothing about later moments");
        assert!(lease.proves(sent.checked_sub(READ_LEASE).unwrap()), "it was sent after this question");
        lease.renew(Instant::now());
        lease.end();
        assert!(!lease.proves(asked));
    }
}
