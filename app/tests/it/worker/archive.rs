//! Tests that old partitions leave the database only when archived, verified and below two snapshots. Database and archive
//! together always contain the whole journal.

use exchange::{
    media::Replace,
    worker::jobs::{ArchiveJournal, TakeSnapshot},
};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::{
    journal::Journal,
    tables::{assert_agree, dump},
    test_worker::{TestWorker, bucket, media},
};
use crate::{
    eventually::eventually,
    replica::{database, execute, number},
};

const PARTITIONS: &str = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'journal'::regclass";

/// Cuts the journal into small partitions, so that a test can fill some.
async fn small_partitions(url: &str, events: i64, count: i64) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let large: Vec<String> =
        sqlx::query_scalar("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'journal'::regclass")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    let mut statements: Vec<_> = large.iter().map(|name| format!("DROP TABLE {name}")).collect();
    statements.extend((0..count).map(|number| {
        let start = number * events;
        format!("CREATE TABLE journal_{start:018} PARTITION OF journal FOR VALUES FROM ({start}) TO ({})", start + events)
    }));
    for statement in statements {
        sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn archived_partitions_go_and_everything_can_be_rebuilt_from_the_archive() {
    let url = database().await;
    small_partitions(&url, 400, 40).await;
    let storage = bucket(local_parts::shared_object_store().await.unwrap()).await;
    let mut journal = Journal::begin(&url, 51).await;
    journal.trade(300).await;
    assert!(journal.state.sequence() > 2_000, "{} events fill some partitions", journal.state.sequence());
    let worker = TestWorker::start(&url, Some(storage.clone()));
    worker.reaches(&url, journal.state.sequence()).await;

    // One snapshot is not enough.
    worker.complete(TakeSnapshot {}).await;
    worker.complete(ArchiveJournal {}).await;
    // The upkeep job may have attached a partition ahead.
    assert!(number(&url, PARTITIONS).await >= 40, "a partition is gone");
    journal.trade(20).await;
    worker.reaches(&url, journal.state.sequence()).await;
    worker.complete(TakeSnapshot {}).await;
    worker.complete(ArchiveJournal {}).await;

    let left = number(&url, PARTITIONS).await;
    assert!(left < 40, "{left} partitions are left");
    let archived = number(&url, "SELECT max(last_seq) FROM journal_archives").await;
    assert_eq!(number(&url, "SELECT min(first_seq) FROM journal").await, archived + 1, "nothing twice, nothing missing");
    assert_eq!(worker.sample("exchange_worker_archived_sequence"), Some(archived as f64));
    assert_eq!(number(&url, "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relname ~ '^journal_0'").await, left);

    // Live tables, then a rebuild that must read the archive; trading continues during it.
    journal.trade(20).await;
    worker.reaches(&url, journal.state.sequence()).await;
    let live = dump(&url).await;
    let context = worker.context.clone();
    worker.end().await;
    super::projection::rebuild(&url, context).await.unwrap();
    assert_eq!(dump(&url).await, live);
    assert_agree(&url, &journal.events).await;

    // A new worker restores from a snapshot: the start of the journal is no longer in the tables.
    let worker = TestWorker::start(&url, Some(storage));
    journal.trade(20).await;
    worker.reaches(&url, journal.state.sequence()).await;
    worker.end().await;
    assert_agree(&url, &journal.events).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_archive_stops_a_rebuild_with_its_name() {
    let url = database().await;
    small_partitions(&url, 300, 20).await;
    let storage = bucket(local_parts::shared_object_store().await.unwrap()).await;
    let mut journal = Journal::begin(&url, 52).await;
    journal.trade(100).await;
    let worker = TestWorker::start(&url, Some(storage.clone()));
    worker.reaches(&url, journal.state.sequence()).await;
    worker.complete(TakeSnapshot {}).await;
    journal.trade(1).await;
    worker.reaches(&url, journal.state.sequence()).await;
    worker.complete(TakeSnapshot {}).await;
    worker.complete(ArchiveJournal {}).await;
    let key: String = eventually("something is archived", || async {
        sqlx::query_scalar("SELECT object_key FROM journal_archives ORDER BY first_seq LIMIT 1")
            .fetch_optional(&worker.context.pool)
            .await
            .unwrap()
    })
    .await;
    let context = worker.context.clone();
    worker.end().await;
    let store = media(&storage);
    let mut object = store.get(&key).await.unwrap().to_vec();
    let middle = object.len() / 2;
    object[middle] ^= 1;
    store.put(&key, object.into(), "application/zstd", Replace::Yes).await.unwrap();
    let error = format!("{:#}", super::projection::rebuild(&url, context).await.unwrap_err());
    assert!(error.contains(&key) && error.contains("damaged"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_archiving_is_finished_by_the_next() {
    let url = database().await;
    small_partitions(&url, 300, 20).await;
    let storage = bucket(local_parts::shared_object_store().await.unwrap()).await;
    let mut journal = Journal::begin(&url, 53).await;
    journal.trade(100).await;
    let worker = TestWorker::start(&url, Some(storage));
    worker.reaches(&url, journal.state.sequence()).await;
    for _ in 0..2 {
        journal.trade(1).await;
        worker.reaches(&url, journal.state.sequence()).await;
        worker.complete(TakeSnapshot {}).await;
    }
    // Detached but not archived, for example by an operator's manual action: it must not be dropped.
    execute(&url, "CREATE TABLE journal_000000000000999000 (LIKE journal INCLUDING ALL)").await;
    execute(&url, "INSERT INTO journal_000000000000999000 VALUES (999001, 999002, 1, now(), 0, '')").await;
    // Detached after it was archived, and never dropped: it must be dropped now.
    execute(&url, "CREATE TABLE journal_000000000000998000 (LIKE journal INCLUDING ALL)").await;
    worker.complete(ArchiveJournal {}).await;
    worker.complete(ArchiveJournal {}).await;
    assert_eq!(number(&url, "SELECT count(*) FROM journal_000000000000999000").await, 1);
    assert_eq!(number(&url, "SELECT count(*) FROM pg_class WHERE relname = 'journal_000000000000998000'").await, 0);
    worker.end().await;
}
