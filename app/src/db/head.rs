//! This module reads and writes the head row, which decides who may append to the journal. Every change of leader is one
//! compare-and-set on its epoch.

use sqlx::{AssertSqlSafe, FromRow, PgConnection};

/// Epochs and sequences never decrease, so a reader may compare them with values that it read earlier.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct Head {
    pub epoch: i64,
    pub last_seq: i64,
    /// Age of the leader's last heartbeat, by the database's clock.
    pub beat_age_seconds: f64,
    /// The leader has stepped down.
    pub released: bool,
    /// host:port of the leader's internal listener.
    pub address: String,
    /// The session of the leader's journal connection exists.
    pub backend_alive: bool,
    /// Last sequence that is known to be durable: reads may show everything up to it. At most `last_seq`.
    pub confirmed_seq: i64,
    /// Every batch of an epoch below this one is confirmed, or will never be in this journal.
    pub confirmed_epoch: i64,
}

/// A row that is visible in PostgreSQL may be missing on a standby. An ended backend, a crash recovery and an emptied
/// `synchronous_standby_names` all expose batches that were never replicated. Only an answer to the sender without a warning is
/// proof, and the leader records it in the row. A leader of the previous release does not: it has one batch in flight, so a batch
/// of its epoch proves a clean answer for everything before that batch.
const CONFIRMED: &str = "(SELECT greatest(h.confirmed_seq, j.before) AS confirmed_seq,
            greatest(h.confirmed_epoch, j.epoch) AS confirmed_epoch
     FROM head AS h LEFT JOIN LATERAL (
         SELECT first_seq - 1 AS before, epoch FROM (SELECT first_seq, epoch FROM journal ORDER BY first_seq DESC LIMIT 1) AS newest
         WHERE newest.epoch > h.confirmed_epoch) AS j ON true)";

pub async fn read_head(connection: &mut PgConnection) -> sqlx::Result<Head> {
    sqlx::query_as(AssertSqlSafe(format!(
        "SELECT epoch, last_seq, released, address,
                CASE WHEN isfinite(beat) THEN extract(epoch FROM clock_timestamp() - beat)::float8 ELSE 'infinity' END AS beat_age_seconds,
                EXISTS (SELECT FROM pg_stat_get_activity(backend_pid) AS a WHERE a.backend_start = head.backend_start) AS backend_alive,
                confirmed.confirmed_seq, confirmed.confirmed_epoch
         FROM head, {CONFIRMED} AS confirmed"
    )))
    .fetch_one(connection)
    .await
}

/// The journal's last durable sequence: the limit for reads, projection, archives and snapshots.
pub async fn confirmed(connection: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar(AssertSqlSafe(format!("SELECT confirmed_seq FROM {CONFIRMED} AS confirmed"))).fetch_one(connection).await
}

/// Makes this connection the leader's if the epoch is still `seen`. Returns the new epoch and the journal's last sequence, or
/// `None` if another replica was faster.
///
/// Blocks while a statement of the old leader locks the row: end its backend first.
pub async fn claim_head(connection: &mut PgConnection, seen: i64, address: &str) -> sqlx::Result<Option<(i64, i64)>> {
    sqlx::query_as(
        "UPDATE head SET epoch = epoch + 1, beat = clock_timestamp(), released = false, address = $2,
                backend_pid = pg_backend_pid(),
                backend_start = (SELECT backend_start FROM pg_stat_get_activity(pg_backend_pid()))
         WHERE epoch = $1 RETURNING epoch, last_seq",
    )
    .bind(seen)
    .bind(address)
    .fetch_optional(connection)
    .await
}

/// Ends the connection of the leader of epoch `seen` only: the pid may belong to another session by now.
pub async fn end_backend(connection: &mut PgConnection, seen: i64) -> sqlx::Result<()> {
    sqlx::query(
        "SELECT pg_terminate_backend(a.pid)
         FROM head, pg_stat_get_activity(head.backend_pid) AS a
         WHERE head.epoch = $1 AND a.backend_start = head.backend_start AND a.pid <> pg_backend_pid()",
    )
    .bind(seen)
    .execute(connection)
    .await?;
    Ok(())
}

/// Heartbeat while no batch is in flight. All answers so far were clean, so the whole journal is confirmed. False: deposed.
pub async fn beat(connection: &mut PgConnection, epoch: i64) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "UPDATE head SET beat = clock_timestamp(), confirmed_seq = last_seq, confirmed_epoch = epoch WHERE epoch = $1",
    )
    .bind(epoch)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// As [`beat`], right after a batch, so that followers see it. A crash that loses this row loses a hint only, so the commit waits
/// neither for the disk nor for a standby.
pub async fn confirm(connection: &mut PgConnection, epoch: i64) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "UPDATE head SET beat = clock_timestamp(), confirmed_seq = last_seq, confirmed_epoch = epoch
         WHERE epoch = $1 AND (SELECT set_config('synchronous_commit', 'off', true)) IS NOT NULL",
    )
    .bind(epoch)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Steps down with no batch in flight: another replica may lead immediately.
pub async fn release(connection: &mut PgConnection, epoch: i64) -> sqlx::Result<()> {
    sqlx::query("UPDATE head SET released = true, confirmed_seq = last_seq, confirmed_epoch = epoch WHERE epoch = $1")
        .bind(epoch)
        .execute(connection)
        .await?;
    Ok(())
}
