//! This module writes the replies of the WebSocket API. It must not decide them.

use crate::http::App;
use crate::http::edge::raw_now;
use crate::http::endpoint::EndpointResult;
use crate::http::error::ApiError;
use crate::http::order_count::unfilled;
use crate::http::response;
use crate::json::Json;
use crate::streams::text;
use axum::http::StatusCode;
use exchange_core::order::AccountId;
use tokio_tungstenite::tungstenite::Utf8Bytes;

const MILLISECONDS: i64 = 1_000;

/// The limits that a request touched.
#[derive(Debug, Clone, Copy, Default)]
pub struct Used {
    /// Weight of the address in this minute.
    pub weight: u32,
    /// Show the unfilled order count of this account.
    pub orders: Option<AccountId>,
    /// False: `returnRateLimits` is false.
    pub shown: bool,
}

/// The reply to the request with this id.
pub fn reply_of(app: &App, id: &str, answer: EndpointResult, used: Used) -> (StatusCode, Utf8Bytes) {
    let (status, size) = match &answer {
        Ok(reply) => (reply.status, reply.body.len()),
        Err(error) => (error.status, 256),
    };
    let mut json = Json::with_capacity(size + 512);
    json.object(|json| {
        json.key("id").raw(id.as_bytes());
        json.key("status").integer(status.as_u16());
        match &answer {
            Ok(reply) => json.key("result").raw(&reply.body),
            Err(error) => {
                if error.status.is_server_error() {
                    response::log_failure(error, id);
                }
                write_error(json.key("error"), error);
            }
        }
        if used.shown {
            rate_limits(json.key("rateLimits"), app, used);
        }
    });
    (status, text(json.into_bytes()))
}

fn write_error(json: &mut Json, error: &ApiError) {
    json.object(|json| {
        json.key("code").integer(error.code);
        json.key("msg").text(&error.text);
        match (&error.data, error.retry_after) {
            (Some(data), _) => json.key("data").raw(data),
            (None, Some(seconds)) => json.key("data").object(|json| {
                let time = raw_now() / MILLISECONDS;
                json.key("serverTime").integer(time);
                json.key("retryAfter").integer(time + i64::try_from(seconds).unwrap_or_default() * MILLISECONDS);
            }),
            (None, None) => {}
        }
    });
}

fn rate_limits(json: &mut Json, app: &App, used: Used) {
    let limits = app.limits.settings();
    let mut rows = Vec::with_capacity(3);
    if let Some(account) = used.orders {
        let (ten_seconds, one_day) = unfilled(app, account, raw_now());
        rows.push(("ORDERS", "SECOND", 10, limits.orders_10s, ten_seconds));
        rows.push(("ORDERS", "DAY", 1, limits.orders_1d, one_day));
    }
    rows.push(("REQUEST_WEIGHT", "MINUTE", 1, limits.weight_1m, used.weight));
    json.array(rows, |json, (kind, interval, number, limit, count)| {
        json.object(|json| {
            json.key("rateLimitType").text(kind);
            json.key("interval").text(interval);
            json.key("intervalNum").integer(number);
            json.key("limit").integer(limit);
            json.key("count").integer(count);
        });
    });
}
