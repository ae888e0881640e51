//! This module turns names and decimal texts into the core's command. Every error names its field. It must not have an effect.

use super::failure::OperatorFailure;
use super::request::{BreakerRule, FeeChanges, Fees, FilterChanges, OperatorCommand, PriceRangeRule};
use crate::engine::committed::Committed;
use exchange_core::command::AdminAction;
use exchange_core::market::{Commission, Filters, Market, MarketStatus};
use exchange_core::money::{self, Amount, ParseError, SCALE, Time};
use exchange_core::order::{AccountId, AssetId};
use exchange_core::protection::{Breaker, PriceRange};
use parking_lot::RwLockReadGuard;

/// The committed state, for looking up names.
pub(super) struct JournalNames<'a>(pub RwLockReadGuard<'a, Committed>);

impl JournalNames<'_> {
    /// An account by its reference, else by its number.
    pub fn account(&self, name: &str) -> Result<AccountId, OperatorFailure> {
        let by_number = || name.parse().ok().and_then(|id| self.0.state.account(id));
        let account = self.0.state.account_by_reference(name).or_else(by_number);
        account.map(|account| account.id).ok_or_else(|| unknown("account", name, "account create"))
    }

    fn asset(&self, field: &str, code: &str) -> Result<AssetId, OperatorFailure> {
        self.0.state.asset_by_code(code).map(|asset| asset.id).ok_or_else(|| unknown(field, code, "asset create"))
    }

    fn market(&self, symbol: &str) -> Result<&Market, OperatorFailure> {
        self.0.state.market_by_symbol(symbol).ok_or_else(|| unknown("symbol", symbol, "market create"))
    }
}

fn unknown(field: &str, name: &str, remedy: &str) -> OperatorFailure {
    OperatorFailure::Refused(format!("{field}: {name} does not exist; create it with `exchange admin {remedy}`"))
}

/// Default rate of a new market: ten basis points.
const DEFAULT_RATE: i64 = SCALE / 1_000;

