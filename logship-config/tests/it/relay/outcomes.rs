//! This module tests the possible answers of Elasticsearch and the result for the documents: each row of the table of
//! measured cases that needs the relay.

use std::time::Duration;

use elasticsearch_fake::{FaultKind, InjectedFault};
use local_parts::StopSignal;
use serde_json::json;

use super::world::{APP, AUDIT, DEAD, World, bad, cluster, create_streams, good, line, numbered, refuse_items, refuse_requests};

/// A short deadline, so that a test can wait for it.
const SHORT: (&str, &str) = ("LOGSHIP_RELAY_DEADLINE", "1s");

/// Stock behaviour: 11 of 23 documents lost, and all metrics clean.
#[tokio::test]
async fn of_23_documents_11_are_busy_and_23_arrive() {
    let world = World::start().await;
    world.fault(refuse_items(429, "es_rejected_execution_exception").on(AUDIT).times(1));
    let mut body = numbered(0, 12);
    (12..23).for_each(|number| body.extend(line(AUDIT, &number.to_string(), &good(number)).bytes()));
    let told = world.send(&body).await;
    assert!(told.is_success(), "{told:?}");
    assert_eq!((world.documents(APP).len(), world.documents(AUDIT).len()), (12, 11));
    let (stored, busy, resent) =
        (world.settled("stored").await, world.put_off("busy").await, world.metric("logship_relay_resent_documents_total").await);
    assert_eq!((stored, busy, resent), (23, 11, 11), "only the failed items were sent again");
    assert_eq!(world.bulk_calls(), [200, 200]);
}

#[tokio::test]
async fn documents_busy_past_the_deadline_arrive_once_on_a_retry() {
    let world = World::start_with(cluster(false), &[SHORT]).await;
    world.fault(refuse_items(429, "es_rejected_execution_exception").on(AUDIT));
    let body = [numbered(0, 12), line(AUDIT, "12", &good(12)).into_bytes()].concat();
    let told = world.send(&body).await;
    assert!(told.status == 503 && told.retry_after && told.reason().contains("1 documents are not stored (busy)"), "{told:?}");
    assert_eq!(world.documents(APP).len(), 12);
    world.no_faults();
    assert!(world.send(&body).await.is_success());
    assert_eq!((world.documents(APP).len(), world.documents(AUDIT).len()), (12, 1));
    assert_eq!((world.settled("stored").await, world.settled("already_there").await), (13, 12));
    assert_eq!((world.chunks("unstored").await, world.chunks("stored").await), (1, 1));
}

/// Stock behaviour: retried forever.
#[tokio::test]
async fn all_409_is_success_at_once() {
    let world = World::start().await;
    let body = numbered(0, 23);
    assert!(world.send(&body).await.is_success());
    assert!(world.send(&body).await.is_success());
    assert_eq!((world.documents(APP).len(), world.settled("already_there").await), (23, 23));
    assert_eq!(world.bulk_calls().len(), 2);
}

#[tokio::test]
async fn a_dead_letter_is_stored_before_the_chunk_is_acknowledged() {
    let world = World::start_with(cluster(false), &[SHORT]).await;
    let body = [numbered(0, 3), line(APP, "bad", &bad(3)).into_bytes()].concat();
    // The dead-letter stream is blocked, busy or broken: nothing is acknowledged.
    for fault in
        [refuse_items(403, "cluster_block_exception"), refuse_items(429, "x"), refuse_items(400, "mapper_parsing_exception")]
    {
        world.fault(fault.on(DEAD));
        let told = world.send(&body).await;
        assert!(told.status == 503 && told.reason().contains("1 documents are not stored"), "{told:?}");
        world.no_faults();
    }
    assert!(world.documents(DEAD).is_empty() && world.put_off("dead_letter_refused").await > 0);
    assert!(world.send(&body).await.is_success());
    // Sent again, as after a lost answer: no second letter.
    assert!(world.send(&body).await.is_success());
    let letters = world.documents(DEAD);
    assert_eq!((letters.len(), world.documents(APP).len()), (1, 3));
    let letter = &letters[0].2;
    assert_eq!(letter["event"]["original"], bad(3).to_string());
    assert_eq!((&letter["logship"]["stream"], &letter["logship"]["document_id"]), (&APP.into(), &"bad".into()));
    assert_eq!(letter["error"]["type"], "document_parsing_exception");
    assert_eq!((world.settled("dead_letter").await, world.settled("dead_letter_already_there").await), (1, 1));
    assert!(!world.log().contains("much"), "the log contains no value of a document");
}

