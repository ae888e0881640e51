//! This module has the shapes of general and market data replies.

use super::{Decimal, RateLimit, Timestamp};
use utoipa::ToSchema;

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct ExchangeInfo {
    #[schema(example = "UTC")]
    pub timezone: String,
    pub server_time: Timestamp,
    pub rate_limits: Vec<RateLimit>,
    /// Filters of one account over all markets, if an operator set any.
    pub exchange_filters: Vec<Filter>,
    pub symbols: Vec<Symbol>,
}

/// A market and its rules.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct Symbol {
    #[schema(example = "BTCUSDT")]
    pub symbol: String,
    /// TRADING, HALT, CANCEL_ONLY or BREAK.
    #[schema(example = "TRADING")]
    pub status: String,
    #[schema(example = "BTC")]
    pub base_asset: String,
    pub base_asset_precision: u32,
    #[schema(example = "USDT")]
    pub quote_asset: String,
    pub quote_precision: u32,
    pub quote_asset_precision: u32,
    pub base_commission_precision: u32,
    pub quote_commission_precision: u32,
    pub order_types: Vec<String>,
    pub iceberg_allowed: bool,
    pub oco_allowed: bool,
    pub oto_allowed: bool,
    pub opo_allowed: bool,
    pub quote_order_qty_market_allowed: bool,
    pub allow_trailing_stop: bool,
    pub cancel_replace_allowed: bool,
    pub amend_allowed: bool,
    pub peg_instructions_allowed: bool,
    pub is_spot_trading_allowed: bool,
    pub is_margin_trading_allowed: bool,
    /// In the order of the checks.
    pub filters: Vec<Filter>,
    /// Always empty; see `permissionSets`.
    pub permissions: Vec<String>,
    pub permission_sets: Vec<Vec<String>>,
    pub default_self_trade_prevention_mode: String,
    pub allowed_self_trade_prevention_modes: Vec<String>,
}

/// A rule that an order must pass. The fields depend on `filterType`.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct Filter {
    /// PRICE_FILTER, LOT_SIZE, MARKET_LOT_SIZE, PERCENT_PRICE_BY_SIDE, NOTIONAL, ICEBERG_PARTS, TRAILING_DELTA,
    /// MAX_NUM_ORDERS, MAX_NUM_ALGO_ORDERS, MAX_NUM_ICEBERG_ORDERS, MAX_POSITION, MAX_NUM_ORDER_LISTS, MAX_NUM_ORDER_AMENDS, EXCHANGE_MAX_NUM_ORDERS,
    /// EXCHANGE_MAX_NUM_ALGO_ORDERS, EXCHANGE_MAX_NUM_ICEBERG_ORDERS or EXCHANGE_MAX_NUM_ORDER_LISTS.
    #[schema(example = "PRICE_FILTER")]
    pub filter_type: String,
    pub min_price: Option<Decimal>,
    pub max_price: Option<Decimal>,
    pub tick_size: Option<Decimal>,
    pub min_qty: Option<Decimal>,
    pub max_qty: Option<Decimal>,
    pub step_size: Option<Decimal>,
    #[schema(example = "5")]
    pub bid_multiplier_up: Option<String>,
    #[schema(example = "0.2")]
    pub bid_multiplier_down: Option<String>,
    #[schema(example = "5")]
    pub ask_multiplier_up: Option<String>,
    #[schema(example = "0.2")]
    pub ask_multiplier_down: Option<String>,
    pub avg_price_mins: Option<u32>,
    pub min_notional: Option<Decimal>,
    pub apply_min_to_market: Option<bool>,
    pub max_notional: Option<Decimal>,
    pub apply_max_to_market: Option<bool>,
    pub max_num_orders: Option<u32>,
    pub max_num_algo_orders: Option<u32>,
    pub max_num_iceberg_orders: Option<u32>,
    /// ICEBERG_PARTS
    pub limit: Option<u32>,
    #[schema(example = 10)]
    pub min_trailing_above_delta: Option<u32>,
    #[schema(example = 2_000)]
    pub max_trailing_above_delta: Option<u32>,
    #[schema(example = 10)]
    pub min_trailing_below_delta: Option<u32>,
    #[schema(example = 2_000)]
    pub max_trailing_below_delta: Option<u32>,
    pub max_num_order_amends: Option<u32>,
    pub max_num_order_lists: Option<u32>,
    pub max_position: Option<Decimal>,
}

/// The order book. Each level is `[price, quantity]`, best first.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct Depth {
    /// Sequence of the last event that touched the book.
    #[schema(example = 1_027_024)]
    pub last_update_id: u64,
    pub bids: Vec<Vec<Decimal>>,
    pub asks: Vec<Vec<Decimal>>,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct Trade {
    #[schema(example = 28_457)]
    pub id: u64,
    pub price: Decimal,
    pub qty: Decimal,
    pub quote_qty: Decimal,
    pub time: Timestamp,
    /// The taker sold.
    pub is_buyer_maker: bool,
    pub is_best_match: bool,
}

