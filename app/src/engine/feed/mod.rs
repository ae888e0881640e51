//! This module is the subscription to the committed fold: the changes that streams publish, in journal order.
//!
//! - It records only what somebody watches. An unwatched fold costs one uncontended lock per batch.
//! - It must not serialize, and it must not wait for a reader: the fold runs on the leader's path.
//! - Pending changes are bounded by [`PENDING_MAX`]. Beyond it they are dropped and [`Changes::lost`] is set, so that a reader ends
//!   its subscriptions instead of having a gap.
//! - A rebuild of the state sets `lost` too: the events between are unknown.

mod recorder;

use exchange_core::{
    Balance, OrderList, State, TradeRecord,
    market_data::PublicTrade,
    money::{Amount, Price, Quantity, Time},
    order::{AccountId, AssetId, ClientId, MarketId, Order, OrderId, Side, TradeId},
};
use parking_lot::Mutex;
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;
use tokio::sync::Notify;

pub(super) use recorder::Recorder;

/// Pending changes, of trades and of accounts: about 100 MB at most. The reader takes them after every batch.
pub const PENDING_MAX: usize = 262_144;

/// The interval at which changed levels are collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Speed {
    /// 100 ms.
    Fast = 0,
    /// 1000 ms.
    Slow = 1,
}

/// A price level of one side.
pub type LevelKey = (Side, Price);

/// The order ids and client ids of an order list.
pub type Legs = SmallVec<[(OrderId, ClientId); 2]>;

/// What happened to an order (`executionReport.x`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Execution {
    New,
    Canceled,
    Trade,
    Expired,
    TradePrevention,
    /// Amended.
    Replaced,
}

impl Execution {
    pub const fn text(self) -> &'static str {
        match self {
            Self::New => "NEW",
            Self::Canceled => "CANCELED",
            Self::Trade => "TRADE",
            Self::Expired => "EXPIRED",
            Self::TradePrevention => "TRADE_PREVENTION",
            Self::Replaced => "REPLACED",
        }
    }
}

/// The order's side of a trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastTrade {
    pub trade: TradeId,
    pub price: Price,
    pub quantity: Quantity,
    pub quote: Amount,
    pub commission: Amount,
    pub commission_asset: AssetId,
    pub is_maker: bool,
}

/// A trade that self-trade prevention prevented, from the order's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prevention {
    pub counter_order: OrderId,
    pub price: Price,
    /// Expired by it.
    pub quantity: Quantity,
}

/// One change of one order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderReport {
    pub order: Order,
    pub execution: Execution,
    pub trade: Option<LastTrade>,
    pub prevention: Option<Prevention>,
    /// Client id before an amendment.
    pub original_client_id: Option<ClientId>,
}

/// A change that the owner of an account can see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountChange {
    Order(Box<OrderReport>),
    List {
        list: Box<OrderList>,
        legs: Legs,
        /// A leg has another client id.
        renamed: bool,
    },
    /// The balances that an event may have changed, after it.
    Balances(SmallVec<[(AssetId, Balance); 2]>),
    /// A deposit or a withdrawal.
    Credited {
        asset: AssetId,
        amount: Amount,
    },
}

/// A change of a watched account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountEvent {
    pub sequence: u64,
    /// Journal time.
    pub time: Time,
    pub account: AccountId,
    pub change: AccountChange,
}

/// Changes since the last [`Feed::take`].
#[derive(Debug, Default)]
pub struct Changes {
    /// Trades of watched markets.
    pub trades: Vec<(MarketId, PublicTrade)>,
    pub accounts: Vec<AccountEvent>,
    /// Changes were dropped, or the state was rebuilt: every subscription has a gap.
    pub lost: bool,
}

#[derive(Debug, Default)]
struct Watched {
    trades: bool,
    /// By [`Speed`]: the levels that changed since the last [`Feed::take_levels`]; `None`: not watched.
    levels: [Option<FxHashSet<LevelKey>>; 2],
}

