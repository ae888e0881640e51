//! This module handles a batch whose commit is in doubt: its clients receive the outcome from the journal, or -1007 after a
//! deadline.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{batch::Identity, handle::SubmitError, leader::InDoubt, spans};
use crate::metrics::EngineMetrics;

/// Time from sending the batch until its clients are answered with an unknown outcome.
const DEADLINE: Duration = Duration::from_secs(10);

/// The outcome according to the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DoubtOutcome {
    Committed,
    Lost,
}

/// Waits for the outcome of one batch.
pub(super) struct Doubt {
    pub identity: Identity,
    waiters: Arc<Mutex<Option<InDoubt>>>,
    metrics: EngineMetrics,
}

impl Doubt {
    pub fn new(in_doubt: InDoubt, metrics: &EngineMetrics) -> Self {
        let (identity, deadline) = (in_doubt.identity, Instant::from_std(in_doubt.sent) + DEADLINE);
        let waiters = Arc::new(Mutex::new(Some(in_doubt)));
        let (late, unknown) = (Arc::clone(&waiters), metrics.unknown_commits.with_label_values(&["unknown"]));
        tokio::spawn(async move {
            tokio::time::sleep_until(deadline).await;
            if let Some(mut in_doubt) = late.lock().take() {
                tracing::error!(identity = ?in_doubt.identity, "the outcome of a commit was not known before the deadline; \
                 answering -1007");
                unknown.inc();
                in_doubt.batch.answer_all(&SubmitError::Unknown);
            }
        });
        Self { identity, waiters, metrics: metrics.clone() }
    }

    /// Answers the clients that still wait. The batch must be in the committed state by now, or can never be in the journal.
    pub fn resolve(self, found: DoubtOutcome) {
        let label = match found {
            DoubtOutcome::Committed => "committed",
            DoubtOutcome::Lost => "lost",
        };
        tracing::warn!(identity = ?self.identity, found = label, "found the outcome of a commit in the journal");
        let Some(mut in_doubt) = self.waiters.lock().take() else { return };
        self.metrics.unknown_commits.with_label_values(&[label]).inc();
        match found {
            DoubtOutcome::Committed => {
                in_doubt.batch.answer(|arrived| self.metrics.acknowledge.observe(arrived.elapsed().as_secs_f64()));
                let now = std::time::Instant::now();
                spans::of_batch(&in_doubt.batch.take_traced(), &self.identity.durable(in_doubt.sent, now, now));
            }
            DoubtOutcome::Lost => in_doubt.batch.answer_all(&SubmitError::Unavailable),
        }
    }
}
