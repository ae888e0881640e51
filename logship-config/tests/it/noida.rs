//! This module compares the fake with `noida-db` (PyPI), which implements a part of Elasticsearch's API and is itself tested
//! against the real one. A list states why the fake is right where the answers differ. If the program is missing, the
//! comparison is skipped with a message.

use elasticsearch_fake::{Cluster, Fake};
use local_parts::{ChildProcess, Launch, StopSignal, free_ports};
use serde_json::{Value, json};

use crate::place::print_line;

/// Requests with different answers, by their numbers in [`requests`], each with the reason.
const DISAGREEMENTS: &[(usize, &str)] = &[
    (3, "Elasticsearch's strict parser refuses an unknown section of a template; noida-db accepts it"),
    (4, "a missing template: noida-db returns another exception with the same status"),
    (11, "Elasticsearch's strict parser refuses an unknown field of an index template; noida-db accepts it"),
    (12, "Elasticsearch refuses an unknown setting; noida-db accepts it"),
    (24, "Elasticsearch refuses an unknown parameter; noida-db accepts it"),
];

/// The order matters: later requests read objects created by earlier ones.
fn requests() -> Vec<(&'static str, &'static str, Value)> {
    let index = |body: Value| ("PUT", "/_index_template/u", body);
    vec![
        ("PUT", "/_component_template/c", json!({"template": {"settings": {"number_of_shards": 1}}, "version": 3})),
        ("GET", "/_component_template/c", Value::Null),
        ("GET", "/_component_template/none", Value::Null),
        ("PUT", "/_component_template/bad", json!({"template": {"setings": {}}})),
        ("PUT", "/_component_template/bad", json!({"version": 1})),
        (
            "PUT",
            "/_index_template/t",
            json!({"index_patterns": ["a-*"], "composed_of": ["c"], "priority": 5, "template": {"aliases": {"x": {"routing": "1"}}}}),
        ),
        ("GET", "/_index_template/t", Value::Null),
        ("GET", "/_index_template/none", Value::Null),
        index(json!({"index_patterns": ["a-*"], "priority": 5})),
        index(json!({"index_patterns": ["b-*"], "composed_of": ["missing"]})),
        index(json!({"priority": 1})),
        index(json!({"index_patterns": ["b-*"], "templates": {}})),
        index(json!({"index_patterns": ["c-*"], "template": {"settings": {"index.numbr": 1}}})),
        ("DELETE", "/_component_template/c", Value::Null),
        ("DELETE", "/_index_template/t", Value::Null),
        ("DELETE", "/_index_template/t", Value::Null),
        ("DELETE", "/_component_template/c", Value::Null),
        ("PUT", "/_ingest/pipeline/p", json!({"processors": [{"set": {"field": "a", "value": 1}}]})),
        ("GET", "/_ingest/pipeline/p", Value::Null),
        ("GET", "/_ingest/pipeline/none", Value::Null),
        ("PUT", "/_ingest/pipeline/q", json!({"processors": [{"sett": {}}]})),
        ("PUT", "/_ingest/pipeline/q", json!({"description": "d"})),
        ("DELETE", "/_ingest/pipeline/p", Value::Null),
        ("DELETE", "/_ingest/pipeline/p", Value::Null),
        ("GET", "/_cluster/settings?wrong=1", Value::Null),
        ("GET", "/_cluster/health", Value::Null),
        ("PUT", "/index-1", json!({"settings": {"number_of_shards": 1}})),
        ("PUT", "/index-1", json!({})),
        ("GET", "/index-1/_settings", Value::Null),
        ("GET", "/none/_settings", Value::Null),
        ("GET", "/index-1/_stats", Value::Null),
        ("DELETE", "/index-1", Value::Null),
        ("DELETE", "/index-1", Value::Null),
    ]
}

/// The status, the kind of error, and the part of the body that must be equal.
async fn ask(client: &reqwest::Client, url: &str, request: &(&str, &str, Value)) -> (u16, String, Value) {
    let (method, path, body) = request;
    let mut sent = client.request(method.parse().unwrap(), format!("{url}{path}"));
    if !body.is_null() {
        sent = sent.json(body);
    }
    let reply = sent.send().await.unwrap();
    let status = reply.status().as_u16();
    let body: Value = reply.json().await.unwrap_or_default();
    let kind = body["error"]["type"].as_str().unwrap_or_default().to_owned();
    let told = match *path {
        "/_component_template/c" => body["component_templates"][0]["component_template"]["template"].clone(),
        "/_index_template/t" => body["index_templates"][0]["index_template"]["template"].clone(),
        "/_ingest/pipeline/p" => body["p"]["processors"].clone(),
        _ => Value::Null,
    };
    (status, kind, told)
}

#[tokio::test]
async fn the_fake_answers_like_noida_db() {
    let Ok(program) = local_parts::find_program("noida-db") else {
        print_line("skipped: noida-db is not installed (make install)");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let [port]: [u16; 1] = free_ports().unwrap();
    let settings = vec![("HOME".to_owned(), folder.path().display().to_string())];
    let port_text = port.to_string();
    let arguments = ["start", "--only", "elasticsearch", "--elasticsearch-port", &port_text];
    let launch = Launch::new("noida-db", program, arguments, settings, StopSignal::Interrupt);
    let mut other = ChildProcess::start(&launch, folder.path()).unwrap();
    let (client, url) = (reqwest::Client::builder().no_proxy().build().unwrap(), format!("http://127.0.0.1:{port}"));
    other.ready(std::time::Duration::from_secs(60), async || client.get(&url).send().await.is_ok()).await.unwrap();
    let fake = Fake::start(Cluster::default()).await.unwrap();
    let (mut disagreed, mut same) = (Vec::new(), 0);
    for (number, request) in requests().iter().enumerate() {
        let (ours, theirs) = (ask(&client, &fake.url(), request).await, ask(&client, &url, request).await);
        if ours == theirs {
            same += 1
        } else {
            disagreed.push((number, format!("{} {}: {ours:?} and {theirs:?}", request.0, request.1)))
        }
    }
    other.stop(StopSignal::Interrupt).await.unwrap();
    let numbers: Vec<usize> = disagreed.iter().map(|(number, _)| *number).collect();
    let listed: Vec<usize> = DISAGREEMENTS.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, listed, "{disagreed:#?}");
    for (number, reason) in DISAGREEMENTS {
        print_line(&format!("disagreement {number}: {reason}"));
    }
    print_line(&format!("{same} answers equal, {} different", disagreed.len()));
}
