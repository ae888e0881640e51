use super::*;
use crate::http::transport::HEAD_TIMEOUT;
use axum::extract::RawQuery;
use axum::routing::get;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const ANSWER_BYTES: usize = 32 * 1024 * 1024;

struct Running {
    address: SocketAddr,
    shutdown: CancellationToken,
    serving: tokio::task::JoinHandle<io::Result<()>>,
    connections: IntGauge,
    over: IntCounter,
}

async fn start(per_address: u32, exempt: Vec<IpNet>) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let sent = |RawQuery(encoded): RawQuery, sent: Option<axum::Extension<AsSent>>| async move {
        let sent = sent.map(|sent| String::from_utf8_lossy(&sent.0.0).into_owned());
        format!("[{}|{}]", encoded.unwrap_or_default(), sent.unwrap_or_default())
    };
    let router = Router::new()
        .route("/", get(|| async { "here" }).post(|body: String| async move { format!("<{body}>") }))
        .route("/query", get(sent))
        .route("/large", get(|| async { vec![b'x'; ANSWER_BYTES] }));
    let refuse: Refuse = Arc::new(|_, error| {
        Box::pin(async move {
            let body = format!("{{\"code\":{},\"msg\":\"{}\"}}", error.code, error.text);
            Response::builder().status(error.status).body(Body::from(body)).unwrap()
        })
    });
    let connections = IntGauge::new("connections", "open").unwrap();
    let over = IntCounter::new("over", "over").unwrap();
    let bounds = ListenerBounds { write_timeout: Duration::from_millis(200), per_address, exempt, over: over.clone() };
    let shutdown = CancellationToken::new();
    let parts = Serving { router, refuse, bounds, connections: connections.clone() };
    let closing = Closing { asked: CancellationToken::new(), last: shutdown.clone() };
    let serving = tokio::spawn(serve_connections(listener, parts, closing));
    Running { address, shutdown, serving, connections, over }
}

async fn ask(address: SocketAddr, sent: &[u8]) -> String {
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(sent).await.unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_late_head_is_answered_408_and_an_idle_connection_ends() {
    let server = start(9, Vec::new()).await;
    for (sent, status) in [("GET / HTTP/1.1\r\nHost: exch", " 408 "), ("GET / HTTP/1.1\r\nHost: exchange\r\n\r\n", " 200 ")] {
        let begun = tokio::time::Instant::now();
        let answer = ask(server.address, sent.as_bytes()).await;
        assert!(begun.elapsed().as_secs().abs_diff(HEAD_TIMEOUT.as_secs()) <= 2, "{sent}");
        assert!(answer.contains(status), "{answer}");
    }
    server.shutdown.cancel();
    server.serving.await.unwrap().unwrap();
    assert_eq!(server.connections.get(), 0);
}

#[tokio::test]
async fn raw_bytes_of_a_query_arrive_encoded_and_as_sent() {
    let server = start(9, Vec::new()).await;
    let answer = ask(
        server.address,
        "GET /query?symbols=[\"A\",\"B\"]&x={|}\\^`<é> HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".as_bytes(),
    )
    .await;
    let expected = "[symbols=%5B%22A%22,%22B%22%5D&x=%7B%7C%7D%5C%5E%60%3C%C3%A9%3E|symbols=[\"A\",\"B\"]&x={|}\\^`<é>]";
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(expected), "{answer}");
}

#[tokio::test]
async fn a_fault_of_the_transport_is_answered_in_the_error_shape() {
    let server = start(99, Vec::new()).await;
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(21_000));
    let endless = format!("GET /{}", "a".repeat(70_000));
    let large = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(70_000));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: 1\r\n".repeat(101));
    let post = "POST / HTTP/1.1\r\nContent-Length: ";
    let rows = [
        ("no request\r\n\r\n".to_owned(), 400),
        ("\u{16}\u{3}\u{1}".to_owned(), 400),
        ("GET / HTTP/2.0\r\n\r\n".to_owned(), 400),
        ("GET /a b HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nno colon\r\n\r\n".to_owned(), 400),
        (format!("{post}1\r\nContent-Length: 2\r\n\r\nab"), 400),
        (format!("{post}1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400),
        (format!("{post}+1\r\n\r\na"), 400),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n".to_owned(), 400),
        (long, 414),
        (endless, 414),
        (large, 431),
        (many, 431),
    ];
    for (sent, status) in rows {
        let answer = ask(server.address, sent.as_bytes()).await;
        let start: String = sent.chars().take(60).collect();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains("{\"code\":-10"), "{start}: {answer}");
    }
}

