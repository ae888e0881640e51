//! This module reads and writes `history_marks`: the chain of this journal at some sequences. Between marks it hashes the
//! batches. It must not decide about an object.

use futures::StreamExt;
use sqlx::PgConnection;

use super::journal;
use crate::chain::Chain;

/// Records the chain as of `sequence`, the end of a batch.
pub async fn insert_mark(connection: &mut PgConnection, sequence: i64, chain: Chain) -> sqlx::Result<()> {
    sqlx::query("INSERT INTO history_marks (sequence, chain) VALUES ($1, $2) ON CONFLICT (sequence) DO NOTHING")
        .bind(sequence)
        .bind(chain.bytes().as_slice())
        .execute(connection)
        .await?;
    Ok(())
}

/// The newest mark at or below `sequence`; without one, the start of every journal.
async fn nearest(connection: &mut PgConnection, sequence: i64) -> sqlx::Result<(i64, Chain)> {
    let mark: Option<(i64, Vec<u8>)> =
        sqlx::query_as("SELECT sequence, chain FROM history_marks WHERE sequence <= $1 ORDER BY sequence DESC LIMIT 1")
            .bind(sequence)
            .fetch_optional(connection)
            .await?;
    Ok(mark.and_then(|(sequence, chain)| Some((sequence, Chain::from_slice(&chain)?))).unwrap_or((0, Chain::GENESIS)))
}

/// Events between `sequence` and the nearest mark below it.
pub async fn distance(connection: &mut PgConnection, sequence: i64) -> sqlx::Result<i64> {
    Ok(sequence - nearest(connection, sequence).await?.0)
}

/// The chain of this journal at `sequence`. `None`: no batch ends there, or the batches above the nearest mark have left the
/// database and the chain is unknown.
pub async fn chain_at(connection: &mut PgConnection, sequence: i64) -> sqlx::Result<Option<Chain>> {
    let (mut at, mut chain) = nearest(connection, sequence).await?;
    let mut batches = journal::stream(connection, at, sequence);
    while at < sequence {
        let Some(batch) = batches.next().await.transpose()? else { return Ok(None) };
        if batch.first_sequence != at + 1 {
            return Ok(None);
        }
        chain = chain.next(batch.first_sequence, batch.last_sequence, batch.epoch, batch.payload()?);
        at = batch.last_sequence;
    }
    Ok((at == sequence).then_some(chain))
}
