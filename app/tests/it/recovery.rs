//! Tests of a replica's start: from the newest snapshot and the journal's tail, or from the journal's first event.

use exchange::{
    chain::Chain,
    config::ObjectStorage,
    db::marks,
    media::{self, Media},
    metrics::ObjectStorageMetrics,
    snapshot::{self, Encoded, SnapshotName},
};
use exchange_core::{State, event::Event};
use service_kit::metrics::Metrics;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::replica::{TestReplica, database, execute};

/// A new bucket.
pub async fn media() -> Media {
    let access = local_parts::shared_object_store().await.unwrap();
    let bucket = format!("recovery-{:08x}", rand::random::<u32>());
    access.create_bucket(&bucket).await.unwrap();
    at(&access.endpoint, &access.access_key, &access.secret_key, bucket)
}

fn at(endpoint: &str, access_key: &str, secret_key: &str, bucket: String) -> Media {
    let settings = ObjectStorage {
        endpoint: endpoint.into(),
        region: "us-east-1".into(),
        bucket,
        access_key: access_key.into(),
        secret_key: secret_key.to_owned().into(),
        checksums: Default::default(),
    };
    Media::new(&settings, ObjectStorageMetrics::register(&Metrics::new("exchange", "test", None)).unwrap())
}

/// The served state, with its history.
pub async fn take_snapshot(media: &Media, replica: &TestReplica) -> SnapshotName {
    let snapshot = {
        let committed = replica.engine.committed().read();
        Encoded::of(&committed.state, committed.history().unwrap().chain)
    };
    snapshot::write_snapshot(media, snapshot).await.unwrap()
}

/// A journal with three accounts, and a snapshot of the first two.
async fn with_snapshot(media: &Media) -> String {
    let url = database().await;
    let replica = TestReplica::leading(&url).await;
    replica.create_account("one").await.unwrap();
    replica.create_account("two").await.unwrap();
    let name = take_snapshot(media, &replica).await;
    // As the worker does.
    let mut connection = PgConnection::connect(&url).await.unwrap();
    marks::insert_mark(&mut connection, name.sequence as i64, name.chain.unwrap()).await.unwrap();
    replica.create_account("three").await.unwrap();
    replica.end().await;
    url
}

fn recovered_from(replica: &TestReplica, source: &str) -> bool {
    replica.metrics.encode().contains(&format!("exchange_engine_recovery_seconds{{source=\"{source}\"}}"))
}

const FORGET_THE_BEGINNING: &str =
    "DELETE FROM journal WHERE last_seq < (SELECT first_seq FROM journal WHERE position('three'::bytea in payload) > 0)";

#[tokio::test]
async fn a_snapshot_and_the_tail_are_the_whole() {
    let media = media().await;
    let url = with_snapshot(&media).await;
    // The tail may contain ticks between the snapshot and the last account.
    execute(&url, "DELETE FROM journal WHERE first_seq = 1").await;
    let replica = TestReplica::with_media(&url, media);
    replica.leads().await;
    for reference in ["one", "two", "three"] {
        assert!(replica.account(reference).is_some(), "{reference}");
    }
    assert!(recovered_from(&replica, "snapshot"));
    replica.end().await;
}

#[tokio::test]
async fn without_object_storage_the_whole_journal_is_read() {
    let url = with_snapshot(&media().await).await;
    let nowhere = at("http://127.0.0.1:1", "nobody", "nothing", "none".into());
    let replica = TestReplica::with_media(&url, nowhere);
    replica.leads().await;
    assert!(replica.account("one").is_some() && replica.account("three").is_some());
    assert!(recovered_from(&replica, "journal"));
    replica.end().await;
}

