//! This module replaces the running configuration: on SIGHUP, and when the content of the file changes.
//!
//! - A configuration with faults, or one that the server cannot start with, is refused and the running one stays.
//! - The server ends and starts again in the same process. Everything that waits is in the store. Listeners and connections
//!   stay open, and a request of that moment waits for the new server (see [`crate::http::door`]).
//! - The environment variables stay those of the process; files that `*_FILE` names are read again.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use service_kit::{shutdown::Shutdown, telemetry::LogLevel};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    config::{Config, Faults},
    http::door::Door,
    serve::{self, Doors},
};

/// How often the file is compared.
const WATCH_EVERY: Duration = Duration::from_secs(5);

/// Reads and validates the configuration.
pub type Load = Box<dyn Fn() -> Result<Config, Faults> + Send + Sync>;

/// The addresses that the doors answer at. Dropping it stops accepting there.
struct Held {
    http: Arc<Accepting>,
    admin: Arc<Accepting>,
}

struct Accepting {
    address: SocketAddr,
    _stop: DropGuard,
}

impl Held {
    /// Binds what `running` does not hold yet; then, when all of it is bound, accepts.
    async fn take(running: Option<&Self>, config: &Config, doors: &Doors, shutdown: &Shutdown) -> anyhow::Result<Self> {
        let http = Bound::new(running.map(|held| &held.http), config.listen, "listen").await?;
        let admin = Bound::new(running.map(|held| &held.admin), config.admin_listen, "admin_listen").await?;
        // The admin listener answers until the very end, so that the last minutes are scraped and readiness says no.
        let admin = admin.accept(doors.admin.clone(), CancellationToken::new(), None);
        let http = http.accept(doors.http.clone(), shutdown.token().child_token(), Some(shutdown));
        Ok(Self { http, admin })
    }
}

enum Bound {
    Running(Arc<Accepting>),
    New(SocketAddr, TcpListener),
}

impl Bound {
    async fn new(running: Option<&Arc<Accepting>>, address: SocketAddr, setting: &str) -> anyhow::Result<Self> {
        if let Some(running) = running.filter(|running| running.address == address) {
            return Ok(Self::Running(Arc::clone(running)));
        }
        let listener = TcpListener::bind(address).await.with_context(|| format!("{setting}: {address} cannot be bound"))?;
        tracing::info!(setting, address = %listener.local_addr()?, "listening");
        Ok(Self::New(address, listener))
    }

    /// `part_of`: the shutdown that waits for the requests that run.
    fn accept(self, door: Door, stop: CancellationToken, part_of: Option<&Shutdown>) -> Arc<Accepting> {
        match self {
            Self::Running(accepting) => accepting,
            Self::New(address, listener) => {
                let part = part_of.map(|shutdown| shutdown.part("webhook listener"));
                let serving = door.serve(listener, stop.clone());
                tokio::spawn(async move {
                    serving.await;
                    drop(part);
                });
                Arc::new(Accepting { address, _stop: stop.drop_guard() })
            }
        }
    }
}

/// Serves with `config`, and with each valid one that follows it, until the shutdown.
pub async fn run(file: PathBuf, config: Config, load: Load, level: LogLevel, shutdown: Shutdown) -> anyhow::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    let doors = Doors::default();
    let mut held = Held::take(None, &config, &doors, &shutdown).await?;
    let mut seen = std::fs::read(&file).ok();
    let succeeded = Arc::new(AtomicBool::new(true));
    let mut running = Generation::start(config, &doors, &level, &succeeded);
    // The configuration before this one and its addresses, until this one serves.
    let mut before: Option<(Config, Held)> = None;
    loop {
        tokio::select! {
            ended = &mut running.serving => {
                let ended = ended.context("the server panicked").flatten();
                running.shutdown.begin("the server has ended");
                running.shutdown.drained().await;
                let (Err(error), Some((config, addresses))) = (&ended, before.take()) else { return ended };
                tracing::error!(error = format!("{error:#}"), "the server cannot run with the new configuration: returning to the previous one");
                succeeded.store(false, Ordering::Relaxed);
                held = addresses;
                running = Generation::start(config, &doors, &level, &succeeded);
                continue;
            }
            () = shutdown.token().cancelled_owned() => return running.end("the program ends").await,
            () = doors.http.opened(), if before.is_some() => {
                before = None;
                continue;
            }
            _ = hangup.recv() => tracing::info!(file = %file.display(), "SIGHUP: loading the configuration"),
            () = tokio::time::sleep(WATCH_EVERY) => {
                let now = std::fs::read(&file).ok();
                if now.is_none() || now == seen {
                    continue;
                }
                tracing::info!(file = %file.display(), "the configuration changed: loading it");
            }
        }
        seen = std::fs::read(&file).ok();
        match prepare(&load, &running.config, &held, &doors, &shutdown).await {
            Ok((config, addresses)) => {
                succeeded.store(true, Ordering::Relaxed);
                let previous = running.config.clone();
                running.end("the configuration is replaced").await?;
                before = Some((previous, std::mem::replace(&mut held, addresses)));
                running = Generation::start(config, &doors, &level, &succeeded);
            }
            Err(error) => {
                succeeded.store(false, Ordering::Relaxed);
                tracing::error!(error = format!("{error:#}"), "the configuration is refused: the running one stays");
            }
        }
    }
}

/// One configuration's server.
struct Generation {
    config: Config,
    shutdown: Shutdown,
    serving: tokio::task::JoinHandle<anyhow::Result<()>>,
}

impl Generation {
    fn start(config: Config, doors: &Doors, level: &LogLevel, succeeded: &Arc<AtomicBool>) -> Self {
        let shutdown = Shutdown::new(config.process.shutdown_deadline);
        let serving = serve::run_with(doors.clone(), config.clone(), level.clone(), shutdown.clone(), Arc::clone(succeeded));
        Self { config, shutdown, serving: tokio::spawn(serving) }
    }

    async fn end(self, reason: &str) -> anyhow::Result<()> {
        self.shutdown.begin(reason);
        let ended = self.serving.await.context("the server panicked").flatten();
        self.shutdown.drained().await;
        ended
    }
}

/// The new configuration, and its addresses, which are accepting already.
async fn prepare(
    load: &Load,
    running: &Config,
    held: &Held,
    doors: &Doors,
    shutdown: &Shutdown,
) -> anyhow::Result<(Config, Held)> {
    let new = load()?;
    let path = &new.store.path;
    anyhow::ensure!(
        *path == running.store.path,
        "store.path: {} is another database than the running {}; restart the program to change it",
        path.display(),
        running.store.path.display()
    );
    let addresses = Held::take(Some(held), &new, doors, shutdown).await?;
    Ok((new, addresses))
}
