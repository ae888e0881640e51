//! This module tests the requests that the relay refuses, and its answers. Nothing of them is sent to Elasticsearch.

use std::{process::Command, time::Duration};

use elasticsearch_fake::{FaultKind, InjectedFault};

use super::world::{APP, World, cluster, good, gzip, line, numbered};

#[tokio::test]
async fn an_invalid_chunk_is_refused_with_the_remedy_and_not_sent() {
    let world = World::start().await;
    let first = String::from_utf8(numbered(0, 1)).unwrap();
    for (body, status, reason, label) in [
        (String::new(), 400, "contains no action", "malformed"),
        (first.trim_end().to_owned(), 400, "does not end with a line feed", "malformed"),
        (format!("{first}{{}}\n{{}}\n"), 400, "line 3 is not an action", "malformed"),
        (first.replace("create", "index"), 400, "write_operation create", "not_create"),
        (first.replace(",\"_id\":\"0\"", ""), 400, "generate_id on", "no_id"),
        (
            first.clone() + &line("logs-other-default", "1", &good(1)),
            400,
            "which is not in LOGSHIP_RELAY_STREAMS",
            "unknown_stream",
        ),
    ] {
        let told = world.send(body.as_bytes()).await;
        assert!(told.status == status && told.reason().contains(reason), "{body}: {told:?}");
        assert_eq!(told.body["error"]["type"], "relay_refused");
        assert!(world.metric(&format!("logship_relay_refused_chunks_total{{reason=\"{label}\"}}")).await > 0, "{label}");
    }
    let post = |url: &str| world.client.post(url);
    for (request, status, reason) in [
        (post(&format!("{}?pipeline=x", world.url)).body(first.clone()), 400, "accepts no parameters (pipeline=x)"),
        (post(&world.url).header("content-encoding", "zstd").body(first.clone()), 415, "compress gzip"),
        (post(&world.url).header("content-encoding", "gzip").body(first.clone()), 400, "is not gzip"),
        (post(&world.url.replace("_bulk", "_search")).body(first.clone()), 404, "accepts only POST /_bulk"),
    ] {
        let told = world.told(request).await.unwrap();
        assert!(told.status == status && told.reason().contains(reason), "{told:?}");
    }
    assert!(world.bulk_calls().is_empty() && world.documents(APP).is_empty());
    assert_eq!(world.chunks("refused").await, 9, "a request to another path is not a chunk");
    // Plain, and with PUT, which Elasticsearch also accepts.
    assert!(world.told(world.client.put(&world.url).body(first.clone())).await.unwrap().is_success());
    // The names of an encoding.
    for (name, body) in [("GZIP", gzip(first.as_bytes())), ("x-gzip", gzip(first.as_bytes())), ("Identity", first.into_bytes())] {
        let told = world.told(post(&world.url).header("content-encoding", name).body(body)).await.unwrap();
        assert!(told.is_success(), "{name}: {told:?}");
    }
}

#[tokio::test]
async fn a_body_above_the_limit_is_refused_compressed_or_not() {
    let world = World::start_with(cluster(false), &[("LOGSHIP_RELAY_BODY_LIMIT", "100000")]).await;
    let large = numbered(0, 2_000);
    for request in [
        world.client.post(&world.url).body(large.clone()),
        world.client.post(&world.url).header("content-encoding", "gzip").body(gzip(&large)),
        // 64 MiB of zeros.
        world.client.post(&world.url).header("content-encoding", "gzip").body(gzip(&vec![b' '; 64 << 20])),
    ] {
        let told = world.told(request).await.unwrap();
        assert!(told.status == 413 && told.reason().contains("LOGSHIP_RELAY_BODY_LIMIT"), "{told:?}");
    }
    assert!(world.bulk_calls().is_empty());
    assert_eq!(world.chunks("too_large").await, 3);
    assert!(world.send(&numbered(0, 100)).await.is_success());
}

#[tokio::test]
async fn chunks_without_a_place_are_refused_and_arrive_later() {
    let world =
        World::start_with(cluster(false), &[("LOGSHIP_RELAY_CHUNKS_AT_ONCE", "1"), ("LOGSHIP_RELAY_WAIT", "100ms")]).await;
    world.fault(InjectedFault::new(FaultKind::Slow(Duration::from_millis(1_500))).times(1));
    let (first, second) = (numbered(0, 5), numbered(5, 10));
    let refused = async {
        world.until("the first is in progress", async |world| world.metric("logship_relay_chunks_in_work").await == 1).await;
        world.send(&second).await
    };
    let (first, told) = tokio::join!(world.send(&first), refused);
    assert!(first.is_success());
    assert!(told.status == 429 && told.retry_after && told.reason().contains("LOGSHIP_RELAY_CHUNKS_AT_ONCE"), "{told:?}");
    assert_eq!(world.chunks("busy").await, 1);
    assert!(world.send(&second).await.is_success());
    assert_eq!(world.documents(APP).len(), 10);
}

