//! Tests of every order type, time in force and self-trade prevention mode over HTTP: replies and balances.

use serde_json::{Value, json};

use crate::exchange::{Exchange, Trader};

/// Each field in `expected` has that value in `order`.
#[track_caller]
fn matches(order: &Value, expected: Value) {
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&order[name], value, "{name} of {order}");
    }
}

fn names(value: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

async fn status(trader: &Trader<'_>, order: &Value) -> Value {
    trader.get("/api/v3/order", &format!("symbol=BTCUSDT&orderId={}", order["orderId"])).await.ok()
}

/// rest-api.md, "New order": field for field.
#[tokio::test]
async fn replies_have_the_documented_shapes() {
    let exchange = Exchange::start().await;
    let (taker, maker) = (exchange.trader("taker").await, exchange.trader("maker").await);
    maker.limit("BUY", "100.00", "1").await;
    maker.limit("BUY", "99.00", "5").await;
    let market = "side=SELL&type=MARKET&quantity=2&newClientOrderId=6gCrw2kRUAF9CvJDGP16IP";
    let full = taker.order(market).await;
    assert_eq!(full.header("content-type"), Some("application/json;charset=UTF-8"));
    assert_eq!((full.header("x-mbx-order-count-10s"), full.header("x-mbx-order-count-1d")), (Some("1"), Some("1")));
    assert_eq!(full.header("x-mbx-uuid").map(str::len), Some(36));
    let full = full.ok();
    let mut expected = json!({
        "symbol": "BTCUSDT", "orderId": 3, "orderListId": -1, "clientOrderId": "6gCrw2kRUAF9CvJDGP16IP",
        "transactTime": full["transactTime"], "price": "0.00000000", "origQty": "2.00000000", "executedQty": "2.00000000",
        "origQuoteOrderQty": "0.00000000", "cummulativeQuoteQty": "199.00000000", "status": "FILLED", "timeInForce": "GTC",
        "type": "MARKET", "side": "SELL", "workingTime": full["transactTime"], "selfTradePreventionMode": "EXPIRE_MAKER",
        "fills": [
            {"price": "100.00000000", "qty": "1.00000000", "commission": "0.20000000", "commissionAsset": "USDT", "tradeId": 1},
            {"price": "99.00000000", "qty": "1.00000000", "commission": "0.19800000", "commissionAsset": "USDT", "tradeId": 2},
        ],
    });
    expected["fills"][0]["tradeId"] = full["fills"][0]["tradeId"].clone();
    expected["fills"][1]["tradeId"] = full["fills"][1]["tradeId"].clone();
    assert_eq!(full, expected);
    assert_eq!(full["fills"][1]["tradeId"].as_u64(), full["fills"][0]["tradeId"].as_u64().map(|id| id + 1));
    let age = crate::exchange::now() as u64 - full["transactTime"].as_u64().unwrap();
    assert!(age < 60_000, "milliseconds: {full}");

    let result = taker.order("side=BUY&type=LIMIT&timeInForce=GTC&price=90&quantity=1&newOrderRespType=RESULT").await.ok();
    let mut fields = names(&expected);
    fields.retain(|name| *name != "fills");
    assert_eq!(names(&result), fields);
    matches(&result, json!({"status": "NEW", "price": "90.00000000", "type": "LIMIT"}));
    let made_up = result["clientOrderId"].as_str().unwrap();
    assert!(made_up.len() == 22 && made_up.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{made_up}");

    let ack = taker.order("side=BUY&type=LIMIT_MAKER&price=80&quantity=1").await.ok();
    assert_eq!(names(&ack), ["clientOrderId", "orderId", "orderListId", "symbol", "transactTime"]);

    let open = taker.get("/api/v3/openOrders", "symbol=BTCUSDT").await.ok();
    assert_eq!(open[0], status(&taker, &result).await);
    let queried = [
        "clientOrderId",
        "cummulativeQuoteQty",
        "executedQty",
        "icebergQty",
        "isWorking",
        "orderId",
        "orderListId",
        "origQty",
        "origQuoteOrderQty",
        "price",
        "selfTradePreventionMode",
        "side",
        "status",
        "stopPrice",
        "symbol",
        "time",
        "timeInForce",
        "type",
        "updateTime",
        "workingTime",
    ];
    assert_eq!(names(&open[0]), queried);

    let cancel = "symbol=BTCUSDT&origClientOrderId=".to_owned() + made_up + "&newClientOrderId=cancelMyOrder1";
    let canceled = taker.delete("/api/v3/order", &cancel).await.ok();
    let expected = json!({
        "symbol": "BTCUSDT", "origClientOrderId": made_up, "orderId": result["orderId"], "orderListId": -1,
        "clientOrderId": "cancelMyOrder1", "transactTime": canceled["transactTime"], "price": "90.00000000",
        "origQty": "1.00000000", "executedQty": "0.00000000", "origQuoteOrderQty": "0.00000000",
        "cummulativeQuoteQty": "0.00000000", "status": "CANCELED", "timeInForce": "GTC", "type": "LIMIT", "side": "BUY",
        "selfTradePreventionMode": "EXPIRE_MAKER",
    });
    assert_eq!(canceled, expected);
    matches(&status(&taker, &result).await, json!({"status": "CANCELED", "isWorking": true}));
    let all = taker.delete("/api/v3/openOrders", "symbol=BTCUSDT").await.ok();
    assert_eq!((all.as_array().unwrap().len(), &all[0]["orderId"], &all[0]["status"]), (1, &ack["orderId"], &json!("CANCELED")));
}

#[tokio::test]
async fn limit_orders_rest_trade_and_expire() {
    let exchange = Exchange::start().await;
    let (taker, maker) = (exchange.trader("taker").await, exchange.trader("maker").await);
    maker.limit("SELL", "100.00", "1").await;
    assert_eq!(maker.balance("BTC").await, ("99.00000000".into(), "1.00000000".into()));
    let order = |kind: &str, price: u32| {
        let parameters = format!("side=BUY&type=LIMIT&timeInForce={kind}&price={price}&quantity=2");
        let taker = &taker;
        async move { taker.order(&parameters).await.ok() }
    };
    let fok = order("FOK", 100).await;
    matches(&fok, json!({"status": "EXPIRED", "executedQty": "0.00000000", "expiryReason": "UNFILLED_FOK_ORDER_EXPIRED"}));
    let gtc = order("GTC", 100).await;
    matches(&gtc, json!({"status": "PARTIALLY_FILLED", "executedQty": "1.00000000", "cummulativeQuoteQty": "100.00000000"}));
    // A buyer pays commission in the asset that it buys: 0.2 % of 1 BTC.
    assert_eq!(taker.balance("BTC").await, ("100.99800000".into(), "0.00000000".into()));
    assert_eq!(taker.balance("USDT").await, ("999800.00000000".into(), "100.00000000".into()));
    maker.limit("SELL", "101.00", "1").await;
    let ioc = order("IOC", 101).await;
    matches(&ioc, json!({"status": "EXPIRED", "executedQty": "1.00000000", "expiryReason": "UNFILLED_IOC_QUANTITY_EXPIRED"}));
    matches(&status(&taker, &ioc).await, json!({"status": "EXPIRED", "expiryReason": "UNFILLED_IOC_QUANTITY_EXPIRED"}));
    let post_only = maker.order("side=SELL&type=LIMIT_MAKER&price=102&quantity=1&newOrderRespType=RESULT").await.ok();
    matches(&post_only, json!({"status": "NEW", "type": "LIMIT_MAKER"}));
    assert!(post_only["workingTime"].as_i64().unwrap() > 0);
}

#[tokio::test]
async fn market_orders_by_quantity_and_by_money() {
    let exchange = Exchange::start().await;
    let (taker, maker) = (exchange.trader("taker").await, exchange.trader("maker").await);
    maker.limit("SELL", "100.00", "1").await;
    maker.limit("SELL", "200.00", "1").await;
    let by_money = taker.order("side=BUY&type=MARKET&quoteOrderQty=150").await.ok();
    matches(
        &by_money,
        json!({"status": "FILLED", "executedQty": "1.25000000", "cummulativeQuoteQty": "150.00000000", "origQuoteOrderQty": "150.00000000"}),
    );
    assert_eq!(by_money["fills"].as_array().unwrap().len(), 2);
    let too_much = taker.order("side=BUY&type=MARKET&quantity=2").await.ok();
    matches(&too_much, json!({"status": "EXPIRED", "executedQty": "0.75000000", "expiryReason": "INSUFFICIENT_LIQUIDITY"}));
    assert_eq!(taker.balance("USDT").await.1, "0.00000000");
}

#[tokio::test]
async fn stops_wait_and_are_set_off() {
    let exchange = Exchange::start().await;
    let (taker, maker) = (exchange.trader("taker").await, exchange.trader("maker").await);
    maker.limit("SELL", "100.00", "1").await;
    taker.limit("BUY", "100.00", "1").await;
    let rows = [
        ("side=SELL&type=STOP_LOSS&stopPrice=90&quantity=1", "STOP_LOSS"),
        ("side=SELL&type=STOP_LOSS_LIMIT&timeInForce=GTC&stopPrice=91&price=89&quantity=1", "STOP_LOSS_LIMIT"),
        ("side=BUY&type=TAKE_PROFIT&stopPrice=92&quantity=1", "TAKE_PROFIT"),
        ("side=BUY&type=TAKE_PROFIT_LIMIT&timeInForce=GTC&stopPrice=93&price=94&quantity=1", "TAKE_PROFIT_LIMIT"),
    ];
    let mut orders = Vec::new();
    for (parameters, kind) in rows {
        let ack = taker.order(parameters).await.ok();
        assert_eq!(names(&ack).len(), 5, "ACK by default: {ack}");
        let waiting = status(&taker, &ack).await;
        matches(&waiting, json!({"type": kind, "status": "NEW", "isWorking": false, "workingTime": -1}));
        assert_ne!(waiting["stopPrice"], "0.00000000");
        orders.push(ack);
    }
    let result = taker.order("side=SELL&type=STOP_LOSS&stopPrice=10&quantity=1&newOrderRespType=RESULT").await.ok();
    matches(&result, json!({"stopPrice": "10.00000000", "workingTime": -1, "status": "NEW"}));

    // A trade at 90 triggers all four; another maker's orders fill them.
    maker.limit("BUY", "90.00", "1").await;
    maker.limit("BUY", "89.50", "5").await;
    maker.limit("SELL", "94.00", "5").await;
    exchange.trader("another").await.limit("SELL", "90.00", "1").await;
    for order in &orders {
        matches(&status(&taker, order).await, json!({"status": "FILLED", "isWorking": true, "executedQty": "1.00000000"}));
    }
    matches(&status(&taker, &result).await, json!({"status": "NEW"}));
}

#[tokio::test]
async fn an_account_does_not_trade_with_itself() {
    let exchange = Exchange::start().await;
    let trader = exchange.trader("trader").await;
    let rows = [
        ("EXPIRE_TAKER", "EXPIRED_IN_MATCH", "NEW"),
        ("EXPIRE_MAKER", "NEW", "EXPIRED_IN_MATCH"),
        ("EXPIRE_BOTH", "EXPIRED_IN_MATCH", "EXPIRED_IN_MATCH"),
        ("NONE", "FILLED", "FILLED"),
    ];
    for (mode, taker_status, maker_status) in rows {
        let maker = trader.limit("SELL", "100.00", "1").await;
        let parameters = format!("side=BUY&type=LIMIT&timeInForce=GTC&price=100&quantity=1&selfTradePreventionMode={mode}");
        let taker = trader.order(&parameters).await.ok();
        matches(&taker, json!({"status": taker_status, "selfTradePreventionMode": mode}));
        let maker = status(&trader, &maker).await;
        matches(&maker, json!({"status": maker_status}));
        for expired in [&taker, &maker].into_iter().filter(|order| order["status"] == "EXPIRED_IN_MATCH") {
            matches(expired, json!({"preventedQuantity": "1.00000000"}));
            assert!(expired["preventedMatchId"].is_u64(), "{expired}");
        }
        assert_eq!(taker.get("preventedMatchId").is_some(), taker_status == "EXPIRED_IN_MATCH");
        // The row ends with an empty book.
        let _ = trader.delete("/api/v3/openOrders", "symbol=BTCUSDT").await;
    }
}

#[tokio::test]
async fn a_test_order_is_judged_and_has_no_effect() {
    let exchange = Exchange::start().await;
    let trader = exchange.trader("trader").await;
    let before = trader.holdings().await;
    let order = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=100&quantity=1";
    let answer = trader.post("/api/v3/order/test", order).await;
    assert_eq!(answer.ok(), json!({}));
    let rates = trader.post("/api/v3/order/test", &format!("{order}&computeCommissionRates=true")).await.ok();
    let zero = json!({"maker": "0.00000000", "taker": "0.00000000"});
    let expected = json!({
        "standardCommissionForOrder": {"maker": "0.00100000", "taker": "0.00200000"},
        "specialCommissionForOrder": zero, "taxCommissionForOrder": zero,
        "discount": {"enabledForAccount": false, "enabledForSymbol": false, "discountAsset": "BNB", "discount": "0.00000000"},
    });
    assert_eq!(rates, expected);
    assert_eq!(trader.holdings().await, before);
    assert_eq!(trader.limit("BUY", "100.00", "1").await["orderId"], 1);
}