#[tokio::test]
async fn a_snapshot_that_is_needed_and_cannot_be_had_is_waited_for() {
    let url = with_snapshot(&media().await).await;
    execute(&url, FORGET_THE_BEGINNING).await;
    let nowhere = at("http://127.0.0.1:1", "nobody", "nothing", "none".into());
    let replica = TestReplica::with_media(&url, nowhere);
    crate::eventually::until("it reports the reason", || async {
        replica.reason("database").is_some_and(|reason| reason.contains("a snapshot is needed") && reason.contains("unavailable"))
    })
    .await;
    assert!(!replica.engine.is_leader() && !replica.task.is_finished());
    replica.end().await;
}

#[tokio::test]
async fn a_snapshot_of_another_journal_is_not_used() {
    let media = media().await;
    with_snapshot(&media).await;
    // Another exchange with the same bucket, whose journal is longer.
    let url = database().await;
    let replica = TestReplica::leading(&url).await;
    for account in 0..20 {
        replica.create_account(&format!("other-{account}")).await.unwrap();
    }
    replica.end().await;
    let replica = TestReplica::with_media(&url, media);
    replica.leads().await;
    assert!(replica.account("one").is_none() && replica.account("other-19").is_some());
    assert!(recovered_from(&replica, "journal"));
    replica.end().await;
}

/// An object of the first format with this state, as earlier releases wrote it: without the chain in header and name.
async fn put_first_format(media: &Media, state: &State) {
    const HEADER: std::ops::Range<usize> = 68..100;
    let name = snapshot::write_snapshot(media, Encoded::of(state, Chain::GENESIS)).await.unwrap();
    let mut object = media.get(&name.key()).await.unwrap().to_vec();
    media.delete(&name.key()).await.unwrap();
    object[8] = 1;
    object.drain(HEADER);
    let key = SnapshotName { chain: None, ..name }.key();
    media.put(&key, object.into(), media::ZSTD, media::Replace::No).await.unwrap();
}

/// The states after the first and after the second account, and a database without the events before the first.
async fn two_states(last: &'static str) -> (String, [State; 2]) {
    let url = database().await;
    let replica = TestReplica::leading(&url).await;
    replica.create_account("one").await.unwrap();
    let first = replica.engine.committed().read().state.clone();
    replica.create_account("two").await.unwrap();
    let second = replica.engine.committed().read().state.clone();
    replica.create_account(last).await.unwrap();
    replica.end().await;
    let forget = format!("DELETE FROM journal WHERE last_seq <= {}", first.sequence());
    execute(&url, AssertSqlSafe(forget)).await;
    (url, [first, second])
}

#[tokio::test]
async fn a_first_format_snapshot_counts_if_a_replay_gives_it() {
    let media = media().await;
    let (url, states) = two_states("three").await;
    for state in &states {
        put_first_format(&media, state).await;
    }
    let replica = TestReplica::with_media(&url, media);
    replica.leads().await;
    for reference in ["one", "two", "three"] {
        assert!(replica.account(reference).is_some(), "{reference}");
    }
    assert!(recovered_from(&replica, "snapshot"));
    assert!(replica.engine.committed().read().history().is_none(), "its history is unknown");
    replica.end().await;
}

/// The replay of the journal after the older snapshot leads to another state: neither is loaded.
#[tokio::test]
async fn a_first_format_snapshot_of_other_events_is_ignored() {
    let media = media().await;
    let (url, [first, second]) = two_states("three").await;
    let mut forged = first.clone();
    while forged.sequence() < second.sequence() - 1 {
        forged.evolve(&Event::Clock(second.now()));
    }
    let account = second.account_by_reference("two").unwrap().id;
    forged.evolve(&Event::AccountCreated { account, reference: "forged".into() });
    assert_eq!(forged.sequence(), second.sequence());
    for state in [&first, &forged] {
        put_first_format(&media, state).await;
    }
    let replica = TestReplica::with_media(&url, media);
    crate::eventually::until("it reports the reason", || async {
        replica.reason("database").is_some_and(|reason| reason.contains("a snapshot is needed"))
    })
    .await;
    assert!(!replica.engine.is_leader());
    replica.end().await;
}
