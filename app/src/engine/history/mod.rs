//! This module reads the complete history: the tables up to the projected sequence, and memory above it. It must not use SQL or
//! change anything.
//!
//! - A read tries memory first. If memory does not reach back far enough, it reads the tables and merges memory over the rows.
//! - In the merge the state's open orders override the tail's closed orders, and those override the tables' rows.
//! - A read waits, up to a limit, for tables that do not reach the tail's floor.

mod account;
mod market;

pub use account::ListDetails;

use std::{future::Future, time::Duration};

use sqlx::PgPool;
use tokio::time::{Instant, sleep, timeout_at};

use super::committed::{Committed, SharedState};
use crate::db::history::{HistoryPart, Projected};

/// Time limit of a read for the database and the projector.
const DEADLINE: Duration = Duration::from_secs(3);
/// Interval between polls of tables or memory that are behind.
const POLL: Duration = Duration::from_millis(10);

/// Why history is unavailable.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    #[error("the tables are behind the events in memory: check the projector's lag")]
    Behind,
    #[error("the tables are being rebuilt from the journal: history is incomplete until the worker has projected it")]
    Rebuilding,
    #[error("the database did not answer within {} s", DEADLINE.as_secs())]
    Timeout,
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// The handle: cheap to clone.
#[derive(Debug, Clone)]
pub struct History {
    primary: PgPool,
    /// Used first if it is up to date.
    replica: Option<PgPool>,
    committed: SharedState,
}

/// Result of merging memory over the tables' rows.
enum Laid<R> {
    Done(R),
    /// The tables do not reach the events in memory.
    Behind,
}

impl History {
    pub const fn new(primary: PgPool, replica: Option<PgPool>, committed: SharedState) -> Self {
        Self { primary, replica, committed }
    }

    /// # Errors
    ///
    /// Returns `Rebuilding` while the tables lack a part of the history.
    pub fn require_complete(&self) -> Result<(), HistoryError> {
        Self::complete(&self.committed.read())
    }

    /// # Errors
    ///
    /// Returns `Rebuilding` while market data in memory lacks trades that the tables do not contain yet.
    fn complete(committed: &Committed) -> Result<(), HistoryError> {
        if committed.has_market_data_gap() { Err(HistoryError::Rebuilding) } else { Ok(()) }
    }

    /// Reads the tables, then merges memory over them, until both show the same history or the deadline passes.
    async fn laid_over<T, R, Reading>(
        &self,
        read: impl Fn(PgPool) -> Reading,
        lay: impl Fn(&Committed, Projected<T>) -> Laid<R>,
    ) -> Result<R, HistoryError>
    where
        Reading: Future<Output = sqlx::Result<Projected<T>>>,
    {
        Self::complete(&self.committed.read())?;
        let deadline = Instant::now() + DEADLINE;
        let mut pool = self.replica.as_ref();
        loop {
            let rows = match timeout_at(deadline, read(pool.unwrap_or(&self.primary).clone())).await {
                Ok(Ok(rows)) => Some(rows),
                // An unreachable replica counts as one that is behind.
                Ok(Err(_)) if pool.is_some() => None,
                Ok(Err(error)) => return Err(error.into()),
                Err(_) => return Err(HistoryError::Timeout),
            };
            if let Some(rows) = rows {
                let at = rows.at.sequence;
                let committed = self.committed.read();
                if at >= committed.tail.floor()
                    && at <= committed.state.sequence()
                    && let Laid::Done(answer) = lay(&committed, rows)
                {
                    return Ok(answer);
                }
            }
            if pool.take().is_none() {
                if Instant::now() + POLL >= deadline {
                    return Err(HistoryError::Behind);
                }
                sleep(POLL).await;
            }
        }
    }
}

/// Retains the items that `part` requests, in rising order.
fn cut<T>(mut things: Vec<T>, part: &HistoryPart) -> Vec<T> {
    if part.is_newest() {
        things.drain(..things.len().saturating_sub(part.limit));
    } else {
        things.truncate(part.limit);
    }
    things
}
