//! Tests of the parts that every reply has, on any endpoint, and of the API's answers while PostgreSQL is unreachable.

use std::io::Read;

use local_parts::{Postgres, SharedPostgres, StopMode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{eventually::until, exchange::Exchange, replica::migrate};

#[tokio::test]
async fn replies_are_numbered_and_long_ones_compressed_on_request() {
    let exchange = Exchange::start().await;
    let client = reqwest::Client::builder().no_gzip().build().unwrap();
    let get = |path: &str, encoding: &'static str| {
        let request = client.get(format!("{}{path}", exchange.app.api)).header("Accept-Encoding", encoding);
        async move { request.send().await.unwrap() }
    };
    let plain = get("/api/v3/exchangeInfo", "identity").await;
    let uuid = plain.headers()["x-mbx-uuid"].clone();
    assert!(!plain.headers().contains_key("content-encoding"));
    let plain = plain.bytes().await.unwrap();
    for encoding in ["gzip", "deflate, GZIP;q=0.5, br"] {
        let response = get("/api/v3/exchangeInfo", encoding).await;
        assert_eq!(response.headers()["content-encoding"], "gzip", "{encoding}");
        assert_eq!(response.headers()["vary"], "accept-encoding");
        assert_ne!(response.headers()["x-mbx-uuid"], uuid);
        let small = response.bytes().await.unwrap();
        let mut text = Vec::new();
        flate2::read::GzDecoder::new(&small[..]).read_to_end(&mut text).unwrap();
        let (mut one, mut other): (serde_json::Value, serde_json::Value) =
            (serde_json::from_slice(&text).unwrap(), serde_json::from_slice(&plain).unwrap());
        (one["serverTime"], other["serverTime"]) = (0.into(), 0.into());
        assert!(small.len() * 2 < plain.len() && one == other);
    }
    for (path, encoding) in [("/api/v3/exchangeInfo", "gzip;q=0"), ("/api/v3/ping", "gzip")] {
        assert!(!get(path, encoding).await.headers().contains_key("content-encoding"), "{path} {encoding}");
    }
}

#[tokio::test]
async fn without_postgresql_orders_are_refused_and_reads_go_on() {
    let mut postgres = Postgres::start(SharedPostgres::options()).await.unwrap();
    let url = postgres.create_database("edge").await.unwrap();
    migrate(&url).await;
    let exchange = Exchange::on(url, |_| {}).await;
    let trader = exchange.trader("trader").await;
    trader.limit("BUY", "100.00", "1").await;

    postgres.stop(StopMode::Immediate).await.unwrap();
    let order = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=100&quantity=1";
    until("orders are refused", || async {
        let answer = trader.post("/api/v3/order", order).await;
        match answer.error() {
            (503, -1001, "Internal error; unable to process your request. Please try again.") => {
                assert_eq!(answer.header("x-trace-id").map(str::len), Some(32));
                true
            }
            // The batch on its way when the connection went.
            (504, -1007, _) => false,
            other => panic!("{other:?}"),
        }
    })
    .await;
    assert_eq!(exchange.public("/api/v3/depth", "symbol=BTCUSDT").await.ok()["bids"][0][0], "100.00000000");
    // Another server may lead by now and have newer orders, so a signed read is refused once the read lease has ended.
    until("signed reads are refused", || async { trader.get("/api/v3/openOrders", "").await.status == 503 }).await;
    let history = trader.get("/api/v3/order", "symbol=BTCUSDT&orderId=999").await;
    assert_eq!((history.error().0, history.error().1), (503, -1001));

    postgres.start_again().await.unwrap();
    until("orders are accepted again", || async { trader.post("/api/v3/order", order).await.status == 200 }).await;
}

#[tokio::test]
async fn a_failure_names_the_trace_that_it_was_asked_in() {
    let exchange = Exchange::start().await;
    let trader = exchange.trader("trader").await;
    exchange.app.pool.close().await;
    let query = trader.sign("symbol=BTCUSDT&orderId=999");
    let request =
        exchange.app.http.get(format!("{}/api/v3/order?{query}", exchange.app.api)).header("X-MBX-APIKEY", &trader.api_key);
    let request = request.header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let response = request.send().await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["x-trace-id"]),
        (503, &"0af7651916cd43dd8448eb211c80319c".parse().unwrap())
    );
    let body: serde_json::Value = response.json().await.unwrap();
    assert_eq!(body.as_object().map(|fields| fields.len()), Some(2), "code and msg, no internal details: {body}");
}