pub(super) fn admin_action(names: &JournalNames<'_>, action: &OperatorCommand) -> Result<AdminAction, OperatorFailure> {
    Ok(match action {
        OperatorCommand::CreateAsset { code } => AdminAction::CreateAsset { code: code.as_str().into() },
        OperatorCommand::CreateMarket { symbol, base, quote, filters, fees } => AdminAction::CreateMarket {
            symbol: symbol.as_str().into(),
            base: names.asset("base", base)?,
            quote: names.asset("quote", quote)?,
            filters: changed_filters(Filters::default(), filters)?,
            commission: changed_fees(Commission { maker: DEFAULT_RATE, taker: DEFAULT_RATE }, fees)?,
        },
        OperatorCommand::SetFilters { symbol, filters } => {
            let market = names.market(symbol)?;
            AdminAction::SetFilters { market: market.id, filters: changed_filters(market.filters.clone(), filters)? }
        }
        OperatorCommand::SetFees { symbol, fees } => {
            let market = names.market(symbol)?;
            AdminAction::SetCommission { market: market.id, commission: changed_fees(market.commission, fees)? }
        }
        OperatorCommand::SetMarketStatus { symbol, status } => {
            AdminAction::SetMarketStatus { market: names.market(symbol)?.id, status: status_of(status)? }
        }
        OperatorCommand::SetEveryMarketStatus { status, except } => {
            let except: Result<_, OperatorFailure> = except.iter().map(|symbol| Ok(names.market(symbol)?.id)).collect();
            AdminAction::SetEveryMarketStatus { status: status_of(status)?, except: except? }
        }
        OperatorCommand::CancelMarketOrders { symbol } => AdminAction::CancelMarketOrders { market: names.market(symbol)?.id },
        OperatorCommand::DelistMarket { symbol } => AdminAction::DelistMarket { market: names.market(symbol)?.id },
        OperatorCommand::SetPriceRange { symbol, rule } => {
            let rule = rule.as_ref().map(price_range).transpose()?;
            AdminAction::SetPriceRange { market: names.market(symbol)?.id, rule }
        }
        OperatorCommand::SetReferencePrice { symbol, price } => {
            AdminAction::SetReferencePrice { market: names.market(symbol)?.id, price: number("price", price)? }
        }
        OperatorCommand::SetBreaker { symbol, breaker } => {
            let breaker = breaker.as_ref().map(breaker_of).transpose()?;
            AdminAction::SetBreaker { market: names.market(symbol)?.id, breaker }
        }
        OperatorCommand::SetMarketLimits { symbol, limits } => {
            let market = names.market(symbol)?;
            let mut changed = market.limits;
            if let Some(text) = &limits.max_position {
                changed.max_position = number("max-position", text)?;
            }
            changed.max_lists = limits.max_order_lists.unwrap_or(changed.max_lists);
            changed.iceberg_parts = limits.iceberg_parts.unwrap_or(changed.iceberg_parts);
            changed.max_icebergs = limits.max_iceberg_orders.unwrap_or(changed.max_icebergs);
            let pair = |[low, high]: [u32; 2], min: Option<u32>, max: Option<u32>| [min.unwrap_or(low), max.unwrap_or(high)];
            let (min, max) = (limits.min_trailing_above_delta, limits.max_trailing_above_delta);
            changed.trailing_above = pair(changed.trailing_above, min, max);
            let (min, max) = (limits.min_trailing_below_delta, limits.max_trailing_below_delta);
            changed.trailing_below = pair(changed.trailing_below, min, max);
            changed.max_amends = limits.max_order_amends.unwrap_or(changed.max_amends);
            AdminAction::SetMarketLimits { market: market.id, limits: changed }
        }
        OperatorCommand::SetExchangeLimits { limits } => {
            let mut changed = names.0.state.limits();
            changed.max_orders = limits.max_orders.unwrap_or(changed.max_orders);
            changed.max_algo_orders = limits.max_algo_orders.unwrap_or(changed.max_algo_orders);
            changed.max_lists = limits.max_order_lists.unwrap_or(changed.max_lists);
            changed.max_icebergs = limits.max_iceberg_orders.unwrap_or(changed.max_icebergs);
            AdminAction::SetExchangeLimits { limits: changed }
        }
        OperatorCommand::SetFeatureLevel { level } => AdminAction::SetFeatureLevel { level: *level },
        OperatorCommand::CreateAccount { reference } => AdminAction::CreateAccount { reference: reference.as_str().into() },
        OperatorCommand::CancelOrders { account } => AdminAction::CancelAccountOrders { account: names.account(account)? },
        OperatorCommand::SetAccountFees { account, fees } => {
            let commission = fees.as_ref().map(fees_of).transpose()?;
            AdminAction::SetAccountCommission { account: names.account(account)?, commission }
        }
        OperatorCommand::Credit { account, asset, amount, reference } => AdminAction::Credit {
            account: names.account(account)?,
            asset: names.asset("asset", asset)?,
            amount: signed(amount)?,
            reference: reference.as_str().into(),
        },
        // These need more than one command: see `perform`.
        OperatorCommand::ListMarkets
        | OperatorCommand::ShowFeatureLevel
        | OperatorCommand::ShowAccount { .. }
        | OperatorCommand::Ledger { .. }
        | OperatorCommand::SetTrading { .. }
        | OperatorCommand::CreateApiKey { .. }
        | OperatorCommand::ListApiKeys { .. }
        | OperatorCommand::RevokeApiKey { .. } => {
            return Err(OperatorFailure::Refused("this action is not one command".to_owned()));
        }
    })
}

fn number(field: &str, text: &str) -> Result<i64, OperatorFailure> {
    money::parse(text).map_err(|error| malformed(field, text, error))
}

fn malformed(field: &str, text: &str, error: ParseError) -> OperatorFailure {
    let remedy = match error {
        ParseError::Malformed => "write a plain decimal such as 0.01",
        ParseError::Precision => "use at most 8 decimal places",
        ParseError::Overflow => "use a smaller number",
    };
    OperatorFailure::Refused(format!("{field}: invalid value {text}; {remedy}"))
}

