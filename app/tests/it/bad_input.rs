//! Tests of every kind of invalid request: HTTP status, code and text, and that it changed nothing.

mod rows;

use exchange_core::command::AdminAction;
use exchange_core::market::MarketStatus;
use reqwest::Method;

use crate::exchange::{Exchange, Trader, hmac_hex, now};

const LIMIT: &str = "side=BUY&type=LIMIT&timeInForce=GTC&price=100.00&quantity=1";

/// A market that has traded at 100, with 95 bid and 105 asked; the trader has one order, `taken`.
async fn stage(exchange: &Exchange) -> Trader<'_> {
    let (trader, maker) = (exchange.trader("trader").await, exchange.trader("maker").await);
    maker.limit("SELL", "100.00", "1").await;
    trader.limit("BUY", "100.00", "1").await;
    maker.limit("BUY", "95.00", "10").await;
    maker.limit("SELL", "105.00", "10").await;
    trader.order("side=BUY&type=LIMIT&timeInForce=GTC&price=90.00&quantity=1&newClientOrderId=taken").await.ok();
    // So that the request reaches the limits of funds, not those of the account.
    trader.credit("USDT", 1_000_000).await;
    trader
}

#[tokio::test]
async fn refused_requests_name_the_fault_and_change_nothing() {
    let exchange = Exchange::start().await;
    let trader = stage(&exchange).await;
    let before = trader.holdings().await;
    let first = trader.limit("BUY", "50.00", "1").await["orderId"].as_u64().unwrap();
    trader.delete("/api/v3/order", &format!("symbol=BTCUSDT&orderId={first}")).await.ok();

    for (parameters, code, text) in rows::ORDERS {
        let answer = trader.post("/api/v3/order", parameters).await;
        assert_eq!(answer.error(), (400, *code, *text), "{parameters}");
        assert!(answer.headers.contains_key("x-mbx-used-weight-1m"), "{parameters}");
    }
    for (method, path, parameters, code, text) in rows::OTHERS {
        let answer = trader.signed(method.parse().unwrap(), path, parameters).await;
        assert_eq!(answer.error(), (400, *code, *text), "{method} {path} {parameters}");
    }

    assert_eq!(trader.holdings().await, before);
    let next = trader.limit("BUY", "50.00", "1").await["orderId"].as_u64().unwrap();
    assert_eq!(next, first + 1, "no order was ever accepted in between");
}

#[tokio::test]
async fn numbers_of_open_orders_are_limited() {
    let exchange = Exchange::start().await;
    let trader = exchange.trader("trader").await;
    for n in 0..5 {
        let stop = format!("side=SELL&type=STOP_LOSS&stopPrice={}&quantity=0.1", 50 + n);
        trader.order(&stop).await.ok();
    }
    let sixth = trader.order("side=SELL&type=STOP_LOSS&stopPrice=60&quantity=0.1").await;
    assert_eq!(sixth.error(), (400, -1013, "Filter failure: MAX_NUM_ALGO_ORDERS"));
    for _ in 0..195 {
        trader.limit("SELL", "200.00", "0.1").await;
    }
    let last = trader.order("side=SELL&type=LIMIT&timeInForce=GTC&price=200&quantity=0.1").await;
    assert_eq!(last.error(), (400, -1013, "Filter failure: MAX_NUM_ORDERS"));
}

#[tokio::test]
async fn closed_markets_and_frozen_accounts_take_no_orders() {
    let exchange = Exchange::start().await;
    let trader = exchange.trader("trader").await;
    let order = trader.limit("BUY", "90.00", "1").await;
    let cancel = format!("symbol=BTCUSDT&orderId={}", order["orderId"]);
    let market = exchange.app.engine.committed().read().state.market_by_symbol("BTCUSDT").unwrap().id;
    let set = |status| exchange.admin(AdminAction::SetMarketStatus { market, status });

    set(MarketStatus::Halt).await;
    assert_eq!(trader.order(LIMIT).await.error(), (400, -1013, "Market is closed."));
    assert_eq!(trader.delete("/api/v3/order", &cancel).await.error().2, "Market is closed.");
    set(MarketStatus::CancelOnly).await;
    assert_eq!(trader.order(LIMIT).await.error(), (400, -1013, "Market is closed."));
    trader.delete("/api/v3/order", &cancel).await.ok();
    set(MarketStatus::Trading).await;

    let rights = exchange_core::command::AccountRights { trade: false, withdraw: true, deposit: true };
    exchange.admin(AdminAction::SetAccountRights { account: trader.account, rights }).await;
    assert_eq!(trader.order(LIMIT).await.error(), (400, -2010, "This account may not place or cancel orders."));
    assert_eq!(trader.get("/api/v3/account", "").await.ok()["canTrade"], false);
}

