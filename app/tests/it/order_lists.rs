//! Tests of OCO pairs over HTTP: placed, queried, canceled, one leg ending the other.

use serde_json::{Value, json};

use crate::exchange::{Exchange, Trader};

const SELL: &str = "symbol=BTCUSDT&side=SELL&quantity=1&aboveType=LIMIT_MAKER&abovePrice=110.00\
                    &belowType=STOP_LOSS_LIMIT&belowStopPrice=90.00&belowPrice=89.00&belowTimeInForce=GTC";

async fn stage(exchange: &Exchange) -> (Trader<'_>, Trader<'_>) {
    let (trader, maker) = (exchange.trader("trader").await, exchange.trader("maker").await);
    maker.limit("SELL", "100.00", "1").await;
    maker.limit("BUY", "85.00", "5").await;
    exchange.trader("first").await.limit("BUY", "100.00", "1").await;
    (trader, maker)
}

async fn oco(trader: &Trader<'_>, more: &str) -> Value {
    trader.post("/api/v3/orderList/oco", &format!("{SELL}{more}")).await.ok()
}

#[tokio::test]
async fn a_pair_is_placed_shown_and_cancelled() {
    let exchange = Exchange::start().await;
    let (trader, _maker) = stage(&exchange).await;
    let answer = trader
        .post(
            "/api/v3/orderList/oco",
            &format!("{SELL}&listClientOrderId=list1&aboveClientOrderId=above1&belowClientOrderId=below1"),
        )
        .await;
    assert_eq!(answer.header("x-mbx-order-count-10s"), Some("2"), "a pair is two orders");
    let list = answer.ok();
    let (time, id) = (&list["transactionTime"], &list["orderListId"]);
    let [below, above] = [0, 1].map(|n| list["orders"][n]["orderId"].clone());
    let orders = json!([
        {"symbol": "BTCUSDT", "orderId": below, "clientOrderId": "below1"},
        {"symbol": "BTCUSDT", "orderId": above, "clientOrderId": "above1"},
    ]);
    let expected = json!({
        "orderListId": id, "contingencyType": "OCO", "listStatusType": "EXEC_STARTED", "listOrderStatus": "EXECUTING",
        "listClientOrderId": "list1", "transactionTime": time, "symbol": "BTCUSDT", "orders": orders,
        "orderReports": [
            {"symbol": "BTCUSDT", "orderId": below, "orderListId": id, "clientOrderId": "below1", "transactTime": time,
             "price": "89.00000000", "origQty": "1.00000000", "executedQty": "0.00000000", "origQuoteOrderQty": "0.00000000",
             "cummulativeQuoteQty": "0.00000000", "status": "NEW", "timeInForce": "GTC", "type": "STOP_LOSS_LIMIT", "side": "SELL",
             "stopPrice": "90.00000000", "workingTime": -1, "selfTradePreventionMode": "EXPIRE_MAKER"},
            {"symbol": "BTCUSDT", "orderId": above, "orderListId": id, "clientOrderId": "above1", "transactTime": time,
             "price": "110.00000000", "origQty": "1.00000000", "executedQty": "0.00000000", "origQuoteOrderQty": "0.00000000",
             "cummulativeQuoteQty": "0.00000000", "status": "NEW", "timeInForce": "GTC", "type": "LIMIT_MAKER", "side": "SELL",
             "workingTime": time, "selfTradePreventionMode": "EXPIRE_MAKER"},
        ],
    });
    assert_eq!(list, expected);
    assert_eq!(trader.balance("BTC").await, ("99.00000000".into(), "1.00000000".into()), "one hold for both");

    let mut shown = expected.clone();
    shown.as_object_mut().unwrap().remove("orderReports");
    assert_eq!(trader.get("/api/v3/orderList", "origClientOrderId=list1").await.ok(), shown);
    assert_eq!(trader.get("/api/v3/orderList", &format!("orderListId={id}")).await.ok(), shown);
    let both = |client_id: &str| format!("orderListId={id}&origClientOrderId={client_id}");
    assert_eq!(trader.get("/api/v3/orderList", &both("list1")).await.ok(), shown);
    let mismatch = (400, -2039, "Client order ID is not correct for this order ID.");
    assert_eq!(trader.get("/api/v3/orderList", &both("list2")).await.error(), mismatch);
    assert_eq!(trader.get("/api/v3/openOrderList", "").await.ok(), json!([shown]));
    let again = trader.post("/api/v3/orderList/oco", &format!("{SELL}&listClientOrderId=list1")).await;
    assert_eq!(again.error(), (400, -2010, "Duplicate order sent."));

    let ended = trader.delete("/api/v3/orderList", "symbol=BTCUSDT&listClientOrderId=list1&newClientOrderId=gone").await.ok();
    assert_eq!(
        (&ended["listStatusType"], &ended["listOrderStatus"], &ended["orders"]),
        (&json!("ALL_DONE"), &json!("ALL_DONE"), &orders)
    );
    for (report, original) in ended["orderReports"].as_array().unwrap().iter().zip(["below1", "above1"]) {
        assert_eq!(
            (&report["status"], &report["origClientOrderId"], &report["clientOrderId"]),
            (&json!("CANCELED"), &json!(original), &json!("gone"))
        );
    }
    assert_eq!(trader.get("/api/v3/openOrderList", "").await.ok(), json!([]));
    assert_eq!(trader.get("/api/v3/orderList", "origClientOrderId=list1").await.ok()["listOrderStatus"], "ALL_DONE");
    assert_eq!(trader.balance("BTC").await, ("100.00000000".into(), "0.00000000".into()));
}

