//! This module examines a replica whose state differs from the leader's: it rebuilds the state from the newest snapshot and the
//! journal, in memory of its own, and compares it with the served one. It must not change the served state.
//!
//! - The rebuilt state equals the served one: the leader is wrong, and is asked to step down.
//! - It does not: this replica is wrong, and its task adopts the rebuilt state.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use anyhow::{Context, bail};
use exchange_core::State;
use parking_lot::RwLock;
use sqlx::PgPool;
use tokio::time::{sleep, timeout};

use super::{
    committed::{Committed, HistoryView},
    replay::{Expected, Rebuilt, catch_up},
    shared::Shared,
};
use crate::{
    chain::Chain,
    db::{history, journal},
    media::Media,
    snapshot,
    survey::Survey,
};

/// Interval at which the task checks whether the engine still has an owner.
const LOOK: Duration = Duration::from_secs(1);
/// Pause after a rebuild that failed.
const RETRY: Duration = Duration::from_secs(5);

/// Waits for differences while the engine has an owner.
pub(super) async fn watch_difference(shared: Weak<Shared>, pool: PgPool, media: Option<Media>) {
    loop {
        let Some(strong) = shared.upgrade() else { return };
        let fingerprints = Arc::clone(strong.committed.read().fingerprints());
        let before = strong.follower.compared_states.get();
        strong.follower.compared_states.inc_by(fingerprints.compared().saturating_sub(before));
        let waiting = strong.rebuilt.lock().is_some();
        if let Some(sequence) = fingerprints.differs_at()
            && !waiting
        {
            if strong.is_leader() {
                // It took the lead after it found the difference: its followers compare with it from now on.
                fingerprints.resolved();
            } else {
                examine(&strong, sequence, &pool, media.as_ref()).await;
            }
        }
        drop(strong);
        let _ = timeout(LOOK, fingerprints.changed.notified()).await;
    }
}

async fn examine(shared: &Arc<Shared>, sequence: u64, pool: &PgPool, media: Option<&Media>) {
    tracing::error!(sequence, "the state differs from the leader's; rebuilding it from snapshot and journal to compare");
    let (served, rebuilt) = loop {
        let served = shared.committed.read().state.clone();
        match rebuild(pool, media, served.sequence() as i64).await {
            Ok(rebuilt) => break (served, rebuilt),
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(sequence, error, "failed to rebuild the state; retrying, and not leading until then");
                shared.follower.differences.with_label_values(&["unknown"]).inc();
                sleep(RETRY).await;
            }
        }
    };
    let fingerprints = Arc::clone(shared.committed.read().fingerprints());
    let journal = rebuilt.committed.read().state.clone();
    let same = tokio::task::spawn_blocking(move || hashes(&served) == hashes(&journal)).await.unwrap_or(false);
    if same {
        shared.follower.differences.with_label_values(&["leader"]).inc();
        tracing::error!(sequence, "this state is that of the journal; asking the leader to step down");
        fingerprints.resolved();
        fingerprints.accuse(sequence);
    } else {
        shared.follower.differences.with_label_values(&["self"]).inc();
        tracing::error!(sequence, "this state is not that of the journal; replacing it by the rebuilt one");
        *shared.rebuilt.lock() = Some(rebuilt);
    }
}

fn hashes(state: &State) -> (u64, [u8; 32]) {
    (state.sequence(), snapshot::state_hash(state))
}

/// The state at sequence `through`, from the newest snapshot at or below it and the journal.
async fn rebuild(pool: &PgPool, media: Option<&Media>, through: i64) -> anyhow::Result<Rebuilt> {
    let mut connection = pool.acquire().await.context("PostgreSQL is unavailable")?;
    let mut base = None;
    if let Some(media) = media {
        let mut found = Survey::take(media, &mut connection).await.context("the bucket cannot be listed")?;
        found.own.retain(|name| name.sequence as i64 <= through);
        base = snapshot::first_whole(media, found.own).await?;
    }
    let (state, history) = match base {
        Some((name, state)) => (state, name.chain.map(HistoryView::at)),
        None => {
            if journal::begins(&mut connection).await?.is_some_and(|begins| begins > 1) {
                bail!("the journal does not begin at sequence 1, and the bucket has no snapshot of it");
            }
            (State::new(), Some(HistoryView::at(Chain::GENESIS)))
        }
    };
    let (market_data, projected) = history::load_market_data(pool).await?;
    let mut expected = Expected { sequence: state.sequence() as i64 + 1, epoch: 0, history };
    let mut committed = Committed::new(state, market_data, projected);
    committed.begin_history(history);
    let committed = Arc::new(RwLock::new(committed));
    catch_up(&mut connection, &committed, &mut expected, through).await?;
    Ok(Rebuilt { committed, expected })
}