#[derive(Debug, Default)]
struct Inner {
    /// By market.
    markets: Vec<Watched>,
    accounts: FxHashSet<AccountId>,
    /// Some market's trades or levels are watched.
    watches_markets: bool,
    /// The reader wants to know of each batch.
    wakes: bool,
    pending: Changes,
}

/// What a reader watches; the fold records it.
#[derive(Debug, Default)]
pub struct Feed {
    inner: Mutex<Inner>,
    wake: Notify,
}

impl Feed {
    /// Starts or stops recording a market's trades.
    pub fn watch_trades(&self, market: MarketId, watch: bool) {
        let mut inner = self.inner.lock();
        inner.market(market).trades = watch;
        inner.note();
    }

    /// Starts or stops collecting a market's changed levels. Call it under a read lock of the committed state, whose
    /// `market_sequence` is then the sequence before the first collected change.
    pub fn watch_levels(&self, market: MarketId, speed: Speed, watch: bool) {
        let mut inner = self.inner.lock();
        let levels = &mut inner.market(market).levels[speed as usize];
        match watch {
            true => _ = levels.get_or_insert_default(),
            false => *levels = None,
        }
        inner.note();
    }

    /// Starts or stops recording an account's changes.
    pub fn watch_account(&self, account: AccountId, watch: bool) {
        let mut inner = self.inner.lock();
        match watch {
            true => _ = inner.accounts.insert(account),
            false => _ = inner.accounts.remove(&account),
        }
        inner.note();
    }

    /// Whether [`Self::changed`] returns after every batch, even if nothing was recorded.
    pub fn wake_on_every_batch(&self, wakes: bool) {
        self.inner.lock().wakes = wakes;
    }

    /// Waits for changes.
    pub async fn changed(&self) {
        self.wake.notified().await;
    }

    /// Takes everything recorded since the last call.
    pub fn take(&self) -> Changes {
        std::mem::take(&mut self.inner.lock().pending)
    }

    /// Takes the levels that changed. Call it under the read lock with which their quantities are read.
    pub fn take_levels(&self, market: MarketId, speed: Speed, into: &mut Vec<LevelKey>) {
        into.clear();
        if let Some(levels) = &mut self.inner.lock().market(market).levels[speed as usize] {
            into.extend(levels.drain());
        }
    }

    /// Ends every subscription: the state was replaced.
    pub(super) fn lose(&self) {
        self.inner.lock().lose();
        self.wake.notify_one();
    }

    /// Records one batch; `None` if nothing is watched.
    pub(super) fn record(&self, state: &State) -> Option<Recorder<'_>> {
        let inner = self.inner.lock();
        if !inner.watches_markets && inner.accounts.is_empty() {
            if inner.wakes {
                self.wake.notify_one();
            }
            return None;
        }
        Some(Recorder::new(inner, &self.wake, state))
    }
}

impl Inner {
    fn market(&mut self, market: MarketId) -> &mut Watched {
        let index = usize::from(market);
        if self.markets.len() <= index {
            self.markets.resize_with(index + 1, Watched::default);
        }
        &mut self.markets[index]
    }

    fn note(&mut self) {
        self.watches_markets = self.markets.iter().any(|market| market.trades || market.levels.iter().any(Option::is_some));
    }

    fn lose(&mut self) {
        self.pending = Changes { lost: true, ..Changes::default() };
        for levels in self.markets.iter_mut().flat_map(|market| market.levels.iter_mut().flatten()) {
            levels.clear();
        }
    }
}

/// The public part of a trade.
pub const fn public(trade: &TradeRecord) -> PublicTrade {
    PublicTrade {
        trade: trade.trade,
        aggregate: trade.aggregate,
        price: trade.price,
        quantity: trade.quantity,
        quote: trade.quote,
        time: trade.time,
        buyer_is_maker: trade.buyer_is_maker,
    }
}

/// Accounts and their assets.
type Touched = FxHashMap<AccountId, SmallVec<[AssetId; 2]>>;

#[cfg(test)]
mod tests;
