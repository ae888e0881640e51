//! This module checks every request of every command against Elasticsearch's own API description, closed. The description is
//! test material (`SHARED_DATA`). Without it the tests print that they were skipped.

mod cases;
mod schema;
mod unknown;

use std::{collections::BTreeSet, sync::Arc};

use elasticsearch_fake::{Cluster, Disk, Fake, Mode, ReceivedCall, StepFailure};
use jiff::{SignedDuration, Timestamp};
use logship::{apply, client::Client, explain, forecast, observe, plan::Allowed};
use schema::Contract;
use serde_json::{Value, json};

use crate::{
    place::{Place, apply as applied, declared, platform, print_line, variable},
    relay::world::{APP, World},
    watching,
};

/// Operations that must have been sent.
const OPERATIONS: &str = include_str!("../../operations.txt");
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// Returns test material, or prints the skipped test.
pub fn shared(test: &str) -> Option<String> {
    let folder = variable("SHARED_DATA");
    if folder.is_none() {
        print_line(&format!("skipped: {test}: SHARED_DATA is not set"));
    }
    folder
}

#[tokio::test]
async fn every_request_of_every_command_is_as_the_contract_says() {
    let Some(folder) = shared("requests against the API description") else { return };
    let contract = Contract::read(&folder);
    let cluster = Cluster { mode: Mode::Enterprise, disks: vec![Disk { total: 1000, used: 10 }], ..Cluster::default() };
    let (client, fake) = Place::fake_of(cluster).await;
    everything(&client, &fake).await;
    let mut calls = fake.calls();
    calls.extend(relayed().await);
    let (mut seen, mut violations) = (BTreeSet::new(), Vec::new());
    for (call, _) in &calls {
        let query: Vec<&str> = call.query.keys().map(String::as_str).collect();
        let judged = contract.judge(&call.method, &call.segments().join("/"), &query, body(call).as_ref());
        seen.insert(judged.operation);
        violations.extend(judged.violations);
    }
    violations.sort();
    violations.dedup();
    assert_eq!(violations, Vec::<String>::new());
    // Each request must succeed, except a request for a name that does not exist.
    let done = |call: &ReceivedCall, status: u16| {
        (200..300).contains(&status) || status == 404 && call.method == "GET" && call.path.starts_with("/_data_stream/")
    };
    let refused = calls.iter().filter(|(call, status)| !done(call, *status));
    assert_eq!(refused.map(|(call, status)| (&call.method, &call.path, status)).collect::<Vec<_>>(), []);
    let wanted: BTreeSet<String> = OPERATIONS.lines().map(str::to_owned).collect();
    assert_eq!(seen, wanted, "the committed list and the sent requests");
    print_line(&format!("{} requests of {} operations: 0 violations", calls.len(), seen.len()));
}

/// Returns the sent body; lines are a list.
fn body(call: &ReceivedCall) -> Option<Value> {
    let text = std::str::from_utf8(&call.body).unwrap();
    if call.path.ends_with("/_bulk") {
        return Some(text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect());
    }
    (!text.is_empty()).then(|| serde_json::from_str(text).unwrap())
}

/// Requests of the relay: a stored document, and one that becomes a dead letter.
async fn relayed() -> Vec<(ReceivedCall, u16)> {
    let world = World::start().await;
    let line = |id: &str, price: Value| {
        let document = json!({"@timestamp": "2026-01-01T00:00:00Z", "price": price});
        format!("{}\n{document}\n", json!({"create": {"_index": APP, "_id": id}}))
    };
    let chunk = line("1", json!(5)) + &line("2", json!("no number"));
    let sent = world.client.post(&world.url).header("content-type", "application/x-ndjson").body(chunk).send().await.unwrap();
    assert_eq!(sent.status(), 200);
    world.fake.calls()
}

