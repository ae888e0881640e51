//! The life of a command that stays: telemetry, signals, admin listener, its work, the drain, and how it ended. Never: the work.

use std::{future::Future, net::SocketAddr, process::ExitCode};

use anyhow::Context;
use service_kit::{
    admin::{self, Admin},
    health::Health,
    metrics::Metrics,
    shutdown::Shutdown,
    telemetry::{self, LogLevel, Service},
};
use tokio::net::TcpListener;

use crate::config::Process;

const SERVICE: Service = Service { name: "logship", version: env!("CARGO_PKG_VERSION") };

/// What the work gets. It adds its latches to `health`, then calls [`Daemon::serve_admin`].
#[derive(Clone)]
pub struct Daemon {
    pub metrics: Metrics,
    pub health: Health,
    pub shutdown: Shutdown,
    level: LogLevel,
    admin_listen: SocketAddr,
}

impl Daemon {
    /// Metrics, liveness and readiness, until the process ends: so that the last minutes are scraped and readiness says no.
    ///
    /// # Errors
    /// When the address is taken.
    pub async fn serve_admin(&self) -> anyhow::Result<()> {
        let address = self.admin_listen;
        let listener =
            TcpListener::bind(address).await.with_context(|| format!("LOGSHIP_ADMIN_LISTEN: {address} cannot be bound"))?;
        tracing::info!(address = %listener.local_addr()?, "the admin listener listens");
        let admin = Admin { metrics: self.metrics.clone(), health: self.health.clone(), log_level: self.level.clone() };
        tokio::spawn(admin::serve(listener, std::future::pending(), admin));
        Ok(())
    }
}

/// Runs `work` until it ends, which it does once the shutdown has begun. One thread: a sidecar shares its node.
pub fn live<Work>(process: &Process, work: impl FnOnce(Daemon) -> Work) -> ExitCode
where
    Work: Future<Output = anyhow::Result<()>> + 'static,
{
    let telemetry = match telemetry::init(SERVICE, &process.telemetry) {
        Ok(telemetry) => telemetry,
        Err(error) => {
            eprintln!("logship: telemetry cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "the runtime cannot start");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(async {
        let shutdown = Shutdown::new(process.shutdown_deadline);
        shutdown.on_signals().context("listening to signals")?;
        let daemon = Daemon {
            metrics: Metrics::new(SERVICE.name, SERVICE.version, option_env!("LOGSHIP_COMMIT")),
            health: Health::new(),
            shutdown: shutdown.clone(),
            level: telemetry.log_level(),
            admin_listen: process.admin_listen,
        };
        let ended = work(daemon).await;
        // Work that ends by itself takes its parts with it.
        shutdown.begin("the work has ended");
        shutdown.drained().await;
        ended
    });
    match ended {
        Ok(()) => {
            tracing::info!("ended");
            ExitCode::SUCCESS
        }
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "ended by an error");
            ExitCode::FAILURE
        }
    }
}
