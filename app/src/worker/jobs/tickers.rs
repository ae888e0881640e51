//! This job sums the last 24 hours of every market from its candles, and deletes one-second candles after their retention. A repeated run
//! with the same window produces the same sums.

use graphile_worker::{IntoTaskHandlerResult, TaskHandler, WorkerContext};
use serde::{Deserialize, Serialize};

use super::JobContext;
use crate::db::{candles, projection};
use exchange_core::market_data::SECONDS_RETENTION;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RefreshTickers {}

impl TaskHandler for RefreshTickers {
    const IDENTIFIER: &'static str = "tickers";

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        super::run(self, context, refresh).await
    }
}

async fn refresh(_: RefreshTickers, context: JobContext) -> anyhow::Result<()> {
    let mut connection = context.pool.acquire().await?;
    let position = projection::position(&mut connection).await?;
    candles::refresh_tickers(&mut connection, position.journal_time).await?;
    candles::forget_seconds(&mut connection, position.journal_time - SECONDS_RETENTION).await?;
    Ok(())
}
