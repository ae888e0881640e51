//! Tests that the tables equal the journal, each event exactly once, through every failure of the projector.

use std::time::Duration;

use exchange::worker::{jobs::JobContext, projector::Projector, rebuild};
use tokio_util::sync::CancellationToken;

use super::{
    journal::Journal,
    tables::{assert_agree, dump, projected},
    test_worker::TestWorker,
};
use crate::{
    eventually::until,
    replica::{database, execute, number},
};

#[tokio::test(flavor = "multi_thread")]
async fn the_tables_are_the_fold_of_the_journal() {
    let url = database().await;
    let mut journal = Journal::begin(&url, 1).await;
    journal.trade(150).await;
    let worker = TestWorker::start(&url, None);
    worker.reaches(&url, journal.state.sequence()).await;
    // More activity while it runs: orders of earlier chunks change, candles grow.
    for _ in 0..10 {
        journal.trade(30).await;
        worker.reaches(&url, journal.state.sequence()).await;
    }
    worker.end().await;
    assert_agree(&url, &journal.events).await;
    assert!(number(&url, "SELECT count(*) FROM trades").await > 100, "the test trades");
    assert!(number(&url, "SELECT count(*) FROM order_lists WHERE done").await > 5, "and ends order lists");
    assert!(number(&url, "SELECT count(*) FROM orders WHERE prevented > 0").await > 5, "and prevents trades");
}

/// Trades of the time that is set back remain trades, and leave the candles: within one minute, over some minutes, over days.
#[tokio::test(flavor = "multi_thread")]
async fn candles_are_rebuilt_after_time_was_set_back() {
    const MINUTE: i64 = 60_000_000;
    let url = database().await;
    let mut journal = Journal::begin(&url, 3).await;
    let worker = TestWorker::start(&url, None);
    for by in [40_000_000 + MINUTE / 2, 7 * MINUTE, 50 * MINUTE, 3 * 1440 * MINUTE] {
        journal.trade(20).await;
        // Some trades are in the tables before, some are set back in the chunk that writes them.
        worker.reaches(&url, journal.state.sequence()).await;
        journal.trade(10).await;
        journal.set_time_back(by).await;
        journal.trade(20).await;
        worker.reaches(&url, journal.state.sequence()).await;
        assert_agree(&url, &journal.events).await;
    }
    worker.end().await;
    assert!(number(&url, "SELECT count(*) FROM trades").await > 50, "the test trades");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projector_killed_at_any_point_goes_on_exactly_once() {
    let url = database().await;
    let mut journal = Journal::begin(&url, 2).await;
    for round in 0..25 {
        let worker = TestWorker::start(&url, None);
        journal.trade(12).await;
        let from = projected(&url).await;
        if round % 2 == 0 {
            until("it projects", || async { projected(&url).await > from }).await;
        }
        // At a random point of connecting, restoring, reading, writing or committing.
        tokio::time::sleep(Duration::from_micros(journal.below(30_000))).await;
        worker.kill().await;
    }
    let worker = TestWorker::start(&url, None);
    for _ in 0..10 {
        journal.trade(12).await;
        execute(&url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'exchange-projector' AND datname = current_database()").await;
    }
    worker.reaches(&url, journal.state.sequence()).await;
    worker.end().await;
    assert_agree(&url, &journal.events).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_workers_one_projects_and_the_other_takes_over() {
    let url = database().await;
    let mut journal = Journal::begin(&url, 3).await;
    let first = TestWorker::named(&url, None, "first");
    until("the first projects", || async { first.sample("exchange_worker_projecting") == Some(1.0) }).await;
    let second = TestWorker::named(&url, None, "second");
    until("the second is a ready standby", || async { second.health.is_ready() }).await;
    assert_eq!(second.sample("exchange_worker_projecting"), Some(0.0));
    journal.trade(60).await;
    first.reaches(&url, journal.state.sequence()).await;
    first.kill().await;
    until("the second projects", || async { second.sample("exchange_worker_projecting") == Some(1.0) }).await;
    journal.trade(60).await;
    second.reaches(&url, journal.state.sequence()).await;
    second.end().await;
    assert_agree(&url, &journal.events).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projector_whose_epoch_has_passed_writes_nothing() {
    let url = database().await;
    let mut journal = Journal::begin(&url, 4).await;
    let worker = TestWorker::start(&url, None);
    worker.reaches(&url, journal.state.sequence()).await;
    execute(&url, "UPDATE projection SET epoch = epoch + 1").await;
    journal.trade(40).await;
    // It is deposed, claims again and continues: nothing twice, nothing lost.
    worker.reaches(&url, journal.state.sequence()).await;
    worker.end().await;
    assert_agree(&url, &journal.events).await;
    assert!(number(&url, "SELECT epoch FROM projection").await >= 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_gives_the_tables_that_were_there() {
    let url = database().await;
    let mut journal = Journal::begin(&url, 5).await;
    let worker = TestWorker::start(&url, None);
    for _ in 0..5 {
        journal.trade(40).await;
        worker.reaches(&url, journal.state.sequence()).await;
    }
    let live = dump(&url).await;
    // Next to a running worker, which sees the new epoch and does the work, and alone.
    rebuild(&url, worker.context.clone()).await.unwrap();
    worker.reaches(&url, journal.state.sequence()).await;
    assert_eq!(dump(&url).await, live);
    let context = worker.context.clone();
    worker.end().await;
    execute(&url, "DELETE FROM ledger_transfers WHERE line = 1").await;
    rebuild(&url, context).await.unwrap();
    assert_eq!(dump(&url).await, live);
}

/// `exchange worker rebuild`.
pub async fn rebuild(url: &str, context: JobContext) -> anyhow::Result<()> {
    let JobContext { pool, media, metrics, .. } = context;
    let projector = Projector { options: url.parse().unwrap(), pool, media, metrics, holder: "rebuild".into() };
    rebuild::run(projector, CancellationToken::new()).await
}
