//! This module has the shapes of orders and order lists.

use super::{Decimal, Error, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

/// A new order, `newOrderRespType=ACK`.
#[derive(Serialize, ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct OrderAck {
    #[schema(example = "BTCUSDT")]
    pub symbol: String,
    /// Unique across all markets.
    #[schema(example = 28)]
    pub order_id: u64,
    /// -1 unless part of an order list.
    #[schema(example = -1)]
    pub order_list_id: i64,
    #[schema(example = "6gCrw2kRUAF9CvJDGP16IP")]
    pub client_order_id: String,
    pub transact_time: Timestamp,
}

/// A new order, `newOrderRespType=RESULT`, or `FULL` with its `fills`.
#[derive(Serialize, ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct PlacedOrder {
    #[schema(example = "BTCUSDT")]
    pub symbol: String,
    pub order_id: u64,
    #[schema(example = -1)]
    pub order_list_id: i64,
    pub client_order_id: String,
    pub transact_time: Timestamp,
    pub price: Decimal,
    pub orig_qty: Decimal,
    pub executed_qty: Decimal,
    pub orig_quote_order_qty: Decimal,
    pub cummulative_quote_qty: Decimal,
    /// NEW, PARTIALLY_FILLED, FILLED, CANCELED, EXPIRED or EXPIRED_IN_MATCH.
    #[schema(example = "FILLED")]
    pub status: String,
    #[schema(example = "GTC")]
    pub time_in_force: String,
    #[schema(rename = "type", example = "LIMIT")]
    pub kind: String,
    #[schema(example = "BUY")]
    pub side: String,
    /// Only for types with a trigger price.
    pub stop_price: Option<Decimal>,
    /// Time at which it entered the book; -1 while it waits for its trigger price.
    pub working_time: Option<i64>,
    pub fills: Option<Vec<Fill>>,
    /// Only if self-trade prevention prevented matches of it as a taker.
    pub prevented_matches: Option<Vec<PreventedInOrder>>,
    #[schema(example = "EXPIRE_MAKER")]
    pub self_trade_prevention_mode: String,
    /// Only if self-trade prevention removed part of it.
    pub prevented_match_id: Option<u64>,
    pub prevented_quantity: Option<Decimal>,
    /// Only if it expired.
    pub expiry_reason: Option<String>,
}

/// One execution of a new order.
#[derive(Serialize, ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct Fill {
    pub price: Decimal,
    pub qty: Decimal,
    pub commission: Decimal,
    #[schema(example = "BTC")]
    pub commission_asset: String,
    pub trade_id: u64,
}

/// One prevented match of a new order.
#[derive(Serialize, ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct PreventedInOrder {
    pub prevented_match_id: u64,
    pub maker_order_id: u64,
    pub price: Decimal,
    /// Only if a part of the new order expired.
    pub taker_prevented_quantity: Option<Decimal>,
    /// Only if a part of the maker expired.
    pub maker_prevented_quantity: Option<Decimal>,
}

/// An order as returned by queries.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct Order {
    #[schema(example = "BTCUSDT")]
    pub symbol: String,
    pub order_id: u64,
    #[schema(example = -1)]
    pub order_list_id: i64,
    pub client_order_id: String,
    pub price: Decimal,
    pub orig_qty: Decimal,
    pub executed_qty: Decimal,
    pub cummulative_quote_qty: Decimal,
    #[schema(example = "NEW")]
    pub status: String,
    #[schema(example = "GTC")]
    pub time_in_force: String,
    #[schema(rename = "type", example = "LIMIT")]
    pub kind: String,
    #[schema(example = "BUY")]
    pub side: String,
    pub stop_price: Decimal,
    pub iceberg_qty: Decimal,
    /// Only for a trailing stop order: basis points.
    pub trailing_delta: Option<u32>,
    /// Only for a trailing stop order: when it began to track the price; -1 before.
    pub trailing_time: Option<i64>,
    pub time: Timestamp,
    pub update_time: Timestamp,
    pub is_working: bool,
    /// -1 while it waits for its trigger price.
    pub working_time: i64,
    pub orig_quote_order_qty: Decimal,
    pub self_trade_prevention_mode: String,
    pub prevented_match_id: Option<u64>,
    pub prevented_quantity: Option<Decimal>,
    pub expiry_reason: Option<String>,
}

