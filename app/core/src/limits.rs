//! This module defines the filters that an operator may set from feature level 5 on: of one market, and of one account over all
//! markets. It must not count anything.
//!
//! - A filter that is 0 does not exist: exchangeInfo omits it, and nothing checks it. Exceptions: the number of parts of an iceberg
//!   order and the number of amendments have defaults, because they bound what one order may cost; trailing deltas have defaults.

use crate::codec::{ByteDecoder, ByteEncoder, DecodeError, Sink};
use crate::money::{Decimal, Quantity};

/// Feature levels that add filters; see `event`, which is above this module.
const LEVEL_5: u32 = 5;
const LEVEL_6: u32 = 6;
const LEVEL_7: u32 = 7;
/// ICEBERG_PARTS `limit` of a market without its own. One taker may match each part separately.
pub const ICEBERG_PARTS: u32 = 100;
/// Largest ICEBERG_PARTS `limit`.
pub const ICEBERG_PARTS_MAX: u32 = 1_000;
/// TRAILING_DELTA of a market without its own: minimum and maximum in basis points.
pub const TRAILING_DELTA: [u32; 2] = [10, 2_000];
/// Largest TRAILING_DELTA: below the whole, so that a price remains.
pub const TRAILING_DELTA_MAX: u32 = 9_999;
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
    /// TRAILING_DELTA of orders that trigger above the price, in basis points: minimum and maximum; 0: the default. Feature level 7.
    pub trailing_above: [u32; 2],
    /// The same of orders that trigger below it.
    pub trailing_below: [u32; 2],
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

    /// Bounds of TRAILING_DELTA, minimum and maximum: `above` for orders that trigger above the price.
    pub const fn trailing(&self, above: bool) -> [u32; 2] {
        let [low, high] = if above { self.trailing_above } else { self.trailing_below };
        [if low == 0 { TRAILING_DELTA[0] } else { low }, if high == 0 { TRAILING_DELTA[1] } else { high }]
    }

    /// The values of feature level 6.
    const fn of_level_6(&self) -> [u32; 3] {
        [self.iceberg_parts, self.max_icebergs, self.max_amends]
    }

    /// The values of feature level 7.
    const fn of_level_7(&self) -> [u32; 4] {
        let ([low, high], [min, max]) = (self.trailing_above, self.trailing_below);
        [low, high, min, max]
    }

    /// The feature level that these values need.
    pub(crate) fn level(&self) -> u32 {
        match (self.of_level_6(), self.of_level_7()) {
            ([0, 0, 0], [0, 0, 0, 0]) => LEVEL_5,
            (_, [0, 0, 0, 0]) => LEVEL_6,
            _ => LEVEL_7,
        }
    }

    /// For the journal's note of the change.
    pub(crate) fn listed(&self) -> String {
        let position = if self.max_position == 0 { "none".to_owned() } else { Decimal(self.max_position.into()).to_string() };
        let older = format!("maxPosition {position}, maxNumOrderLists {}", shown(self.max_lists));
        let level = self.level();
        if level < LEVEL_6 {
            return older;
        }
        let (parts, icebergs, amends) = (self.parts(), shown(self.max_icebergs), self.amends());
        let newer = format!("{older}, icebergParts {parts}, maxNumIcebergOrders {icebergs}, maxNumOrderAmends {amends}");
        if level < LEVEL_7 {
            return newer;
        }
        let ([low, high], [min, max]) = (self.trailing(true), self.trailing(false));
        format!("{newer}, trailingAboveDelta {low} to {high}, trailingBelowDelta {min} to {max}")
    }

    /// With the filters of this feature level and the earlier ones.
    pub(crate) fn encode(&self, level: u32, w: &mut ByteEncoder<impl Sink>) {
        w.i64(self.max_position);
        w.u64(self.max_lists.into());
        if level >= LEVEL_6 {
            self.of_level_6().into_iter().for_each(|value| w.u64(value.into()));
        }
        if level >= LEVEL_7 {
            self.of_level_7().into_iter().for_each(|value| w.u64(value.into()));
        }
    }

    pub(crate) fn decode(level: u32, r: &mut ByteDecoder<'_>) -> Result<Self, DecodeError> {
        let mut read = Self { max_position: r.i64()?, max_lists: r.u32()?, ..Self::default() };
        if level >= LEVEL_6 {
            (read.iceberg_parts, read.max_icebergs, read.max_amends) = (r.u32()?, r.u32()?, r.u32()?);
        }
        if level >= LEVEL_7 {
            (read.trailing_above, read.trailing_below) = ([r.u32()?, r.u32()?], [r.u32()?, r.u32()?]);
        }
        Ok(read)
    }
}

impl ExchangeLimits {
    /// The feature level that these values need.
    pub(crate) const fn level(&self) -> u32 {
        if self.max_icebergs == 0 { LEVEL_5 } else { LEVEL_6 }
    }

    /// For the journal's note of the change.
    pub(crate) fn listed(&self) -> String {
        let [orders, algo, lists] = [self.max_orders, self.max_algo_orders, self.max_lists].map(shown);
        let older = format!("maxNumOrders {orders}, maxNumAlgoOrders {algo}, maxNumOrderLists {lists}");
        if self.level() < LEVEL_6 { older } else { format!("{older}, maxNumIcebergOrders {}", self.max_icebergs) }
    }

    /// With the filters of this feature level and the earlier ones.
    pub(crate) fn encode(&self, level: u32, w: &mut ByteEncoder<impl Sink>) {
        for value in [self.max_orders, self.max_algo_orders, self.max_lists] {
            w.u64(value.into());
        }
        if level >= LEVEL_6 {
            w.u64(self.max_icebergs.into());
        }
    }

    pub(crate) fn decode(level: u32, r: &mut ByteDecoder<'_>) -> Result<Self, DecodeError> {
        let older = Self { max_orders: r.u32()?, max_algo_orders: r.u32()?, max_lists: r.u32()?, max_icebergs: 0 };
        if level >= LEVEL_6 { Ok(Self { max_icebergs: r.u32()?, ..older }) } else { Ok(older) }
    }
}
