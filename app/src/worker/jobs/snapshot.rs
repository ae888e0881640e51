//! This job takes a snapshot of the projector's state, so that recoveries are short. A repeated run at the same sequence produces
//! the same object.

use anyhow::Context;
use graphile_worker::{IntoTaskHandlerResult, TaskHandler, WorkerContext};
use serde::{Deserialize, Serialize};

use super::{JobContext, merge};
use crate::{db::marks, snapshot, survey::Survey, worker::clock};

/// Snapshots retained. The journal is dropped below the second newest; the third covers the case that both are damaged.
const KEPT: usize = 3;
const MICROSECONDS: f64 = 1e6;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TakeSnapshot {}

impl TaskHandler for TakeSnapshot {
    const IDENTIFIER: &'static str = "snapshot";

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        super::run(self, context, take).await
    }
}

async fn take(_: TakeSnapshot, context: JobContext) -> anyhow::Result<()> {
    let media = context.media()?;
    // Check the store before the expensive encoding of the state.
    media.check_bucket().await?;
    let encoded = context.projector.snapshot().await?;
    let (sequence, bytes) = (encoded.sequence, encoded.bytes.len());
    if sequence == 0 {
        return Ok(());
    }
    let chain = encoded.chain;
    let mut connection = context.pool.acquire().await?;
    merge::ship_through(media, &mut connection, sequence as i64).await.context("failed to ship the journal of the snapshot")?;
    snapshot::write_snapshot(media, encoded).await.context("failed to store the snapshot")?;
    marks::insert_mark(&mut connection, sequence as i64, chain).await?;
    // Objects of another history are neither counted nor deleted.
    let found = Survey::take(media, &mut connection).await?;
    for name in found.own.iter().skip(KEPT) {
        media.delete(&name.key()).await.context("failed to remove old snapshots")?;
    }
    context.metrics.snapshot_sequence.set(sequence as i64);
    context.metrics.snapshot_time.set(clock::now() as f64 / MICROSECONDS);
    tracing::info!(sequence, bytes, "took a snapshot");
    Ok(())
}
