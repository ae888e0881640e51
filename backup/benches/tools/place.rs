//! This module prepares the measurements: a server, a store, and databases of a known size.

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result, ensure};
use local_parts::{ObjectStore, Postgres, PostgresOptions, find_program};
use sqlx::{Connection, Executor, PgConnection};

use crate::measure::Servers;

pub const BUCKET: &str = "bench";

/// Megabytes of a database for each unit of pgbench's scale, as measured, without indexes.
const MB_PER_SCALE: f64 = 13.4;
const DOCUMENTS_PER_MB: f64 = 900.0;
const HARD_ROWS_PER_MB: f64 = 4200.0;

pub struct Place {
    pub postgres: Postgres,
    pub store: ObjectStore,
    pub tools: PathBuf,
}

impl Place {
    pub async fn start() -> Result<Self> {
        // A production-like server: durable, with memory and room in the write-ahead log.
        let options = PostgresOptions::default()
            .set("shared_buffers", "256MB")
            .set("maintenance_work_mem", "128MB")
            .set("max_wal_size", "4GB")
            .set("checkpoint_timeout", "30min")
            .set("max_locks_per_transaction", "256")
            .set("autovacuum", "off");
        let (postgres, store) = (Postgres::start(options).await?, ObjectStore::start().await?);
        store.create_bucket(BUCKET).await?;
        let tools = find_program("pg_dump")?.parent().context("pg_dump has no folder")?.to_owned();
        Ok(Self { postgres, store, tools })
    }

    pub fn servers(&self) -> Servers {
        Servers([self.postgres.pid(), self.store.pid()].into_iter().flatten().collect())
    }

    pub async fn session(&self, database: &str) -> Result<PgConnection> {
        Ok(PgConnection::connect(&self.postgres.url_of(database)).await?)
    }

    /// Two thirds pgbench's tables, one third wide documents; `megabytes` in total.
    pub async fn compressible(&self, name: &str, megabytes: f64) -> Result<()> {
        let url = self.postgres.create_database(name).await?;
        let scale = (megabytes * 2.0 / 3.0 / MB_PER_SCALE).ceil();
        let made = Command::new(self.tools.join("pgbench")).args(["-i", "-q", "-s", &scale.to_string(), &url]).output()?;
        ensure!(made.status.success(), "pgbench: {}", String::from_utf8_lossy(&made.stderr));
        let documents = (megabytes / 3.0 * DOCUMENTS_PER_MB) as u64;
        let statement = format!(
            "CREATE TABLE documents (id bigint PRIMARY KEY, body jsonb NOT NULL);
             INSERT INTO documents SELECT n, jsonb_build_object(
                 'id', n, 'customer', md5(n::text), 'state', (ARRAY['new','paid','sent','returned'])[1 + n % 4],
                 'created', timestamptz '2026-01-01' + n * interval '7 seconds', 'total', (n::int8 * 7919 % 100000) / 100.0,
                 'lines', (SELECT jsonb_agg(jsonb_build_object('sku', 'SKU-' || (n * 31 + k) % 5000, 'quantity', 1 + (n + k) % 9,
                     'price', ((n * k) % 9973) / 100.0, 'note', 'packed by station ' || (n + k) % 40))
                     FROM generate_series(1, 8) k)) FROM generate_series(1, {documents}) n;
             VACUUM ANALYZE"
        );
        self.make(name, &statement).await
    }

    /// Typical values that hardly compress: references, tokens, digests, measurements; `megabytes` in total.
    pub async fn hard(&self, name: &str, megabytes: f64) -> Result<()> {
        self.postgres.create_database(name).await?;
        let rows = (megabytes * HARD_ROWS_PER_MB) as u64;
        let statement = format!(
            "CREATE TABLE noise (id bigint PRIMARY KEY, reference uuid NOT NULL, token text NOT NULL, digest bytea NOT NULL,
                 share float8 NOT NULL, measure float8 NOT NULL, at timestamptz NOT NULL);
             INSERT INTO noise SELECT n, gen_random_uuid(), translate(encode(sha512(n::text::bytea), 'base64'), E'\\n=', ''),
                 sha256(n::text::bytea), random(), sin(n) * 1000, timestamptz '2026-01-01' + random() * interval '300 days'
                 FROM generate_series(1, {rows}) n;
             VACUUM ANALYZE"
        );
        self.make(name, &statement).await
    }

    /// Many small objects: `relations` tables of one row, `objects` large objects of 32 bytes.
    pub async fn many(&self, name: &str, relations: u32, objects: u32) -> Result<()> {
        self.postgres.create_database(name).await?;
        let mut session = self.session(name).await?;
        // In several transactions, since each new table holds a lock until its transaction ends.
        for from in (0..relations).step_by(500) {
            let to = relations.min(from + 500) - 1;
            let tables = format!(
                "DO $$BEGIN FOR n IN {from}..{to} LOOP EXECUTE format('CREATE TABLE t%s AS SELECT %s AS id', n, n); END LOOP; END$$"
            );
            session.execute(sqlx::AssertSqlSafe(tables)).await?;
        }
        let made = format!(
            "SELECT count(lo_from_bytea(0, decode(md5(n::text) || md5(n::text), 'hex'))) FROM generate_series(1, {objects}) n"
        );
        session.execute(sqlx::AssertSqlSafe(made)).await?;
        session.execute("CHECKPOINT").await?;
        Ok(())
    }

    async fn make(&self, name: &str, statements: &str) -> Result<()> {
        let mut session = self.session(name).await?;
        for statement in statements.split(';') {
            session.execute(sqlx::AssertSqlSafe(statement.to_owned())).await?;
        }
        session.execute("CHECKPOINT").await?;
        Ok(())
    }

    /// Bytes of the database on disk, without indexes.
    pub async fn table_bytes(&self, name: &str) -> Result<i64> {
        let sum =
            "SELECT sum(pg_table_size(oid))::int8 FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace";
        Ok(sqlx::query_scalar(sum).fetch_one(&mut self.session(name).await?).await?)
    }

    pub async fn drop_database(&self, name: &str) -> Result<()> {
        let mut session = self.session("postgres").await?;
        session.execute(sqlx::AssertSqlSafe(format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)"))).await?;
        session.execute("CHECKPOINT").await?;
        Ok(())
    }
}
