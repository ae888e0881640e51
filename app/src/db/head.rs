//! The head row: who may append to the journal. Every change of leader is one compare-and-set on the epoch here.

use sqlx::{AssertSqlSafe, FromRow, PgConnection};

/// Epochs and sequences never go back, so a reader may compare them with what it has seen.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct Head {
    pub epoch: i64,
    pub last_seq: i64,
    /// Since the leader's last sign of life, by the database's clock.
    pub beat_age_seconds: f64,
    /// The leader has stepped down.
    pub released: bool,
    /// host:port of the leader's internal listener.
    pub address: String,
    /// The leader's journal connection is still there.
    pub backend_alive: bool,
    /// Last sequence that is known to be durable: everything up to here may be shown. At most `last_seq`.
    pub confirmed_seq: i64,
    /// Every batch of an epoch below this one is confirmed, or will never be in this journal.
    pub confirmed_epoch: i64,
}

/// What PostgreSQL shows is not what a standby has: an ended backend, a recovery after a crash and an emptied
/// `synchronous_standby_names` all expose batches that were never replicated. Only a clean answer to the sender is proof, and
/// the leader writes it into the row. A leader of the previous release does not: it has one batch in flight, so that a batch
/// of its epoch proves the clean answer for everything before that batch.
const CONFIRMED: &str = "(SELECT greatest(h.confirmed_seq, j.before) AS confirmed_seq,
            greatest(h.confirmed_epoch, j.epoch) AS confirmed_epoch
     FROM head AS h LEFT JOIN LATERAL (
         SELECT first_seq - 1 AS before, epoch FROM (SELECT first_seq, epoch FROM journal ORDER BY first_seq DESC LIMIT 1) AS newest
         WHERE newest.epoch > h.confirmed_epoch) AS j ON true)";

pub async fn read(connection: &mut PgConnection) -> sqlx::Result<Head> {
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

/// The journal's end as far as it is durable: what may be read, projected, archived and put into a snapshot.
pub async fn confirmed(connection: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar(AssertSqlSafe(format!("SELECT confirmed_seq FROM {CONFIRMED} AS confirmed"))).fetch_one(connection).await
}

/// Makes this connection the leader's, if the epoch is still `seen`. The new epoch and the journal's last sequence, or
/// `None` when somebody else was faster.
///
/// Waits for a statement of the old leader that holds the row: end its backend first.
pub async fn claim(connection: &mut PgConnection, seen: i64, address: &str) -> sqlx::Result<Option<(i64, i64)>> {
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

/// Ends the connection of the leader of epoch `seen`, and no other: a pid may have a new holder.
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

/// A sign of life while nothing is in flight: every answer so far was clean, so all of the journal is confirmed. False: deposed.
pub async fn beat(connection: &mut PgConnection, epoch: i64) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "UPDATE head SET beat = clock_timestamp(), confirmed_seq = last_seq, confirmed_epoch = epoch WHERE epoch = $1",
    )
    .bind(epoch)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// As [`beat`], right after a batch, so that followers see it. Losing this row in a crash loses a hint: it does not wait for
/// the disk or a standby.
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

/// Steps down with nothing in flight: the next one may lead at once.
pub async fn release(connection: &mut PgConnection, epoch: i64) -> sqlx::Result<()> {
    sqlx::query("UPDATE head SET released = true, confirmed_seq = last_seq, confirmed_epoch = epoch WHERE epoch = $1")
        .bind(epoch)
        .execute(connection)
        .await?;
    Ok(())
}
