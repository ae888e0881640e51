//! This module writes the JSON of orders and order lists, as rest-api.md documents it. It must not know the source of an order.

use super::endpoint::TimeUnit;
use super::json::Json;
use crate::engine::committed::SharedState;
use crate::engine::history::ListDetails;
use exchange_core::State;
use exchange_core::command::{Amended, Canceled, ListReport, Placed};
use exchange_core::market::Market;
use exchange_core::money::Time;
use exchange_core::order::{ClientId, Contingency, ExpiryReason, Fill, Order, OrderId, OrderListId, PreventedMatch};

/// Maximum size of an order report without fills: one allocation is enough for nearly every reply.
pub const REPORT_SIZE: usize = 640;
const FILL_SIZE: usize = 160;

/// `newOrderRespType`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    Ack,
    Result,
    Full,
}

impl Detail {
    pub fn from_text(text: &str) -> Option<Self> {
        match text {
            "ACK" => Some(Self::Ack),
            "RESULT" => Some(Self::Result),
            "FULL" => Some(Self::Full),
            _ => None,
        }
    }
}

/// Values that all reports of one reply share.
#[derive(Clone, Copy)]
pub struct ReportFrame<'a> {
    pub symbol: &'a str,
    pub unit: TimeUnit,
    /// Time at which the command was decided: `transactTime`.
    pub time: Time,
}

