//! This module places, tests, cancels and queries one order, and lists open ones. It must not contain a matching rule or SQL.

use super::App;
use super::commission::order_commission;
use super::endpoint::{Call, EndpointResult, Reply};
use super::error::ApiError;
use super::new_order::{self, client_id, generated_id, market};
use super::order_count::Counted;
use super::parameters::Parameters;
use super::reports::{REPORT_SIZE, ReportFrame, queried, symbol};
use crate::engine::SubmitError;
use exchange_core::command::{CancelOrder, CancelRestriction, Canceled, Command, Outcome};
use exchange_core::order::{ClientId, OrderId};
use exchange_core::refusal::Refusal;

/// Parameters of `GET /api/v3/order`.
pub const QUERY: &[&str] = &["symbol", "orderId", "origClientOrderId"];
/// Parameters of `DELETE /api/v3/order`.
pub const CANCEL: &[&str] = &["symbol", "orderId", "origClientOrderId", "newClientOrderId", "cancelRestrictions"];

/// Weight of `POST /api/v3/order/test`.
pub fn test_weight(parameters: &Parameters<'_>) -> u32 {
    if matches!(parameters.boolean("computeCommissionRates"), Ok(Some(true))) { 20 } else { 1 }
}

/// Weight of `GET /api/v3/openOrders`.
pub fn open_weight(parameters: &Parameters<'_>) -> u32 {
    if parameters.has("symbol") { 6 } else { 80 }
}

/// `POST /api/v3/order`
pub async fn place(app: &App, call: &Call<'_>) -> EndpointResult {
    let (order, detail) = new_order::read_new_order(app, call)?;
    let counted = Counted::take(app, call, 1)?;
    let reply = app.engine.submit(Command::Place(order), call.valid_until).await;
    let reply = counted.settle(reply)?;
    let unfilled = reply.unfilled;
    let Outcome::Placed(placed) = reply.outcome else { return Err(unexpected()) };
    let frame = ReportFrame { symbol: call.parameters.symbol()?, unit: call.time_unit, time: reply.time };
    let written = Reply::written(ReportFrame::size(&placed), |json| frame.placed(json, &placed, detail, app.engine.committed()));
    Ok(counted.show(written, unfilled))
}

/// `POST /api/v3/order/test`: all checks except funds and the book, without effect.
pub async fn test(app: &App, call: &Call<'_>) -> EndpointResult {
    let (order, _) = new_order::read_new_order(app, call)?;
    let rates = call.parameters.boolean("computeCommissionRates")?.unwrap_or(false);
    let committed = app.engine.committed().read();
    committed.state.check_order(&order, call.received)?;
    if !rates {
        return Ok(Reply::bytes(&b"{}"[..]));
    }
    let commission = committed.state.commission(order.account, order.market);
    Ok(Reply::written(REPORT_SIZE, |json| order_commission(json, &commission)))
}

/// `DELETE /api/v3/order`
pub async fn cancel(app: &App, call: &Call<'_>) -> EndpointResult {
    let parameters = &call.parameters;
    let (order, original) = which(call, "orderId", "origClientOrderId")?;
    let cancel = CancelOrder {
        account: call.account()?,
        market: market(app, call)?,
        order,
        client_id: original,
        restriction: restriction(call)?,
    };
    let cancel_id = client_id(parameters, "newClientOrderId")?;
    let reply = app.engine.submit(Command::Cancel(cancel), call.valid_until).await.map_err(of_cancel)?;
    let Outcome::Canceled(canceled) = reply.outcome else { return Err(unexpected()) };
    let frame = ReportFrame { symbol: parameters.symbol()?, unit: call.time_unit, time: reply.time };
    Ok(Reply::written(ended_size(&canceled), |json| frame.ended(json, &canceled, &cancel_id)))
}

/// `DELETE /api/v3/openOrders`
pub async fn cancel_all(app: &App, call: &Call<'_>) -> EndpointResult {
    let command = Command::CancelAll { account: call.account()?, market: market(app, call)? };
    let reply = app.engine.submit(command, call.valid_until).await.map_err(of_cancel)?;
    let Outcome::CanceledAll(all) = reply.outcome else { return Err(unexpected()) };
    let frame = ReportFrame { symbol: call.parameters.symbol()?, unit: call.time_unit, time: reply.time };
    let cancel_id = generated_id();
    let size = all.iter().map(ended_size).sum();
    Ok(Reply::written(size, |json| json.array(&all, |json, canceled| frame.ended(json, canceled, &cancel_id))))
}

/// `GET /api/v3/order`
pub async fn query(app: &App, call: &Call<'_>) -> EndpointResult {
    let (account, market) = (call.account()?, market(app, call)?);
    let (order, original) = which(call, "orderId", "origClientOrderId")?;
    let found = match (order, original) {
        (Some(id), _) => app.history.order(account, market, id).await?,
        (None, Some(client_id)) => app.history.order_by_client_id(account, market, client_id).await?,
        (None, None) => None,
    };
    let order = found.ok_or(ApiError::NO_SUCH_ORDER)?;
    // Find by id first, then compare the order's client id with the one sent.
    if original.is_some_and(|client_id| client_id != order.client_id) {
        return Err(Refusal::ClientOrderIdMismatch.into());
    }
    let symbol = call.parameters.symbol()?;
    Ok(Reply::written(REPORT_SIZE, |json| queried(json, &order, symbol, call.time_unit)))
}

/// `GET /api/v3/openOrders`
pub async fn open(app: &App, call: &Call<'_>) -> EndpointResult {
    let account = call.account()?;
    let asked = match call.parameters.symbol_if_sent()? {
        Some(_) => Some(market(app, call)?),
        None => None,
    };
    let committed = app.engine.committed().read();
    let state = &committed.state;
    let orders = state.open_orders(account, asked);
    Ok(Reply::written(orders.len() * REPORT_SIZE, |json| {
        json.array(orders, |json, order| queried(json, order, &symbol(state, order), call.time_unit));
    }))
}

/// Identifies the requested order.
///
/// # Errors
///
/// Returns -1102 if neither parameter was sent.
pub fn which(call: &Call<'_>, id: &str, client_id: &str) -> Result<(Option<OrderId>, Option<ClientId>), ApiError> {
    let found = (call.parameters.integer(id)?, call.parameters.client_id(client_id)?);
    if found == (None, None) { Err(ApiError::either(client_id, id)) } else { Ok(found) }
}

/// # Errors
///
/// Returns -1145.
pub fn restriction(call: &Call<'_>) -> Result<Option<CancelRestriction>, ApiError> {
    let from_text = |text: &str| match text {
        "ONLY_NEW" => Some(CancelRestriction::OnlyNew),
        "ONLY_PARTIALLY_FILLED" => Some(CancelRestriction::OnlyPartiallyFilled),
        _ => None,
    };
    call.parameters.choice("cancelRestrictions", from_text, ApiError::CANCEL_RESTRICTIONS)
}

/// A refused cancel is -2011 in cases where a new order would be -2010.
pub fn of_cancel(error: SubmitError) -> ApiError {
    let mut error = ApiError::from(error);
    if error.code == ApiError::NEW_ORDER_REJECTED {
        error.code = ApiError::CANCEL_REJECTED;
    }
    error
}

/// The engine answered with the outcome of a different command.
pub fn unexpected() -> ApiError {
    ApiError::internal("the engine's outcome does not match the command")
}

fn ended_size(canceled: &Canceled) -> usize {
    match canceled {
        Canceled::Order(_) => REPORT_SIZE,
        Canceled::List(list) => REPORT_SIZE * (list.orders.len() + 1),
    }
}
