//! This module runs the exchange's own programs on one database: migrate, serve, worker. It must only use interfaces that an
//! operator has.

use super::child::Child;
use crate::client::HttpConnection;
use anyhow::{Context, Result, ensure};
use local_parts::{S3Access, free_ports};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Time limit for a start, including the recovery of a run's journal.
const READY: Duration = Duration::from_secs(120);
/// Time limit from a signal to the exit.
const STOP: Duration = Duration::from_secs(30);
/// Start of the readiness reason of a server that does not lead.
const STANDS_BY: &str = "standby:";
/// Number of starts for a server that loses the race for a port.
const ATTEMPTS: usize = 3;

/// One database and the programs to start on it.
#[derive(Debug, Clone)]
pub struct StagedExchange {
    binary: PathBuf,
    folder: PathBuf,
    environment: Vec<(String, String)>,
    /// 32 bytes.
    pub encryption_key: [u8; 32],
}

/// A running server or worker.
pub struct StagedServer {
    pub child: Child,
    /// The API; for a worker, its admin listener.
    pub api: SocketAddr,
    pub admin: SocketAddr,
}

/// `exchange` in the folder of this program, built in the same profile.
///
/// # Errors
///
/// Returns an error if it does not exist.
pub fn exchange_binary() -> Result<PathBuf> {
    let here = std::env::current_exe().context("finding this program")?;
    // A test's binary is one folder deeper.
    let candidates = here.ancestors().skip(1).take(2).map(|folder| folder.join("exchange"));
    let found = candidates.into_iter().find(|path| path.is_file());
    found.with_context(|| format!("no `exchange` in the folder of {}: build it in the same profile", here.display()))
}

impl StagedExchange {
    /// `database` is its address; logs go to `folder`.
    pub fn new(binary: PathBuf, folder: &Path, database: &str, storage: Option<(&S3Access, &str)>) -> Self {
        let encryption_key = [7; 32];
        let mut environment = vec![
            ("EXCHANGE_DATABASE_URL".into(), database.to_owned()),
            ("EXCHANGE_INTERNAL_TOKEN".into(), "a-token-of-one-run-on-the-loopback-address".into()),
            ("EXCHANGE_KEY_ENCRYPTION_KEY".into(), hex::encode(encryption_key)),
            ("LOG_FORMAT".into(), "json".into()),
        ];
        // All load comes from one address and few accounts, so raise the limits.
        for limit in ["WEIGHT_1M", "ORDERS_10S", "ORDERS_1D"] {
            environment.push((format!("EXCHANGE_RATE_LIMIT_{limit}"), u32::MAX.to_string()));
        }
        if let Some((access, bucket)) = storage {
            let settings = [
                ("ENDPOINT", &access.endpoint),
                ("REGION", &access.region),
                ("ACCESS_KEY", &access.access_key),
                ("SECRET_KEY", &access.secret_key),
                ("BUCKET", &bucket.to_owned()),
            ];
            environment.extend(settings.map(|(name, value)| (format!("EXCHANGE_S3_{name}"), value.clone())));
        }
        Self { binary, folder: folder.to_owned(), environment, encryption_key }
    }

    /// Adds a setting.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same programs on the same database, at another address.
    #[must_use]
    pub fn at(&self, database: &str) -> Self {
        self.clone().set("EXCHANGE_DATABASE_URL", database)
    }

    /// Migrates the schema.
    pub async fn migrate(&self) -> Result<()> {
        Child::start("migrate", &self.binary, &["migrate"], &self.environment, &self.folder)?.finish().await
    }

    /// Builds the database, which must be empty, from object storage.
    pub async fn recover(&self) -> Result<()> {
        let arguments = ["recover", "--until", "latest"];
        Child::start("recover", &self.binary, &arguments, &self.environment, &self.folder)?.finish().await
    }

    /// Starts a server and waits until it is ready: it leads, or forwards to the leader.
    pub async fn serve(&self, name: &str) -> Result<StagedServer> {
        let ports = ["EXCHANGE_HTTP_LISTEN", "EXCHANGE_ADMIN_LISTEN", "EXCHANGE_INTERNAL_LISTEN"];
        self.start(name, "serve", ports).await
    }

