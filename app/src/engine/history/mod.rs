//! All that ever happened, read: the tables up to the projected sequence, and memory above it. Never: SQL, a change.
//!
//! Memory is asked first. When it does not reach back far enough the tables are read, and then memory is laid over what they said:
//! the state's open orders over the tail's closed ones over the tables' rows. Tables that do not reach up to the tail's floor are
//! waited for, within a bound.

mod account;
mod market;

pub use account::ListDetails;

use std::{future::Future, time::Duration};

use sqlx::PgPool;
use tokio::time::{Instant, sleep, timeout_at};

use super::committed::{Committed, Shared};
use crate::db::history::{Part, Projected};

/// How long a read may wait for the database and for the projector.
const DEADLINE: Duration = Duration::from_secs(3);
/// Between two looks at tables or memory that are behind.
const POLL: Duration = Duration::from_millis(10);

/// Why history cannot be told now.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    #[error("the tables are behind what memory holds: see the projector's lag")]
    Behind,
    #[error("the database did not answer within {} s", DEADLINE.as_secs())]
    Timeout,
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// The handle: cheap to clone.
#[derive(Debug, Clone)]
pub struct History {
    primary: PgPool,
    /// Tried first: used when it has caught up.
    replica: Option<PgPool>,
    committed: Shared,
}

/// What laying memory over the tables' rows says.
enum Laid<R> {
    Done(R),
    /// The tables do not reach up to what memory holds.
    Behind,
}

impl History {
    pub const fn new(primary: PgPool, replica: Option<PgPool>, committed: Shared) -> Self {
        Self { primary, replica, committed }
    }

    /// Reads the tables, then lays memory over them, until both speak of the same history or the deadline passes.
    async fn laid_over<T, R, Reading>(
        &self,
        read: impl Fn(PgPool) -> Reading,
        lay: impl Fn(&Committed, Projected<T>) -> Laid<R>,
    ) -> Result<R, HistoryError>
    where
        Reading: Future<Output = sqlx::Result<Projected<T>>>,
    {
        let deadline = Instant::now() + DEADLINE;
        let mut pool = self.replica.as_ref();
        loop {
            let rows = match timeout_at(deadline, read(pool.unwrap_or(&self.primary).clone())).await {
                Ok(Ok(rows)) => Some(rows),
                // A replica that is away is one that has not caught up.
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

/// Keeps what `part` asks for of things in rising order.
fn cut<T>(mut things: Vec<T>, part: &Part) -> Vec<T> {
    if part.is_newest() {
        things.drain(..things.len().saturating_sub(part.limit));
    } else {
        things.truncate(part.limit);
    }
    things
}
