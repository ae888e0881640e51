//! This module is the start of a replica: the first state (a snapshot, or the journal's first event) and the log of the replay.
//! It must not replay.

use std::time::Instant;

use exchange_core::{State, batch};
use futures::StreamExt;
use sqlx::{PgConnection, PgPool};

use super::{committed::HistoryView, latches::Latches, replay::Expected, shared::Shared};
use crate::{
    chain::Chain,
    db::{head, history, journal, replicas::DatabaseRefusal},
    media::Media,
    snapshot::{self, SnapshotName},
    survey::{Survey, SurveyError},
};

pub(super) struct Recovery {
    pool: PgPool,
    /// `None`: every recovery starts with the journal's first event.
    media: Option<Media>,
    begun: Instant,
    source: &'static str,
    first_sequence: i64,
    running: bool,
}

/// Why a recovery cannot start yet.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotYet {
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// The database lacks events that objects in the bucket prove.
    #[error("{0}")]
    Lost(DatabaseRefusal),
    #[error("the journal starts at sequence {begins}, so a snapshot is needed, but {reason}")]
    NoSnapshot { begins: i64, reason: String },
}

impl Recovery {
    pub fn new(pool: PgPool, media: Option<Media>) -> Self {
        Self { pool, media, begun: Instant::now(), source: "journal", first_sequence: 1, running: true }
    }

    /// Stores the state before the replay in the committed model, and returns the expected next batch.
    pub async fn begin(&mut self, shared: &Shared, connection: &mut PgConnection) -> Result<Expected, NotYet> {
        (self.begun, self.running) = (Instant::now(), true);
        let (state, history) = self.base(shared, connection).await?;
        self.source = if state.sequence() > 0 { "snapshot" } else { "journal" };
        let (market_data, projected) = history::load_market_data(&self.pool).await?;
        let sequence = state.sequence() as i64 + 1;
        {
            let mut committed = shared.committed.write();
            committed.restart(state, market_data, projected);
            committed.begin_history(history);
        }
        self.first_sequence = sequence;
        Ok(Expected { sequence, epoch: 0, history })
    }

    /// The newest snapshot of this journal, or the state before its first event.
    async fn base(&self, shared: &Shared, connection: &mut PgConnection) -> Result<Base, NotYet> {
        let Some(media) = &self.media else { return Ok(genesis()) };
        let found = match Survey::take(media, connection).await {
            Ok(found) => found,
            Err(SurveyError::Database(error)) => return Err(error.into()),
            Err(SurveyError::Store(error)) => {
                self.unchecked(shared, connection).await?;
                return from_the_beginning(connection, format!("the bucket did not answer: {error}")).await;
            }
        };
        let unchecked_since = *shared.unchecked_since.lock();
        let ended_at = unchecked_since.map_or(found.ends_at, |since| since.min(found.ends_at));
        if let Some(reason) = found.refusal(ended_at) {
            return Err(NotYet::Lost(reason));
        }
        *shared.unchecked_since.lock() = None;
        shared.step_down.send_replace(None);
        shared.metrics.history_checked.set(1);
        let reason = match snapshot::first_whole(media, found.own).await {
            Ok(Some((name, state))) => return Ok((state, name.chain.map(HistoryView::at))),
            Ok(None) => "the bucket has no snapshot of this journal".to_owned(),
            Err(error) => {
                let reason = format!("no snapshot can be read: {error:#}");
                tracing::warn!(
                    reason,
                    "the bucket has snapshots of this journal, and none can be read; trying the whole journal"
                );
                reason
            }
        };
        if journal::begins(connection).await?.is_some_and(|begins| begins > 1)
            && let Some(state) = first_format(media, connection, &found.first_format).await?
        {
            tracing::warn!(
                sequence = state.sequence(),
                "recovering from a snapshot of an earlier release; the identity of the history is unknown until the worker \
                 takes a new one"
            );
            return Ok((state, None));
        }
        from_the_beginning(connection, reason).await
    }

    /// Trading continues without the bucket: a task polls it until it answers.
    async fn unchecked(&self, shared: &Shared, connection: &mut PgConnection) -> sqlx::Result<()> {
        let ends_at = head::read_head(connection).await?.last_seq;
        let mut since = shared.unchecked_since.lock();
        *since = Some(since.map_or(ends_at, |since| since.min(ends_at)));
        shared.metrics.history_checked.set(0);
        tracing::warn!(ends_at, "the bucket did not answer; the check for events missing in this database is pending");
        Ok(())
    }

    /// Logs the start of a replay.
    pub fn replaying(&self, latches: &mut Latches, from: i64, to: i64) {
        if self.running {
            latches.journal_waits(format!("replaying the journal from sequence {from} to {to}"));
        }
    }

    /// Called when the replay first reaches the journal's end.
    pub fn done(&mut self, shared: &Shared, sequence: i64) {
        if !std::mem::take(&mut self.running) {
            return;
        }
        let (seconds, events) = (self.begun.elapsed().as_secs_f64(), sequence + 1 - self.first_sequence);
        shared.committed.write().begin_comparing();
        shared.metrics.recovery_seconds.with_label_values(&[self.source]).set(seconds);
        shared.metrics.recovery_events.set(events);
        tracing::info!(source = self.source, events, sequence, seconds, "recovered the state");
    }
}

/// A state and the identity of its history.
type Base = (State, Option<HistoryView>);

fn genesis() -> Base {
    (State::new(), Some(HistoryView::at(Chain::GENESIS)))
}

async fn from_the_beginning(connection: &mut PgConnection, reason: String) -> Result<Base, NotYet> {
    match journal::begins(connection).await? {
        Some(begins) if begins > 1 => Err(NotYet::NoSnapshot { begins, reason }),
        _ => {
            tracing::info!(reason, "recovering from the journal's first event");
            Ok(genesis())
        }
    }
}

/// The newest of `names` (of the first format, newest first) that a replay from the previous snapshot reproduces.
async fn first_format(media: &Media, connection: &mut PgConnection, names: &[SnapshotName]) -> Result<Option<State>, NotYet> {
    for pair in names.windows(2) {
        let (Ok(newer), Ok(mut state)) =
            (snapshot::read_snapshot(media, pair[0]).await, snapshot::read_snapshot(media, pair[1]).await)
        else {
            continue;
        };
        let mut batches = journal::stream(connection, state.sequence() as i64, newer.sequence() as i64);
        while let Some(stored) = batches.next().await.transpose()? {
            if stored.first_sequence != state.sequence() as i64 + 1 {
                break;
            }
            batch::decode(stored.payload()?).unwrap_or_default().iter().for_each(|event| state.evolve(event));
        }
        if snapshot::state_hash(&state) == snapshot::state_hash(&newer) {
            return Ok(Some(newer));
        }
        tracing::warn!(
            key = pair[0].key(),
            "replaying the journal from the previous snapshot does not lead to this one; ignoring it"
        );
    }
    Ok(None)
}
