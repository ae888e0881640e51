//! This module has public trades, single and aggregated. It must not contain the owners of a trade.

use crate::money::{Amount, Price, Quantity, Time};
use crate::order::TradeId;

/// One execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicTrade {
    pub trade: TradeId,
    pub aggregate: u64,
    pub price: Price,
    pub quantity: Quantity,
    /// Price times quantity, in the quote asset.
    pub quote: Amount,
    /// Microseconds.
    pub time: Time,
    /// The buyer's order was the maker: the taker sold.
    pub buyer_is_maker: bool,
}

/// The trades of one taker order at one price and one time: an entry of `aggTrades`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AggregateTrade {
    pub aggregate: u64,
    pub price: Price,
    pub quantity: Amount,
    pub first_trade: TradeId,
    pub last_trade: TradeId,
    pub time: Time,
    pub buyer_is_maker: bool,
}

impl AggregateTrade {
    pub fn of(trade: &PublicTrade) -> Self {
        Self {
            aggregate: trade.aggregate,
            price: trade.price,
            quantity: trade.quantity.into(),
            first_trade: trade.trade,
            last_trade: trade.trade,
            time: trade.time,
            buyer_is_maker: trade.buyer_is_maker,
        }
    }

    /// Adds `trade` if it belongs to this aggregate; false if it starts another.
    pub fn append(&mut self, trade: &PublicTrade) -> bool {
        if trade.aggregate != self.aggregate {
            return false;
        }
        self.quantity += Amount::from(trade.quantity);
        self.last_trade = trade.trade;
        true
    }
}
