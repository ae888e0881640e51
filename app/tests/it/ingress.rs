//! Tests of two servers behind nginx with the settings of the deployment's Ingress: a killed server, both unreachable, a stream through
//! a restart, limits, and a forged client address.

use std::sync::{Arc, atomic::Ordering};

use futures::future::join_all;
use reqwest::{Client, StatusCode};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    eventually::{eventually, until},
    nginx::{self, LIMITED, Nginx, UNLIMITED},
    processes::Process,
    replica::database,
    rolling::{Key, LIMITS, Seen, check, free_port, knows, load, market, start},
    socket::Socket,
};

/// Two servers behind nginx.
struct Two {
    url: String,
    ports: [u16; 2],
    servers: Vec<Process>,
    key: Arc<Key>,
    nginx: Nginx,
}

impl Two {
    async fn start(rate: &str) -> Self {
        let url = database().await;
        let ports = [free_port().await, free_port().await];
        let mut servers = vec![start(&url, ports[0]).await];
        servers[0].leads().await;
        servers.push(start(&url, ports[1]).await);
        let key = Arc::new(market(&url).await);
        servers[1].stands_by().await;
        for server in &servers {
            knows(&server.api, &key).await;
        }
        let nginx = Nginx::start(&ports, rate).await;
        Self { url, ports, servers, key, nginx }
    }

    /// Ends a server with `signal`, and starts another in its place.
    async fn replace(&mut self, index: usize, signal: &str) {
        self.servers[index].signal(signal);
        self.servers[index].child.wait().await.unwrap();
        self.servers[index] = start(&self.url, self.ports[index]).await;
        until("it is ready", || async { self.servers[index].is_ready().await }).await;
    }
}

/// The reply of a request in flight is lost with its server. nginx must not send the order again, and no other request may fail.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_behind_nginx_applies_no_order_twice() {
    if nginx::is_missing() {
        return;
    }
    let mut two = Two::start(UNLIMITED).await;
    let seen = Arc::new(Seen::default());
    let mut clients = load(std::slice::from_ref(&two.nginx.api), &two.key, &seen);
    for index in [0, 1] {
        seen.goes_on(60).await;
        two.replace(index, "-KILL").await;
        knows(&two.servers[index].api, &two.key).await;
    }
    seen.goes_on(60).await;
    seen.stop.store(true, Ordering::Relaxed);
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
    let failed = seen.failed.lock().unwrap().clone();
    println!("{} orders, {} failed: {:#?}", seen.count(), failed.len(), &failed[..failed.len().min(20)]);
    // 502: the connection broke. 503 and 504: the leader is lost, and the order was refused or is in doubt.
    let other: Vec<_> = failed.iter().filter(|text| !["502 ", "503 ", "504 "].iter().any(|code| text.contains(code))).collect();
    assert!(other.is_empty(), "{other:#?}");
    for server in &two.servers {
        check(&server.api, &two.key, &seen, true).await;
    }
    two.nginx.end().await;
}

