//! This module decides an operator's actions. Each is journalled with its actor and reason before its effect. It must not see an
//! API key or another secret.

use super::Decision;
use crate::command::{AccountRights, AdminAction, Operator, Outcome};
use crate::event::Event;
use crate::ledger::FEES;
use crate::market::{ASSET_MAX, COMMISSION_MAX, Commission, Filters, SYMBOL_MAX};
use crate::money::{Amount, Decimal};
use crate::order::{AccountId, AssetId, MarketId};
use crate::refusal::Refusal;

/// Longest reference, actor, reason and note, in bytes.
pub const TEXT_MAX: usize = 200;

pub(super) fn invalid(text: impl Into<Box<str>>) -> Refusal {
    Refusal::Invalid(text.into())
}

fn check_text(field: &str, text: &str) -> Result<(), Refusal> {
    let bad = text.is_empty() || text.len() > TEXT_MAX || text.chars().any(char::is_control);
    if bad { Err(invalid(format!("{field} must be 1 to {TEXT_MAX} bytes without control characters"))) } else { Ok(()) }
}

fn check_code(field: &str, code: &str, longest: usize) -> Result<(), Refusal> {
    let legal = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit();
    let good = !code.is_empty() && code.len() <= longest && code.bytes().all(legal);
    if good { Ok(()) } else { Err(invalid(format!("{field} must be 1 to {longest} characters of A-Z and 0-9"))) }
}

fn check_commission(commission: &Commission) -> Result<(), Refusal> {
    let good = [commission.maker, commission.taker].iter().all(|rate| (0..=COMMISSION_MAX).contains(rate));
    if good { Ok(()) } else { Err(invalid("maker and taker rates must be 0 to 0.1")) }
}

fn rates(commission: &Commission) -> String {
    format!("maker {} taker {}", Decimal::from(commission.maker), Decimal::from(commission.taker))
}

/// Each changed rate, with the previous one.
fn changed_rates(before: Commission, after: Commission) -> Vec<String> {
    [("makerRate", before.maker, after.maker), ("takerRate", before.taker, after.taker)]
        .into_iter()
        .filter(|(_, before, after)| before != after)
        .map(|(name, before, after)| format!("{name} {} -> {}", Decimal(before.into()), Decimal(after.into())))
        .collect()
}

fn check_filters(filters: &Filters) -> Result<(), Refusal> {
    let faults = filters.check();
    if faults.is_empty() { Ok(()) } else { Err(invalid(faults.join("; "))) }
}

