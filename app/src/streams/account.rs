//! This module writes the events of an account as user-data-stream.md documents them. It must not decide who receives them.

use exchange_core::{
    State,
    money::notional,
    order::{AssetId, ExpiryReason, MarketId, Order},
};

use crate::{
    engine::feed::{AccountChange, AccountEvent, OrderReport},
    json::{Json, TimeUnit},
};

/// Names of assets and markets.
pub trait MarketNames {
    fn asset(&self, asset: AssetId) -> &str;
    fn symbol(&self, market: MarketId) -> &str;
}

impl MarketNames for State {
    fn asset(&self, asset: AssetId) -> &str {
        self.asset(asset).map_or("", |asset| &asset.code)
    }

    fn symbol(&self, market: MarketId) -> &str {
        self.market(market).map_or("", |market| &market.symbol)
    }
}

/// Writes one event.
pub fn event(json: &mut Json, unit: TimeUnit, names: &impl MarketNames, event: &AccountEvent) {
    let time = unit.show(event.time);
    let head = |json: &mut Json, name: &str| {
        json.key("e").text(name);
        json.key("E").integer(time);
    };
    json.object(|json| match &event.change {
        AccountChange::Order(report) => {
            head(json, "executionReport");
            execution_report(json, unit, names, event, report);
        }
        AccountChange::Balances(balances) => {
            head(json, "outboundAccountPosition");
            json.key("u").integer(time);
            json.key("B").array(balances, |json, (asset, balance)| {
                json.object(|json| {
                    json.key("a").text(names.asset(*asset));
                    json.key("f").decimal(balance.free);
                    json.key("l").decimal(balance.locked);
                });
            });
        }
        AccountChange::Credited { asset, amount } => {
            head(json, "balanceUpdate");
            json.key("a").text(names.asset(*asset));
            json.key("d").decimal(*amount);
            json.key("T").integer(time);
        }
        AccountChange::List { list, legs, renamed } => {
            head(json, "listStatus");
            let (status, order_status) = match (list.done, renamed) {
                (true, _) => ("ALL_DONE", "ALL_DONE"),
                (false, true) => ("UPDATED", "EXECUTING"),
                (false, false) => ("EXEC_STARTED", "EXECUTING"),
            };
            let symbol = names.symbol(list.market);
            json.key("s").text(symbol);
            json.key("g").integer(list.id);
            json.key("c").text(list.contingency.text());
            json.key("l").text(status);
            json.key("L").text(order_status);
            json.key("r").text("NONE");
            json.key("C").text(list.client_id.as_str());
            json.key("T").integer(time);
            json.key("O").array(legs, |json, (id, client_id)| {
                json.object(|json| {
                    json.key("s").text(symbol);
                    json.key("i").integer(*id);
                    json.key("c").text(client_id.as_str());
                });
            });
        }
    });
}

fn execution_report(json: &mut Json, unit: TimeUnit, names: &impl MarketNames, event: &AccountEvent, report: &OrderReport) {
    let order = &report.order;
    let trade = report.trade.as_ref();
    json.key("s").text(names.symbol(order.market));
    json.key("c").text(order.client_id.as_str());
    json.key("S").text(order.side.text());
    json.key("o").text(order.kind.text());
    json.key("f").text(order.time_in_force.text());
    json.key("q").decimal(order.quantity);
    json.key("p").decimal(order.price);
    json.key("P").decimal(order.stop_price);
    if order.trailing_delta > 0 {
        json.key("d").integer(order.trailing_delta);
        json.key("D").integer(if order.tracking_since == 0 { -1 } else { unit.show(order.tracking_since) });
    }
    json.key("F").decimal(order.iceberg);
    json.key("g").integer(if order.list == 0 { -1 } else { i128::from(order.list) });
    json.key("C").text(original_id(report));
    json.key("x").text(report.execution.text());
    json.key("X").text(order.status.text());
    json.key("r").text("NONE");
    json.key("i").integer(order.id);
    json.key("l").decimal(trade.map_or(0, |trade| trade.quantity));
    json.key("z").decimal(order.executed);
    json.key("L").decimal(trade.map_or(0, |trade| trade.price));
    json.key("n").decimal(trade.map_or(0, |trade| trade.commission));
    match trade {
        Some(trade) => json.key("N").text(names.asset(trade.commission_asset)),
        None => json.key("N").null(),
    }
    json.key("T").integer(unit.show(event.time));
    json.key("t").integer(trade.map_or(-1, |trade| i128::from(trade.trade)));
    if order.prevented > 0 {
        json.key("v").integer(order.prevented_match);
    }
    json.key("I").integer(event.sequence);
    json.key("w").boolean(is_on_book(order));
    json.key("m").boolean(trade.is_some_and(|trade| trade.is_maker));
    json.key("M").boolean(false);
    json.key("O").integer(unit.show(order.created));
    json.key("Z").decimal(order.executed_quote);
    json.key("Y").decimal(trade.map_or(0, |trade| trade.quote));
    json.key("Q").decimal(order.quote_order_quantity);
    if order.working_since != 0 {
        json.key("W").integer(unit.show(order.working_since));
    }
    json.key("V").text(order.stp.text());
    if let Some(prevention) = &report.prevention {
        json.key("A").decimal(order.prevented);
        json.key("B").decimal(prevention.quantity);
        json.key("u").integer(order.account);
        json.key("U").integer(prevention.counter_order);
        json.key("Cs").text(names.symbol(order.market));
        json.key("pl").decimal(prevention.quantity);
        json.key("pL").decimal(prevention.price);
        json.key("pY").decimal(notional(prevention.price, prevention.quantity));
    }
    if order.expiry_reason != ExpiryReason::None {
        json.key("eR").text(order.expiry_reason.text());
    }
}

/// `C` is the id of the canceled order, or an amended order's previous id. The journal has no id of a cancel request, so `c` is the
/// order's own id in every report.
fn original_id(report: &OrderReport) -> &str {
    use crate::engine::feed::Execution::Canceled;
    match &report.original_client_id {
        Some(original) => original.as_str(),
        None if report.execution == Canceled => report.order.client_id.as_str(),
        None => "",
    }
}

fn is_on_book(order: &Order) -> bool {
    order.working && order.status.is_open()
}

/// An event for one subscription: as the WebSocket API wraps it.
pub fn for_subscription(subscription: u16, event: &[u8]) -> Vec<u8> {
    let mut json = Json::with_capacity(event.len() + 40);
    json.object(|json| {
        json.key("subscriptionId").integer(subscription);
        json.key("event").raw(event);
    });
    json.into_bytes()
}

/// The last event of a subscription.
pub fn terminated(json: &mut Json, unit: TimeUnit, now: exchange_core::money::Time) {
    json.object(|json| {
        json.key("e").text("eventStreamTerminated");
        json.key("E").integer(unit.show(now));
    });
}
