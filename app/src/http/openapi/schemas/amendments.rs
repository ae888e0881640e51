//! This module has the shapes of amendments.

use super::trading::ListedOrder;
use super::{Decimal, Timestamp};
use utoipa::ToSchema;

/// An order whose quantity was reduced.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct AmendedOrder {
    pub transact_time: Timestamp,
    /// Identifies the amendment.
    #[schema(example = 75)]
    pub execution_id: u64,
    pub amended_order: OrderAfterAmendment,
    /// Only if it is part of an order list.
    pub list_status: Option<ListStatus>,
}

/// An order right after its amendment.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct OrderAfterAmendment {
    #[schema(example = "BTCUSDT")]
    pub symbol: String,
    pub order_id: u64,
    #[schema(example = -1)]
    pub order_list_id: i64,
    pub orig_client_order_id: String,
    pub client_order_id: String,
    pub price: Decimal,
    pub qty: Decimal,
    pub executed_qty: Decimal,
    pub prevented_qty: Decimal,
    pub quote_order_qty: Decimal,
    pub cumulative_quote_qty: Decimal,
    #[schema(example = "NEW")]
    pub status: String,
    pub time_in_force: String,
    #[schema(rename = "type", example = "LIMIT")]
    pub kind: String,
    pub side: String,
    /// Only for types with a trigger price.
    pub stop_price: Option<Decimal>,
    /// Only once it has entered the book.
    pub working_time: Option<Timestamp>,
    pub self_trade_prevention_mode: String,
}

/// The list of an amended order.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct ListStatus {
    pub order_list_id: u64,
    #[schema(example = "OCO")]
    pub contingency_type: String,
    pub list_order_status: String,
    pub list_client_order_id: String,
    pub symbol: String,
    pub orders: Vec<ListedOrder>,
}

/// One amendment of an order.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct Amendment {
    #[schema(example = "BTCUSDT")]
    pub symbol: String,
    pub order_id: u64,
    pub execution_id: u64,
    pub orig_client_order_id: String,
    pub new_client_order_id: String,
    pub orig_qty: Decimal,
    pub new_qty: Decimal,
    pub time: Timestamp,
}
