//! The demo world: assets, markets, accounts and what they own.

/// Money of one account: an amount of every asset.
pub type StartBalances = [(&'static str, &'static str); 4];

pub const ASSETS: [&str; 4] = ["BTC", "ETH", "BNB", "USDT"];

/// A market with its filters, options of `exchange admin market create`.
pub struct MarketOptions {
    pub symbol: &'static str,
    pub base: &'static str,
    pub tick_size: &'static str,
    pub step_size: &'static str,
}

pub const QUOTE: &str = "USDT";
pub const MINIMUM_NOTIONAL: &str = "5";

pub const MARKETS: [MarketOptions; 3] = [
    MarketOptions { symbol: "BTCUSDT", base: "BTC", tick_size: "0.01", step_size: "0.00001" },
    MarketOptions { symbol: "ETHUSDT", base: "ETH", tick_size: "0.01", step_size: "0.0001" },
    MarketOptions { symbol: "BNBUSDT", base: "BNB", tick_size: "0.01", step_size: "0.001" },
];

/// Accounts for people and scripts; the simulator leaves them alone.
pub const DEMO: [&str; 2] = ["demo", "demo-2"];
/// Accounts that the simulator trades with.
pub const SIMULATOR: [&str; 8] = ["maker-1", "maker-2", "maker-3", "maker-4", "taker-1", "taker-2", "taker-3", "taker-4"];

/// The account of `exchange probe`.
pub const PROBE: &str = "probe";

pub const BALANCES: StartBalances = [("BTC", "10000"), ("ETH", "100000"), ("BNB", "1000000"), ("USDT", "1000000000")];
