//! What the handle, the leader and the follower of one replica share. Never: a decision.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::RwLock;
use sqlx::PgPool;

use super::{committed::Committed, handle::Queue};
use crate::{db::journal, metrics::EngineMetrics};

pub(super) struct Shared {
    pub queue: Queue,
    /// What every read is served from: durable events only.
    pub committed: Arc<RwLock<Committed>>,
    pub metrics: EngineMetrics,
    pub leads: AtomicBool,
    pool: PgPool,
}

impl Shared {
    pub fn new(queue: Queue, committed: Arc<RwLock<Committed>>, metrics: EngineMetrics, pool: PgPool) -> Self {
        Self { queue, committed, metrics, leads: AtomicBool::new(false), pool }
    }

    pub fn set_leads(&self, leads: bool) {
        self.leads.store(leads, Ordering::Release);
        self.metrics.leader.set(i64::from(leads));
    }

    /// Attaches the journal's next partition beside the leader's work. There is a whole partition's time to succeed in.
    pub fn attach_partitions(&self) {
        let pool = self.pool.clone();
        tokio::spawn(async move {
            loop {
                let attached = async { journal::attach_partitions(&mut *pool.acquire().await?).await };
                match attached.await {
                    Ok(()) => return,
                    Err(error) => tracing::error!(%error, "the journal's next partition could not be attached; trying again"),
                }
                tokio::time::sleep(ATTACH_RETRY).await;
            }
        });
    }
}

const ATTACH_RETRY: Duration = Duration::from_secs(10);
