//! `exchange serve`, assembled: listeners, readiness, the engine, and the order in which they end. Never: what they do.

use std::net::SocketAddr;

use anyhow::Context;
use service_kit::{
    admin::{self, Admin},
    health::Health,
    metrics::Metrics,
    shutdown::Shutdown,
    telemetry::LogLevel,
};
use tokio::net::TcpListener;

use crate::{config, metrics::EngineMetrics};

/// The subcommand.
pub async fn run(settings: config::Serve, level: LogLevel, shutdown: Shutdown) -> anyhow::Result<()> {
    let metrics = Metrics::new("exchange", env!("CARGO_PKG_VERSION"), option_env!("EXCHANGE_COMMIT"));
    let _engine_metrics = EngineMetrics::register(&metrics)?;
    let health = Health::new();
    let admin_listener = bind(settings.admin_listen, "EXCHANGE_ADMIN_LISTEN").await?;
    let part = shutdown.part("admin listener");
    admin::serve(admin_listener, shutdown.token().cancelled_owned(), Admin { metrics, health, log_level: level }).await?;
    drop(part);
    Ok(())
}

async fn bind(address: SocketAddr, setting: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("{setting}={address} cannot be bound"))
}
