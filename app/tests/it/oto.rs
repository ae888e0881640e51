//! Tests of OTO and OTOCO lists over HTTP and the WebSocket API: placed, shown, filled, canceled, and their account events.

use std::time::Duration;

use serde_json::{Value, json};

use crate::exchange::{Exchange, Trader};
use crate::socket::Socket;
use crate::ws_api::{signed, subscribe};

const OTO: &str = "/api/v3/orderList/oto";
const OTOCO: &str = "/api/v3/orderList/otoco";
const BUY: &str = "symbol=BTCUSDT&workingType=LIMIT&workingTimeInForce=GTC&workingSide=BUY&workingPrice=99.00&workingQuantity=1\
                   &workingClientOrderId=working";
const THEN_SELL: &str = "&pendingSide=SELL&pendingType=LIMIT&pendingTimeInForce=GTC&pendingPrice=105.00&pendingQuantity=1\
                         &pendingClientOrderId=pending";
const THEN_PAIR: &str = "&pendingSide=SELL&pendingQuantity=1&pendingAboveType=LIMIT_MAKER&pendingAbovePrice=110.00\
                         &pendingAboveClientOrderId=above&pendingBelowType=STOP_LOSS_LIMIT&pendingBelowStopPrice=90.00\
                         &pendingBelowPrice=89.00&pendingBelowTimeInForce=GTC&pendingBelowClientOrderId=below";

/// A last price of 100.00.
async fn stage(exchange: &Exchange) -> (Trader<'_>, Trader<'_>) {
    let (ada, bob) = (exchange.trader("ada").await, exchange.trader("bob").await);
    bob.limit("SELL", "100.00", "1").await;
    exchange.trader("cy").await.limit("BUY", "100.00", "1").await;
    (ada, bob)
}

