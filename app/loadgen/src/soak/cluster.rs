//! This module is the fault script's PostgreSQL: a primary that waits for one synchronous standby, and the promotion of that standby.
//! It must not contain a check.

use anyhow::{Context, Result, ensure};
use local_parts::{Postgres, PostgresOptions, StopMode};
use sqlx::{Connection, PgConnection};
use std::time::{Duration, Instant};
use tokio::time::sleep;

const DATABASE: &str = "exchange";
const DEADLINE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

pub struct ExchangeCluster {
    primary: Postgres,
    standby: Postgres,
}

impl ExchangeCluster {
    /// A primary with an empty database, and its standby, which nothing waits for yet.
    pub async fn start() -> Result<Self> {
        let primary = Postgres::start(options()).await?;
        primary.create_database(DATABASE).await?;
        let standby = Postgres::standby_of(&primary, "standby", &options()).await?;
        let cluster = Self { primary, standby };
        cluster.wait_for_the_standby().await?;
        Ok(cluster)
    }

    /// Address of the database on the primary.
    pub fn url(&self) -> String {
        self.primary.url_of(DATABASE)
    }

    /// The primary ends at once and the standby is promoted; then a new standby follows it. If `loses_tail`, the primary first shows
    /// a batch that the standby lacks: its sender's session was ended while it waited.
    pub async fn promote(&mut self, loses_tail: bool, point_to: impl Fn(&str)) -> Result<()> {
        if loses_tail {
            self.standby.stop(StopMode::Fast).await?;
            self.until("a commit waits", "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'SyncRep'").await?;
            let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
            execute(&self.url(), end).await?;
        }
        self.primary.stop(StopMode::Immediate).await?;
        if self.standby.pid().is_none() {
            self.standby.start_again().await?;
        }
        execute(&self.standby.url_of(DATABASE), "SELECT pg_promote()").await?;
        point_to(&self.standby.url_of(DATABASE));
        let next = Postgres::standby_of(&self.standby, "standby", &options()).await?;
        self.primary = std::mem::replace(&mut self.standby, next);
        self.wait_for_the_standby().await
    }

    async fn wait_for_the_standby(&self) -> Result<()> {
        execute(&self.url(), "ALTER SYSTEM SET synchronous_standby_names = 'standby'").await?;
        execute(&self.url(), "SELECT pg_reload_conf()").await?;
        self.until("the standby is synchronous", "SELECT count(*) > 0 FROM pg_stat_replication WHERE sync_state = 'sync'").await
    }

    async fn until(&self, what: &str, query: &'static str) -> Result<()> {
        let end = Instant::now() + DEADLINE;
        let mut connection = PgConnection::connect(&self.url()).await?;
        while !sqlx::query_scalar::<_, bool>(query).fetch_one(&mut connection).await? {
            ensure!(Instant::now() < end, "not within {} s: {what}", DEADLINE.as_secs());
            sleep(POLL).await;
        }
        Ok(())
    }
}

fn options() -> PostgresOptions {
    PostgresOptions::throwaway().set("max_connections", "200").set("wal_receiver_timeout", "5s")
}

async fn execute(url: &str, statement: &'static str) -> Result<()> {
    let mut connection = PgConnection::connect(url).await.context("connecting to PostgreSQL")?;
    sqlx::query(statement).execute(&mut connection).await.with_context(|| statement.to_owned())?;
    Ok(())
}
