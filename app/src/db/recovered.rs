//! This module writes a recovered journal into an empty database, in one transaction. It must not decide what is recovered.

use anyhow::{Context, ensure};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::{
    api_keys::{self, ApiKey},
    archives::{self, Archive},
    declarations, journal, marks,
};
use crate::{chain::Chain, journal_archive::ArchivedBatch};

/// Payload bytes of one INSERT.
const INSERT_BYTES: usize = 8 * 1024 * 1024;

/// The history that begins with a recovered database.
#[derive(Debug)]
pub struct NewHistory<'a> {
    /// Losses before this one.
    pub generation: i64,
    /// Last recovered sequence.
    pub sequence: i64,
    /// Epoch of the last recovered batch.
    pub epoch: i64,
    /// Sequence and chain of the snapshot; 0: none.
    pub base: (i64, Chain),
    /// Last sequence that the bucket proves to have existed.
    pub lost_through: i64,
    pub actor: &'a str,
    pub reason: &'a str,
}

/// A database without tables, or with the tables that `exchange migrate` creates and nothing in them: some of them, if a recovery
/// ended in the middle of the migrations.
pub async fn refuse_content(connection: &mut PgConnection) -> anyhow::Result<()> {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'graphile_worker')
             AND n.nspname NOT LIKE 'pg\\_%' ORDER BY c.relname",
    )
    .fetch_all(&mut *connection)
    .await?;
    let has = |name: &str| tables.iter().any(|table| table == name);
    if tables.iter().all(|table| table == "_sqlx_migrations") {
        return Ok(());
    }
    ensure!(
        has("_sqlx_migrations") && has("head"),
        "EXCHANGE_DATABASE_URL: the database is not empty, it has the table {}: create a new database for the recovery",
        tables[0]
    );
    let (epoch, last): (i64, i64) = sqlx::query_as("SELECT epoch, last_seq FROM head").fetch_one(&mut *connection).await?;
    ensure!(
        epoch == 0 && last == 0,
        "EXCHANGE_DATABASE_URL: the database is not empty, it has a journal up to sequence {last} in epoch {epoch}: create a new \
         database for the recovery"
    );
    for table in ["journal", "journal_archives", "api_keys", "declarations", "accounts"].into_iter().filter(|table| has(table)) {
        let filled = format!("SELECT EXISTS (SELECT FROM {table})");
        let filled: bool = sqlx::query_scalar(AssertSqlSafe(filled)).fetch_one(&mut *connection).await?;
        ensure!(
            !filled,
            "EXCHANGE_DATABASE_URL: the database is not empty, the table {table} has rows: create a new database for the recovery"
        );
    }
    Ok(())
}

/// All or nothing.
pub async fn write_recovered(
    connection: &mut PgConnection,
    history: &NewHistory<'_>,
    batches: &[ArchivedBatch],
    archive: &[Archive],
    keys: &[ApiKey],
) -> anyhow::Result<()> {
    let mut transaction = connection.begin().await?;
    sqlx::query("LOCK TABLE head IN ACCESS EXCLUSIVE MODE").execute(&mut *transaction).await?;
    // A server that was started too early may have claimed it.
    refuse_content(&mut transaction).await?;
    let (base, chain) = history.base;
    for sequence in [base, history.sequence] {
        sqlx::query("UPDATE head SET last_seq = $1").bind(sequence).execute(&mut *transaction).await?;
        journal::attach_partitions(&mut transaction).await?;
    }
    insert_batches(&mut transaction, batches).await.context("failed to write the journal")?;
    sqlx::query("UPDATE head SET epoch = $1, confirmed_seq = last_seq, confirmed_epoch = $1, released = true, generation = $2")
        .bind(history.epoch)
        .bind(history.generation)
        .execute(&mut *transaction)
        .await?;
    for row in archive {
        archives::adopt(&mut transaction, row).await.with_context(|| row.object_key.clone())?;
    }
    if base > 0 {
        marks::insert_mark(&mut transaction, base, chain).await?;
    }
    let NewHistory { actor, reason, lost_through, .. } = history;
    declarations::insert_declaration(&mut transaction, declarations::LOSS, actor, reason, *lost_through).await?;
    for key in keys {
        api_keys::restore(&mut transaction, key).await.context("failed to write the API keys")?;
    }
    if let Some(revision) = keys.iter().map(|key| key.revision).max() {
        api_keys::continue_revisions(&mut transaction, revision).await?;
    }
    transaction.commit().await.context("failed to commit the recovery: the database is unchanged")
}

async fn insert_batches(connection: &mut PgConnection, batches: &[ArchivedBatch]) -> sqlx::Result<()> {
    let mut rest = batches;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fitting = rest.iter().take_while(|batch| {
            bytes += batch.payload.len();
            bytes <= INSERT_BYTES
        });
        let count = fitting.count().max(1);
        let (part, after) = rest.split_at(count);
        let numbers = |number: fn(&ArchivedBatch) -> i64| part.iter().map(number).collect::<Vec<i64>>();
        sqlx::query(
            "INSERT INTO journal (first_seq, last_seq, epoch, checksum, payload)
             SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bytea[])",
        )
        .bind(numbers(|batch| batch.first_sequence))
        .bind(numbers(|batch| batch.last_sequence))
        .bind(numbers(|batch| batch.epoch))
        .bind(numbers(|batch| batch.checksum.into()))
        .bind(part.iter().map(|batch| batch.payload.as_slice()).collect::<Vec<_>>())
        .execute(&mut *connection)
        .await?;
        rest = after;
    }
    Ok(())
}
