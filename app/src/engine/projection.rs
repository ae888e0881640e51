//! This module follows the projector: it drops events from memory once the tables contain them, and reloads market data that
//! started ahead of the tables. It must not contain SQL.

use std::time::Duration;

use sqlx::PgPool;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::committed::SharedState;
use crate::db::history;

/// Interval between polls of the projector's position.
const POLL: Duration = Duration::from_millis(500);
/// Time limit of one poll.
const DEADLINE: Duration = Duration::from_secs(5);

/// Runs until `stop`. While the database is unreachable it only waits: memory then retains its events, within its bound.
pub async fn follow_projection(pool: PgPool, committed: SharedState, stop: CancellationToken) {
    let mut previous = 0;
    while stop.run_until_cancelled(sleep(POLL)).await.is_some() {
        let Ok(Ok(position)) = timeout(DEADLINE, history::history_position(&pool)).await else { continue };
        // One round late, so that a read in progress still finds the events above its rows.
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

async fn mend(pool: &PgPool, committed: &SharedState) {
    match history::load_market_data(pool).await {
        Ok((market_data, sequence)) => {
            if committed.write().reload_market_data(market_data, sequence) {
                tracing::info!(sequence, "reloaded market data: the tables have caught up with the state");
            }
        }
        Err(error) => {
            tracing::warn!(%error, "failed to load market data from the tables; it lacks trades until a retry succeeds")
        }
    }
}