impl ReportFrame<'_> {
    /// Bytes to allocate for a placed order.
    pub fn size(placed: &Placed) -> usize {
        REPORT_SIZE + placed.fills.len() * FILL_SIZE
    }

    /// A new order. The state supplies the asset of a fill's commission; it is not used if there are no fills.
    pub fn placed(&self, json: &mut Json, placed: &Placed, detail: Detail, committed: &SharedState) {
        let order = &placed.order;
        json.object(|json| {
            json.key("symbol").text(self.symbol);
            json.key("orderId").integer(order.id);
            json.key("orderListId").integer(list_id(order.list));
            json.key("clientOrderId").text(order.client_id.as_str());
            json.key("transactTime").integer(self.unit.show(self.time));
            if detail == Detail::Ack {
                return;
            }
            terms(json, order);
            json.key("workingTime").integer(self.working_time(order));
            iceberg(json, order);
            trailing(json, order, self.unit);
            if detail == Detail::Full {
                let committed = (!placed.fills.is_empty()).then(|| committed.read());
                let code = |asset| committed.as_ref()?.state.asset(asset).map(|asset| &*asset.code);
                json.key("fills").array(&placed.fills, |json, fill| fill_report(json, fill, code(fill.commission_asset)));
                if !placed.prevented.is_empty() {
                    json.key("preventedMatches").array(&placed.prevented, prevented_report);
                }
            }
            json.key("selfTradePreventionMode").text(order.stp.text());
            ending(json, order);
        });
    }

    /// A canceled order; `cancel` is the client id of the cancel itself.
    pub fn canceled(&self, json: &mut Json, order: &Order, cancel: &ClientId) {
        json.object(|json| {
            json.key("symbol").text(self.symbol);
            json.key("origClientOrderId").text(order.client_id.as_str());
            json.key("orderId").integer(order.id);
            json.key("orderListId").integer(list_id(order.list));
            json.key("clientOrderId").text(cancel.as_str());
            json.key("transactTime").integer(self.unit.show(self.time));
            terms(json, order);
            iceberg(json, order);
            trailing(json, order, self.unit);
            json.key("selfTradePreventionMode").text(order.stp.text());
            ending(json, order);
        });
    }

    /// An amended order, and its list's status.
    pub fn amended(&self, json: &mut Json, amended: &Amended) {
        let order = &amended.order;
        json.object(|json| {
            json.key("transactTime").integer(self.unit.show(self.time));
            json.key("executionId").integer(amended.execution);
            json.key("amendedOrder").object(|json| {
                json.key("symbol").text(self.symbol);
                json.key("orderId").integer(order.id);
                json.key("orderListId").integer(list_id(order.list));
                json.key("origClientOrderId").text(amended.original_client_id.as_str());
                json.key("clientOrderId").text(order.client_id.as_str());
                json.key("price").decimal(order.price);
                json.key("qty").decimal(order.quantity);
                json.key("executedQty").decimal(order.executed);
                json.key("preventedQty").decimal(order.prevented);
                json.key("quoteOrderQty").decimal(order.quote_order_quantity);
                json.key("cumulativeQuoteQty").decimal(order.executed_quote);
                json.key("status").text(order.status.text());
                json.key("timeInForce").text(order.time_in_force.text());
                json.key("type").text(order.kind.text());
                json.key("side").text(order.side.text());
                if order.kind.is_algo() {
                    json.key("stopPrice").decimal(order.stop_price);
                }
                if order.working_since != 0 {
                    json.key("workingTime").integer(self.unit.show(order.working_since));
                }
                iceberg(json, order);
                trailing(json, order, self.unit);
                json.key("selfTradePreventionMode").text(order.stp.text());
            });
            if let Some(list) = &amended.list {
                json.key("listStatus").object(|json| {
                    json.key("orderListId").integer(list.list);
                    json.key("contingencyType").text(list.contingency.text());
                    json.key("listOrderStatus").text("EXECUTING");
                    json.key("listClientOrderId").text(list.client_id.as_str());
                    json.key("symbol").text(self.symbol);
                    self.listed_orders(json, list.legs.iter().copied());
                });
            }
        });
    }

    /// The result of a cancel: an order, or the list that contained it.
    pub fn ended(&self, json: &mut Json, canceled: &Canceled, cancel: &ClientId) {
        match canceled {
            Canceled::Order(order) => self.canceled(json, order, cancel),
            Canceled::List(list) => self.list(json, list, |json, placed| self.canceled(json, &placed.order, cancel)),
        }
    }

    /// A list that a command placed or canceled, with the ids of all its orders; `report` writes the `orderReports` of the orders
    /// that the command affected.
    pub fn list(&self, json: &mut Json, list: &ListReport, mut report: impl FnMut(&mut Json, &Placed)) {
        json.object(|json| {
            let names = (list.list, &list.client_id);
            self.list_fields(json, names, list.contingency, list.done, list.legs.iter().copied());
            json.key("orderReports").array(&list.orders, |json, placed| report(json, placed));
        });
    }

    /// The current state of a list; `time` of the frame is its last change.
    pub fn list_status(&self, json: &mut Json, details: &ListDetails) {
        let list = &details.list;
        let names = (list.id, &list.client_id);
        json.object(|json| self.list_fields(json, names, list.contingency, list.done, details.orders.iter().copied()));
    }

    fn list_fields(
        &self,
        json: &mut Json,
        (id, client_id): (OrderListId, &ClientId),
        contingency: Contingency,
        done: bool,
        orders: impl Iterator<Item = (OrderId, ClientId)>,
    ) {
        let (status, order_status) = if done { ("ALL_DONE", "ALL_DONE") } else { ("EXEC_STARTED", "EXECUTING") };
        json.key("orderListId").integer(id);
        json.key("contingencyType").text(contingency.text());
        json.key("listStatusType").text(status);
        json.key("listOrderStatus").text(order_status);
        json.key("listClientOrderId").text(client_id.as_str());
        json.key("transactionTime").integer(self.unit.show(self.time));
        json.key("symbol").text(self.symbol);
        self.listed_orders(json, orders);
    }

    fn listed_orders(&self, json: &mut Json, orders: impl Iterator<Item = (OrderId, ClientId)>) {
        json.key("orders").array(orders, |json, (id, client_id)| {
            json.object(|json| {
                json.key("symbol").text(self.symbol);
                json.key("orderId").integer(id);
                json.key("clientOrderId").text(client_id.as_str());
            });
        });
    }

    fn working_time(&self, order: &Order) -> i64 {
        if order.working_since == 0 { -1 } else { self.unit.show(order.working_since) }
    }
}

