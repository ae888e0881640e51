//! This module makes the reads of one replica include everything that any replica acknowledged before. It must not read.
//!
//! - The leader checks that it still leads. A follower asks the leader for its committed sequence and waits until it has applied
//!   it.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::{Engine, forward};

/// Time limit for the leader's answer and for the journal up to it. A paused leader loses its lease after 3 s.
const DEADLINE: Duration = Duration::from_secs(5);
/// Longest wait for one source before the role of this replica is checked again.
const CHECK: Duration = Duration::from_millis(250);

/// Why a read cannot be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadsError {
    #[error("no leader stated its committed sequence within {} s", DEADLINE.as_secs())]
    NoLeader,
    #[error("this replica did not apply the leader's committed sequence within {} s", DEADLINE.as_secs())]
    Behind,
}

impl Engine {
    /// Returns once reads of [`Self::committed`] include everything that any replica acknowledged before this call.
    ///
    /// # Errors
    ///
    /// Returns an error if no leader answered, or if this replica is too far behind.
    pub async fn up_to_date(&self) -> Result<(), ReadsError> {
        let (shared, asked) = (&self.shared, std::time::Instant::now());
        if shared.is_leader() && shared.lease.proves(asked) {
            return Ok(());
        }
        if !forward::permitted(&shared.committed.read().state) && !shared.is_leader() {
            // Before the feature level is raised only the leader is ready.
            return Ok(());
        }
        let begun = Instant::now();
        let deadline = begun + DEADLINE;
        let mut question = Box::pin(shared.questions.ask());
        let sequence = loop {
            let check = deadline.min(Instant::now() + CHECK);
            let answered = tokio::select! {
                answer = timeout_at(check, &mut question) => answer,
                () = shared.lease.changed(asked), if shared.is_leader() => {
                    if shared.is_leader() && shared.lease.proves(asked) {
                        return Ok(());
                    }
                    continue;
                }
            };
            match answered {
                Ok(Some(sequence)) => break sequence,
                Ok(None) => question = Box::pin(shared.questions.ask()),
                Err(_) => {}
            }
            if Instant::now() >= deadline {
                return Err(ReadsError::NoLeader);
            }
        };
        let mut progress = shared.committed.read().progress();
        let reached = timeout_at(deadline, progress.wait_for(|applied| *applied >= sequence)).await;
        shared.follower.read_wait.observe(begun.elapsed().as_secs_f64());
        match reached {
            Ok(Ok(_)) => Ok(()),
            _ => Err(ReadsError::Behind),
        }
    }
}
