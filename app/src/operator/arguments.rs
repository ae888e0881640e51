//! This module parses the command line of `exchange admin`. Every answer is one JSON document on stdout. It must not perform an
//! action.

use super::request::{
    BreakerRule, ExchangeLimitChanges, FeeChanges, Fees, FilterChanges, MarketLimitChanges, OperatorCommand, PriceRangeRule,
};
use crate::config::ClientNetwork;
use clap::{Args, Subcommand};
use ipnet::IpNet;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct AdminArguments {
    /// Person or program that makes the change; journalled with every change
    #[arg(long)]
    pub actor: String,
    /// Reason for the change; journalled with every change
    #[arg(long)]
    pub reason: String,
    #[command(subcommand)]
    pub noun: Noun,
}

#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "one value in the life of the process")]
pub enum Noun {
    /// Assets, such as BTC
    #[command(subcommand)]
    Asset(AssetCommand),
    /// Markets, such as BTCUSDT: filters, fees, halt and resume
    #[command(subcommand)]
    Market(MarketCommand),
    /// Accounts: freeze, cancel their orders, fees, ledger
    #[command(subcommand)]
    Account(AccountCommand),
    /// API keys of an account
    #[command(subcommand)]
    ApiKey(ApiKeyCommand),
    /// Declare that the database lost history; works while no server leads
    #[command(subcommand)]
    Loss(LossCommand),
    /// Journal time, after a clock ran ahead; works while no server leads
    #[command(subcommand)]
    Time(TimeCommand),
    /// Feature level of the journal: see the upgrade notes in the changelog
    #[command(subcommand)]
    FeatureLevel(FeatureLevel),
    /// Move money from custody to an account, once per reference
    Credit(Movement),
    /// Move money from an account to custody, once per reference
    Debit(Movement),
}

#[derive(Debug, Subcommand)]
pub enum FeatureLevel {
    /// Print the journal's level, the newest level of the leader's release, and connected programs that do not read that level
    Show,
    /// Raise the level permanently; refused while a connected server or worker does not read it
    Set { level: u32 },
}

#[derive(Debug, Subcommand)]
pub enum LossCommand {
    /// Continue with this database although events up to a sequence were confirmed elsewhere. Those events are lost permanently
    Declare {
        /// Last lost sequence, as reported by the server that refuses the database
        #[arg(long, value_parser = clap::value_parser!(u64).range(1..=i64::MAX as u64))]
        through: u64,
        /// Newest lost generation of the history, if the server that refuses the database reports one
        #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32))]
        generation: u32,
        /// Accept a sequence that no running server reports: events up to it are not missed later
        #[arg(long)]
        unreported: bool,
    },
}

#[derive(Debug, Subcommand)]
pub enum TimeCommand {
    /// Set journal time back to the clock; the next leader does it first. Refused while any clock disagrees. Raises the feature
    /// level
    SetBack,
}

#[derive(Debug, Subcommand)]
pub enum AssetCommand {
    Create { code: String },
}

#[derive(Debug, Subcommand)]
pub enum MarketCommand {
    /// Open a market immediately
    Create {
        symbol: String,
        #[arg(long)]
        base: String,
        #[arg(long)]
        quote: String,
        #[command(flatten)]
        filters: FilterChanges,
        #[command(flatten)]
        fees: FeeChanges,
    },
    SetFilters {
        symbol: String,
        #[command(flatten)]
        filters: FilterChanges,
    },
    SetFees {
        symbol: String,
        #[command(flatten)]
        fees: FeeChanges,
    },
    /// Accept neither orders nor cancels
    Halt {
        symbol: String,
    },
    /// Accept cancels only
    CancelOnly {
        symbol: String,
    },
    /// Resume trading
    Resume {
        symbol: String,
    },
    /// Halt every market in one command; print the halted markets
    HaltAll,
    /// Set every market to take cancels only, in one command
    CancelOnlyAll,
    /// Resume every market that is not delisted, including markets that were halted one by one
    ResumeAll {
        /// A market to leave unchanged; repeatable
        #[arg(long)]
        except: Vec<String>,
    },
    /// Cancel every order of a market that is not trading, in chunks
    CancelOrders {
        symbol: String,
    },
    /// Delist a market permanently: set status BREAK, cancel every order in chunks
    Delist {
        symbol: String,
    },
    /// Bound execution prices by multiples of the reference price (PRICE_RANGE)
    SetPriceRange {
        symbol: String,
        #[command(flatten)]
        rule: PriceRangeRule,
    },
    /// Remove the PRICE_RANGE rule
    ResetPriceRange {
        symbol: String,
    },
    /// Set the reference price until the first trade; 0 removes it
    SetReferencePrice {
        symbol: String,
        price: String,
    },
    /// Pause the market after a trade too far from the previous price
    SetBreaker {
        symbol: String,
        #[command(flatten)]
        breaker: BreakerRule,
    },
    /// Remove the circuit breaker
    ResetBreaker {
        symbol: String,
    },
    /// Set filters of positions, order lists, iceberg orders, trailing stops and amendments
    SetLimits {
        symbol: String,
        #[command(flatten)]
        limits: MarketLimitChanges,
    },
    /// Add or remove filters of one account over all markets (exchangeFilters)
    SetExchangeLimits {
        #[command(flatten)]
        limits: ExchangeLimitChanges,
    },
    List,
}

