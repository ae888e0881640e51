//! Tests of account statements over HTTP: request, list, download, and requests that are refused.

use serde_json::Value;

use crate::{
    eventually::eventually,
    exchange::{Exchange, now},
    replica::database,
    worker::test_worker::{TestWorker, bucket},
};

const PATH: &str = "/sapi/v1/account/statement";
const LINK: &str = "/sapi/v1/account/statement/link";

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_is_requested_listed_and_downloaded_by_its_owner() {
    let storage = bucket(local_parts::shared_object_store().await.unwrap()).await;
    let store = storage.clone();
    let exchange = Exchange::on(database().await, move |settings| settings.object_storage = Some(store)).await;
    let (owner, other) = (exchange.trader("owner").await, exchange.trader("other").await);
    let worker = TestWorker::start(&exchange.app.database_url, Some(storage));
    exchange::db::jobs::migrate(&exchange.app.pool).await.unwrap();
    owner.limit("BUY", "90", "1").await;
    let start = now() - 3_600_000;
    let end = now();
    let requested = owner.post(PATH, &format!("startTime={start}&endTime={end}")).await.ok();
    let id = requested["statementId"].as_str().unwrap().to_owned();
    let listed = eventually("the statement is ready", || async {
        let listed = owner.get(PATH, "").await.ok();
        (listed[0]["status"] == "ready").then_some(listed)
    })
    .await;
    assert_eq!((&listed[0]["statementId"], listed.as_array().unwrap().len()), (&Value::from(id.clone()), 1));
    assert_eq!((listed[0]["startTime"].as_u64(), listed[0]["endTime"].as_u64()), (Some(start as u64), Some(end as u64)));

    let link = owner.get(LINK, &format!("statementId={id}")).await.ok();
    assert!(link["expirationTimestamp"].as_u64().unwrap() > now() as u64, "{link}");
    let csv = exchange.app.http.get(link["url"].as_str().unwrap()).send().await.unwrap().error_for_status().unwrap();
    assert_eq!(csv.headers()["content-type"], "text/csv; charset=utf-8");
    assert!(csv.text().await.unwrap().lines().any(|line| line.starts_with("order,")));

    // Neither the list nor a link of another account shows that it exists.
    assert_eq!(other.get(PATH, "").await.ok(), Value::from(Vec::<Value>::new()));
    let missing = "statementId=00000000-0000-0000-0000-000000000000".to_owned();
    for parameters in [format!("statementId={id}"), missing] {
        let answer = other.get(LINK, &parameters).await;
        assert_eq!(answer.error(), (400, -2013, "Statement does not exist."));
    }
    let answer = exchange.public(PATH, "").await;
    assert!(answer.status.is_client_error(), "unsigned: {}", answer.body);
    worker.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_for_statements_are_refused() {
    let storage = bucket(local_parts::shared_object_store().await.unwrap()).await;
    let exchange = Exchange::on(database().await, move |settings| settings.object_storage = Some(storage)).await;
    exchange::db::jobs::migrate(&exchange.app.pool).await.unwrap();
    let owner = exchange.trader("owner").await;
    let now = now();
    let (hour, day) = (3_600_000, 86_400_000);
    for (parameters, code) in [
        (String::new(), -1102),
        (format!("startTime={now}"), -1102),
        (format!("startTime={now}&endTime={now}"), -1127),
        (format!("startTime={now}&endTime={}", now - hour), -1127),
        (format!("startTime={now}&endTime={}", now + hour), -1127),
        (format!("startTime={}&endTime={now}", now - 367 * day), -1127),
        (format!("startTime=yesterday&endTime={now}"), -1100),
        ("startTime=1&endTime=2&symbol=BTCUSDT".to_owned(), -1104),
    ] {
        assert_eq!(owner.post(PATH, &parameters).await.error().1, code, "{parameters}");
    }
    for (parameters, code) in [("", -1102), ("statementId=7", -1100)] {
        assert_eq!(owner.get(LINK, parameters).await.error().1, code, "{parameters}");
    }
    // No worker runs: requests wait, up to a limit.
    let period = format!("startTime={}&endTime={}", now - 2 * hour, now - hour);
    let mut id = String::new();
    for _ in 0..5 {
        id = owner.post(PATH, &period).await.ok()["statementId"].as_str().unwrap().to_owned();
    }
    assert_eq!(owner.post(PATH, &period).await.error().0, 429);
    assert_eq!(owner.get(LINK, &format!("statementId={id}")).await.error().1, -1128);
    assert_eq!(owner.get(PATH, "limit=2").await.ok().as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_without_object_storage_answer_503() {
    let exchange = Exchange::start().await;
    let owner = exchange.trader("owner").await;
    let answer = owner.post(PATH, &format!("startTime={}&endTime={}", now() - 3_600_000, now())).await;
    assert_eq!(answer.error().0, 503, "{}", answer.body);
}
