//! The exchange under test: PostgreSQL, an S3 server, a server, a worker; and the blows. Never: a check.

use super::Blow;
use crate::stage::{Exchange, Server, seed};
use anyhow::{Context, Result};
use local_parts::{Folder, Postgres, PostgresOptions, StopMode};
use std::net::SocketAddr;
use std::path::Path;

pub struct Site {
    // Dropped in this order: programs first.
    server: Option<Server>,
    worker: Option<Server>,
    pub exchange: Exchange,
    pub database: String,
    postgres: Postgres,
    _folder: Folder,
    started: usize,
}

impl Site {
    /// Starts everything on an empty, durable database.
    pub async fn start(binary: &Path) -> Result<Self> {
        let folder = Folder::throwaway("soak")?;
        let postgres = Postgres::start(PostgresOptions::default()).await?;
        let database = postgres.create_database("exchange").await?;
        let exchange = Exchange::new(binary.to_owned(), folder.path(), &database, None);
        exchange.migrate().await?;
        seed(&exchange, &database).await?;
        let server = Some(exchange.serve("serve-0").await?);
        let worker = Some(exchange.worker("worker-0").await?);
        Ok(Self { server, worker, exchange, database, postgres, _folder: folder, started: 0 })
    }

    /// Where the API is now.
    pub fn address(&self) -> SocketAddr {
        self.server.as_ref().map_or(SocketAddr::from(([127, 0, 0, 1], 1)), |server| server.api)
    }

    /// A name for the next program's log.
    pub fn next_name(&mut self, role: &str) -> String {
        self.started += 1;
        format!("{role}-{}", self.started)
    }

    /// Takes the server out, to be put back with [`Self::put`].
    pub fn take(&mut self) -> Result<Server> {
        self.server.take().context("no server runs")
    }

    pub fn put(&mut self, server: Server) {
        self.server = Some(server);
    }

    /// Kills one part without a word, starts it again, and waits until the exchange takes commands.
    pub(super) async fn strike(&mut self, blow: Blow) -> Result<()> {
        match blow {
            Blow::Server => {
                self.take()?.child.kill().await?;
                let name = self.next_name("serve");
                self.server = Some(self.exchange.serve(&name).await?);
            }
            Blow::Database => {
                self.postgres.restart(StopMode::Immediate).await?;
                // The server was never ended: it must find back by itself.
                let server = self.server.as_mut().context("no server runs")?;
                server.wait_until_ready().await?;
            }
            Blow::Worker => {
                self.worker.take().context("no worker runs")?.child.kill().await?;
                let name = self.next_name("worker");
                self.worker = Some(self.exchange.worker(&name).await?);
            }
        }
        Ok(())
    }

    /// Ends everything as an operator would.
    pub async fn stop(mut self) -> Result<()> {
        for server in [self.server.take(), self.worker.take()].into_iter().flatten() {
            server.stop().await?;
        }
        Ok(())
    }
}
