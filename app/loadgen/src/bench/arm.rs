//! This module is one arm: its PostgreSQL server, its server's process, and their costs so far. It must not create load.

use super::commits::Commits;
use crate::arms::Arm;
use crate::measure::processor;
use crate::stage::{Child, StagedExchange, exchange_binary, scrape, seed};
use anyhow::{Context, Result};
use local_parts::{Postgres, PostgresOptions, free_ports};
use rustix::process::Signal;
use sqlx::{Connection, PgConnection};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

/// The exchange's own arm.
pub const OURS: &str = "ours";
const READY: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(30);
/// Time limit for the projector to catch up after a round.
const PROJECTED: Duration = Duration::from_secs(300);
/// Interval between polls of the projector, each of which costs PostgreSQL some time.
const LOOK: Duration = Duration::from_millis(20);
/// The projector and its jobs, by the names of their database sessions.
const WORKER_SESSIONS: &str =
    "SELECT pid FROM pg_stat_activity WHERE application_name IN ('exchange worker', 'exchange-projector')";

/// A running arm.
pub struct ArmPlace {
    pub name: &'static str,
    pub address: SocketAddr,
    pub database: Option<String>,
    postgres: Option<Postgres>,
    server: Child,
    /// Only the exchange's arm has one.
    worker: Option<Child>,
    admin: Option<SocketAddr>,
}

/// Processor time since the start.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    pub server: Duration,
    /// PostgreSQL without its sessions for the worker.
    pub postgres: Duration,
    /// The worker and its PostgreSQL sessions.
    pub worker: Duration,
    pub generator: Duration,
}

impl Cost {
    pub fn total(&self) -> Duration {
        self.server + self.postgres + self.worker + self.generator
    }
}

impl std::ops::Sub for Cost {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            server: self.server.saturating_sub(earlier.server),
            postgres: self.postgres.saturating_sub(earlier.postgres),
            worker: self.worker.saturating_sub(earlier.worker),
            generator: self.generator.saturating_sub(earlier.generator),
        }
    }
}

/// Starts every arm; the servers' logs go to `folder`.
pub async fn start_all(folder: &Path) -> Result<Vec<ArmPlace>> {
    let mut places = Vec::new();
    for arm in [Arm::Hello, Arm::Naive, Arm::OneStatement] {
        places.push(start(arm, folder).await?);
    }
    places.push(start_ours(folder).await?);
    Ok(places)
}

/// Equal for every arm; durable by default.
pub fn postgres_options() -> PostgresOptions {
    PostgresOptions::default().set("shared_buffers", "256MB").set("max_wal_size", "4GB").set("max_connections", "100")
}

async fn start(arm: Arm, folder: &Path) -> Result<ArmPlace> {
    let postgres = match arm {
        Arm::Hello => None,
        Arm::Naive | Arm::OneStatement => Some(Postgres::start(postgres_options()).await?),
    };
    let database = postgres.as_ref().map(Postgres::url);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_ports::<1>()?[0]));
    let (program, listen) = (std::env::current_exe()?, address.to_string());
    let name = arm.name().replace('_', "-");
    let mut arguments = vec!["arm", &name, "--listen", &listen];
    arguments.extend(database.iter().flat_map(|url| ["--database", url]));
    let mut child = Child::start(arm.name(), &program, &arguments, &[], folder)?;
    child.ready(READY, async || TcpStream::connect(address).await.is_ok()).await?;
    Ok(ArmPlace { name: arm.name(), address, database, postgres, server: child, worker: None, admin: None })
}

async fn start_ours(folder: &Path) -> Result<ArmPlace> {
    let postgres = Postgres::start(postgres_options()).await?;
    let database = postgres.create_database("exchange").await?;
    let exchange = StagedExchange::new(exchange_binary()?, folder, &database, None);
    exchange.migrate().await?;
    seed(&exchange, &database).await?;
    let server = exchange.serve("serve").await?;
    let worker = exchange.worker("worker").await?.child;
    Ok(ArmPlace {
        name: OURS,
        address: server.api,
        database: Some(database),
        postgres: Some(postgres),
        server: server.child,
        worker: Some(worker),
        admin: Some(server.admin),
    })
}

