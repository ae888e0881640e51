//! Tests of self-trade prevention over HTTP and on the account's stream: DECREMENT, and the list of prevented matches.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{exchange::Exchange, worker::test_worker::TestWorker, ws_api::subscribe};

const PATH: &str = "/api/v3/myPreventedMatches";

#[tokio::test(flavor = "multi_thread")]
async fn decremented_orders_are_shown_reported_and_listed() {
    let exchange = Exchange::start().await;
    let (ada, bob) = (exchange.trader("ada").await, exchange.trader("bob").await);
    let mut events = subscribe(&ada).await;
    let maker = ada.limit("BUY", "50.00", "6").await["orderId"].clone();
    let taker = "side=SELL&type=LIMIT&timeInForce=GTC&price=50&quantity=2&selfTradePreventionMode=DECREMENT";
    let placed = ada.order(taker).await.ok();
    let shown =
        |order: &Value| json!([order["status"], order["executedQty"], order["preventedQuantity"], order["preventedMatchId"]]);
    assert_eq!(shown(&placed), json!(["EXPIRED_IN_MATCH", "0.00000000", "2.00000000", 1]));
    assert_eq!(placed["selfTradePreventionMode"], "DECREMENT");
    let in_reply = json!([{
        "preventedMatchId": 1, "makerOrderId": maker, "price": "50.00000000", "takerPreventedQuantity": "2.00000000",
        "makerPreventedQuantity": "2.00000000",
    }]);
    assert_eq!(placed["preventedMatches"], in_reply);
    let open = ada.get("/api/v3/order", &format!("symbol=BTCUSDT&orderId={maker}")).await.ok();
    assert_eq!(shown(&open), json!(["NEW", "0.00000000", "2.00000000", 1]));
    assert_eq!(ada.balance("USDT").await, ("999800.00000000".into(), "200.00000000".into()));
    let depth = exchange.public("/api/v3/depth", "symbol=BTCUSDT").await.ok();
    assert_eq!(depth["bids"], json!([["50.00000000", "4.00000000"]]));

    // The default mode expires the maker only.
    ada.limit("SELL", "50.00", "1").await;
    let matches = async |query: &str| ada.get(PATH, &format!("symbol=BTCUSDT&{query}")).await.ok();
    let of_maker = matches(&format!("orderId={maker}")).await;
    let first = json!({
        "symbol": "BTCUSDT", "preventedMatchId": 1, "takerOrderId": placed["orderId"], "makerSymbol": "BTCUSDT",
        "makerOrderId": maker, "tradeGroupId": -1, "selfTradePreventionMode": "DECREMENT", "price": "50.00000000",
        "takerPreventedQuantity": "2.00000000", "makerPreventedQuantity": "2.00000000", "transactTime": placed["transactTime"],
    });
    assert_eq!(of_maker[0], first);
    let members = ["preventedMatchId", "selfTradePreventionMode", "makerPreventedQuantity", "takerPreventedQuantity"];
    let second = members.map(|name| of_maker[1][name].clone());
    assert_eq!(Value::from(second.to_vec()), json!([2, "EXPIRE_MAKER", "4.00000000", null]));

    let seen = events.until_quiet(Duration::from_secs(2)).await;
    let prevented: Vec<Value> = seen
        .iter()
        .map(|message| &message["event"])
        .filter(|event| event["x"] == "TRADE_PREVENTION")
        .map(|event| json!([event["i"], event["X"], event["v"], event["A"], event["B"], event["U"], event["pL"], event["w"]]))
        .collect();
    let two = "2.00000000";
    let (sold, six) = (&placed["orderId"], "6.00000000");
    let expected = [
        json!([sold, "EXPIRED_IN_MATCH", 1, two, two, maker, "50.00000000", false]),
        json!([maker, "NEW", 1, two, two, sold, "50.00000000", true]),
        json!([maker, "EXPIRED_IN_MATCH", 2, six, "4.00000000", of_maker[1]["takerOrderId"], "50.00000000", false]),
    ];
    assert_eq!(prevented, expected);

    // From memory, then from the tables.
    let worker = TestWorker::start(&exchange.app.database_url, None);
    let target = exchange.app.engine.committed().read().state.sequence();
    for from_tables in [false, true] {
        if from_tables {
            worker.reaches(&exchange.app.database_url, target).await;
            crate::eventually::until("memory forgets what the tables hold", || async {
                exchange.app.engine.committed().read().tail.floor() >= target
            })
            .await;
        }
        assert_eq!(matches(&format!("orderId={maker}")).await, of_maker);
        assert_eq!(matches(&format!("orderId={maker}&fromPreventedMatchId=2")).await, json!([of_maker[1]]));
        assert_eq!(matches(&format!("orderId={maker}&limit=1")).await, json!([of_maker[0]]));
        assert_eq!(matches(&format!("orderId={}", placed["orderId"])).await, json!([of_maker[0]]));
        assert_eq!(matches("preventedMatchId=2").await, json!([of_maker[1]]));
        assert_eq!(matches("preventedMatchId=3").await, json!([]));
        let strange = bob.get(PATH, "symbol=BTCUSDT&preventedMatchId=1").await.ok();
        assert_eq!(strange, json!([]), "not of another account");
    }
    worker.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_wrongly() {
    let exchange = Exchange::start().await;
    let ada = exchange.trader("ada").await;
    let combination = "Combination of optional parameters invalid.";
    let rows = [
        ("preventedMatchId=1", -1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."),
        ("symbol=BTCUSDT", -1102, "Param 'preventedMatchId' or 'orderId' must be sent, but both were empty/null!"),
        ("symbol=BTCUSDT&preventedMatchId=1&orderId=1", -1128, combination),
        ("symbol=BTCUSDT&preventedMatchId=1&fromPreventedMatchId=1", -1128, combination),
        ("symbol=BTCUSDT&preventedMatchId=1&limit=5", -1128, combination),
        ("symbol=NOSUCH&preventedMatchId=1", -1121, "Invalid symbol."),
    ];
    for (query, code, text) in rows {
        assert_eq!(ada.get(PATH, query).await.error(), (400, code, text), "{query}");
    }
    let transfer = "side=SELL&type=LIMIT&timeInForce=GTC&price=50&quantity=2&selfTradePreventionMode=TRANSFER";
    let text = "This symbol does not allow the specified self-trade prevention mode.";
    assert_eq!(ada.order(transfer).await.error(), (400, -1013, text));
    let info = exchange.public("/api/v3/exchangeInfo", "symbol=BTCUSDT").await.ok();
    let modes = json!(["NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "DECREMENT"]);
    assert_eq!(info["symbols"][0]["allowedSelfTradePreventionModes"], modes);
}
