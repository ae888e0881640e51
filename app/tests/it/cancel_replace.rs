//! Tests of cancelReplace: every reachable row of the documented table, with its status, code and data.

use serde_json::{Value, json};

use crate::exchange::{Answer, Exchange, Trader};

const PATH: &str = "/api/v3/order/cancelReplace";
const NEW: &str = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=91.00&quantity=1";
const POST_ONLY: &str = "symbol=BTCUSDT&side=BUY&type=LIMIT_MAKER&price=100.00&quantity=1";
const FAILS: Option<u64> = Some(999);

async fn resting(trader: &Trader<'_>) -> Option<u64> {
    trader.limit("BUY", "90.00", "1").await["orderId"].as_u64()
}

async fn replace(trader: &Trader<'_>, new: &str, mode: &str, cancel: Option<u64>) -> Answer {
    let cancel = cancel.unwrap();
    trader.post(PATH, &format!("{new}&cancelReplaceMode={mode}&cancelOrderId={cancel}")).await
}

/// HTTP status, code, cancelResult, newOrderResult.
fn told(answer: &Answer) -> (u16, i64, &str, &str) {
    let data = if answer.body.get("data").is_some() { &answer.body["data"] } else { &answer.body };
    let text = |name: &str| data[name].as_str().unwrap_or_default();
    (answer.status.as_u16(), answer.body["code"].as_i64().unwrap_or(0), text("cancelResult"), text("newOrderResult"))
}

#[tokio::test]
async fn both_halves_are_told() {
    let exchange = Exchange::start().await;
    let (trader, maker) = (exchange.trader("trader").await, exchange.trader("maker").await);
    maker.limit("SELL", "100.00", "1").await;

    let order = resting(&trader).await;
    let answer = replace(&trader, NEW, "STOP_ON_FAILURE", order).await;
    assert_eq!(told(&answer), (200, 0, "SUCCESS", "SUCCESS"));
    assert_eq!(answer.header("x-mbx-order-count-10s"), Some("2"));
    let body = answer.ok();
    assert_eq!((body["cancelResponse"]["orderId"].as_u64(), &body["cancelResponse"]["status"]), (order, &json!("CANCELED")));
    assert_eq!((&body["newOrderResponse"]["status"], &body["newOrderResponse"]["fills"]), (&json!("NEW"), &json!([])));
    let placed = body["newOrderResponse"]["orderId"].as_u64();

    let answer = replace(&trader, NEW, "STOP_ON_FAILURE", FAILS).await;
    assert_eq!(told(&answer), (400, -2022, "FAILURE", "NOT_ATTEMPTED"));
    let expected = json!({"code": -2022, "msg": "Order cancel-replace failed.", "data": {
        "cancelResult": "FAILURE", "newOrderResult": "NOT_ATTEMPTED",
        "cancelResponse": {"code": -2011, "msg": "Unknown order sent."}, "newOrderResponse": null,
    }});
    assert_eq!(answer.body, expected);

    let answer = replace(&trader, POST_ONLY, "STOP_ON_FAILURE", placed).await;
    assert_eq!(told(&answer), (409, -2021, "SUCCESS", "FAILURE"));
    assert_eq!(answer.body["msg"], "Order cancel-replace partially failed.");
    let refused = json!({"code": -2010, "msg": "Order would immediately match and take."});
    assert_eq!(
        (&answer.body["data"]["newOrderResponse"], &answer.body["data"]["cancelResponse"]["status"]),
        (&refused, &json!("CANCELED"))
    );

    let answer = replace(&trader, POST_ONLY, "ALLOW_FAILURE", FAILS).await;
    assert_eq!(told(&answer), (400, -2022, "FAILURE", "FAILURE"));
    let answer = replace(&trader, NEW, "ALLOW_FAILURE", FAILS).await;
    assert_eq!(told(&answer), (409, -2021, "FAILURE", "SUCCESS"));
    assert!(answer.body["data"]["newOrderResponse"]["orderId"].is_u64());
    let answer = replace(&trader, POST_ONLY, "ALLOW_FAILURE", resting(&trader).await).await;
    assert_eq!(told(&answer), (409, -2021, "SUCCESS", "FAILURE"));

    let restricted = format!("{NEW}&cancelRestrictions=ONLY_PARTIALLY_FILLED");
    let answer = replace(&trader, &restricted, "STOP_ON_FAILURE", resting(&trader).await).await;
    assert_eq!(answer.body["data"]["cancelResponse"]["msg"], "Order was not canceled due to cancel restrictions.");
}

#[tokio::test]
async fn an_exceeded_order_count_stops_it_or_leaves_the_cancel() {
    let exchange = Exchange::with(|settings| settings.rate_limits.orders_1d = 5).await;
    let trader = exchange.trader("trader").await;
    let mut orders = Vec::new();
    for _ in 0..5 {
        orders.push(resting(&trader).await);
    }
    let text = "Too many new orders; current limit is 5 orders per 1 DAY.";
    let answer = replace(&trader, NEW, "STOP_ON_FAILURE", orders[0]).await;
    assert_eq!(answer.error(), (429, -1015, text));
    assert!(answer.header("retry-after").is_some_and(|seconds| seconds.parse::<u64>().unwrap() <= 86_400));
    assert_eq!(trader.get("/api/v3/openOrders", "").await.ok().as_array().map(Vec::len), Some(5));

    let cancel_only = format!("{NEW}&orderRateLimitExceededMode=CANCEL_ONLY");
    let rows = [
        ("STOP_ON_FAILURE", orders[0], (429, -2021, "SUCCESS", "FAILURE")),
        ("STOP_ON_FAILURE", FAILS, (429, -2022, "FAILURE", "NOT_ATTEMPTED")),
        ("ALLOW_FAILURE", orders[1], (409, -2021, "SUCCESS", "FAILURE")),
        ("ALLOW_FAILURE", FAILS, (400, -2022, "FAILURE", "FAILURE")),
    ];
    for (mode, cancel, expected) in rows {
        let answer = replace(&trader, &cancel_only, mode, cancel).await;
        assert_eq!(told(&answer), expected, "{mode}");
        let new = &answer.body["data"]["newOrderResponse"];
        assert!(*new == Value::Null || *new == json!({"code": -1015, "msg": text}), "{new}");
    }
    assert_eq!(trader.get("/api/v3/openOrders", "").await.ok().as_array().map(Vec::len), Some(3));
}
