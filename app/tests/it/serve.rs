//! Tests of a whole server: it becomes ready, answers on its three listeners, and stops on request.

use crate::{
    replica::create_account,
    test_app::{INTERNAL_TOKEN, TestApp},
};

#[tokio::test]
async fn it_serves_on_three_listeners_and_ends() {
    let app = TestApp::start().await;
    let get = |url: String| app.http.get(url).send();
    assert_eq!(get(format!("{}/api/v3/ping", app.api)).await.unwrap().status(), 200);
    assert_eq!(get(format!("{}/livez", app.admin)).await.unwrap().status(), 200);
    let ready = get(format!("{}/readyz", app.admin)).await.unwrap();
    assert_eq!(ready.status(), 200);
    assert!(ready.text().await.unwrap().contains(r#"{"name":"lead","ready":true}"#));
    let metrics = get(format!("{}/metrics", app.admin)).await.unwrap().text().await.unwrap();
    assert!(metrics.contains("exchange_engine_leader 1"), "{metrics}");

    let ask = |token: &str| app.http.get(format!("{}/nothing", app.internal)).bearer_auth(token).send();
    assert_eq!(ask("guessed").await.unwrap().status(), 401);
    assert_eq!(ask(INTERNAL_TOKEN).await.unwrap().status(), 404);

    let (http, api) = (app.http.clone(), app.api.clone());
    app.end().await;
    assert!(http.get(format!("{api}/api/v3/ping")).send().await.is_err());
}

#[tokio::test]
async fn a_server_that_comes_after_another_has_what_it_had() {
    let first = TestApp::start().await;
    let reply = first.engine.submit(create_account("kept"), None).await.unwrap();
    let journalled: i64 = sqlx::query_scalar("SELECT last_seq FROM head").fetch_one(&first.pool).await.unwrap();
    assert!(journalled as u64 >= reply.sequence);
    let url = first.database_url.clone();
    first.end().await;
    let second = TestApp::on(url, |settings| settings.queue_limit = 16).await;
    assert!(second.health.is_ready());
    assert!(second.engine.committed().read().state.account_by_reference("kept").is_some());
    second.end().await;
}
