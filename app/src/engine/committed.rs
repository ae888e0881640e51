//! What every read is served from: the fold of committed events, and nothing that is not durable. The leader folds its own batches
//! here too, after their commit. Never: a decision, SQL.
//!
//! The fold is the one place where the effects of an event are seen, so whatever tells clients of changes takes them from here.

use std::sync::Arc;

use exchange_core::{
    Effects, OrderList, State, TradeRecord,
    event::Event,
    market_data::{MarketData, PublicTrade},
    money::Quantity,
    order::{AccountId, Order, OrderId},
};
use parking_lot::RwLock;

use super::tail::HistoryTail;

/// The committed read model, shared by those who read and the one task that folds.
pub type Shared = Arc<RwLock<Committed>>;

/// Is told of each order's first fill, as it is folded.
pub trait FirstFills: std::fmt::Debug + Send + Sync {
    fn first_fill(&self, account: AccountId, as_maker: bool);
}

/// State, market data and the history that the tables do not hold yet, all at one sequence.
#[derive(Debug)]
pub struct Committed {
    pub state: State,
    pub market_data: MarketData,
    pub tail: HistoryTail,
    /// Market data holds events up to here already: it was loaded from tables.
    loaded_through: u64,
    /// Market data lacks the trades between the tables and the state that it began with.
    gap: bool,
    first_fills: Option<Arc<dyn FirstFills>>,
}

impl Committed {
    /// From a state (of a snapshot, or empty) and market data as of event `projected_seq` of the tables.
    ///
    /// Events from `state.sequence()` on are folded next. A state that is ahead of the tables (they are being rebuilt) leaves market
    /// data with a gap, until [`Self::reload_market_data`].
    pub fn new(state: State, market_data: MarketData, projected_seq: u64) -> Self {
        let gap = state.sequence() > projected_seq;
        let tail = HistoryTail::from(projected_seq.max(state.sequence()));
        Self { state, market_data, tail, loaded_through: projected_seq, gap, first_fills: None }
    }

    /// As [`Self::new`] in the place of what is here; whoever watches goes on watching.
    pub fn restart(&mut self, state: State, market_data: MarketData, projected_seq: u64) {
        *self = Self { first_fills: self.first_fills.take(), ..Self::new(state, market_data, projected_seq) };
    }

    /// Tells `watcher` of every first fill from here on.
    pub fn watch_first_fills(&mut self, watcher: Arc<dyn FirstFills>) {
        self.first_fills = Some(watcher);
    }

    /// Folds one committed batch.
    pub fn apply(&mut self, events: &[Event]) {
        for event in events {
            let sequence = self.state.sequence() + 1;
            if sequence <= self.loaded_through {
                self.state.evolve(event);
                continue;
            }
            let first_fills = self.first_fills.as_deref();
            let mut fold = Fold { sequence, market_data: &mut self.market_data, tail: &mut self.tail, first_fills, trade: None };
            self.state.evolve_with(event, &mut fold);
        }
        self.market_data.advance(self.state.now());
    }

    /// Whether market data lacks trades; see [`Self::new`].
    pub const fn has_market_data_gap(&self) -> bool {
        self.gap
    }

    /// Puts market data loaded at event `projected_seq` in the place of one with a gap, and folds the tail's trades above it.
    /// False, and nothing changes, when the tail does not reach down to it.
    pub fn reload_market_data(&mut self, market_data: MarketData, projected_seq: u64) -> bool {
        if projected_seq < self.tail.floor() {
            return false;
        }
        self.market_data = market_data;
        self.loaded_through = projected_seq;
        self.gap = false;
        for market in 0..self.state.markets().len() {
            let Ok(market) = market.try_into() else { continue };
            for trade in self.tail.trades(market, projected_seq) {
                self.market_data.record(market, &public(trade));
            }
        }
        self.market_data.advance(self.state.now());
        true
    }
}

/// Where the effects of one event go.
struct Fold<'a> {
    sequence: u64,
    market_data: &'a mut MarketData,
    tail: &'a mut HistoryTail,
    first_fills: Option<&'a dyn FirstFills>,
    /// The event's trade: its quantity, and its maker.
    trade: Option<(Quantity, OrderId)>,
}

impl Effects for Fold<'_> {
    fn order_changed(&mut self, order: &Order) {
        // Told after the trade: an order that has executed nothing but it has its first fill.
        if let (Some((quantity, maker)), Some(watcher)) = (self.trade, self.first_fills)
            && order.executed == quantity
        {
            watcher.first_fill(order.account, order.id == maker);
        }
        if !order.status.is_open() {
            self.tail.push_order(self.sequence, order);
        }
    }

    fn list_changed(&mut self, list: &OrderList) {
        if list.done {
            self.tail.push_list(self.sequence, list);
        }
    }

    fn traded(&mut self, trade: &TradeRecord) {
        let maker = if trade.buyer_is_maker { trade.buyer_order } else { trade.seller_order };
        self.trade = Some((trade.quantity, maker));
        self.market_data.record(trade.market, &public(trade));
        self.tail.push_trade(self.sequence, trade);
    }
}

/// What the public sees of a trade.
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