#[tokio::test]
async fn failure_store_documents_are_counted_and_no_dead_letters() {
    let world = World::start_with(cluster(true), &[]).await;
    let body = [numbered(0, 3), line(APP, "bad", &bad(3)).into_bytes()].concat();
    assert!(world.send(&body).await.is_success());
    assert_eq!((world.settled("failure_store").await, world.settled("stored").await), (1, 3));
    assert!(world.documents(DEAD).is_empty());
    let kept = world.fake.look(|cluster| {
        cluster.data_streams[APP].failure_indices.iter().map(|index| cluster.indices[index].documents.len()).sum::<usize>()
    });
    assert_eq!(kept, 1);
}

#[tokio::test]
async fn causes_an_operator_can_repair_make_no_dead_letters() {
    let world = World::start_with(cluster(false), &[SHORT]).await;
    let body = numbered(0, 5);
    let faults = [
        refuse_requests(401, "security_exception"),
        refuse_requests(403, "security_exception"),
        refuse_requests(400, "illegal_argument_exception"),
        refuse_items(403, "security_exception"),
        refuse_items(404, "index_not_found_exception"),
        refuse_items(403, "cluster_block_exception"),
        refuse_items(429, "cluster_block_exception"),
        refuse_items(400, "index_closed_exception"),
        refuse_items(400, "validation_exception"),
    ];
    for fault in faults {
        let before = world.put_off("blocked").await;
        world.fault(fault.clone());
        let told = world.send(&body).await;
        assert!(told.status == 503 && told.reason().contains("5 documents are not stored (blocked)"), "{fault:?}: {told:?}");
        assert!(world.put_off("blocked").await >= before + 5, "{fault:?}");
        world.no_faults();
    }
    assert!(world.documents(APP).is_empty() && world.documents(DEAD).is_empty());
    // A block of the fake itself, and a missing pipeline.
    world.fake.change(|cluster| {
        let index = cluster.data_streams[APP].indices[0].clone();
        cluster.indices.get_mut(&index).unwrap().settings.insert("index.blocks.write".into(), "true".into());
    });
    world.fault(
        InjectedFault::new(FaultKind::Items {
            share: 1.0,
            status: 400,
            error: "illegal_argument_exception",
            reason: "pipeline with id [logs-exchange] does not exist",
        })
        .on(AUDIT),
    );
    let told = world.send(&[body, line(AUDIT, "1", &good(1)).into_bytes()].concat()).await;
    assert!(told.reason().contains("6 documents are not stored (blocked)"), "{told:?}");
    // The line that a runbook searches for: the error's type, once per chunk for any number of attempts.
    let log = world.log();
    let told: Vec<&str> = log.lines().filter(|line| line.contains("postponed documents")).collect();
    assert_eq!(told.len(), 7, "one line per chunk with postponed items\n{log}");
    assert!(told[5].contains("validation_exception") && told[6].contains("cluster_block_exception"), "{told:#?}");
    assert!(world.readiness().await.0, "the relay itself is ready");
}

#[tokio::test]
async fn broken_connections_and_lost_answers_lose_or_double_nothing() {
    let world = World::start().await;
    let kinds = [
        FaultKind::Broken,
        FaultKind::AnswerLost,
        FaultKind::AnswerCut,
        FaultKind::unavailable(),
        FaultKind::Slow(Duration::from_millis(300)),
    ];
    for (number, kind) in kinds.into_iter().enumerate() {
        world.fault(InjectedFault::new(kind.clone()).times(2));
        let body = numbered(number * 100, number * 100 + 100);
        assert!(world.send(&body).await.is_success(), "{kind:?}");
        assert_eq!(world.documents(APP).len(), (number + 1) * 100, "{kind:?}");
        world.no_faults();
    }
    assert_eq!(world.metric("logship_relay_unanswered_documents_total").await, 600);
}