fn signed(text: &str) -> Result<Amount, OperatorFailure> {
    let (digits, sign) = text.strip_prefix('-').map_or((text, 1), |digits| (digits, -1));
    money::parse_amount(digits).map(|amount| amount * sign).map_err(|error| malformed("amount", text, error))
}

fn status_of(status: &str) -> Result<MarketStatus, OperatorFailure> {
    let wrong = || OperatorFailure::Refused(format!("status: {status} is not one of TRADING, HALT, CANCEL_ONLY"));
    MarketStatus::from_text(status).filter(|status| *status != MarketStatus::Break).ok_or_else(wrong)
}

fn price_range(rule: &PriceRangeRule) -> Result<PriceRange, OperatorFailure> {
    Ok(PriceRange {
        bid_up: number("bid-limit-mult-up", &rule.bid_limit_mult_up)?,
        bid_down: number("bid-limit-mult-down", &rule.bid_limit_mult_down)?,
        ask_up: number("ask-limit-mult-up", &rule.ask_limit_mult_up)?,
        ask_down: number("ask-limit-mult-down", &rule.ask_limit_mult_down)?,
    })
}

fn breaker_of(breaker: &BreakerRule) -> Result<Breaker, OperatorFailure> {
    let pause = Time::from(breaker.pause_seconds) * 1_000_000;
    Ok(Breaker { deviation: number("deviation", &breaker.deviation)?, pause })
}

fn fees_of(fees: &Fees) -> Result<Commission, OperatorFailure> {
    Ok(Commission { maker: number("maker-rate", &fees.maker)?, taker: number("taker-rate", &fees.taker)? })
}

fn changed_fees(mut commission: Commission, changes: &FeeChanges) -> Result<Commission, OperatorFailure> {
    for (field, text, value) in
        [("maker-rate", &changes.maker, &mut commission.maker), ("taker-rate", &changes.taker, &mut commission.taker)]
    {
        if let Some(text) = text {
            *value = number(field, text)?;
        }
    }
    Ok(commission)
}

fn changed_filters(mut filters: Filters, changes: &FilterChanges) -> Result<Filters, OperatorFailure> {
    let f = &mut filters;
    let numbers = [
        ("min-price", &changes.min_price, &mut f.min_price),
        ("max-price", &changes.max_price, &mut f.max_price),
        ("tick-size", &changes.tick_size, &mut f.tick_size),
        ("min-quantity", &changes.min_quantity, &mut f.min_quantity),
        ("max-quantity", &changes.max_quantity, &mut f.max_quantity),
        ("step-size", &changes.step_size, &mut f.step_size),
        ("market-min-quantity", &changes.market_min_quantity, &mut f.market_min_quantity),
        ("market-max-quantity", &changes.market_max_quantity, &mut f.market_max_quantity),
        ("market-step-size", &changes.market_step_size, &mut f.market_step_size),
        ("bid-multiplier-up", &changes.bid_multiplier_up, &mut f.bid_multiplier_up),
        ("bid-multiplier-down", &changes.bid_multiplier_down, &mut f.bid_multiplier_down),
        ("ask-multiplier-up", &changes.ask_multiplier_up, &mut f.ask_multiplier_up),
        ("ask-multiplier-down", &changes.ask_multiplier_down, &mut f.ask_multiplier_down),
    ];
    for (field, text, value) in numbers {
        if let Some(text) = text {
            *value = number(field, text)?;
        }
    }
    let amounts = [
        ("min-notional", &changes.min_notional, &mut f.min_notional),
        ("max-notional", &changes.max_notional, &mut f.max_notional),
    ];
    for (field, text, value) in amounts {
        if let Some(text) = text {
            *value = number(field, text)?.into();
        }
    }
    f.apply_min_to_market = changes.apply_min_to_market.unwrap_or(f.apply_min_to_market);
    f.apply_max_to_market = changes.apply_max_to_market.unwrap_or(f.apply_max_to_market);
    f.average_minutes = changes.average_minutes.unwrap_or(f.average_minutes);
    f.max_orders = changes.max_orders.unwrap_or(f.max_orders);
    f.max_algo_orders = changes.max_algo_orders.unwrap_or(f.max_algo_orders);
    Ok(filters)
}
