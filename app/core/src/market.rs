//! This module defines a market and its filters, with names and order of exchangeInfo (filters.md). It must not contain state
//! that changes with trading.

use crate::limits::MarketLimits;
use crate::money::{Amount, Decimal, Price, Quantity, Rate, SCALE};
use crate::order::{AssetId, MarketId, OrderType, StpMode, field_values};
use crate::protection::Protection;

field_values! {
    /// Which commands a market accepts. HALT: neither orders nor cancels. CANCEL_ONLY: cancels. BREAK: the market is delisted.
    MarketStatus { Trading = 0 "TRADING", Halt = 1 "HALT", CancelOnly = 2 "CANCEL_ONLY", Break = 3 "BREAK" }
}

/// Longest symbol and asset code, in bytes.
pub const SYMBOL_MAX: usize = 20;
pub const ASSET_MAX: usize = 10;

/// An asset, e.g. BTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asset {
    pub id: AssetId,
    pub code: Box<str>,
}

/// The rules that an order of one market must pass. Prices and quantities in 10⁻⁸, multipliers as rates of 10⁻⁸.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filters {
    /// PRICE_FILTER
    pub min_price: Price,
    pub max_price: Price,
    pub tick_size: Price,
    /// LOT_SIZE
    pub min_quantity: Quantity,
    pub max_quantity: Quantity,
    pub step_size: Quantity,
    /// MARKET_LOT_SIZE; a zero step or minimum disables that rule
    pub market_min_quantity: Quantity,
    pub market_max_quantity: Quantity,
    pub market_step_size: Quantity,
    /// PERCENT_PRICE_BY_SIDE, against the average of the last `average_minutes`
    pub bid_multiplier_up: Rate,
    pub bid_multiplier_down: Rate,
    pub ask_multiplier_up: Rate,
    pub ask_multiplier_down: Rate,
    /// NOTIONAL
    pub min_notional: Amount,
    pub max_notional: Amount,
    pub apply_min_to_market: bool,
    pub apply_max_to_market: bool,
    /// Shared by PERCENT_PRICE_BY_SIDE, NOTIONAL and avgPrice: 1 to [`AVERAGE_MINUTES_MAX`].
    pub average_minutes: u8,
    /// MAX_NUM_ORDERS, MAX_NUM_ALGO_ORDERS: open orders of one account on the market
    pub max_orders: u32,
    pub max_algo_orders: u32,
}

/// Longest window of the average price, in minutes.
pub const AVERAGE_MINUTES_MAX: u8 = 10;

impl Default for Filters {
    /// Defaults for a new market: cent ticks, 10⁻⁵ lots.
    fn default() -> Self {
        Self {
            min_price: SCALE / 100,
            max_price: 1_000_000 * SCALE,
            tick_size: SCALE / 100,
            min_quantity: SCALE / 100_000,
            max_quantity: 9_000 * SCALE,
            step_size: SCALE / 100_000,
            market_min_quantity: 0,
            market_max_quantity: 1_000 * SCALE,
            market_step_size: 0,
            bid_multiplier_up: 5 * SCALE,
            bid_multiplier_down: SCALE / 5,
            ask_multiplier_up: 5 * SCALE,
            ask_multiplier_down: SCALE / 5,
            min_notional: 5 * Amount::from(SCALE),
            max_notional: 9_000_000 * Amount::from(SCALE),
            apply_min_to_market: true,
            apply_max_to_market: false,
            average_minutes: 5,
            max_orders: 200,
            max_algo_orders: 5,
        }
    }
}