/// In a fail-over of the database both servers refuse for a moment. nginx must not leave them out after that.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_ready_server_is_used_at_once_after_both_refused() {
    if nginx::is_missing() {
        return;
    }
    let mut two = Two::start(UNLIMITED).await;
    for server in &mut two.servers {
        server.signal("-KILL");
        server.child.wait().await.unwrap();
    }
    let ping = format!("{}/api/v3/ping", two.nginx.api);
    let status = || async { Client::new().get(&ping).send().await.unwrap().status() };
    for _ in 0..5 {
        assert_eq!(status().await, StatusCode::BAD_GATEWAY);
    }
    two.servers[1] = start(&two.url, two.ports[1]).await;
    until("one is ready", || async { two.servers[1].is_ready().await }).await;
    let ready = std::time::Instant::now();
    assert_eq!(status().await, StatusCode::OK, "the first request after one server is ready");
    println!("first 200 {:?} after the first ready server", ready.elapsed());
    two.nginx.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_behind_nginx_is_closed_at_a_restart_and_opens_again() {
    if nginx::is_missing() {
        return;
    }
    let mut two = Two::start(UNLIMITED).await;
    let mut sockets = Vec::new();
    for _ in 0..4 {
        let mut socket = Socket::open_at(&two.nginx.api, "/ws/btcusdt@trade").await;
        let answer = socket.ask(json!({"method": "LIST_SUBSCRIPTIONS", "id": 1})).await;
        assert_eq!(answer["result"], json!(["btcusdt@trade"]));
        sockets.push(socket);
    }
    for index in [0, 1] {
        two.replace(index, "-TERM").await;
    }
    for mut socket in sockets {
        // Its server closed it and named the reason, and nginx passed that on.
        let code = socket.closed().await.map(|(code, _)| u16::from(code));
        assert!(matches!(code, Some(1001 | 1012)), "{code:?}");
        let mut again = Socket::open_at(&two.nginx.api, "/ws/btcusdt@trade").await;
        let answer = again.ask(json!({"method": "LIST_SUBSCRIPTIONS", "id": 2})).await;
        assert_eq!(answer["result"], json!(["btcusdt@trade"]));
    }
    two.nginx.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_limits_bodies_and_requests() {
    if nginx::is_missing() {
        return;
    }
    let two = Two::start(LIMITED).await;
    let order = format!("{}/api/v3/order", two.nginx.api);
    let large = Client::new().post(&order).body(vec![b'a'; 64 * 1024 + 1]).send().await.unwrap();
    assert_eq!(large.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let codes = eventually("some requests get 429", || async {
        let codes = at_once(&two.nginx.api, 480).await;
        assert!(codes.iter().all(|code| matches!(code, 200 | 429)), "{codes:?}");
        codes.contains(&429).then_some(codes)
    })
    .await;
    assert!(codes.contains(&200), "the burst passes");
    two.nginx.end().await;
}

/// Statuses of requests whose last bytes are sent at the same moment, from one address. More than the burst of 400, and few enough for
/// nginx's 1,024 connections, of which a request needs two. A closed loop of clients reaches the rate only on a fast machine.
async fn at_once(api: &str, requests: usize) -> Vec<u16> {
    let address = api.trim_start_matches("http://");
    let head = "GET /api/v3/ping HTTP/1.1\r\nHost: exchange\r\nConnection: close\r\n";
    let mut clients = join_all((0..requests).map(|_| async {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(head.as_bytes()).await.unwrap();
        client
    }))
    .await;
    for client in &mut clients {
        client.write_all(b"\r\n").await.unwrap();
    }
    join_all(clients.into_iter().map(|mut client| async move {
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{answer:?}"))
    }))
    .await
}

/// The controller appends the address that it sees. The exchange counts limits and writes its access log by that address.
#[tokio::test(flavor = "multi_thread")]
async fn a_forged_forwarded_address_changes_nothing() {
    if nginx::is_missing() {
        return;
    }
    let url = database().await;
    let port = free_port().await;
    let listen = format!("127.0.0.1:{port}");
    let mut settings = LIMITS.to_vec();
    settings.extend([
        ("EXCHANGE_HTTP_LISTEN", listen.as_str()),
        ("EXCHANGE_TRUSTED_PROXIES", "127.0.0.1/32"),
        ("EXCHANGE_ACCESS_LOG", "true"),
    ]);
    let server = Process::serve_with(&url, &settings).await;
    server.leads().await;
    let nginx = Nginx::start(&[port], UNLIMITED).await;
    let client = Client::builder().local_address(Some("127.0.0.9".parse().unwrap())).build().unwrap();
    for (number, forged) in
        [None, Some("203.0.113.9"), Some("203.0.113.9, 127.0.0.1"), Some("127.0.0.1"), Some("nonsense")].into_iter().enumerate()
    {
        let mut request = client.get(format!("{}/api/v3/forged-{number}", nginx.api));
        if let Some(forged) = forged {
            request = request
                .header("X-Forwarded-For", forged)
                .header("X-Real-IP", forged)
                .header("Forwarded", format!("for={forged}"));
        }
        request.send().await.unwrap();
        let line =
            eventually("the request is logged", || async { server.lines("url.path", &format!("/api/v3/forged-{number}")).pop() })
                .await;
        assert_eq!(line["client.ip"], "127.0.0.9", "{forged:?}: {line}");
    }
    nginx.end().await;
}
