//! Tests of the journal's way to the bucket: what the leader ships, what the worker merges, and what an idle exchange writes.

use exchange::{
    chain::Chain,
    config::ObjectStorage,
    shipped::{self, ListedObject},
    worker::jobs::{ArchiveJournal, TakeSnapshot},
};
use sqlx::{Connection, PgConnection};

use crate::{
    eventually::until,
    proxy::{Proxy, server_of},
    replica::{TestReplica, database, number},
    worker::test_worker::{TestWorker, bucket, media},
};

async fn storage() -> ObjectStorage {
    bucket(local_parts::shared_object_store().await.unwrap()).await
}

async fn objects(storage: &ObjectStorage) -> Vec<ListedObject> {
    shipped::list_shipped(&media(storage)).await.unwrap()
}

async fn shipped_through(storage: &ObjectStorage) -> i64 {
    objects(storage).await.iter().map(|object| object.name.last_sequence).max().unwrap_or(0)
}

async fn ships(storage: &ObjectStorage, replica: &TestReplica) {
    let sequence = replica.sequence() as i64;
    until("the journal is shipped", || async { shipped_through(storage).await >= sequence }).await;
}

/// Every shipped object verifies itself, continues the one before it, and together they are the journal from its first event.
async fn assert_whole(storage: &ObjectStorage, url: &str) {
    let (mut at, mut chain) = (0, Chain::GENESIS);
    for object in objects(storage).await {
        let run = shipped::read_shipped(&media(storage), object.name).await.unwrap();
        assert!(object.name.first_sequence <= at + 1, "a gap before {:?}", object.name);
        let new: Vec<_> = run.batches.iter().filter(|batch| batch.first_sequence > at).collect();
        chain = shipped::fold(chain, new.iter().copied());
        at = at.max(object.name.last_sequence);
        assert_eq!(chain, object.name.chain, "{:?}", object.name);
    }
    let mut connection = PgConnection::connect(url).await.unwrap();
    assert_eq!(exchange::db::marks::chain_at(&mut connection, at).await.unwrap(), Some(chain));
}

fn sample(replica: &TestReplica, name: &str) -> f64 {
    let text = replica.metrics.encode();
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok()).expect("a sample of that name")
}

#[tokio::test(flavor = "multi_thread")]
async fn confirmed_events_are_shipped_and_ticks_alone_are_not() {
    let (url, storage) = (database().await, storage().await);
    let replica = TestReplica::with_media(&url, media(&storage));
    replica.leads().await;
    for number in 0..20 {
        replica.create_account(&format!("account-{number}")).await.unwrap();
    }
    ships(&storage, &replica).await;
    assert_whole(&storage, &url).await;
    until("the lag is zero", || async {
        sample(&replica, "exchange_ship_lag_events") == 0.0 && sample(&replica, "exchange_ship_lag_seconds") == 0.0
    })
    .await;
    assert_eq!(sample(&replica, "exchange_ship_sequence") as i64, shipped_through(&storage).await);

    let (before, at) = (objects(&storage).await, replica.sequence());
    until("ticks are journalled", || async { replica.sequence() >= at + 4 }).await;
    assert_eq!(objects(&storage).await, before, "an idle exchange shipped its ticks");
    replica.create_account("after").await.unwrap();
    ships(&storage, &replica).await;
    assert_whole(&storage, &url).await;
    replica.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_leader_continues_where_the_last_one_stopped() {
    let (url, storage) = (database().await, storage().await);
    // Journalled before the bucket was configured.
    let replica = TestReplica::leading(&url).await;
    replica.create_account("before").await.unwrap();
    replica.end().await;
    for term in 0..3 {
        let replica = TestReplica::with_media(&url, media(&storage));
        replica.leads().await;
        replica.create_account(&format!("term-{term}")).await.unwrap();
        ships(&storage, &replica).await;
        replica.create_account(&format!("last-{term}")).await.unwrap();
        replica.end().await;
    }
    let replica = TestReplica::with_media(&url, media(&storage));
    replica.leads().await;
    // The previous leader may have ended before it shipped its last batch.
    ships(&storage, &replica).await;
    assert_whole(&storage, &url).await;
    replica.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_store_raises_the_lag_and_nothing_is_skipped() {
    let (url, storage) = (database().await, storage().await);
    let store = storage.endpoint.strip_prefix("http://").unwrap().to_owned();
    let proxy = Proxy::start(&store).await;
    let replica = TestReplica::with_media(&url, media(&ObjectStorage { endpoint: proxy.http(), ..storage.clone() }));
    replica.leads().await;
    replica.create_account("one").await.unwrap();
    ships(&storage, &replica).await;
    proxy.stall();
    replica.create_account("two").await.unwrap();
    until("the lag shows it", || async {
        sample(&replica, "exchange_ship_lag_seconds") > 2.0
            && sample(&replica, "exchange_ship_lag_events") >= 2.0
            && sample(&replica, "exchange_ship_failures_total") >= 1.0
    })
    .await;
    proxy.resume();
    ships(&storage, &replica).await;
    until("the lag is zero", || async { sample(&replica, "exchange_ship_lag_seconds") == 0.0 }).await;
    assert_whole(&storage, &url).await;
    replica.end().await;
}

/// The leader acknowledged them, so they must leave the building even if their database does not answer any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_ships_what_it_acknowledged_after_its_database_is_gone() {
    let (url, storage) = (database().await, storage().await);
    let proxy = Proxy::start(server_of(&url)).await;
    let replica = TestReplica::with_media(&proxy.url(&url), media(&storage));
    replica.leads().await;
    replica.create_account("one").await.unwrap();
    ships(&storage, &replica).await;
    let last = replica.create_account("two").await.unwrap().sequence;
    proxy.stall();
    until("it is shipped", || async { shipped_through(&storage).await >= last as i64 }).await;
    replica.stop.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn small_objects_are_merged_and_a_snapshot_has_its_journal() {
    let (url, storage) = (database().await, storage().await);
    let replica = TestReplica::with_media(&url, media(&storage));
    replica.leads().await;
    for round in 0..4 {
        replica.create_account(&format!("round-{round}")).await.unwrap();
        ships(&storage, &replica).await;
    }
    assert!(objects(&storage).await.len() >= 4);
    let worker = TestWorker::start(&url, Some(storage.clone()));
    let at = replica.sequence();
    until("a tick is journalled", || async { replica.sequence() > at }).await;
    worker.reaches(&url, at + 1).await;
    worker.complete(TakeSnapshot {}).await;
    let newest = exchange::snapshot::list_snapshots(&media(&storage)).await.unwrap().pop().unwrap();
    assert!(newest.sequence > at, "the snapshot includes a tick that the leader did not ship");
    assert!(shipped_through(&storage).await >= newest.sequence as i64);
    worker.complete(ArchiveJournal {}).await;
    let merged = objects(&storage).await;
    assert_eq!(merged.len(), 1, "{merged:?}");
    assert_eq!(merged[0].name.first_sequence, 1);
    assert!(worker.sample("exchange_worker_merged_objects_total").is_some_and(|merged| merged >= 4.0));
    assert_whole(&storage, &url).await;
    // The leader does not know of the merge: its next object overlaps the merged one.
    replica.create_account("after").await.unwrap();
    ships(&storage, &replica).await;
    assert_whole(&storage, &url).await;
    worker.complete(ArchiveJournal {}).await;
    assert_eq!(objects(&storage).await.len(), 1);
    assert_whole(&storage, &url).await;
    assert_eq!(number(&url, "SELECT count(*) FROM journal_archives").await, 0);
    worker.end().await;
    replica.end().await;
}
