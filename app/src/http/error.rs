//! This module is the one error type of the HTTP side: status, Binance's code and text, always as `{"code","msg"}`. It must not
//! reveal an internal cause to the client: the edge logs the cause once.
//!
//! Source of codes and texts: errors.md of the public API documentation. Clients match texts byte for byte.

use crate::engine::history::HistoryError;
use crate::engine::{ReadsError, SubmitError, TooManyOrders};
use axum::http::StatusCode;
use exchange_core::refusal::Refusal;
use std::borrow::Cow;

/// The error reply of a request.
#[derive(Debug)]
pub struct ApiError {
    pub status: StatusCode,
    pub code: i32,
    pub text: Cow<'static, str>,
    /// `Retry-After`, in seconds.
    pub retry_after: Option<u64>,
    /// JSON of a `data` member (cancelReplace).
    pub data: Option<Vec<u8>>,
    /// For the log only. Without a cause the log contains the text.
    pub cause: Option<Box<str>>,
}

/// `Retry-After` while history is rebuilt: minutes or hours.
const REBUILDING_RETRY_SECONDS: u64 = 30;

impl ApiError {
    pub const NEW_ORDER_REJECTED: i32 = -2010;
    pub const CANCEL_REJECTED: i32 = -2011;
    pub const AMEND_REJECTED: i32 = -2038;

    pub const fn new(status: StatusCode, code: i32, text: &'static str) -> Self {
        Self { status, code, text: Cow::Borrowed(text), retry_after: None, data: None, cause: None }
    }