#[derive(Debug, Subcommand)]
pub enum AccountCommand {
    /// `reference` is your name for the account, without personal data. The same reference returns the same account
    Create {
        reference: String,
    },
    /// Rights and balances, as committed
    Show {
        account: String,
    },
    /// Reject new orders, and cancels by the owner
    Freeze {
        account: String,
        /// Cancel the account's open orders first
        #[arg(long)]
        cancel_orders: bool,
    },
    Unfreeze {
        account: String,
    },
    /// Cancel every open order of the account on every market
    CancelOrders {
        account: String,
    },
    /// Set the account's own rates for every market
    SetFees {
        account: String,
        #[command(flatten)]
        fees: Fees,
    },
    /// Restore the rates of each market
    ResetFees {
        account: String,
    },
    /// Print the movements of the account's money, newest first, as far as projected
    Ledger {
        account: String,
        /// Print only movements before this sequence
        #[arg(long)]
        before: Option<u64>,
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
}

#[derive(Debug, Subcommand)]
pub enum ApiKeyCommand {
    /// Create a key. The secret of an HMAC key is printed only once
    Create {
        account: String,
        #[arg(long, default_value = "")]
        label: String,
        /// read, trade, withdraw
        #[arg(long, value_delimiter = ',', default_values = ["read", "trade"])]
        permissions: Vec<String>,
        /// An address or network that may use the key; repeatable; default: any
        #[arg(long = "network", value_parser = read_network)]
        networks: Vec<IpNet>,
        /// File with an Ed25519 public key (PEM): the key signs with Ed25519 instead of HMAC-SHA256
        #[arg(long)]
        ed25519: Option<PathBuf>,
    },
    List {
        account: Option<String>,
    },
    /// Revoke a key permanently; every replica refuses it within a second
    Revoke {
        api_key: String,
    },
}

#[derive(Debug, Args)]
pub struct Movement {
    pub account: String,
    pub asset: String,
    pub amount: String,
    /// Your id of this movement; repeating it changes nothing
    #[arg(long)]
    pub reference: String,
}

impl Noun {
    /// # Errors
    ///
    /// Returns an error if a file named on the command line cannot be read.
    pub fn action(self) -> anyhow::Result<OperatorCommand> {
        let status = |symbol, status: &str| OperatorCommand::SetMarketStatus { symbol, status: status.to_owned() };
        let every = |status: &str, except| OperatorCommand::SetEveryMarketStatus { status: status.to_owned(), except };
        Ok(match self {
            Self::Asset(AssetCommand::Create { code }) => OperatorCommand::CreateAsset { code },
            Self::Market(market) => match market {
                MarketCommand::Create { symbol, base, quote, filters, fees } => {
                    OperatorCommand::CreateMarket { symbol, base, quote, filters, fees }
                }
                MarketCommand::SetFilters { symbol, filters } => OperatorCommand::SetFilters { symbol, filters },
                MarketCommand::SetFees { symbol, fees } => OperatorCommand::SetFees { symbol, fees },
                MarketCommand::Halt { symbol } => status(symbol, "HALT"),
                MarketCommand::CancelOnly { symbol } => status(symbol, "CANCEL_ONLY"),
                MarketCommand::Resume { symbol } => status(symbol, "TRADING"),
                MarketCommand::List => OperatorCommand::ListMarkets,
                MarketCommand::HaltAll => every("HALT", Vec::new()),
                MarketCommand::CancelOnlyAll => every("CANCEL_ONLY", Vec::new()),
                MarketCommand::ResumeAll { except } => every("TRADING", except),
                MarketCommand::CancelOrders { symbol } => OperatorCommand::CancelMarketOrders { symbol },
                MarketCommand::Delist { symbol } => OperatorCommand::DelistMarket { symbol },
                MarketCommand::SetPriceRange { symbol, rule } => OperatorCommand::SetPriceRange { symbol, rule: Some(rule) },
                MarketCommand::ResetPriceRange { symbol } => OperatorCommand::SetPriceRange { symbol, rule: None },
                MarketCommand::SetReferencePrice { symbol, price } => OperatorCommand::SetReferencePrice { symbol, price },
                MarketCommand::SetBreaker { symbol, breaker } => OperatorCommand::SetBreaker { symbol, breaker: Some(breaker) },
                MarketCommand::SetLimits { symbol, limits } => OperatorCommand::SetMarketLimits { symbol, limits },
                MarketCommand::SetExchangeLimits { limits } => OperatorCommand::SetExchangeLimits { limits },
                MarketCommand::ResetBreaker { symbol } => OperatorCommand::SetBreaker { symbol, breaker: None },
            },
            Self::FeatureLevel(FeatureLevel::Show) => OperatorCommand::ShowFeatureLevel,
            Self::FeatureLevel(FeatureLevel::Set { level }) => OperatorCommand::SetFeatureLevel { level },
            Self::Account(account) => match account {
                AccountCommand::Create { reference } => OperatorCommand::CreateAccount { reference },
                AccountCommand::Show { account } => OperatorCommand::ShowAccount { account },
                AccountCommand::Freeze { account, cancel_orders } => {
                    OperatorCommand::SetTrading { account, allowed: false, cancel_orders }
                }
                AccountCommand::Unfreeze { account } => {
                    OperatorCommand::SetTrading { account, allowed: true, cancel_orders: false }
                }
                AccountCommand::CancelOrders { account } => OperatorCommand::CancelOrders { account },
                AccountCommand::SetFees { account, fees } => OperatorCommand::SetAccountFees { account, fees: Some(fees) },
                AccountCommand::ResetFees { account } => OperatorCommand::SetAccountFees { account, fees: None },
                AccountCommand::Ledger { account, before, limit } => OperatorCommand::Ledger { account, before, limit },
            },
            Self::Loss(_) | Self::Time(_) => anyhow::bail!("this command does not need a leader"),
            Self::ApiKey(key) => match key {
                ApiKeyCommand::Create { account, label, permissions, networks, ed25519 } => {
                    let read = |path: PathBuf| {
                        std::fs::read_to_string(&path).map_err(|e| anyhow::anyhow!("--ed25519 {}: {e}", path.display()))
                    };
                    let public_key = ed25519.map(read).transpose()?;
                    OperatorCommand::CreateApiKey { account, label, permissions, networks, public_key }
                }
                ApiKeyCommand::List { account } => OperatorCommand::ListApiKeys { account },
                ApiKeyCommand::Revoke { api_key } => OperatorCommand::RevokeApiKey { api_key },
            },
            Self::Credit(Movement { account, asset, amount, reference }) => {
                OperatorCommand::Credit { account, asset, amount, reference }
            }
            Self::Debit(Movement { account, asset, amount, reference }) => {
                OperatorCommand::Credit { account, asset, amount: format!("-{amount}"), reference }
            }
        })
    }
}

fn read_network(text: &str) -> Result<IpNet, String> {
    text.parse::<ClientNetwork>().map(|network| network.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client's address is compared in its canonical form, so a network must have that form too.
    #[test]
    fn an_address_alone_is_a_network_of_one() {
        for (text, network) in [
            ("10.1.2.3", "10.1.2.3/32"),
            ("2001:db8::1", "2001:db8::1/128"),
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("::ffff:10.1.2.3", "10.1.2.3/32"),
            ("::ffff:10.1.2.3/104", "10.0.0.0/8"),
            ("::ffff:0:0/95", "::fffe:0:0/95"),
        ] {
            assert_eq!(read_network(text).map(|network| network.to_string()).as_deref(), Ok(network));
        }
        for text in ["10.1.2", "10.0.0.0/33", "host", ""] {
            assert!(read_network(text).unwrap_err().contains(&format!("{text:?}")));
        }
    }
}
