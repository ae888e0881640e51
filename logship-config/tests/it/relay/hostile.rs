//! This module tests slow, broken and hostile clients over plain TCP. Each is bounded in time and memory, uses no place, is
//! counted, and does not affect ordinary chunks.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::world::{APP, World, cluster, gzip, numbered};

/// The limit of a client in these tests.
const TIMEOUT: &str = "1s";
/// The end of a connection, on a busy machine.
const ENDS_WITHIN: Duration = Duration::from_secs(60);
const TRICKLE: Duration = Duration::from_millis(100);

async fn connect(world: &World) -> TcpStream {
    let address = world.url.strip_prefix("http://").unwrap().strip_suffix("/_bulk").unwrap();
    TcpStream::connect(address).await.unwrap()
}

/// Everything until the relay closes the connection.
async fn rest(client: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = tokio::time::timeout(ENDS_WITHIN, client.read_to_end(&mut answer)).await.expect("the connection ends");
    // A reset after the answer is an end too.
    drop(read);
    String::from_utf8_lossy(&answer).into_owned()
}

/// Sends all bytes and returns the answers. The relay may close the connection before the last byte.
async fn exchange(world: &World, bytes: &[u8]) -> String {
    let mut client = connect(world).await;
    let _ = client.write_all(bytes).await;
    rest(&mut client).await
}

async fn closed(world: &World, reason: &str) -> u64 {
    world.metric(&format!("logship_relay_closed_connections_total{{reason=\"{reason}\"}}")).await
}

/// Ordinary chunks arrive, and nothing is charged.
async fn is_unaffected(world: &World, from: usize) {
    assert_eq!(world.send(&numbered(from, from + 1)).await.status, 200);
    world
        .until("all memory and places are free", async |world| {
            let arriving = world.metric("logship_relay_memory_bytes{part=\"arriving\"}").await;
            let plain = world.metric("logship_relay_memory_bytes{part=\"plain\"}").await;
            (arriving, plain, world.metric("logship_relay_chunks_in_work").await) == (0, 0, 0)
        })
        .await;
}

#[tokio::test]
async fn clients_that_send_slowly_or_nothing_are_closed() {
    let world = World::start_with(cluster(false), &[("LOGSHIP_RELAY_CLIENT_TIMEOUT", TIMEOUT)]).await;
    let trickled = async |head: &str, byte: u8| {
        let mut client = connect(&world).await;
        client.write_all(head.as_bytes()).await.unwrap();
        let (mut read, mut write) = client.into_split();
        let writing = tokio::spawn(async move {
            while write.write_all(&[byte]).await.is_ok() {
                tokio::time::sleep(TRICKLE).await;
            }
        });
        let mut answer = Vec::new();
        let read = tokio::time::timeout(ENDS_WITHIN, read.read_to_end(&mut answer)).await.expect("the connection ends");
        drop(read);
        writing.abort();
        String::from_utf8_lossy(&answer).into_owned()
    };
    // A header and a body, a byte at a time.
    trickled("POST /_bulk HTTP/1.1\r\nhost: a\r\nx-slow: ", b'a').await;
    assert_eq!(closed(&world, "no_request").await, 1);
    let answer = trickled("POST /_bulk HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\n", b'a').await;
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("did not arrive within 1 s"), "{answer}");
    // A chunk size, and the extension of a chunk, which is no part of the body.
    let chunked = "POST /_bulk HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    let answer = trickled(&format!("{chunked}1;a="), b'a').await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert_eq!(world.chunks("broken").await, 2);
    // Nothing at all, and nothing after a request.
    assert_eq!(rest(&mut connect(&world).await).await, "");
    let chunk = String::from_utf8(numbered(0, 1)).unwrap();
    let whole = format!("POST /_bulk HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{chunk}", chunk.len());
    assert!(exchange(&world, whole.as_bytes()).await.starts_with("HTTP/1.1 200"));
    world.until("all connections are closed", async |world| world.metric("logship_relay_connections").await == 0).await;
    is_unaffected(&world, 10).await;
}

#[tokio::test]
async fn connections_of_one_address_are_limited() {
    let world = World::start_with(cluster(false), &[("LOGSHIP_RELAY_CONNECTIONS", "8")]).await;
    let mut open = Vec::new();
    for number in 1..=6 {
        open.push(connect(&world).await);
        world.until("it is accepted", async |world| world.metric("logship_relay_connections").await == number).await;
    }
    for number in 1..=3 {
        assert_eq!(rest(&mut connect(&world).await).await, "");
        world.until("it is counted", async |world| closed(world, "too_many").await == number).await;
    }
    drop(open);
    world.until("they are closed", async |world| world.metric("logship_relay_connections").await == 0).await;
    is_unaffected(&world, 0).await;
}

