//! Tests that an account statement contains the account's activity of its period and nothing of other accounts.

use exchange::worker::jobs::statement;
use exchange_core::money::Time;

use super::{
    journal::{FIRST, Journal, START},
    test_worker::{TestWorker, bucket, media},
};
use crate::{
    eventually::{eventually, until},
    replica::{database, number},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_lists_orders_trades_and_transfers_of_its_period() {
    let url = database().await;
    let storage = bucket(local_parts::shared_object_store().await.unwrap()).await;
    let mut journal = Journal::begin(&url, 31).await;
    journal.trade(120).await;
    let (start, middle) = (START, journal.state.now());
    journal.trade(60).await;
    let worker = TestWorker::start(&url, Some(storage.clone()));
    worker.reaches(&url, journal.state.sequence()).await;

    let pool = &worker.context.pool;
    let first = text(&worker, &storage, start, middle).await;
    let second = text(&worker, &storage, middle, journal.state.now()).await;
    for (lines, from, to) in [(&first, start, middle), (&second, middle, journal.state.now())] {
        let count = |record: &str| lines.iter().filter(|line| line[0] == record).count() as i64;
        let (orders, trades, transfers): (i64, i64, i64) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM orders WHERE account = $1 AND created >= $2 AND created < $3),
                    (SELECT count(*) FROM trades, unnest(ARRAY[buyer, seller]) AS side WHERE side = $1 AND time >= $2 AND time < $3),
                    (SELECT count(*) FROM ledger_transfers WHERE (debit_account = $1 OR credit_account = $1) AND time >= $2 AND time < $3)",
        )
        .bind(FIRST as i32)
        .bind(from)
        .bind(to)
        .fetch_one(pool)
        .await
        .unwrap();
        assert_eq!((count("order"), count("trade"), count("transfer")), (orders, trades, transfers));
        assert!(orders > 5 && trades > 5 && transfers > 20, "the account was busy: {orders} {trades} {transfers}");
        assert_eq!(lines.len() as i64, 1 + orders + trades + transfers);
    }
    let deposit = first.iter().find(|line| line[0] == "transfer" && line[14] == "BTC").unwrap();
    assert_eq!(deposit[15..], ["1000.00000000", "custody", "free"]);
    assert!(first.iter().any(|line| line[17] == "fees") && first.iter().any(|line| line[17] == "counterparty"));
    worker.end().await;
    assert_eq!(number(&url, "SELECT count(*) FROM statements WHERE status = 'ready' AND size_bytes > 0").await, 2);
}

/// Requests a statement, waits for it and parses it.
async fn text(worker: &TestWorker, storage: &exchange::config::ObjectStorage, from: Time, to: Time) -> Vec<Vec<String>> {
    let pool = &worker.context.pool;
    until("the queue's schema is there", || async { exchange::db::jobs::migrate(pool).await.is_ok() }).await;
    let id = statement::enqueue_statement(pool, FIRST, from, to).await.unwrap();
    let ready = eventually("the statement is ready", || async {
        let found = exchange::db::statements::find_statement(&mut pool.acquire().await.unwrap(), id).await.unwrap().unwrap();
        (found.status == "ready").then_some(found)
    })
    .await;
    let key = ready.object_key.unwrap();
    let link = media(storage).presigned_get(&key, std::time::Duration::from_secs(60), "statement.csv").await.unwrap();
    let answer = reqwest::get(link).await.unwrap().error_for_status().unwrap();
    assert_eq!(answer.headers()["content-type"], "text/csv; charset=utf-8");
    assert!(answer.headers()["content-disposition"].to_str().unwrap().contains("statement.csv"));
    let csv = answer.text().await.unwrap();
    csv.lines().map(|line| line.split(',').map(str::to_owned).collect()).collect()
}
