//! `exchange serve`, assembled: listeners, readiness, the engine, and the order in which they end. Never: what they do.

use std::{future::IntoFuture, net::SocketAddr, sync::Arc};

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
    config,
    engine::{self, internal, projection},
    metrics::EngineMetrics,
};

/// The subcommand.
pub async fn run(settings: config::Serve, level: LogLevel, shutdown: Shutdown) -> anyhow::Result<()> {
    let metrics = Metrics::new("exchange", env!("CARGO_PKG_VERSION"), option_env!("EXCHANGE_COMMIT"));
    let health = Health::new();
    let admin_listener = bind(settings.admin_listen, "EXCHANGE_ADMIN_LISTEN").await?;
    let internal_listener = bind(settings.internal_listen, "EXCHANGE_INTERNAL_LISTEN").await?;
    let address = match settings.internal.advertise {
        Some(address) => address,
        None => internal_listener.local_addr()?.to_string(),
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

    // Open until the very end, so that the last minutes are scraped and readiness says no.
    tokio::spawn(admin::serve(admin_listener, std::future::pending(), Admin { metrics, health, log_level: level }));
    let internal = internal::guarded(Router::new(), settings.internal.token);
    let internal = axum::serve(internal_listener, internal).with_graceful_shutdown(shutdown.token().cancelled_owned());
    let part = shutdown.part("internal listener");
    tokio::spawn(async move {
        if let Err(error) = internal.into_future().await {
            tracing::error!(%error, "the internal listener failed");
        }
        drop(part);
    });
    tokio::spawn(projection::follow(pool, Arc::clone(engine.committed()), shutdown.token()));
    replica.run(shutdown.token()).await
}

async fn bind(address: SocketAddr, setting: &str) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("{setting}={address} cannot be bound"))?;
    tracing::info!(setting, address = %listener.local_addr()?, "listening");
    Ok(listener)
}
