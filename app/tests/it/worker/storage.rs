//! Tests of snapshots in a real S3 server, and of outages of object storage and PostgreSQL.

use exchange::{
    media::{CSV, MediaError, Replace},
    snapshot::{self, Encoded, SnapshotName},
    worker::jobs::TakeSnapshot,
};
use local_parts::{ObjectStore, Postgres, PostgresOptions, StopMode};

use super::{
    journal::Journal,
    tables::{assert_agree, projected},
    test_worker::{TestWorker, bucket, exists, media},
};
use crate::{
    eventually::until,
    replica::{database, migrate},
};

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_whole_snapshot_is_taken() {
    let url = database().await;
    let store = media(&bucket(local_parts::shared_object_store().await.unwrap()).await);
    let mut journal = Journal::begin(&url, 41).await;
    let mut names = Vec::new();
    for _ in 0..4 {
        journal.trade(10).await;
        names.push(snapshot::write_snapshot(&store, Encoded::of(&journal.state, journal.chain)).await.unwrap());
    }
    let newest = async || {
        let names = snapshot::list_snapshots(&store).await.unwrap();
        snapshot::first_whole(&store, names.into_iter().rev()).await.unwrap()
    };
    let (name, state) = newest().await.unwrap();
    assert_eq!((name, state.hash()), (names[3], journal.state.hash()));

    // First damaged in the middle, then truncated: each time the previous one is used.
    let whole = store.get(&names[3].key()).await.unwrap();
    let mut damaged = whole.to_vec();
    damaged[whole.len() / 2] ^= 1;
    store.put(&names[3].key(), damaged.into(), "application/zstd", Replace::Yes).await.unwrap();
    store.put(&names[2].key(), whole.slice(..whole.len() / 3), "application/zstd", Replace::Yes).await.unwrap();
    assert_eq!(newest().await.map(|(name, _)| name), Some(names[1]));
    // A new write replaces the damaged one.
    snapshot::write_snapshot(&store, Encoded::of(&journal.state, journal.chain)).await.unwrap();
    assert_eq!(newest().await.map(|(name, _)| name), Some(names[3]));
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_put_once_and_errors_say_which_kind_they_are() {
    let mut storage = bucket(local_parts::shared_object_store().await.unwrap()).await;
    let store = media(&storage);
    store.check_bucket().await.unwrap();
    store.put("a/1", "one".into(), CSV, Replace::No).await.unwrap();
    let again = store.put("a/1", "two".into(), CSV, Replace::No).await.unwrap_err();
    assert_eq!(again, MediaError::Exists { key: "a/1".into() });
    assert_eq!(store.get("a/1").await.unwrap(), "one");
    store.put("a/2", "three".into(), CSV, Replace::Yes).await.unwrap();
    store.put("b", "".into(), CSV, Replace::Yes).await.unwrap();
    let listed: Vec<_> = store.list("a/").await.unwrap().into_iter().map(|object| (object.key, object.size_bytes)).collect();
    assert_eq!(listed, [("a/1".into(), 3), ("a/2".into(), 5)]);
    assert_eq!(store.head("a/2").await.unwrap().unwrap().size_bytes, 5);
    store.delete("a/2").await.unwrap();
    assert_eq!(store.head("a/2").await.unwrap(), None);
    assert_eq!(store.get("a/2").await.unwrap_err(), MediaError::NotFound { key: "a/2".into() });

    storage.secret_key = String::from("wrong").into();
    assert!(matches!(media(&storage).get("a/1").await, Err(MediaError::Refused { .. })));
    storage.endpoint = "http://127.0.0.1:1".into();
    assert!(matches!(media(&storage).get("a/1").await, Err(MediaError::Unavailable { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_object_storage_delays_snapshots_and_nothing_else() {
    let url = database().await;
    let mut server = ObjectStore::start().await.unwrap();
    let storage = bucket(server.access()).await;
    let mut journal = Journal::begin(&url, 42).await;
    let worker = TestWorker::start(&url, Some(storage.clone()));
    worker.reaches(&url, journal.state.sequence()).await;
    worker.complete(TakeSnapshot {}).await;
    let first = journal.state.sequence();
    assert_eq!(worker.sample("exchange_worker_snapshot_sequence"), Some(first as f64));

    server.stop().await.unwrap();
    let waiting = worker.add(TakeSnapshot {}).await;
    until("the snapshot fails", || async {
        worker.sample("exchange_worker_job_runs_total{kind=\"snapshot\",outcome=\"retried\"}") >= Some(1.0)
    })
    .await;
    journal.trade(30).await;
    worker.reaches(&url, journal.state.sequence()).await;
    assert!(worker.health.is_ready());
    assert!(worker.sample("exchange_object_storage_errors_total{kind=\"unavailable\",operation=\"head_bucket\"}") >= Some(1.0));

    server.start_again().await.unwrap();
    until("the snapshot succeeds", || async { !exists(&worker.context.pool, waiting).await }).await;
    assert_eq!(worker.sample("exchange_worker_snapshot_sequence"), Some(journal.state.sequence() as f64));
    worker.end().await;
    let (store, name) = (media(&storage), SnapshotName { sequence: journal.state.sequence(), chain: Some(journal.chain) });
    let state = snapshot::read_snapshot(&store, name).await.unwrap();
    assert_eq!(state.hash(), journal.state.hash());
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_postgresql_is_waited_for() {
    let mut server = Postgres::start(PostgresOptions::throwaway()).await.unwrap();
    let url = server.create_database("exchange").await.unwrap();
    migrate(&url).await;
    server.stop(StopMode::Fast).await.unwrap();
    // Unreachable at the start.
    let worker = TestWorker::start(&url, None);
    until("it reports the reason", || async {
        worker.health.latches()[0].reason.as_deref().is_some_and(|reason| reason.contains("is unreachable"))
    })
    .await;
    server.start_again().await.unwrap();
    let mut journal = Journal::begin(&url, 43).await;
    worker.reaches(&url, journal.state.sequence()).await;
    // Lost later by a crash: the last writes may have to be repeated.
    for _ in 0..3 {
        journal.trade(20).await;
        worker.reaches(&url, journal.state.sequence().min(projected(&url).await as u64 + 1)).await;
        server.restart(StopMode::Immediate).await.unwrap();
        journal.reconnect(&url).await;
    }
    worker.reaches(&url, journal.state.sequence()).await;
    until("it is ready again", || async { worker.health.is_ready() }).await;
    worker.end().await;
    assert_agree(&url, &journal.events).await;
}
