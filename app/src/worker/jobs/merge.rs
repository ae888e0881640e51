//! This module merges shipped objects into larger ones, deletes shipped objects that an archive contains, and ships what a snapshot
//! needs. It must not delete an object whose content is not verified elsewhere in the bucket.
//!
//! Objects of another history, and objects that are part of this database's archive, remain.

use std::collections::HashSet;

use anyhow::Context;
use sqlx::PgConnection;

use crate::{
    db::{archives, head, marks, shipping},
    media::Media,
    metrics::WorkerMetrics,
    shipped::{self, ListedObject, OBJECT_BYTES, Run},
    survey::{record_fork, shipped_through},
};

/// Fewer objects are not worth a merge.
const MERGE_MIN: usize = 2;

/// Merges consecutive small objects. Each merged object is read back before its parts are deleted.
pub(super) async fn merge(media: &Media, connection: &mut PgConnection, metrics: &WorkerMetrics) -> anyhow::Result<()> {
    let mut objects = own(media, connection).await?;
    // Before them, so that a part of the journal that is covered twice is merged once.
    objects.sort_unstable_by_key(|object| (object.name.first_sequence, std::cmp::Reverse(object.name.last_sequence)));
    let mut group = Group::default();
    for object in objects {
        // The compressed size is a lower bound, so a large object is never read.
        if object.size_bytes >= OBJECT_BYTES as u64 / 2 {
            group.close(media, connection, metrics).await?;
            continue;
        }
        let run = shipped::read_shipped(media, object.name).await?;
        if !group.takes(&run) {
            group.close(media, connection, metrics).await?;
        }
        group.add(object, run);
    }
    group.close(media, connection, metrics).await
}

/// Shipped objects of this journal's generation that are confirmed and not part of the archive.
async fn own(media: &Media, connection: &mut PgConnection) -> anyhow::Result<Vec<ListedObject>> {
    let listed = shipped::list_shipped(media).await?;
    let generation = shipping::generation(connection).await?;
    let confirmed = head::confirmed(connection).await?;
    let archive: HashSet<String> = archives::keys(connection).await?.into_iter().collect();
    let own = |object: &ListedObject| {
        let name = object.name;
        name.generation == generation && name.last_sequence <= confirmed && !archive.contains(&name.key())
    };
    Ok(listed.into_iter().filter(own).collect())
}

/// Consecutive objects, and their batches.
#[derive(Default)]
struct Group {
    objects: Vec<ListedObject>,
    run: Option<Run>,
    bytes: usize,
}

impl Group {
    fn ends_at(&self) -> Option<i64> {
        Some(self.run.as_ref()?.batches.last()?.last_sequence)
    }

    /// Whether `run` continues the group within the size limit.
    fn takes(&self, run: &Run) -> bool {
        let (Some(end), Some(first)) = (self.ends_at(), run.batches.first()) else { return true };
        let added: usize = run.batches.iter().filter(|batch| batch.first_sequence > end).map(|batch| batch.payload.len()).sum();
        first.first_sequence <= end + 1 && self.bytes + added <= OBJECT_BYTES
    }

    fn add(&mut self, object: ListedObject, run: Run) {
        self.objects.push(object);
        let end = self.ends_at().unwrap_or(0);
        let Run { generation, before, batches } = run;
        let group = self.run.get_or_insert(Run { generation, before, batches: Vec::new() });
        for batch in batches.into_iter().filter(|batch| batch.first_sequence > end) {
            self.bytes += batch.payload.len();
            group.batches.push(batch);
        }
    }

    /// Writes the merged object, verifies it, and deletes its parts. Leaves an empty group.
    async fn close(&mut self, media: &Media, connection: &mut PgConnection, metrics: &WorkerMetrics) -> anyhow::Result<()> {
        let Self { objects, run, .. } = std::mem::take(self);
        let Some(run) = run.filter(|_| objects.len() >= MERGE_MIN) else { return Ok(()) };
        let name = run.name().context("a shipped object has no batch")?;
        let chain = marks::chain_at(connection, name.last_sequence).await?;
        if chain != Some(name.chain) {
            tracing::warn!(key = name.key(), "shipped objects do not belong to this journal; leaving them");
            return Ok(());
        }
        let expected = run.clone();
        shipped::write_shipped(media, run).await?;
        let stored = shipped::read_shipped(media, name).await?;
        anyhow::ensure!(stored == expected, "the merged object {} differs from its parts", name.key());
        marks::insert_mark(connection, name.last_sequence, name.chain).await?;
        let parts = objects.iter().filter(|part| part.name != name);
        for part in parts.clone() {
            media.delete(&part.name.key()).await?;
            metrics.merged_objects.inc();
        }
        tracing::info!(key = name.key(), objects = parts.count(), "merged shipped objects");
        Ok(())
    }
}

/// Deletes shipped objects of this journal that end at or below `archived`, the end of the archive.
pub(super) async fn delete_archived(
    media: &Media,
    connection: &mut PgConnection,
    archived: i64,
    metrics: &WorkerMetrics,
) -> anyhow::Result<()> {
    if archived == 0 {
        return Ok(());
    }
    for object in own(media, connection).await?.into_iter().filter(|object| object.name.last_sequence <= archived) {
        if marks::chain_at(connection, object.name.last_sequence).await? == Some(object.name.chain) {
            media.delete(&object.name.key()).await?;
            metrics.merged_objects.inc();
        }
    }
    Ok(())
}

/// Ships the batches up to `sequence` that the leader did not ship, which are the ticks of an idle exchange. Each snapshot then has
/// its whole journal in the bucket.
pub(super) async fn ship_through(media: &Media, connection: &mut PgConnection, sequence: i64) -> anyhow::Result<()> {
    let mut through = shipped_through(media, connection).await?;
    record_fork(media, connection, through.generation).await?;
    while through.sequence < sequence {
        let batches = archives::page(connection, through.sequence, sequence + 1, OBJECT_BYTES as i64).await?;
        let continues = batches.first().is_some_and(|batch| batch.first_sequence == through.sequence + 1);
        anyhow::ensure!(continues, "the journal lacks sequence {}: it can be neither shipped nor archived", through.sequence + 1);
        let name =
            shipped::write_shipped(media, Run { generation: through.generation, before: through.chain, batches }).await?.name;
        (through.sequence, through.chain) = (name.last_sequence, name.chain);
    }
    Ok(())
}
