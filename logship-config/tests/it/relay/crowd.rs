//! This module tests many concurrent shippers, like the pods of an ordinary node: a chunk per pod and second.

use std::time::Duration;

use elasticsearch_fake::{FaultKind, InjectedFault};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use super::world::{APP, World, cluster, good, line, numbered};

const PODS: usize = 20;
const SECONDS: usize = 3;
const LINES: usize = 10;

/// Fluent Bit waits 3 to 31 s after a refusal: one refusal costs more than any wait here.
#[tokio::test]
async fn chunks_of_20_pods_arrive_without_a_refusal() {
    let world = World::start_with(cluster(false), &[]).await;
    world.fault(InjectedFault::new(FaultKind::Slow(Duration::from_millis(300))));
    for second in 0..SECONDS {
        let sent = (0..PODS).map(|pod| {
            let from = (second * PODS + pod) * LINES;
            let body = numbered(from, from + LINES);
            let world = &world;
            async move { world.send(&body).await.status }
        });
        let statuses = futures::future::join_all(sent).await;
        assert!(statuses.iter().all(|status| *status == 200), "second {second}: {statuses:?}");
    }
    assert_eq!(world.chunks("busy").await, 0);
    assert_eq!(world.documents(APP).len(), PODS * SECONDS * LINES);
}

#[tokio::test]
async fn partial_requests_use_no_place() {
    let world = World::start_with(cluster(false), &[("LOGSHIP_RELAY_CHUNKS_AT_ONCE", "1")]).await;
    let address = world.url.strip_prefix("http://").unwrap().strip_suffix("/_bulk").unwrap();
    let mut slow = Vec::new();
    for _ in 0..PODS {
        let mut shipper = TcpStream::connect(address).await.unwrap();
        let head = format!("POST /_bulk HTTP/1.1\r\nhost: {address}\r\ncontent-length: 100000\r\n\r\nhalf");
        shipper.write_all(head.as_bytes()).await.unwrap();
        slow.push(shipper);
    }
    // Each is a separate request, answered after the previous ones were accepted.
    for number in 0..3 {
        assert_eq!(world.send(&numbered(number, number + 1)).await.status, 200);
    }
    assert_eq!(world.chunks("busy").await, 0);
    assert_eq!(world.documents(APP).len(), 3);
}

/// Two slow clients stop in the middle of the largest bodies. Ordinary chunks do not wait for them.
#[tokio::test]
async fn half_sent_large_bodies_hold_up_no_ordinary_chunk() {
    let settings =
        [("LOGSHIP_RELAY_BODY_LIMIT", "1048576"), ("LOGSHIP_RELAY_MEMORY", "4194304"), ("LOGSHIP_RELAY_WAIT", "200ms")];
    let world = World::start_with(cluster(false), &settings).await;
    let address = world.url.strip_prefix("http://").unwrap().strip_suffix("/_bulk").unwrap();
    let mut slow = Vec::new();
    for _ in 0..2 {
        let mut shipper = TcpStream::connect(address).await.unwrap();
        let head = format!("POST /_bulk HTTP/1.1\r\nhost: {address}\r\ncontent-length: 1000000\r\n\r\n");
        shipper.write_all(head.as_bytes()).await.unwrap();
        shipper.write_all(&vec![b'x'; 700_000]).await.unwrap();
        slow.push(shipper);
    }
    world
        .until("a large body is charged", async |world| {
            world.metric("logship_relay_memory_bytes{part=\"arriving\"}").await >= 700_000
        })
        .await;
    for number in 0..20 {
        assert_eq!(world.send(&numbered(number * 10, number * 10 + 10)).await.status, 200);
    }
    assert_eq!(world.documents(APP).len(), 200);
}

/// The limit is on bytes: chunks that inflate to large sizes wait for each other. A refusal of a chunk that waited too long
/// names the setting.
#[tokio::test]
async fn large_chunks_wait_for_memory() {
    let settings = [("LOGSHIP_RELAY_BODY_LIMIT", "1048576"), ("LOGSHIP_RELAY_MEMORY", "4194304"), ("LOGSHIP_RELAY_WAIT", "5s")];
    let world = World::start_with(cluster(false), &settings).await;
    world.fault(InjectedFault::new(FaultKind::Slow(Duration::from_millis(400))));
    let large = |number: usize| {
        let mut document = good(number);
        document["message"] = "x".repeat(1_000_000).into();
        line(APP, &number.to_string(), &document).into_bytes()
    };
    let bodies: Vec<Vec<u8>> = (0..4).map(large).collect();
    let sent = futures::future::join_all(bodies.iter().map(|body| world.send(body))).await;
    assert!(sent.iter().all(|told| told.status == 200), "{sent:?}");
    world.no_faults();
    world.fault(InjectedFault::new(FaultKind::Slow(Duration::from_secs(8))));
    let bodies: Vec<Vec<u8>> = (10..12).map(large).collect();
    let sent = futures::future::join_all(bodies.iter().map(|body| world.send(body))).await;
    let refused: Vec<_> = sent.iter().filter(|told| told.status == 429).collect();
    assert!(refused.len() == 1 && refused[0].retry_after, "{sent:?}");
    assert!(refused[0].reason().contains("LOGSHIP_RELAY_MEMORY"), "{refused:?}");
}
