//! This module reads the journal into the committed state and checks each batch before it applies it. It must not skip a batch.

use std::{sync::Arc, time::Duration};

use exchange_core::{DecodeError, batch, event::Event};
use futures::StreamExt;
use parking_lot::RwLock;
use sqlx::PgConnection;
use tokio::sync::mpsc;

use super::{
    committed::{Committed, HistoryView},
    push::Push,
};
use crate::db::journal::{self, StoredBatch};

/// Batches between the database's reader and the thread that applies them.
const READ_AHEAD: usize = 256;
/// Decoded batches between the decoding and the applying thread.
const DECODED_AHEAD: usize = 64;

/// The database counts as lost if it sends nothing for this long.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// Why the journal cannot be followed. All but `Database` stop the program: continuing would fork the state.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReplayError {
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error(
        "the journal batch that starts at sequence {first} is corrupt: {what}. This batch and later ones were not applied and \
         must not be skipped. Do not change the database. Restore the last verified backup to a moment before the damage (or \
         promote a standby that has the batch intact), and start again"
    )]
    Corrupt { first: i64, what: String },
    #[error(
        "the journal batch that starts at sequence {first} needs {needs}, which this release does not read: a newer release \
         wrote it. The batch is durable and intact, so no restore is needed: run that release here. This program stops before \
         the batch"
    )]
    Newer { first: i64, needs: String },
    #[error(
        "the journal lacks the batches with sequences {first} to {last}: {what}. Do not change the database. Restore the \
         missing data (the partition archived under these sequences, a newer snapshot, or the last verified backup), and start \
         again"
    )]
    Missing { first: i64, last: i64, what: &'static str },
}

/// The expected next batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected {
    pub sequence: i64,
    pub epoch: i64,
    /// `None`: unknown after a snapshot of the first format.
    pub history: Option<HistoryView>,
}

/// A state that was rebuilt next to the served one.
pub(super) struct Rebuilt {
    pub committed: Arc<RwLock<Committed>>,
    pub expected: Expected,
}

impl Expected {
    /// The batch's events if it is the expected one.
    fn open(&mut self, stored: &StoredBatch) -> Result<Vec<Event>, ReplayError> {
        let StoredBatch { first_sequence: first, last_sequence: last, epoch, checksum, .. } = *stored;
        self.open_batch((first, last), epoch, checksum, stored.payload()?)
    }

    /// As [`Self::open`], for a batch that the leader pushed.
    pub fn open_pushed(&mut self, push: &Push) -> Result<Vec<Event>, ReplayError> {
        let sequences = (push.first_sequence, push.last_sequence);
        self.open_batch(sequences, push.epoch, push.checksum.into(), &push.payload)
    }

    fn open_batch(
        &mut self,
        (first, last): (i64, i64),
        epoch: i64,
        checksum: i64,
        payload: &[u8],
    ) -> Result<Vec<Event>, ReplayError> {
        let corrupt = |what: String| ReplayError::Corrupt { first, what };
        if first > self.sequence {
            let what = "the batch after them exists, so they existed before";
            return Err(ReplayError::Missing { first: self.sequence, last: first - 1, what });
        }
        if first < self.sequence {
            return Err(corrupt(format!("it overlaps the batch before it, which ends at {}", self.sequence - 1)));
        }
        if epoch < self.epoch {
            return Err(corrupt(format!("its epoch is {epoch}, after epoch {}", self.epoch)));
        }
        let actual = i64::from(batch::checksum(payload));
        if actual != checksum {
            return Err(corrupt(format!("its checksum is {checksum:#010x}, but its bytes have {actual:#010x}")));
        }
        if let Some(needs) = batch::beyond_this_release(payload) {
            return Err(ReplayError::Newer { first, needs });
        }
        let events = batch::decode(payload).map_err(|error: DecodeError| corrupt(error.to_string()))?;
        if events.len() as i64 != last - first + 1 {
            return Err(corrupt(format!("it has {} events for the sequences {first} to {last}", events.len())));
        }
        let history = self.history.map(|history| history.next(first, last, epoch, payload));
        *self = Self { sequence: last + 1, epoch, history };
        Ok(events)
    }
}

/// Applies every batch after the committed state up to `target`. Reading, decoding and applying overlap.
pub(super) async fn catch_up(
    connection: &mut PgConnection,
    committed: &Arc<RwLock<Committed>>,
    expected: &mut Expected,
    target: i64,
) -> Result<(), ReplayError> {
    let (rows, mut to_decode) = mpsc::channel::<StoredBatch>(READ_AHEAD);
    let (decoded, mut to_apply) = mpsc::channel::<(Vec<Event>, Option<HistoryView>)>(DECODED_AHEAD);
    let mut next = *expected;
    let decoding = tokio::task::spawn_blocking(move || {
        while let Some(stored) = to_decode.blocking_recv() {
            let events = next.open(&stored)?;
            if decoded.blocking_send((events, next.history)).is_err() {
                break;
            }
        }
        Ok::<_, ReplayError>(next)
    });
    let committed = Arc::clone(committed);
    let applying = tokio::task::spawn_blocking(move || {
        while let Some((events, history)) = to_apply.blocking_recv() {
            committed.write().apply_batch(&events, history);
        }
    });
    let mut stream = journal::stream(connection, expected.sequence - 1, target);
    let mut read = Ok(());
    loop {
        // A silent peer is an error like a closed one. Dropping this future instead would leave the threads running.
        let row = match tokio::time::timeout(READ_TIMEOUT, stream.next()).await {
            Ok(Some(row)) => row,
            Ok(None) => break,
            Err(_) => Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())),
        };
        match row {
            Ok(stored) => {
                if rows.send(stored).await.is_err() {
                    // The decoder has stopped and returns the reason.
                    break;
                }
            }
            Err(error) => {
                read = Err(error);
                break;
            }
        }
    }
    drop(rows);
    let decoded = decoding.await.expect("decoding does not panic");
    applying.await.expect("applying does not panic");
    *expected = decoded?;
    read?;
    if expected.sequence <= target {
        let what = "the head states that they were committed";
        return Err(ReplayError::Missing { first: expected.sequence, last: target, what });
    }
    Ok(())
}
