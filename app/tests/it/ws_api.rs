//! Tests of the WebSocket API: signed requests, sessions, replies with their limits, account events, listen keys.

use std::time::Duration;

use ed25519_dalek::{Signer, SigningKey};
use exchange::{api_key::Permissions, config::RateLimits, db::api_keys::Material};
use reqwest::Method;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::{
    exchange::{Exchange, Trader, hmac_hex, now},
    socket::Socket,
};

const PATH: &str = "/ws-api/v3";

/// `name=value` by name, joined with `&`.
fn payload(parameters: &Value) -> String {
    let pairs = parameters.as_object().unwrap().iter();
    let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut pairs: Vec<String> = pairs.map(|(name, value)| format!("{name}={}", shown(value))).collect();
    pairs.sort();
    pairs.join("&")
}

/// A request that the trader signs with its secret.
pub fn signed(trader: &Trader<'_>, method: &str, mut parameters: Value) -> Value {
    parameters["apiKey"] = json!(trader.api_key);
    parameters["timestamp"] = json!(now() as u64);
    parameters["signature"] = json!(hmac_hex(&trader.secret, &payload(&parameters)));
    json!({"id": format!("{method}-{}", now()), "method": method, "params": parameters})
}

fn limit(side: &str, price: &str, quantity: &str) -> Value {
    json!({"symbol": "BTCUSDT", "side": side, "type": "LIMIT", "timeInForce": "GTC", "price": price, "quantity": quantity})
}

pub async fn subscribe(trader: &Trader<'_>) -> Socket {
    let mut socket = Socket::open(&trader.exchange.app, PATH).await;
    let reply = socket.ask(signed(trader, "userDataStream.subscribe.signature", json!({}))).await;
    assert_eq!(reply["result"], json!({"subscriptionId": 0}), "{reply}");
    socket
}

