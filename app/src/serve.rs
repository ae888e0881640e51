//! This module assembles `exchange serve`: listeners, readiness, the engine, the API, and the order in which they stop. It must
//! not contain their work.

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use axum::Router;
use service_kit::{
    admin::{self, Admin},
    health::Health,
    metrics::Metrics,
    shutdown::Shutdown,
    telemetry::LogLevel,
};
use sqlx::{PgPool, postgres::PgPoolOptions};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    api_key::Vault,
    config,
    engine::{self, Engine, Replica, history::History, internal, projection},
    http,
    media::Media,
    metrics::{EngineMetrics, HttpMetrics, ObjectStorageMetrics, StreamMetrics},
    operator,
};

/// How long the last API requests may delay the hand-over.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// Listen addresses of a server.
pub struct Listeners {
    /// The API.
    pub http: TcpListener,
    /// Metrics, liveness, readiness.
    pub admin: TcpListener,
    /// The other replicas and operators.
    pub internal: TcpListener,
}

/// The subcommand.
pub async fn run(settings: config::Serve, level: LogLevel, shutdown: Shutdown) -> anyhow::Result<()> {
    let listeners = Listeners {
        http: bind(settings.http_listen, "EXCHANGE_HTTP_LISTEN").await?,
        admin: bind(settings.admin_listen, "EXCHANGE_ADMIN_LISTEN").await?,
        internal: bind(settings.internal_listen, "EXCHANGE_INTERNAL_LISTEN").await?,
    };
    Server::build(listeners, settings, level, shutdown)?.run().await
}

/// One replica with its listeners, ready to run.
pub struct Server {
    pub engine: Engine,
    pub health: Health,
    pub pool: PgPool,
    replica: Replica,
    listeners: Listeners,
    app: http::App,
    internal: Router,
    admin: Admin,
    shutdown: Shutdown,
}

impl Server {
    /// Does not connect yet: a database that is unreachable is retried, and readiness reports the wait. Call it inside the
    /// runtime.
    pub fn build(listeners: Listeners, settings: config::Serve, level: LogLevel, shutdown: Shutdown) -> anyhow::Result<Self> {
        let metrics = Metrics::new("exchange", env!("CARGO_PKG_VERSION"), option_env!("EXCHANGE_COMMIT"));
        let health = Health::new();
        let pool = PgPoolOptions::new()
            .max_connections(settings.database.pool_size)
            .connect_lazy_with(settings.database.options.clone().application_name("exchange serve"));
        let address = match settings.internal.advertise {
            Some(address) => address,
            None => listeners.internal.local_addr()?.to_string(),
        };
        let storage = ObjectStorageMetrics::register(&metrics)?;
        let media = settings.object_storage.as_ref().map(|settings| Media::new(settings, storage));
        let (engine, replica) = engine::start(engine::Parts {
            database: settings.database.options,
            pool: pool.clone(),
            media,
            address,
            queue_limit: settings.queue_limit,
            clock: engine::clock::Clock::new(settings.clock_bound),
            metrics: EngineMetrics::register(&metrics)?,
            health: health.clone(),
        });
        let vault = Vault::new(&settings.key_encryption_key, settings.key_encryption_key_previous.as_slice());
        let keys = http::Keys::new(vault.clone());
        let told = http::Settings {
            rate_limits: settings.rate_limits,
            trusted_proxies: settings.trusted_proxies,
            access_log: settings.access_log,
            write_timeout: settings.write_timeout,
            connections_per_address: settings.connections_per_address,
        };
        let replica_pool = settings.replica.map(|options| {
            let options = options.application_name("exchange serve");
            PgPoolOptions::new().max_connections(settings.database.pool_size).connect_lazy_with(options)
        });
        let history = History::new(pool.clone(), replica_pool, Arc::clone(engine.committed()));
        let operators = operator::routes(engine.clone(), pool.clone(), vault, keys.clone());
        let internal = internal::guarded(operators, settings.internal.token);
        let (rest, streams) = (HttpMetrics::register(&metrics)?, StreamMetrics::register(&metrics)?);
        let app = http::App::new(engine.clone(), history, keys, told, rest, streams);
        let admin = Admin { metrics, health: health.clone(), log_level: level };
        Ok(Self { engine, health, pool, replica, listeners, app, internal, admin, shutdown })
    }

    /// Serves until the shutdown, or until the replica cannot follow the journal.
    pub async fn run(self) -> anyhow::Result<()> {
        let Self { engine, pool, replica, listeners, app, internal, admin, shutdown, .. } = self;
        let token = shutdown.token();
        tokio::spawn(projection::follow(pool.clone(), Arc::clone(engine.committed()), token.clone()));
        tokio::spawn(app.keys.clone().follow(pool, token.clone()));
        let drained = CancellationToken::new();
        let (api, draining) = (http::serve(listeners.http, app, token.clone()), drained.clone().drop_guard());
        spawn(&shutdown, "API", async move {
            let _draining = draining;
            api.await
        });
        let ending = token.clone().cancelled_owned();
        spawn(&shutdown, "internal listener", async move {
            axum::serve(listeners.internal, internal).with_graceful_shutdown(ending).await
        });
        // Open until the end, so that Prometheus can scrape the last minutes and readiness reports the stop.
        tokio::spawn(admin::serve(listeners.admin, std::future::pending(), admin));
        replica.run(after_drain(token, drained)).await
    }
}

/// The moment at which the engine hands the lead over: after the API's last request is answered, or after a limit.
fn after_drain(shutdown: CancellationToken, drained: CancellationToken) -> CancellationToken {
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    tokio::spawn(async move {
        shutdown.cancelled().await;
        let _ = tokio::time::timeout(DRAIN_TIMEOUT, drained.cancelled()).await;
        stopping.cancel();
    });
    stop
}

/// A listener's task, which the shutdown waits for.
fn spawn(shutdown: &Shutdown, name: &'static str, serving: impl Future<Output = std::io::Result<()>> + Send + 'static) {
    let part = shutdown.part(name);
    tokio::spawn(async move {
        if let Err(error) = serving.await {
            tracing::error!(%error, listener = name, "a listener failed");
        }
        drop(part);
    });
}

async fn bind(address: SocketAddr, setting: &str) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("{setting}={address} cannot be bound"))?;
    tracing::info!(setting, address = %listener.local_addr()?, "listening");
    Ok(listener)
}