impl Filters {
    /// Every invalid filter, with its field and the remedy; empty if all are valid.
    pub fn check(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut fault = |bad: bool, text: &str| {
            if bad {
                faults.push(text.to_owned());
            }
        };
        fault(self.tick_size <= 0, "tickSize must be above 0");
        fault(self.step_size <= 0, "stepSize must be above 0");
        // Then every traded value is a whole number of 10⁻⁸, and no rounding rule is needed.
        let product = i128::from(self.tick_size) * i128::from(self.step_size);
        fault(
            product % i128::from(SCALE) != 0,
            "tickSize x stepSize must be a multiple of 0.00000001: choose a coarser tickSize or stepSize",
        );
        fault(
            self.min_price <= 0 || self.min_price % self.tick_size.max(1) != 0,
            "minPrice must be above 0 and a multiple of tickSize",
        );
        fault(self.max_price < self.min_price, "maxPrice must not be below minPrice");
        fault(
            self.min_quantity <= 0 || self.min_quantity % self.step_size.max(1) != 0,
            "minQty must be above 0 and a multiple of stepSize",
        );
        fault(self.max_quantity < self.min_quantity, "maxQty must not be below minQty");
        fault(self.market_max_quantity <= 0, "MARKET_LOT_SIZE maxQty must be above 0");
        fault(
            self.market_min_quantity < 0 || self.market_step_size < 0,
            "MARKET_LOT_SIZE minQty and stepSize must not be negative",
        );
        fault(
            self.bid_multiplier_down < 0 || self.bid_multiplier_up < self.bid_multiplier_down,
            "bidMultiplierUp must not be below bidMultiplierDown",
        );
        fault(
            self.ask_multiplier_down < 0 || self.ask_multiplier_up < self.ask_multiplier_down,
            "askMultiplierUp must not be below askMultiplierDown",
        );
        fault(self.min_notional < 0 || self.max_notional < self.min_notional, "maxNotional must not be below minNotional");
        fault(self.average_minutes == 0 || self.average_minutes > AVERAGE_MINUTES_MAX, "avgPriceMins must be 1 to 10");
        fault(self.max_orders == 0, "maxNumOrders must be above 0");
        if faults.is_empty() {
            faults.extend(self.check_together());
        }
        faults
    }

    /// Filters that are valid individually and together refuse every order.
    fn check_together(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let show = |value: Amount| Decimal(value).to_string();
        // Both lot filters apply to a MARKET order: the smallest quantity on both grids, and the largest below both maxima.
        let step = common_step(self.step_size, self.market_step_size);
        let low = self.min_quantity.max(self.market_min_quantity);
        let high = self.max_quantity.min(self.market_max_quantity);
        let (smallest, largest) = (round_up(low.into(), step), Amount::from(high) / step * step);
        if smallest > largest {
            faults.push(format!(
                "no MARKET order can pass LOT_SIZE and MARKET_LOT_SIZE together: quantities must be multiples of {} from {} to {}; \
                 raise MARKET_LOT_SIZE maxQty (--market-max-quantity) or lower the minQty or stepSize of either filter",
                show(step), show(low.into()), show(high.into())
            ));
        }
        let limit_largest = Amount::from(self.max_quantity / self.step_size * self.step_size);
        if limit_largest < Amount::from(self.min_quantity) {
            faults
                .push("no order can pass LOT_SIZE: no multiple of stepSize lies from minQty to maxQty; raise maxQty".to_owned());
        }
        let top_price = Amount::from(self.max_price / self.tick_size * self.tick_size);
        let value = |price: Amount, quantity: Amount| price * quantity / Amount::from(SCALE);
        let dearest = |quantity: Amount| value(top_price, quantity);
        let cheapest = |quantity: Amount| value(self.min_price.into(), quantity);
        if dearest(limit_largest) < self.min_notional {
            faults.push(format!(
                "no order can reach NOTIONAL minNotional {}: maxPrice x maxQty is {}; lower minNotional or raise maxQty",
                show(self.min_notional),
                show(dearest(limit_largest))
            ));
        } else if self.apply_min_to_market && smallest <= largest && dearest(largest) < self.min_notional {
            faults.push(format!(
                "no MARKET order can reach NOTIONAL minNotional {}: maxPrice x the largest MARKET quantity is {}; lower minNotional, \
                 raise MARKET_LOT_SIZE maxQty, or set applyMinToMarket to false",
                show(self.min_notional), show(dearest(largest))
            ));
        }
        if cheapest(self.min_quantity.into()) > self.max_notional {
            faults.push(format!(
                "every order exceeds NOTIONAL maxNotional {}: minPrice x minQty is {}; raise maxNotional or lower minQty",
                show(self.max_notional),
                show(cheapest(self.min_quantity.into()))
            ));
        } else if self.apply_max_to_market && smallest <= largest && cheapest(smallest) > self.max_notional {
            faults.push(format!(
                "every MARKET order exceeds NOTIONAL maxNotional {}: minPrice x the smallest MARKET quantity is {}; raise \
                 maxNotional, lower MARKET_LOT_SIZE minQty, or set applyMaxToMarket to false",
                show(self.max_notional),
                show(cheapest(smallest))
            ));
        }
        // Every value is a multiple of this one: see `check`.
        let grid = value(self.tick_size.into(), self.step_size.into());
        if faults.is_empty() && round_up(self.min_notional, grid) > self.max_notional {
            faults.push(format!(
                "no order can pass NOTIONAL: no multiple of tickSize x stepSize ({}) lies from minNotional {} to maxNotional {}; raise \
                 maxNotional",
                show(grid), show(self.min_notional), show(self.max_notional)
            ));
        }
        for (side, up, down) in
            [("bid", self.bid_multiplier_up, self.bid_multiplier_down), ("ask", self.ask_multiplier_up, self.ask_multiplier_down)]
        {
            if up == 0 {
                faults.push(format!("{side}MultiplierUp must be above 0: no price passes PERCENT_PRICE_BY_SIDE"));
            } else if up == down {
                faults.push(format!(
                    "{side}MultiplierUp must be above {side}MultiplierDown: only an average price on the grid of tickSize would pass \
                     PERCENT_PRICE_BY_SIDE"
                ));
            }
        }
        faults
    }

