//! This module holds the data that the handle, the leader and the follower of one replica share. It must not make a decision.

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
    /// The source of every read: durable events only.
    pub committed: Arc<RwLock<Committed>>,
    pub metrics: EngineMetrics,
    pub leads: AtomicBool,
    pub clock: Clock,
    /// Why this replica refuses the database.
    pub refusal: Mutex<Option<String>>,
    /// Why this replica must stop leading: objects in the bucket prove that the database lost events.
    pub step_down: watch::Sender<Option<String>>,
    /// The bucket did not answer at the start; the journal ended at this sequence then.
    pub unchecked_since: Mutex<Option<i64>>,
    /// Sequence, SHA-256 and chain of the last state hashed for the comparison between servers.
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

    /// Attaches the journal's next partition in parallel to the leader's work. The time to fill a whole partition remains for it
    /// to succeed.
    pub fn attach_partitions(&self) {
        let pool = self.pool.clone();
        tokio::spawn(async move {
            loop {
                let attached = async { journal::attach_partitions(&mut *pool.acquire().await?).await };
                match attached.await {
                    Ok(()) => return,
                    Err(error) => tracing::error!(%error, "failed to attach the journal's next partition; retrying"),
                }
                tokio::time::sleep(ATTACH_RETRY).await;
            }
        });
    }
}

const ATTACH_RETRY: Duration = Duration::from_secs(10);
