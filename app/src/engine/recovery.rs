//! The start of a replica: where its state begins (a snapshot, or the journal's first event) and how the replay is told of.
//! Never: the replay itself.

use std::time::Instant;

use exchange_core::State;
use sqlx::PgPool;

use super::{latches::Latches, replay::Expected, shared::Shared};
use crate::db::history;

pub(super) struct Recovery {
    pool: PgPool,
    begun: Instant,
    source: &'static str,
    first_sequence: i64,
    running: bool,
}

impl Recovery {
    pub fn new(pool: PgPool) -> Self {
        Self { pool, begun: Instant::now(), source: "journal", first_sequence: 1, running: true }
    }

    /// The state before the replay goes into the committed model; what must come next is answered.
    pub async fn begin(&mut self, shared: &Shared) -> sqlx::Result<Expected> {
        self.begun = Instant::now();
        let state = State::new();
        let (market_data, projected) = history::load(&self.pool).await?;
        let sequence = state.sequence() as i64 + 1;
        shared.committed.write().restart(state, market_data, projected);
        self.first_sequence = sequence;
        Ok(Expected { sequence, epoch: 0 })
    }

    /// Says that a replay begins.
    pub fn replaying(&self, latches: &mut Latches, from: i64, to: i64) {
        if self.running {
            latches.journal_waits(format!("replaying the journal from sequence {from} to {to}"));
        }
    }

    /// The journal's end was reached, the first time.
    pub fn done(&mut self, shared: &Shared, sequence: i64) {
        if !std::mem::take(&mut self.running) {
            return;
        }
        let (seconds, events) = (self.begun.elapsed().as_secs_f64(), sequence + 1 - self.first_sequence);
        shared.metrics.recovery_seconds.with_label_values(&[self.source]).set(seconds);
        shared.metrics.recovery_events.set(events);
        tracing::info!(source = self.source, events, sequence, seconds, "the state is recovered");
    }
}
