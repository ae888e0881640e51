//! This job does small housekeeping: it attaches journal partitions ahead and deletes superseded jobs. A repeated run finds
//! nothing to do.

use graphile_worker::{IntoTaskHandlerResult, TaskHandler, WorkerContext};
use serde::{Deserialize, Serialize};

use super::JobContext;
use crate::db::{jobs, journal};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Upkeep {}

impl TaskHandler for Upkeep {
    const IDENTIFIER: &'static str = "upkeep";

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        super::run(self, context, keep_up).await
    }
}

async fn keep_up(_: Upkeep, context: JobContext) -> anyhow::Result<()> {
    let mut connection = context.pool.acquire().await?;
    journal::attach_partitions(&mut connection).await?;
    jobs::clear_superseded(&mut connection).await?;
    Ok(())
}
