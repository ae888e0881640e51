//! This module is `exchange migrate`: it migrates the schema to this release. It is safe to repeat and to run concurrently. It
//! must not run a data job.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use service_kit::{shutdown::Shutdown, telemetry::LogLevel};
use sqlx::{
    Connection, PgConnection,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::{
    config,
    db::{jobs, journal, lock_holders},
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

/// Lock timeout of a migration statement: it must not block the sessions that queue behind it. Less than half of the 5 s after which a
/// leader's statement fails.
const LOCK_TIMEOUT: &str = "2s";
/// How long to wait for another `exchange migrate`.
const TURN_TIMEOUT: Duration = Duration::from_secs(300);
const TURN_POLL: Duration = Duration::from_millis(100);
/// Advisory lock of the migrations. Any number that nothing else in this database uses.
const TURN: i64 = 0x6578_6368_6d69_6772;

/// The subcommand.
pub async fn run(settings: config::Migrate, _level: LogLevel, shutdown: Shutdown) -> anyhow::Result<()> {
    let token = shutdown.token();
    let options = settings.database.options.application_name("exchange migrate");
    let sessions = Mutex::default();
    tokio::select! {
        done = lock_holders::name_on_failure(&options, &sessions, migrate(&options, &sessions)) => done,
        () = token.cancelled() => bail!("stopped by a signal: run it again"),
    }
}

/// Both schemas: ours, then the job queue's. Adds each session that it uses to `sessions`.
async fn migrate(options: &PgConnectOptions, sessions: &Mutex<Vec<i32>>) -> anyhow::Result<()> {
    let add = |pid: i32| sessions.lock().unwrap_or_else(PoisonError::into_inner).push(pid);
    let mut connection = PgConnection::connect_with(options).await.context("the database is unreachable")?;
    add(backend(&mut connection).await?);
    // Held until the connection closes, so that the queue's migrations are serialized too.
    take_turn(&mut connection).await?;
    apply(&mut connection).await?;
    // The queue's library has its own schema. It is created here, so that no other role needs the right to create tables.
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .after_connect(|connection, _| Box::pin(limit_waits(connection)))
        .connect_with(options.clone())
        .await?;
    add(backend(&mut *pool.acquire().await?).await?);
    jobs::migrate(&pool).await.context("failed to migrate the job queue's schema")?;
    connection.close().await.context("the database connection was lost")
}

async fn backend(connection: &mut PgConnection) -> sqlx::Result<i32> {
    sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(connection).await
}

/// A migration must not wait long for a lock, in our schema as in the queue's.
async fn limit_waits(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query("SELECT set_config('lock_timeout', $1, false), set_config('client_min_messages', 'warning', false)")
        .bind(LOCK_TIMEOUT)
        .execute(connection)
        .await?;
    Ok(())
}

/// Applies missing migrations and attaches the partitions that the journal needs.
pub async fn apply(connection: &mut PgConnection) -> anyhow::Result<()> {
    take_turn(connection).await?;
    limit_waits(connection).await?;
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
    let mut reported = false;
    while !sqlx::query_scalar::<_, bool>("SELECT pg_try_advisory_lock($1)").bind(TURN).fetch_one(&mut *connection).await? {
        let over = begun.elapsed() > TURN_TIMEOUT;
        if over || !reported {
            let holder = lock_holders::of_advisory(connection, TURN).await?.unwrap_or_else(|| "an unknown session".to_owned());
            if over {
                bail!("another `exchange migrate` has been running for {} s: {holder}", TURN_TIMEOUT.as_secs());
            }
            tracing::info!(holder, "waiting for another `exchange migrate`");
            reported = true;
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
    let missing: Vec<String> = MIGRATIONS
        .iter()
        .filter(|migration| !applied.contains(&migration.version))
        .map(|migration| format!("{} {}", migration.version, migration.description))
        .collect();
    Ok((!missing.is_empty()).then(|| format!("missing migrations: {}; run `exchange migrate`", missing.join(", "))))
}
