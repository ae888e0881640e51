//! This module cancels one order and places another, with one reply for both. It must not implement either half.
//!
//! - Both halves succeeded: 200.
//! - One half failed: 409, -2021.
//! - Both failed, or the first failed and the second was not attempted: 400, -2022.
//!
//! rest-api.md ("Cancel an Existing Order and Send a New Order") has the table of statuses, including the unfilled order count.

use super::App;
use super::endpoint::{Call, EndpointResult, Reply};
use super::error::ApiError;
use super::json::Json;
use super::new_order::{self, client_id};
use super::order_count::Counted;
use super::orders::{of_cancel, restriction, unexpected, which};
use super::reports::{Detail, REPORT_SIZE, ReportFrame};
use crate::engine::SubmitError;
use crate::engine::committed::SharedState;
use axum::http::StatusCode;
use exchange_core::command::{CancelOrder, CancelReplaceMode, CancelReplaced, Command, Outcome};
use exchange_core::order::ClientId;

/// `orderRateLimitExceededMode`
#[derive(Clone, Copy, PartialEq, Eq)]
enum WhenExceeded {
    DoNothing,
    CancelOnly,
}

/// One half of the reply.
enum Half<T> {
    Success(T),
    Failure(ApiError),
    NotAttempted,
}

impl<T> Half<T> {
    const fn text(&self) -> &'static str {
        match self {
            Self::Success(_) => "SUCCESS",
            Self::Failure(_) => "FAILURE",
            Self::NotAttempted => "NOT_ATTEMPTED",
        }
    }

    fn write(&self, json: &mut Json, success: impl FnOnce(&mut Json, &T)) {
        match self {
            Self::Success(value) => success(json, value),
            Self::Failure(error) => json.object(|json| {
                json.key("code").integer(error.code);
                json.key("msg").text(&error.text);
            }),
            Self::NotAttempted => json.null(),
        }
    }
}

/// `POST /api/v3/order/cancelReplace`
pub async fn cancel_replace(app: &App, call: &Call<'_>) -> EndpointResult {
    let parameters = &call.parameters;
    let (new, detail) = new_order::read_new_order(app, call)?;
    parameters.mandatory("cancelReplaceMode")?;
    let mode = parameters.choice("cancelReplaceMode", mode, ApiError::invalid("cancelReplaceMode"))?;
    let mode = mode.ok_or_else(|| ApiError::mandatory("cancelReplaceMode"))?;
    let exceeded = parameters
        .choice("orderRateLimitExceededMode", when_exceeded, ApiError::invalid("orderRateLimitExceededMode"))?
        .unwrap_or(WhenExceeded::DoNothing);
    let (order, original) = which(call, "cancelOrderId", "cancelOrigClientOrderId")?;
    let cancel =
        CancelOrder { account: new.account, market: new.market, order, client_id: original, restriction: restriction(call)? };
    let cancel_id = client_id(parameters, "cancelNewClientOrderId")?;
    let counted = match Counted::take(app, call, 1) {
        Ok(counted) => counted,
        Err(refused) if exceeded == WhenExceeded::CancelOnly => {
            return cancel_only(app, call, cancel, cancel_id, mode, refused).await;
        }
        Err(refused) => return Err(refused),
    };
    let reply = app.engine.submit(Command::CancelReplace { cancel: cancel.clone(), new, mode }, call.valid_until).await;
    let too_many = matches!(reply, Err(SubmitError::TooManyOrders(_)));
    let reply = match counted.settle(reply) {
        Err(refused) if too_many && exceeded == WhenExceeded::CancelOnly => {
            return cancel_only(app, call, cancel, cancel_id, mode, refused).await;
        }
        reply => reply?,
    };
    let unfilled = reply.unfilled;
    let Outcome::CancelReplaced(both) = reply.outcome else { return Err(unexpected()) };
    let CancelReplaced { cancel, new } = *both;
    let canceled = match cancel {
        Ok(canceled) => Half::Success(canceled),
        Err(refusal) => Half::Failure(of_cancel(SubmitError::Refused(refusal))),
    };
    let placed = match new {
        Some(Ok(placed)) => Half::Success(placed),
        Some(Err(refusal)) => {
            counted.give_back();
            Half::Failure(refusal.into())
        }
        // Where this server counts, an order that was not attempted counts too.
        None => Half::NotAttempted,
    };
    let frame = ReportFrame { symbol: parameters.symbol()?, unit: call.time_unit, time: reply.time };
    let data = both_halves(&frame, &canceled, &placed, &cancel_id, detail, app.engine.committed());
    match (&canceled, &placed) {
        (Half::Success(_), Half::Success(_)) => Ok(counted.show(Reply::bytes(data), unfilled)),
        (Half::Success(_), _) | (_, Half::Success(_)) => Err(partly(StatusCode::CONFLICT, data)),
        _ => Err(failed(StatusCode::BAD_REQUEST, data)),
    }
}