/// Input that is not a request, or is larger than any request needs.
#[tokio::test]
async fn odd_and_oversized_requests_are_refused() {
    let settings = [("LOGSHIP_RELAY_CLIENT_TIMEOUT", TIMEOUT), ("LOGSHIP_RELAY_BODY_LIMIT", "100000")];
    let world = World::start_with(cluster(false), &settings).await;
    let post = "POST /_bulk HTTP/1.1\r\nhost: a\r\n";
    let chunked = format!("{post}transfer-encoding: chunked\r\n\r\n");
    let large = "a".repeat(200_000);
    for (request, status) in [
        ("\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}".to_owned() + &large, "400"),
        // Closed without an answer: the client expects HTTP/2.
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), ""),
        ("GET /\r\n\r\n".to_owned(), "400"),
        (format!("{post}x-large: {large}\r\n\r\n"), "431"),
        (format!("POST /_bulk?{large} HTTP/1.1\r\nhost: a\r\n\r\n"), "4"),
        (format!("{post}{}\r\n", "a: b\r\n".repeat(1_000)), "431"),
        (format!("{post}content-length: 5\r\ncontent-length: 6\r\n\r\nhello"), "400"),
        (format!("{post}content-length: -1\r\n\r\n"), "400"),
        (format!("{post}content-length: 99999999999999999999999\r\n\r\n"), "400"),
        (format!("{post}transfer-encoding: gzip\r\n\r\n"), "400"),
        // The length of a chunk, its extensions, and trailers.
        (format!("{chunked}fffffffffffffffff\r\n"), "400"),
        (format!("{chunked}zz\r\n"), "400"),
        (format!("{chunked}1;{large}\r\na\r\n0\r\n\r\n"), "400"),
        (format!("{chunked}{}0\r\n\r\n", "1;a=b\r\na\r\n".repeat(10_000)), "400"),
        (format!("{chunked}1\r\na\r\n0\r\nx-large: {large}\r\n\r\n"), "400"),
        // A chunk that claims more than the limit, and one that ends early.
        (format!("{chunked}fffffff\r\n{large}"), "413"),
        (format!("{post}content-length: 100\r\n\r\nhalf"), "408"),
        ("POST /_bulk HTTP/1.0\r\n\r\n".to_owned(), "400"),
    ] {
        let answer = exchange(&world, request.as_bytes()).await;
        let shown: String = request.chars().take(80).collect();
        // The connection is reset if bytes of the request were not read: the answer may be lost then.
        let given = answer.split(' ').nth(1).unwrap_or_default();
        assert!(given.starts_with(status) || answer.is_empty() && request.len() > 100_000, "{shown:?}: {answer}");
    }
    assert!(world.bulk_calls().is_empty() && world.documents(APP).is_empty());
    assert!(closed(&world, "malformed").await >= 5);
    is_unaffected(&world, 0).await;
}

/// Unusual but correct requests are chunks like any other.
#[tokio::test]
async fn every_form_of_a_correct_request_is_stored() {
    let world = World::start_with(cluster(false), &[("LOGSHIP_RELAY_CLIENT_TIMEOUT", TIMEOUT)]).await;
    let post = "POST /_bulk HTTP/1.1\r\nhost: a\r\n";
    let chunk = |number: usize| String::from_utf8(numbered(number, number + 1)).unwrap();
    let plain = |number: usize| format!("content-length: {}\r\n\r\n{}", chunk(number).len(), chunk(number));
    let (first, second) = (chunk(4), chunk(5));
    for (request, answers) in [
        (format!("POST /_bulk HTTP/1.0\r\n{}", plain(0)), 1),
        (format!("POST /_bulk HTTP/1.0\r\nconnection: keep-alive\r\n{}", plain(1)), 1),
        (format!("{post}Expect: 100-continue\r\n{}", plain(2)), 1),
        (format!("\r\n\r\n{post}{}", plain(3)), 1),
        // Extensions and trailers.
        (
            format!(
                "{post}transfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n{:x};a=\"b\"\r\n{first}\r\n0\r\nx-sum: 1\r\n\r\n",
                first.len()
            ),
            1,
        ),
        (format!("{post}transfer-encoding: chunked\r\n\r\n000{:X}\r\n{second}\r\n0\r\n\r\n", second.len()), 1),
        // Several requests before the first answer.
        ((6..16).map(|number| format!("{post}{}", plain(number))).collect(), 10),
    ] {
        let answer = exchange(&world, request.as_bytes()).await;
        assert_eq!(answer.matches("\"errors\":false").count(), answers, "{request}: {answer}");
    }
    assert_eq!(world.documents(APP).len(), 16);
    is_unaffected(&world, 100).await;
}

/// Small bodies that inflate beyond the limit, with true and false statements of their size.
#[tokio::test]
async fn bodies_that_inflate_beyond_the_limit_are_refused() {
    let world = World::start_with(cluster(false), &[("LOGSHIP_RELAY_BODY_LIMIT", "1000000")]).await;
    let bomb = gzip(&vec![b'\n'; 200 << 20]);
    let mut understated = bomb.clone();
    let size = understated.len() - 4;
    understated[size..].copy_from_slice(&10_u32.to_le_bytes());
    let members: Vec<u8> = (0..20).flat_map(|_| gzip(&vec![b'\n'; 900_000])).collect();
    for (body, name) in
        [(bomb.clone(), "true size"), (understated, "understated"), (members, "many members"), (gzip(&bomb), "twice")]
    {
        let told = world.told(world.client.post(&world.url).header("content-encoding", "gzip").body(body)).await.unwrap();
        assert!(matches!(told.status, 400 | 413), "{name}: {told:?}");
    }
    assert!(world.bulk_calls().is_empty());
    is_unaffected(&world, 0).await;
}
