//! This module serves the account: balances, commissions, unfilled order count. It must not change a balance.

use super::App;
use super::commission::account_commission;
use super::endpoint::{Call, EndpointResult, Reply};
use super::error::ApiError;
use super::general::write_filters;
use super::new_order::market;
use super::order_count::unfilled;
use exchange_core::market::Commission;
use exchange_core::money::SCALE;

/// Parameters of `GET /api/v3/account`.
pub const ACCOUNT: &[&str] = &["omitZeroBalances"];
/// Parameters of `GET /api/v3/account/commission`.
pub const COMMISSION: &[&str] = &["symbol"];

/// Parameters of `GET /api/v3/myFilters`.
pub const FILTERS: &[&str] = &["symbol"];

/// Bytes of one balance in a reply.
const BALANCE_SIZE: usize = 96;
/// The integer rates in the account's reply count ten-thousandths.
const BASIS_POINT: i64 = SCALE / 10_000;

/// `GET /api/v3/account`
pub async fn account(app: &App, call: &Call<'_>) -> EndpointResult {
    let id = call.account()?;
    let omit_zero = call.parameters.boolean("omitZeroBalances")?.unwrap_or(false);
    let committed = app.engine.committed().read();
    let state = &committed.state;
    let account = state.account(id).ok_or(ApiError::KEY_REJECTED)?;
    // The account's own rates, or those of the first market.
    let commission = account.commission.or_else(|| state.markets().next().map(|market| market.commission)).unwrap_or_default();
    let Commission { maker, taker } = commission;
    Ok(Reply::written(512 + state.assets().len() * BALANCE_SIZE, |json| {
        json.object(|json| {
            json.key("makerCommission").integer(maker / BASIS_POINT);
            json.key("takerCommission").integer(taker / BASIS_POINT);
            json.key("buyerCommission").integer(0);
            json.key("sellerCommission").integer(0);
            json.key("commissionRates").object(|json| {
                for (name, rate) in [("maker", maker), ("taker", taker), ("buyer", 0), ("seller", 0)] {
                    json.key(name).decimal(rate);
                }
            });
            json.key("canTrade").boolean(account.rights.trade);
            json.key("canWithdraw").boolean(account.rights.withdraw);
            json.key("canDeposit").boolean(account.rights.deposit);
            json.key("brokered").boolean(false);
            json.key("requireSelfTradePrevention").boolean(false);
            json.key("preventSor").boolean(false);
            json.key("updateTime").integer(call.time_unit.show(account.updated));
            json.key("accountType").text("SPOT");
            let balances = state.assets().iter().map(|asset| (asset, state.balance(id, asset.id)));
            let shown = balances.filter(|(_, balance)| !omit_zero || balance.free != 0 || balance.locked != 0);
            json.key("balances").array(shown, |json, (asset, balance)| {
                json.object(|json| {
                    json.key("asset").text(&asset.code);
                    json.key("free").decimal(balance.free);
                    json.key("locked").decimal(balance.locked);
                });
            });
            json.key("permissions").array(["SPOT"], super::json::Json::text);
            json.key("uid").integer(id);
        });
    }))
}

/// `GET /api/v3/account/commission`
pub async fn commission(app: &App, call: &Call<'_>) -> EndpointResult {
    let (account, market) = (call.account()?, market(app, call)?);
    let symbol = call.parameters.symbol()?;
    let commission = app.engine.committed().read().state.commission(account, market);
    Ok(Reply::written(1024, |json| account_commission(json, symbol, &commission)))
}

/// `GET /api/v3/myFilters`: every filter of the market; none is of one account.
pub async fn filters(app: &App, call: &Call<'_>) -> EndpointResult {
    call.account()?;
    let market = market(app, call)?;
    let committed = app.engine.committed().read();
    let market = committed.state.market(market).ok_or(ApiError::SYMBOL)?;
    Ok(Reply::written(1_536, |json| {
        json.object(|json| {
            json.key("exchangeFilters").array([(); 0], |_, ()| {});
            write_filters(json.key("symbolFilters"), &committed.state, market);
            json.key("assetFilters").array([(); 0], |_, ()| {});
        });
    }))
}

/// `GET /api/v3/rateLimit/order`
pub async fn order_count(app: &App, call: &Call<'_>) -> EndpointResult {
    let (ten_seconds, one_day) = unfilled(app, call.account()?, call.received);
    let limits = app.limits.settings();
    let rows = [("SECOND", 10, limits.orders_10s, ten_seconds), ("DAY", 1, limits.orders_1d, one_day)];
    Ok(Reply::written(256, |json| {
        json.array(rows, |json, (interval, number, limit, count)| {
            json.object(|json| {
                json.key("rateLimitType").text("ORDERS");
                json.key("interval").text(interval);
                json.key("intervalNum").integer(number);
                json.key("limit").integer(limit);
                json.key("count").integer(count);
            });
        });
    }))
}
