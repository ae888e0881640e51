//! This module defines the JSON that `exchange admin` sends to the leader by `POST /operator`. It uses names: an asset's code, a
//! market's symbol, an account's reference. Numbers are decimal texts as in the API.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// Path on the leader for operators' requests.
pub const PATH: &str = "/operator";

/// One request with its actor and reason; both are journalled with every change.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OperatorRequest {
    pub actor: String,
    pub reason: String,
    pub action: OperatorCommand,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum OperatorCommand {
    CreateAsset {
        code: String,
    },
    CreateMarket {
        symbol: String,
        base: String,
        quote: String,
        filters: FilterChanges,
        fees: FeeChanges,
    },
    SetFilters {
        symbol: String,
        filters: FilterChanges,
    },
    SetFees {
        symbol: String,
        fees: FeeChanges,
    },
    SetMarketStatus {
        symbol: String,
        status: String,
    },
    /// The status of every market that is not delisted, except those in `except`.
    SetEveryMarketStatus {
        status: String,
        except: Vec<String>,
    },
    /// Cancels every order of a market that is not trading.
    CancelMarketOrders {
        symbol: String,
    },
    /// Delists a market permanently.
    DelistMarket {
        symbol: String,
    },
    /// `None`: remove the PRICE_RANGE rule.
    SetPriceRange {
        symbol: String,
        rule: Option<PriceRangeRule>,
    },
    /// 0: remove the price.
    SetReferencePrice {
        symbol: String,
        price: String,
    },
    /// `None`: remove the circuit breaker.
    SetBreaker {
        symbol: String,
        breaker: Option<BreakerRule>,
    },
    SetMarketLimits {
        symbol: String,
        limits: MarketLimitChanges,
    },
    SetExchangeLimits {
        limits: ExchangeLimitChanges,
    },
    ShowFeatureLevel,
    SetFeatureLevel {
        level: u32,
    },
    ListMarkets,
    CreateAccount {
        reference: String,
    },
    ShowAccount {
        account: String,
    },
    /// Freezes or unfreezes trading; `cancel_orders` first cancels the account's open orders.
    SetTrading {
        account: String,
        allowed: bool,
        cancel_orders: bool,
    },
    CancelOrders {
        account: String,
    },
    /// `None`: restore the rates of each market.
    SetAccountFees {
        account: String,
        fees: Option<Fees>,
    },
    /// Positive for a credit, negative for a debit; repeating a reference changes nothing.
    Credit {
        account: String,
        asset: String,
        amount: String,
        reference: String,
    },
    /// Newest first, before a sequence.
    Ledger {
        account: String,
        before: Option<u64>,
        limit: u32,
    },
    CreateApiKey {
        account: String,
        label: String,
        permissions: Vec<String>,
        networks: Vec<IpNet>,
        public_key: Option<String>,
    },
    ListApiKeys {
        account: Option<String>,
    },
    RevokeApiKey {
        api_key: String,
    },
}

impl OperatorCommand {
    /// As in the JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Self::CreateAsset { .. } => "create_asset",
            Self::CreateMarket { .. } => "create_market",
            Self::SetFilters { .. } => "set_filters",
            Self::SetFees { .. } => "set_fees",
            Self::SetMarketStatus { .. } => "set_market_status",
            Self::SetEveryMarketStatus { .. } => "set_every_market_status",
            Self::CancelMarketOrders { .. } => "cancel_market_orders",
            Self::DelistMarket { .. } => "delist_market",
            Self::SetPriceRange { .. } => "set_price_range",
            Self::SetReferencePrice { .. } => "set_reference_price",
            Self::SetBreaker { .. } => "set_breaker",
            Self::SetMarketLimits { .. } => "set_market_limits",
            Self::SetExchangeLimits { .. } => "set_exchange_limits",
            Self::ShowFeatureLevel => "show_feature_level",
            Self::SetFeatureLevel { .. } => "set_feature_level",
            Self::ListMarkets => "list_markets",
            Self::CreateAccount { .. } => "create_account",
            Self::ShowAccount { .. } => "show_account",
            Self::SetTrading { .. } => "set_trading",
            Self::CancelOrders { .. } => "cancel_orders",
            Self::SetAccountFees { .. } => "set_account_fees",
            Self::Credit { .. } => "credit",
            Self::Ledger { .. } => "ledger",
            Self::CreateApiKey { .. } => "create_api_key",
            Self::ListApiKeys { .. } => "list_api_keys",
            Self::RevokeApiKey { .. } => "revoke_api_key",
        }
    }
}