    /// Names of exchangeInfo with their values.
    fn values(&self) -> [(&'static str, String); 20] {
        let number = |value: i64| Decimal(value.into()).to_string();
        [
            ("minPrice", number(self.min_price)),
            ("maxPrice", number(self.max_price)),
            ("tickSize", number(self.tick_size)),
            ("minQty", number(self.min_quantity)),
            ("maxQty", number(self.max_quantity)),
            ("stepSize", number(self.step_size)),
            ("marketMinQty", number(self.market_min_quantity)),
            ("marketMaxQty", number(self.market_max_quantity)),
            ("marketStepSize", number(self.market_step_size)),
            ("bidMultiplierUp", number(self.bid_multiplier_up)),
            ("bidMultiplierDown", number(self.bid_multiplier_down)),
            ("askMultiplierUp", number(self.ask_multiplier_up)),
            ("askMultiplierDown", number(self.ask_multiplier_down)),
            ("minNotional", Decimal(self.min_notional).to_string()),
            ("maxNotional", Decimal(self.max_notional).to_string()),
            ("applyMinToMarket", self.apply_min_to_market.to_string()),
            ("applyMaxToMarket", self.apply_max_to_market.to_string()),
            ("avgPriceMins", self.average_minutes.to_string()),
            ("maxNumOrders", self.max_orders.to_string()),
            ("maxNumAlgoOrders", self.max_algo_orders.to_string()),
        ]
    }

    /// Every value, for the journal's note of the change.
    pub(crate) fn listed(&self) -> String {
        self.values().map(|(name, value)| format!("{name} {value}")).join(", ")
    }

    /// Each changed value, with the previous one.
    pub(crate) fn changes_from(&self, before: &Self) -> Vec<String> {
        let pairs = self.values().into_iter().zip(before.values());
        let changed = pairs.filter(|((_, new), (_, old))| new != old);
        changed.map(|((name, new), (_, old))| format!("{name} {old} -> {new}")).collect()
    }
}

fn round_up(value: Amount, step: Amount) -> Amount {
    (value + step - 1) / step * step
}

/// The least common multiple of two steps; the second may be 0 for none.
fn common_step(one: Quantity, other: Quantity) -> Amount {
    let (one, other) = (Amount::from(one), Amount::from(other));
    if other == 0 {
        return one;
    }
    let (mut a, mut b) = (one, other);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    one / a * other
}

/// Commission rates of 10⁻⁸ on the received amount: base for a buyer, quote for a seller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Commission {
    pub maker: Rate,
    pub taker: Rate,
}

/// Highest commission rate: 10 %.
pub const COMMISSION_MAX: Rate = SCALE / 10;

/// A market without its orders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Market {
    pub id: MarketId,
    pub symbol: Box<str>,
    pub base: AssetId,
    pub quote: AssetId,
    pub status: MarketStatus,
    pub filters: Filters,
    pub commission: Commission,
    pub protection: Protection,
    pub limits: MarketLimits,
}

impl Market {
    /// Every market takes every order type of this exchange; exchangeInfo lists them.
    pub const ORDER_TYPES: &[OrderType] = OrderType::ALL;
    pub const STP_MODES: &[StpMode] = StpMode::ALL;
    pub const DEFAULT_STP: StpMode = StpMode::ExpireMaker;
}