#[tokio::test]
async fn requests_that_are_no_requests() {
    let exchange = Exchange::start().await;
    let trader = stage(&exchange).await;
    let before = trader.holdings().await;
    let form = "application/x-www-form-urlencoded";
    let post = |query: String, body: Option<(&'static str, Vec<u8>)>| {
        let (exchange, api_key) = (&exchange, &trader.api_key);
        async move { exchange.send(Method::POST, "/api/v3/order", &query, body, Some(api_key)).await }
    };
    let order = format!("symbol=BTCUSDT&{LIMIT}");

    let huge = vec![b'a'; 5 << 20];
    let answer = post(trader.sign(&order), Some((form, huge))).await;
    assert_eq!(answer.error(), (413, -1013, "Request body is larger than 65536 bytes."));
    let answer = post(trader.sign(&format!("{order}&newClientOrderId={}", "a".repeat(17_000))), None).await;
    assert_eq!(answer.error(), (414, -1013, "Query string is longer than 16384 bytes."));
    let json = br#"{"symbol":"BTCUSDT","side":"BUY"}"#.to_vec();
    let answer = post(trader.sign(&order), Some(("application/json", json))).await;
    assert_eq!(answer.error(), (415, -1013, "Content-Type must be application/x-www-form-urlencoded."));
    let answer = post(String::new(), Some((form, b"symbol=BTC\xff\xfe&side=BUY".to_vec()))).await;
    assert_eq!(answer.error(), (400, -1100, "Illegal characters found in a parameter."));
    let answer = post(String::new(), Some((form, [trader.sign(&order).as_bytes(), b"&symbol=ETHUSDT"].concat()))).await;
    assert_eq!(answer.error(), (400, -1101, "Duplicate values for a parameter detected."));
    let many: String = (0..100).map(|n| format!("&p{n}=1")).collect();
    assert_eq!(post(format!("{order}{many}"), None).await.error().1, -1101);

    let answer = exchange.public("/api/v3/nothing", "").await;
    assert_eq!(answer.error(), (404, -1020, "This operation is not supported."));
    let answer = exchange.send(Method::PUT, "/api/v3/order", "", None, None).await;
    assert_eq!(answer.error(), (405, -1020, "This operation is not supported."));
    assert_eq!(exchange.public("/nothing", "").await.error().0, 404);
    let answer = exchange.public("/api/v3/depth", "symbol=BTCUSDT&wrong=1").await;
    assert_eq!(answer.error(), (400, -1104, "Not all sent parameters were read; read '1' parameter(s) but was sent '2'."));
    let answer = exchange.public("/api/v3/avgPrice", "symbol=BTCUSDT&wrong=1").await;
    assert_eq!(answer.error(), (400, -1101, "Too many parameters; expected '1' and received '2'."));
    assert_eq!(trader.holdings().await, before);
}

#[tokio::test]
async fn signed_requests_that_prove_nothing() {
    let exchange = Exchange::start().await;
    let trader = stage(&exchange).await;
    let before = trader.holdings().await;
    let order = format!("symbol=BTCUSDT&{LIMIT}");
    let at = |time: String| {
        let payload = format!("{order}&timestamp={time}");
        format!("{payload}&signature={}", hmac_hex(&trader.secret, &payload))
    };
    let wrong = format!("{order}&timestamp={}&signature={}", now(), "0".repeat(64));
    let altered = trader.sign(&order).replace("price=100.00", "price=101.00");
    let window = "Timestamp for this request is outside of the recvWindow.";
    let ahead = "Timestamp for this request was 1000ms ahead of the server's time.";
    let rejected = "Invalid API-key, IP, or permissions for action.";
    let api_key = trader.api_key.as_str();
    let unknown = "A".repeat(64);
    let rows = [
        ("wrong signature", wrong, Some(api_key), 400, -1022, "Signature for this request is not valid."),
        ("altered after signing", altered, Some(api_key), 400, -1022, "Signature for this request is not valid."),
        ("stale", at((now() - 5_100).to_string()), Some(api_key), 400, -1021, window),
        ("from the future", at((now() + 5_000).to_string()), Some(api_key), 400, -1021, ahead),
        (
            "recvWindow too large",
            trader.sign(&format!("{order}&recvWindow=60001")),
            Some(api_key),
            400,
            -1131,
            "'recvWindow' must be less than 60000.",
        ),
        (
            "no timestamp",
            format!("{order}&signature=0"),
            Some(api_key),
            400,
            -1102,
            "Mandatory parameter 'timestamp' was not sent, was empty/null, or malformed.",
        ),
        (
            "no signature",
            format!("{order}&timestamp={}", now()),
            Some(api_key),
            400,
            -1102,
            "Mandatory parameter 'signature' was not sent, was empty/null, or malformed.",
        ),
        ("no key", trader.sign(&order), None, 401, -2014, "API-key format invalid."),
        ("malformed key", trader.sign(&order), Some("not-a-key"), 401, -2014, "API-key format invalid."),
        ("unknown key", trader.sign(&order), Some(unknown.as_str()), 401, -2015, rejected),
    ];
    for (name, query, api_key, status, code, text) in rows {
        let answer = exchange.send(Method::POST, "/api/v3/order", &query, None, api_key).await;
        assert_eq!(answer.error(), (status, code, text), "{name}");
    }
    let answer = exchange.send(Method::POST, "/api/v3/order", &trader.sign(&order), None, Some(api_key)).await;
    assert_eq!(answer.status, 200, "the same request in its valid form");
    trader.delete("/api/v3/order", &format!("symbol=BTCUSDT&orderId={}", answer.body["orderId"])).await.ok();
    assert_eq!(trader.holdings().await, before);
}