/// Runs every command in every way that sends different requests.
async fn everything(client: &Client, fake: &Arc<Fake>) {
    applied(client, &platform()).await;
    let mount = "{phases: {hot: {actions: {rollover: {max_age: 1d, max_primary_shard_docs: 5}, set_priority: {priority: 1}, \
        downsample: {fixed_interval: 1h}, shrink: {number_of_shards: 1}, forcemerge: {max_num_segments: 1}}}, warm: \
        {actions: {allocate: {number_of_replicas: 0, require: {box: a}}, migrate: {enabled: false}}}, frozen: {min_age: 1d, \
        actions: {searchable_snapshot: {snapshot_repository: r}}}, delete: {min_age: 5d, actions: {wait_for_snapshot: \
        {policy: s}, delete: {}}}}}";
    let extra = |stream: &str| {
        declared(&[
            ("owner.yaml", "owner: exchange"),
            ("policies/extra.yaml", mount),
            ("snapshots/repositories/r.yaml", "{type: s3, settings: {bucket: b, compress: true, chunk_size: 1gb}}"),
            (
                "snapshots/policies/s.yaml",
                "{schedule: 1d, name: s, repository: r, config: {indices: [a], partial: true}, retention: {expire_after: \
                 30d, min_count: 1, max_count: 5}}",
            ),
            (
                "pipelines/x.yaml",
                "{description: a, processors: [{set: {field: a, value: 5, tag: t, if: {source: ctx.b != null}}}, {pipeline: \
                 {name: y}}], on_failure: [{set: {field: error.message, copy_from: _ingest.on_failure_message}}]}",
            ),
            ("pipelines/y.yaml", "{processors: []}"),
            ("templates/components/extra.yaml", "{version: 1, template: {settings: {index: {refresh_interval: 5s}}}}"),
            (
                "templates/index/extra.yaml",
                "{index_patterns: [logs-extra-*], priority: 300, data_stream: {}, composed_of: [extra], template: \
                 {lifecycle: {data_retention: 7d}}}",
            ),
            ("streams.yaml", &format!("streams: {{logs-extra-a: {stream}}}")),
        ])
    };
    let both = |stream: &str| {
        let (mut all, more) = (platform(), extra(stream));
        all.objects.extend(more.objects);
        all.streams.extend(more.streams);
        all
    };
    applied(client, &both("{lifecycle: {data_retention: 5d}, failure_store: {enabled: true, lifecycle: {data_retention: 9d}}}"))
        .await;
    // A setting made by hand is removed again.
    fake.change(|cluster| {
        let dead = cluster.data_streams.get_mut("logs-exchange.app-default").unwrap();
        dead.lifecycle = Some(json!({"enabled": true, "data_retention": "90d"}));
        let extra = cluster.data_streams.get_mut("logs-extra-a").unwrap();
        extra.options = Some(json!({"failure_store": {"enabled": true}}));
    });
    applied(client, &both("{}")).await;
    // Our objects that are declared no longer are deleted.
    fake.change(|cluster| {
        let stream = cluster.data_streams.remove("logs-extra-a").unwrap();
        cluster.indices.retain(|name, _| !stream.indices.contains(name));
    });
    let allowed = Allowed::default();
    apply::run(client, &platform(), &allowed, &|_, _| {}).await.unwrap();

    // A stuck index of each repair, and one that a budget deletes.
    let name = "logs-exchange.access-default";
    fake.change(|cluster| {
        let old = cluster.data_streams[name].indices[0].clone();
        cluster.indices.get_mut(&old).unwrap().more_documents = 5;
        cluster.indices.get_mut(&old).unwrap().more_bytes = 500;
    });
    fake.advance(DAY * 2);
    client.get("/_ilm/status").await.unwrap();
    fake.change(|cluster| {
        let stream = &cluster.data_streams[name];
        let (old, write) = (stream.indices[0].clone(), stream.indices.last().unwrap().clone());
        let error = |action: &str, step: &str, index: &mut elasticsearch_fake::Index| {
            let at = index.progress.as_mut().unwrap();
            (at.action, at.step, at.failed_step) = (action.into(), "ERROR".into(), Some(step.into()));
        };
        error("rollover", "check-rollover-ready", cluster.indices.get_mut(&old).unwrap());
        error("set_priority", "set_priority", cluster.indices.get_mut(&write).unwrap());
        let failure = StepFailure { step: "x".into(), kind: "k".into(), reason: "r".into(), retryable: false };
        cluster.failures = [(old, failure.clone()), (write, failure)].into();
    });
    fake.advance(DAY * 5);
    let mut watcher = watching::watcher(&fake.url(), true).0;
    watcher.round(fake.now()).await.unwrap();
    let now = fake.now().as_millisecond();
    explain::run(client, name, now, 1).await.unwrap();
    let write = fake.look(|cluster| cluster.data_streams[name].indices.last().unwrap().clone());
    explain::run(client, &write, now, 1).await.unwrap();
    let observation = observe::declared(client, &platform()).await.unwrap();
    forecast::forecast(&platform(), &observation, Timestamp::now().as_millisecond());
}