/// The fields of one order report.
fn report(list: &Value, leg: usize, client_id: &str, terms: [&str; 5], more: Value) -> Value {
    let [price, status, kind, side, tif] = terms;
    let mut report = json!({
        "symbol": "BTCUSDT", "orderId": list["orders"][leg]["orderId"], "orderListId": list["orderListId"],
        "clientOrderId": client_id, "transactTime": list["transactionTime"], "price": price, "origQty": "1.00000000",
        "executedQty": "0.00000000", "origQuoteOrderQty": "0.00000000", "cummulativeQuoteQty": "0.00000000", "status": status,
        "timeInForce": tif, "type": kind, "side": side, "workingTime": -1, "selfTradePreventionMode": "EXPIRE_MAKER",
    });
    report.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_with_a_pending_pair_is_placed_shown_and_canceled() {
    let exchange = Exchange::start().await;
    let (ada, _bob) = stage(&exchange).await;
    let answer = ada.post(OTOCO, &format!("{BUY}{THEN_PAIR}&listClientOrderId=list")).await;
    assert_eq!(answer.header("x-mbx-order-count-10s"), Some("3"), "a list with a pair is three orders");
    let list = answer.ok();
    let (time, id) = (&list["transactionTime"], &list["orderListId"]);
    let orders: Vec<Value> = ["working", "above", "below"]
        .iter()
        .zip(list["orders"].as_array().unwrap())
        .map(|(client_id, row)| json!({"symbol": "BTCUSDT", "orderId": row["orderId"], "clientOrderId": client_id}))
        .collect();
    let expected = json!({
        "orderListId": id, "contingencyType": "OTO", "listStatusType": "EXEC_STARTED", "listOrderStatus": "EXECUTING",
        "listClientOrderId": "list", "transactionTime": time, "symbol": "BTCUSDT", "orders": orders,
        "orderReports": [
            report(&list, 0, "working", ["99.00000000", "NEW", "LIMIT", "BUY", "GTC"], json!({"workingTime": time})),
            report(&list, 1, "above", ["110.00000000", "PENDING_NEW", "LIMIT_MAKER", "SELL", "GTC"], json!({})),
            report(
                &list, 2, "below", ["89.00000000", "PENDING_NEW", "STOP_LOSS_LIMIT", "SELL", "GTC"],
                json!({"stopPrice": "90.00000000"}),
            ),
        ],
    });
    assert_eq!(list, expected);
    assert_eq!(ada.balance("USDT").await, ("999901.00000000".into(), "99.00000000".into()));
    assert_eq!(ada.balance("BTC").await, ("100.00000000".into(), "0.00000000".into()), "pending orders lock nothing");

    let mut shown = expected.clone();
    shown.as_object_mut().unwrap().remove("orderReports");
    assert_eq!(ada.get("/api/v3/orderList", &format!("orderListId={id}")).await.ok(), shown);
    assert_eq!(ada.get("/api/v3/openOrderList", "").await.ok(), json!([shown]));
    let open = ada.get("/api/v3/openOrders", "symbol=BTCUSDT").await.ok();
    let seen: Vec<_> = open.as_array().unwrap().iter().map(|order| (&order["status"], &order["isWorking"])).collect();
    assert_eq!(
        seen,
        [(&json!("NEW"), &json!(true)), (&json!("PENDING_NEW"), &json!(false)), (&json!("PENDING_NEW"), &json!(false))]
    );
    let again = ada.post(OTOCO, &format!("{BUY}{THEN_PAIR}&listClientOrderId=list")).await;
    assert_eq!(again.error(), (400, -2010, "Duplicate order sent."));

    let ended = ada.delete("/api/v3/order", "symbol=BTCUSDT&origClientOrderId=above").await.ok();
    assert_eq!(
        (&ended["contingencyType"], &ended["listOrderStatus"], ended["orderReports"].as_array().map(Vec::len)),
        (&json!("OTO"), &json!("ALL_DONE"), Some(3))
    );
    let all = ada.get("/api/v3/allOrderList", "").await.ok();
    assert_eq!((&all[0]["contingencyType"], &all[0]["orders"]), (&json!("OTO"), &json!(orders)));
    assert_eq!(ada.balance("USDT").await, ("1000000.00000000".into(), "0.00000000".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn pending_orders_follow_the_filled_working_order() {
    let exchange = Exchange::start().await;
    let (ada, bob) = stage(&exchange).await;
    let mut events = subscribe(&ada).await;
    let mut socket = Socket::open(&exchange.app, "/ws-api/v3").await;
    let parameters: serde_json::Map<String, Value> = format!("{BUY}{THEN_SELL}&listClientOrderId=list")
        .split('&')
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(name, value)| (name.to_owned(), json!(value)))
        .collect();
    let placed = socket.ask(signed(&ada, "orderList.place.oto", Value::Object(parameters))).await;
    assert_eq!((&placed["status"], &placed["result"]["contingencyType"]), (&json!(200), &json!("OTO")), "{placed}");
    bob.limit("SELL", "99.00", "1").await;
    let pending = ada.get("/api/v3/order", "symbol=BTCUSDT&origClientOrderId=pending").await.ok();
    assert_eq!((&pending["status"], &pending["isWorking"]), (&json!("NEW"), &json!(true)), "{pending}");
    let depth = exchange.public("/api/v3/depth", "symbol=BTCUSDT").await.ok();
    assert_eq!(depth["asks"], json!([["105.00000000", "1.00000000"]]));
    bob.limit("BUY", "105.00", "1").await;
    assert_eq!(ada.get("/api/v3/orderList", "origClientOrderId=list").await.ok()["listOrderStatus"], "ALL_DONE");

    let seen = events.until_quiet(Duration::from_secs(2)).await;
    let kinds: Vec<String> = seen
        .iter()
        .map(|message| &message["event"])
        .filter(|event| event["e"] != "outboundAccountPosition")
        .map(|event| match event["e"].as_str() {
            Some("listStatus") => format!("{} {} {}", event["c"], event["l"], event["L"]).replace('"', ""),
            _ => format!("{} {} {} {}", event["c"], event["x"], event["X"], event["w"]).replace('"', ""),
        })
        .collect();
    let expected = [
        "working NEW NEW true",
        "pending NEW PENDING_NEW false",
        "OTO EXEC_STARTED EXECUTING",
        "working TRADE FILLED false",
        "pending NEW NEW true",
        "pending TRADE FILLED false",
        "OTO ALL_DONE ALL_DONE",
    ];
    assert_eq!(kinds, expected, "{seen:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_ends_early_states_the_reason() {
    let exchange = Exchange::start().await;
    let (ada, bob) = stage(&exchange).await;
    let status = async |client_id: &str| {
        let order = ada.get("/api/v3/order", &format!("symbol=BTCUSDT&origClientOrderId={client_id}")).await.ok();
        (order["status"].clone(), order["expiryReason"].clone())
    };
    // The working order takes nothing and expires.
    let expired = ada.post(OTO, &format!("{}{THEN_SELL}", BUY.replace("GTC", "IOC"))).await.ok();
    assert_eq!((&expired["listOrderStatus"], expired["orders"].as_array().map(Vec::len)), (&json!("ALL_DONE"), Some(2)));
    assert_eq!(status("pending").await, (json!("EXPIRED"), json!("OTO_PHASE_ONE_EXPIRED")));
    // The pending order needs more than the account has when its turn comes.
    let pending = THEN_SELL.replace("pendingQuantity=1", "pendingQuantity=900");
    let placed = ada.post(OTO, &format!("{BUY}{pending}")).await.ok();
    bob.limit("SELL", "99.00", "1").await;
    assert_eq!(status("pending").await, (json!("EXPIRED"), json!("REJECTED")));
    let list = ada.get("/api/v3/orderList", &format!("orderListId={}", placed["orderListId"])).await.ok();
    assert_eq!(list["listOrderStatus"], "ALL_DONE");
    // A working order that is filled at once is shown with its pending order as it was before its turn.
    bob.limit("SELL", "99.00", "1").await;
    let filled = ada.post(OTO, &format!("{BUY}{THEN_SELL}&newOrderRespType=FULL")).await.ok();
    let reports = &filled["orderReports"];
    assert_eq!(
        (&reports[0]["status"], reports[0]["fills"].as_array().map(Vec::len), &reports[1]["status"]),
        (&json!("FILLED"), Some(1), &json!("PENDING_NEW")),
        "{filled}"
    );
    assert_eq!(status("pending").await.0, "NEW");
    let info = exchange.public("/api/v3/exchangeInfo", "symbol=BTCUSDT").await.ok();
    assert_eq!(info["symbols"][0]["otoAllowed"], true);
}