#[tokio::test(flavor = "multi_thread")]
async fn every_public_method_answers_as_its_endpoint() {
    let exchange = Exchange::start().await;
    exchange.trader("ada").await.limit("BUY", "99.00", "1").await;
    let mut socket = Socket::open(&exchange.app, PATH).await;
    let symbol = json!({"symbol": "BTCUSDT"});
    let rows = [
        ("ping", json!({}), "/api/v3/ping", ""),
        ("depth", json!({"symbol": "BTCUSDT", "limit": 5}), "/api/v3/depth", "symbol=BTCUSDT&limit=5"),
        ("trades.recent", symbol.clone(), "/api/v3/trades", "symbol=BTCUSDT"),
        ("trades.historical", symbol.clone(), "/api/v3/historicalTrades", "symbol=BTCUSDT"),
        ("trades.aggregate", symbol.clone(), "/api/v3/aggTrades", "symbol=BTCUSDT"),
        ("klines", json!({"symbol": "BTCUSDT", "interval": "1m"}), "/api/v3/klines", "symbol=BTCUSDT&interval=1m"),
        ("avgPrice", symbol.clone(), "/api/v3/avgPrice", "symbol=BTCUSDT"),
        ("ticker.price", json!({"symbols": ["BTCUSDT", "BNBUSDT"]}), "/api/v3/ticker/price", r#"symbols=["BTCUSDT","BNBUSDT"]"#),
        ("ticker.book", symbol.clone(), "/api/v3/ticker/bookTicker", "symbol=BTCUSDT"),
        ("executionRules", symbol.clone(), "/api/v3/executionRules", "symbol=BTCUSDT"),
    ];
    for (method, parameters, path, query) in rows {
        let reply = socket.ask(json!({"id": method, "method": method, "params": parameters})).await;
        assert_eq!((&reply["status"], &reply["id"]), (&json!(200), &json!(method)), "{reply}");
        assert_eq!(reply["result"], exchange.public(path, query).await.ok(), "{method}");
        let [weight] = reply["rateLimits"].as_array().unwrap().as_slice() else { panic!("{reply}") };
        assert_eq!(
            (&weight["rateLimitType"], &weight["interval"], &weight["intervalNum"]),
            (&json!("REQUEST_WEIGHT"), &json!("MINUTE"), &json!(1))
        );
        assert!(weight["count"].as_u64().unwrap() > 2);
    }
    for method in ["time", "exchangeInfo", "ticker.24hr"] {
        let reply = socket.ask(json!({"id": 1, "method": format!("v3/{method}"), "params": {"returnRateLimits": false}})).await;
        assert_eq!((&reply["status"], reply.get("rateLimits")), (&json!(200), None), "{method}");
    }
    let mut silent = Socket::open(&exchange.app, "/ws-api/v3?returnRateLimits=false&timeUnit=MICROSECOND").await;
    let reply = silent.ask(json!({"id": null, "method": "time"})).await;
    assert!(reply.get("rateLimits").is_none() && reply["result"]["serverTime"].as_u64().unwrap() > 1_000_000_000_000_000);
    let shown = silent.ask(json!({"id": 7, "method": "ping", "params": {"returnRateLimits": true}})).await;
    assert!(shown["rateLimits"].is_array());
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_placed_changed_and_canceled() {
    let exchange = Exchange::start().await;
    let ada = exchange.trader("ada").await;
    let mut socket = Socket::open(&exchange.app, PATH).await;
    let placed = socket.ask(signed(&ada, "order.place", limit("BUY", "99.00", "1"))).await;
    assert_eq!((&placed["status"], &placed["result"]["status"]), (&json!(200), &json!("NEW")), "{placed}");
    let kinds: Vec<&str> =
        placed["rateLimits"].as_array().unwrap().iter().map(|row| row["rateLimitType"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["ORDERS", "ORDERS", "REQUEST_WEIGHT"]);
    assert_eq!(placed["rateLimits"][0]["count"], 1);
    let id = placed["result"]["orderId"].clone();

    let status = socket.ask(signed(&ada, "order.status", json!({"symbol": "BTCUSDT", "orderId": id}))).await;
    assert_eq!(status["result"]["price"], "99.00000000");
    let mut replace = limit("BUY", "98.00", "1");
    replace["cancelReplaceMode"] = json!("STOP_ON_FAILURE");
    replace["cancelOrderId"] = id.clone();
    let replaced = socket.ask(signed(&ada, "order.cancelReplace", replace.clone())).await;
    assert_eq!(replaced["result"]["newOrderResult"], "SUCCESS", "{replaced}");
    let again = socket.ask(signed(&ada, "order.cancelReplace", replace)).await;
    assert_eq!((&again["status"], &again["error"]["code"]), (&json!(400), &json!(-2022)), "{again}");
    assert_eq!(again["error"]["data"]["cancelResult"], "FAILURE");
    let open = socket.ask(signed(&ada, "openOrders.status", json!({}))).await;
    assert_eq!(open["result"].as_array().map(Vec::len), Some(1));
    let canceled = socket.ask(signed(&ada, "openOrders.cancelAll", json!({"symbol": "BTCUSDT"}))).await;
    assert_eq!(canceled["result"][0]["status"], "CANCELED");
    let unknown = socket.ask(signed(&ada, "order.cancel", json!({"symbol": "BTCUSDT", "orderId": id}))).await;
    assert_eq!(unknown["error"], json!({"code": -2011, "msg": "Unknown order sent."}));
    let poor = socket.ask(signed(&ada, "order.place", limit("BUY", "999.00", "9000"))).await;
    assert_eq!(poor["error"]["msg"], "Account has insufficient balance for requested action.");
    for method in ["allOrders", "myTrades", "account.commission"] {
        let reply = socket.ask(signed(&ada, method, json!({"symbol": "BTCUSDT"}))).await;
        assert_eq!(reply["status"], 200, "{reply}");
    }
    for method in ["account.status", "account.rateLimits.orders", "allOrderLists", "openOrderLists.status", "order.test"] {
        let parameters = if method == "order.test" { limit("BUY", "99.00", "1") } else { json!({}) };
        assert_eq!(socket.ask(signed(&ada, method, parameters)).await["status"], 200, "{method}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_run_concurrently_and_start_in_order() {
    let exchange = Exchange::start().await;
    let ada = exchange.trader("ada").await;
    let mut socket = Socket::open(&exchange.app, PATH).await;
    for number in 0..64 {
        let mut request = signed(&ada, "order.place", limit("BUY", &format!("{}.00", 30 + number), "1"));
        request["id"] = json!(number);
        socket.send(&request).await;
    }
    let mut prices = Vec::new();
    for _ in 0..64 {
        let reply = socket.json().await;
        assert_eq!(reply["status"], 200, "{reply}");
        prices.push((reply["result"]["orderId"].as_u64().unwrap(), reply["id"].as_u64().unwrap()));
    }
    prices.sort_unstable();
    assert!(prices.iter().map(|(_, id)| *id).eq(0..64), "order ids follow the order of the requests");
}

/// A key pair whose public half the exchange knows.
async fn ed25519(exchange: &Exchange, account: u32, permissions: Permissions) -> (String, SigningKey) {
    let key = SigningKey::from_bytes(&[9; 32]);
    let api_key = exchange::api_key::new_id();
    let material = Material::Ed25519(key.verifying_key().to_bytes());
    exchange.store(account, &api_key, &material, permissions, &[]).await;
    (api_key, key)
}

fn sign(key: &SigningKey, mut parameters: Value) -> Value {
    use base64::Engine;
    let signature = key.sign(payload(&parameters).as_bytes());
    parameters["signature"] = json!(base64::engine::general_purpose::STANDARD.encode(signature.to_bytes()));
    parameters
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_signs_once_until_it_ends() {
    let exchange = Exchange::start().await;
    let ada = exchange.trader("ada").await;
    let (api_key, key) = ed25519(&exchange, ada.account, Permissions { read: true, trade: true, withdraw: false }).await;
    let mut socket = Socket::open(&exchange.app, PATH).await;
    let stamped = |mut parameters: Value| {
        parameters["timestamp"] = json!(now() as u64);
        parameters
    };
    let status = socket.ask(json!({"id": 1, "method": "session.status"})).await["result"].clone();
    assert_eq!(
        (&status["apiKey"], &status["authorizedSince"], &status["userDataStream"]),
        (&json!(null), &json!(null), &json!(false))
    );
    let refused = socket.ask(json!({"id": 2, "method": "userDataStream.subscribe"})).await;
    assert_eq!((&refused["status"], &refused["error"]["code"]), (&json!(401), &json!(-1002)));

    let parameters = sign(&key, stamped(json!({"apiKey": api_key})));
    let logon = socket.ask(json!({"id": 3, "method": "session.logon", "params": parameters})).await;
    assert_eq!((&logon["status"], &logon["result"]["apiKey"]), (&json!(200), &json!(api_key)), "{logon}");
    let placed = socket.ask(json!({"id": 4, "method": "order.place", "params": stamped(limit("BUY", "99.00", "1"))})).await;
    assert_eq!(placed["result"]["status"], "NEW", "{placed}");
    let late = socket.ask(json!({"id": 5, "method": "order.place", "params": limit("BUY", "99.00", "1")})).await;
    assert_eq!(late["error"]["code"], -1102, "the timestamp stays mandatory");
    let subscribed = socket.ask(json!({"id": 6, "method": "userDataStream.subscribe"})).await;
    assert_eq!(subscribed["result"]["subscriptionId"], 0);
    let twice = socket.ask(json!({"id": 7, "method": "userDataStream.subscribe"})).await;
    assert_eq!(twice["error"], json!({"code": -2035, "msg": "User Data Stream subscription already active."}));
    let listed = socket.ask(json!({"id": 8, "method": "session.subscriptions", "params": {}})).await;
    assert_eq!(listed["result"], json!([{"subscriptionId": 0}]));
    socket.send(json!({"id": 9, "method": "session.logout"})).await;
    let terminated = socket.find(|message| message["event"]["e"] == "eventStreamTerminated").await;
    assert_eq!(terminated["subscriptionId"], 0);
    let refused = socket.ask(json!({"id": 10, "method": "account.status", "params": stamped(json!({}))})).await;
    assert_eq!(refused["error"]["msg"], "Mandatory parameter 'apiKey' was not sent, was empty/null, or malformed.");
    let mac = socket.ask(signed(&ada, "session.logon", json!({}))).await;
    assert_eq!((&mac["status"], &mac["error"]["code"]), (&json!(401), &json!(-4056)));
}

#[tokio::test(flavor = "multi_thread")]
async fn account_events_arrive_once_and_in_order() {
    let exchange = Exchange::start().await;
    let (ada, bob) = (exchange.trader("ada").await, exchange.trader("bob").await);
    let mut events = subscribe(&ada).await;
    let order = ada.limit("SELL", "100.00", "1").await["orderId"].clone();
    bob.limit("BUY", "100.00", "0.4").await;
    ada.delete("/api/v3/order", &format!("symbol=BTCUSDT&orderId={order}")).await.ok();
    bob.limit("SELL", "102.00", "1").await;
    ada.order("side=BUY&type=MARKET&quoteOrderQty=51").await.ok();
    ada.credit("BNB", 5).await;
    let oco = "symbol=BTCUSDT&side=SELL&quantity=0.1&aboveType=LIMIT_MAKER&abovePrice=120&belowType=STOP_LOSS&belowStopPrice=90";
    let list = ada.post("/api/v3/orderList/oco", oco).await.ok()["orderListId"].clone();
    ada.delete("/api/v3/orderList", &format!("symbol=BTCUSDT&orderListId={list}")).await.ok();

    let seen = events.until_quiet(Duration::from_secs(2)).await;
    assert!(seen.iter().all(|message| message["subscriptionId"] == 0));
    let seen: Vec<Value> = seen.iter().map(|message| message["event"].clone()).collect();
    let short: Vec<String> = seen
        .iter()
        .map(|event| match event["e"].as_str().unwrap() {
            "executionReport" => format!("{} {} {} {}", event["x"], event["X"], event["l"], event["z"]).replace('"', ""),
            "listStatus" => format!("list {}", event["l"]).replace('"', ""),
            "balanceUpdate" => format!("{} {}", event["a"], event["d"]).replace('"', ""),
            _ => event["B"].as_array().unwrap().iter().map(|row| row["a"].as_str().unwrap()).collect::<Vec<_>>().join("+"),
        })
        .collect();
    let expected = [
        "NEW NEW 0.00000000 0.00000000",
        "BTC",
        "TRADE PARTIALLY_FILLED 0.40000000 0.40000000",
        "BTC+USDT",
        "CANCELED CANCELED 0.00000000 0.40000000",
        "BTC",
        "NEW NEW 0.00000000 0.00000000",
        "USDT",
        "TRADE FILLED 0.50000000 0.50000000",
        "BTC+USDT",
        "BNB 5.00000000",
        "BNB",
        "NEW NEW 0.00000000 0.00000000",
        "NEW NEW 0.00000000 0.00000000",
        "BTC",
        "list EXEC_STARTED",
        "CANCELED CANCELED 0.00000000 0.00000000",
        "CANCELED CANCELED 0.00000000 0.00000000",
        "BTC",
        "list ALL_DONE",
    ];
    let mut sorted = (short.clone(), expected.map(str::to_owned).to_vec());
    assert_eq!(short.len(), expected.len(), "{short:#?}");
    sorted.0.sort();
    sorted.1.sort();
    assert_eq!(sorted.0, sorted.1, "{short:#?}");
    assert_eq!(short[..10], expected[..10]);
    let ids: Vec<u64> = seen.iter().filter_map(|event| event["I"].as_u64()).collect();
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "journal order: {ids:?}");

    let trade = &seen[2];
    assert_eq!(
        [&trade["s"], &trade["S"], &trade["o"], &trade["f"], &trade["q"], &trade["p"], &trade["L"], &trade["n"], &trade["N"]],
        ["BTCUSDT", "SELL", "LIMIT", "GTC", "1.00000000", "100.00000000", "100.00000000", "0.04000000", "USDT"]
            .map(|text| &*Box::leak(Box::new(json!(text))))
    );
    assert_eq!(
        (&trade["t"], &trade["m"], &trade["w"], &trade["Y"], &trade["g"]),
        (&json!(1), &json!(true), &json!(true), &json!("40.00000000"), &json!(-1))
    );
    let position = seen[3]["B"].as_array().unwrap();
    let (free, locked) = ada_balance_after_trade();
    assert_eq!((&position[0]["f"], &position[0]["l"]), (&json!(free), &json!(locked)));
    let ended = seen.iter().rfind(|event| event["l"] == "ALL_DONE").unwrap();
    assert_eq!((ended["O"].as_array().map(Vec::len), &ended["g"], &ended["L"]), (Some(2), &list, &json!("ALL_DONE")));
}

/// 99 BTC free after one was locked; 0.6 of it after 0.4 was sold.
fn ada_balance_after_trade() -> (&'static str, &'static str) {
    ("99.00000000", "0.60000000")
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_end_one_by_one_and_with_their_key() {
    let exchange = Exchange::start().await;
    let (ada, bob) = (exchange.trader("ada").await, exchange.trader("bob").await);
    let mut events = subscribe(&ada).await;
    let second = events.ask(signed(&bob, "userDataStream.subscribe.signature", json!({}))).await;
    assert_eq!(second["result"]["subscriptionId"], 1);
    bob.limit("BUY", "50.00", "1").await;
    assert_eq!(events.json().await["subscriptionId"], 1, "only bob's account changed");
    events.send(json!({"id": 1, "method": "userDataStream.unsubscribe", "params": {"subscriptionId": 1}})).await;
    let last = events.find(|message| message["event"]["e"] == "eventStreamTerminated").await;
    assert_eq!(last["subscriptionId"], 1);
    let again = events.ask(json!({"id": 2, "method": "userDataStream.unsubscribe", "params": {"subscriptionId": 1}})).await;
    assert_eq!(again["error"], json!({"code": -2036, "msg": "User Data Stream subscription not active."}));
    assert!(exchange::db::api_keys::revoke(&exchange.app.pool, &ada.api_key).await.unwrap());
    let revoked = events.find(|message| message["event"]["e"] == "eventStreamTerminated").await;
    assert_eq!(revoked["subscriptionId"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listen_key_opens_the_stream_of_its_account() {
    let exchange = Exchange::start().await;
    let ada = exchange.trader("ada").await;
    let send = async |method: Method, query: &str, key: Option<&str>| {
        exchange.send(method, "/api/v3/userDataStream", query, None, key).await
    };
    let created = send(Method::POST, "", Some(&ada.api_key)).await.ok();
    let key = created["listenKey"].as_str().unwrap().to_owned();
    let mut raw = Socket::open(&exchange.app, &format!("/ws/{key}")).await;
    let mut combined = Socket::open(&exchange.app, &format!("/stream?streams={key}/btcusdt@trade")).await;
    ada.limit("BUY", "50.00", "1").await;
    assert_eq!(raw.json().await["e"], "executionReport");
    let wrapped = combined.json().await;
    assert_eq!((&wrapped["stream"], &wrapped["data"]["e"]), (&json!(key), &json!("executionReport")));
    let query = format!("listenKey={key}");
    assert_eq!(send(Method::PUT, &query, Some(&ada.api_key)).await.ok(), json!({}));
    let bob = exchange.trader("bob").await;
    assert_eq!(send(Method::PUT, &query, Some(&bob.api_key)).await.error(), (400, -1125, "This listenKey does not exist."));
    assert_eq!(send(Method::POST, "", None).await.error().1, -2014);
    assert_eq!(send(Method::DELETE, &query, Some(&ada.api_key)).await.ok(), json!({}));
    assert_eq!(raw.find(|event| event["e"] == "listenKeyExpired").await["listenKey"], key.as_str());
    assert_eq!(Socket::refused(&exchange.app, &format!("/ws/{key}")).await.0, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_get_the_documented_error() {
    let exchange = Exchange::start().await;
    let ada = exchange.trader("ada").await;
    let mut socket = Socket::open(&exchange.app, PATH).await;
    let missing = |name: &str| format!("Mandatory parameter '{name}' was not sent, was empty/null, or malformed.");
    let rows = [
        ("{".to_owned(), json!(null), 400, -1135, "Invalid JSON Request".to_owned()),
        ("[1]".to_owned(), json!(null), 400, -1135, "Invalid JSON Request".to_owned()),
        (r#"{"method":"ping"}"#.to_owned(), json!(null), 400, -1102, missing("id")),
        (r#"{"id":1}"#.to_owned(), json!(1), 400, -1102, missing("method")),
        (r#"{"id":2,"method":"order.plaice"}"#.to_owned(), json!(2), 400, -1020, "This operation is not supported.".to_owned()),
        (
            r#"{"id":3,"method":"sor.order.place"}"#.to_owned(),
            json!(3),
            400,
            -1020,
            "This operation is not supported.".to_owned(),
        ),
        (r#"{"id":4,"method":"depth"}"#.to_owned(), json!(4), 400, -1102, missing("symbol")),
        (
            r#"{"id":5,"method":"depth","params":{"symbol":{}}}"#.to_owned(),
            json!(5),
            400,
            -1135,
            "JSON sent for parameter 'symbol' is not valid".to_owned(),
        ),
        (
            r#"{"id":6,"method":"depth","params":{"symbol":"BTCUSDT","x":1}}"#.to_owned(),
            json!(6),
            400,
            -1104,
            "Not all sent parameters were read; read '1' parameter(s) but was sent '2'.".to_owned(),
        ),
        (r#"{"id":7,"method":"account.status","params":{}}"#.to_owned(), json!(7), 400, -1102, missing("apiKey")),
        (
            r#"{"id":8,"method":"session.status","params":{"x":1}}"#.to_owned(),
            json!(8),
            400,
            -1101,
            "Too many parameters; expected '0' and received '1'.".to_owned(),
        ),
    ];
    for (message, id, status, code, text) in rows {
        socket.send(&message).await;
        let reply = socket.json().await;
        assert_eq!(
            (&reply["id"], &reply["status"], &reply["error"]),
            (&id, &json!(status), &json!({"code": code, "msg": text})),
            "{message}"
        );
        assert!(reply["rateLimits"].is_array(), "{reply}");
    }
    let mut wrong = signed(&ada, "account.status", json!({}));
    wrong["params"]["signature"] = json!("00");
    assert_eq!(socket.ask(wrong).await["error"]["code"], -1022);
    let mut old = json!({"apiKey": ada.api_key, "timestamp": (now() - 10_000) as u64});
    old["signature"] = json!(hmac_hex(&ada.secret, &payload(&old)));
    let old = socket.ask(json!({"id": 1, "method": "account.status", "params": old})).await;
    assert_eq!(old["error"], json!({"code": -1021, "msg": "Timestamp for this request is outside of the recvWindow."}));
    let mut unknown = signed(&ada, "account.status", json!({}));
    unknown["params"]["apiKey"] = json!("x".repeat(64));
    let unknown = socket.ask(unknown).await;
    assert_eq!((&unknown["status"], &unknown["error"]["code"]), (&json!(401), &json!(-2015)));
    let mut binary = Socket::open(&exchange.app, PATH).await;
    futures::SinkExt::send(&mut binary.0, tokio_tungstenite::tungstenite::Message::Binary(vec![1].into())).await.unwrap();
    assert_eq!(binary.closed().await.map(|(code, _)| code), Some(CloseCode::Unsupported));
}

#[tokio::test(flavor = "multi_thread")]
async fn over_the_limits_is_429_then_a_ban_that_disconnects() {
    let exchange =
        Exchange::with(|settings| settings.rate_limits = RateLimits { weight_1m: 5_000, orders_10s: 1, orders_1d: 100 }).await;
    let ada = exchange.trader("ada").await;
    let mut socket = Socket::open(&exchange.app, PATH).await;
    socket.ask(signed(&ada, "order.place", limit("BUY", "50.00", "1"))).await;
    let refused = socket.ask(signed(&ada, "order.place", limit("BUY", "50.00", "1"))).await;
    assert_eq!((&refused["status"], &refused["error"]["code"]), (&json!(429), &json!(-1015)), "{refused}");
    assert!(refused["error"]["data"]["retryAfter"].as_u64() > refused["error"]["data"]["serverTime"].as_u64());
    let mut codes = Vec::new();
    for number in 0..1_500 {
        socket.send(json!({"id": number, "method": "exchangeInfo"})).await;
        let reply = socket.json().await;
        codes.push(reply["status"].as_u64().unwrap());
        if codes.last() == Some(&418) {
            break;
        }
    }
    assert!(codes.contains(&429) && codes.last() == Some(&418), "{codes:?}");
    assert_eq!(socket.closed().await.map(|(code, _)| code), Some(CloseCode::Policy));
}
