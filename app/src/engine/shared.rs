//! This module holds the data that the handle, the leader and the follower of one replica share. It must not make a decision.

use std::{sync::Arc, time::Duration};

use parking_lot::{Mutex, RwLock};
use sqlx::PgPool;
use tokio::sync::{broadcast, watch};

use super::{
    clock::Clock,
    committed::Committed,
    forward::Forward,
    handle::Queue,
    lag::Lag,
    lease::Lease,
    order_limits::OrderLimits,
    push::{PUSHES, Push},
    questions::Questions,
    registry::Registry,
    replay::Rebuilt,
    weights::Weights,
};
use crate::{
    db::{
        journal,
        replicas::{DatabaseRefusal, HashedState},
    },
    metrics::{EngineMetrics, FollowerMetrics},
};

pub(super) struct Shared {
    pub queue: Queue,
    /// The source of every read: durable events only.
    pub committed: Arc<RwLock<Committed>>,
    pub metrics: EngineMetrics,
    pub leads: watch::Sender<bool>,
    pub clock: Clock,
    /// Why this replica refuses the database.
    pub refusal: Mutex<Option<DatabaseRefusal>>,
    /// Why this replica must stop leading: objects in the bucket prove that the database lost events.
    pub step_down: watch::Sender<Option<String>>,
    /// The bucket did not answer at the start; the journal ended at this sequence then.
    pub unchecked_since: Mutex<Option<i64>>,
    /// Sequence, SHA-256 and chain of the last state hashed for the comparison between servers.
    pub compared: Mutex<Option<HashedState>>,
    /// The replica that leads according to the head row; `None`: unknown, or this one.
    pub leader: watch::Sender<Option<LeaderAt>>,
    pub lease: Lease,
    pub lag: Lag,
    /// Commands that wait for another replica's decision.
    pub forward: Arc<Forward>,
    /// Reads that wait for the leader's sequence.
    pub questions: Questions,
    /// This leader's committed batches.
    pub pushes: broadcast::Sender<Arc<Push>>,
    /// This leader's followers.
    pub links: Registry,
    pub follower: FollowerMetrics,
    pub order_limits: OrderLimits,
    /// A state for this replica's task, which replaces one that differs from the journal.
    pub rebuilt: Mutex<Option<Rebuilt>>,
    /// Why this leader must step down and rebuild its state: a follower proved that it differs from the journal.
    pub accused: watch::Sender<Option<String>>,
    pub weights: Weights,
    pool: PgPool,
}

/// Another replica that leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaderAt {
    /// host:port of its internal listener.
    pub address: String,
    pub epoch: i64,
}

impl Shared {
    pub fn new(
        queue: Queue,
        committed: Arc<RwLock<Committed>>,
        metrics: (EngineMetrics, FollowerMetrics),
        forward: Arc<Forward>,
        clock: Clock,
        order_limits: OrderLimits,
        pool: PgPool,
    ) -> Self {
        let (metrics, follower) = metrics;
        Self {
            queue,
            committed,
            metrics,
            leads: watch::Sender::new(false),
            clock,
            refusal: Mutex::default(),
            step_down: watch::Sender::new(None),
            unchecked_since: Mutex::default(),
            compared: Mutex::default(),
            leader: watch::Sender::new(None),
            lease: Lease::default(),
            lag: Lag::default(),
            forward,
            questions: Questions::default(),
            pushes: broadcast::Sender::new(PUSHES),
            links: Registry::default(),
            order_limits,
            rebuilt: Mutex::default(),
            accused: watch::Sender::new(None),
            weights: Weights::default(),
            follower,
            pool,
        }
    }

    pub fn set_leads(&self, leads: bool) {
        if leads {
            self.links.begin_term();
        }
        self.leads.send_replace(leads);
        self.metrics.leader.set(i64::from(leads));
        if leads {
            self.leader.send_replace(None);
            self.forward.leads();
            self.questions.answer(self.committed.read().state.sequence());
        } else {
            self.forward.set_alone(true);
        }
    }

    pub fn is_leader(&self) -> bool {
        *self.leads.borrow()
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
