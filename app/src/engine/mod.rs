//! This module is the shell around the pure core: leadership, durability and answers. It must not contain a matching rule or SQL
//! text.
//!
//! [`start`] returns two ends: an [`Engine`] for callers, and a [`Replica`] to run. The replica follows the journal (`replica`,
//! `replay`), claims the lead when it is free (`head`), and then leads (`leader`, `batch`) until it is stopped, deposed or
//! disconnected. It looks up a commit whose outcome is unknown (`doubt`).

mod batch;
pub mod clock;
pub mod committed;
mod declared;
mod doubt;
pub mod feed;
mod gauges;
mod handle;
mod head;
pub mod history;
pub mod internal;
mod latches;
mod leader;
pub mod projection;
mod recovery;
mod replay;
mod replica;
mod shared;
pub mod tail;
mod watch;

use std::sync::{Arc, atomic::Ordering};

use exchange_core::{State, command::Command, market_data::MarketData, money::Time};
use parking_lot::RwLock;
use service_kit::health::Health;
use sqlx::{PgPool, postgres::PgConnectOptions};

use committed::Committed;
pub use handle::{Reply, SubmitError};
pub use replica::Replica;

use crate::{media::Media, metrics::EngineMetrics};

/// The parts of a replica.
pub struct Parts {
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
    pub metrics: EngineMetrics,
    pub health: Health,
}

/// The engine in the API's view. Clones are cheap and share the engine.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<shared::Shared>,
}

/// Creates an engine and the task that drives it. Call it inside the runtime.
pub fn start(parts: Parts) -> (Engine, Replica) {
    parts.metrics.start_at_zero();
    let (queue, submissions) = handle::Queue::new(parts.queue_limit, parts.metrics.clone());
    let empty = Committed::new(State::new(), MarketData::new(), 0);
    let committed = Arc::new(RwLock::new(empty));
    let shared = Arc::new(shared::Shared::new(queue, committed, parts.metrics, parts.clock, parts.pool.clone()));
    let latches = latches::Latches::new(&parts.health);
    tokio::spawn(watch::report(Arc::downgrade(&shared), parts.pool.clone(), parts.address.clone()));
    if let Some(media) = &parts.media {
        tokio::spawn(watch::bucket(Arc::downgrade(&shared), parts.pool.clone(), media.clone()));
    }
    tokio::spawn(gauges::refresh(Arc::downgrade(&shared), parts.health));
    let replica = Replica {
        shared: Arc::clone(&shared),
        submissions,
        database: parts.database,
        address: parts.address,
        latches,
        recovery: recovery::Recovery::new(parts.pool, parts.media),
        expected: None,
        confirmed: 0,
        held: None,
        doubt: None,
        declared: declared::Declared::default(),
        fruitless: 0,
    };
    (Engine { shared }, replica)
}

impl Engine {
    /// Submits a command to the leader and waits for its durable answer.
    ///
    /// `valid_until` (µs, raw clock) is the end of the request's recvWindow, checked again immediately before the decision.
    pub async fn submit(&self, command: Command, valid_until: Option<Time>) -> Result<Reply, SubmitError> {
        self.shared.queue.submit(command, valid_until).await
    }

    /// The source of every read: durable events only.
    pub fn committed(&self) -> &Arc<RwLock<Committed>> {
        &self.shared.committed
    }

    /// Whether this replica leads, to its knowledge.
    pub fn is_leader(&self) -> bool {
        self.shared.leads.load(Ordering::Acquire)
    }
}