impl ArmPlace {
    pub fn is_ours(&self) -> bool {
        self.name == OURS
    }

    /// Another, empty database on this arm's PostgreSQL.
    pub async fn create_database(&self, name: &str) -> Result<String> {
        self.postgres.as_ref().context("this arm has no PostgreSQL")?.create_database(name).await
    }

    /// Costs so far of this arm and the generator (this process).
    pub async fn cost(&self) -> Result<Cost> {
        let of = |child: &Child| child.pid().map_or(Ok(Duration::ZERO), processor::of_process);
        let mut cost = Cost { server: of(&self.server)?, ..Cost::default() };
        let mut sessions = Duration::ZERO;
        if let Some(worker) = &self.worker {
            for session in self.worker_sessions().await? {
                sessions += processor::of_process(session).unwrap_or_default();
            }
            cost.worker = of(worker)? + sessions;
        }
        if let Some(pid) = self.postgres.as_ref().and_then(Postgres::pid) {
            cost.postgres = processor::of_tree(pid)?.saturating_sub(sessions);
        }
        cost.generator = processor::of_process(std::process::id())?;
        Ok(cost)
    }

    /// The server's own figures; empty for the other arms.
    pub async fn commits(&self) -> Result<Commits> {
        match self.admin {
            Some(admin) => Commits::parse(&scrape(admin).await?),
            None => Ok(Commits::default()),
        }
    }

    /// Pauses or resumes the worker. No effect in the other arms.
    pub fn signal_worker(&self, signal: Signal) {
        if let Some(worker) = &self.worker {
            worker.signal(signal);
        }
    }

    async fn worker_sessions(&self) -> Result<Vec<u32>> {
        let mut connection = self.connect().await?;
        let sessions: Vec<i32> = sqlx::query_scalar(WORKER_SESSIONS).fetch_all(&mut connection).await?;
        connection.close().await?;
        Ok(sessions.into_iter().map(|pid| pid as u32).collect())
    }

    async fn connect(&self) -> Result<PgConnection> {
        let url = self.database.as_deref().context("this arm has no database")?;
        PgConnection::connect(url).await.context("connecting to an arm's database")
    }

    /// Waits until the tables contain every event that is in the journal now. Returns immediately in the other arms.
    pub async fn projected(&self) -> Result<()> {
        if !self.is_ours() {
            return Ok(());
        }
        let mut connection = self.connect().await?;
        let last: i64 = sqlx::query_scalar("SELECT last_seq FROM head").fetch_one(&mut connection).await?;
        let end = Instant::now() + PROJECTED;
        loop {
            let done: i64 = sqlx::query_scalar("SELECT projected_seq FROM projection").fetch_one(&mut connection).await?;
            if done >= last {
                break;
            }
            anyhow::ensure!(Instant::now() < end, "the projector is {} events behind", last - done);
            sleep(LOOK).await;
        }
        connection.close().await?;
        Ok(())
    }

    /// Trades so far, from the projection.
    pub async fn fills(&self) -> Result<f64> {
        self.projected().await?;
        let mut connection = self.connect().await?;
        let trades: i64 = sqlx::query_scalar("SELECT count(*) FROM trades").fetch_one(&mut connection).await?;
        connection.close().await?;
        Ok(trades as f64)
    }

    /// Ends the arm's processes.
    pub async fn stop(self) -> Result<()> {
        match self.worker {
            None => self.server.kill().await?,
            Some(worker) => {
                self.server.stop(STOP).await?;
                worker.stop(STOP).await?;
            }
        }
        Ok(())
    }
}
