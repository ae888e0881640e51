//! This module replaces the running configuration: on SIGHUP, and when the content of the file changes.
//!
//! - A configuration with faults, or one that the server cannot start with, is refused and the running one stays.
//! - The server ends and starts again in the same process. Everything that waits is in the store, and the sockets stay open:
//!   connections of that moment wait in their queues.
//! - The environment variables stay those of the process; files that `*_FILE` names are read again.

use std::{
    net::{SocketAddr, TcpListener as Socket},
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

use crate::{
    config::{Config, Faults},
    serve::{self, Listeners},
};

/// How often the file is compared.
const WATCH_EVERY: Duration = Duration::from_secs(5);

/// Reads and validates the configuration.
pub type Load = Box<dyn Fn() -> Result<Config, Faults> + Send>;

/// A socket that outlives the servers that accept from it.
struct Held {
    address: SocketAddr,
    socket: Socket,
}

impl Held {
    fn bind(address: SocketAddr, setting: &str) -> anyhow::Result<Self> {
        let socket = Socket::bind(address).with_context(|| format!("{setting}: {address} cannot be bound"))?;
        socket.set_nonblocking(true)?;
        tracing::info!(setting, address = %socket.local_addr()?, "listening");
        Ok(Self { address, socket })
    }

    fn listener(&self) -> anyhow::Result<TcpListener> {
        Ok(TcpListener::from_std(self.socket.try_clone()?)?)
    }

    /// The socket for another configuration; `None` when it stays.
    fn for_address(&self, address: SocketAddr, setting: &str) -> anyhow::Result<Option<Self>> {
        if self.address == address { Ok(None) } else { Self::bind(address, setting).map(Some) }
    }
}

/// Serves with `config`, and with each valid one that follows it, until the shutdown.
pub async fn run(file: PathBuf, mut config: Config, load: Load, level: LogLevel, shutdown: Shutdown) -> anyhow::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    let mut http = Held::bind(config.listen, "listen")?;
    let mut admin = Held::bind(config.admin_listen, "admin_listen")?;
    let mut seen = std::fs::read(&file).ok();
    let succeeded = Arc::new(AtomicBool::new(true));
    let mut before: Option<Config> = None;
    loop {
        let generation = Shutdown::new(config.process.shutdown_deadline);
        let listeners = Listeners { http: http.listener()?, admin: admin.listener()? };
        let serving = serve::run_with(listeners, config.clone(), level.clone(), generation.clone(), Arc::clone(&succeeded));
        let mut serving = tokio::spawn(serving);
        let next = loop {
            tokio::select! {
                ended = &mut serving => {
                    let ended = ended.context("the server panicked").flatten();
                    generation.begin("the server has ended");
                    generation.drained().await;
                    match (ended, before.take()) {
                        (Err(error), Some(old)) => {
                            tracing::error!(error = format!("{error:#}"), "the server cannot run with the new configuration: returning to the previous one");
                            succeeded.store(false, Ordering::Relaxed);
                            break old;
                        }
                        (ended, _) => return ended,
                    }
                }
                () = shutdown.token().cancelled_owned() => {
                    generation.begin("the program ends");
                    let ended = (&mut serving).await.context("the server panicked").flatten();
                    generation.drained().await;
                    return ended;
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
            match prepare(&load, &config, &http, &admin) {
                Ok((new, new_http, new_admin)) => {
                    succeeded.store(true, Ordering::Relaxed);
                    generation.begin("the configuration is replaced");
                    let ended = (&mut serving).await.context("the server panicked").flatten();
                    generation.drained().await;
                    ended?;
                    http = new_http.unwrap_or(http);
                    admin = new_admin.unwrap_or(admin);
                    before = Some(config);
                    break new;
                }
                Err(error) => {
                    succeeded.store(false, Ordering::Relaxed);
                    tracing::error!(error = format!("{error:#}"), "the configuration is refused: the running one stays");
                }
            }
        };
        config = next;
    }
}

/// The new configuration, and the sockets that it needs.
fn prepare(load: &Load, running: &Config, http: &Held, admin: &Held) -> anyhow::Result<(Config, Option<Held>, Option<Held>)> {
    let new = load()?;
    let path = &new.store.path;
    anyhow::ensure!(
        *path == running.store.path,
        "store.path: {} is another database than the running {}; restart the program to change it",
        path.display(),
        running.store.path.display()
    );
    let http = http.for_address(new.listen, "listen")?;
    let admin = admin.for_address(new.admin_listen, "admin_listen")?;
    Ok((new, http, admin))
}