#[tokio::test]
async fn nobody_there_is_a_503() {
    let mut world = World::start_with(cluster(false), &[SHORT]).await;
    world.fake = elasticsearch_fake::Fake::start(cluster(false)).await.unwrap();
    let told = world.send(&numbered(0, 5)).await;
    assert!(told.status == 503 && told.reason().contains("5 documents are not stored (unavailable)"), "{told:?}");
}

#[tokio::test]
async fn large_requests_are_split_and_large_documents_are_cut() {
    let world = World::start().await;
    world.fault(InjectedFault::new(FaultKind::Limit { bytes: 40_000 }));
    let mut body = numbered(0, 1_000);
    let large = json!({"@timestamp": "2026-01-01T00:00:00Z", "message": "x".repeat(100_000)});
    body.extend(line(APP, "large", &large).bytes());
    assert!(world.send(&body).await.is_success());
    assert_eq!(world.documents(APP).len(), 1_000);
    let letters = world.documents(DEAD);
    let origin = &letters[0].2["logship"];
    assert_eq!((letters.len(), &origin["original_cut"], &origin["document_id"]), (1, &true.into(), &"large".into()));
    assert_eq!(origin["original_bytes"], large.to_string().len());
    assert_eq!(world.metric("logship_relay_cut_documents_total").await, 1);
    assert!(world.metric("logship_relay_split_requests_total").await > 0);
}

/// `_id` is unique only within a backing index. Documents that were stored without an answer, and resent after a rollover,
/// exist twice. The relay counts the documents at risk.
#[tokio::test]
async fn resending_unanswered_documents_after_a_rollover_doubles_them() {
    let world = World::start().await;
    assert!(world.send(&numbered(0, 50)).await.is_success());
    world.fault(InjectedFault::new(FaultKind::AnswerLost).times(1));
    world.fault(InjectedFault::new(FaultKind::Slow(Duration::from_millis(300))).times(1));
    let body = numbered(50, 73);
    let rolled = async {
        world.until("the request whose answer is lost", async |world| world.bulk_calls().len() == 2).await;
        let now = world.fake.now();
        world.fake.change(|cluster| cluster.roll(APP, now));
    };
    let (told, ()) = tokio::join!(world.send(&body), rolled);
    assert!(told.is_success());
    let documents = world.documents(APP);
    let mut ids: Vec<&str> = documents.iter().map(|(_, id, _)| id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((ids.len(), documents.len() - ids.len()), (73, 23), "none lost, only those 23 stored twice");
    assert_eq!(world.metric("logship_relay_unanswered_documents_total").await, 23, "and counted");
}

#[tokio::test]
async fn the_first_attempt_is_unchanged_and_filters_the_answer() {
    let world = World::start().await;
    assert!(world.send(&numbered(0, 3)).await.is_success());
    let calls = world.fake.calls();
    let (call, _) = calls.iter().find(|(call, _)| call.path == "/_bulk").unwrap();
    assert_eq!((call.method.as_str(), call.body.as_slice()), ("POST", &numbered(0, 3)[..]));
    assert_eq!(call.query["require_data_stream"], "true");
    assert_eq!(call.query["filter_path"], "errors,items.*.status,items.*.failure_store,items.*.error");
}

#[tokio::test]
async fn streams_without_their_own_template_get_no_documents() {
    let mut cluster = cluster(false);
    let policy = json!({"index.lifecycle.name": "logs@lifecycle"});
    let built_in = json!({"index_patterns": ["logs-*-*"], "data_stream": {}, "priority": 100, "template": {"settings": policy}});
    cluster.index_templates.clear();
    cluster.index_templates.insert("logs".into(), built_in);
    let mut world = World::begin(cluster, &[]).await;
    let body = numbered(0, 3);
    let told = world.send(&body).await;
    assert!(told.status == 503 && told.retry_after && told.reason().contains("no chunks are accepted yet"), "{told:?}");
    let says = |world: &World, word: &'static str| {
        let (url, client) = (world.admin.clone() + "/readyz", world.client.clone());
        async move { client.get(url).send().await.unwrap().text().await.unwrap().contains(word) }
    };
    world
        .until("missing streams are reported", async |world| says(world, "logs-exchange.app-default does not exist").await)
        .await;
    create_streams(&world.fake, &[APP, AUDIT, DEAD]);
    world.until("the built-in template is reported", async |world| says(world, "only Elasticsearch's own template").await).await;
    assert_eq!(world.send(&body).await.status, 503);
    assert_eq!(world.metric("logship_relay_ready").await, 0);
    // The streams' own templates are declared; the write indices are still those of the built-in template.
    let own = super::world::cluster(false);
    world.fake.change(|cluster| cluster.index_templates.extend(own.index_templates.clone()));
    world.until("the write index is reported", async |world| says(world, "/logs-exchange.app-default/_rollover").await).await;
    assert_eq!(world.send(&body).await.status, 503);
    let now = world.fake.now();
    for stream in [APP, AUDIT, DEAD] {
        world.fake.change(|cluster| cluster.roll(stream, now));
    }
    world.ready().await;
    assert_eq!(world.chunks("not_ready").await, 3);
    assert!(world.send(&body).await.is_success());
    assert_eq!(world.metric("logship_relay_ready").await, 1);
}