impl Decision<'_> {
    pub(super) fn admin(&mut self, operator: &Operator, action: &AdminAction) -> Result<Outcome, Refusal> {
        check_text("actor", &operator.actor)?;
        check_text("reason", &operator.reason)?;
        match action {
            AdminAction::CreateAsset { code } => {
                check_code("asset", code, ASSET_MAX)?;
                if let Some(asset) = self.state.asset_by_code(code) {
                    return Ok(Outcome::AssetCreated(asset.id));
                }
                let asset = AssetId::try_from(self.state.assets.len()).map_err(|_| Refusal::Overflow)?;
                let event = Event::AssetCreated { asset, code: code.clone() };
                self.act(operator, &format!("create asset {code}"), event);
                Ok(Outcome::AssetCreated(asset))
            }
            AdminAction::CreateMarket { symbol, base, quote, filters, commission } => {
                self.create_market(operator, symbol, *base, *quote, filters, *commission)
            }
            AdminAction::SetFilters { market, filters } => {
                let symbol = self.listed(*market)?;
                check_filters(filters)?;
                let changes = filters.changes_from(&self.market(*market)?.filters);
                let changes = if changes.is_empty() { "no change".to_owned() } else { changes.join(", ") };
                let event = Event::FiltersSet { market: *market, filters: Box::new(filters.clone()) };
                Ok(self.act(operator, &format!("set filters of {symbol}: {changes}"), event))
            }
            AdminAction::SetMarketStatus { market, status } => self.set_market_status(operator, *market, *status),
            AdminAction::SetEveryMarketStatus { status, except } => self.set_every_status(operator, *status, except),
            AdminAction::CancelMarketOrders { market } => self.cancel_market_orders(operator, *market),
            AdminAction::DelistMarket { market } => self.delist(operator, *market),
            AdminAction::SetPriceRange { market, rule } => self.set_price_range(operator, *market, *rule),
            AdminAction::SetReferencePrice { market, price } => self.set_reference_price(operator, *market, *price),
            AdminAction::SetBreaker { market, breaker } => self.set_breaker(operator, *market, *breaker),
            AdminAction::SetMarketLimits { market, limits } => self.set_market_limits(operator, *market, *limits),
            AdminAction::SetExchangeLimits { limits } => self.set_exchange_limits(operator, *limits),
            AdminAction::SetFeatureLevel { level } => self.set_feature_level(operator, *level),
            AdminAction::SetCommission { market, commission } => {
                let symbol = self.listed(*market)?;
                check_commission(commission)?;
                let text = format!("set commission of {symbol} to {}", rates(commission));
                Ok(self.act(operator, &text, Event::CommissionSet { market: *market, commission: *commission }))
            }
            AdminAction::SetAccountCommission { account, commission } => {
                self.customer(*account)?;
                commission.as_ref().map_or(Ok(()), check_commission)?;
                let event = Event::AccountCommissionSet { account: *account, commission: *commission };
                let rates = commission.as_ref().map_or("each market's".to_owned(), rates);
                Ok(self.act(operator, &format!("set commission of account {account} to {rates}"), event))
            }
            AdminAction::CreateAccount { reference } => {
                check_text("reference", reference)?;
                if let Some(account) = self.state.account_by_reference(reference) {
                    return Ok(Outcome::AccountCreated(account.id));
                }
                let account = AccountId::try_from(self.state.accounts.len()).map_err(|_| Refusal::Overflow)?;
                self.act(
                    operator,
                    &format!("create account {account}"),
                    Event::AccountCreated { account, reference: reference.clone() },
                );
                Ok(Outcome::AccountCreated(account))
            }
            AdminAction::SetAccountRights { account, rights } => {
                self.customer(*account)?;
                let event = Event::AccountRightsSet { account: *account, rights: *rights };
                let AccountRights { trade, withdraw, deposit } = rights;
                let text = format!("set rights of account {account}: trade {trade}, withdraw {withdraw}, deposit {deposit}");
                Ok(self.act(operator, &text, event))
            }
            AdminAction::Credit { account, asset, amount, reference } => {
                self.credit(operator, *account, *asset, *amount, reference)
            }
            AdminAction::CancelAccountOrders { account } => {
                self.customer(*account)?;
                Ok(self.cancel_account_orders(operator, *account))
            }
            AdminAction::SetTimeBack => Ok(self.set_time_back(operator)),
            AdminAction::Note { text } => {
                check_text("text", text)?;
                self.note(operator, text);
                Ok(Outcome::Done)
            }
        }
    }

    fn create_market(
        &mut self,
        operator: &Operator,
        symbol: &str,
        base: AssetId,
        quote: AssetId,
        filters: &Filters,
        commission: Commission,
    ) -> Result<Outcome, Refusal> {
        check_code("symbol", symbol, SYMBOL_MAX)?;
        if self.state.asset(base).is_none() || self.state.asset(quote).is_none() {
            return Err(Refusal::UnknownAsset);
        }
        if base == quote {
            return Err(invalid("base and quote must be two different assets"));
        }
        check_filters(filters)?;
        check_commission(&commission)?;
        if let Some(market) = self.state.market_by_symbol(symbol) {
            if (market.base, market.quote) != (base, quote) {
                return Err(invalid(format!("symbol {symbol} exists with other assets: choose another symbol")));
            }
            let symbol = self.listed(market.id)?;
            let (filters, commission) = (filters.changes_from(&market.filters), changed_rates(market.commission, commission));
            let changes: Vec<String> = filters.into_iter().chain(commission).collect();
            return if changes.is_empty() {
                Ok(Outcome::MarketCreated(market.id))
            } else {
                Err(invalid(format!(
                    "symbol {symbol} exists with other values ({}): change them with `market set-filters` and `market set-fees`, \
                     or choose another symbol",
                    changes.join(", ")
                )))
            };
        }
        let market = MarketId::try_from(self.state.markets.len()).map_err(|_| Refusal::Overflow)?;
        let text = format!("create market {symbol}: {}, {}", filters.listed(), rates(&commission));
        let filters = Box::new(filters.clone());
        let event = Event::MarketCreated { market, symbol: symbol.into(), base, quote, filters, commission };
        self.act(operator, &text, event);
        Ok(Outcome::MarketCreated(market))
    }

    fn credit(
        &mut self,
        operator: &Operator,
        account: AccountId,
        asset: AssetId,
        amount: Amount,
        reference: &str,
    ) -> Result<Outcome, Refusal> {
        check_text("reference", reference)?;
        // Idempotency first: a repeat gets the first answer, regardless of the current balance.
        if let Some(first) = self.state.credits.get(reference) {
            return if *first == (account, asset, amount) {
                Ok(Outcome::Done)
            } else {
                let (account, asset, amount) = *first;
                let code = self.state.asset(asset).map_or("", |asset| &asset.code);
                Err(invalid(format!(
                    "reference {reference} was used for another account, asset or amount (account {account}: {}{} {code}): choose \
                     another",
                    if amount < 0 { "-" } else { "" },
                    Decimal(amount.abs())
                )))
            };
        }
        if account != FEES {
            self.customer(account)?;
        }
        let known = self.state.asset(asset).ok_or(Refusal::UnknownAsset)?;
        if amount == 0 || amount.unsigned_abs() > CREDIT_MAX {
            return Err(invalid("amount must not be 0 and at most 10000000000000000000 units"));
        }
        if amount < 0 && self.state.balance(account, asset).free < -amount {
            return Err(Refusal::InsufficientBalance);
        }
        let (name, code) = (if amount > 0 { "credit" } else { "debit" }, &known.code);
        let text = format!("{name} account {account}: {} {code}, reference {reference}", Decimal(amount.abs()));
        Ok(self.act(operator, &text, Event::Credited { account, asset, amount, reference: reference.into() }))
    }

    /// An account other than the two house accounts.
    fn customer(&self, account: AccountId) -> Result<(), Refusal> {
        if account <= FEES || self.state.account(account).is_none() { Err(Refusal::UnknownAccount) } else { Ok(()) }
    }

    pub(super) fn act(&mut self, operator: &Operator, action: &str, event: Event) -> Outcome {
        self.note(operator, action);
        self.emit(event);
        Outcome::Done
    }

    pub(super) fn note(&mut self, operator: &Operator, action: &str) {
        let (actor, reason) = (operator.actor.clone(), operator.reason.clone());
        self.emit(Event::OperatorActed { actor, reason, action: action.into() });
    }
}

/// Largest single credit: 10¹⁹ units, in 10⁻⁸. An [`Amount`] holds the sum of more than 10¹¹ of them.
const CREDIT_MAX: u128 = 1_000_000_000_000_000_000_000_000_000;
