//! Double entry: every movement takes from one bucket what it gives to another, so each asset always sums to zero. Never: why
//! money moves.
//!
//! The custody account stands for the outside world and is the only one that may be negative.

use crate::money::Amount;
use crate::order::{AccountId, AssetId};

/// The outside world: what customers brought in is owed here.
pub const CUSTODY: AccountId = 0;
/// Receives commissions.
pub const FEES: AccountId = 1;

/// Which part of a balance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Bucket {
    Free = 0,
    Locked = 1,
}

/// One movement: `amount` (above 0) leaves `debit` and arrives at `credit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transfer {
    pub asset: AssetId,
    pub amount: Amount,
    pub debit: (AccountId, Bucket),
    pub credit: (AccountId, Bucket),
}

/// One account's holding of one asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Balance {
    pub free: Amount,
    pub locked: Amount,
}

impl Balance {
    #[inline]
    pub(crate) fn bucket(&mut self, bucket: Bucket) -> &mut Amount {
        match bucket {
            Bucket::Free => &mut self.free,
            Bucket::Locked => &mut self.locked,
        }
    }
}

/// The balances of one account, by asset.
#[derive(Debug, Clone, Default)]
pub(crate) struct Balances(Vec<(AssetId, Balance)>);

impl Balances {
    /// Accounts hold few assets: a scan of neighbours beats a search.
    #[inline]
    pub fn get(&self, asset: AssetId) -> Balance {
        self.0.iter().find(|(id, _)| *id == asset).map_or(Balance::default(), |(_, balance)| *balance)
    }

    #[inline]
    pub fn get_mut(&mut self, asset: AssetId) -> &mut Balance {
        let index = match self.0.iter().position(|(id, _)| *id >= asset) {
            Some(index) if self.0[index].0 == asset => index,
            found => {
                let index = found.unwrap_or(self.0.len());
                self.0.insert(index, (asset, Balance::default()));
                index
            }
        };
        &mut self.0[index].1
    }

    /// In order of asset.
    pub fn iter(&self) -> impl Iterator<Item = (AssetId, Balance)> + '_ {
        self.0.iter().copied()
    }
}
