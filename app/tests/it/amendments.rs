//! Tests of amendments over HTTP and the WebSocket API: reply, priority, events of the account, list of amendments.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    exchange::Exchange,
    socket::Socket,
    ws_api::{signed, subscribe},
};

const PATH: &str = "/api/v3/order/amend/keepPriority";

#[tokio::test(flavor = "multi_thread")]
async fn an_amended_order_retains_its_place() {
    let exchange = Exchange::start().await;
    let (ada, bob, cy) = (exchange.trader("ada").await, exchange.trader("bob").await, exchange.trader("cy").await);
    let mut events = subscribe(&ada).await;
    let first = ada.order("side=BUY&type=LIMIT&timeInForce=GTC&price=100&quantity=5&newClientOrderId=old").await.ok();
    bob.limit("BUY", "100.00", "4").await;
    let id = first["orderId"].clone();
    let amended = ada.put(PATH, &format!("symbol=BTCUSDT&orderId={id}&newQty=2&newClientOrderId=new")).await;
    assert_eq!(amended.header("x-mbx-order-count-10s"), None, "an amendment is not an order");
    let amended = amended.ok();
    let execution = amended["executionId"].clone();
    let expected = json!({
        "transactTime": amended["transactTime"], "executionId": execution,
        "amendedOrder": {
            "symbol": "BTCUSDT", "orderId": id, "orderListId": -1, "origClientOrderId": "old", "clientOrderId": "new",
            "price": "100.00000000", "qty": "2.00000000", "executedQty": "0.00000000", "preventedQty": "0.00000000",
            "quoteOrderQty": "0.00000000", "cumulativeQuoteQty": "0.00000000", "status": "NEW", "timeInForce": "GTC",
            "type": "LIMIT", "side": "BUY", "workingTime": first["workingTime"], "selfTradePreventionMode": "EXPIRE_MAKER",
        },
    });
    assert_eq!(amended, expected);
    assert_eq!(ada.balance("USDT").await, ("999800.00000000".into(), "200.00000000".into()));
    let depth = exchange.public("/api/v3/depth", "symbol=BTCUSDT").await.ok();
    assert_eq!(depth["bids"], json!([["100.00000000", "6.00000000"]]));
    let listed = ada.get("/api/v3/order/amendments", &format!("symbol=BTCUSDT&orderId={id}")).await.ok();
    let row = json!({
        "symbol": "BTCUSDT", "orderId": id, "executionId": execution, "origClientOrderId": "old", "newClientOrderId": "new",
        "origQty": "5.00000000", "newQty": "2.00000000", "time": amended["transactTime"],
    });
    assert_eq!(listed, json!([row]));
    let later = format!("symbol=BTCUSDT&orderId={id}&fromExecutionId={}", execution.as_u64().unwrap() + 1);
    assert_eq!(ada.get("/api/v3/order/amendments", &later).await.ok(), json!([]));
    let strange = bob.get("/api/v3/order/amendments", &format!("symbol=BTCUSDT&orderId={id}")).await.ok();
    assert_eq!(strange, json!([]), "not of another account");

    cy.limit("SELL", "100.00", "2").await;
    let order = ada.get("/api/v3/order", "symbol=BTCUSDT&origClientOrderId=new").await.ok();
    assert_eq!((&order["status"], &order["origQty"]), (&json!("FILLED"), &json!("2.00000000")));
    assert_eq!(ada.get("/api/v3/order", "symbol=BTCUSDT&origClientOrderId=old").await.error().1, -2013);

    let seen = events.until_quiet(Duration::from_secs(2)).await;
    let replaced = seen.iter().map(|message| &message["event"]).find(|event| event["x"] == "REPLACED").expect("a report");
    let members = ["e", "X", "i", "I", "c", "C", "q", "w", "z"].map(|name| replaced[name].clone());
    let expected = json!(["executionReport", "NEW", id, execution, "new", "old", "2.00000000", true, "0.00000000"]);
    assert_eq!(Value::from(members.to_vec()), expected, "{replaced}");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_orders_of_a_pair_are_amended() {
    let exchange = Exchange::start().await;
    let (ada, bob) = (exchange.trader("ada").await, exchange.trader("bob").await);
    bob.limit("SELL", "100.00", "1").await;
    exchange.trader("cy").await.limit("BUY", "100.00", "1").await;
    let oco = "symbol=BTCUSDT&side=SELL&quantity=1&aboveType=LIMIT_MAKER&abovePrice=120&belowType=STOP_LOSS_LIMIT\
               &belowStopPrice=90&belowPrice=89&belowTimeInForce=GTC&listClientOrderId=list&aboveClientOrderId=above\
               &belowClientOrderId=below";
    let list = ada.post("/api/v3/orderList/oco", oco).await.ok();
    let (mut events, mut socket) = (subscribe(&ada).await, Socket::open(&exchange.app, "/ws-api/v3").await);
    let amend = json!({"symbol": "BTCUSDT", "origClientOrderId": "below", "newClientOrderId": "lower", "newQty": "0.4"});
    let reply = socket.ask(signed(&ada, "order.amend.keepPriority", amend)).await;
    assert_eq!(reply["status"], 200, "{reply}");
    let kinds: Vec<&Value> = reply["rateLimits"].as_array().unwrap().iter().map(|row| &row["rateLimitType"]).collect();
    assert_eq!(kinds, ["REQUEST_WEIGHT"]);
    let orders = json!([
        {"symbol": "BTCUSDT", "orderId": list["orders"][0]["orderId"], "clientOrderId": "lower"},
        {"symbol": "BTCUSDT", "orderId": list["orders"][1]["orderId"], "clientOrderId": "above"},
    ]);
    let result = &reply["result"];
    assert_eq!(result["amendedOrder"]["qty"], "0.40000000");
    assert_eq!(result["amendedOrder"].get("workingTime"), None, "it waits for its price");
    let status = json!({
        "orderListId": list["orderListId"], "contingencyType": "OCO", "listOrderStatus": "EXECUTING",
        "listClientOrderId": "list", "symbol": "BTCUSDT", "orders": orders,
    });
    assert_eq!(result["listStatus"], status);
    let open = ada.get("/api/v3/openOrders", "symbol=BTCUSDT").await.ok();
    assert!(open.as_array().unwrap().iter().all(|order| order["origQty"] == "0.40000000"), "{open}");
    assert_eq!(ada.balance("BTC").await, ("99.60000000".into(), "0.40000000".into()));
    assert_eq!(ada.get("/api/v3/orderList", "origClientOrderId=list").await.ok()["orders"], orders);
    for row in orders.as_array().unwrap() {
        let parameters = json!({"symbol": "BTCUSDT", "orderId": row["orderId"]});
        let listed = socket.ask(signed(&ada, "order.amendments", parameters)).await;
        assert_eq!(listed["result"].as_array().map(Vec::len), Some(1), "{listed}");
    }

    let seen = events.until_quiet(Duration::from_secs(2)).await;
    let seen: Vec<&Value> = seen.iter().map(|message| &message["event"]).collect();
    let kinds: Vec<&str> = seen.iter().filter_map(|event| event["x"].as_str().or(event["l"].as_str())).collect();
    assert_eq!(kinds, ["REPLACED", "UPDATED", "REPLACED"], "{seen:#?}");
    let updated = seen.iter().find(|event| event["l"] == "UPDATED").unwrap();
    assert_eq!((&updated["L"], &updated["O"][0]["c"]), (&json!("EXECUTING"), &json!("lower")));
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_amendments_change_nothing() {
    let exchange = Exchange::start().await;
    let (ada, bob) = (exchange.trader("ada").await, exchange.trader("bob").await);
    let id = ada.limit("BUY", "100.00", "1").await["orderId"].clone();
    ada.order("side=BUY&type=LIMIT&timeInForce=GTC&price=99&quantity=1&newClientOrderId=taken").await.ok();
    bob.limit("SELL", "100.00", "0.3").await;
    let before = ada.holdings().await;
    let rows = [
        ("newQty=0.5", -1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!"),
        ("orderId=ID", -1102, "Mandatory parameter 'newQty' was not sent, was empty/null, or malformed."),
        (
            "orderId=ID&newQty=-1",
            -1100,
            "Illegal characters found in parameter 'newQty'; legal range is '^([0-9]{1,20})(\\.[0-9]{1,20})?$'.",
        ),
        ("orderId=ID&newQty=0", -2038, "Filter failure: LOT_SIZE"),
        ("orderId=ID&newQty=0.000001", -2038, "Filter failure: LOT_SIZE"),
        ("orderId=ID&newQty=0.01", -2038, "Filter failure: NOTIONAL"),
        ("orderId=ID&newQty=1", -2038, "The requested action would change no state; rejecting"),
        ("orderId=ID&newQty=2", -2038, "Order amend (quantity increase) is not supported."),
        ("orderId=ID&newQty=0.3", -2038, "Order amend (quantity not above the executed quantity) is not supported."),
        ("orderId=ID&newQty=0.5&newClientOrderId=taken", -2038, "Duplicate order sent."),
        ("orderId=ID&newQty=0.5&origClientOrderId=taken", -2039, "Client order ID is not correct for this order ID."),
        ("orderId=777777&newQty=0.5", -2038, "Unknown order sent."),
        ("origClientOrderId=nothing&newQty=0.5", -2038, "Unknown order sent."),
        ("orderId=ID&newQty=0.5&quantity=1", -1104, "Not all sent parameters were read; read '5' parameter(s) but was sent '6'."),
    ];
    for (parameters, code, text) in rows {
        let parameters =
            format!("symbol=BTCUSDT&{}", parameters.replace("ID&", &format!("{id}&")).replace("=ID", &format!("={id}")));
        let answer = ada.put(PATH, &parameters).await;
        assert_eq!(answer.error(), (400, code, text), "{parameters}");
    }
    assert_eq!(bob.put(PATH, &format!("symbol=BTCUSDT&orderId={id}&newQty=0.5")).await.error().1, -2038);
    assert_eq!(ada.holdings().await, before);

    let info = exchange.public("/api/v3/exchangeInfo", "symbol=BTCUSDT").await.ok();
    assert_eq!(info["symbols"][0]["amendAllowed"], true);
    let filters = info["symbols"][0]["filters"].as_array().unwrap();
    assert_eq!(filters.last(), Some(&json!({"filterType": "MAX_NUM_ORDER_AMENDS", "maxNumOrderAmends": 10})));
    for number in 0..10 {
        ada.put(PATH, &format!("symbol=BTCUSDT&orderId={id}&newQty=0.{}", 99 - number)).await.ok();
    }
    let answer = ada.put(PATH, &format!("symbol=BTCUSDT&orderId={id}&newQty=0.5")).await;
    assert_eq!(answer.error(), (400, -2038, "Filter failure: MAX_NUM_ORDER_AMENDS"));
}