/// Requests that the contract refuses: a part of the violation, and the request.
fn wrong_requests() -> Vec<(&'static str, &'static str, &'static str, &'static str, Value)> {
    let policy = |action: Value| json!({"policy": {"phases": {"hot": {"actions": action}}}});
    let mapped = |field: Value| json!({"template": {"mappings": {"properties": {"f": field}}}});
    let indexed = |template: Value| json!({"index_patterns": ["a"], "template": template});
    vec![
        ("max_agee: is unknown", "PUT", "_ilm/policy/a", "", policy(json!({"rollover": {"max_agee": "1d"}}))),
        (
            "max_num_segments is missing",
            "PUT",
            "_ilm/policy/a",
            "",
            policy(json!({"rollover": {"max_age": "1d"}, "forcemerge": {}})),
        ),
        ("phase: is unknown", "PUT", "_ilm/policy/a", "", json!({"policy": {"phase": {}, "phases": {}}})),
        ("phases is missing", "PUT", "_ilm/policy/a", "", json!({"policy": {}})),
        ("polici: is unknown", "PUT", "_ilm/policy/a", "", json!({"policy": {"phases": {}}, "polici": 1})),
        ("parameter flat is unknown", "GET", "_cluster/settings", "flat=true", Value::Null),
        ("parameter wild is unknown", "GET", "_data_stream", "wild=all", Value::Null),
        (
            "total_field: is unknown",
            "PUT",
            "_index_template/a",
            "",
            indexed(json!({"settings": {"mapping": {"total_field": {"limit": 5}}}})),
        ),
        ("mapings: is unknown", "PUT", "_index_template/a", "", json!({"index_patterns": ["a"], "mapings": {}})),
        ("ignore_abov: is unknown", "PUT", "_component_template/a", "", mapped(json!({"type": "keyword", "ignore_abov": 5}))),
        ("template is missing", "PUT", "_component_template/a", "", json!({"version": 1})),
        ("processor: is unknown", "PUT", "_ingest/pipeline/a", "", json!({"processor": [], "processors": []})),
        (
            "retention.expire: is unknown",
            "PUT",
            "_slm/policy/a",
            "",
            json!({"name": "a", "schedule": "1d", "repository": "r", "retention": {"expire": "1d", "expire_after": "1d", "min_count": 1, "max_count": 2}}),
        ),
        ("data_retension: is unknown", "PUT", "_data_stream/a/_lifecycle", "", json!({"data_retension": "7d"})),
        ("failure: is unknown", "PUT", "_data_stream/a/_options", "", json!({"failure": {}})),
        ("body is required", "PUT", "_ilm/policy/a", "", Value::Null),
    ]
}

#[tokio::test]
async fn the_fake_refuses_what_the_contract_refuses() {
    let Some(folder) = shared("wrong requests, to the contract and to the fake") else { return };
    let contract = Contract::read(&folder);
    let good = json!({"policy": {"phases": {"hot": {"actions": {"rollover": {"max_age": "1d"}}}}}});
    assert!(contract.judge("PUT", "_ilm/policy/a", &[], Some(&good)).violations.is_empty());
    let (_client, fake) = Place::fake().await;
    let setup = [
        ("PUT", "/_snapshot/r", json!({"type": "s3", "settings": {"bucket": "b"}})),
        ("PUT", "/_index_template/t", json!({"index_patterns": ["a"], "data_stream": {}})),
        ("PUT", "/_data_stream/a", Value::Null),
    ];
    let send = |method: &str, path: &str, body: &Value| {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let call = ReceivedCall::new(method, path, body);
        fake.change(|cluster| cluster.answer(&call, Timestamp::now()))
    };
    for (method, path, body) in &setup {
        assert_eq!(send(method, path, body).status, 200, "{path}");
    }
    for (part, method, path, query, body) in wrong_requests() {
        let names: Vec<&str> = query.split('=').take(1).filter(|name| !name.is_empty()).collect();
        let sent = (!body.is_null()).then_some(&body);
        let violations = contract.judge(method, path, &names, sent).violations.join("; ");
        assert!(violations.contains(part), "{part}\n{violations}");
        let answer = send(method, &format!("/{path}?{query}"), &body);
        assert_eq!(answer.status, 400, "{part}: the fake accepts it: {:?}", answer.body);
        assert!(
            answer.body["error"]["reason"].is_string() && answer.body["error"]["root_cause"][0]["type"].is_string(),
            "{:?}",
            answer.body
        );
    }
    for (part, method, path, body) in
        [("no such operation", "PATCH", "_ilm/policy/a", Value::Null), ("takes no body", "GET", "_ilm/status", json!({}))]
    {
        let sent = (!body.is_null()).then_some(&body);
        assert!(contract.judge(method, path, &[], sent).violations.join("").contains(part), "{part}");
    }
}
