//! This module has the shapes of replies as documentation: the reference document is generated from these types. Replies
//! themselves are written by hand (see `json`), and a test compares them with these shapes. It must not contain a value.

pub mod account;
pub mod amendments;
pub mod market;
pub mod trading;

use serde::Serialize;
use utoipa::ToSchema;

/// A number as a string, with eight decimal places.
#[derive(Serialize, ToSchema)]
#[schema(example = "0.10000000", pattern = r"^-?\d+\.\d{8}$")]
pub struct Decimal(pub String);

/// Milliseconds since the Unix epoch, UTC; microseconds if the request has `X-MBX-TIME-UNIT: MICROSECOND`.
#[derive(Serialize, ToSchema)]
#[schema(example = 1_499_827_319_559_i64)]
pub struct Timestamp(pub i64);

/// The error reply of every request.
#[derive(Serialize, ToSchema)]
pub struct Error {
    /// Binance's error code.
    #[schema(example = -1121)]
    pub code: i32,
    #[schema(example = "Invalid symbol.")]
    pub msg: String,
}

/// An empty object.
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

/// A limit of orders and its current use.
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
    /// Orders that count now: each fill of a maker order subtracts some.
    pub count: u32,
}
