//! This module amends an open order's quantity, and lists an order's amendments. It must not decide which quantity is allowed.

use super::App;
use super::endpoint::{Call, EndpointResult, Reply};
use super::error::ApiError;
use super::json::Json;
use super::market_data::{ITEMS_DEFAULT, ITEMS_MAX};
use super::new_order::{client_id, market};
use super::orders::{unexpected, which};
use super::reports::{REPORT_SIZE, ReportFrame};
use crate::db::history::{AmendmentQuery, HistoryPart};
use crate::engine::SubmitError;
use exchange_core::command::{AmendOrder, Command, Outcome};
use exchange_core::event::AMENDMENT_LEVEL;
use exchange_core::refusal::Refusal;

/// Parameters of `PUT /api/v3/order/amend/keepPriority`.
pub const AMEND: &[&str] = &["symbol", "orderId", "origClientOrderId", "newClientOrderId", "newQty"];
/// Parameters of `GET /api/v3/order/amendments`.
pub const AMENDMENTS: &[&str] = &["symbol", "orderId", "fromExecutionId", "limit"];

const AMENDMENT_SIZE: usize = 320;

/// `PUT /api/v3/order/amend/keepPriority`
pub async fn amend(app: &App, call: &Call<'_>) -> EndpointResult {
    let parameters = &call.parameters;
    let market = market(app, call)?;
    let (order, original) = which(call, "orderId", "origClientOrderId")?;
    parameters.mandatory("newQty")?;
    let amend = AmendOrder {
        account: call.account()?,
        market,
        order,
        client_id: original,
        new_client_id: client_id(parameters, "newClientOrderId")?,
        quantity: parameters.decimal("newQty")?.unwrap_or_default(),
    };
    // A leader of an earlier release cannot read the command.
    if app.engine.committed().read().state.feature_level() < AMENDMENT_LEVEL {
        return Err(Refusal::AmendNotSupported.into());
    }
    let reply = app.engine.submit(Command::Amend(amend), call.valid_until).await.map_err(of_amend)?;
    let Outcome::Amended(amended) = reply.outcome else { return Err(unexpected()) };
    let frame = ReportFrame { symbol: parameters.symbol()?, unit: call.time_unit, time: reply.time };
    Ok(Reply::written(2 * REPORT_SIZE, |json| frame.amended(json, &amended)))
}

/// `GET /api/v3/order/amendments`
pub async fn amendments(app: &App, call: &Call<'_>) -> EndpointResult {
    let parameters = &call.parameters;
    let (account, market) = (call.account()?, market(app, call)?);
    parameters.mandatory("orderId")?;
    let order = parameters.integer("orderId")?.unwrap_or_default();
    let limit = parameters.limit(ITEMS_DEFAULT, ITEMS_MAX)?;
    // The order's first amendment is execution 1 or later.
    let from = parameters.integer("fromExecutionId")?.unwrap_or(0);
    let part = HistoryPart { from: Some(from), start: None, end: None, limit };
    let found = app.history.amendments(AmendmentQuery { account, market, order, part }).await?;
    let symbol = parameters.symbol()?;
    Ok(Reply::written(16 + AMENDMENT_SIZE * found.len(), |json| {
        json.array(&found, |json: &mut Json, amendment| {
            json.object(|json| {
                json.key("symbol").text(symbol);
                json.key("orderId").integer(amendment.order);
                json.key("executionId").integer(amendment.execution);
                json.key("origClientOrderId").text(amendment.original_client_id.as_str());
                json.key("newClientOrderId").text(amendment.client_id.as_str());
                json.key("origQty").decimal(amendment.original_quantity);
                json.key("newQty").decimal(amendment.quantity);
                json.key("time").integer(call.time_unit.show(amendment.time));
            });
        });
    }))
}

/// A refusal that depends on the order is -2038, filter failures included.
fn of_amend(error: SubmitError) -> ApiError {
    let filtered = matches!(&error, SubmitError::Refused(Refusal::Filter(_) | Refusal::ZeroNotional));
    let mut error = ApiError::from(error);
    if filtered || matches!(error.code, ApiError::NEW_ORDER_REJECTED | ApiError::CANCEL_REJECTED) {
        error.code = ApiError::AMEND_REJECTED;
    }
    error
}