    /// An error of the request: 400.
    pub const fn bad(code: i32, text: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, text)
    }

    fn bad_with(code: i32, text: String) -> Self {
        Self { text: Cow::Owned(text), ..Self::bad(code, "") }
    }

    /// An internal error: 500. `cause` is logged and never shown.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        Self {
            cause: Some(cause.to_string().into()),
            ..Self::new(StatusCode::INTERNAL_SERVER_ERROR, -1000, "An unknown error occurred while processing the request.")
        }
    }

    /// A required service is unavailable, and the request was certainly not executed: 503.
    pub fn unavailable(cause: impl std::fmt::Display) -> Self {
        Self { cause: Some(cause.to_string().into()), ..Self::DISCONNECTED }
    }

    pub const DISCONNECTED: Self =
        Self::new(StatusCode::SERVICE_UNAVAILABLE, -1001, "Internal error; unable to process your request. Please try again.");
    pub const UNSUPPORTED: Self = Self::bad(-1020, "This operation is not supported.");
    pub const NOT_FOUND: Self = Self::new(StatusCode::NOT_FOUND, -1020, "This operation is not supported.");
    pub const METHOD_NOT_ALLOWED: Self = Self::new(StatusCode::METHOD_NOT_ALLOWED, -1020, "This operation is not supported.");
    pub const TOO_LARGE: Self = Self::new(StatusCode::PAYLOAD_TOO_LARGE, -1013, "Request body is larger than 65536 bytes.");
    pub const QUERY_TOO_LONG: Self = Self::new(StatusCode::URI_TOO_LONG, -1013, "Query string is longer than 16384 bytes.");
    pub const CONTENT_TYPE: Self =
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, -1013, "Content-Type must be application/x-www-form-urlencoded.");
    pub const BODY_TIMEOUT: Self = Self::new(StatusCode::REQUEST_TIMEOUT, -1013, "Request body was not received in time.");
    pub const BODY_BROKEN: Self = Self::bad(-1013, "Request body could not be read.");
    /// 504: past the deadline, the execution status is unknown.
    pub const TIMEOUT: Self = Self::new(
        StatusCode::GATEWAY_TIMEOUT,
        -1007,
        "Timeout waiting for response from backend server. Send status unknown; execution status unknown.",
    );
    pub const BUSY: Self = Self::new(
        StatusCode::SERVICE_UNAVAILABLE,
        -1008,
        "Server is currently overloaded with other requests. Please try again in a few minutes.",
    );

    pub const KEY_FORMAT: Self = Self::new(StatusCode::UNAUTHORIZED, -2014, "API-key format invalid.");
    pub const KEY_REJECTED: Self = Self::new(StatusCode::UNAUTHORIZED, -2015, "Invalid API-key, IP, or permissions for action.");
    pub const SIGNATURE: Self = Self::bad(-1022, "Signature for this request is not valid.");
    pub const OUTSIDE_WINDOW: Self = Self::bad(-1021, "Timestamp for this request is outside of the recvWindow.");
    pub const AHEAD: Self = Self::bad(-1021, "Timestamp for this request was 1000ms ahead of the server's time.");
    pub const WINDOW_TOO_LARGE: Self = Self::bad(-1131, "'recvWindow' must be less than 60000.");
    pub const TIME_UNIT: Self = Self::bad(-1194, "Invalid value for time unit; expected either MICROSECOND or MILLISECOND.");

    pub const INVALID_JSON: Self = Self::bad(-1135, "Invalid JSON Request");
    pub const NOT_AUTHORIZED: Self =
        Self::new(StatusCode::UNAUTHORIZED, -1002, "You are not authorized to execute this request.");
    pub const HMAC_SESSION: Self = Self::new(StatusCode::UNAUTHORIZED, -4056, "HMAC_SHA256 API key is not supported.");
    pub const SUBSCRIPTION_ACTIVE: Self = Self::bad(-2035, "User Data Stream subscription already active.");
    pub const SUBSCRIPTION_INACTIVE: Self = Self::bad(-2036, "User Data Stream subscription not active.");
    pub const SUBSCRIPTION_IDS: Self = Self::bad(-2042, "Maximum subscription ID reached for this connection.");
    pub const SUBSCRIPTIONS: Self =
        Self::bad(-1191, "Too many subscriptions. Connection may create up to '1000' subscriptions at a time.");
    pub const LISTEN_KEY: Self = Self::bad(-1125, "This listenKey does not exist.");

    pub const UPGRADE_REQUIRED: Self = Self::new(
        StatusCode::UPGRADE_REQUIRED,
        -1013,
        "This path serves WebSocket connections; send 'Connection: Upgrade' and 'Upgrade: websocket'.",
    );
    pub const WEBSOCKET_VERSION: Self = Self::new(StatusCode::UPGRADE_REQUIRED, -1013, "Sec-WebSocket-Version must be 13.");
    pub const WEBSOCKET_KEY: Self = Self::bad(-1013, "Sec-WebSocket-Key must be 16 bytes in base64.");
    pub const TOO_MANY_STREAMS: Self = Self::bad(-1013, "A connection can listen to a maximum of 1024 streams.");

    pub const ILLEGAL: Self = Self::bad(-1100, "Illegal characters found in a parameter.");
    pub const DUPLICATE: Self = Self::bad(-1101, "Duplicate values for a parameter detected.");
    pub const TIME_IN_FORCE: Self = Self::bad(-1115, "Invalid timeInForce.");
    pub const ORDER_TYPE: Self = Self::bad(-1116, "Invalid orderType.");
    pub const SIDE: Self = Self::bad(-1117, "Invalid side.");
    pub const NEW_CLIENT_ID_EMPTY: Self = Self::bad(-1118, "New client order ID was empty.");
    pub const ORIGINAL_CLIENT_ID_EMPTY: Self = Self::bad(-1119, "Original client order ID was empty.");
    pub const INTERVAL: Self = Self::bad(-1120, "Invalid interval.");
    pub const SYMBOL: Self = Self::bad(-1121, "Invalid symbol.");
    pub const CANCEL_RESTRICTIONS: Self = Self::bad(-1145, "Invalid cancelRestrictions");
    pub const STP_NOT_ALLOWED: Self = Self::bad(-1013, "This symbol does not allow the specified self-trade prevention mode.");
    pub const PEGGED: Self = Self::bad(Self::NEW_ORDER_REJECTED, "Pegged orders are not supported for this symbol.");
    pub const OCO_TYPE: Self = Self::bad(-1158, "Order type not supported in OCO.");
    pub const OCO_BUY_LIMIT: Self = Self::bad(-1165, "A limit order in a buy OCO must be below.");
    pub const OCO_SELL_LIMIT: Self = Self::bad(-1166, "A limit order in a sell OCO must be above.");
    pub const OCO_BOTH_LIMIT: Self = Self::bad(-1168, "At least one OCO order must be contingent.");
    pub const OCO_BUY_STOP_LOSS: Self = Self::bad(-1196, "A stop loss order in a buy OCO must be above.");
    pub const OCO_SELL_STOP_LOSS: Self = Self::bad(-1197, "A stop loss order in a sell OCO must be below.");
    pub const OCO_BUY_TAKE_PROFIT: Self = Self::bad(-1198, "A take profit order in a buy OCO must be below.");
    pub const OCO_SELL_TAKE_PROFIT: Self = Self::bad(-1199, "A take profit order in a sell OCO must be above.");
    pub const NO_SUCH_LIST: Self = Self::bad(-2013, "Order list does not exist.");
    pub const NO_SUCH_STATEMENT: Self = Self::bad(-2013, "Statement does not exist.");
    pub const STATEMENT_PERIOD: Self =
        Self::bad(-1127, "startTime must be before endTime, by at most 366 days, and endTime must not be in the future.");
    pub const STATEMENT_NOT_READY: Self = Self::bad(-1128, "Statement is not ready: see its status.");
    pub const STATEMENTS_PENDING: Self =
        Self::new(StatusCode::TOO_MANY_REQUESTS, -1003, "Too many pending statements; current limit is 5 per account.");
    pub const DEPOSITS_DISABLED: Self = Self::bad(-4019, "The current currency is not open for deposit");
    pub const WITHDRAWALS_DISABLED: Self = Self::bad(-4019, "The current currency is not open for withdrawal");
    pub const NO_SUCH_ORDER: Self = Self::bad(-2013, "Order does not exist.");

    /// -1100 with the parameter and its legal range.
    pub fn illegal(name: &str, range: &str) -> Self {
        Self::bad_with(-1100, format!("Illegal characters found in parameter '{name}'; legal range is '{range}'."))
    }

    pub fn json_of(name: &str) -> Self {
        Self::bad_with(-1135, format!("JSON sent for parameter '{name}' is not valid"))
    }

    pub fn too_many(expected: usize, received: usize) -> Self {
        Self::bad_with(-1101, format!("Too many parameters; expected '{expected}' and received '{received}'."))
    }

    pub fn mandatory(name: &str) -> Self {
        Self::bad_with(-1102, format!("Mandatory parameter '{name}' was not sent, was empty/null, or malformed."))
    }

    pub fn either(one: &str, other: &str) -> Self {
        Self::bad_with(-1102, format!("Param '{one}' or '{other}' must be sent, but both were empty/null!"))
    }

    pub fn unread(read: usize, sent: usize) -> Self {
        Self::bad_with(-1104, format!("Not all sent parameters were read; read '{read}' parameter(s) but was sent '{sent}'."))
    }

    pub fn empty(name: &str) -> Self {
        Self::bad_with(-1105, format!("Parameter '{name}' was empty."))
    }

    pub fn not_required(name: &str) -> Self {
        Self::bad_with(-1106, format!("Parameter '{name}' sent when not required."))
    }

    /// `icebergQty` of an order in a list.
    pub fn iceberg_time_in_force(name: &str, time_in_force: &str) -> Self {
        Self::bad_with(-1160, format!("Parameter '{name}' is not supported if `{time_in_force}` is not GTC."))
    }

    pub fn overflow(name: &str) -> Self {
        Self::bad_with(-1108, format!("Parameter '{name}' overflowed."))
    }

    pub fn precision(name: &str) -> Self {
        Self::bad_with(-1111, format!("Parameter '{name}' has too much precision."))
    }

    pub fn together(one: &str, other: &str) -> Self {
        Self::bad_with(
            -1128,
            format!("Combination of optional fields invalid. Recommendation: '{one}' and '{other}' must both be sent."),
        )
    }

    pub fn invalid_stream(name: &str) -> Self {
        let shown: String = name.chars().take(64).collect();
        Self::bad_with(-1130, format!("Data sent for parameter 'streams' is not valid: unknown stream '{shown}'."))
    }

    pub fn invalid(name: &str) -> Self {
        Self::bad_with(-1130, format!("Data sent for parameter '{name}' is not valid."))
    }

    /// 429: the address used more than its weight.
    pub fn weight_used(limit: u32, retry_after: u64) -> Self {
        Self {
            status: StatusCode::TOO_MANY_REQUESTS,
            retry_after: Some(retry_after),
            ..Self::bad_with(
                -1003,
                format!(
                    "Too much request weight used; current limit is {limit} request weight per 1 MINUTE. \
                     Please use WebSocket Streams for live updates to avoid polling the API."
                ),
            )
        }
    }

    /// 418: the address continued after 429. `until` in milliseconds since the epoch.
    pub fn banned(until: i64, retry_after: u64) -> Self {
        Self {
            status: StatusCode::IM_A_TEAPOT,
            retry_after: Some(retry_after),
            ..Self::bad_with(
                -1003,
                format!(
                    "Way too much request weight used; IP banned until {until}. \
                     Please use WebSocket Streams for live updates to avoid bans."
                ),
            )
        }
    }

    /// 429: the account has too many unfilled orders in an interval, e.g. `10 SECOND`.
    pub fn too_many_orders(limit: u32, interval: &str, retry_after: u64) -> Self {
        Self {
            status: StatusCode::TOO_MANY_REQUESTS,
            retry_after: Some(retry_after),
            ..Self::bad_with(-1015, format!("Too many new orders; current limit is {limit} orders per {interval}."))
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        Self::bad_with(refusal.code(), refusal.to_string())
    }
}

