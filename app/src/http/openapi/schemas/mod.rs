//! The shapes of replies, as documentation: the reference document is made from these types. Replies themselves are written by hand
//! (see `json`); a test holds them against these shapes. Never: a value.

pub mod account;
pub mod market;
pub mod trading;

use serde::Serialize;
use utoipa::ToSchema;

/// A number as text, with eight decimal places.
#[derive(Serialize, ToSchema)]
#[schema(example = "0.10000000", pattern = r"^-?\d+\.\d{8}$")]
pub struct Decimal(pub String);

/// Milliseconds since the Unix epoch, UTC; microseconds when the request carries `X-MBX-TIME-UNIT: MICROSECOND`.
#[derive(Serialize, ToSchema)]
#[schema(example = 1_499_827_319_559_i64)]
pub struct Timestamp(pub i64);

/// What every request that is not answered gets.
#[derive(Serialize, ToSchema)]
pub struct Error {
    /// Binance's error code.
    #[schema(example = -1121)]
    pub code: i32,
    #[schema(example = "Invalid symbol.")]
    pub msg: String,
}

/// Nothing.
#[derive(ToSchema)]
pub struct Empty {}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct ServerTime {
    pub server_time: Timestamp,
}

/// A limit of requests or orders.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct RateLimit {
    /// REQUEST_WEIGHT counts per client address, ORDERS per account.
    #[schema(example = "REQUEST_WEIGHT")]
    pub rate_limit_type: String,
    #[schema(example = "MINUTE")]
    pub interval: String,
    #[schema(example = 1)]
    pub interval_num: u32,
    #[schema(example = 6000)]
    pub limit: u32,
}

/// A limit of orders and how much of it is used.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct OrderCount {
    #[schema(example = "ORDERS")]
    pub rate_limit_type: String,
    #[schema(example = "SECOND")]
    pub interval: String,
    #[schema(example = 10)]
    pub interval_num: u32,
    pub limit: u32,
    /// Orders that count now: each fill of a maker takes some away again.
    pub count: u32,
}