#[tokio::test]
async fn a_shutdown_answers_pending_chunks_and_accepts_no_more() {
    let mut world = World::start().await;
    world.fault(refuse_items(429, "es_rejected_execution_exception"));
    let body = numbered(0, 5);
    let mut process = world.process();
    let ending = async {
        world.until("the chunk is in progress", async |world| !world.bulk_calls().is_empty()).await;
        process.stop(StopSignal::Terminate).await.unwrap()
    };
    // Its deadline is half a minute away.
    let both = async { tokio::join!(world.send(&body), ending) };
    let (told, ended) = tokio::time::timeout(Duration::from_secs(15), both).await.unwrap();
    assert!(told.status == 503 && told.reason().contains("5 documents are not stored"), "{told:?}");
    assert_eq!(ended.code(), Some(0), "{}", world.log());
    assert!(world.try_send(&body).await.is_none());
}

/// A shipper that needs more time for the body than the relay allows for Elasticsearch.
#[tokio::test]
async fn a_slow_body_does_not_use_the_deadline() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let world = World::start_with(cluster(false), &[SHORT]).await;
    let body = numbered(0, 5);
    let address = world.url.strip_prefix("http://").unwrap().strip_suffix("/_bulk").unwrap();
    let mut shipper = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!("POST /_bulk HTTP/1.1\r\nhost: {address}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    shipper.write_all(head.as_bytes()).await.unwrap();
    shipper.write_all(&body[..10]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    shipper.write_all(&body[10..]).await.unwrap();
    let mut told = String::new();
    shipper.read_to_string(&mut told).await.unwrap();
    assert!(told.starts_with("HTTP/1.1 200"), "{told}");
    assert_eq!((world.documents(APP).len(), world.metric("logship_relay_unanswered_documents_total").await), (5, 0));
}

/// The key is rotated while chunks arrive: the first attempt with the old key is refused, the second uses the new key.
#[tokio::test]
async fn a_rotated_key_is_read_again_when_the_old_one_is_refused() {
    use base64::Engine as _;
    let key = |text: &str| Some(format!("ApiKey {}", base64::engine::general_purpose::STANDARD.encode(text)));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, "id:first-secret").unwrap();
    let mut world = World::begin(cluster(false), &[("LOGSHIP_API_KEY_FILE", file.to_str().unwrap())]).await;
    create_streams(&world.fake, &[APP, AUDIT, DEAD]);
    world.fake.change(|cluster| cluster.authorization = key("id:first-secret"));
    world.ready().await;
    // If the files happen to be checked in time, the next rotation follows right after that check. Then only the refusal
    // makes the relay check again.
    let mut refused = false;
    for number in 1..=3 {
        let secret = format!("id:secret-{number}");
        world.fake.change(|cluster| cluster.authorization = key(&secret));
        std::fs::write(&file, secret).unwrap();
        world.fake.forget_calls();
        assert!(world.send(&numbered(number * 5, number * 5 + 5)).await.is_success());
        let statuses = world.bulk_calls();
        assert!(statuses == [200] || statuses == [401, 200], "{statuses:?}");
        refused |= statuses.len() == 2;
    }
    assert!(refused && world.put_off("blocked").await > 0);
    assert_eq!(world.documents(APP).len(), 15);
    assert!(!world.log().contains("secret"));
}
