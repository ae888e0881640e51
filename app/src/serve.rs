//! `exchange serve`, assembled: listeners, readiness, the engine, the API, and the order in which they end. Never: what they do.

use std::{future::Future, net::SocketAddr, sync::Arc};

use anyhow::Context;
use axum::Router;
use service_kit::{
    admin::{self, Admin},
    health::Health,
    metrics::Metrics,
    shutdown::Shutdown,
    telemetry::LogLevel,
};
use sqlx::postgres::PgPoolOptions;
use tokio::net::TcpListener;

use crate::{
    api_key::Vault,
    config,
    engine::{self, history::History, internal, projection},
    http,
    metrics::{EngineMetrics, HttpMetrics},
};

/// Where a server listens.
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
    serve(listeners, settings, level, shutdown).await
}

/// One replica, until the shutdown or until its journal cannot be followed.
pub async fn serve(listeners: Listeners, settings: config::Serve, level: LogLevel, shutdown: Shutdown) -> anyhow::Result<()> {
    let metrics = Metrics::new("exchange", env!("CARGO_PKG_VERSION"), option_env!("EXCHANGE_COMMIT"));
    let health = Health::new();
    let address = match settings.internal.advertise {
        Some(address) => address,
        None => listeners.internal.local_addr()?.to_string(),
    };
    // Lazy: an absent database is waited for, with readiness saying so.
    let pool = PgPoolOptions::new()
        .max_connections(settings.database.pool_size)
        .connect_lazy_with(settings.database.options.clone().application_name("exchange serve"));
    let (engine, replica) = engine::start(engine::Parts {
        database: settings.database.options,
        pool: pool.clone(),
        address,
        queue_limit: settings.queue_limit,
        metrics: EngineMetrics::register(&metrics)?,
        health: health.clone(),
    });
    tokio::spawn(projection::follow(pool.clone(), Arc::clone(engine.committed()), shutdown.token()));

    let keys = http::Keys::new(Vault::new(&settings.key_encryption_key, &[]));
    tokio::spawn(keys.clone().follow(pool.clone(), shutdown.token()));
    let limits = http::Settings { rate_limits: settings.rate_limits, trusted_proxies: settings.trusted_proxies };
    let replica_pool = settings.replica.map(|options| {
        let options = options.application_name("exchange serve");
        PgPoolOptions::new().max_connections(settings.database.pool_size).connect_lazy_with(options)
    });
    let history = History::new(pool, replica_pool, Arc::clone(engine.committed()));
    let app = http::App::new(engine, history, keys, limits, HttpMetrics::register(&metrics)?);
    spawn(&shutdown, "API", http::serve(listeners.http, app, shutdown.token()));

    let internal = internal::guarded(Router::new(), settings.internal.token);
    let ending = shutdown.token().cancelled_owned();
    spawn(&shutdown, "internal listener", async move {
        axum::serve(listeners.internal, internal).with_graceful_shutdown(ending).await
    });
    // Open until the very end, so that the last minutes are scraped and readiness says no.
    tokio::spawn(admin::serve(listeners.admin, std::future::pending(), Admin { metrics, health, log_level: level }));
    replica.run(shutdown.token()).await
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