impl From<SubmitError> for ApiError {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Refused(refusal) => refusal.into(),
            SubmitError::Busy => Self { cause: Some("the queue of commands is full".into()), ..Self::BUSY },
            SubmitError::Unavailable => {
                Self::unavailable("the engine accepts no commands: this replica does not lead, or the database is unreachable")
            }
            SubmitError::Unknown => Self { cause: Some("the outcome of a commit is unknown".into()), ..Self::TIMEOUT },
            SubmitError::TooManyOrders(TooManyOrders { limit, of_day, retry_after }) => {
                Self::too_many_orders(limit, if of_day { "1 DAY" } else { "10 SECOND" }, retry_after.into())
            }
            SubmitError::Expired => Self::OUTSIDE_WINDOW,
        }
    }
}

impl From<ReadsError> for ApiError {
    fn from(error: ReadsError) -> Self {
        Self::unavailable(error)
    }
}

impl From<HistoryError> for ApiError {
    /// Unreachable or outdated tables are 503: the request was read-only and may be repeated.
    fn from(error: HistoryError) -> Self {
        match error {
            HistoryError::Database(error) => error.into(),
            HistoryError::Rebuilding => Self { retry_after: Some(REBUILDING_RETRY_SECONDS), ..Self::unavailable(error) },
            error => Self::unavailable(error),
        }
    }
}

