//! This module defines the filters that an operator may add from feature level 5 on: of one market, and of one account over all
//! markets. It must not count anything.
//!
//! A filter that is 0 does not exist: exchangeInfo omits it, and nothing checks it.

use crate::codec::{ByteDecoder, ByteEncoder, DecodeError, Sink};
use crate::money::{Decimal, Quantity};

/// Further filters of one market.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MarketLimits {
    /// MAX_POSITION: base asset of one account, free, locked and to be bought, in 10⁻⁸.
    pub max_position: Quantity,
    /// MAX_NUM_ORDER_LISTS: open order lists of one account on the market.
    pub max_lists: u32,
}

/// Filters of one account over all markets (`exchangeFilters`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExchangeLimits {
    /// EXCHANGE_MAX_NUM_ORDERS
    pub max_orders: u32,
    /// EXCHANGE_MAX_NUM_ALGO_ORDERS
    pub max_algo_orders: u32,
    /// EXCHANGE_MAX_NUM_ORDER_LISTS
    pub max_lists: u32,
}

fn shown(value: u32) -> String {
    if value == 0 { "none".to_owned() } else { value.to_string() }
}

impl MarketLimits {
    /// For the journal's note of the change.
    pub(crate) fn listed(&self) -> String {
        let position = if self.max_position == 0 { "none".to_owned() } else { Decimal(self.max_position.into()).to_string() };
        format!("maxPosition {position}, maxNumOrderLists {}", shown(self.max_lists))
    }

    pub(crate) fn encode(&self, w: &mut ByteEncoder<impl Sink>) {
        w.i64(self.max_position);
        w.u64(self.max_lists.into());
    }

    pub(crate) fn decode(r: &mut ByteDecoder<'_>) -> Result<Self, DecodeError> {
        Ok(Self { max_position: r.i64()?, max_lists: r.u32()? })
    }
}

impl ExchangeLimits {
    /// For the journal's note of the change.
    pub(crate) fn listed(&self) -> String {
        let [orders, algo, lists] = [self.max_orders, self.max_algo_orders, self.max_lists].map(shown);
        format!("maxNumOrders {orders}, maxNumAlgoOrders {algo}, maxNumOrderLists {lists}")
    }

    pub(crate) fn encode(&self, w: &mut ByteEncoder<impl Sink>) {
        for value in [self.max_orders, self.max_algo_orders, self.max_lists] {
            w.u64(value.into());
        }
    }

    pub(crate) fn decode(r: &mut ByteDecoder<'_>) -> Result<Self, DecodeError> {
        Ok(Self { max_orders: r.u32()?, max_algo_orders: r.u32()?, max_lists: r.u32()? })
    }
}