/// Multipliers of the reference price by the names of executionRules; `0` sets no bound.
#[derive(Debug, Clone, Serialize, Deserialize, clap::Args)]
pub struct PriceRangeRule {
    /// Highest execution price of a buy, as a multiple of the reference price; 0: no bound
    #[arg(long, default_value = "0")]
    pub bid_limit_mult_up: String,
    /// Lowest execution price of a buy
    #[arg(long, default_value = "0")]
    pub bid_limit_mult_down: String,
    /// Highest execution price of a sell
    #[arg(long, default_value = "0")]
    pub ask_limit_mult_up: String,
    /// Lowest execution price of a sell
    #[arg(long, default_value = "0")]
    pub ask_limit_mult_down: String,
}

/// When a market pauses, and for how long.
#[derive(Debug, Clone, Serialize, Deserialize, clap::Args)]
pub struct BreakerRule {
    /// Distance from the previous price, as a fraction of it, above which a trade pauses the market, e.g. 0.1
    #[arg(long)]
    pub deviation: String,
    /// Length of the pause; 0: until an operator resumes the market
    #[arg(long, default_value_t = 300)]
    pub pause_seconds: u32,
}

/// Rates as fractions: `0.001` is ten basis points.
#[derive(Debug, Clone, Serialize, Deserialize, clap::Args)]
pub struct Fees {
    /// Rate of the maker order, e.g. 0.001
    #[arg(long = "maker-rate")]
    pub maker: String,
    /// Rate of the taker order, e.g. 0.001
    #[arg(long = "taker-rate")]
    pub taker: String,
}

/// Rates of one market. An absent rate is unchanged (default for a new market: 0.001).
#[derive(Debug, Clone, Default, Serialize, Deserialize, clap::Args)]
pub struct FeeChanges {
    /// Rate of the maker order [new markets: 0.001]
    #[arg(long = "maker-rate")]
    pub maker: Option<String>,
    /// Rate of the taker order [new markets: 0.001]
    #[arg(long = "taker-rate")]
    pub taker: Option<String>,
}

/// Further filters of one market. 0 removes a filter, an absent one is unchanged.
#[derive(Debug, Clone, Default, Serialize, Deserialize, clap::Args)]
pub struct MarketLimitChanges {
    /// MAX_POSITION maxPosition, in the base asset
    #[arg(long)]
    pub max_position: Option<String>,
    /// MAX_NUM_ORDER_LISTS maxNumOrderLists
    #[arg(long)]
    pub max_order_lists: Option<u32>,
    /// ICEBERG_PARTS limit [0: 100]
    #[arg(long)]
    pub iceberg_parts: Option<u32>,
    /// MAX_NUM_ICEBERG_ORDERS maxNumIcebergOrders
    #[arg(long)]
    pub max_iceberg_orders: Option<u32>,
    /// MAX_NUM_ORDER_AMENDS maxNumOrderAmends [0: 10]
    #[arg(long)]
    pub max_order_amends: Option<u32>,
    /// TRAILING_DELTA minTrailingAboveDelta, in basis points [0: 10]
    #[arg(long)]
    pub min_trailing_above_delta: Option<u32>,
    /// TRAILING_DELTA maxTrailingAboveDelta, in basis points [0: 2000]
    #[arg(long)]
    pub max_trailing_above_delta: Option<u32>,
    /// TRAILING_DELTA minTrailingBelowDelta, in basis points [0: 10]
    #[arg(long)]
    pub min_trailing_below_delta: Option<u32>,
    /// TRAILING_DELTA maxTrailingBelowDelta, in basis points [0: 2000]
    #[arg(long)]
    pub max_trailing_below_delta: Option<u32>,
}

