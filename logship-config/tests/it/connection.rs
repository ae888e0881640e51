//! This module tests the connection: answers, and errors when there is no answer.

use elasticsearch_fake::{Cluster, Fake};
use logship::{
    client::{CallError, Client, Method},
    exit::Exit,
};
use serde_json::json;

use crate::place::settings;

#[tokio::test]
async fn streams_need_a_template_and_errors_are_passed_on() {
    let fake = Fake::start(Cluster::default()).await.unwrap();
    let client = Client::new(settings(&fake.url()), None).unwrap();
    assert_eq!(client.get("/").await.unwrap()["version"]["number"], "9.4.0");
    let refused = client.send(Method::Put, "/_data_stream/logs-a", &[], None).await.unwrap_err();
    assert!(refused.to_string().contains("no matching index template found for data stream [logs-a]"), "{refused}");
    let template = json!({"index_patterns": ["logs-*"], "data_stream": {}, "template": {"settings": {"number_of_shards": 1}}});
    client.send(Method::Put, "/_index_template/logs", &[], Some(&template)).await.unwrap();
    client.send(Method::Put, "/_data_stream/logs-a", &[], None).await.unwrap();
    let streams = client.get("/_data_stream/logs-a").await.unwrap();
    assert_eq!(streams["data_streams"][0]["generation"], 1);
    assert_eq!(client.find("/_data_stream/logs-b").await.unwrap(), None);
    assert_eq!(fake.calls().len(), 6);
}

#[tokio::test]
async fn an_unreachable_cluster_is_reported_with_the_remedy() {
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = Client::new(settings(&format!("http://{address}")), None).unwrap();
    let error = client.get("/").await.unwrap_err();
    assert!(matches!(error, CallError::Unreachable(_)) && error.exit() == Exit::Unavailable);
    assert!(error.to_string().contains("correct LOGSHIP_ELASTICSEARCH_URL"), "{error}");
}
