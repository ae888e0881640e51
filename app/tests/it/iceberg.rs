//! Tests of iceberg orders over HTTP: reply, depth, queries, history, account events, amendment, lists, and their filters.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{exchange::Exchange, ws_api::subscribe};

async fn asks(exchange: &Exchange) -> Value {
    exchange.public("/api/v3/depth", "symbol=BTCUSDT").await.ok()["asks"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_book_shows_one_part_of_an_iceberg_order() {
    let exchange = Exchange::start().await;
    let (ada, bob, cy) = (exchange.trader("ada").await, exchange.trader("bob").await, exchange.trader("cy").await);
    let mut events = subscribe(&ada).await;
    let placed = ada.order("side=SELL&type=LIMIT&timeInForce=GTC&price=100&quantity=5&icebergQty=2").await.ok();
    assert_eq!((&placed["icebergQty"], &placed["origQty"]), (&json!("2.00000000"), &json!("5.00000000")));
    bob.limit("SELL", "100.00", "1").await;
    assert_eq!(asks(&exchange).await, json!([["100.00000000", "3.00000000"]]));
    assert_eq!(ada.balance("BTC").await, ("95.00000000".into(), "5.00000000".into()), "the whole quantity is locked");

    let taken = cy.limit("BUY", "100.00", "3.5").await;
    let quantities: Vec<&Value> = taken["fills"].as_array().unwrap().iter().map(|fill| &fill["qty"]).collect();
    assert_eq!(quantities, ["2.00000000", "1.00000000", "0.50000000"], "the second part is behind the order of bob");
    assert_eq!(asks(&exchange).await, json!([["100.00000000", "1.50000000"]]));
    let id = &placed["orderId"];
    let query = format!("symbol=BTCUSDT&orderId={id}");
    let shown = ada.get("/api/v3/order", &query).await.ok();
    assert_eq!(shown["icebergQty"], "2.00000000");
    assert_eq!(ada.get("/api/v3/openOrders", "symbol=BTCUSDT").await.ok(), json!([shown]));
    let amend = format!("{query}&newQty=3.1&newClientOrderId=amended");
    let amended = ada.put("/api/v3/order/amend/keepPriority", &amend).await.ok();
    assert_eq!(amended["amendedOrder"]["icebergQty"], "2.00000000");
    assert_eq!(asks(&exchange).await, json!([["100.00000000", "0.60000000"]]), "less is left than was shown");
    let canceled = ada.delete("/api/v3/order", &query).await.ok();
    assert_eq!((&canceled["icebergQty"], &canceled["executedQty"]), (&json!("2.00000000"), &json!("2.50000000")));
    assert_eq!(asks(&exchange).await, json!([]));
    let history = ada.get("/api/v3/allOrders", "symbol=BTCUSDT").await.ok();
    assert_eq!((&history[0]["icebergQty"], &history[0]["status"]), (&json!("2.00000000"), &json!("CANCELED")));

    let seen = events.until_quiet(Duration::from_secs(2)).await;
    let reports: Vec<&Value> =
        seen.iter().map(|message| &message["event"]).filter(|event| event["e"] == "executionReport").collect();
    let kinds: Vec<&Value> = reports.iter().map(|report| &report["x"]).collect();
    assert_eq!(kinds, ["NEW", "TRADE", "TRADE", "REPLACED", "CANCELED"], "the next part is not an event");
    assert!(reports.iter().all(|report| report["F"] == "2.00000000"), "{reports:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_of_lists_may_be_icebergs() {
    let exchange = Exchange::start().await;
    let (ada, bob) = (exchange.trader("ada").await, exchange.trader("bob").await);
    bob.limit("SELL", "100.00", "1").await;
    exchange.trader("cy").await.limit("BUY", "100.00", "1").await;
    let parts = |list: &Value| -> Value {
        list["orderReports"].as_array().unwrap().iter().map(|report| report["icebergQty"].clone()).collect()
    };
    let oco = "symbol=BTCUSDT&side=SELL&quantity=1&aboveType=LIMIT_MAKER&abovePrice=110&aboveIcebergQty=0.3&belowType=STOP_LOSS_LIMIT\
               &belowStopPrice=90&belowPrice=89&belowTimeInForce=GTC&belowIcebergQty=0.2";
    let list = ada.post("/api/v3/orderList/oco", oco).await.ok();
    assert_eq!(parts(&list), json!(["0.20000000", "0.30000000"]));
    assert_eq!(asks(&exchange).await, json!([["110.00000000", "0.30000000"]]));
    let legacy = "symbol=BTCUSDT&side=SELL&quantity=1&price=111&limitIcebergQty=0.4&stopPrice=90&stopLimitPrice=89\
                  &stopLimitTimeInForce=GTC&stopIcebergQty=0.1";
    let list = ada.post("/api/v3/order/oco", legacy).await.ok();
    assert_eq!(parts(&list), json!(["0.10000000", "0.40000000"]));
    let oto = "symbol=BTCUSDT&workingType=LIMIT_MAKER&workingSide=BUY&workingPrice=99&workingQuantity=1&workingIcebergQty=0.6\
               &pendingSide=SELL&pendingType=LIMIT&pendingTimeInForce=GTC&pendingPrice=112&pendingQuantity=1&pendingIcebergQty=0.7";
    let list = ada.post("/api/v3/orderList/oto", oto).await.ok();
    assert_eq!(parts(&list), json!(["0.60000000", "0.70000000"]));
    bob.limit("SELL", "99.00", "1").await;
    let third = json!(["112.00000000", "0.70000000"]);
    let expected = json!([["110.00000000", "0.30000000"], ["111.00000000", "0.40000000"], third]);
    assert_eq!(asks(&exchange).await, expected, "the pending order was placed as an iceberg order");
    let info = exchange.public("/api/v3/exchangeInfo", "symbol=BTCUSDT").await.ok();
    assert_eq!(info["symbols"][0]["icebergAllowed"], true);
    let filters = info["symbols"][0]["filters"].as_array().unwrap();
    assert!(filters.contains(&json!({"filterType": "ICEBERG_PARTS", "limit": 100})), "{filters:?}");
}
