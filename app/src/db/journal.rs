//! This module is the journal table: it appends one batch, reads batches in order and attaches partitions ahead. It must not
//! interpret a batch.

use futures::{StreamExt, stream::BoxStream};
use sqlx::{AssertSqlSafe, PgConnection, Row, postgres::PgRow};

/// Sequences in one partition. At 100 bytes per event a full one is about 2.5 GB: archived and dropped as one piece.
pub const PARTITION_EVENTS: i64 = 25_000_000;
/// Partitions attached ahead of the one in use.
const PARTITIONS_AHEAD: i64 = 1;
/// Advisory lock that serializes attaching. Any number that nothing else in this database uses.
const ATTACHING: i64 = 0x6578_6368_7061_7274;
/// Payloads up to about a page stay in the row: a side table would cost more than it saves.
const INLINE_BYTES: u32 = 8160;

/// The columns that the leader appends; the payload is opaque here.
#[derive(Debug, Clone, Copy)]
pub struct Append<'a> {
    pub epoch: i64,
    pub previous_sequence: i64,
    pub last_sequence: i64,
    pub checksum: u32,
    pub payload: &'a [u8],
}

/// One statement, one commit: either the batch is in the journal, or this leader is deposed and nothing changed (returns false).
/// It is sent after the clean answer for the previous batch, and records that batch as confirmed.
pub async fn append_batch(connection: &mut PgConnection, batch: Append<'_>) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "WITH fenced AS (
             UPDATE head SET last_seq = $3, beat = clock_timestamp(), confirmed_seq = $2, confirmed_epoch = $1
             WHERE epoch = $1 AND last_seq = $2 RETURNING 1
         )
         INSERT INTO journal (first_seq, last_seq, epoch, checksum, payload) SELECT $2 + 1, $3, $1, $4, $5 FROM fenced",
    )
    .bind(batch.epoch)
    .bind(batch.previous_sequence)
    .bind(batch.last_sequence)
    .bind(i64::from(batch.checksum))
    .bind(batch.payload)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// One row of the journal. Borrows its payload from the driver's row.
#[derive(Debug)]
pub struct StoredBatch {
    pub first_sequence: i64,
    pub last_sequence: i64,
    pub epoch: i64,
    pub checksum: i64,
    row: PgRow,
}

impl StoredBatch {
    pub fn payload(&self) -> sqlx::Result<&[u8]> {
        self.row.try_get(4)
    }

    fn from_row(row: PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            first_sequence: row.try_get(0)?,
            last_sequence: row.try_get(1)?,
            epoch: row.try_get(2)?,
            checksum: row.try_get(3)?,
            row,
        })
    }
}

/// Every batch after sequence `after` and up to `through`, in order, streamed.
pub fn stream(connection: &mut PgConnection, after: i64, through: i64) -> BoxStream<'_, sqlx::Result<StoredBatch>> {
    let batches = "SELECT first_seq, last_seq, epoch, checksum, payload FROM journal WHERE first_seq > $1 AND first_seq <= $2 ORDER BY first_seq";
    sqlx::query(batches).bind(after).bind(through).fetch(connection).map(|row| row.and_then(StoredBatch::from_row)).boxed()
}

/// First sequence of the journal in the database; `None`: it is empty.
pub async fn begins(connection: &mut PgConnection) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar("SELECT first_seq FROM journal ORDER BY first_seq LIMIT 1").fetch_optional(connection).await
}

/// The last batch whose first sequence is at or below `sequence`.
pub async fn nearest(connection: &mut PgConnection, sequence: i64) -> sqlx::Result<Option<StoredBatch>> {
    let row = sqlx::query(
        "SELECT first_seq, last_seq, epoch, checksum, payload FROM journal WHERE first_seq <= $1 ORDER BY first_seq DESC LIMIT 1",
    )
    .bind(sequence)
    .fetch_optional(connection)
    .await?;
    row.map(StoredBatch::from_row).transpose()
}

/// The epoch and checksum of the batch whose first sequence is `first_sequence`.
pub async fn identity(connection: &mut PgConnection, first_sequence: i64) -> sqlx::Result<Option<(i64, i64)>> {
    sqlx::query_as("SELECT epoch, checksum FROM journal WHERE first_seq = $1")
        .bind(first_sequence)
        .fetch_optional(connection)
        .await
}

/// First sequence of the partition that contains `sequence`.
pub const fn partition_start(sequence: i64) -> i64 {
    sequence - sequence.rem_euclid(PARTITION_EVENTS)
}

/// Attaches the partition of the next batch and the ones after it, if missing.
///
/// Each table is created separately and then attached: creating it as a partition would lock the whole journal against its
/// leader.
pub async fn attach_partitions(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query("SELECT pg_advisory_lock($1)").bind(ATTACHING).execute(&mut *connection).await?;
    let attached = attach_missing(connection).await;
    sqlx::query("SELECT pg_advisory_unlock($1)").bind(ATTACHING).execute(connection).await?;
    attached
}

async fn attach_missing(connection: &mut PgConnection) -> sqlx::Result<()> {
    let last: i64 = sqlx::query_scalar("SELECT last_seq FROM head").fetch_one(&mut *connection).await?;
    for ahead in 0..=PARTITIONS_AHEAD {
        let start = partition_start(last + 1) + ahead * PARTITION_EVENTS;
        let (end, name) = (start + PARTITION_EVENTS, format!("journal_{start:018}"));
        let attached: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM pg_inherits WHERE inhparent = 'journal'::regclass AND inhrelid = to_regclass($1))",
        )
        .bind(&name)
        .fetch_one(&mut *connection)
        .await?;
        if attached {
            continue;
        }
        // The check constraint lets ATTACH skip its scan of the table.
        for statement in [
            format!(
                "CREATE TABLE IF NOT EXISTS {name} (LIKE journal INCLUDING ALL,
                     CONSTRAINT {name}_range CHECK (first_seq >= {start} AND first_seq < {end}))
                 WITH (toast_tuple_target = {INLINE_BYTES})"
            ),
            format!("ALTER TABLE journal ATTACH PARTITION {name} FOR VALUES FROM ({start}) TO ({end})"),
            format!("ALTER TABLE {name} DROP CONSTRAINT {name}_range"),
        ] {
            sqlx::query(AssertSqlSafe(statement)).execute(&mut *connection).await?;
        }
        tracing::info!(partition = name, from = start, to = end, "attached a journal partition");
    }
    Ok(())
}
