//! This module reads and writes `journal_archives`, and the journal's partitions as the archive job needs them. It must not
//! append to the journal (see `journal`).

use sqlx::{AssertSqlSafe, Connection, FromRow, PgConnection};

use crate::journal_archive::{ArchivedBatch, Written};

/// Lock timeout of a statement that locks the journal: it must not block the leader.
const LOCK_TIMEOUT: &str = "2s";

/// One archive object.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Archive {
    pub first_seq: i64,
    pub last_seq: i64,
    pub object_key: String,
    pub checksum: i64,
}

/// One partition of the journal; its rows' first sequences are `start..end`.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Partition {
    pub name: String,
    pub start_seq: i64,
    pub end_seq: i64,
    /// An earlier detach was interrupted and must be finished.
    pub detaching: bool,
}

/// The archive object that contains the batch whose first sequence is `sequence`.
pub async fn covering(connection: &mut PgConnection, sequence: i64) -> sqlx::Result<Option<Archive>> {
    sqlx::query_as(
        "SELECT first_seq, last_seq, object_key, checksum FROM journal_archives
         WHERE first_seq <= $1 AND last_seq >= $1 ORDER BY first_seq DESC LIMIT 1",
    )
    .bind(sequence)
    .fetch_optional(connection)
    .await
}

/// Names of all archive objects of this journal.
pub async fn keys(connection: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar("SELECT object_key FROM journal_archives").fetch_all(connection).await
}

/// Sequence of the last archived event; 0: none.
pub async fn archived_through(connection: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar("SELECT coalesce(max(last_seq), 0) FROM journal_archives").fetch_one(connection).await
}

pub async fn insert_archive(
    connection: &mut PgConnection,
    first: i64,
    last: i64,
    batches: i64,
    written: &Written,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO journal_archives (first_seq, last_seq, batches, object_key, size_bytes, checksum) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (first_seq) DO NOTHING",
    )
    .bind(first)
    .bind(last)
    .bind(batches)
    .bind(&written.key)
    .bind(written.size_bytes as i64)
    .bind(i64::from(written.checksum))
    .execute(connection)
    .await?;
    Ok(())
}

/// In place of the CRC-32 of an object whose content is not known yet: its batches are verified one by one, and the chain after them
/// by the worker.
pub const UNKNOWN_CHECKSUM: i64 = -1;

/// Records an object of the bucket that contains the journal from `archive.first_seq` to `archive.last_seq`, and maybe more.
pub async fn adopt(connection: &mut PgConnection, archive: &Archive) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO journal_archives (first_seq, last_seq, batches, object_key, size_bytes, checksum) VALUES ($1, $2, 0, $3, 0, $4)",
    )
    .bind(archive.first_seq)
    .bind(archive.last_seq)
    .bind(&archive.object_key)
    .bind(archive.checksum)
    .execute(connection)
    .await?;
    Ok(())
}

/// Batches of the journal from sequence `after` + 1 whose first sequence is below `before`: as many as fit into `bytes` of
/// payload, at least one.
pub async fn page(connection: &mut PgConnection, after: i64, before: i64, bytes: i64) -> sqlx::Result<Vec<ArchivedBatch>> {
    let rows: Vec<(i64, i64, i64, i64, Vec<u8>)> = sqlx::query_as(
        "SELECT first_seq, last_seq, epoch, checksum, payload FROM (
             SELECT *, sum(length(payload)) OVER (ORDER BY first_seq ROWS UNBOUNDED PRECEDING) - length(payload) AS bytes_before FROM (
                 SELECT * FROM journal WHERE first_seq > $1 AND first_seq < $2 ORDER BY first_seq LIMIT $4) AS next) AS summed
         WHERE bytes_before < $3 ORDER BY first_seq",
    )
    .bind(after)
    .bind(before)
    .bind(bytes)
    .bind(PAGE_BATCHES)
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(batch).collect())
}

/// Batches read for one page.
const PAGE_BATCHES: i64 = 20_000;

