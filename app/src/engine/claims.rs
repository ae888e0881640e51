//! This module spaces attempts to lead a database that cannot write: its disk is full, or it is read-only. It must not claim.
//!
//! - A replica continues to follow during a pause, so that its reads and its readiness show the cause.

use std::time::{Duration, Instant};

use crate::database_cause::Explained;

/// Pause after an attempt without a batch: starts with twice the first value, doubles up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(3);
/// Doublings after which the pause is the last.
const DOUBLINGS: u32 = 6;

/// The pause after `attempts` consecutive attempts without a batch.
pub(super) fn pause_after(attempts: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << attempts.min(DOUBLINGS)).min(LAST_PAUSE)
}

/// Consecutive claims that the database refused to write.
#[derive(Default)]
pub(super) struct RefusedClaims {
    count: u32,
    /// End of the pause, and its reason.
    pause: Option<(Instant, String)>,
}

impl RefusedClaims {
    /// Begins a pause.
    pub fn refused(&mut self, error: &sqlx::Error) {
        self.count += 1;
        let reason = format!("{}; this server does not lead until PostgreSQL writes again", Explained(error));
        self.pause = Some((Instant::now() + pause_after(self.count), reason));
    }

    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// Why no claim may be made now.
    pub fn paused(&self) -> Option<&str> {
        self.pause.as_ref().filter(|(until, _)| Instant::now() < *until).map(|(_, reason)| reason.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_last() {
        let pauses: Vec<_> = (1..=8).map(|attempts| pause_after(attempts).as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1_600, 3_000, 3_000, 3_000]);
    }

    #[test]
    fn a_refused_claim_pauses_until_one_succeeds() {
        let mut claims = RefusedClaims::default();
        assert!(claims.paused().is_none());
        claims.refused(&sqlx::Error::PoolClosed);
        assert!(claims.paused().is_some_and(|reason| reason.contains("does not lead")));
        claims.succeeded();
        assert!(claims.paused().is_none());
    }
}
