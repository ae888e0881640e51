//! Tests of protections: halts of all markets, delisting, PRICE_RANGE, the circuit breaker, the feature level.

use serde_json::json;
use sqlx::{ConnectOptions, postgres::PgConnectOptions};

use super::command::Operator;
use crate::{eventually::until, exchange::Exchange};

#[tokio::test]
async fn one_command_halts_every_market_and_one_resumes() {
    let exchange = Exchange::start().await;
    let operator = Operator::of(&exchange);
    operator.does(&["market", "halt", "BNBUSDT"]).await;
    assert_eq!(operator.does(&["market", "halt-all"]).await, json!({ "changed": ["BTCUSDT"] }));
    let statuses = async || {
        let info = exchange.public("/api/v3/exchangeInfo", "").await.ok();
        info["symbols"].as_array().unwrap().iter().map(|symbol| symbol["status"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(statuses().await, ["HALT", "HALT"]);
    let refused = operator.refused(&["market", "resume-all", "--except", "NOSUCH"]).await;
    assert!(refused.contains("NOSUCH does not exist"), "{refused}");
    assert_eq!(operator.does(&["market", "resume-all", "--except", "BNBUSDT"]).await, json!({ "changed": ["BTCUSDT"] }));
    assert_eq!(statuses().await, ["TRADING", "HALT"]);
    assert_eq!(operator.does(&["market", "cancel-only-all"]).await, json!({ "changed": ["BTCUSDT", "BNBUSDT"] }));
    assert_eq!(statuses().await, ["CANCEL_ONLY", "CANCEL_ONLY"]);
}

#[tokio::test]
async fn filters_of_positions_and_counts_are_added_and_removed() {
    let exchange = Exchange::start().await;
    let operator = Operator::of(&exchange);
    let trader = operator.trader(&exchange, "trader").await;
    operator.does(&["market", "set-limits", "BTCUSDT", "--max-position", "100.5", "--max-order-lists", "2"]).await;
    operator.does(&["market", "set-exchange-limits", "--max-orders", "3", "--max-algo-orders", "1"]).await;
    operator.does(&["market", "set-exchange-limits", "--max-order-lists", "9", "--max-iceberg-orders", "1"]).await;
    let of_level_6 =
        ["market", "set-limits", "BTCUSDT", "--iceberg-parts", "4", "--max-iceberg-orders", "2", "--max-order-amends", "1"];
    operator.does(&of_level_6).await;
    let of_level_7 = ["market", "set-limits", "BTCUSDT", "--min-trailing-above-delta", "20", "--max-trailing-below-delta", "300"];
    operator.does(&of_level_7).await;
    let of_all = json!([
        {"filterType": "EXCHANGE_MAX_NUM_ORDERS", "maxNumOrders": 3},
        {"filterType": "EXCHANGE_MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": 1},
        {"filterType": "EXCHANGE_MAX_NUM_ICEBERG_ORDERS", "maxNumIcebergOrders": 1},
        {"filterType": "EXCHANGE_MAX_NUM_ORDER_LISTS", "maxNumOrderLists": 9},
    ]);
    let info = exchange.public("/api/v3/exchangeInfo", "symbol=BTCUSDT").await.ok();
    assert_eq!(info["exchangeFilters"], of_all);
    let filters = info["symbols"][0]["filters"].as_array().unwrap();
    for filter in [
        json!({"filterType": "MAX_POSITION", "maxPosition": "100.50000000"}),
        json!({"filterType": "MAX_NUM_ORDER_LISTS", "maxNumOrderLists": 2}),
        json!({"filterType": "ICEBERG_PARTS", "limit": 4}),
        json!({
            "filterType": "TRAILING_DELTA", "minTrailingAboveDelta": 20, "maxTrailingAboveDelta": 2_000, "minTrailingBelowDelta": 10,
            "maxTrailingBelowDelta": 300,
        }),
        json!({"filterType": "MAX_NUM_ICEBERG_ORDERS", "maxNumIcebergOrders": 2}),
        json!({"filterType": "MAX_NUM_ORDER_AMENDS", "maxNumOrderAmends": 1}),
    ] {
        assert!(filters.contains(&filter), "{filter} in {filters:?}");
    }
    let own = trader.get("/api/v3/myFilters", "symbol=BTCUSDT").await.ok();
    assert_eq!((&own["exchangeFilters"], &own["symbolFilters"]), (&of_all, &info["symbols"][0]["filters"]));
    let over = trader.order("side=BUY&type=LIMIT&timeInForce=GTC&price=100&quantity=101").await;
    assert_eq!(over.error(), (400, -1013, "Filter failure: MAX_POSITION"));
    let iceberg = "side=BUY&type=LIMIT&timeInForce=GTC&price=100&quantity=0.1&icebergQty";
    let parts = trader.order(&format!("{iceberg}=0.02")).await;
    assert_eq!(parts.error(), (400, -1013, "Filter failure: ICEBERG_PARTS"));
    let first = trader.order(&format!("{iceberg}=0.05")).await.ok();
    let second = trader.order(&format!("{iceberg}=0.05")).await;
    assert_eq!(second.error(), (400, -1013, "Filter failure: EXCHANGE_MAX_NUM_ICEBERG_ORDERS"));
    let amend = async |quantity: &str| {
        let parameters = format!("symbol=BTCUSDT&orderId={}&newQty={quantity}", first["orderId"]);
        trader.put("/api/v3/order/amend/keepPriority", &parameters).await
    };
    amend("0.09").await.ok();
    assert_eq!(amend("0.08").await.error(), (400, -2038, "Filter failure: MAX_NUM_ORDER_AMENDS"));
    for _ in 0..2 {
        trader.limit("BUY", "100.00", "0.1").await;
    }
    let full = trader.order("side=BUY&type=LIMIT&timeInForce=GTC&price=100&quantity=0.1").await;
    assert_eq!(full.error(), (400, -1013, "Filter failure: EXCHANGE_MAX_NUM_ORDERS"));
    let refused = operator.refused(&["market", "set-limits", "BTCUSDT", "--max-position", "many"]).await;
    assert!(refused.contains("max-position: invalid value many"), "{refused}");
    let refused = operator.refused(&["market", "set-limits", "BTCUSDT", "--iceberg-parts", "1"]).await;
    assert!(refused.contains("the limit of ICEBERG_PARTS must be 2 to 1000, or 0 for 100; sent: 1"), "{refused}");
    let refused = operator.refused(&["market", "set-limits", "BTCUSDT", "--min-trailing-below-delta", "301"]).await;
    assert!(refused.contains("trailingBelowDelta must be from 1 to 9999 basis points"), "{refused}");
    let zero = ["--max-orders", "0", "--max-algo-orders", "0", "--max-order-lists", "0", "--max-iceberg-orders", "0"];
    operator.does(&[&["market", "set-exchange-limits"], &zero[..]].concat()).await;
    assert_eq!(exchange.public("/api/v3/exchangeInfo", "").await.ok()["exchangeFilters"], json!([]));
    trader.limit("BUY", "100.00", "0.1").await;
}

#[tokio::test]
async fn a_market_is_cleared_and_delisted() {
    let exchange = Exchange::start().await;
    let operator = Operator::of(&exchange);
    let trader = operator.trader(&exchange, "trader").await;
    trader.limit("BUY", "100", "1").await;
    let refused = operator.refused(&["market", "cancel-orders", "BTCUSDT"]).await;
    assert!(refused.contains("BTCUSDT trades: halt it first"), "{refused}");
    operator.does(&["market", "halt", "BTCUSDT"]).await;
    assert_eq!(operator.does(&["market", "cancel-orders", "BTCUSDT"]).await["queued"], true);
    let open = async || trader.get("/api/v3/openOrders", "").await.ok().as_array().unwrap().len();
    until("no order is open", async || open().await == 0).await;
    operator.does(&["market", "resume", "BTCUSDT"]).await;
    let order = trader.limit("BUY", "100", "1").await;
    operator.does(&["market", "delist", "BTCUSDT"]).await;
    until("no order is open", async || open().await == 0).await;
    let ended = trader.get("/api/v3/order", &format!("symbol=BTCUSDT&orderId={}", order["orderId"])).await.ok();
    assert_eq!(ended["status"], "CANCELED");
    let status = exchange.public("/api/v3/exchangeInfo", "symbol=BTCUSDT").await.ok()["symbols"][0]["status"].clone();
    assert_eq!(status, "BREAK");
    let listed = exchange.public("/api/v3/exchangeInfo", "symbolStatus=BREAK").await.ok();
    assert_eq!(listed["symbols"].as_array().unwrap().len(), 1);
    assert!(operator.refused(&["market", "resume", "BTCUSDT"]).await.contains("delisted for good"));
}

#[tokio::test]
async fn the_price_range_is_shown_and_holds() {
    let exchange = Exchange::start().await;
    let operator = Operator::of(&exchange);
    let (maker, taker) = (exchange.trader("maker").await, exchange.trader("taker").await);
    let rules = async || exchange.public("/api/v3/executionRules", "symbol=BTCUSDT").await.ok();
    let reference = async || exchange.public("/api/v3/referencePrice", "symbol=BTCUSDT").await;
    assert_eq!(rules().await, json!({ "symbolRules": [{ "symbol": "BTCUSDT", "rules": [] }] }));
    assert_eq!(reference().await.error(), (400, -2043, "This symbol doesn't have a reference price."));

    operator.does(&["market", "set-reference-price", "BTCUSDT", "100"]).await;
    let set = ["market", "set-price-range", "BTCUSDT", "--bid-limit-mult-up", "1.1", "--ask-limit-mult-down", "0.9"];
    operator.does(&set).await;
    let rule = json!({ "ruleType": "PRICE_RANGE", "bidLimitMultUp": "1.10000000", "askLimitMultDown": "0.90000000" });
    assert_eq!(rules().await["symbolRules"][0]["rules"], json!([rule]));
    let shown = reference().await.ok();
    assert_eq!((&shown["symbol"], &shown["referencePrice"]), (&json!("BTCUSDT"), &json!("100.00000000")));
    assert!(shown["timestamp"].as_i64().unwrap() > 0);

    maker.limit("SELL", "100", "1").await;
    maker.limit("SELL", "120", "1").await;
    let order = taker.order("side=BUY&type=MARKET&quantity=2").await.ok();
    assert_eq!((&order["status"], &order["executedQty"]), (&json!("EXPIRED"), &json!("1.00000000")));
    assert_eq!(order["expiryReason"], "EXECUTION_RULE_PRICE_RANGE_EXCEEDED");
    let queried = taker.get("/api/v3/order", &format!("symbol=BTCUSDT&orderId={}", order["orderId"])).await.ok();
    assert_eq!(queried["expiryReason"], "EXECUTION_RULE_PRICE_RANGE_EXCEEDED");

    let both = exchange.public("/api/v3/executionRules", "symbol=BTCUSDT&symbolStatus=TRADING").await;
    assert_eq!(both.error(), (400, -1128, "Combination of optional parameters invalid."));
    let all = exchange.public("/api/v3/executionRules", "").await;
    assert_eq!(all.ok()["symbolRules"].as_array().unwrap().len(), 2);
    let refused = operator.refused(&["market", "set-price-range", "BTCUSDT", "--bid-limit-mult-up", "0.5"]).await;
    assert!(refused.contains("bidLimitMultUp must be 0 (not set) or at least 1"), "{refused}");
    operator.does(&["market", "reset-price-range", "BTCUSDT"]).await;
    assert_eq!(rules().await["symbolRules"][0]["rules"], json!([]));
}

#[tokio::test]
async fn a_circuit_breaker_pauses_and_resumes_by_itself() {
    let exchange = Exchange::start().await;
    let operator = Operator::of(&exchange);
    let (maker, taker) = (exchange.trader("maker").await, exchange.trader("taker").await);
    operator.does(&["market", "set-reference-price", "BTCUSDT", "100"]).await;
    operator.does(&["market", "set-breaker", "BTCUSDT", "--deviation", "0.1", "--pause-seconds", "2"]).await;
    let resting = maker.limit("SELL", "150", "1").await;
    let more = maker.limit("SELL", "120", "1").await;
    assert_eq!(taker.limit("BUY", "120", "0.5").await["status"], "FILLED", "the order that trips it is done");
    let market = operator.does(&["market", "list"]).await[0].clone();
    assert_eq!(market["breaker"], json!({ "deviation": "0.10000000", "pauseSeconds": 2 }));
    if market["status"] == "CANCEL_ONLY" {
        // On a slow machine the pause may have ended by here.
        maker.delete("/api/v3/order", &format!("symbol=BTCUSDT&orderId={}", resting["orderId"])).await.ok();
    }
    until("the market resumes", async || operator.does(&["market", "list"]).await[0]["status"] == "TRADING").await;
    let breaker = operator.does(&["market", "reset-breaker", "BTCUSDT"]).await;
    assert_eq!(breaker, json!({ "done": true }));
    assert_eq!(taker.limit("BUY", "120", "0.5").await["status"], "FILLED", "resting orders remain: {more}");
}

#[tokio::test]
async fn the_feature_level_waits_for_every_connected_server() {
    let exchange = Exchange::start().await;
    let operator = Operator::of(&exchange);
    let newest = exchange_core::event::FEATURE_LEVEL;
    let (same, earlier) = (newest.to_string(), (newest - 1).to_string());
    let shown = operator.does(&["feature-level", "show"]).await;
    assert_eq!(shown, json!({ "level": newest, "newest": newest, "behind": [] }), "a new journal starts at the newest level");
    assert_eq!(operator.does(&["feature-level", "set", &same]).await, json!({ "done": true }), "the same again does nothing");
    assert!(operator.refused(&["feature-level", "set", &earlier]).await.contains("a level never goes back"));
    // A session like that of a server whose release declares no level.
    let options: PgConnectOptions = exchange.app.database_url.parse().unwrap();
    let session = options.application_name("exchange journal").connect().await.unwrap();
    let refused = operator.refused(&["feature-level", "set", &same]).await;
    assert!(refused.contains("is not read by: exchange journal at") && refused.contains("upgrade or stop"), "{refused}");
    drop(session);
    until("it is gone", async || operator.does(&["feature-level", "show"]).await["behind"] == json!([])).await;
    operator.does(&["feature-level", "set", &same]).await;
}