/// The next `limit` batches after sequence `after` and up to `through`, in order.
pub async fn next_batches(
    connection: &mut PgConnection,
    after: i64,
    through: i64,
    limit: i64,
) -> sqlx::Result<Vec<ArchivedBatch>> {
    let rows: Vec<(i64, i64, i64, i64, Vec<u8>)> = sqlx::query_as(
        "SELECT first_seq, last_seq, epoch, checksum, payload FROM journal WHERE first_seq > $1 AND first_seq <= $2 ORDER BY first_seq LIMIT $3",
    )
    .bind(after)
    .bind(through)
    .bind(limit)
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(batch).collect())
}

fn batch((first_sequence, last_sequence, epoch, checksum, payload): (i64, i64, i64, i64, Vec<u8>)) -> ArchivedBatch {
    // A checksum out of range matches no payload.
    ArchivedBatch { first_sequence, last_sequence, epoch, checksum: u32::try_from(checksum).unwrap_or(0), payload }
}

/// The journal's partitions, oldest first.
pub async fn partitions(connection: &mut PgConnection) -> sqlx::Result<Vec<Partition>> {
    sqlx::query_as(
        "SELECT name, detaching, bounds[1]::bigint AS start_seq, bounds[2]::bigint AS end_seq FROM (
             SELECT c.relname::text AS name, i.inhdetachpending AS detaching,
                    regexp_match(pg_get_expr(c.relpartbound, c.oid), $$FROM \\('?(\\d+)'?\\) TO \\('?(\\d+)'?\\)$$) AS bounds
             FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid WHERE i.inhparent = 'journal'::regclass) AS attached
         WHERE bounds IS NOT NULL ORDER BY start_seq",
    )
    .fetch_all(connection)
    .await
}

/// Former partitions that still exist as tables: an earlier run was interrupted between detach and drop.
pub async fn detached(connection: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_class AS c
         WHERE c.relkind = 'r' AND c.relname ~ '^journal_[0-9]{18}$' AND NOT c.relispartition
             AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'journal'::regclass)
         ORDER BY c.relname",
    )
    .fetch_all(connection)
    .await
}

/// Sequence of the last event in a partition; `None`: the partition is empty.
pub async fn last_sequence(connection: &mut PgConnection, partition: &Partition) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar("SELECT last_seq FROM journal WHERE first_seq >= $1 AND first_seq < $2 ORDER BY first_seq DESC LIMIT 1")
        .bind(partition.start_seq)
        .bind(partition.end_seq)
        .fetch_optional(connection)
        .await
}

/// Detaches a partition from the journal. CONCURRENTLY, so that the leader can append during the detach. The next run finishes an
/// interrupted detach.
pub async fn detach(connection: &mut PgConnection, partition: &Partition) -> sqlx::Result<()> {
    sqlx::query("SELECT set_config('lock_timeout', $1, false)").bind(LOCK_TIMEOUT).execute(&mut *connection).await?;
    let how = if partition.detaching { "FINALIZE" } else { "CONCURRENTLY" };
    let statement = format!("ALTER TABLE journal DETACH PARTITION {} {how}", quoted(&partition.name));
    let detached = sqlx::query(AssertSqlSafe(statement)).execute(&mut *connection).await;
    // The setting must be undone: the session belongs to a pool.
    sqlx::query("RESET lock_timeout").execute(connection).await?;
    detached.map(drop)
}

/// Drops a former partition unless it contains a row that is not archived. Returns whether it was dropped.
pub async fn drop_detached(connection: &mut PgConnection, name: &str, archived_through: i64) -> sqlx::Result<bool> {
    let mut transaction = connection.begin().await?;
    let name = quoted(name);
    let last = format!("SELECT last_seq FROM {name} ORDER BY first_seq DESC LIMIT 1");
    let last: Option<i64> = sqlx::query_scalar(AssertSqlSafe(last)).fetch_optional(&mut *transaction).await?;
    if last.is_some_and(|last| last > archived_through) {
        return Ok(false);
    }
    sqlx::query(AssertSqlSafe(format!("DROP TABLE {name}"))).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(true)
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
