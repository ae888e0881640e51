//! The head row: who may append to the journal. Every change of leader is one compare-and-set on the epoch here.

use sqlx::{FromRow, PgConnection};

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
}

pub async fn read(connection: &mut PgConnection) -> sqlx::Result<Head> {
    sqlx::query_as(
        "SELECT epoch, last_seq, released, address,
                CASE WHEN isfinite(beat) THEN extract(epoch FROM clock_timestamp() - beat)::float8 ELSE 'infinity' END AS beat_age_seconds,
                EXISTS (SELECT FROM pg_stat_get_activity(backend_pid) AS a WHERE a.backend_start = head.backend_start) AS backend_alive
         FROM head",
    )
    .fetch_one(connection)
    .await
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

/// A sign of life while there is nothing to append. False: deposed.
pub async fn beat(connection: &mut PgConnection, epoch: i64) -> sqlx::Result<bool> {
    let done = sqlx::query("UPDATE head SET beat = clock_timestamp() WHERE epoch = $1").bind(epoch).execute(connection).await?;
    Ok(done.rows_affected() == 1)
}

/// Steps down: the next one may lead at once.
pub async fn release(connection: &mut PgConnection, epoch: i64) -> sqlx::Result<()> {
    sqlx::query("UPDATE head SET released = true WHERE epoch = $1").bind(epoch).execute(connection).await?;
    Ok(())
}
