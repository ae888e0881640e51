//! Tests of the reference document: every reply of every endpoint has the documented shape. Also tests of the pages.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::exchange::{Answer, Exchange, Trader};
use crate::schema::faults;

/// A request of the walk below; `None` as the first part of the parameters is a public request.
struct Walk<'a> {
    document: Value,
    trader: &'a Trader<'a>,
    seen: BTreeSet<(String, String)>,
}

impl Walk<'_> {
    /// Sends the request, compares the reply with the document, and returns it.
    async fn ask(&mut self, method: Method, path: &str, parameters: &str) -> Value {
        let operation = self.document["paths"][path][method.as_str().to_lowercase()].clone();
        assert!(operation.is_object(), "{method} {path} is documented");
        let answer = if operation["security"].is_array() {
            self.trader.signed(method.clone(), path, parameters).await
        } else {
            self.trader.exchange.public(path, parameters).await
        };
        let status = answer.status.as_str().to_owned();
        let documented = operation["responses"].get(&status).unwrap_or(&operation["responses"]["default"]);
        let schema = &documented["content"]["application/json"]["schema"];
        assert!(!schema.is_null(), "{method} {path} {status} is documented");
        let Answer { body, .. } = answer;
        assert_eq!(faults(&self.document, schema, &body, "reply"), [""; 0], "{method} {path} {parameters}: {body}");
        self.seen.insert((method.as_str().to_lowercase(), path.to_owned()));
        body
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_reply_has_the_shape_that_the_reference_says() {
    let exchange = Exchange::start().await;
    let (maker, trader) = (exchange.trader("maker").await, exchange.trader("trader").await);
    let document = exchange.app.http.get(format!("{}/openapi.json", exchange.app.api)).send().await.unwrap();
    let document = serde_json::from_slice(&document.bytes().await.unwrap()).unwrap();
    let mut walk = Walk { document, trader: &trader, seen: BTreeSet::new() };
    let (get, post, delete) = (Method::GET, Method::POST, Method::DELETE);

    maker.limit("SELL", "100.00", "1").await;
    maker.limit("SELL", "101.00", "1").await;
    maker.limit("BUY", "99.00", "1").await;
    let order = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC";
    for detail in ["ACK", "RESULT", "FULL"] {
        walk.ask(post.clone(), "/api/v3/order", &format!("{order}&price=100.00&quantity=0.1&newOrderRespType={detail}")).await;
    }
    let full = walk.ask(post.clone(), "/api/v3/order", &format!("{order}&price=101.00&quantity=1")).await;
    assert_eq!(full["fills"].as_array().map(Vec::len), Some(2), "{full}");
    walk.ask(
        post.clone(),
        "/api/v3/order",
        "symbol=BTCUSDT&side=SELL&type=STOP_LOSS&quantity=0.1&stopPrice=90.00&newOrderRespType=FULL",
    )
    .await;
    let expired = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=IOC&price=100.00&quantity=1";
    walk.ask(post.clone(), "/api/v3/order", expired).await;
    walk.ask(post.clone(), "/api/v3/order", "symbol=BTCUSDT").await;
    walk.ask(post.clone(), "/api/v3/order/test", expired).await;
    walk.ask(post.clone(), "/api/v3/order/test", &format!("{expired}&computeCommissionRates=true")).await;

    let resting = walk.ask(post.clone(), "/api/v3/order", &format!("{order}&price=90.00&quantity=1")).await["orderId"].clone();
    walk.ask(get.clone(), "/api/v3/order", &format!("symbol=BTCUSDT&orderId={resting}")).await;
    let replace = format!("{order}&price=91.00&quantity=1&cancelReplaceMode=STOP_ON_FAILURE&cancelOrderId=");
    let replaced = walk.ask(post.clone(), "/api/v3/order/cancelReplace", &format!("{replace}{resting}")).await;
    walk.ask(post.clone(), "/api/v3/order/cancelReplace", &format!("{replace}{resting}")).await;
    walk.ask(post.clone(), "/api/v3/order/cancelReplace", &format!("{}999999", replace.replace("STOP_ON", "ALLOW"))).await;
    let resting = &replaced["newOrderResponse"]["orderId"];
    walk.ask(delete.clone(), "/api/v3/order", &format!("symbol=BTCUSDT&orderId={resting}")).await;

    let resting = walk.ask(post.clone(), "/api/v3/order", &format!("{order}&price=90.00&quantity=1")).await["orderId"].clone();
    let amend = format!("symbol=BTCUSDT&orderId={resting}&newQty=");
    for quantity in ["0.5", "0.5"] {
        walk.ask(Method::PUT, "/api/v3/order/amend/keepPriority", &format!("{amend}{quantity}")).await;
    }
    walk.ask(get.clone(), "/api/v3/order/amendments", &format!("symbol=BTCUSDT&orderId={resting}")).await;

    let oco = "symbol=BTCUSDT&side=SELL&quantity=0.1&aboveType=LIMIT_MAKER&abovePrice=120.00&belowType=STOP_LOSS_LIMIT\
               &belowStopPrice=80.00&belowPrice=79.00&belowTimeInForce=GTC";
    for detail in ["ACK", "RESULT", "FULL"] {
        walk.ask(post.clone(), "/api/v3/orderList/oco", &format!("{oco}&newOrderRespType={detail}")).await;
    }
    let legacy = "symbol=BTCUSDT&side=SELL&quantity=0.1&price=130.00&stopPrice=70.00";
    let list = walk.ask(post.clone(), "/api/v3/order/oco", legacy).await["orderListId"].clone();
    walk.ask(delete.clone(), "/api/v3/orderList", &format!("symbol=BTCUSDT&orderListId={list}")).await;
    let working = "symbol=BTCUSDT&workingType=LIMIT_MAKER&workingSide=BUY&workingPrice=85.00&workingQuantity=0.1&pendingSide=SELL\
                   &pendingQuantity=0.1";
    let pair = "&pendingAboveType=LIMIT_MAKER&pendingAbovePrice=120.00&pendingBelowType=STOP_LOSS&pendingBelowStopPrice=80.00";
    for (path, pending) in [("/api/v3/orderList/oto", "&pendingType=MARKET"), ("/api/v3/orderList/otoco", pair)] {
        let list = walk.ask(post.clone(), path, &format!("{working}{pending}")).await["orderListId"].clone();
        walk.ask(delete.clone(), "/api/v3/orderList", &format!("symbol=BTCUSDT&orderListId={list}")).await;
    }
    let lists = walk.ask(get.clone(), "/api/v3/openOrderList", "").await;
    assert_eq!(lists.as_array().map(Vec::len), Some(3));
    let list = |index: usize| lists[index]["orderListId"].clone();
    let leg = format!("symbol=BTCUSDT&orderId={}&newQty=0.08", lists[0]["orders"][0]["orderId"]);
    walk.ask(Method::PUT, "/api/v3/order/amend/keepPriority", &leg).await;
    walk.ask(get.clone(), "/api/v3/orderList", &format!("orderListId={}", list(0))).await;
    walk.ask(delete.clone(), "/api/v3/orderList", &format!("symbol=BTCUSDT&orderListId={}", list(0))).await;
    walk.ask(delete.clone(), "/api/v3/order", &format!("symbol=BTCUSDT&orderId={}", lists[1]["orders"][0]["orderId"])).await;
    walk.ask(get.clone(), "/api/v3/allOrderList", "").await;

    walk.ask(get.clone(), "/api/v3/openOrders", "").await;
    walk.ask(get.clone(), "/api/v3/allOrders", "symbol=BTCUSDT").await;
    let trades = walk.ask(get.clone(), "/api/v3/myTrades", "symbol=BTCUSDT").await;
    assert!(trades.as_array().is_some_and(|trades| trades.len() >= 5), "{trades}");
    walk.ask(delete.clone(), "/api/v3/openOrders", "symbol=BTCUSDT").await;

    walk.ask(post.clone(), "/api/v3/order", &format!("{order}&price=99.50&quantity=1")).await;
    let own = "symbol=BTCUSDT&side=SELL&type=LIMIT&timeInForce=GTC&price=99.50&selfTradePreventionMode=";
    let decremented = walk.ask(post.clone(), "/api/v3/order", &format!("{own}DECREMENT&quantity=0.2")).await;
    walk.ask(post.clone(), "/api/v3/order", &format!("{own}EXPIRE_MAKER&quantity=0.2")).await;
    for parameters in [format!("orderId={}", decremented["orderId"]), "preventedMatchId=2".to_owned()] {
        let found = walk.ask(get.clone(), "/api/v3/myPreventedMatches", &format!("symbol=BTCUSDT&{parameters}")).await;
        assert_eq!(found.as_array().map(Vec::len), Some(1), "{found}");
    }

    for path in ["account", "account/commission", "myFilters", "rateLimit/order"] {
        let parameters = if ["account/commission", "myFilters"].contains(&path) { "symbol=BTCUSDT" } else { "" };
        walk.ask(get.clone(), &format!("/api/v3/{path}"), parameters).await;
    }
    for path in ["ping", "time", "exchangeInfo"] {
        walk.ask(get.clone(), &format!("/api/v3/{path}"), "").await;
    }
    walk.ask(get.clone(), "/api/v3/executionRules", "").await;
    walk.ask(get.clone(), "/api/v3/referencePrice", "symbol=BTCUSDT").await;
    walk.ask(get.clone(), "/api/v3/referencePrice", "symbol=BNBUSDT").await;
    for path in ["depth", "trades", "historicalTrades", "aggTrades", "avgPrice"] {
        let body = walk.ask(get.clone(), &format!("/api/v3/{path}"), "symbol=BTCUSDT").await;
        assert!(body.is_object() || body.as_array().is_some_and(|items| !items.is_empty()), "{path} returns rows");
    }
    let candles = walk.ask(get.clone(), "/api/v3/klines", "symbol=BTCUSDT&interval=1h").await;
    assert_eq!(walk.ask(get.clone(), "/api/v3/uiKlines", "symbol=BTCUSDT&interval=1h").await, candles);
    for path in ["24hr", "price", "bookTicker"] {
        for parameters in ["symbol=BTCUSDT", "symbols=[%22BTCUSDT%22,%22BNBUSDT%22]", ""] {
            walk.ask(get.clone(), &format!("/api/v3/ticker/{path}"), parameters).await;
        }
    }
    walk.ask(get.clone(), "/api/v3/ticker/24hr", "symbol=BTCUSDT&type=MINI").await;
    for path in ["ticker", "ticker/tradingDay"] {
        for parameters in ["symbol=BTCUSDT", "symbols=[%22BTCUSDT%22,%22BNBUSDT%22]", "symbol=BTCUSDT&type=MINI", ""] {
            walk.ask(get.clone(), &format!("/api/v3/{path}"), parameters).await;
        }
    }

    let key = walk.ask(post.clone(), "/api/v3/userDataStream", "").await["listenKey"].as_str().unwrap().to_owned();
    for method in [Method::PUT, delete.clone()] {
        walk.ask(method, "/api/v3/userDataStream", &format!("listenKey={key}")).await;
    }

    let wallet = [
        (&get, "/sapi/v1/system/status", ""),
        (&get, "/sapi/v1/capital/config/getall", ""),
        (&get, "/sapi/v1/capital/deposit/hisrec", ""),
        (&get, "/sapi/v1/capital/deposit/address", "coin=BTC"),
        (&post, "/sapi/v1/capital/withdraw/apply", "coin=BTC&address=x&amount=1"),
        (&get, "/sapi/v1/capital/withdraw/history", ""),
        (&get, "/sapi/v1/asset/tradeFee", ""),
        (&get, "/sapi/v1/margin/allPairs", ""),
        (&get, "/sapi/v1/margin/isolated/allPairs", ""),
        (&get, "/fapi/v1/exchangeInfo", ""),
        (&get, "/dapi/v1/exchangeInfo", ""),
    ];
    // Their successful replies are in the tests of statements: this exchange has no object storage.
    walk.ask(post.clone(), "/sapi/v1/account/statement", "startTime=1700000000000&endTime=1700000001000").await;
    walk.ask(get.clone(), "/sapi/v1/account/statement", "").await;
    walk.ask(get.clone(), "/sapi/v1/account/statement/link", "statementId=0").await;
    for (method, path, parameters) in wallet {
        walk.ask(method.clone(), path, parameters).await;
    }

    let paths = walk.document["paths"].as_object().unwrap();
    let all =
        paths.iter().flat_map(|(path, item)| item.as_object().unwrap().keys().map(move |method| (method.clone(), path.clone())));
    assert_eq!(all.filter(|operation| !walk.seen.contains(operation)).collect::<Vec<_>>(), [], "not requested by the walk");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_are_carried_in_the_server() {
    let exchange = Exchange::start().await;
    let fetch = async |path: &str| {
        let response = exchange.app.http.get(format!("{}{path}", exchange.app.api)).send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        assert!(headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'self'"), "{path}");
        (status, headers["content-type"].to_str().unwrap().to_owned(), response.text().await.unwrap())
    };
    let (status, _, home) = fetch("/").await;
    assert_eq!(status, 200);
    let links: Vec<&str> = home.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(links.contains(&"/docs/") && links.contains(&"/docs/differences"), "{links:?}");
    for link in links {
        assert_eq!(exchange.app.http.get(format!("{}{link}", exchange.app.api)).send().await.unwrap().status(), 200, "{link}");
    }
    let (status, kind, page) = fetch("/docs/").await;
    assert_eq!((status, kind.as_str()), (200, "text/html; charset=utf-8"));
    assert!(!page.contains("src=\"http") && !page.contains("href=\"http"), "no file comes from another host: {page}");
    assert!(page.contains("name=\"viewport\""), "a phone shows the page in its own width: {page}");
    let files: Vec<_> = page.split(['"', '\'']).filter(|text| text.starts_with("/assets/")).collect();
    assert_eq!(files.len(), 7, "{page}");
    for file in files {
        assert_eq!(fetch(file).await.0, 200, "{file}");
        assert_eq!(fetch(&format!("/docs/{}", file.rsplit('/').next().unwrap())).await.0, 200, "{file}");
    }
    let (status, _, start) = fetch("/docs/swagger-initializer.js").await;
    assert!(status == 200 && start.contains("/openapi.json") && start.contains("\"validatorUrl\": \"none\""), "{start}");
    let (status, kind, differences) = fetch("/docs/differences").await;
    assert_eq!((status, kind.as_str()), (200, "text/html; charset=utf-8"));
    for (method, path) in exchange::http::UNSUPPORTED {
        assert!(differences.contains(&format!("<code>{method} {path}</code>")), "{method} {path} is on the page");
        let answer = exchange.send(method.clone(), path, "", None, None).await;
        assert_eq!(answer.error(), (400, -1020, "This operation is not supported."), "{path}");
    }
    let answer = exchange.public("/api/v3/nothing", "").await;
    assert_eq!(answer.error(), (404, -1020, "This operation is not supported."));
}

/// What the page states about the transport, other origins and limits, and that the program does so.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_page_of_differences_states_is_so() {
    let exchange = Exchange::start().await;
    let page =
        exchange.app.http.get(format!("{}/docs/differences", exchange.app.api)).send().await.unwrap().text().await.unwrap();
    let page = page.replace('\n', " ");
    let states = |text: &str| assert!(page.contains(text), "{text:?} is not on the page");

    states("There are no CORS headers");
    let request = exchange.app.http.request(Method::OPTIONS, format!("{}/api/v3/ping", exchange.app.api));
    let answer = request.header("Origin", "http://other").header("Access-Control-Request-Method", "GET").send().await.unwrap();
    assert_eq!(answer.status(), 405);
    assert!(answer.headers().keys().all(|name| !name.as_str().starts_with("access-control-")), "{:?}", answer.headers());

    states("There is no <code>RAW_REQUESTS</code> limit");
    let information = exchange.public("/api/v3/exchangeInfo", "").await.ok();
    let kinds: BTreeSet<&str> =
        information["rateLimits"].as_array().unwrap().iter().filter_map(|limit| limit["rateLimitType"].as_str()).collect();
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), ["ORDERS", "REQUEST_WEIGHT"]);

    for (text, sent, status, code) in [
        (
            "A malformed request line, header or length of the body</td><td><code>400</code> with <code>-1000</code>",
            "G{T / HTTP/1.1\r\n\r\n".to_owned(),
            400,
            -1000,
        ),
        ("Headers above 64 KiB or more than 100", format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(101)), 431, -1013),
        (
            "whose chunks are malformed</td><td><code>400</code> with <code>-1013</code>",
            "POST /api/v3/order HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx".to_owned(),
            400,
            -1013,
        ),
        (
            "query above 16 KiB</td><td><code>413</code> and <code>414</code> with <code>-1013</code>",
            format!("GET /api/v3/ping?{} HTTP/1.1\r\nConnection: close\r\n\r\n", "a".repeat(17_000)),
            414,
            -1013,
        ),
    ] {
        states(text);
        let mut client = TcpStream::connect(exchange.app.api.trim_start_matches("http://")).await.unwrap();
        client.write_all(sent.as_bytes()).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(&format!("\"code\":{code},")), "{answer}");
    }

    states("A quote amount above the balance is accepted if the account can pay for what the book offers");
    let (maker, taker) = (exchange.trader("maker").await, exchange.trader("taker").await);
    maker.limit("SELL", "100.00", "1").await;
    let answer = taker.post("/api/v3/order", "symbol=BTCUSDT&side=BUY&type=MARKET&quoteOrderQty=99999999").await.ok();
    assert_eq!((&answer["status"], &answer["executedQty"]), (&"EXPIRED".into(), &"1.00000000".into()));
}