/// Filters of one account over all markets. 0 removes a filter, an absent one is unchanged.
#[derive(Debug, Clone, Default, Serialize, Deserialize, clap::Args)]
pub struct ExchangeLimitChanges {
    /// EXCHANGE_MAX_NUM_ORDERS maxNumOrders
    #[arg(long)]
    pub max_orders: Option<u32>,
    /// EXCHANGE_MAX_NUM_ALGO_ORDERS maxNumAlgoOrders
    #[arg(long)]
    pub max_algo_orders: Option<u32>,
    /// EXCHANGE_MAX_NUM_ICEBERG_ORDERS maxNumIcebergOrders
    #[arg(long)]
    pub max_iceberg_orders: Option<u32>,
    /// EXCHANGE_MAX_NUM_ORDER_LISTS maxNumOrderLists
    #[arg(long)]
    pub max_order_lists: Option<u32>,
}

/// Filters by the names of exchangeInfo. An absent filter is unchanged (a new market uses its default).
#[derive(Debug, Clone, Default, Serialize, Deserialize, clap::Args)]
pub struct FilterChanges {
    /// PRICE_FILTER minPrice
    #[arg(long)]
    pub min_price: Option<String>,
    /// PRICE_FILTER maxPrice
    #[arg(long)]
    pub max_price: Option<String>,
    /// PRICE_FILTER tickSize
    #[arg(long)]
    pub tick_size: Option<String>,
    /// LOT_SIZE minQty
    #[arg(long)]
    pub min_quantity: Option<String>,
    /// LOT_SIZE maxQty
    #[arg(long)]
    pub max_quantity: Option<String>,
    /// LOT_SIZE stepSize
    #[arg(long)]
    pub step_size: Option<String>,
    /// MARKET_LOT_SIZE minQty
    #[arg(long)]
    pub market_min_quantity: Option<String>,
    /// MARKET_LOT_SIZE maxQty
    #[arg(long)]
    pub market_max_quantity: Option<String>,
    /// MARKET_LOT_SIZE stepSize
    #[arg(long)]
    pub market_step_size: Option<String>,
    /// PERCENT_PRICE_BY_SIDE bidMultiplierUp
    #[arg(long)]
    pub bid_multiplier_up: Option<String>,
    /// PERCENT_PRICE_BY_SIDE bidMultiplierDown
    #[arg(long)]
    pub bid_multiplier_down: Option<String>,
    /// PERCENT_PRICE_BY_SIDE askMultiplierUp
    #[arg(long)]
    pub ask_multiplier_up: Option<String>,
    /// PERCENT_PRICE_BY_SIDE askMultiplierDown
    #[arg(long)]
    pub ask_multiplier_down: Option<String>,
    /// NOTIONAL minNotional
    #[arg(long)]
    pub min_notional: Option<String>,
    /// NOTIONAL maxNotional
    #[arg(long)]
    pub max_notional: Option<String>,
    /// NOTIONAL applyMinToMarket
    #[arg(long)]
    pub apply_min_to_market: Option<bool>,
    /// NOTIONAL applyMaxToMarket
    #[arg(long)]
    pub apply_max_to_market: Option<bool>,
    /// avgPriceMins, 1 to 10
    #[arg(long)]
    pub average_minutes: Option<u8>,
    /// MAX_NUM_ORDERS maxNumOrders
    #[arg(long)]
    pub max_orders: Option<u32>,
    /// MAX_NUM_ALGO_ORDERS maxNumAlgoOrders
    #[arg(long)]
    pub max_algo_orders: Option<u32>,
}
