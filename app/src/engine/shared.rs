//! What the handle, the leader and the follower of one replica share. Never: a decision.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::{Mutex, RwLock};
use sqlx::PgPool;
use tokio::sync::watch;

use super::{clock::Clock, committed::Committed, handle::Queue};
use crate::{
    db::{journal, replicas::Compared},
    metrics::EngineMetrics,
};

pub(super) struct Shared {
    pub queue: Queue,
    /// What every read is served from: durable events only.
    pub committed: Arc<RwLock<Committed>>,
    pub metrics: EngineMetrics,
    pub leads: AtomicBool,
    pub clock: Clock,
    /// Why this replica refuses the database.
    pub refusal: Mutex<Option<String>>,
    /// Why this replica must stop leading: the bucket proves that the database lost events.
    pub step_down: watch::Sender<Option<String>>,
    /// The bucket could not be asked at the start, when the journal ended here.
    pub unchecked_since: Mutex<Option<i64>>,
    /// Sequence, SHA-256 and chain of the last state that was hashed for the comparison with others.
    pub compared: Mutex<Option<Compared>>,
    pool: PgPool,
}

impl Shared {
    pub fn new(queue: Queue, committed: Arc<RwLock<Committed>>, metrics: EngineMetrics, clock: Clock, pool: PgPool) -> Self {
        Self {
            queue,
            committed,
            metrics,
            leads: AtomicBool::new(false),
            clock,
            refusal: Mutex::default(),
            step_down: watch::Sender::new(None),
            unchecked_since: Mutex::default(),
            compared: Mutex::default(),
            pool,
        }
    }

    pub fn set_leads(&self, leads: bool) {
        self.leads.store(leads, Ordering::Release);
        self.metrics.leader.set(i64::from(leads));
    }

    pub fn pool(&self) -> PgPool {
        self.pool.clone()
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
