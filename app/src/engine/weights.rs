//! This module shares the request weights of client addresses between replicas, over the links. It must not charge or refuse.
//!
//! - A weight is what one replica charged in one minute. It is cumulative, so a repeated or reordered report changes nothing.
//! - Followers report to the leader, which reports to every other follower. A new link starts with everything that either end knows:
//!   a takeover refunds nothing.

use std::{
    fmt::Debug,
    sync::{Arc, OnceLock},
};

use exchange_core::money::Time;
use tokio::sync::{Notify, broadcast};

use crate::address_key::AddressKey;

/// Reports between the table and one link. A slower link starts again with the whole table.
const REPORTS: usize = 64;

/// What one replica charged to one address in one minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressWeight {
    pub address: AddressKey,
    /// The replica.
    pub origin: u64,
    /// Start of the minute, µs.
    pub minute: Time,
    pub used: u32,
    /// End of the address's ban, µs; 0: not banned.
    pub banned_until: Time,
}

/// The table of charged weights.
pub trait WeightTable: Debug + Send + Sync {
    /// This replica's weights that changed since the last call.
    fn changed(&self) -> Vec<AddressWeight>;
    /// The weights of this minute, of every replica.
    fn all(&self) -> Vec<AddressWeight>;
    /// Adds weights of other replicas.
    fn merge(&self, weights: &[AddressWeight]);
    /// Notified when a report must not wait for the interval.
    fn urgent(&self) -> &Notify;
}

/// A report on its way to the links.
#[derive(Debug, Clone)]
pub(super) struct WeightReport {
    /// The follower that sent it; `None`: this replica.
    pub from: Option<u128>,
    pub weights: Arc<[AddressWeight]>,
}

#[derive(Debug)]
pub(super) struct Weights {
    table: OnceLock<Arc<dyn WeightTable>>,
    pub reports: broadcast::Sender<WeightReport>,
}

impl Default for Weights {
    fn default() -> Self {
        Self { table: OnceLock::new(), reports: broadcast::Sender::new(REPORTS) }
    }
}

impl Weights {
    /// The table, once it is set.
    pub fn table(&self) -> Option<Arc<dyn WeightTable>> {
        self.table.get().cloned()
    }

    /// Sets the table, once.
    pub fn share(&self, table: Arc<dyn WeightTable>) {
        let _ = self.table.set(table);
    }

    /// The weights for a new link.
    pub fn all(&self) -> Vec<AddressWeight> {
        self.table.get().map_or_else(Vec::new, |table| table.all())
    }

    /// A report that came over a link.
    pub fn merge(&self, weights: &[AddressWeight]) {
        if let Some(table) = self.table.get() {
            table.merge(weights);
        }
    }
}