#[tokio::test]
async fn cancelling_a_leg_or_everything_cancels_the_list() {
    let exchange = Exchange::start().await;
    let (trader, _maker) = stage(&exchange).await;
    let list = oco(&trader, "").await;
    let cancel = format!("symbol=BTCUSDT&orderId={}", list["orders"][0]["orderId"]);
    let ended = trader.delete("/api/v3/order", &cancel).await.ok();
    assert_eq!((&ended["orderListId"], &ended["listOrderStatus"]), (&list["orderListId"], &json!("ALL_DONE")));
    trader.limit("BUY", "80.00", "1").await;
    oco(&trader, "").await;
    let all = trader.delete("/api/v3/openOrders", "symbol=BTCUSDT").await.ok();
    assert_eq!(
        (&all[0]["status"], &all[1]["contingencyType"], all.as_array().map(Vec::len)),
        (&json!("CANCELED"), &json!("OCO"), Some(2))
    );
    assert_eq!(all[1]["orderReports"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn one_leg_ends_the_other() {
    let exchange = Exchange::start().await;
    let (trader, maker) = stage(&exchange).await;
    let status = |id: &Value| {
        let query = format!("symbol=BTCUSDT&orderId={id}");
        let trader = &trader;
        async move { trader.get("/api/v3/order", &query).await.ok() }
    };
    // The upper leg trades: the stop expires.
    let list = oco(&trader, "").await;
    maker.limit("BUY", "110.00", "0.4").await;
    let (below, above) = (status(&list["orders"][0]["orderId"]).await, status(&list["orders"][1]["orderId"]).await);
    assert_eq!((&below["status"], &below["expiryReason"]), (&json!("EXPIRED"), &json!("OCO_TRIGGER")));
    assert_eq!((&above["status"], &above["executedQty"]), (&json!("PARTIALLY_FILLED"), &json!("0.40000000")));
    let open = trader.get("/api/v3/openOrderList", "").await.ok();
    assert_eq!(open[0]["orders"], list["orders"], "an ended leg is still listed: {open}");
    let ended = trader.delete("/api/v3/openOrders", "symbol=BTCUSDT").await.ok();
    assert_eq!(ended[0]["orders"], list["orders"], "the reply that ends the list lists it too");
    assert_eq!(ended[0]["orderReports"].as_array().map(Vec::len), Some(1), "the command ended one");

    // The last price is between the legs again; then it falls: the stop triggers, the upper leg expires.
    maker.limit("BUY", "100.00", "1").await;
    exchange.trader("second").await.limit("SELL", "100.00", "1").await;
    let list = oco(&trader, "").await;
    exchange.trader("third").await.limit("SELL", "85.00", "1").await;
    let (below, above) = (status(&list["orders"][0]["orderId"]).await, status(&list["orders"][1]["orderId"]).await);
    assert_eq!((&above["status"], &above["expiryReason"]), (&json!("EXPIRED"), &json!("OCO_TRIGGER")), "{below}");
    assert_eq!((&below["isWorking"], &below["status"]), (&json!(true), &json!("NEW")));
}

/// The deprecated request names a limit leg and a stop leg; the side decides which is above the market.
#[tokio::test]
async fn a_pair_is_placed_by_the_deprecated_request() {
    let exchange = Exchange::start().await;
    let (trader, _maker) = stage(&exchange).await;
    let ids = "listClientOrderId=pair&limitClientOrderId=limit&stopClientOrderId=stop";
    let sell = "symbol=BTCUSDT&side=SELL&quantity=1&price=110&stopPrice=90&stopLimitPrice=89&stopLimitTimeInForce=GTC";
    let answer = trader.post("/api/v3/order/oco", &format!("{sell}&{ids}")).await;
    assert_eq!(answer.header("x-mbx-order-count-10s"), Some("2"), "a pair is two orders");
    let list = answer.ok();
    let legs = |list: &Value| -> Vec<Value> {
        let row = |report: &Value| json!([report["clientOrderId"], report["type"], report["price"], report["stopPrice"]]);
        list["orderReports"].as_array().unwrap().iter().map(row).collect()
    };
    let expected =
        [json!(["stop", "STOP_LOSS_LIMIT", "89.00000000", "90.00000000"]), json!(["limit", "LIMIT_MAKER", "110.00000000", null])];
    assert_eq!((legs(&list), &list["listClientOrderId"]), (expected.to_vec(), &json!("pair")));
    trader.delete("/api/v3/orderList", "symbol=BTCUSDT&listClientOrderId=pair").await.ok();

    let buy = "symbol=BTCUSDT&side=BUY&quantity=1&price=90&stopPrice=110";
    let list = trader.post("/api/v3/order/oco", &format!("{buy}&{ids}")).await.ok();
    let expected =
        [json!(["limit", "LIMIT_MAKER", "90.00000000", null]), json!(["stop", "STOP_LOSS", "0.00000000", "110.00000000"])];
    assert_eq!(legs(&list), expected);
    trader.delete("/api/v3/orderList", "symbol=BTCUSDT&listClientOrderId=pair").await.ok();

    let before = trader.holdings().await;
    let relationship = "The relationship of the prices for the orders is not correct.";
    let missing = |name: &str| format!("Mandatory parameter '{name}' was not sent, was empty/null, or malformed.");
    let rows = [
        ("side=SELL&quantity=1&price=90&stopPrice=110", -2010, relationship.to_owned()),
        ("side=BUY&quantity=1&price=110&stopPrice=90", -2010, relationship.to_owned()),
        ("side=SELL&quantity=1&price=110", -1102, missing("stopPrice")),
        ("side=SELL&quantity=1&stopPrice=90", -1102, missing("price")),
        ("side=SELL&price=110&stopPrice=90", -1102, missing("quantity")),
        ("side=SELL&quantity=1&price=110&stopPrice=90&stopLimitPrice=89", -1102, missing("stopLimitTimeInForce")),
        (
            "side=SELL&quantity=1&price=110&stopPrice=90&stopLimitTimeInForce=GTC",
            -1106,
            "Parameter 'stopLimitTimeInForce' sent when not required.".to_owned(),
        ),
        ("side=SELL&quantity=1&price=110&stopPrice=90&limitIcebergQty=1", -2010, "IcebergQty exceeds QTY.".to_owned()),
        (
            "side=SELL&quantity=1&price=110&stopPrice=90&stopIcebergQty=0.1",
            -1106,
            "Parameter 'stopIcebergQty' sent when not required.".to_owned(),
        ),
        (
            "side=SELL&quantity=1&price=110&stopPrice=90&stopLimitPrice=89&stopLimitTimeInForce=FOK&stopIcebergQty=0.1",
            -1160,
            "Parameter 'stopIcebergQty' is not supported if `stopLimitTimeInForce` is not GTC.".to_owned(),
        ),
    ];
    for (parameters, code, text) in rows {
        let answer = trader.post("/api/v3/order/oco", &format!("symbol=BTCUSDT&{parameters}")).await;
        assert_eq!(answer.error(), (400, code, text.as_str()), "{parameters}");
    }
    assert_eq!(trader.holdings().await, before);
}
