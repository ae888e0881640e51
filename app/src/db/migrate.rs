//! This module is `exchange migrate`: it migrates the schema to this release. It is safe to repeat and to run concurrently. It
//! must not run a data job.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use service_kit::{shutdown::Shutdown, telemetry::LogLevel};
use sqlx::{Connection, PgConnection, migrate::Migrator, postgres::PgPoolOptions};

use crate::{
    config,
    db::{jobs, journal},
};

/// All files of `migrations/`, embedded in the binary.
pub static MIGRATIONS: Migrator = {
    let mut migrations = sqlx::migrate!("../migrations");
    // A newer release migrated the schema: that schema still supports this release.
    migrations.ignore_missing = true;
    // Our own lock has neither a lock_timeout nor a transaction, see `take_turn`.
    migrations.locking = false;
    migrations
};

/// Lock timeout of a migration statement: it must not block the sessions that queue behind it.
const LOCK_TIMEOUT: &str = "5s";
/// How long to wait for another `exchange migrate`.
const TURN_TIMEOUT: Duration = Duration::from_secs(300);
const TURN_POLL: Duration = Duration::from_millis(100);
/// Advisory lock of the migrations. Any number that nothing else in this database uses.
const TURN: i64 = 0x6578_6368_6d69_6772;

/// The subcommand.
pub async fn run(settings: config::Migrate, _level: LogLevel, shutdown: Shutdown) -> anyhow::Result<()> {
    let token = shutdown.token();
    let migrate = async {
        let mut connection =
            PgConnection::connect_with(&settings.database.options).await.context("the database is unreachable")?;
        // Held until the connection closes, so that the queue's migrations are serialized too.
        take_turn(&mut connection).await?;
        apply(&mut connection).await?;
        // The queue's library has its own schema. It is created here, so that no other role needs the right to create tables.
        let pool = PgPoolOptions::new().max_connections(1).connect_with(settings.database.options).await?;
        jobs::migrate(&pool).await.context("failed to migrate the job queue's schema")?;
        connection.close().await.context("the database connection was lost")
    };
    tokio::select! {
        done = migrate => done,
        () = token.cancelled() => bail!("stopped by a signal: run it again"),
    }
}

/// Applies missing migrations and attaches the partitions that the journal needs.
pub async fn apply(connection: &mut PgConnection) -> anyhow::Result<()> {
    take_turn(connection).await?;
    sqlx::query("SELECT set_config('lock_timeout', $1, false), set_config('client_min_messages', 'warning', false)")
        .bind(LOCK_TIMEOUT)
        .execute(&mut *connection)
        .await?;
    MIGRATIONS.run_direct(None, connection, false).await.context("failed to apply the migrations")?;
    journal::attach_partitions(connection).await.context("failed to attach the journal's partitions")?;
    tracing::info!(migrations = MIGRATIONS.iter().count(), "the schema is up to date");
    sqlx::query("SELECT pg_advisory_unlock($1)").bind(TURN).execute(connection).await?;
    Ok(())
}

/// Polls instead of queueing. A session that waits inside `pg_advisory_lock` holds a snapshot, and an index that the lock's
/// holder builds CONCURRENTLY would wait for that snapshot forever.
async fn take_turn(connection: &mut PgConnection) -> anyhow::Result<()> {
    let begun = Instant::now();
    while !sqlx::query_scalar::<_, bool>("SELECT pg_try_advisory_lock($1)").bind(TURN).fetch_one(&mut *connection).await? {
        if begun.elapsed() > TURN_TIMEOUT {
            bail!(
                "another `exchange migrate` has been running for {} s: check pg_stat_activity for the lock that it waits for",
                TURN_TIMEOUT.as_secs()
            );
        }
        tokio::time::sleep(TURN_POLL).await;
    }
    Ok(())
}

/// Whether every migration of this release is applied; the text lists the missing ones.
pub async fn missing(connection: &mut PgConnection) -> sqlx::Result<Option<String>> {
    let exists: bool =
        sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL").fetch_one(&mut *connection).await?;
    let applied: Vec<i64> = if exists {
        sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success").fetch_all(connection).await?
    } else {
        Vec::new()
    };
    let missing = MIGRATIONS.iter().filter(|migration| !applied.contains(&migration.version)).count();
    Ok((missing > 0).then(|| format!("{missing} migrations are missing: run `exchange migrate`")))
}
