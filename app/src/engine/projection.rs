//! Follows the projector: lets memory forget what the tables hold, and mends market data that began ahead of them. Never: SQL.

use std::time::Duration;

use sqlx::PgPool;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::committed::Shared;
use crate::db::history;

/// Between two looks at the projector's position.
const POLL: Duration = Duration::from_millis(500);
/// How long one look may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// Runs until `stop`. A database that is away is only waited for: memory then keeps what it has, within its bound.
pub async fn follow(pool: PgPool, committed: Shared, stop: CancellationToken) {
    let mut previous = 0;
    while stop.run_until_cancelled(sleep(POLL)).await.is_some() {
        let Ok(Ok(position)) = timeout(DEADLINE, history::position(&pool)).await else { continue };
        // One round late, so that a read which is under way still finds above its rows what it needs.
        if previous > committed.read().tail.floor() {
            committed.write().tail.prune(previous);
        }
        previous = position.sequence;
        let mendable = {
            let committed = committed.read();
            committed.has_market_data_gap() && position.sequence >= committed.tail.floor()
        };
        if mendable {
            mend(&pool, &committed).await;
        }
    }
}

async fn mend(pool: &PgPool, committed: &Shared) {
    match history::load(pool).await {
        Ok((market_data, sequence)) => {
            if committed.write().reload_market_data(market_data, sequence) {
                tracing::info!(sequence, "market data was loaded again: the tables have caught up with the state");
            }
        }
        Err(error) => tracing::warn!(%error, "market data could not be loaded from the tables: it lacks trades until it can"),
    }
}
