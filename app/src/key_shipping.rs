//! This module ships changes of the API keys to object storage while this replica leads, revocations included. It must not change a
//! key.

use std::time::Duration;

use sqlx::PgPool;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    api_key::Vault,
    db::{api_keys, shipping},
    engine::Engine,
    key_objects::{self, KeyObjectName},
    media::Media,
    metrics::ShipMetrics,
};

/// Interval between looks at the newest revision.
const POLL: Duration = Duration::from_millis(500);
const DEADLINE: Duration = Duration::from_secs(10);
/// Objects with changes after which a full one replaces them.
const CHANGES_MAX: usize = 128;

/// The parts of the task.
pub struct KeyShipping {
    pub engine: Engine,
    pub pool: PgPool,
    pub media: Media,
    pub vault: Vault,
    pub metrics: ShipMetrics,
}

/// What this leader shipped.
struct Shipped {
    revision: i64,
    changes: usize,
}

impl KeyShipping {
    /// Runs until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let (mut shipped, mut failing): (Option<Shipped>, Option<Instant>) = (None, None);
        let mut polls = interval(POLL);
        polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(polls.tick()).await.is_some() {
            if !self.engine.is_leader() {
                // Another leader may ship: ask the bucket again.
                (shipped, failing) = (None, None);
                self.metrics.key_lag.set(0.0);
                continue;
            }
            let done = timeout(DEADLINE, self.ship(&mut shipped)).await;
            match done.unwrap_or_else(|_| Err(anyhow::anyhow!("no answer within {} s", DEADLINE.as_secs()))) {
                Ok(()) => {
                    if failing.take().is_some() {
                        tracing::info!("the API keys are shipped again");
                    }
                    self.metrics.key_lag.set(0.0);
                }
                Err(error) => {
                    self.metrics.failures.inc();
                    let since = *failing.get_or_insert_with(|| {
                        tracing::warn!(error = format!("{error:#}"), "failed to ship the API keys; retrying");
                        Instant::now()
                    });
                    self.metrics.key_lag.set(since.elapsed().as_secs_f64());
                }
            }
        }
    }

    async fn ship(&self, shipped: &mut Option<Shipped>) -> anyhow::Result<()> {
        if shipped.is_none() {
            *shipped = self.known().await?;
        }
        let newest = api_keys::newest_revision(&self.pool).await?;
        let known = shipped.as_ref().filter(|shipped| shipped.revision <= newest && shipped.changes < CHANGES_MAX);
        if known.is_some_and(|shipped| shipped.revision == newest) {
            return Ok(());
        }
        let generation = shipping::generation(&mut *self.pool.acquire().await?).await?;
        let after = known.map_or(0, |shipped| shipped.revision);
        let rows = api_keys::changed_since(&self.pool, after).await?;
        let through = rows.last().map_or(newest, |row| row.revision);
        let name = KeyObjectName { generation, after, through };
        key_objects::write_keys(&self.media, &self.vault, name, &rows).await?;
        let changes = if name.is_full() { 0 } else { known.map_or(0, |shipped| shipped.changes) + 1 };
        *shipped = Some(Shipped { revision: through, changes });
        if name.is_full() {
            self.delete_before(name).await?;
        }
        self.metrics.key_revision.set(through);
        Ok(())
    }

    /// What an earlier leader of this history shipped.
    async fn known(&self) -> anyhow::Result<Option<Shipped>> {
        let generation = shipping::generation(&mut *self.pool.acquire().await?).await?;
        let names: Vec<_> =
            key_objects::list_key_objects(&self.media).await?.into_iter().filter(|name| name.generation == generation).collect();
        let (chosen, last) = key_objects::newest(&names);
        let revision = chosen.last().map(|name| name.through).filter(|through| *through == last);
        Ok(revision.map(|revision| Shipped { revision, changes: chosen.len() - 1 }))
    }

    /// A full object replaces everything of its generation before it.
    async fn delete_before(&self, full: KeyObjectName) -> anyhow::Result<()> {
        for name in key_objects::list_key_objects(&self.media).await? {
            if name.generation == full.generation && name.through <= full.through && name != full {
                key_objects::delete(&self.media, name).await?;
            }
        }
        Ok(())
    }
}
