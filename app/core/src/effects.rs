//! What one event did, for those who keep tables, market data or replies. Never: a way to change anything.

use crate::ledger::Transfer;
use crate::money::{Amount, Price, Quantity, Time};
use crate::order::{AccountId, MarketId, Order, OrderId, TradeId};
use crate::state::OrderList;

/// A trade with what both sides need to know of it.
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

/// Told by [`crate::State::evolve_with`], in the order in which things happened; each defaults to nothing.
pub trait Effects {
    fn transfer(&mut self, _transfer: Transfer) {}
    /// After every change of an order, the one that ends it included.
    fn order_changed(&mut self, _order: &Order) {}
    fn list_changed(&mut self, _list: &OrderList) {}
    fn traded(&mut self, _trade: &TradeRecord) {}
}

/// For a plain replay.
impl Effects for () {}