    /// Starts a second server and waits until it is a standby.
    pub async fn standby(&self, name: &str) -> Result<StagedServer> {
        let ports = ["EXCHANGE_HTTP_LISTEN", "EXCHANGE_ADMIN_LISTEN", "EXCHANGE_INTERNAL_LISTEN"];
        let mut server = self.spawn(name, "serve", ports)?;
        let admin = server.admin;
        let stands_by = async || ask(admin, "/readyz").await.is_ok_and(|(_, body)| body.contains(STANDS_BY));
        server.child.ready(READY, stands_by).await?;
        Ok(server)
    }

    /// Starts a worker and waits until it projects.
    pub async fn worker(&self, name: &str) -> Result<StagedServer> {
        let unused = "EXCHANGE_INTERNAL_LISTEN";
        self.start(name, "worker", ["EXCHANGE_ADMIN_LISTEN", "EXCHANGE_HTTP_LISTEN", unused]).await
    }

    async fn start(&self, name: &str, role: &str, listeners: [&str; 3]) -> Result<StagedServer> {
        let mut attempt = 1;
        loop {
            match self.try_start(name, role, listeners).await {
                Err(_) if attempt < ATTEMPTS => attempt += 1,
                done => return done,
            }
        }
    }

    async fn try_start(&self, name: &str, role: &str, listeners: [&str; 3]) -> Result<StagedServer> {
        let mut server = self.spawn(name, role, listeners)?;
        server.wait_until_ready().await?;
        Ok(server)
    }

    fn spawn(&self, name: &str, role: &str, listeners: [&str; 3]) -> Result<StagedServer> {
        let addresses = free_ports::<3>()?.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let mut environment = self.environment.clone();
        environment.extend(listeners.iter().zip(addresses).map(|(name, address)| ((*name).to_owned(), address.to_string())));
        let child = Child::start(name, &self.binary, &[role], &environment, &self.folder)?;
        let admin = if role == "serve" { addresses[1] } else { addresses[0] };
        Ok(StagedServer { child, api: addresses[0], admin })
    }
}

impl StagedServer {
    /// Waits until the program is ready.
    pub async fn wait_until_ready(&mut self) -> Result<()> {
        let admin = self.admin;
        self.child.ready(READY, async || get(admin, "/readyz").await.is_ok()).await
    }

    pub async fn stop(self) -> Result<()> {
        self.child.stop(STOP).await
    }

    /// Whether its state came from a snapshot and the journal's tail instead of the journal's first event.
    pub async fn began_from_a_snapshot(&self) -> Result<bool> {
        Ok(get(self.admin, "/metrics").await?.contains("exchange_engine_recovery_seconds{source=\"snapshot\"}"))
    }

    /// The value of a metric without labels, or the sum over its label sets.
    ///
    /// # Errors
    ///
    /// Returns an error if the metrics cannot be read or do not have this name.
    pub async fn metric(&self, name: &str) -> Result<f64> {
        metric(self.admin, name).await
    }
}

/// [`StagedServer::metric`] of the program with this admin listener.
pub async fn metric(admin: SocketAddr, name: &str) -> Result<f64> {
    let text = get(admin, "/metrics").await?;
    let values = text.lines().filter_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        let of_name = series == name || series.strip_prefix(name).is_some_and(|rest| rest.starts_with('{'));
        if of_name { value.parse::<f64>().ok() } else { None }
    });
    let values: Vec<f64> = values.collect();
    ensure!(!values.is_empty(), "no metric {name} at {admin}");
    Ok(values.iter().sum())
}

/// The body of a successful GET.
/// The metrics of the program with this admin listener.
pub async fn scrape(admin: SocketAddr) -> Result<String> {
    get(admin, "/metrics").await
}

async fn get(address: SocketAddr, path: &str) -> Result<String> {
    let (status, body) = ask(address, path).await?;
    ensure!(status == 200, "{path} answered {status}");
    Ok(body)
}

async fn ask(address: SocketAddr, path: &str) -> Result<(u16, String)> {
    let mut connection = HttpConnection::open(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: local\r\n\r\n");
    let response = connection.ask(request.as_bytes()).await?;
    Ok((response.status, String::from_utf8_lossy(response.body).into_owned()))
}