/// An order that was canceled.
#[derive(Serialize, ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct CanceledOrder {
    #[schema(example = "BTCUSDT")]
    pub symbol: String,
    pub orig_client_order_id: String,
    pub order_id: u64,
    #[schema(example = -1)]
    pub order_list_id: i64,
    /// Client order id of the cancel.
    pub client_order_id: String,
    pub transact_time: Timestamp,
    pub price: Decimal,
    pub orig_qty: Decimal,
    pub executed_qty: Decimal,
    pub orig_quote_order_qty: Decimal,
    pub cummulative_quote_qty: Decimal,
    #[schema(example = "CANCELED")]
    pub status: String,
    pub time_in_force: String,
    #[schema(rename = "type")]
    pub kind: String,
    pub side: String,
    pub stop_price: Option<Decimal>,
    /// Only for an iceberg order.
    pub iceberg_qty: Option<Decimal>,
    /// Only for a trailing stop order: basis points.
    pub trailing_delta: Option<u32>,
    /// Only for a trailing stop order: when it began to track the price; -1 before.
    pub trailing_time: Option<i64>,
    pub self_trade_prevention_mode: String,
    pub prevented_match_id: Option<u64>,
    pub prevented_quantity: Option<Decimal>,
    pub expiry_reason: Option<String>,
}

/// An order of a list.
#[derive(Serialize, ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct ListedOrder {
    pub symbol: String,
    pub order_id: u64,
    pub client_order_id: String,
}

/// The current state of an order list.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct OrderList {
    #[schema(example = 27)]
    pub order_list_id: u64,
    #[schema(example = "OCO")]
    pub contingency_type: String,
    /// EXEC_STARTED or ALL_DONE.
    #[schema(example = "EXEC_STARTED")]
    pub list_status_type: String,
    /// EXECUTING or ALL_DONE.
    #[schema(example = "EXECUTING")]
    pub list_order_status: String,
    pub list_client_order_id: String,
    pub transaction_time: Timestamp,
    pub symbol: String,
    pub orders: Vec<ListedOrder>,
}

/// An order list that was placed.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct PlacedOrderList {
    pub order_list_id: u64,
    pub contingency_type: String,
    pub list_status_type: String,
    pub list_order_status: String,
    pub list_client_order_id: String,
    pub transaction_time: Timestamp,
    pub symbol: String,
    pub orders: Vec<ListedOrder>,
    pub order_reports: Vec<NewOrder>,
}

/// An order list that was canceled.
#[derive(Serialize, ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct CanceledOrderList {
    pub order_list_id: u64,
    pub contingency_type: String,
    pub list_status_type: String,
    pub list_order_status: String,
    pub list_client_order_id: String,
    pub transaction_time: Timestamp,
    pub symbol: String,
    pub orders: Vec<ListedOrder>,
    pub order_reports: Vec<CanceledOrder>,
}

/// Both halves of a cancel-replace.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct CancelReplace {
    /// SUCCESS or FAILURE.
    #[schema(example = "SUCCESS")]
    pub cancel_result: String,
    /// SUCCESS, FAILURE or NOT_ATTEMPTED.
    #[schema(example = "SUCCESS")]
    pub new_order_result: String,
    pub cancel_response: Canceled,
    pub new_order_response: NewOrder,
}

/// A cancel-replace of which a half failed: 409 (-2021) if one failed, 400 (-2022) if both failed.
#[derive(ToSchema)]
pub struct CancelReplaceError {
    #[schema(example = -2021)]
    pub code: i32,
    #[schema(example = "Order cancel-replace partially failed.")]
    pub msg: String,
    pub data: CancelReplaceHalves,
}

/// A half is its reply, its error, or null if it was not attempted.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct CancelReplaceHalves {
    pub cancel_result: String,
    pub new_order_result: String,
    pub cancel_response: CancelHalf,
    pub new_order_response: Option<NewOrderHalf>,
}

/// A new order, in the detail that `newOrderRespType` requests.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum NewOrder {
    Placed(Box<PlacedOrder>),
    Ack(OrderAck),
}

/// An order, or the whole list that contains it.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum Canceled {
    Order(Box<CanceledOrder>),
    List(Box<CanceledOrderList>),
}

#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum CancelHalf {
    Canceled(Canceled),
    Failed(Error),
}

#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum NewOrderHalf {
    Placed(NewOrder),
    Failed(Error),
}
