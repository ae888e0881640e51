//! This module is the exchange under test (PostgreSQL, an S3 server, a server, a worker) and the blows against it. It must not
//! contain a check.

use super::Blow;
use crate::stage::{StagedExchange, StagedServer, seed};
use anyhow::{Context, Result};
use local_parts::{Folder, ObjectStore, Postgres, PostgresOptions, StopMode};
use sqlx::{Connection, PgConnection};
use std::net::SocketAddr;
use std::path::Path;

pub struct Site {
    // Drop order: programs first.
    server: Option<StagedServer>,
    worker: Option<StagedServer>,
    pub exchange: StagedExchange,
    pub database: String,
    postgres: Postgres,
    _object_store: ObjectStore,
    _folder: Folder,
    started: usize,
    /// Servers that started from a snapshot instead of the journal's first event.
    pub from_snapshots: usize,
}

const BUCKET: &str = "soak";
/// The same job as the schedule's, run immediately.
const TAKE_SNAPSHOT: &str = "SELECT graphile_worker.add_job('snapshot', '{}'::json, job_key => 'soak')";

impl Site {
    /// Starts everything on an empty, durable database.
    pub async fn start(binary: &Path) -> Result<Self> {
        let folder = Folder::throwaway("soak")?;
        let (postgres, object_store) = tokio::try_join!(Postgres::start(PostgresOptions::default()), ObjectStore::start())?;
        object_store.create_bucket(BUCKET).await?;
        let database = postgres.create_database("exchange").await?;
        let exchange = StagedExchange::new(binary.to_owned(), folder.path(), &database, Some((object_store.access(), BUCKET)));
        exchange.migrate().await?;
        seed(&exchange, &database).await?;
        let server = Some(exchange.serve("serve-0").await?);
        let worker = Some(exchange.worker("worker-0").await?);
        let site = Self {
            server,
            worker,
            exchange,
            database,
            postgres,
            _object_store: object_store,
            _folder: folder,
            started: 0,
            from_snapshots: 0,
        };
        site.ask_for_a_snapshot().await?;
        Ok(site)
    }

    /// The current address of the API.
    pub fn address(&self) -> SocketAddr {
        self.server.as_ref().map_or(SocketAddr::from(([127, 0, 0, 1], 1)), |server| server.api)
    }

    /// Name of the next program's log.
    pub fn next_name(&mut self, role: &str) -> String {
        self.started += 1;
        format!("{role}-{}", self.started)
    }

    /// Takes the server out of the site; [`Self::put`] returns it.
    pub fn take(&mut self) -> Result<StagedServer> {
        self.server.take().context("no server is running")
    }

    pub fn put(&mut self, server: StagedServer) {
        self.server = Some(server);
    }

    /// Kills one part, starts it again, and waits until the exchange accepts commands.
    pub(super) async fn strike(&mut self, blow: Blow) -> Result<()> {
        match blow {
            Blow::Server => {
                self.take()?.child.kill().await?;
                let name = self.next_name("serve");
                let server = self.exchange.serve(&name).await?;
                self.from_snapshots += usize::from(server.began_from_a_snapshot().await?);
                self.server = Some(server);
                // The snapshot is taken under load, and the worker may be killed during it.
                self.ask_for_a_snapshot().await?;
            }
            Blow::Database => {
                self.postgres.restart(StopMode::Immediate).await?;
                // The server was not stopped, so it must reconnect without help.
                let server = self.server.as_mut().context("no server is running")?;
                server.wait_until_ready().await?;
            }
            Blow::Worker => {
                self.worker.take().context("no worker is running")?.child.kill().await?;
                let name = self.next_name("worker");
                self.worker = Some(self.exchange.worker(&name).await?);
            }
        }
        Ok(())
    }

    async fn ask_for_a_snapshot(&self) -> Result<()> {
        let mut connection = PgConnection::connect(&self.database).await.context("asking for a snapshot")?;
        sqlx::query(TAKE_SNAPSHOT).execute(&mut connection).await.context("asking for a snapshot")?;
        Ok(connection.close().await?)
    }

    /// Stops everything as an operator would.
    pub async fn stop(mut self) -> Result<()> {
        for server in [self.server.take(), self.worker.take()].into_iter().flatten() {
            server.stop().await?;
        }
        Ok(())
    }
}
