//! Tests of the queue: schedule, retries with back-off, dead letters and their retry.

use std::time::{Duration, Instant};

use exchange::worker::{
    jobs::{RefreshTickers, TakeSnapshot, Upkeep, WriteStatement},
    queue,
};
use exchange_core::market_data::{DAY, Interval};
use graphile_worker::JobSpec;
use sqlx::{Connection, PgConnection};
use tokio::time::sleep;
use uuid::Uuid;

use super::{
    journal::Journal,
    test_worker::{TestWorker, bucket},
};
use crate::{
    eventually::{eventually, until},
    replica::{database, execute, number},
};

/// A minute until the schedule's next time, and one for a busy machine.
const TWO_MINUTES: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_job_is_retried_then_dead_then_retried_by_an_operator() {
    let url = database().await;
    let storage = bucket(local_parts::shared_object_store().await.unwrap()).await;
    let journal = Journal::begin(&url, 21).await;
    let worker = TestWorker::start(&url, Some(storage));
    worker.reaches(&url, journal.state.sequence()).await;

    // The statement does not exist: the job fails on every run.
    let spec = JobSpec { max_attempts: Some(2), ..Default::default() };
    let missing = WriteStatement { statement: Uuid::now_v7(), traceparent: None };
    let id = worker.add_with(missing.clone(), spec).await;
    let letters = eventually("the job is dead", || async {
        let letters = queue::dead_letters(&worker.context.pool).await.unwrap();
        (!letters.is_empty()).then_some(letters)
    })
    .await;
    assert_eq!((letters.len(), letters[0].id, letters[0].job.as_str(), letters[0].attempts), (1, id, "statement", 2));
    assert!(letters[0].last_error.as_deref().unwrap_or_default().contains("does not exist"), "{letters:?}");
    assert_eq!(worker.sample("exchange_worker_job_runs_total{kind=\"statement\",outcome=\"retried\"}"), Some(1.0));
    assert_eq!(worker.sample("exchange_worker_job_runs_total{kind=\"statement\",outcome=\"dead\"}"), Some(1.0));
    until("the metric counts it", || async { worker.sample("exchange_worker_dead_letters{kind=\"statement\"}") == Some(1.0) })
        .await;

    // The cause is fixed; an operator retries the job.
    let mut connection = PgConnection::connect(&url).await.unwrap();
    exchange::db::statements::insert_statement(&mut connection, missing.statement, 2, 0, super::journal::START).await.unwrap();
    assert_eq!(queue::retry_dead_letters(&worker.context.pool).await.unwrap(), 1);
    until("the statement is ready", || async {
        number(&url, "SELECT count(*) FROM statements WHERE status = 'ready'").await == 1
    })
    .await;
    assert!(queue::dead_letters(&worker.context.pool).await.unwrap().is_empty());
    worker.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_a_killed_worker_are_run_by_the_next() {
    let url = database().await;
    let journal = Journal::begin(&url, 22).await;
    let first = TestWorker::start(&url, None);
    first.reaches(&url, journal.state.sequence()).await;
    let id = first.add(Upkeep {}).await;
    until("it is taken or done", || async {
        number(&url, "SELECT count(*) FROM graphile_worker.jobs WHERE locked_at IS NULL AND task_identifier = 'upkeep'").await
            == 0
    })
    .await;
    first.kill().await;
    // As left by a worker that was killed in the middle of a job.
    execute(&url, "SELECT graphile_worker.add_job('tickers')").await;
    execute(&url, "UPDATE graphile_worker._private_jobs SET locked_at = now(), locked_by = 'gone', attempts = 1").await;
    let second = TestWorker::start(&url, None);
    until("nothing is left", || async {
        number(&url, "SELECT count(*) FROM graphile_worker.jobs WHERE locked_by = 'gone' OR task_identifier = 'tickers'").await
            == 0
    })
    .await;
    assert!(id > 0);
    second.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schedule_is_known_to_the_queue() {
    let url = database().await;
    let journal = Journal::begin(&url, 23).await;
    let worker = TestWorker::start(&url, None);
    worker.reaches(&url, journal.state.sequence()).await;
    let known = "SELECT count(*) FROM graphile_worker._private_known_crontabs";
    until("the entries that need no object storage are known", || async {
        sqlx::query_scalar::<_, i64>(known).fetch_one(&worker.context.pool).await.is_ok_and(|known| known == 4)
    })
    .await;
    until("no run is missed", || async {
        worker.sample("exchange_worker_schedule_misses_total{kind=\"trial_balance\"}") == Some(0.0)
    })
    .await;
    worker.end().await;
}

/// Waits for the turn of a minute: the only way to observe the payload that the schedule passes to a job.
#[tokio::test(flavor = "multi_thread")]
async fn the_schedule_runs_jobs_by_itself() {
    let url = database().await;
    let journal = Journal::begin(&url, 26).await;
    let worker = TestWorker::start(&url, None);
    worker.reaches(&url, journal.state.sequence()).await;
    let jobs = ["upkeep", "tickers", "trial_balance"];
    let completed = |job: &str| worker.sample(&format!("exchange_worker_job_runs_total{{kind=\"{job}\",outcome=\"completed\"}}"));
    let begun = Instant::now();
    while !jobs.iter().all(|job| completed(job) >= Some(1.0)) {
        assert!(begun.elapsed() < TWO_MINUTES, "{}", worker.metrics.encode());
        sleep(Duration::from_millis(50)).await;
    }
    for job in jobs {
        assert_eq!(
            worker.sample(&format!("exchange_worker_job_runs_total{{kind=\"{job}\",outcome=\"retried\"}}")),
            Some(0.0),
            "{job}"
        );
    }
    worker.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tickers_sum_the_last_day() {
    let url = database().await;
    let mut journal = Journal::begin(&url, 24).await;
    // Half a minute per command: more than a day.
    journal.trade(900).await;
    let worker = TestWorker::start(&url, None);
    worker.reaches(&url, journal.state.sequence()).await;
    worker.complete(RefreshTickers {}).await;
    let now = journal.state.now();
    let from = Interval::Minutes1.open(now - DAY);
    let naive: Vec<(i16, i64, i64, i64, i64)> = sqlx::query_as(
        "SELECT market, count(*), max(price), min(price), sum(quantity)::bigint FROM trades WHERE time >= $1 GROUP BY market ORDER BY market",
    )
    .bind(from)
    .fetch_all(&worker.context.pool)
    .await
    .unwrap();
    let tickers: Vec<(i16, i64, i64, i64, i64)> =
        sqlx::query_as("SELECT market, trades, high, low, volume::bigint FROM tickers WHERE time = $1 ORDER BY market")
            .bind(now)
            .fetch_all(&worker.context.pool)
            .await
            .unwrap();
    assert_eq!(tickers, naive);
    assert_eq!(tickers.len(), 2);
    assert!(number(&url, "SELECT count(*) FROM trades").await > naive.iter().map(|(_, trades, ..)| trades).sum::<i64>());
    worker.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_without_object_storage_says_so() {
    let url = database().await;
    let journal = Journal::begin(&url, 25).await;
    let worker = TestWorker::start(&url, None);
    worker.reaches(&url, journal.state.sequence()).await;
    let id = worker.add(TakeSnapshot {}).await;
    let error: String = eventually("it fails", || async {
        sqlx::query_scalar("SELECT last_error FROM graphile_worker.jobs WHERE id = $1")
            .bind(id)
            .fetch_one(&worker.context.pool)
            .await
            .unwrap()
    })
    .await;
    assert!(error.contains("object storage is not configured"), "{error}");
    worker.end().await;
}
