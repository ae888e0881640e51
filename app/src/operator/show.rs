//! This module writes the JSON that operators see. Numbers are decimal texts, as in the API.

use super::failure::OperatorFailure;
use crate::db::account_ledger::{self, LedgerLine};
use crate::db::api_keys::{ApiKey, Material};
use exchange_core::State;
use exchange_core::command::{Canceled, Outcome};
use exchange_core::market::Market;
use exchange_core::money::{Amount, Decimal};
use exchange_core::order::{AccountId, AssetId};
use serde_json::{Value, json};
use sqlx::PgPool;

/// Maximum number of ledger lines in one answer.
const LEDGER_MAX: u32 = 1_000;

fn decimal(value: impl Into<Amount>) -> String {
    Decimal(value.into()).to_string()
}

fn code(state: &State, asset: AssetId) -> &str {
    state.asset(asset).map_or("", |asset| &asset.code)
}

pub(super) fn show_outcome(state: &State, outcome: &Outcome) -> Value {
    match outcome {
        Outcome::AssetCreated(id) => json!({ "asset": id }),
        Outcome::MarketCreated(id) => json!({ "market": id }),
        Outcome::AccountCreated(id) => json!({ "account": id }),
        Outcome::CanceledAll(_) => json!({ "canceledOrders": canceled_orders(outcome) }),
        Outcome::CancelQueued(_) => json!({ "canceledOrders": canceled_orders(outcome), "queued": true }),
        Outcome::StatusChanged(changed) => {
            let symbols: Vec<&str> = changed.iter().filter_map(|id| state.market(*id)).map(|market| &*market.symbol).collect();
            json!({ "changed": symbols })
        }
        _ => json!({ "done": true }),
    }
}

/// Orders that a command canceled or queued to be canceled; each order of a list counts. `None`: not counted.
pub(super) fn canceled_orders(outcome: &Outcome) -> Option<usize> {
    let orders = |canceled: &Canceled| match canceled {
        Canceled::Order(_) => 1,
        Canceled::List(list) => list.orders.len(),
    };
    match outcome {
        Outcome::CanceledAll(all) => Some(all.iter().map(orders).sum()),
        Outcome::CancelQueued(orders) => *orders,
        _ => Some(0),
    }
}

pub(super) fn markets(state: &State) -> Value {
    let market = |market: &Market| {
        json!({
            "symbol": market.symbol, "status": market.status.text(),
            "base": code(state, market.base), "quote": code(state, market.quote),
            "makerRate": decimal(market.commission.maker), "takerRate": decimal(market.commission.taker),
            "tickSize": decimal(market.filters.tick_size), "stepSize": decimal(market.filters.step_size),
            "priceRange": market.protection.price_range.map(|rule| json!({
                "bidLimitMultUp": decimal(rule.bid_up), "bidLimitMultDown": decimal(rule.bid_down),
                "askLimitMultUp": decimal(rule.ask_up), "askLimitMultDown": decimal(rule.ask_down),
            })),
            "referencePrice": state.reference_price(market.id, state.now()).map(decimal),
            "breaker": market.protection.breaker.map(|breaker| json!({
                "deviation": decimal(breaker.deviation), "pauseSeconds": breaker.pause / 1_000_000,
            })),
            "pausedUntilMicroseconds": state.paused_until(market.id), "queuedOrders": state.queued_orders(market.id),
        })
    };
    state.markets().map(market).collect()
}

pub(super) fn show_account(state: &State, id: AccountId) -> Value {
    let balance = |(asset, balance): (AssetId, exchange_core::Balance)| json!({ "asset": code(state, asset), "free": decimal(balance.free), "locked": decimal(balance.locked) });
    let balances: Vec<Value> = state.balances(id).map(balance).collect();
    state.account(id).map_or(Value::Null, |account| {
        json!({
            "account": id, "reference": account.reference,
            "trade": account.rights.trade, "withdraw": account.rights.withdraw, "deposit": account.rights.deposit,
            "makerRate": account.commission.map(|commission| decimal(commission.maker)),
            "takerRate": account.commission.map(|commission| decimal(commission.taker)),
            "openOrders": state.open_orders(id, None).len(), "balances": balances,
        })
    })
}

pub(super) async fn ledger(pool: &PgPool, account: AccountId, before: Option<u64>, limit: u32) -> Result<Value, OperatorFailure> {
    if limit == 0 || limit > LEDGER_MAX {
        return Err(OperatorFailure::Refused(format!("limit: must be 1 to {LEDGER_MAX}")));
    }
    let line = |line: LedgerLine| {
        json!({
            "sequence": line.sequence, "timeMicroseconds": line.time, "asset": line.asset, "amount": line.amount,
            "from": format!("{}/{}", line.debit_account, line.debit_bucket),
            "to": format!("{}/{}", line.credit_account, line.credit_bucket),
        })
    };
    Ok(account_ledger::of_account(pool, account, before, limit).await?.into_iter().map(line).collect())
}

pub(super) fn api_keys(keys: &[ApiKey]) -> Value {
    let key = |key: &ApiKey| {
        let kind = match key.material {
            Material::Hmac(_) => "HMAC",
            Material::Ed25519(_) => "ED25519",
            Material::Gone => "REVOKED",
        };
        json!({
            "account": key.account, "apiKey": key.api_key, "label": key.label, "kind": kind, "networks": key.networks,
            "read": key.permissions.read, "trade": key.permissions.trade, "withdraw": key.permissions.withdraw,
            "createdMicroseconds": key.created_at, "revokedMicroseconds": key.revoked_at,
        })
    };
    keys.iter().map(key).collect()
}
