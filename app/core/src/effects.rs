//! This module reports the effects of one event to tables, market data and replies. It must not offer a way to change anything.

use crate::ledger::Transfer;
use crate::money::{Amount, Price, Quantity, Time};
use crate::order::{AccountId, ClientId, MarketId, Order, OrderId, StpMode, TradeId};
use crate::state::OrderList;

/// A trade with the data that both sides need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TradeRecord {
    pub market: MarketId,
    pub trade: TradeId,
    pub aggregate: u64,
    pub price: Price,
    pub quantity: Quantity,
    pub quote: Amount,
    pub time: Time,
    pub buyer_is_maker: bool,
    pub buyer_order: OrderId,
    pub seller_order: OrderId,
    pub buyer: AccountId,
    pub seller: AccountId,
    /// In the base asset.
    pub buyer_commission: Amount,
    /// In the quote asset.
    pub seller_commission: Amount,
}

/// One amendment of one order (`order/amendments`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AmendmentRecord {
    /// Sequence of the event.
    pub execution: u64,
    pub account: AccountId,
    pub market: MarketId,
    pub order: OrderId,
    pub original_client_id: ClientId,
    pub client_id: ClientId,
    pub original_quantity: Quantity,
    pub quantity: Quantity,
    pub time: Time,
}

/// A trade that self-trade prevention prevented (`myPreventedMatches`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreventedRecord {
    /// Sequence of the event.
    pub sequence: u64,
    pub market: MarketId,
    /// Rising by one within a market.
    pub prevented_match: u64,
    pub account: AccountId,
    pub taker: OrderId,
    pub maker: OrderId,
    /// The taker's mode.
    pub stp: StpMode,
    pub price: Price,
    /// 0: nothing of this order expired.
    pub taker_quantity: Quantity,
    pub maker_quantity: Quantity,
    pub time: Time,
}

/// Callbacks of [`crate::State::evolve_with`], in order; each does nothing by default.
pub trait Effects {
    fn transfer(&mut self, _transfer: Transfer) {}
    /// After every change of an order, including the one that ends it.
    fn order_changed(&mut self, _order: &Order) {}
    fn list_changed(&mut self, _list: &OrderList) {}
    fn traded(&mut self, _trade: &TradeRecord) {}
    /// Before the [`Self::order_changed`] of its orders.
    fn prevented(&mut self, _prevented: &PreventedRecord) {}
    /// Before the [`Self::order_changed`] of the same order.
    fn amended(&mut self, _amendment: &AmendmentRecord) {}
}

/// For a plain replay.
impl Effects for () {}
