//! Tests of market streams: paths, subscriptions, the content of each stream, and the end of a connection.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use exchange_core::{
    command::{Command, NewOrder},
    money::SCALE,
    order::{AccountId, ClientId, OrderType, Side, StpMode, TimeInForce},
};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::{eventually::until, exchange::Exchange, socket::Socket};

/// One 0.75 buyer takes 0.5 at 100 and 0.25 at 101, in two trades.
async fn trade(exchange: &Exchange) {
    let (maker, taker) = (exchange.trader("maker").await, exchange.trader("taker").await);
    maker.limit("SELL", "100.00", "0.5").await;
    maker.limit("SELL", "101.00", "1").await;
    maker.limit("BUY", "99.00", "2").await;
    taker.limit("BUY", "101.00", "0.75").await;
}

fn numbers(value: &Value, names: &[&str]) {
    for name in names {
        assert!(value[name].is_u64(), "{name} is a number: {value}");
    }
}

/// `value` without these members.
fn without(mut value: Value, names: &[&str]) -> Value {
    let members = value.as_object_mut().unwrap();
    for name in names {
        assert!(members.remove(*name).is_some(), "{name}");
    }
    value
}

#[tokio::test(flavor = "multi_thread")]
async fn trades_and_best_prices_arrive_as_documented() {
    let exchange = Exchange::start().await;
    let mut trades = Socket::open(&exchange.app, "/ws/btcusdt@trade").await;
    let mut aggregates = Socket::open(&exchange.app, "/stream?streams=btcusdt@aggTrade/bnbusdt@aggTrade").await;
    let mut best = Socket::open(&exchange.app, "/ws/btcusdt@bookTicker?timeUnit=MICROSECOND").await;
    trade(&exchange).await;

    for (id, price, quantity) in [(1, "100.00000000", "0.50000000"), (2, "101.00000000", "0.25000000")] {
        let event = trades.json().await;
        numbers(&event, &["E", "T"]);
        assert!(event["T"].as_u64().unwrap() < 10_000_000_000_000, "milliseconds");
        assert_eq!(
            without(event, &["E", "T"]),
            json!({"e": "trade", "s": "BTCUSDT", "t": id, "p": price, "q": quantity, "m": false, "M": true})
        );
        let event = aggregates.json().await;
        assert_eq!(event["stream"], "btcusdt@aggTrade");
        assert_eq!(
            without(event["data"].clone(), &["E", "T"]),
            json!({"e": "aggTrade", "s": "BTCUSDT", "a": id, "p": price, "q": quantity, "f": id, "l": id, "m": false, "M": true})
        );
    }
    let last = best.find(|event| event["A"] == "0.75000000").await;
    numbers(&last, &["u"]);
    assert_eq!(
        without(last, &["u"]),
        json!({"s": "BTCUSDT", "b": "99.00000000", "B": "2.00000000", "a": "101.00000000", "A": "0.75000000"})
    );
}

/// The last event of each combined stream, read until `complete`.
async fn latest(socket: &mut Socket, complete: impl Fn(&BTreeMap<String, Value>) -> bool) -> BTreeMap<String, Value> {
    let mut events = BTreeMap::new();
    while !complete(&events) {
        let event = socket.json().await;
        events.insert(event["stream"].as_str().unwrap().to_owned(), event["data"].clone());
    }
    events
}

