//! This module reads the job queue's own schema for operators and metrics, and puts requested statements into the queue. It must not
//! run a job.
//!
//! The schema belongs to graphile_worker, which creates and migrates it. This module reads its public `jobs` view. Superseded
//! jobs and the schedule have no view, so it reads their private tables.

use exchange_core::{money::Time, order::AccountId};
use graphile_worker_migrations::MigrateError;
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

/// The queue's schema.
pub const SCHEMA: &str = "graphile_worker";

/// Jobs of one kind in one state.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct JobCount {
    pub job: String,
    pub state: String,
    pub count: i64,
}

/// A job that failed permanently.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct DeadLetter {
    pub id: i64,
    pub job: String,
    pub payload: serde_json::Value,
    pub attempts: i32,
    pub last_error: Option<String>,
    /// RFC 3339.
    pub failed_at: String,
}

/// Of two jobs with one key the newer supersedes the older. A superseded job is not a dead letter, even if it has used all its
/// attempts.
const SUPERSEDED: &str = "EXISTS (SELECT FROM graphile_worker._private_job_retirements AS r WHERE r.id = j.id)";

/// Creates or migrates the queue's schema. Safe to repeat and to run concurrently.
pub async fn migrate(pool: &sqlx::PgPool) -> anyhow::Result<()> {
    match graphile_worker::WorkerUtils::new(pool.clone(), SCHEMA).migrate().await {
        // A newer release migrated the schema: do nothing here; the worker of that release can run.
        Err(MigrateError::IncompatbleRevision { latest_migration, highest_migration, .. }) => {
            tracing::warn!(
                found = latest_migration,
                known = highest_migration,
                "the job queue's schema belongs to a later release"
            );
            Ok(())
        }
        migrated => Ok(migrated?),
    }
}

/// The job that writes a statement.
pub const STATEMENT: &str = "statement";

/// Requests a statement of `start..end` (microseconds): its row and its job in one transaction. Returns the statement's id.
pub async fn request_statement(pool: &sqlx::PgPool, account: AccountId, start: Time, end: Time) -> anyhow::Result<Uuid> {
    let id = Uuid::now_v7();
    let mut transaction = pool.begin().await?;
    super::statements::insert_statement(&mut transaction, id, account, start, end).await?;
    let utils = graphile_worker::WorkerUtils::new(pool.clone(), SCHEMA);
    let payload = serde_json::json!({ "statement": id, "traceparent": service_kit::trace::traceparent() });
    utils.with_executor(&mut transaction).add_raw_job(STATEMENT, payload, graphile_worker::JobSpec::default()).await?;
    transaction.commit().await?;
    Ok(id)
}

pub async fn counts(connection: &mut PgConnection) -> sqlx::Result<Vec<JobCount>> {
    let sql = format!(
        "SELECT task_identifier AS job, count(*) AS count,
                CASE WHEN locked_at IS NOT NULL THEN 'running' WHEN attempts >= max_attempts THEN 'dead'
                     WHEN run_at <= now() THEN 'ready' WHEN attempts > 0 THEN 'retrying' ELSE 'scheduled' END AS state
         FROM graphile_worker.jobs AS j WHERE NOT {SUPERSEDED} GROUP BY 1, 3"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(sql)).fetch_all(connection).await
}

/// Seconds for which the oldest runnable job has been waiting; 0: no job waits.
pub async fn oldest_ready_seconds(connection: &mut PgConnection) -> sqlx::Result<f64> {
    sqlx::query_scalar(
        "SELECT coalesce(extract(epoch FROM now() - min(run_at)), 0)::float8 FROM graphile_worker.jobs
         WHERE locked_at IS NULL AND attempts < max_attempts AND run_at <= now()",
    )
    .fetch_one(connection)
    .await
}

pub async fn dead_letters(connection: &mut PgConnection) -> sqlx::Result<Vec<DeadLetter>> {
    let sql = format!(
        "SELECT j.id, task_identifier AS job, p.payload::jsonb AS payload, j.attempts::int AS attempts, j.last_error,
                to_char(j.updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS failed_at
         FROM graphile_worker.jobs AS j JOIN graphile_worker._private_jobs AS p ON p.id = j.id
         WHERE j.attempts >= j.max_attempts AND j.locked_at IS NULL AND NOT {SUPERSEDED} ORDER BY j.updated_at, j.id"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(sql)).fetch_all(connection).await
}

/// Deletes ended jobs that a newer one with the same key has replaced.
pub async fn clear_superseded(connection: &mut PgConnection) -> sqlx::Result<u64> {
    let done = sqlx::query(
        "DELETE FROM graphile_worker._private_jobs AS j USING graphile_worker._private_job_retirements AS r
         WHERE r.id = j.id AND j.locked_at IS NULL",
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// Workers that hold jobs.
pub async fn lock_holders(connection: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar("SELECT DISTINCT locked_by FROM graphile_worker.jobs WHERE locked_by IS NOT NULL")
        .fetch_all(connection)
        .await
}

/// When each scheduled job was last queued, Unix seconds; `None`: never.
pub async fn schedule(connection: &mut PgConnection) -> sqlx::Result<Vec<(String, i64, Option<i64>)>> {
    sqlx::query_as(
        "SELECT identifier, extract(epoch FROM known_since)::bigint, extract(epoch FROM last_execution)::bigint
         FROM graphile_worker._private_known_crontabs",
    )
    .fetch_all(connection)
    .await
}
