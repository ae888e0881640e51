//! This module is the shell around the pure core: leadership, durability and answers. It must not contain a matching rule or SQL
//! text.
//!
//! [`start`] returns two ends: an [`Engine`] for callers, and a [`Replica`] to run. The replica follows the journal (`replica`,
//! `replay`), claims the lead when it is free (`head`), and then leads (`leader`, `batch`) until it is stopped, deposed or
//! disconnected. It looks up a commit whose outcome is unknown (`doubt`).

mod batch;
mod claims;
pub mod clock;
pub mod committed;
mod declared;
mod difference;
mod doubt;
pub mod feed;
mod fingerprint;
mod forward;
mod gauges;
mod handle;
mod head;
pub mod history;
pub mod internal;
mod lag;
mod lag_latch;
mod latches;
mod leader;
mod lease;
pub mod link;
mod order_limits;
pub mod peers;
pub mod projection;
mod push;
mod questions;
mod reads;
mod recovery;
mod registry;
mod replay;
mod replica;
mod shared;
mod ship;
mod spans;
pub mod tail;
mod watch;
mod weight_reports;
pub mod weights;

use std::{sync::Arc, time::Duration};

use exchange_core::{State, command::Command, market_data::MarketData, money::Time};
use parking_lot::RwLock;
use service_kit::{config::Secret, health::Health};
use sqlx::{PgPool, postgres::PgConnectOptions};

use committed::Committed;
pub use forward::HOLD;
pub use handle::{CommandReply, SubmitError};
pub use order_limits::{OrderLimits, TooManyOrders};
pub use reads::ReadsError;
pub use replica::Replica;

use crate::{
    media::Media,
    metrics::{EngineMetrics, FollowerMetrics, ShipMetrics},
};

/// The parts of a replica.
pub struct EngineParts {
    /// For the journal's own connection.
    pub database: PgConnectOptions,
    /// For all other uses.
    pub pool: PgPool,
    /// Object storage with the snapshots; `None`: a recovery reads the whole journal.
    pub media: Option<Media>,
    /// host:port of this replica's internal listener.
    pub address: String,
    /// Queued commands after which new ones are refused.
    pub queue_limit: usize,
    /// This machine's clock, with its largest allowed difference from the database's.
    pub clock: clock::Clock,
    /// Token of the leader's internal listener.
    pub token: Secret,
    /// A follower further behind the journal is not ready.
    pub lag_max: Duration,
    /// Unfilled orders per account, while this replica leads.
    pub order_limits: OrderLimits,
    pub metrics: EngineMetrics,
    pub follower: FollowerMetrics,
    pub ship: ShipMetrics,
    pub health: Health,
}

/// The engine in the API's view. Clones are cheap and share the engine.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<shared::Shared>,
}

/// Creates an engine and the task that drives it. Call it inside the runtime.
pub fn start(parts: EngineParts) -> (Engine, Replica) {
    parts.metrics.start_at_zero();
    parts.follower.start_at_zero();
    let (queue, submissions) = handle::Queue::new(parts.queue_limit, parts.metrics.clone());
    let empty = Committed::new(State::new(), MarketData::new(), 0);
    let committed = Arc::new(RwLock::new(empty));
    let forward = Arc::new(forward::Forward::new(parts.queue_limit, parts.follower.clone()));
    committed.write().complete_forwarded(Arc::clone(&forward));
    let metrics = (parts.metrics, parts.follower);
    let shared =
        Arc::new(shared::Shared::new(queue, committed, metrics, forward, parts.clock, parts.order_limits, parts.pool.clone()));
    let latches = latches::Latches::new(&parts.health);
    let following = parts.health.latch("following", "not measured yet");
    tokio::spawn(lag_latch::watch_lag(Arc::downgrade(&shared), following, parts.lag_max));
    let (batches, pushed) = tokio::sync::mpsc::channel(link::client::RECEIVED);
    tokio::spawn(link::client::follow_leader(Arc::downgrade(&shared), parts.token.clone(), batches));
    tokio::spawn(weight_reports::report_weights(Arc::downgrade(&shared)));
    tokio::spawn(difference::watch_difference(Arc::downgrade(&shared), parts.pool.clone(), parts.media.clone()));
    tokio::spawn(watch::report_server(Arc::downgrade(&shared), parts.pool.clone(), parts.address.clone()));
    if let Some(media) = &parts.media {
        tokio::spawn(watch::bucket(Arc::downgrade(&shared), parts.pool.clone(), media.clone()));
        let shipping = ship::ShipParts { pool: parts.pool.clone(), media: media.clone(), metrics: parts.ship };
        tokio::spawn(ship::run(Arc::downgrade(&shared), shipping));
    }
    tokio::spawn(gauges::refresh(Arc::downgrade(&shared), parts.health));
    let replica = Replica {
        shared: Arc::clone(&shared),
        submissions,
        database: parts.database,
        address: parts.address,
        peers: peers::Peers::new(parts.token),
        compared_with_peers: None,
        latches,
        recovery: recovery::Recovery::new(parts.pool, parts.media),
        expected: None,
        confirmed: 0,
        held: None,
        doubt: None,
        declared: declared::Declared::default(),
        fruitless: 0,
        claims: claims::RefusedClaims::default(),
        pushed,
        retired: false,
    };
    (Engine { shared }, replica)
}

impl Engine {
    /// Submits a command to the leader, here or on another replica, and waits for its durable answer. An operator's command is
    /// not forwarded.
    ///
    /// `valid_until` (µs, raw clock) is the end of the request's recvWindow, checked again immediately before the decision.
    ///
    /// # Errors
    ///
    /// Returns `Unavailable` if no replica led within [`forward::HOLD`], and `Unknown` if the command was sent to a leader that
    /// did not answer.
    pub async fn submit(&self, command: Command, valid_until: Option<Time>) -> Result<CommandReply, SubmitError> {
        let queue = &self.shared.queue;
        let forwards = || command.is_forwarded() && forward::permitted(&self.shared.committed.read().state);
        loop {
            if queue.is_open() {
                match queue.submit(command.clone(), valid_until).await {
                    // The lead went to another replica before the decision.
                    Err(SubmitError::Unavailable) if forwards() => {}
                    answer => return answer,
                }
            } else if !forwards() {
                return queue.submit(command, valid_until).await;
            }
            match self.shared.forward.submit(command.clone(), valid_until, || queue.is_open()).await {
                forward::ForwardEnd::Answered(answer) => return answer,
                forward::ForwardEnd::LeadsHere => {}
            }
        }
    }

    /// This machine's clock.
    pub fn clock(&self) -> &clock::Clock {
        &self.shared.clock
    }

    /// The source of every read: durable events only.
    pub fn committed(&self) -> &Arc<RwLock<Committed>> {
        &self.shared.committed
    }

    /// Shares request weights with the other replicas.
    pub fn share_weights(&self, table: Arc<dyn weights::WeightTable>) {
        self.shared.weights.share(table);
    }

    /// Whether the leader counts unfilled orders for all replicas: from feature level 3 on.
    pub fn counts_orders(&self) -> bool {
        forward::permitted(&self.shared.committed.read().state)
    }

    /// Other replicas that follow this leader by a connection.
    pub fn followers(&self) -> usize {
        self.shared.links.count()
    }

    /// Whether this replica leads, to its knowledge.
    pub fn is_leader(&self) -> bool {
        self.shared.is_leader()
    }
}
