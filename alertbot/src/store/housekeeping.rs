//! What is old goes, a little at a time, and its space goes back to the disk. Open incidents and waiting messages stay.

use jiff::Timestamp;
use sqlx::{Row, SqliteConnection};

use super::milliseconds;

/// Rows that one transaction removes: webhooks wait for no longer than that takes.
const AT_ONCE: i64 = 500;
/// Pages given back to the disk at a time.
const VACUUM_PAGES: &str = "PRAGMA incremental_vacuum(500)";

/// Removes some of what ended before `horizon`. Returns how many rows went; zero when nothing is left to remove.
pub async fn remove_old(connection: &mut SqliteConnection, horizon: Timestamp) -> sqlx::Result<u64> {
    let mut removed = 0;
    for statement in [
        // Their threads and messages go with them.
        "DELETE FROM incidents WHERE id IN (SELECT id FROM incidents WHERE phase = 2 AND ended_at < ?1 LIMIT ?2)",
        "DELETE FROM outbox WHERE id IN
             (SELECT id FROM outbox WHERE called_at < ?1 AND state >= 2 AND incident IS NULL LIMIT ?2)",
        "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < ?1 LIMIT ?2)",
        "DELETE FROM blocked WHERE address IN (SELECT address FROM blocked WHERE until < ?1 LIMIT ?2)",
    ] {
        let done = sqlx::query(statement).bind(milliseconds(horizon)).bind(AT_ONCE).execute(&mut *connection).await?;
        removed += done.rows_affected();
    }
    Ok(removed)
}

/// Gives some of the free pages back. Outside a transaction.
pub async fn give_back(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    sqlx::query(VACUUM_PAGES).fetch_all(&mut *connection).await?;
    sqlx::query("PRAGMA optimize").fetch_all(connection).await?;
    Ok(())
}

/// Bytes of the database that hold something, and that are free inside it.
pub async fn size(connection: &mut SqliteConnection) -> sqlx::Result<(i64, i64)> {
    let pages: i64 = sqlx::query("PRAGMA page_count").fetch_one(&mut *connection).await?.try_get(0)?;
    let free: i64 = sqlx::query("PRAGMA freelist_count").fetch_one(&mut *connection).await?.try_get(0)?;
    let bytes: i64 = sqlx::query("PRAGMA page_size").fetch_one(connection).await?.try_get(0)?;
    Ok(((pages - free) * bytes, free * bytes))
}