/// The account has no room for a new order, and the client requested only the cancel in that case.
async fn cancel_only(
    app: &App,
    call: &Call<'_>,
    cancel: CancelOrder,
    cancel_id: ClientId,
    mode: CancelReplaceMode,
    refused: ApiError,
) -> EndpointResult {
    let retry_after = refused.retry_after;
    let (canceled, time) = match app.engine.submit(Command::Cancel(cancel), call.valid_until).await {
        Ok(reply) => match reply.outcome {
            Outcome::Canceled(canceled) => (Half::Success(canceled), reply.time),
            _ => return Err(unexpected()),
        },
        Err(error @ SubmitError::Refused(_)) => (Half::Failure(of_cancel(error)), call.received),
        Err(error) => return Err(error.into()),
    };
    let stop = mode == CancelReplaceMode::StopOnFailure;
    let placed = match &canceled {
        Half::Failure(_) if stop => Half::NotAttempted,
        _ => Half::Failure(refused),
    };
    let frame = ReportFrame { symbol: call.parameters.symbol()?, unit: call.time_unit, time };
    let data = both_halves(&frame, &canceled, &placed, &cancel_id, Detail::Ack, app.engine.committed());
    let error = match (stop, &canceled) {
        (true, Half::Success(_)) => partly(StatusCode::TOO_MANY_REQUESTS, data),
        (true, _) => failed(StatusCode::TOO_MANY_REQUESTS, data),
        (false, Half::Success(_)) => partly(StatusCode::CONFLICT, data),
        (false, _) => failed(StatusCode::BAD_REQUEST, data),
    };
    Err(ApiError { retry_after: if stop { retry_after } else { None }, ..error })
}

fn both_halves(
    frame: &ReportFrame<'_>,
    canceled: &Half<exchange_core::command::Canceled>,
    placed: &Half<exchange_core::command::Placed>,
    cancel_id: &ClientId,
    detail: Detail,
    committed: &SharedState,
) -> Vec<u8> {
    let mut json = Json::with_capacity(3 * REPORT_SIZE);
    json.object(|json| {
        json.key("cancelResult").text(canceled.text());
        json.key("newOrderResult").text(placed.text());
        canceled.write(json.key("cancelResponse"), |json, canceled| frame.ended(json, canceled, cancel_id));
        placed.write(json.key("newOrderResponse"), |json, placed| frame.placed(json, placed, detail, committed));
    });
    json.into_bytes()
}

fn partly(status: StatusCode, data: Vec<u8>) -> ApiError {
    ApiError { data: Some(data), ..ApiError::new(status, -2021, "Order cancel-replace partially failed.") }
}

fn failed(status: StatusCode, data: Vec<u8>) -> ApiError {
    ApiError { data: Some(data), ..ApiError::new(status, -2022, "Order cancel-replace failed.") }
}

fn mode(text: &str) -> Option<CancelReplaceMode> {
    match text {
        "STOP_ON_FAILURE" => Some(CancelReplaceMode::StopOnFailure),
        "ALLOW_FAILURE" => Some(CancelReplaceMode::AllowFailure),
        _ => None,
    }
}

fn when_exceeded(text: &str) -> Option<WhenExceeded> {
    match text {
        "DO_NOTHING" => Some(WhenExceeded::DoNothing),
        "CANCEL_ONLY" => Some(WhenExceeded::CancelOnly),
        _ => None,
    }
}
