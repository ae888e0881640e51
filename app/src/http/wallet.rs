//! This module answers the wallet requests that clients send before they trade (sapi/v1), as an exchange without deposits and
//! withdrawals. It must not move funds: operators credit and debit.

use super::App;
use super::endpoint::{Call, EndpointResult, Reply};
use super::error::ApiError;
use exchange_core::market::{Asset, Market};

/// Parameters of `POST /sapi/v1/capital/withdraw/apply`.
pub const WITHDRAW: &[&str] = &[
    "coin",
    "withdrawOrderId",
    "network",
    "address",
    "addressTag",
    "amount",
    "transactionFeeFlag",
    "name",
    "walletType",
    "questionnaire",
];
/// Parameters of the two histories.
pub const DEPOSITS: &[&str] = &["includeSource", "coin", "status", "startTime", "endTime", "offset", "limit", "txId"];
pub const WITHDRAWALS: &[&str] = &["coin", "withdrawOrderId", "status", "offset", "limit", "idList", "startTime", "endTime"];
/// Parameters of `GET /sapi/v1/capital/deposit/address`.
pub const ADDRESS: &[&str] = &["coin", "network", "amount"];
/// Parameters of `GET /sapi/v1/asset/tradeFee` and of the margin pairs.
pub const SYMBOL: &[&str] = &["symbol"];

const COIN_SIZE: usize = 384;
const FEE_SIZE: usize = 96;

/// `GET /sapi/v1/system/status`
pub async fn system_status(_: &App, _: &Call<'_>) -> EndpointResult {
    Ok(Reply::bytes(&br#"{"status":0,"msg":"normal"}"#[..]))
}

/// `GET /sapi/v1/capital/config/getall`: every asset with the account's balance; deposits and withdrawals are disabled.
pub async fn coins(app: &App, call: &Call<'_>) -> EndpointResult {
    let account = call.account()?;
    let committed = app.engine.committed().read();
    let state = &committed.state;
    Ok(Reply::written(state.assets().len() * COIN_SIZE, |json| {
        json.array(state.assets(), |json, asset: &Asset| {
            let balance = state.balance(account, asset.id);
            json.object(|json| {
                json.key("coin").text(&asset.code);
                json.key("depositAllEnable").boolean(false);
                json.key("withdrawAllEnable").boolean(false);
                json.key("name").text(&asset.code);
                json.key("free").decimal(balance.free);
                json.key("locked").decimal(balance.locked);
                for name in ["freeze", "withdrawing", "ipoing", "ipoable", "storage"] {
                    json.key(name).decimal(0);
                }
                json.key("isLegalMoney").boolean(false);
                json.key("trading").boolean(true);
                json.key("networkList").array([], super::json::Json::text);
            });
        });
    }))
}

/// `GET /sapi/v1/capital/deposit/hisrec`, `GET /sapi/v1/capital/withdraw/history`, the margin pairs: empty lists.
pub async fn nothing(_: &App, _: &Call<'_>) -> EndpointResult {
    Ok(Reply::bytes(&b"[]"[..]))
}

/// `GET /sapi/v1/capital/deposit/address`
pub async fn deposit_address(_: &App, call: &Call<'_>) -> EndpointResult {
    call.parameters.mandatory("coin")?;
    Err(ApiError::DEPOSITS_DISABLED)
}

/// `POST /sapi/v1/capital/withdraw/apply`
pub async fn withdraw(_: &App, call: &Call<'_>) -> EndpointResult {
    for name in ["coin", "address", "amount"] {
        call.parameters.mandatory(name)?;
    }
    Err(ApiError::WITHDRAWALS_DISABLED)
}

/// `GET /sapi/v1/asset/tradeFee`
pub async fn trade_fee(app: &App, call: &Call<'_>) -> EndpointResult {
    let account = call.account()?;
    let symbol = call.parameters.symbol_if_sent()?;
    let committed = app.engine.committed().read();
    let state = &committed.state;
    if symbol.is_some_and(|symbol| state.market_by_symbol(symbol).is_none()) {
        return Err(ApiError::SYMBOL);
    }
    let asked = state.markets().filter(|market| symbol.is_none_or(|symbol| *market.symbol == *symbol));
    Ok(Reply::written(state.markets().len() * FEE_SIZE, |json| {
        json.array(asked, |json, market: &Market| {
            let commission = state.commission(account, market.id);
            json.object(|json| {
                json.key("symbol").text(&market.symbol);
                json.key("makerCommission").decimal(commission.maker);
                json.key("takerCommission").decimal(commission.taker);
            });
        });
    }))
}

/// `GET /fapi/v1/exchangeInfo`, `GET /dapi/v1/exchangeInfo`: this exchange has no futures.
pub async fn no_symbols(_: &App, _: &Call<'_>) -> EndpointResult {
    Ok(Reply::bytes(&br#"{"symbols":[]}"#[..]))
}
