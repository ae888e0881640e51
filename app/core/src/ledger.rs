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

/// Assets that are looked at one by one; more are searched.
const NEAR: usize = 16;

/// The balances of one account, by asset.
#[derive(Debug, Clone, Default)]
pub(crate) struct Balances(Vec<(AssetId, Balance)>);

impl Balances {
    /// How many assets before or at `asset` are held. Ids rise without gaps, so an asset stands nowhere later than its own id says,
    /// and exactly there when all before it are held too; accounts hold few assets: from there a scan beats a search.
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
