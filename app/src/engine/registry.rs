//! This module lists the followers' connections to this replica, so that a new one ends the one before. It must not use the
//! network.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Time limit for the commands of an earlier connection. The engine answers each within 10 s.
const DRAIN: Duration = Duration::from_secs(11);

/// The open connections by follower.
#[derive(Debug, Default)]
pub struct Registry {
    links: Mutex<BTreeMap<u128, Arc<ReplicaLink>>>,
}

/// One connection.
#[derive(Debug)]
pub(super) struct ReplicaLink {
    /// Cancelled when a newer connection replaces this one.
    pub replaced: CancellationToken,
    drained: watch::Sender<Option<Drained>>,
}

/// State of the commands that came over a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Drained {
    /// Each is in the journal, or was certainly not executed.
    Decided,
    /// The outcome of at least one is unknown.
    Unknown,
}

impl Registry {
    /// A new term of this replica: its claim decided everything before it.
    pub fn begin_term(&self) {
        self.links.lock().clear();
    }

    /// Followers that are connected.
    pub fn count(&self) -> usize {
        self.links.lock().len()
    }

    /// Registers a connection of `replica` after its earlier one has ended. `None`: the outcome of a command of the earlier one is
    /// unknown, so no barrier is possible in this term.
    pub(super) async fn enter(&self, replica: u128) -> Option<Arc<ReplicaLink>> {
        let link = Arc::new(ReplicaLink { replaced: CancellationToken::new(), drained: watch::Sender::new(None) });
        let previous = self.links.lock().insert(replica, Arc::clone(&link));
        if let Some(previous) = previous {
            previous.replaced.cancel();
            let mut drained = previous.drained.subscribe();
            let waited = tokio::time::timeout(DRAIN, drained.wait_for(Option::is_some)).await;
            let decided = matches!(waited, Ok(Ok(ended)) if *ended == Some(Drained::Decided));
            if !decided {
                link.end(Drained::Unknown);
                return None;
            }
        }
        Some(link)
    }

    /// Removes a connection without commands in doubt. One with such commands remains, so that it blocks its successors.
    pub(super) fn leave(&self, replica: u128, link: &Arc<ReplicaLink>) {
        let mut links = self.links.lock();
        if links.get(&replica).is_some_and(|current| Arc::ptr_eq(current, link)) {
            links.remove(&replica);
        }
    }
}

impl ReplicaLink {
    pub fn end(&self, drained: Drained) {
        self.drained.send_replace(Some(drained));
    }
}
