//! This module lists an account's trades that self-trade prevention prevented. It must not decide which are prevented.

use super::App;
use super::endpoint::{Call, EndpointResult, Reply};
use super::error::ApiError;
use super::market_data::symbols::BAD_COMBINATION;
use super::market_data::{ITEMS_DEFAULT, ITEMS_MAX};
use super::new_order::market;
use super::parameters::Parameters;
use crate::db::history::{HistoryPart, PreventedQuery, Wanted};

/// Parameters of `GET /api/v3/myPreventedMatches`.
pub const PREVENTED: &[&str] = &["symbol", "preventedMatchId", "orderId", "fromPreventedMatchId", "limit"];

const MATCH_SIZE: usize = 384;

/// Weight of `GET /api/v3/myPreventedMatches`.
pub fn prevented_weight(parameters: &Parameters<'_>) -> u32 {
    if parameters.has("orderId") { 20 } else { 2 }
}

/// `GET /api/v3/myPreventedMatches`
pub async fn prevented(app: &App, call: &Call<'_>) -> EndpointResult {
    let parameters = &call.parameters;
    let (account, market) = (call.account()?, market(app, call)?);
    let limit = parameters.limit(ITEMS_DEFAULT, ITEMS_MAX)?;
    let from = parameters.integer("fromPreventedMatchId")?;
    let wanted = match (parameters.integer("preventedMatchId")?, parameters.integer("orderId")?) {
        (None, None) => return Err(ApiError::either("preventedMatchId", "orderId")),
        (Some(id), None) if from.is_none() && !parameters.has("limit") => Wanted::Match(id),
        (Some(_), _) => return Err(BAD_COMBINATION),
        (None, Some(order)) => Wanted::Of(order, HistoryPart { from: from.or(Some(0)), start: None, end: None, limit }),
    };
    let found = app.history.prevented(PreventedQuery { account, market, wanted }).await?;
    let symbol = parameters.symbol()?;
    Ok(Reply::written(16 + MATCH_SIZE * found.len(), |json| {
        json.array(&found, |json, record| {
            json.object(|json| {
                json.key("symbol").text(symbol);
                json.key("preventedMatchId").integer(record.prevented_match);
                json.key("takerOrderId").integer(record.taker);
                json.key("makerSymbol").text(symbol);
                json.key("makerOrderId").integer(record.maker);
                json.key("tradeGroupId").integer(-1);
                json.key("selfTradePreventionMode").text(record.stp.text());
                json.key("price").decimal(record.price);
                for (name, quantity) in
                    [("takerPreventedQuantity", record.taker_quantity), ("makerPreventedQuantity", record.maker_quantity)]
                {
                    if quantity > 0 {
                        json.key(name).decimal(quantity);
                    }
                }
                json.key("transactTime").integer(call.time_unit.show(record.time));
            });
        });
    }))
}
