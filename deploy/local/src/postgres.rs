//! A PostgreSQL server of one's own.

mod options;
mod plan;
mod standby;

#[cfg(test)]
mod tests;

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, bail};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::{folder::Folder, launch::StopSignal, process::ChildProcess};

pub use options::PostgresOptions;
pub use plan::PostgresPlan;

/// Long enough for the recovery after an immediate stop under load on a slow disk.
const READY_DEADLINE: Duration = Duration::from_secs(90);
/// How often a server that lost the race for its port is given another.
const ATTEMPTS: usize = 3;

/// How to stop a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopMode {
    /// Sessions are cut off, transactions rolled back, everything written out.
    Fast,
    /// As in a crash: nothing is written out, the next start recovers.
    Immediate,
}

/// A running server, or one that was stopped and may be started again. Dropping it ends it.
#[derive(Debug)]
pub struct Postgres {
    // Dropped in this order: the server first, then its folder.
    process: Option<ChildProcess>,
    plan: PostgresPlan,
    folder: Folder,
}

impl Postgres {
    /// Creates the server's data in an empty folder, starts it and waits until it answers.
    pub async fn start(options: PostgresOptions) -> Result<Self> {
        let folder = match &options.folder {
            Some(path) => Folder::kept(path)?,
            None => Folder::throwaway("postgres")?,
        };
        let fixed_port = options.port.is_some();
        let plan = PostgresPlan::prepare(&folder, &options).await?;
        let mut postgres = Self { process: None, plan, folder };
        for attempt in 1.. {
            match postgres.start_again().await {
                Ok(()) => break,
                Err(_) if attempt < ATTEMPTS && !fixed_port => postgres.plan.take_another_port()?,
                Err(error) => return Err(error),
            }
        }
        Ok(postgres)
    }

    /// The address of the database `postgres`, for the superuser.
    pub fn url(&self) -> String {
        self.plan.url("postgres")
    }

    /// The address of another database.
    pub fn url_of(&self, database: &str) -> String {
        self.plan.url(database)
    }

    /// Creates an empty database and returns its address. The name has letters, digits and underscores only.
    pub async fn create_database(&self, name: &str) -> Result<String> {
        create_database(&self.url(), name).await?;
        Ok(self.url_of(name))
    }

    pub fn port(&self) -> u16 {
        self.plan.port
    }

    /// Where data and log are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The postmaster's process id; `None` while stopped.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(ChildProcess::pid)
    }

    /// Stops the server and waits until it has ended. Its data and port stay.
    pub async fn stop(&mut self, mode: StopMode) -> Result<()> {
        let signal = match mode {
            StopMode::Fast => StopSignal::Interrupt,
            StopMode::Immediate => StopSignal::Quit,
        };
        if let Some(mut process) = self.process.take() {
            process.stop(signal).await?;
        }
        Ok(())
    }

    /// Starts a stopped server and waits until it answers.
    pub async fn start_again(&mut self) -> Result<()> {
        if self.process.is_some() {
            bail!("PostgreSQL is already running");
        }
        let mut process = ChildProcess::start(&self.plan.launch, self.folder.path())?;
        let url = self.url();
        process.ready(READY_DEADLINE, async || postgres_answers(&url).await).await?;
        self.process = Some(process);
        Ok(())
    }

    /// [`Self::stop`] and [`Self::start_again`].
    pub async fn restart(&mut self, mode: StopMode) -> Result<()> {
        self.stop(mode).await?;
        self.start_again().await
    }
}

/// Whether a server takes connections at `url`.
pub async fn postgres_answers(url: &str) -> bool {
    match PgConnection::connect(url).await {
        Ok(connection) => connection.close().await.is_ok(),
        Err(_) => false,
    }
}

/// Creates an empty database on the server at `server_url`. The name has letters, digits and underscores only.
pub async fn create_database(server_url: &str, name: &str) -> Result<()> {
    // The name is part of the statement text, since a database name cannot be a parameter.
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    anyhow::ensure!(!name.is_empty() && name.bytes().all(plain), "{name:?} is not a plain database name (a-z, 0-9, _)");
    let mut connection = PgConnection::connect(server_url).await.context("connecting to create a database")?;
    let statement = AssertSqlSafe(format!("CREATE DATABASE {name}"));
    connection.execute(statement).await.with_context(|| format!("creating the database {name}"))?;
    connection.close().await.context("closing the connection that created a database")
}