/// An order as returned by queries (order, openOrders, allOrders).
pub fn queried(json: &mut Json, order: &Order, symbol: &str, unit: TimeUnit) {
    json.object(|json| {
        json.key("symbol").text(symbol);
        json.key("orderId").integer(order.id);
        json.key("orderListId").integer(list_id(order.list));
        json.key("clientOrderId").text(order.client_id.as_str());
        json.key("price").decimal(order.price);
        json.key("origQty").decimal(order.quantity);
        json.key("executedQty").decimal(order.executed);
        json.key("cummulativeQuoteQty").decimal(order.executed_quote);
        json.key("status").text(order.status.text());
        json.key("timeInForce").text(order.time_in_force.text());
        json.key("type").text(order.kind.text());
        json.key("side").text(order.side.text());
        json.key("stopPrice").decimal(order.stop_price);
        json.key("icebergQty").decimal(order.iceberg);
        trailing(json, order, unit);
        json.key("time").integer(unit.show(order.created));
        json.key("updateTime").integer(unit.show(order.updated));
        json.key("isWorking").boolean(order.working_since != 0);
        json.key("workingTime").integer(if order.working_since == 0 { -1 } else { unit.show(order.working_since) });
        json.key("origQuoteOrderQty").decimal(order.quote_order_quantity);
        json.key("selfTradePreventionMode").text(order.stp.text());
        ending(json, order);
    });
}

/// `-1` means that there is no list.
fn list_id(list: OrderListId) -> i128 {
    if list == 0 { -1 } else { list.into() }
}

/// The fields from price to side, and the stop price if the type has one.
fn terms(json: &mut Json, order: &Order) {
    json.key("price").decimal(order.price);
    json.key("origQty").decimal(order.quantity);
    json.key("executedQty").decimal(order.executed);
    json.key("origQuoteOrderQty").decimal(order.quote_order_quantity);
    json.key("cummulativeQuoteQty").decimal(order.executed_quote);
    json.key("status").text(order.status.text());
    json.key("timeInForce").text(order.time_in_force.text());
    json.key("type").text(order.kind.text());
    json.key("side").text(order.side.text());
    if order.kind.is_algo() {
        json.key("stopPrice").decimal(order.stop_price);
    }
}

/// The field that only an iceberg order has.
fn iceberg(json: &mut Json, order: &Order) {
    if order.iceberg > 0 {
        json.key("icebergQty").decimal(order.iceberg);
    }
}

/// The fields that only a trailing stop order has.
fn trailing(json: &mut Json, order: &Order, unit: TimeUnit) {
    if order.trailing_delta > 0 {
        json.key("trailingDelta").integer(order.trailing_delta);
        json.key("trailingTime").integer(if order.tracking_since == 0 { -1 } else { unit.show(order.tracking_since) });
    }
}

/// Fields that only an expired order has.
fn ending(json: &mut Json, order: &Order) {
    if order.prevented > 0 {
        json.key("preventedMatchId").integer(order.prevented_match);
        json.key("preventedQuantity").decimal(order.prevented);
    }
    if order.expiry_reason != ExpiryReason::None {
        json.key("expiryReason").text(order.expiry_reason.text());
    }
}

fn fill_report(json: &mut Json, fill: &Fill, asset: Option<&str>) {
    json.object(|json| {
        json.key("price").decimal(fill.price);
        json.key("qty").decimal(fill.quantity);
        json.key("commission").decimal(fill.commission);
        json.key("commissionAsset").text(asset.unwrap_or_default());
        json.key("tradeId").integer(fill.trade);
    });
}

fn prevented_report(json: &mut Json, prevented: &PreventedMatch) {
    json.object(|json| {
        json.key("preventedMatchId").integer(prevented.id);
        json.key("makerOrderId").integer(prevented.maker);
        json.key("price").decimal(prevented.price);
        for (name, quantity) in
            [("takerPreventedQuantity", prevented.taker_quantity), ("makerPreventedQuantity", prevented.maker_quantity)]
        {
            if quantity > 0 {
                json.key(name).decimal(quantity);
            }
        }
    });
}

/// Symbols by market, for replies about several markets.
pub fn symbol(state: &State, order: &Order) -> Box<str> {
    state.market(order.market).map(|market: &Market| market.symbol.clone()).unwrap_or_default()
}
