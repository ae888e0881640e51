//! The start of a replica: where its state begins (a snapshot, or the journal's first event) and how the replay is told of.
//! Never: the replay itself.

use std::time::Instant;

use exchange_core::{State, batch, event::Event};
use sqlx::{PgConnection, PgPool};

use super::{latches::Latches, replay::Expected, shared::Shared};
use crate::{
    db::{history, journal},
    media::Media,
    snapshot,
};

pub(super) struct Recovery {
    pool: PgPool,
    /// `None`: every recovery begins with the journal's first event.
    media: Option<Media>,
    begun: Instant,
    source: &'static str,
    first_sequence: i64,
    running: bool,
}

/// Why a recovery cannot begin yet.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotYet {
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error("the journal begins at sequence {begins}, so a snapshot is needed, and {reason}")]
    NoSnapshot { begins: i64, reason: String },
}

impl Recovery {
    pub fn new(pool: PgPool, media: Option<Media>) -> Self {
        Self { pool, media, begun: Instant::now(), source: "journal", first_sequence: 1, running: true }
    }

    /// The state before the replay goes into the committed model; what must come next is answered. `last` is the journal's end.
    pub async fn begin(&mut self, shared: &Shared, connection: &mut PgConnection, last: i64) -> Result<Expected, NotYet> {
        self.begun = Instant::now();
        let state = self.newest(connection, last).await?.unwrap_or_default();
        self.source = if state.sequence() > 0 { "snapshot" } else { "journal" };
        let (market_data, projected) = history::load(&self.pool).await?;
        let sequence = state.sequence() as i64 + 1;
        shared.committed.write().restart(state, market_data, projected);
        self.first_sequence = sequence;
        Ok(Expected { sequence, epoch: 0 })
    }

    /// The newest snapshot of this journal; `None` when there is none, or none can be had and none is needed.
    async fn newest(&self, connection: &mut PgConnection, last: i64) -> Result<Option<State>, NotYet> {
        let Some(media) = &self.media else { return Ok(None) };
        let reason = match snapshot::newest(media, Some(last.unsigned_abs())).await {
            Ok(None) => return Ok(None),
            Ok(Some((_, state))) if belongs(connection, &state).await? => return Ok(Some(state)),
            Ok(Some((sequence, _))) => format!(
                "the newest snapshot ({sequence}) is of another journal: give this exchange a bucket of its own, or empty this one"
            ),
            Err(error) => format!("none can be read: {error:#}"),
        };
        match journal::begins(connection).await? {
            Some(begins) if begins > 1 => Err(NotYet::NoSnapshot { begins, reason }),
            _ => {
                tracing::warn!(reason, "recovering from the journal's first event");
                Ok(None)
            }
        }
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

/// Whether the journal led to this state, as far as the batch that ends with it can tell: it sets the state's time.
async fn belongs(connection: &mut PgConnection, state: &State) -> sqlx::Result<bool> {
    let sequence = state.sequence() as i64;
    let Some(stored) = journal::nearest(connection, sequence).await? else {
        // Archived and detached since.
        return Ok(true);
    };
    if stored.last_sequence != sequence {
        // A snapshot is of the end of a batch. (A batch that is missing is the replay's to report.)
        return Ok(stored.last_sequence < sequence);
    }
    // A batch that cannot be read is the replay's to report, too.
    let events = batch::decode(stored.payload()?).unwrap_or_default();
    let time = events.iter().rev().find_map(|event| if let Event::Clock(time) = event { Some(*time) } else { None });
    Ok(time.is_none_or(|time| time == state.now()))
}