#[tokio::test(flavor = "multi_thread")]
async fn periodic_streams_show_what_rest_shows() {
    let exchange = Exchange::start().await;
    trade(&exchange).await;
    let names = [
        "!miniTicker@arr",
        "!ticker@arr",
        "btcusdt@avgPrice",
        "btcusdt@depth20@100ms",
        "btcusdt@depth5",
        "btcusdt@kline_1M",
        "btcusdt@kline_1m",
        "btcusdt@miniTicker",
        "btcusdt@ticker",
    ];
    let mut socket = Socket::open(&exchange.app, &format!("/stream?streams={}", names.join("/"))).await;
    let events = latest(&mut socket, |events| events.len() == names.len()).await;
    assert!(events.keys().eq(names), "{events:?}");
    let public = async |path: &str, query: &str| exchange.public(path, query).await.ok();

    let depth = public("/api/v3/depth", "symbol=BTCUSDT").await;
    assert_eq!((&events["btcusdt@depth5"], &events["btcusdt@depth20@100ms"]), (&depth, &depth));
    let day = public("/api/v3/ticker/24hr", "symbol=BTCUSDT").await;
    for (short, long) in [
        ("p", "priceChange"),
        ("P", "priceChangePercent"),
        ("w", "weightedAvgPrice"),
        ("x", "prevClosePrice"),
        ("c", "lastPrice"),
        ("Q", "lastQty"),
        ("b", "bidPrice"),
        ("B", "bidQty"),
        ("a", "askPrice"),
        ("A", "askQty"),
        ("o", "openPrice"),
        ("h", "highPrice"),
        ("l", "lowPrice"),
        ("v", "volume"),
        ("q", "quoteVolume"),
        ("F", "firstId"),
        ("L", "lastId"),
        ("n", "count"),
    ] {
        assert_eq!(events["btcusdt@ticker"][short], day[long], "{long}");
    }
    assert_eq!(
        without(events["btcusdt@miniTicker"].clone(), &["E"]),
        json!({"e": "24hrMiniTicker", "s": "BTCUSDT", "c": "101.00000000", "o": "100.00000000", "h": "101.00000000",
            "l": "100.00000000", "v": "0.75000000", "q": "75.25000000"})
    );
    for (name, event) in [("!miniTicker@arr", "24hrMiniTicker"), ("!ticker@arr", "24hrTicker")] {
        let all = events[name].as_array().unwrap();
        let symbols: Vec<&str> = all.iter().map(|ticker| ticker["s"].as_str().unwrap()).collect();
        assert_eq!((symbols, &all[0]["e"]), (vec!["BTCUSDT", "BNBUSDT"], &json!(event)));
    }
    for interval in ["1m", "1M"] {
        let candle = events[&format!("btcusdt@kline_{interval}")]["k"].clone();
        let rest = public("/api/v3/klines", &format!("symbol=BTCUSDT&interval={interval}&limit=2")).await;
        let row = rest.as_array().unwrap().iter().find(|row| row[0] == candle["t"]).unwrap().clone();
        for (index, name) in ["t", "o", "h", "l", "c", "v", "T", "q", "n", "V", "Q"].into_iter().enumerate() {
            assert_eq!(candle[name], row[index], "{interval} {name}");
        }
        assert_eq!(candle["i"], interval);
    }
    let average = &events["btcusdt@avgPrice"];
    assert_eq!((&average["e"], &average["i"]), (&json!("avgPrice"), &json!("5m")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_candle_closes_once_with_its_final_values() {
    let exchange = Exchange::start().await;
    trade(&exchange).await;
    let mut socket = Socket::open(&exchange.app, "/ws/btcusdt@kline_1m").await;
    let first = socket.find(|event| event["k"]["n"] != 0).await["k"].clone();
    assert_eq!(first["x"], false);
    let closed = tokio::time::timeout(Duration::from_secs(75), async {
        loop {
            let candle = socket.json().await["k"].clone();
            if candle["x"] == true {
                return candle;
            }
        }
    })
    .await
    .expect("a minute ends");
    assert_eq!(closed["t"], first["t"], "the candle that was open");
    assert_eq!(closed["n"], 2);
}

/// Each second that ends is an event, with trades or without. A day of another zone opens at the midnight of that zone.
#[tokio::test(flavor = "multi_thread")]
async fn candles_of_a_second_and_of_a_zone_are_published() {
    let exchange = Exchange::start().await;
    trade(&exchange).await;
    let mut socket = Socket::open(&exchange.app, "/stream?streams=btcusdt@kline_1s/btcusdt@kline_1d@+08:00").await;
    let day = socket.find(|event| event["stream"] == "btcusdt@kline_1d@+08:00").await["data"]["k"].clone();
    let rows = exchange.public("/api/v3/klines", "symbol=BTCUSDT&interval=1d&timeZone=8").await.ok();
    let row = rows.as_array().unwrap().iter().find(|row| row[0] == day["t"]).unwrap().clone();
    for (index, name) in ["t", "o", "h", "l", "c", "v", "T", "q", "n", "V", "Q"].into_iter().enumerate() {
        assert_eq!(day[name], row[index], "{name}");
    }
    assert_eq!((day["t"].as_i64().unwrap() + 8 * 3_600_000) % 86_400_000, 0, "{day}");
    let mut closed = Vec::new();
    while closed.len() < 4 {
        let event = socket.find(|event| event["stream"] == "btcusdt@kline_1s" && event["data"]["k"]["x"] == true).await;
        assert_eq!(event["data"]["k"]["i"], "1s");
        closed.push(event["data"]["k"]["t"].as_i64().unwrap());
    }
    assert!(closed.windows(2).all(|pair| pair[1] == pair[0] + 1_000), "{closed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_are_added_listed_and_ended() {
    let exchange = Exchange::start().await;
    for path in ["/ws", "/ws/0", "/ws/", "/stream/ws/3", "/stream/ws", "/stream"] {
        let mut socket = Socket::open(&exchange.app, path).await;
        let combined = path == "/stream";
        assert_eq!(socket.ask(json!({"method": "LIST_SUBSCRIPTIONS", "id": 1})).await, json!({"result": [], "id": 1}), "{path}");
        let property = socket.ask(json!({"method": "GET_PROPERTY", "params": ["combined"], "id": 2})).await;
        assert_eq!(property, json!({"result": combined, "id": 2}), "{path}");
    }
    let mut socket = Socket::open(&exchange.app, "/ws/btcusdt@trade/bnbusdt@depth@100ms").await;
    let reply = socket.ask(json!({"method": "SUBSCRIBE", "params": ["btcusdt@aggTrade", "btcusdt@trade"], "id": "x-1"})).await;
    assert_eq!(reply, json!({"result": null, "id": "x-1"}));
    let listed = socket.ask(json!({"method": "LIST_SUBSCRIPTIONS", "params": [], "id": -7})).await;
    assert_eq!(listed, json!({"result": ["bnbusdt@depth@100ms", "btcusdt@aggTrade", "btcusdt@trade"], "id": -7}));
    socket.ask(json!({"method": "UNSUBSCRIBE", "params": ["btcusdt@trade", "btcusdt@nothing"], "id": 3})).await;
    socket.ask(json!({"method": "SET_PROPERTY", "params": ["combined", true], "id": 4})).await;
    trade(&exchange).await;
    assert_eq!(socket.json().await["stream"], "btcusdt@aggTrade", "the trade stream ended, and events are wrapped");
    drop(socket);
    until("subscriptions of closed connections end", || async {
        let metrics =
            exchange.app.http.get(format!("{}/metrics", exchange.app.admin)).send().await.unwrap().text().await.unwrap();
        metrics.contains("exchange_stream_subscriptions{kind=\"market\"} 0")
            && metrics.contains("exchange_stream_connections{kind=\"market\"} 0")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_announced_and_ends_with_a_close_frame() {
    let exchange = Exchange::start().await;
    let mut raw = Socket::open(&exchange.app, "/ws/btcusdt@trade").await;
    let mut combined = Socket::open(&exchange.app, "/stream?streams=btcusdt@trade").await;
    exchange.app.shutdown.begin("the test stops it");
    assert_eq!(raw.json().await["e"], "serverShutdown");
    assert_eq!(combined.json().await["stream"], "!serverShutdown");
    for mut socket in [raw, combined] {
        assert_eq!(socket.closed().await.map(|(code, _)| code), Some(CloseCode::Away));
    }
}

/// A seller's 100 small orders and a buyer who takes them all, again and again until `stop`.
async fn sweep(exchange: &Exchange, seller: AccountId, buyer: AccountId, stop: &AtomicBool) {
    let order = |account, side, quantity, id: String| {
        Command::Place(NewOrder {
            account,
            market: 0,
            side,
            kind: OrderType::Limit,
            time_in_force: TimeInForce::Gtc,
            stp: StpMode::None,
            price: 10_000 * SCALE,
            stop_price: 0,
            quantity,
            quote_order_quantity: 0,
            iceberg: 0,
            trailing_delta: 0,
            client_id: ClientId::new(&id).unwrap(),
        })
    };
    let mut round = 0;
    while !stop.load(Ordering::Relaxed) {
        round += 1;
        let sales = (0..100).map(|leg| order(seller, Side::Sell, SCALE / 1000, format!("s{round}-{leg}")));
        futures::future::join_all(sales.map(|sale| exchange.app.engine.submit(sale, None))).await;
        let purchase = order(buyer, Side::Buy, SCALE / 10, format!("b{round}"));
        exchange.app.engine.submit(purchase, None).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_is_cut_off_and_the_others_lose_nothing() {
    let exchange = Exchange::with(|settings| settings.write_timeout = Duration::from_millis(500)).await;
    let (seller, buyer) = (exchange.trader("seller").await.account, exchange.trader("buyer").await.account);
    let slow = Socket::small(&exchange.app, "/stream?streams=btcusdt@trade/btcusdt@aggTrade").await;
    let mut fast = Socket::open(&exchange.app, "/ws/btcusdt@trade").await;
    let stop = AtomicBool::new(false);
    let cut = async {
        until("the slow reader is cut off", || async {
            let metrics = exchange.app.http.get(format!("{}/metrics", exchange.app.admin)).send().await.unwrap();
            metrics.text().await.unwrap().contains("exchange_stream_ended_total{reason=\"slow\"} 1")
        })
        .await;
        stop.store(true, Ordering::Relaxed);
    };
    let reading = async {
        let mut seen = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let events = fast.until_quiet(Duration::from_secs(1)).await;
            seen.extend(events.iter().map(|event| event["t"].as_u64().unwrap()));
        }
        seen
    };
    let (seen, ..) = tokio::join!(reading, cut, sweep(&exchange, seller, buyer, &stop));
    let last = exchange.app.engine.committed().read().market_data.market(0).unwrap().trades().back().unwrap().trade;
    assert!(seen.into_iter().eq(1..=last), "every trade once and in order");
    drop(slow);
}
