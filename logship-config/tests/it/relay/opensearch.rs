//! This module runs the relay and the declared templates against OpenSearch, a real `_bulk` with the same answers. It needs
//! Java and Maven; without them it is skipped with a line.
//!
//! A proxy removes `require_data_stream`, which OpenSearch does not know.

use std::{
    process::{Child, Stdio},
    time::Duration,
};

use axum::{Router, body::Bytes, extract::State, http::Uri, response::IntoResponse};
use elasticsearch_fake::Cluster;
use local_parts::{Folder, free_ports};
use serde_json::{Map, Value, json};

use super::world::{World, line};
use crate::{java::Program, place::platform};

const STARTS_WITHIN: Duration = Duration::from_secs(240);
const APP: &str = "logs-exchange.app-default";
const AUDIT: &str = "logs-exchange.audit-default";
const LETTERS: &str = "logs-logship.dead_letter-default";

struct OpenSearch {
    url: String,
    client: reqwest::Client,
    process: Child,
    _folder: Folder,
}

impl Drop for OpenSearch {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl OpenSearch {
    async fn start() -> Option<Self> {
        let program = tokio::task::spawn_blocking(|| Program::compile("opensearch", "Server")).await.unwrap()?;
        let folder = Folder::throwaway("opensearch").unwrap();
        let [port]: [u16; 1] = free_ports().unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut command = program.command();
        command.arg(port.to_string()).arg(folder.path().join("data"));
        let process = command.stdin(Stdio::piped()).stdout(log).stderr(Stdio::null()).spawn().unwrap();
        let url = format!("http://127.0.0.1:{port}");
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut server = Self { url, client, process, _folder: folder };
        let end = tokio::time::Instant::now() + STARTS_WITHIN;
        while server.client.get(&server.url).send().await.is_err() {
            let ended = server.process.try_wait().unwrap();
            assert!(ended.is_none() && tokio::time::Instant::now() < end, "OpenSearch does not start: {ended:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Some(server)
    }

    async fn put(&self, path: &str, body: &Value) {
        let reply = self.client.put(format!("{}{path}", self.url)).json(body).send().await.unwrap();
        let (status, text) = (reply.status(), reply.text().await.unwrap());
        assert!(status.is_success(), "{path}: {text}");
    }

    async fn post(&self, path: &str) {
        let reply = self.client.post(format!("{}{path}", self.url)).send().await.unwrap();
        assert!(reply.status().is_success(), "{path}");
    }

    async fn documents(&self, stream: &str) -> Vec<Value> {
        self.found(stream, "*").await
    }

    async fn found(&self, stream: &str, query: &str) -> Vec<Value> {
        self.post(&format!("/{stream}/_refresh")).await;
        let url = format!("{}/{stream}/_search?size=1000", self.url);
        let body = json!({"query": {"query_string": {"query": query}}});
        let found = self.client.post(url).json(&body).send().await.unwrap();
        let found: Value = found.json().await.unwrap();
        found["hits"]["hits"].as_array().unwrap().iter().map(|hit| hit["_source"].clone()).collect()
    }

    /// Returns the address of a proxy without `require_data_stream`.
    async fn proxy(&self) -> String {
        let forward = async |State((client, url)): State<(reqwest::Client, String)>,
                             method: axum::http::Method,
                             uri: Uri,
                             headers: axum::http::HeaderMap,
                             body: Bytes| {
            let query = uri.query().unwrap_or_default().split('&').filter(|part| !part.starts_with("require_data_stream"));
            let target = format!("{url}{}?{}", uri.path(), query.collect::<Vec<_>>().join("&"));
            let mut request = client.request(method, target).body(body);
            for name in ["content-type", "content-encoding"] {
                request = headers.get(name).into_iter().fold(request, |request, value| request.header(name, value));
            }
            let reply = request.send().await.unwrap();
            let status = reply.status();
            (status, [("content-type", "application/json")], reply.bytes().await.unwrap()).into_response()
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(forward).with_state((self.client.clone(), self.url.clone()));
        tokio::spawn(axum::serve(listener, router).into_future());
        format!("http://{address}")
    }
}

/// Replaces what only Elasticsearch has: lifecycles, failure stores, and the type `flattened`.
fn translated(value: &Value) -> Value {
    const ONLY_ELASTICSEARCH: [&str; 4] = ["lifecycle", "data_stream_options", "ignore_dynamic_beyond_limit", "deprecated"];
    match value {
        Value::Object(map) => {
            let kept = map.iter().filter(|(key, _)| !ONLY_ELASTICSEARCH.contains(&key.as_str()));
            kept.map(|(key, value)| (key.clone(), translated(value))).collect::<Map<_, _>>().into()
        }
        Value::String(text) if text == "flattened" => "flat_object".into(),
        other => other.clone(),
    }
}

/// Applies the platform's templates, and creates its streams.
async fn apply(server: &OpenSearch) -> Vec<String> {
    use logship::desired::ObjectKind;
    let desired = platform();
    for (name, body) in desired.of(ObjectKind::Pipeline) {
        let mut body = body.clone();
        body.as_object_mut().unwrap().remove("_meta");
        for processor in body["processors"].as_array_mut().unwrap() {
            if let Some(field) = processor.get_mut("set").and_then(|set| set.as_object_mut()?.remove("copy_from")) {
                processor["set"]["value"] = format!("{{{{{}}}}}", field.as_str().unwrap()).into();
            }
        }
        server.put(&format!("/_ingest/pipeline/{name}"), &body).await;
    }
    for (kind, path) in [(ObjectKind::ComponentTemplate, "/_component_template"), (ObjectKind::IndexTemplate, "/_index_template")]
    {
        for (name, body) in desired.of(kind) {
            let mut body = translated(body);
            // One node has no room for a copy.
            if kind == ObjectKind::IndexTemplate {
                body["template"]["settings"]["index"]["number_of_replicas"] = 0.into();
                body.as_object_mut().unwrap().remove("ignore_missing_component_templates");
            }
            server.put(&format!("{path}/{name}"), &body).await;
        }
    }
    for stream in desired.streams.keys() {
        server.put(&format!("/_data_stream/{stream}"), &json!({})).await;
    }
    desired.streams.keys().cloned().collect()
}

fn document(number: usize) -> Value {
    json!({
        "@timestamp": "2026-11-27T09:00:00Z", "log.level": "info", "message": format!("order {number} is filled"),
        "event": {"dataset": "exchange.app"}, "service.name": "exchange", "log.offset": number, "event.created": "2026-11-27T09:00:00.5Z",
        "kubernetes": {"pod_name": "exchange-0", "labels": {"app": "exchange", "app.kubernetes.io/name": "exchange"}},
    })
}

fn lines(stream: &str, numbers: std::ops::Range<usize>) -> String {
    numbers.map(|number| line(stream, &format!("id-{number}"), &document(number))).collect()
}

#[tokio::test]
async fn a_real_bulk_stores_refuses_and_postpones() {
    let Some(server) = OpenSearch::start().await else { return };
    let mut streams = apply(&server).await;
    streams.retain(|stream| stream != LETTERS);
    let (url, names) = (server.proxy().await, streams.join(","));
    let settings =
        [("LOGSHIP_ELASTICSEARCH_URL", url.as_str()), ("LOGSHIP_RELAY_STREAMS", &names), ("LOGSHIP_RELAY_DEADLINE", "10s")];
    let mut world = World::begin(Cluster::default(), &settings).await;
    world.ready().await;

    // Stored, then already there.
    let body = lines(APP, 0..20) + &lines(AUDIT, 20..30);
    for there in [0, 30] {
        let told = world.send(body.as_bytes()).await;
        assert!(told.is_success(), "{told:?} {}", world.log());
        assert_eq!((world.settled("stored").await, world.settled("already_there").await), (30, there));
    }
    assert_eq!((server.documents(APP).await.len(), server.documents(AUDIT).await.len()), (20, 10));

    // Refused by the mapping: a dead letter, also once.
    let refused = line(APP, "bad", &json!({"@timestamp": "2026-11-27T09:00:00Z", "service": "no object"}));
    for there in [0, 1] {
        assert!(world.send(refused.as_bytes()).await.is_success(), "{}", world.log());
        assert_eq!((world.settled("dead_letter").await, world.settled("dead_letter_already_there").await), (1, there));
    }
    let letters = server.documents(LETTERS).await;
    assert_eq!(letters.len(), 1);
    assert!(letters[0]["event"]["original"].as_str().unwrap().contains("no object"), "{letters:?}");

    // A line's nested member with the name of a member of Fluent Bit's record is no second value of that field.
    let mut nested = document(40);
    nested["event"]["created"] = "1999-01-01T00:00:00Z".into();
    nested["log"] = json!({"offset": 7, "file": {"path": "/forged"}, "logger": "own"});
    assert!(world.send(line(AUDIT, "nested", &nested).as_bytes()).await.is_success(), "{}", world.log());
    let found = server.found(AUDIT, "message:\"order 40\"").await;
    assert_eq!(found[0]["event"].get("created"), None, "{found:?}");
    assert_eq!(found[0]["log"], json!({"file": {}, "logger": "own"}), "{found:?}");
    assert_eq!((&found[0]["event.created"], &found[0]["log.offset"]), (&"2026-11-27T09:00:00.5Z".into(), &40.into()));
    assert!(server.found(AUDIT, "event.created:1999").await.is_empty());

    // A block and a missing pipeline: the documents are valid, and wait for an operator.
    let mut first = 100;
    for (setting, wrong, right) in
        [("index.blocks.write", json!(true), json!(false)), ("index.default_pipeline", json!("gone"), json!("logs-received"))]
    {
        let before = world.put_off("blocked").await;
        server.put(&format!("/{APP}/_settings"), &json!({setting: wrong})).await;
        let body = lines(APP, first..first + 3);
        let told = world.send(body.as_bytes()).await;
        assert_eq!(told.status, 503, "{setting}: {told:?}");
        assert!(world.put_off("blocked").await > before, "{setting}: {}", world.log());
        server.put(&format!("/{APP}/_settings"), &json!({setting: right})).await;
        assert!(world.send(body.as_bytes()).await.is_success(), "{setting}: {}", world.log());
        first += 10;
    }
    assert_eq!(world.settled("dead_letter").await, 1, "none of them is a dead letter");
    assert_eq!(server.documents(APP).await.len(), 26);

    // An id is unique within a backing index: a chunk that is sent again after a rollover is stored twice.
    server.post(&format!("/{APP}/_rollover")).await;
    assert!(world.send(lines(APP, 0..2).as_bytes()).await.is_success());
    assert_eq!(server.documents(APP).await.len(), 28);
    the_fake_answers_alike(&server, &world.fake.url()).await;
}

/// Sends the same requests to the fake: each status, each item's status and each page of a search must be equal.
async fn the_fake_answers_alike(server: &OpenSearch, fake: &str) {
    let mappings = json!({"properties": {"n": {"type": "integer"}, "at": {"type": "keyword"}, "log": {"properties": {"level": {"type": "keyword"}}}}});
    let action = |action: &str, id: &str, document: &Value| {
        format!("{{\"{action}\":{{\"_index\":\"i\",\"_id\":\"{id}\"}}}}\n{document}\n")
    };
    let document = |number: usize| json!({"n": number % 3, "at": format!("{number:02}"), "log": {"level": "info"}});
    let stored: String = (0..12).map(|number| action("create", &number.to_string(), &document(number))).collect();
    let mixed = action("create", "0", &document(0))
        + &action("create", "wrong", &json!({"n": "many"}))
        + &action("create", "12", &document(2))
        + &action("index", "12", &document(2))
        + "{\"delete\":{\"_index\":\"i\",\"_id\":\"12\"}}\n{\"delete\":{\"_index\":\"i\",\"_id\":\"none\"}}\n";
    let long = action("create", &"x".repeat(513), &document(0));
    let requests = [
        ("PUT", "/i", json!({"mappings": mappings}).to_string()),
        ("POST", "/_bulk", stored),
        ("POST", "/_bulk", mixed),
        ("POST", "/_bulk", String::new()),
        ("POST", "/_bulk", action("create", "20", &document(0)).trim_end().to_owned()),
        ("POST", "/_bulk", action("upsert", "20", &document(0))),
        ("POST", "/_bulk", "no json\n{}\n".to_owned()),
        ("POST", "/_bulk", long),
        ("POST", "/_bulk", "{\"create\":{\"_id\":\"20\"}}\n{}\n".to_owned()),
        ("POST", "/i/_refresh", String::new()),
        ("GET", "/i/_search?sort=at", String::new()),
        ("GET", "/i/_search?q=n:2&sort=at:desc&size=2", String::new()),
        ("GET", "/i/_search?size=1&sort=at&_source=at", String::new()),
        ("GET", "/i/_search?size=10001", String::new()),
        ("GET", "/i/_search?size=much", String::new()),
        ("GET", "/missing/_search", String::new()),
        ("POST", "/i/_search", json!({"query": {"term": {"log.level": "warn"}}}).to_string()),
        ("POST", "/i/_search", json!({"query": {"match_all": {}}, "sort": [{"at": "desc"}], "from": 1, "size": 1}).to_string()),
        ("GET", "/i/_count", String::new()),
    ];
    for (method, path, body) in requests {
        let mut answers = Vec::new();
        for url in [&server.url, fake] {
            let request = server.client.request(method.parse().unwrap(), format!("{url}{path}")).body(body.clone());
            let reply = request.header("content-type", "application/json").send().await.unwrap();
            let status = reply.status().as_u16();
            answers.push((status, meaning(&reply.json().await.unwrap_or_default())));
        }
        assert_eq!(answers[0], answers[1], "{method} {path} {body}");
    }
}

/// Returns the statuses of items, the ids and sources of hits, and the count of an answer.
fn meaning(answer: &Value) -> (Vec<Value>, Vec<(Value, Value)>, Value) {
    let items = answer["items"].as_array().into_iter().flatten();
    let statuses = items.flat_map(|item| item.as_object().unwrap().values().map(|item| item["status"].clone())).collect();
    let hits = answer["hits"]["hits"].as_array().into_iter().flatten();
    let hits = hits.map(|hit| (hit["_id"].clone(), hit["_source"].clone())).collect();
    let count = if answer["count"].is_null() { &answer["hits"]["total"]["value"] } else { &answer["count"] };
    (statuses, hits, count.clone())
}