/// Trades of one taker order at one price.
#[derive(ToSchema)]
pub struct AggregateTrade {
    /// Id of the aggregate.
    #[schema(example = 26_129)]
    pub a: u64,
    /// Price.
    pub p: Decimal,
    /// Quantity.
    pub q: Decimal,
    /// First trade id.
    pub f: u64,
    /// Last trade id.
    pub l: u64,
    /// Time.
    #[schema(rename = "T")]
    pub time: Timestamp,
    /// The taker sold.
    pub m: bool,
    /// Always true.
    #[schema(rename = "M")]
    pub best_match: bool,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct ExecutionRules {
    pub symbol_rules: Vec<SymbolRules>,
}

/// Rules that bound the execution prices of one market; empty: any price.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct SymbolRules {
    #[schema(example = "BTCUSDT")]
    pub symbol: String,
    pub rules: Vec<ExecutionRule>,
}

/// Multipliers of the reference price, both bounds inclusive. An absent multiplier sets no bound.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct ExecutionRule {
    #[schema(example = "PRICE_RANGE")]
    pub rule_type: String,
    pub bid_limit_mult_up: Option<Decimal>,
    pub bid_limit_mult_down: Option<Decimal>,
    pub ask_limit_mult_up: Option<Decimal>,
    pub ask_limit_mult_down: Option<Decimal>,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct ReferencePrice {
    #[schema(example = "BTCUSDT")]
    pub symbol: String,
    pub reference_price: Decimal,
    /// Journal time at which it was valid.
    pub timestamp: Timestamp,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct AveragePrice {
    /// Minutes of the average.
    #[schema(example = 5)]
    pub mins: u32,
    pub price: Decimal,
    /// Time of the last trade.
    pub close_time: Timestamp,
}

/// Statistics of the last 24 hours.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct DayTicker {
    #[schema(example = "BTCUSDT")]
    pub symbol: String,
    pub price_change: Decimal,
    /// Change over open price, three places, rounded half away from zero.
    #[schema(example = "-95.960")]
    pub price_change_percent: String,
    pub weighted_avg_price: Decimal,
    pub prev_close_price: Decimal,
    pub last_price: Decimal,
    pub last_qty: Decimal,
    pub bid_price: Decimal,
    pub bid_qty: Decimal,
    pub ask_price: Decimal,
    pub ask_qty: Decimal,
    pub open_price: Decimal,
    pub high_price: Decimal,
    pub low_price: Decimal,
    pub volume: Decimal,
    pub quote_volume: Decimal,
    pub open_time: Timestamp,
    pub close_time: Timestamp,
    /// -1 without a trade.
    pub first_id: i64,
    /// -1 without a trade.
    pub last_id: i64,
    pub count: u64,
}

/// Statistics of the last 24 hours, `type=MINI`.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct MiniDayTicker {
    #[schema(example = "BTCUSDT")]
    pub symbol: String,
    pub open_price: Decimal,
    pub high_price: Decimal,
    pub low_price: Decimal,
    pub last_price: Decimal,
    pub volume: Decimal,
    pub quote_volume: Decimal,
    pub open_time: Timestamp,
    pub close_time: Timestamp,
    /// -1 without a trade.
    pub first_id: i64,
    /// -1 without a trade.
    pub last_id: i64,
    pub count: u64,
}

/// Statistics of a window or of the trading day, `type=FULL`.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct WindowTicker {
    #[schema(example = "BTCUSDT")]
    pub symbol: String,
    pub price_change: Decimal,
    #[schema(example = "-0.317")]
    pub price_change_percent: String,
    pub weighted_avg_price: Decimal,
    pub open_price: Decimal,
    pub high_price: Decimal,
    pub low_price: Decimal,
    pub last_price: Decimal,
    pub volume: Decimal,
    pub quote_volume: Decimal,
    pub open_time: Timestamp,
    pub close_time: Timestamp,
    /// -1 without a trade.
    pub first_id: i64,
    /// -1 without a trade.
    pub last_id: i64,
    pub count: u64,
}

#[derive(ToSchema)]
pub struct PriceTicker {
    #[schema(example = "BTCUSDT")]
    pub symbol: String,
    pub price: Decimal,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct BookTicker {
    #[schema(example = "BTCUSDT")]
    pub symbol: String,
    pub bid_price: Decimal,
    pub bid_qty: Decimal,
    pub ask_price: Decimal,
    pub ask_qty: Decimal,
}
