//! This module deletes old rows in small batches and returns their space to the disk. It must not delete open incidents or
//! waiting messages.

use jiff::Timestamp;
use sqlx::{Row, SqliteConnection};

use super::milliseconds;

/// Rows deleted in one transaction. Webhooks wait for at most the time that this takes.
const AT_ONCE: i64 = 500;
/// Pages returned to the disk at a time.
const VACUUM_PAGES: &str = "PRAGMA incremental_vacuum(500)";

/// Free pages that the file retains for new rows (1 MiB).
const FREE_PAGES_KEPT: i64 = 256;

/// Deletes some rows that ended before `horizon`. Returns their number; zero if none is left.
pub async fn remove_old(connection: &mut SqliteConnection, horizon: Timestamp) -> sqlx::Result<u64> {
    let mut removed = 0;
    for statement in [
        // Their threads and messages are deleted with them.
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

/// Returns some free pages, if enough of them are free that the file does not need them soon.
pub async fn give_back(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    let free: i64 = sqlx::query("PRAGMA freelist_count").fetch_one(&mut *connection).await?.try_get(0)?;
    if free > FREE_PAGES_KEPT {
        sqlx::query(VACUUM_PAGES).fetch_all(&mut *connection).await?;
    }
    sqlx::query("PRAGMA optimize").fetch_all(connection).await?;
    Ok(())
}

/// Bytes of the database that are used, and that are free inside it.
pub async fn size(connection: &mut SqliteConnection) -> sqlx::Result<(i64, i64)> {
    let pages: i64 = sqlx::query("PRAGMA page_count").fetch_one(&mut *connection).await?.try_get(0)?;
    let free: i64 = sqlx::query("PRAGMA freelist_count").fetch_one(&mut *connection).await?.try_get(0)?;
    let bytes: i64 = sqlx::query("PRAGMA page_size").fetch_one(connection).await?.try_get(0)?;
    Ok(((pages - free) * bytes, free * bytes))
}

#[cfg(test)]
mod tests {
    use sqlx::{Connection, Executor};

    use super::*;
    use crate::store::Store;

    #[tokio::test]
    async fn what_is_old_goes_and_the_file_shrinks_but_what_is_open_or_waits_stays() {
        let folder = tempfile::tempdir().unwrap();
        let mut connection = Store::open(&folder.path().join("a.db"), 1 << 30).await.unwrap().writer;
        // 2,000 closed incidents of the year 2001, one open incident, and one that ended later.
        connection
            .execute(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2002)
                 INSERT INTO incidents (id, source, receiver, group_key, code, phase, severity, opened_at, ended_at, document)
                 SELECT i, 's', 'r', i, i, iif(i = 2001, 0, 2), 1, 1000000000000,
                        iif(i = 2001, NULL, iif(i = 2002, 3000000000000, 1000000000000)), printf('%.*c', 3000, 'x') FROM n;
                 INSERT INTO audit (at, actor, action, detail) VALUES (1000000000000, 'a', 'b', ''), (3000000000000, 'a', 'b', '');
                 INSERT INTO outbox (incident, address, kind, urgency, body, since, not_before, digestible, state, called_at)
                 VALUES (NULL, '{}', 'text', 1, '{}', 1, 1, 0, 2, 1000000000000), (NULL, '{}', 'text', 1, '{}', 1, 1, 0, 0, NULL)",
            )
            .await
            .unwrap();
        let horizon = Timestamp::from_millisecond(2_000_000_000_000).unwrap();
        let (before, _) = size(&mut connection).await.unwrap();
        let mut removed = 0;
        loop {
            let mut transaction = connection.begin().await.unwrap();
            let some = remove_old(&mut transaction, horizon).await.unwrap();
            give_back(&mut transaction).await.unwrap();
            transaction.commit().await.unwrap();
            removed += some;
            if some == 0 {
                break;
            }
        }
        let (used, free) = size(&mut connection).await.unwrap();
        assert_eq!(removed, 2000 + 1 + 1);
        assert!(used < before / 10 && free < before / 2, "of {before} bytes {used} are used and {free} are free");
        let left = "SELECT (SELECT count(*) FROM incidents), (SELECT count(*) FROM outbox WHERE state < 2)";
        let left = sqlx::query(left).fetch_one(&mut connection).await.unwrap();
        assert_eq!((left.get::<i64, _>(0), left.get::<i64, _>(1)), (2, 1));
    }
}