#[tokio::test]
async fn requests_are_measured_by_group_and_code() {
    let exchange = Exchange::start().await;
    exchange.public("/api/v3/ping", "").await.ok();
    exchange.public("/api/v3/depth", "symbol=NONE").await;
    exchange.public("/nothing", "").await;
    exchange.send(reqwest::Method::GET, "/api/v3/account", "", None, None).await;
    let metrics = exchange.app.http.get(format!("{}/metrics", exchange.app.admin)).send().await.unwrap().text().await.unwrap();
    for line in [
        r#"exchange_http_requests_total{code="200",group="general"} 1"#,
        r#"exchange_http_requests_total{code="400",group="market_data"} 1"#,
        r#"exchange_http_requests_total{code="404",group="unknown"} 1"#,
        r#"exchange_http_auth_failures_total{code="-2014"} 1"#,
        r#"exchange_http_request_duration_seconds_count{group="general"} 1"#,
        "exchange_http_requests_in_flight 0",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}");
    }
}

/// The rest of the body never arrives: without a time limit its sender would hold a connection forever.
#[tokio::test]
async fn a_body_that_does_not_arrive_is_answered_in_time() {
    let exchange = Exchange::start().await;
    let mut client = TcpStream::connect(exchange.app.api.trim_start_matches("http://")).await.unwrap();
    let head = "POST /api/v3/order HTTP/1.1\r\nHost: exchange\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 99\r\n\r\n";
    client.write_all(format!("{head}symbol=").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains(r#""code":-1013"#), "{answer}");
}

/// What HTTP clients send that encode nothing (curl -g, Node's `http`), as Binance's documentation writes it. The signature covers
/// the bytes as sent.
#[tokio::test]
async fn raw_quotes_in_a_query_pass_signed_and_unsigned() {
    let exchange = Exchange::start().await;
    let trader = exchange.trader("trader").await;
    let (signed, status) = (trader.sign("symbol=BTCUSDT&origClientOrderId=\"{|}\\^`"), "HTTP/1.1 400 ");
    for (path, query, expected) in [
        ("exchangeInfo", r#"symbols=["BTCUSDT","BNBUSDT"]"#, r#""symbol":"BNBUSDT""#),
        ("ticker/price", r#"symbols=["BTCUSDT"]"#, "HTTP/1.1 200 "),
        ("exchangeInfo", r#"permissions=["SPOT"]"#, r#""symbol":"BTCUSDT""#),
        ("order", &signed, status),
    ] {
        let mut client = TcpStream::connect(exchange.app.api.trim_start_matches("http://")).await.unwrap();
        let key = &trader.api_key;
        let head = format!("GET /api/v3/{path}?{query} HTTP/1.1\r\nHost: a\r\nX-MBX-APIKEY: {key}\r\nConnection: close\r\n\r\n");
        client.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.contains(expected), "{path}?{query}: {answer}");
        // -1022 would mean that other bytes were signed than were sent.
        assert!(!answer.contains("-1022"), "{path}?{query}: {answer}");
    }
}

/// hyper closes such a connection without an answer, so the client could not learn what is wrong.
#[tokio::test]
async fn a_body_with_malformed_chunks_is_answered_in_the_error_shape() {
    let exchange = Exchange::start().await;
    let head = "POST /api/v3/order HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let long = format!("1;{}\r\n", "x".repeat(20_000));
    for body in ["zz\r\na=b\r\n0\r\n\r\n", "-3\r\na=b\r\n", "fffffffffffffffff\r\na", "3\r\na=bXX0\r\n\r\n", "\r\n", &long] {
        let mut client = TcpStream::connect(exchange.app.api.trim_start_matches("http://")).await.unwrap();
        client.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains(r#""code":-1013"#), "{body:?}: {answer}");
    }
    let metrics = exchange.app.http.get(format!("{}/metrics", exchange.app.admin)).send().await.unwrap().text().await.unwrap();
    let line = r#"exchange_http_requests_total{code="400",group="trading"} 6"#;
    assert!(metrics.lines().any(|found| found == line), "{metrics}");
}
