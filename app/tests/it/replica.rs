//! This module is an engine without an API, for tests that break the parts below it.

use exchange::{
    engine::{self, CommandReply, Engine, SubmitError, clock::Clock},
    media::Media,
    metrics::{EngineMetrics, FollowerMetrics, ShipMetrics},
};
use exchange_core::{
    command::{AdminAction, Command, Operator},
    order::AccountId,
};
use service_kit::{health::Health, metrics::Metrics};
use sqlx::{Connection, PgConnection, PgPool, SqlSafeStr};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::eventually::until;

/// Of the internal listener; these replicas have none.
const TOKEN: &str = "of-the-tests";

pub struct TestReplica {
    pub engine: Engine,
    pub health: Health,
    pub metrics: Metrics,
    pub stop: CancellationToken,
    pub task: JoinHandle<anyhow::Result<()>>,
    pub clock: Clock,
}

impl TestReplica {
    /// An engine on the database at `url`, which may be a proxy's.
    pub fn start(url: &str) -> Self {
        Self::build(url, 1024, None, TOKEN)
    }

    pub fn with_queue(url: &str, queue_limit: usize) -> Self {
        Self::build(url, queue_limit, None, TOKEN)
    }

    /// One with snapshots in object storage.
    pub fn with_media(url: &str, media: Media) -> Self {
        Self::build(url, 1024, Some(media), TOKEN)
    }

    /// One with another token for the internal listeners of its peers.
    pub fn with_token(url: &str, token: &str) -> Self {
        Self::build(url, 1024, None, token)
    }

    fn build(url: &str, queue_limit: usize, media: Option<Media>, token: &str) -> Self {
        let clock = Clock::new(exchange::config::CLOCK_BOUND);
        let (metrics, health) = (Metrics::new("exchange", "test", None), Health::new());
        let (engine, replica) = engine::start(engine::EngineParts {
            database: url.parse().unwrap(),
            pool: PgPool::connect_lazy(url).unwrap(),
            media,
            address: "127.0.0.1:1".into(),
            queue_limit,
            clock: clock.clone(),
            token: token.to_owned().into(),
            lag_max: std::time::Duration::from_secs(5),
            order_limits: engine::OrderLimits::NONE,
            metrics: EngineMetrics::register(&metrics).unwrap(),
            follower: FollowerMetrics::register(&metrics).unwrap(),
            ship: ShipMetrics::register(&metrics).unwrap(),
            health: health.clone(),
        });
        let stop = CancellationToken::new();
        let task = tokio::spawn(replica.run(stop.clone(), stop.clone()));
        Self { engine, health, metrics, stop, task, clock }
    }

    /// An engine that leads.
    pub async fn leading(url: &str) -> Self {
        let replica = Self::start(url);
        replica.leads().await;
        replica
    }

    pub async fn leads(&self) {
        until("the replica leads", || async { self.engine.is_leader() }).await;
    }

    /// Hands the lead over and stops.
    pub async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }

    /// Creates an account. Its id is the next one, so ids show which commands were executed before.
    pub async fn create_account(&self, reference: &str) -> Result<CommandReply, SubmitError> {
        self.engine.submit(create_account(reference), None).await
    }

    /// The account's id in the committed state.
    pub fn account(&self, reference: &str) -> Option<AccountId> {
        self.engine.committed().read().state.account_by_reference(reference).map(|account| account.id)
    }

    pub fn sequence(&self) -> u64 {
        self.engine.committed().read().state.sequence()
    }

    /// The reason of the closed latch, or its remark while it is open.
    pub fn reason(&self, latch: &str) -> Option<String> {
        let state = self.health.latches().into_iter().find(|state| state.name == latch).expect("a latch of that name");
        state.reason.or(state.note)
    }
}

pub fn create_account(reference: &str) -> Command {
    let operator = Operator { actor: "test".into(), reason: "test".into() };
    Command::Admin { operator, action: AdminAction::CreateAccount { reference: reference.into() } }
}

/// A new database with this release's schema.
pub async fn database() -> String {
    let url = local_parts::shared_postgres().await.unwrap().create_database().await.unwrap();
    migrate(&url).await;
    url
}

pub async fn migrate(url: &str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    exchange::db::migrate::apply(&mut connection).await.unwrap();
}

/// One number of one row.
pub async fn number(url: &str, query: &'static str) -> i64 {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::query_scalar(query).fetch_one(&mut connection).await.unwrap()
}

/// Runs a statement on the database without the engine's knowledge.
pub async fn execute(url: &str, statement: impl SqlSafeStr) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::query(statement).execute(&mut connection).await.unwrap();
}
