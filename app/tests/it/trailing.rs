//! Tests of trailing stop orders over HTTP and the WebSocket API: reply, queries, account events, history, lists, and their filter.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    eventually::until,
    exchange::{Exchange, Trader},
    socket::Socket,
    ws_api::{signed, subscribe},
};

/// One trade at each price.
async fn trade(seller: &Trader<'_>, buyer: &Trader<'_>, prices: &[&str]) {
    for price in prices {
        seller.limit("SELL", price, "0.1").await;
        buyer.limit("BUY", price, "0.1").await;
    }
}

async fn query(trader: &Trader<'_>, id: &Value) -> Value {
    trader.get("/api/v3/order", &format!("symbol=BTCUSDT&orderId={id}")).await.ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trailing_order_follows_the_best_price() {
    let exchange = Exchange::start().await;
    let (ada, bob, cy) = (exchange.trader("ada").await, exchange.trader("bob").await, exchange.trader("cy").await);
    trade(&bob, &cy, &["100.00"]).await;
    let mut events = subscribe(&ada).await;
    let order = "side=SELL&type=STOP_LOSS_LIMIT&timeInForce=GTC&price=120&quantity=1&trailingDelta=500&newOrderRespType=RESULT";
    let placed = ada.order(order).await.ok();
    let id = &placed["orderId"];
    assert_eq!((&placed["trailingDelta"], &placed["stopPrice"]), (&json!(500), &json!("0.00000000")), "{placed}");
    assert_eq!(placed["trailingTime"], placed["transactTime"], "without a stop price it tracks at once");
    assert_eq!(placed["workingTime"], -1);
    trade(&bob, &cy, &["96.00", "110.00", "104.51"]).await;
    let waiting = query(&ada, id).await;
    assert_eq!((&waiting["isWorking"], &waiting["trailingTime"]), (&json!(false), &placed["trailingTime"]));
    assert_eq!(ada.get("/api/v3/openOrders", "symbol=BTCUSDT").await.ok(), json!([waiting]));
    trade(&bob, &cy, &["104.50"]).await;
    until("the order works", async || query(&ada, id).await["isWorking"] == true).await;
    let canceled = ada.delete("/api/v3/order", &format!("symbol=BTCUSDT&orderId={id}")).await.ok();
    assert_eq!((&canceled["trailingDelta"], &canceled["trailingTime"]), (&json!(500), &placed["trailingTime"]));
    let history = ada.get("/api/v3/allOrders", "symbol=BTCUSDT").await.ok();
    assert_eq!((&history[0]["trailingDelta"], &history[0]["status"]), (&json!(500), &json!("CANCELED")));
    let seen = events.until_quiet(Duration::from_secs(2)).await;
    let reports: Vec<&Value> =
        seen.iter().map(|message| &message["event"]).filter(|event| event["e"] == "executionReport").collect();
    let kinds: Vec<&Value> = reports.iter().map(|report| &report["x"]).collect();
    assert_eq!(kinds, ["NEW", "NEW", "CANCELED"], "placed, triggered, canceled");
    assert!(reports.iter().all(|report| report["d"] == 500 && report["D"] == placed["trailingTime"]), "{reports:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_price_starts_the_tracking() {
    let exchange = Exchange::start().await;
    let (ada, bob, cy) = (exchange.trader("ada").await, exchange.trader("bob").await, exchange.trader("cy").await);
    trade(&bob, &cy, &["100.00"]).await;
    let mut events = subscribe(&ada).await;
    let mut socket = Socket::open(&exchange.app, "/ws-api/v3").await;
    let order = json!({
        "symbol": "BTCUSDT", "side": "BUY", "type": "TAKE_PROFIT", "quantity": "1", "stopPrice": "98", "trailingDelta": 100,
        "newOrderRespType": "RESULT",
    });
    let placed = socket.ask(signed(&ada, "order.place", order)).await["result"].clone();
    assert_eq!((&placed["trailingTime"], &placed["trailingDelta"]), (&json!(-1), &json!(100)), "{placed}");
    let id = &placed["orderId"];
    trade(&bob, &cy, &["101.00", "98.00"]).await;
    let tracking = query(&ada, id).await;
    assert!(tracking["trailingTime"].as_i64().is_some_and(|time| time > 0), "{tracking}");
    assert_eq!(tracking["status"], "NEW");
    trade(&bob, &cy, &["97.00", "97.96"]).await;
    assert_eq!(query(&ada, id).await["status"], "NEW", "one percent above 97 is 97.97");
    bob.limit("SELL", "99.00", "1").await;
    trade(&bob, &cy, &["97.97"]).await;
    until("the order is filled", async || query(&ada, id).await["status"] == "FILLED").await;
    let seen = events.until_quiet(Duration::from_secs(2)).await;
    let reports: Vec<&Value> =
        seen.iter().map(|message| &message["event"]).filter(|event| event["e"] == "executionReport").collect();
    let kinds: Vec<&Value> = reports.iter().map(|report| &report["x"]).collect();
    assert_eq!(kinds, ["NEW", "NEW", "TRADE"], "that it tracks the price is not an event");
    assert_eq!((&reports[0]["D"], &reports[1]["D"]), (&json!(-1), &tracking["trailingTime"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_of_lists_may_trail() {
    let exchange = Exchange::start().await;
    let (ada, bob, cy) = (exchange.trader("ada").await, exchange.trader("bob").await, exchange.trader("cy").await);
    trade(&bob, &cy, &["100.00"]).await;
    let deltas = |list: &Value| -> Value {
        list["orderReports"].as_array().unwrap().iter().map(|report| report["trailingDelta"].clone()).collect()
    };
    let oco = "symbol=BTCUSDT&side=SELL&quantity=1&aboveType=LIMIT_MAKER&abovePrice=115&belowType=STOP_LOSS_LIMIT\
               &belowPrice=114&belowTimeInForce=GTC&belowTrailingDelta=200";
    let list = ada.post("/api/v3/orderList/oco", oco).await.ok();
    assert_eq!(deltas(&list), json!([200, null]));
    let legacy = "symbol=BTCUSDT&side=SELL&quantity=1&price=116&stopLimitPrice=113&stopLimitTimeInForce=GTC&trailingDelta=300";
    let list = ada.post("/api/v3/order/oco", legacy).await.ok();
    assert_eq!(deltas(&list), json!([300, null]));
    let oto = "symbol=BTCUSDT&workingType=LIMIT_MAKER&workingSide=BUY&workingPrice=99&workingQuantity=1&pendingSide=SELL\
               &pendingType=STOP_LOSS_LIMIT&pendingTimeInForce=GTC&pendingPrice=112&pendingQuantity=1&pendingTrailingDelta=400";
    let oto = ada.post("/api/v3/orderList/oto", oto).await.ok();
    assert_eq!(oto["orderReports"][1]["trailingTime"], -1, "a pending order does not track");
    bob.limit("SELL", "99.00", "1").await;
    let pending = &oto["orders"][1]["orderId"];
    until("the pending order tracks", async || query(&ada, pending).await["trailingTime"] != -1).await;
    trade(&bob, &cy, &["105.00", "102.90"]).await;
    let open = async || {
        let open = ada.get("/api/v3/openOrders", "symbol=BTCUSDT").await.ok();
        let rows = open.as_array().unwrap();
        rows.iter().map(|order| format!("{} {}", order["price"], order["isWorking"])).collect::<Vec<_>>()
    };
    // 2 % below 105 is 102.9: the first list triggers, and its limit order ends.
    let expected = ["\"114.00000000\" true", "\"113.00000000\" false", "\"116.00000000\" true", "\"112.00000000\" false"];
    until("the first list triggers", async || open().await == expected).await;
    trade(&bob, &cy, &["101.85", "100.80"]).await;
    let expected = ["\"114.00000000\" true", "\"113.00000000\" true", "\"112.00000000\" true"];
    until("3 % and 4 %", async || open().await == expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_filter_of_deltas_is_listed_and_checked() {
    let exchange = Exchange::start().await;
    let (ada, bob, cy) = (exchange.trader("ada").await, exchange.trader("bob").await, exchange.trader("cy").await);
    trade(&bob, &cy, &["100.00"]).await;
    let info = exchange.public("/api/v3/exchangeInfo", "symbol=BTCUSDT").await.ok();
    assert_eq!(info["symbols"][0]["allowTrailingStop"], true);
    let filter = json!({
        "filterType": "TRAILING_DELTA", "minTrailingAboveDelta": 10, "maxTrailingAboveDelta": 2_000, "minTrailingBelowDelta": 10,
        "maxTrailingBelowDelta": 2_000,
    });
    let filters = info["symbols"][0]["filters"].as_array().unwrap();
    assert!(filters.contains(&filter), "{filters:?}");
    for delta in ["9", "2001", "0", "9999999999"] {
        let refused = ada.order(&format!("side=SELL&type=STOP_LOSS&quantity=1&trailingDelta={delta}")).await;
        assert_eq!(refused.error(), (400, -1013, "Filter failure: TRAILING_DELTA"), "{delta}");
    }
    let test = ada.post("/api/v3/order/test", "symbol=BTCUSDT&side=BUY&type=TAKE_PROFIT&quantity=1&trailingDelta=10").await;
    assert_eq!(test.ok(), json!({}));
}
