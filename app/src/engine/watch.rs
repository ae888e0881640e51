//! This module monitors the database and the bucket while a replica runs. It must not lead or follow.
//!
//! - It compares this machine's clock with the database's.
//! - It checks whether commits wait for a standby, and whether the bucket proves a loss.
//! - It reports the replica to the database.

use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use sqlx::PgPool;
use tokio::time::{sleep, timeout};

use super::shared::Shared;
use crate::{
    db::replicas::{self, DatabaseRefusal, ServerReport},
    media::Media,
    snapshot,
    survey::Survey,
};

/// Between two reports.
const REPORT: Duration = Duration::from_secs(1);
/// Time limit of one check.
const DEADLINE: Duration = Duration::from_secs(5);
/// Pause between attempts to reach a bucket that did not answer at the start.
const STORAGE_LOOK: Duration = Duration::from_secs(2);
const MICROSECONDS: f64 = 1e6;

/// Measures and reports while the engine has an owner.
pub(super) async fn report_server(shared: Weak<Shared>, pool: PgPool, address: String) {
    loop {
        let Some(shared) = shared.upgrade() else { return };
        hash_checkpoint(&shared).await;
        if let Ok(Err(error)) = timeout(DEADLINE, look(&shared, &pool, &address)).await {
            tracing::debug!(%error, "failed to report to the database");
        }
        let deviates = shared.clock.check();
        if shared.metrics.clock_deviates.get() == 0
            && let Err(reason) = &deviates
        {
            tracing::error!(reason, "the clock deviates from the database's");
        }
        shared.metrics.clock_deviates.set(i64::from(deviates.is_err()));
        shared.metrics.refused.set(i64::from(shared.refusal.lock().is_some()));
        drop(shared);
        sleep(REPORT).await;
    }
}

async fn look(shared: &Shared, pool: &PgPool, address: &str) -> sqlx::Result<()> {
    let mut connection = pool.acquire().await?;
    let sent = Instant::now();
    let seen = replicas::look(&mut connection).await?;
    shared.clock.measured(sent, seen.clock);
    let offset = shared.clock.offset().unwrap_or_default();
    shared.metrics.clock_offset.set(offset as f64 / MICROSECONDS);
    shared.metrics.synchronous_standbys.set(i64::from(seen.waits_for_standbys));
    shared.metrics.loss_declared.set(seen.loss_declared);
    let report = ServerReport {
        address: address.to_owned(),
        clock_offset: offset,
        refusal: shared.refusal.lock().clone(),
        compared: *shared.compared.lock(),
    };
    replicas::record_report(&mut connection, &report).await
}

/// Hashes the state that the fold captured at the turn of the minute, outside the fold.
async fn hash_checkpoint(shared: &Shared) {
    let Some((state, history)) = shared.committed.write().take_checkpoint() else { return };
    let hashed = tokio::task::spawn_blocking(move || (state.sequence() as i64, snapshot::state_hash(&state))).await;
    if let Ok((sequence, hash)) = hashed {
        *shared.compared.lock() = Some((sequence, hash, history.map(|history| history.chain)));
    }
}

/// Polls a bucket that did not answer at the start until it does. If it proves that this database lost events, the replica steps
/// down.
pub(super) async fn bucket(shared: Weak<Shared>, pool: PgPool, media: Media) {
    loop {
        sleep(STORAGE_LOOK).await;
        let Some(shared) = shared.upgrade() else { return };
        let Some(since) = *shared.unchecked_since.lock() else { continue };
        check(&shared, &pool, &media, since).await;
    }
}

async fn check(shared: &Arc<Shared>, pool: &PgPool, media: &Media, since: i64) {
    let Ok(mut connection) = pool.acquire().await else { return };
    match Survey::take(media, &mut connection).await {
        Ok(found) => match found.refusal(since) {
            Some(DatabaseRefusal { reason, .. }) => {
                if shared.step_down.borrow().is_none() {
                    tracing::error!(reason, "stepping down");
                    shared.step_down.send_replace(Some(reason));
                }
            }
            None => {
                *shared.unchecked_since.lock() = None;
                shared.metrics.history_checked.set(1);
                tracing::info!("the bucket contains no event that this database lacks");
            }
        },
        Err(error) => tracing::debug!(%error, "the bucket did not answer; retrying"),
    }
}
