//! A market and its filters, named and ordered as exchangeInfo lists them (filters.md). Never: state that moves with trading.

use crate::money::{Amount, Price, Quantity, Rate, SCALE};
use crate::order::{AssetId, MarketId, OrderType, StpMode, field_values};

field_values! {
    /// Whether a market takes commands: HALT takes neither orders nor cancels, CANCEL_ONLY takes cancels.
    MarketStatus { Trading = 0 "TRADING", Halt = 1 "HALT", CancelOnly = 2 "CANCEL_ONLY" }
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
    /// MARKET_LOT_SIZE; a zero step or minimum means no rule of its own
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
    /// Shared by PERCENT_PRICE_BY_SIDE and NOTIONAL, and what avgPrice answers: 1 to [`AVERAGE_MINUTES_MAX`].
    pub average_minutes: u8,
    /// MAX_NUM_ORDERS, MAX_NUM_ALGO_ORDERS: open orders of one account on the market
    pub max_orders: u32,
    pub max_algo_orders: u32,
}

/// Longest window of the average price, in minutes.
pub const AVERAGE_MINUTES_MAX: u8 = 10;

impl Default for Filters {
    /// The values of a market created with no other word: cent ticks, 10⁻⁵ lots.
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
    /// Every fault of the filters themselves, each naming the field and the remedy; empty when they can be used.
    pub fn check(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut fault = |bad: bool, text: &str| {
            if bad {
                faults.push(text.to_owned());
            }
        };
        fault(self.tick_size <= 0, "tickSize must be above 0");
        fault(self.step_size <= 0, "stepSize must be above 0");
        // Every traded value is then a whole number of 10⁻⁸ and no rounding rule is needed anywhere.
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
        faults
    }
}

/// Commission rates of 10⁻⁸ on what an order receives: base for a buyer, quote for a seller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Commission {
    pub maker: Rate,
    pub taker: Rate,
}

/// Highest commission rate: 10 %.
pub const COMMISSION_MAX: Rate = SCALE / 10;

/// What a market is, apart from its orders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Market {
    pub id: MarketId,
    pub symbol: Box<str>,
    pub base: AssetId,
    pub quote: AssetId,
    pub status: MarketStatus,
    pub filters: Filters,
    pub commission: Commission,
}

impl Market {
    /// Every market takes every order type of this exchange; exchangeInfo lists them.
    pub const ORDER_TYPES: &[OrderType] = OrderType::ALL;
    pub const STP_MODES: &[StpMode] = StpMode::ALL;
    pub const DEFAULT_STP: StpMode = StpMode::ExpireMaker;
}
