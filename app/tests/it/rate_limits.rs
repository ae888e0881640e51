//! Tests of rate limits over HTTP: weight per address, unfilled orders per account, and the headers of the replies.

use reqwest::Method;
use serde_json::json;

use crate::eventually::until;
use crate::exchange::Exchange;

#[tokio::test]
async fn an_address_that_uses_too_much_is_refused_then_banned() {
    let exchange = Exchange::with(|settings| {
        settings.rate_limits.weight_1m = 60;
        settings.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let get = |client: &'static str| {
        let request = exchange.app.http.get(format!("{}/api/v3/ping", exchange.app.api)).header("X-Forwarded-For", client);
        async move { request.send().await.unwrap() }
    };
    let used =
        |response: &reqwest::Response| -> u32 { response.headers()["x-mbx-used-weight-1m"].to_str().unwrap().parse().unwrap() };
    let mut previous = 0;
    let refused = loop {
        let response = get("203.0.113.1").await;
        if response.status() == 429 {
            break response;
        }
        assert!(response.status() == 200 && used(&response) <= 60);
        // A minute may end in between; then the count restarts.
        assert!(used(&response) == previous + 1 || used(&response) == 1);
        previous = used(&response);
    };
    let retry_after: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&retry_after) && used(&refused) == 61);
    let body: serde_json::Value = refused.json().await.unwrap();
    let text = "Too much request weight used; current limit is 60 request weight per 1 MINUTE. Please use WebSocket Streams for live updates to avoid polling the API.";
    assert_eq!(body, json!({"code": -1003, "msg": text}));
    assert_eq!(get("203.0.113.2").await.status(), 200, "another client behind the same proxy");

    let banned = loop {
        let response = get("203.0.113.1").await;
        if response.status() == 418 {
            break response;
        }
    };
    let retry_after: u64 = banned.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((110..=120).contains(&retry_after));
    let text = banned.json::<serde_json::Value>().await.unwrap()["msg"].as_str().unwrap().to_owned();
    assert!(text.starts_with("Way too much request weight used; IP banned until 1"), "{text}");
    assert!(text.ends_with(". Please use WebSocket Streams for live updates to avoid bans."), "{text}");
}

#[tokio::test]
async fn unfilled_orders_are_counted_and_fills_give_back() {
    let exchange = Exchange::with(|settings| settings.rate_limits.orders_1d = 6).await;
    let (maker, taker) = (exchange.trader("maker").await, exchange.trader("taker").await);
    let count = |trader: &'static str| {
        let trader = if trader == "maker" { &maker } else { &taker };
        async move { trader.get("/api/v3/rateLimit/order", "").await.ok()[1]["count"].as_u64().unwrap() }
    };
    for _ in 0..6 {
        maker.limit("SELL", "100.00", "1").await;
    }
    let limits = maker.get("/api/v3/rateLimit/order", "").await.ok();
    let expected = json!({"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1, "limit": 6, "count": 6});
    assert_eq!((&limits[1], &limits[0]["interval"], &limits[0]["intervalNum"]), (&expected, &json!("SECOND"), &json!(10)));
    let refused = maker.order("side=SELL&type=LIMIT&timeInForce=GTC&price=100&quantity=1").await;
    assert_eq!(refused.error(), (429, -1015, "Too many new orders; current limit is 6 orders per 1 DAY."));
    assert!(refused.header("retry-after").is_some());
    let cancel = maker.signed(Method::DELETE, "/api/v3/order", "symbol=BTCUSDT&orderId=6").await;
    assert_eq!(cancel.status, 200, "cancels are not counted");
    assert_eq!(count("maker").await, 6, "nor do they reduce the count");

    // A first fill subtracts five for the maker and one for the taker; a second fill of the same order subtracts nothing.
    for quantity in ["0.4", "0.6"] {
        taker.limit("BUY", "100.00", quantity).await;
        until("the fill is counted", || async { count("maker").await == 1 && count("taker").await == 0 }).await;
    }
    // A refused order does not count.
    assert_eq!(taker.order("side=BUY&type=LIMIT&timeInForce=GTC&price=100.001&quantity=1").await.error().1, -1013);
    assert_eq!(count("taker").await, 0);
}