/// A shipper with a shorter deadline than the relay's: its chunk ends without an answer, and is still counted.
#[tokio::test]
async fn an_abandoned_chunk_is_counted_and_frees_its_place() {
    let world = World::start_with(cluster(false), &[("LOGSHIP_RELAY_CHUNKS_AT_ONCE", "1")]).await;
    assert_eq!(world.chunks("abandoned").await, 0);
    world.fault(InjectedFault::new(FaultKind::Slow(Duration::from_secs(20))).times(1));
    let body = numbered(0, 5);
    let impatient = world.client.post(&world.url).timeout(Duration::from_secs(1)).body(body.clone());
    assert!(world.told(impatient).await.is_none());
    world.until("no chunk is in progress", async |world| world.metric("logship_relay_chunks_in_work").await == 0).await;
    assert_eq!(world.chunks("abandoned").await, 1);
    assert!(world.send(&body).await.is_success());
    assert_eq!(world.documents(APP).len(), 5);
    assert_eq!(world.chunks("stored").await, 1);
}

/// A shipper that stops in the middle of a body: nothing of it is sent.
#[tokio::test]
async fn an_incomplete_body_is_counted_and_not_forwarded() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let world = World::start().await;
    let address = world.url.strip_prefix("http://").unwrap().strip_suffix("/_bulk").unwrap();
    let mut shipper = tokio::net::TcpStream::connect(address).await.unwrap();
    let body = numbered(0, 5);
    let head = format!("POST /_bulk HTTP/1.1\r\nhost: {address}\r\ncontent-length: {}\r\n\r\n", body.len() + 1);
    shipper.write_all(&[head.as_bytes(), &body].concat()).await.unwrap();
    shipper.shutdown().await.unwrap();
    let mut told = String::new();
    shipper.read_to_string(&mut told).await.unwrap();
    world.until("the chunk is counted", async |world| world.chunks("broken").await == 1).await;
    assert!(world.bulk_calls().is_empty() && world.documents(APP).is_empty(), "{told}");
}

#[test]
fn bad_settings_and_files_are_refused_before_a_port_is_bound() {
    let url = ("LOGSHIP_ELASTICSEARCH_URL", "http://127.0.0.1:1");
    let (folder, streams) = (tempfile::tempdir().unwrap(), ("LOGSHIP_RELAY_STREAMS", APP));
    let file = folder.path().join("empty");
    std::fs::write(&file, "\n").unwrap();
    let empty = file.to_str().unwrap();
    for (settings, told) in [
        (&[url][..], "LOGSHIP_RELAY_STREAMS is missing"),
        (&[("LOGSHIP_RELAY_STREAMS", APP)], "LOGSHIP_ELASTICSEARCH_URL is missing"),
        (&[url, ("LOGSHIP_RELAY_STREAMS", APP), ("LOGSHIP_RELAY_LISTEN", "0.0.0.0:0")], "other machines may reach"),
        (&[url, ("LOGSHIP_RELAY_STREAMS", APP), ("LOGSHIP_RELAY_DEADLIN", "1s")], "did you mean LOGSHIP_RELAY_DEADLINE?"),
        (&[url, streams, ("LOGSHIP_RELAY_DEADLINE", "0s")], "LOGSHIP_RELAY_DEADLINE is 0ms, outside 1ms"),
        (&[url, streams, ("LOGSHIP_TIMEOUT", "0s")], "LOGSHIP_TIMEOUT is 0ms, outside 1ms"),
        (&[url, streams, ("LOGSHIP_API_KEY_FILE", "/nowhere/key")], "/nowhere/key cannot be read"),
        (&[url, streams, ("LOGSHIP_API_KEY_FILE", empty)], "is empty; write one line"),
        (&[url, streams, ("LOGSHIP_CA_FILE", "/nowhere/ca")], "/nowhere/ca cannot be read"),
        (&[url, streams, ("LOGSHIP_CA_FILE", empty)], "provide the authority's certificate in PEM"),
    ] {
        let ended =
            Command::new(env!("CARGO_BIN_EXE_logship")).arg("relay").env_clear().envs(settings.iter().copied()).output().unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert!(ended.status.code() == Some(64) && said.contains(told), "{said}");
    }
}
