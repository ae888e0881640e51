//! This module runs a long-lived command: telemetry, signals, admin listener, work, drain and the log of its end. It must
//! not contain the work.

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

const NAME: &str = "logship";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The arguments of the work. The work adds its latches to `health`, then calls [`Daemon::serve_admin`].
#[derive(Clone)]
pub struct Daemon {
    pub metrics: Metrics,
    pub health: Health,
    pub shutdown: Shutdown,
    level: LogLevel,
    admin_listen: SocketAddr,
}

impl Daemon {
    /// Serves metrics, liveness and readiness until the process ends, so that the last minutes are scraped and readiness
    /// reports the shutdown.
    ///
    /// # Errors
    /// Returns an error if the address is taken.
    pub async fn serve_admin(&self) -> anyhow::Result<()> {
        let address = self.admin_listen;
        let listener =
            TcpListener::bind(address).await.with_context(|| format!("LOGSHIP_ADMIN_LISTEN: {address} cannot be bound"))?;
        tracing::info!(address = %listener.local_addr()?, "the admin listener started");
        let admin = Admin { metrics: self.metrics.clone(), health: self.health.clone(), log_level: self.level.clone() };
        tokio::spawn(admin::serve(listener, std::future::pending(), admin));
        Ok(())
    }
}

/// Runs `work` under the name of its role until it ends. It ends after the shutdown begins. One thread: a sidecar shares its node.
pub fn live<Work>(role: &'static str, process: &Process, work: impl FnOnce(Daemon) -> Work) -> ExitCode
where
    Work: Future<Output = anyhow::Result<()>> + 'static,
{
    let telemetry = match telemetry::init(Service { name: NAME, version: VERSION, role }, &process.telemetry) {
        Ok(telemetry) => telemetry,
        Err(error) => {
            eprintln!("logship: failed to start telemetry: {error}");
            return ExitCode::FAILURE;
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "failed to start the runtime");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(async {
        let shutdown = Shutdown::new(process.shutdown_deadline);
        shutdown.on_signals().context("listening to signals")?;
        let daemon = Daemon {
            metrics: Metrics::new(NAME, VERSION, option_env!("LOGSHIP_COMMIT")),
            health: Health::new(),
            shutdown: shutdown.clone(),
            level: telemetry.log_level(),
            admin_listen: process.admin_listen,
        };
        let ended = work(daemon).await;
        // Work that ends without a signal ends its parts too.
        shutdown.begin("the work has ended");
        shutdown.drained().await;
        ended
    });
    telemetry::log_end(&ended)
}
