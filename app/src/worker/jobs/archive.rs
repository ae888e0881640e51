//! This job moves old journal partitions to object storage: it writes, reads back, records, and only then drops them. A repeated
//! run resumes after the interruption, because each archived object is recorded. It also merges shipped objects, and deletes those
//! that an archive contains.

use anyhow::{Context, bail};
use graphile_worker::{IntoTaskHandlerResult, TaskHandler, WorkerContext};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

use super::{JobContext, merge};
use crate::{
    db::{
        archives::{self, Partition},
        head, marks, projection,
    },
    journal_archive,
    media::Media,
    snapshot,
    survey::Survey,
};

/// Payload bytes of one object before compression: the memory that a reader needs at a time.
const OBJECT_BYTES: i64 = 32 * 1024 * 1024;
/// Intact snapshots that must exist above a partition before it may be dropped.
const SNAPSHOTS_ABOVE: usize = 2;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ArchiveJournal {}

impl TaskHandler for ArchiveJournal {
    const IDENTIFIER: &'static str = "archive_journal";

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        super::run(self, context, archive).await
    }
}

async fn archive(_: ArchiveJournal, context: JobContext) -> anyhow::Result<()> {
    let media = context.media()?;
    let mut connection = context.pool.acquire().await?;
    merge::merge(media, &mut connection, &context.metrics).await.context("failed to merge shipped objects")?;
    let end = head::confirmed(&mut connection).await?;
    let projected = projection::position(&mut connection).await?.projected_seq;
    let closed: Vec<_> = archives::partitions(&mut connection)
        .await?
        .into_iter()
        // Never touch the partition of the next batch, or one with rows that are not in the tables yet.
        .filter(|partition| partition.end_seq <= end.min(projected))
        .collect();
    if !closed.is_empty() {
        let safe = recoverable_from(media, &mut connection).await?;
        for partition in &closed {
            if !move_partition(&context, media, &mut connection, partition, safe.min(projected)).await? {
                break;
            }
        }
    }
    let through = archives::archived_through(&mut connection).await?;
    for name in archives::detached(&mut connection).await? {
        if archives::drop_detached(&mut connection, &name, through).await? {
            context.metrics.dropped_partitions.inc();
            tracing::info!(partition = name, "dropped an archived journal partition");
        }
    }
    context.metrics.archived_sequence.set(through);
    merge::delete_archived(media, &mut connection, through, &context.metrics).await
}

/// The sequence from which a recovery can start even if the newest snapshot is lost: the second newest intact one of this
/// journal; 0: none.
async fn recoverable_from(media: &Media, connection: &mut PgConnection) -> anyhow::Result<i64> {
    let mut whole = 0;
    for name in Survey::take(media, connection).await?.own {
        match snapshot::read_snapshot(media, name).await {
            Ok(_) => whole += 1,
            Err(error) => {
                tracing::warn!(key = name.key(), error = format!("{error:#}"), "ignoring a snapshot that cannot be read");
            }
        }
        if whole == SNAPSHOTS_ABOVE {
            return Ok(name.sequence as i64);
        }
    }
    Ok(0)
}

/// False: the partition must remain for now.
async fn move_partition(
    context: &JobContext,
    media: &Media,
    connection: &mut PgConnection,
    partition: &Partition,
    safe: i64,
) -> anyhow::Result<bool> {
    let last = archives::last_sequence(connection, partition).await?;
    if last.is_some_and(|last| last > safe) {
        return Ok(false);
    }
    let mut through = archives::archived_through(connection).await?;
    loop {
        let batches = archives::page(connection, through, partition.end_seq, OBJECT_BYTES).await?;
        let (Some(first), Some(last)) = (batches.first(), batches.last()) else { break };
        let (first_sequence, last_sequence, count) = (first.first_sequence, last.last_sequence, batches.len() as i64);
        if first_sequence != through + 1 {
            bail!("the journal lacks sequences {}..={}: archiving stops before the gap", through + 1, first_sequence - 1);
        }
        let Some(before) = marks::chain_at(connection, through).await? else {
            bail!(
                "the chain of the journal at sequence {through} is unknown: restart the worker, which replays up to that sequence"
            );
        };
        let chain = batches
            .iter()
            .fold(before, |chain, batch| chain.next(batch.first_sequence, batch.last_sequence, batch.epoch, &batch.payload));
        let written = journal_archive::write_archive(media, batches, chain).await.context("failed to store an archive object")?;
        // The mark first: without it the object could not be verified after its rows have left.
        marks::insert_mark(connection, last_sequence, chain).await?;
        archives::insert_archive(connection, first_sequence, last_sequence, count, &written).await?;
        through = last_sequence;
        context.metrics.archived_objects.inc();
        tracing::info!(key = written.key, size_bytes = written.size_bytes, "archived a part of the journal");
    }
    archives::detach(connection, partition).await.with_context(|| format!("failed to detach {}", partition.name))?;
    Ok(true)
}