/// Two requests with bodies of both kinds, then an invalid one, sent byte by byte and in one write: answered in order.
#[tokio::test]
async fn pipelined_requests_are_answered_in_order_before_a_fault() {
    let server = start(9, Vec::new()).await;
    let sent = "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\none\
        POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\ntw\r\n1\r\no\r\n0\r\nT: r\r\n\r\n\
        GET /query?a=\"1\" HTTP/1.1\r\n\r\nGET /query?b=2 HTTP/1.1\r\n\r\nbroken\r\n\r\nGET / HTTP/1.1\r\n\r\n";
    for size in [1, sent.len()] {
        let mut client = TcpStream::connect(server.address).await.unwrap();
        client.set_nodelay(true).unwrap();
        for part in sent.as_bytes().chunks(size) {
            if client.write_all(part).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        let mut rest = &answer[..];
        for part in ["<one>", "<two>", "[a=%221%22|a=\"1\"]", "[b=2|]", "HTTP/1.1 400 "] {
            let found = rest.find(part).unwrap_or_else(|| panic!("{size} {part}: {answer}"));
            rest = &rest[found..];
        }
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 5, "{answer}");
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_is_disconnected() {
    let server = start(9, Vec::new()).await;
    let mut client = TcpStream::connect(server.address).await.unwrap();
    client.write_all(b"GET /large HTTP/1.1\r\n\r\n").await.unwrap();
    client.readable().await.unwrap();
    server.shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(10), server.serving).await.expect("the shutdown ends").unwrap().unwrap();
    assert_eq!(server.connections.get(), 0);
}

#[tokio::test]
async fn an_address_holds_so_many_connections_and_a_proxy_any() {
    let server = start(1, Vec::new()).await;
    let _held = TcpStream::connect(server.address).await.unwrap();
    let mut over = TcpStream::connect(server.address).await.unwrap();
    assert_eq!(over.read(&mut [0; 1]).await.unwrap_or(0), 0);
    assert_eq!(server.over.get(), 1);
    let server = start(1, vec!["127.0.0.0/8".parse().unwrap()]).await;
    let _held = TcpStream::connect(server.address).await.unwrap();
    let answer = ask(server.address, b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n").await;
    assert!(answer.ends_with("here"), "{answer}");
}

#[test]
fn a_client_has_one_count_in_every_spelling() {
    let bounds = |exempt: &[&str]| ListenerBounds {
        write_timeout: Duration::from_secs(1),
        per_address: 2,
        exempt: exempt.iter().map(|network| network.parse().unwrap()).collect(),
        over: IntCounter::new("over", "of the test").unwrap(),
    };
    let enter = |counts: &ConnectionCounts, bounds: &ListenerBounds, peer: &str| {
        CountedConnection::enter(counts, bounds, peer.parse().unwrap())
    };
    for (client, other) in [
        (["2001:db8::1", "2001:db8::2", "2001:db8::ffff:1"], "2001:db8:0:1::1"),
        (["203.0.113.7", "::ffff:203.0.113.7", "203.0.113.7"], "::ffff:203.0.113.8"),
    ] {
        let (counts, bounds) = (ConnectionCounts::default(), bounds(&["10.0.0.0/8"]));
        let held = [enter(&counts, &bounds, client[0]).unwrap(), enter(&counts, &bounds, client[1]).unwrap()];
        assert!(enter(&counts, &bounds, client[2]).is_none(), "{client:?}");
        let _other = enter(&counts, &bounds, other).expect("another client");
        let _proxies: Vec<_> = (0..9).map(|_| enter(&counts, &bounds, "::ffff:10.0.0.1").expect("exempt")).collect();
        drop(held);
        assert!(enter(&counts, &bounds, client[2]).is_some() && counts.lock().len() == 1, "an ended connection is not counted");
    }
}

/// A proxy that has sent a POST on such a connection would never send it again.
#[tokio::test]
async fn a_connection_that_the_kernel_accepted_is_served_and_a_later_one_is_not() {
    const PATIENCE: Duration = Duration::from_millis(200);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = TcpStream::connect(address).await.unwrap();
    waiting.write_all(b"early").await.unwrap();
    handshake::ignore_new(&listener).unwrap();
    assert!(tokio::time::timeout(PATIENCE, TcpStream::connect(address)).await.is_err(), "no handshake, and no reset");
    let (mut accepted, _) = listener.accept().await.unwrap();
    let mut received = [0; 5];
    accepted.read_exact(&mut received).await.unwrap();
    assert_eq!(&received, b"early");
    assert!(tokio::time::timeout(PATIENCE, listener.accept()).await.is_err());
    drop(listener);
    assert_eq!(TcpStream::connect(address).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
}
