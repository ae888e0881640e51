//! This module is double-entry bookkeeping: every movement takes from one bucket the amount that it adds to another, so each
//! asset always sums to zero. It must not know the reason of a movement.
//!
//! The custody account represents the outside world and is the only one that may be negative.

use crate::money::Amount;
use crate::order::{AccountId, AssetId};

/// The outside world: its negative balance is the sum of customers' deposits.
pub const CUSTODY: AccountId = 0;
/// Receives commissions.
pub const FEES: AccountId = 1;

/// A part of a balance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Bucket {
    Free = 0,
    Locked = 1,
}

/// One movement: `amount` (above 0) moves from `debit` to `credit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transfer {
    pub asset: AssetId,
    pub amount: Amount,
    pub debit: (AccountId, Bucket),
    pub credit: (AccountId, Bucket),
}

/// One account's balance of one asset.
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

/// Number of assets up to which a linear scan is used; above it a binary search.
const NEAR: usize = 16;

/// The balances of one account, by asset.
#[derive(Debug, Clone, Default)]
pub(crate) struct Balances(Vec<(AssetId, Balance)>);

impl Balances {
    /// The number of held assets before or at `asset`. Ids rise without gaps, so the position of an asset is at most its id, and
    /// equal to it if all earlier assets are held too. Accounts hold few assets: a scan from that position is faster than a
    /// search.
    #[inline]
    fn through(&self, asset: AssetId) -> usize {
        let mut end = self.0.len().min(usize::from(asset) + 1);
        if end > NEAR {
            return self.0[..end].partition_point(|(held, _)| *held <= asset);
        }
        while end > 0 && self.0[end - 1].0 > asset {
            end -= 1;
        }
        end
    }

    #[inline]
    pub fn get(&self, asset: AssetId) -> Balance {
        match self.0[..self.through(asset)].last() {
            Some((held, balance)) if *held == asset => *balance,
            _ => Balance::default(),
        }
    }

    #[inline]
    pub fn get_mut(&mut self, asset: AssetId) -> &mut Balance {
        let end = self.through(asset);
        let index = match self.0[..end].last() {
            Some((held, _)) if *held == asset => end - 1,
            _ => {
                self.0.insert(end, (asset, Balance::default()));
                end
            }
        };
        &mut self.0[index].1
    }

    /// In order of asset.
    pub fn iter(&self) -> impl Iterator<Item = (AssetId, Balance)> + '_ {
        self.0.iter().copied()
    }
}