impl From<sqlx::Error> for ApiError {
    /// An unreachable PostgreSQL is 503, every other cause is an internal error.
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
                Self::unavailable(error)
            }
            sqlx::Error::Database(ref fault) if fault.code().is_some_and(|code| code.starts_with("57P") || code == "25006") => {
                Self::unavailable(error)
            }
            error => Self::internal(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_engine_says_has_its_status_code_and_text() {
        let rows = [
            (SubmitError::Refused(Refusal::UnknownOrder), 400, -2011, "Unknown order sent."),
            (
                SubmitError::Busy,
                503,
                -1008,
                "Server is currently overloaded with other requests. Please try again in a few minutes.",
            ),
            (SubmitError::Unavailable, 503, -1001, "Internal error; unable to process your request. Please try again."),
            (
                SubmitError::Unknown,
                504,
                -1007,
                "Timeout waiting for response from backend server. Send status unknown; execution status unknown.",
            ),
            (SubmitError::Expired, 400, -1021, "Timestamp for this request is outside of the recvWindow."),
        ];
        for (error, status, code, text) in rows {
            let shown = ApiError::from(error);
            assert_eq!((shown.status.as_u16(), shown.code, &*shown.text), (status, code, text));
        }
    }

    #[test]
    fn a_lost_database_is_503_and_a_fault_of_ours_500() {
        let lost = ApiError::from(sqlx::Error::PoolTimedOut);
        assert_eq!((lost.status.as_u16(), lost.code), (503, -1001));
        let fault = ApiError::from(sqlx::Error::RowNotFound);
        assert_eq!((fault.status.as_u16(), fault.code), (500, -1000));
        assert!(!fault.text.contains("row") && fault.cause.is_some_and(|cause| cause.contains("row")), "logged only");
    }
}
