//! This module defines the filters that an operator may set from feature level 5 on: of one market, and of one account over all
//! markets. It must not count anything.
//!
//! - A filter that is 0 does not exist: exchangeInfo omits it, and nothing checks it. Exception: the number of parts of an iceberg order
//!   and the number of amendments have defaults, because they bound what one order may cost.

use crate::codec::{ByteDecoder, ByteEncoder, DecodeError, Sink};
use crate::money::{Decimal, Quantity};

/// ICEBERG_PARTS `limit` of a market without its own. One taker may match each part separately.
pub const ICEBERG_PARTS: u32 = 100;
/// Largest ICEBERG_PARTS `limit`.
pub const ICEBERG_PARTS_MAX: u32 = 1_000;
/// MAX_NUM_ORDER_AMENDS of a market without its own.
pub const ORDER_AMENDS: u32 = 10;

/// Further filters of one market.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MarketLimits {
    /// MAX_POSITION: base asset of one account, free, locked and to be bought, in 10⁻⁸.
    pub max_position: Quantity,
    /// MAX_NUM_ORDER_LISTS: open order lists of one account on the market.
    pub max_lists: u32,
    /// ICEBERG_PARTS; 0: [`ICEBERG_PARTS`]. Feature level 6.
    pub iceberg_parts: u32,
    /// MAX_NUM_ICEBERG_ORDERS: open iceberg orders of one account on the market. Feature level 6.
    pub max_icebergs: u32,
    /// MAX_NUM_ORDER_AMENDS: amendments of one order; 0: [`ORDER_AMENDS`]. Feature level 6.
    pub max_amends: u32,
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
    /// EXCHANGE_MAX_NUM_ICEBERG_ORDERS. Feature level 6.
    pub max_icebergs: u32,
}

fn shown(value: u32) -> String {
    if value == 0 { "none".to_owned() } else { value.to_string() }
}

impl MarketLimits {
    /// Most parts of one iceberg order.
    pub const fn parts(&self) -> u32 {
        if self.iceberg_parts == 0 { ICEBERG_PARTS } else { self.iceberg_parts }
    }

    /// Most amendments of one order.
    pub const fn amends(&self) -> u32 {
        if self.max_amends == 0 { ORDER_AMENDS } else { self.max_amends }
    }

    /// The feature level that these values need.
    pub(crate) fn level(&self) -> u32 {
        if [self.iceberg_parts, self.max_icebergs, self.max_amends] == [0; 3] { 5 } else { 6 }
    }

    /// For the journal's note of the change.
    pub(crate) fn listed(&self) -> String {
        let position = if self.max_position == 0 { "none".to_owned() } else { Decimal(self.max_position.into()).to_string() };
        let older = format!("maxPosition {position}, maxNumOrderLists {}", shown(self.max_lists));
        if self.level() < 6 {
            return older;
        }
        let (parts, icebergs, amends) = (self.parts(), shown(self.max_icebergs), self.amends());
        format!("{older}, icebergParts {parts}, maxNumIcebergOrders {icebergs}, maxNumOrderAmends {amends}")
    }

    /// `newest`: with the filters of feature level 6.
    pub(crate) fn encode(&self, newest: bool, w: &mut ByteEncoder<impl Sink>) {
        w.i64(self.max_position);
        w.u64(self.max_lists.into());
        if newest {
            for value in [self.iceberg_parts, self.max_icebergs, self.max_amends] {
                w.u64(value.into());
            }
        }
    }

    pub(crate) fn decode(newest: bool, r: &mut ByteDecoder<'_>) -> Result<Self, DecodeError> {
        let older = Self { max_position: r.i64()?, max_lists: r.u32()?, ..Self::default() };
        if !newest {
            return Ok(older);
        }
        Ok(Self { iceberg_parts: r.u32()?, max_icebergs: r.u32()?, max_amends: r.u32()?, ..older })
    }
}

impl ExchangeLimits {
    /// The feature level that these values need.
    pub(crate) const fn level(&self) -> u32 {
        if self.max_icebergs == 0 { 5 } else { 6 }
    }

    /// For the journal's note of the change.
    pub(crate) fn listed(&self) -> String {
        let [orders, algo, lists] = [self.max_orders, self.max_algo_orders, self.max_lists].map(shown);
        let older = format!("maxNumOrders {orders}, maxNumAlgoOrders {algo}, maxNumOrderLists {lists}");
        if self.level() < 6 { older } else { format!("{older}, maxNumIcebergOrders {}", self.max_icebergs) }
    }

    /// `newest`: with the filters of feature level 6.
    pub(crate) fn encode(&self, newest: bool, w: &mut ByteEncoder<impl Sink>) {
        for value in [self.max_orders, self.max_algo_orders, self.max_lists] {
            w.u64(value.into());
        }
        if newest {
            w.u64(self.max_icebergs.into());
        }
    }

    pub(crate) fn decode(newest: bool, r: &mut ByteDecoder<'_>) -> Result<Self, DecodeError> {
        let older = Self { max_orders: r.u32()?, max_algo_orders: r.u32()?, max_lists: r.u32()?, max_icebergs: 0 };
        if newest { Ok(Self { max_icebergs: r.u32()?, ..older }) } else { Ok(older) }
    }
}
