//! This module plants an unknown key in every object of every body. If the contract refuses the key, `check` must refuse it
//! in the file, and the fake must refuse it in the request.

use std::collections::{BTreeMap, BTreeSet};

use elasticsearch_fake::{Cluster, Mode, ReceivedCall};
use jiff::Timestamp;
use logship::desired;
use serde_json::{Value, json};

use super::{Contract, body, everything, shared};
use crate::place::{Place, print_line};

const UNKNOWN: &str = "zz_unknown";
/// Places that the contract closes and Elasticsearch does not: attributes of nodes, and arguments of a similarity or an
/// analysis component, are chosen by the user.
const OPEN: [&str; 7] = [
    "/routing/allocation/include",
    "/similarity/own",
    "/analysis/analyzer/own",
    "/analysis/char_filter/own",
    "/analysis/filter/own",
    "/analysis/normalizer/own",
    "/analysis/tokenizer/own",
];
/// Places that only the server ignores: an unknown setting of a repository and an unknown kind of analysis. `check` refuses
/// them. The beginning of the path, and the end of the place.
const IGNORED: [(&str, &str); 3] =
    [("_snapshot/", "/settings"), ("_component_template/", "/index/analysis"), ("_index_template/", "/index/analysis")];

/// Returns copies of `value`, each with an unknown key in another of its objects, and the pointer to that key.
fn planted(value: &Value) -> Vec<(String, Value)> {
    fn objects(value: &Value, place: &str, found: &mut Vec<String>) {
        let inner: Vec<(String, &Value)> = match value {
            Value::Object(section) => {
                found.push(place.to_owned());
                section.iter().map(|(key, value)| (key.replace('~', "~0").replace('/', "~1"), value)).collect()
            }
            Value::Array(items) => items.iter().enumerate().map(|(at, item)| (at.to_string(), item)).collect(),
            _ => Vec::new(),
        };
        inner.into_iter().for_each(|(step, value)| objects(value, &format!("{place}/{step}"), found));
    }
    let mut places = Vec::new();
    objects(value, "", &mut places);
    let plant = |place: String| {
        let mut copy = value.clone();
        copy.pointer_mut(&place)?.as_object_mut()?.insert(UNKNOWN.to_owned(), json!(1));
        Some((place, copy))
    };
    places.into_iter().filter_map(plant).collect()
}

/// Returns whether the contract has no such key there.
fn refuses(contract: &Contract, method: &str, path: &str, planted: &Value) -> bool {
    let violations = contract.judge(method, path, &[], Some(planted)).violations;
    violations.iter().any(|violation| violation.ends_with(&format!("{UNKNOWN}: is unknown")))
}

fn open(place: &str) -> bool {
    OPEN.iter().any(|open| place.contains(open))
}

/// A file, the path of its request, and a body with as many keys as possible.
fn declarations() -> Vec<(&'static str, &'static str, Value)> {
    let index = json!({
        "analysis": {
            "analyzer": {"own": {"type": "custom", "tokenizer": "own", "filter": ["own"]}},
            "char_filter": {"own": {"type": "html_strip"}}, "filter": {"own": {"type": "stop"}},
            "normalizer": {"own": {"type": "custom", "filter": ["lowercase"]}}, "tokenizer": {"own": {"type": "pattern"}},
        },
        "blocks": {"write": true}, "codec": "default",
        "highlight": {"max_analyzed_offset": 5}, "indexing": {"slowlog": {"reformat": true}},
        "lifecycle": {"prefer_ilm": true, "step": {"wait_time_threshold": "12h"}},
        "mapping": {
            "total_fields": {"limit": 5}, "depth": {"limit": 5}, "nested_fields": {"limit": 5}, "nested_objects": {"limit": 5},
            "field_name_length": {"limit": 5}, "dimension_fields": {"limit": 5}, "source": {"mode": "stored"},
        },
        "merge": {"scheduler": {"max_thread_count": 1}}, "queries": {"cache": {"enabled": true}},
        "query_string": {"lenient": true},
        "routing": {"allocation": {"enable": "all", "include": {"box": "a"}}, "rebalance": {"enable": "all"}},
        "search": {"idle": {"after": "30s"}, "slowlog": {"include": {"user": true}}}, "similarity": {"own": {"type": "BM25"}},
        "soft_deletes": {"enabled": true, "retention_lease": {"period": "12h"}}, "sort": {"field": "@timestamp"},
        "store": {"type": "fs"}, "translog": {"durability": "request", "retention": {"size": "1gb"}},
        "unassigned": {"node_left": {"delayed_timeout": "5m"}},
    });
    let mappings = json!({
        "_source": {"mode": "stored"}, "_routing": {"required": false}, "dynamic_templates": [{"t": {"match": "a", "mapping": {"type": "keyword"}}}],
        "properties": {
            "a": {"type": "text", "fields": {"raw": {"type": "keyword", "ignore_above": 5}}},
            "b": {"properties": {"c": {"type": "long"}}}, "d": {"type": "flattened"}, "e": {"type": "date", "format": "iso8601"},
        },
    });
    let lifecycle = json!({"data_retention": "9d", "downsampling": [{"after": "1d", "fixed_interval": "1h"}]});
    let store = json!({"enabled": true, "lifecycle": {"data_retention": "9d"}});
    let inner = json!({
        "settings": {"index": index}, "mappings": mappings, "aliases": {"x": {"routing": "1", "is_write_index": true}},
        "lifecycle": lifecycle, "data_stream_options": {"failure_store": store},
    });
    let hot = json!({
        "rollover": {"max_age": "1d"}, "set_priority": {"priority": 1}, "readonly": {}, "forcemerge": {"max_num_segments": 1},
        "shrink": {"number_of_shards": 1}, "downsample": {"fixed_interval": "1h"}, "unfollow": {},
    });
    let warm = json!({"allocate": {"number_of_replicas": 0, "require": {"box": "a"}}, "migrate": {"enabled": false}});
    let delete = json!({"wait_for_snapshot": {"policy": "s"}, "delete": {"delete_searchable_snapshot": true}});
    let policy = json!({"_meta": {"a": {"b": 1}}, "phases": {
        "hot": {"min_age": "0ms", "actions": hot}, "warm": {"min_age": "1d", "actions": warm}, "delete": {"min_age": "9d", "actions": delete},
    }});
    let processors = json!([
        {"set": {"field": "a", "value": {"own": 1}, "on_failure": [{"drop": {}}]}},
        {"date": {"field": "a", "formats": ["ISO8601"]}}, {"grok": {"field": "a", "patterns": ["x"]}}, {"remove": {"field": "a"}},
    ]);
    let repository = |kind: &str, settings: Value| {
        ("snapshots/repositories/r.yaml", "_snapshot/r", json!({"type": kind, "settings": settings}))
    };
    vec![
        ("policies/p.yaml", "_ilm/policy/p", policy),
        ("templates/components/c.yaml", "_component_template/c", json!({"_meta": {"a": 1}, "version": 1, "template": inner})),
        (
            "templates/index/t.yaml",
            "_index_template/t",
            json!({"index_patterns": ["a-*"], "data_stream": {"hidden": true}, "template": inner}),
        ),
        ("pipelines/x.yaml", "_ingest/pipeline/x", json!({"processors": processors, "on_failure": [{"fail": {"message": "m"}}]})),
        repository("s3", json!({"bucket": "b"})),
        repository("gcs", json!({"bucket": "b"})),
        repository("azure", json!({"container": "b"})),
        repository("fs", json!({"location": "b"})),
        repository("url", json!({"url": "http://a"})),
        (
            "snapshots/policies/s.yaml",
            "_slm/policy/s",
            json!({
                "schedule": "1d", "name": "s", "repository": "r", "config": {"indices": ["a"], "metadata": {"a": 1}},
                "retention": {"expire_after": "9d"},
            }),
        ),
        ("streams.yaml", "_data_stream/a/_lifecycle", lifecycle),
        ("streams.yaml", "_data_stream/a/_options", json!({"failure_store": store})),
    ]
}

#[test]
fn files_are_refused_for_every_key_that_the_contract_refuses() {
    let Some(folder) = shared("unknown keys, to the contract and to check") else { return };
    let contract = Contract::read(&folder);
    let (mut held, mut taken) = (0, Vec::new());
    for (file, path, whole) in declarations() {
        let request = |body: &Value| if file.starts_with("policies/") { json!({"policy": body}) } else { body.clone() };
        let declared = |body: &Value| match path.rsplit_once('/') {
            Some((_, "_lifecycle")) => json!({"streams": {"logs-a-b": {"lifecycle": body}}}),
            Some((_, "_options")) => json!({"streams": {"logs-a-b": body}}),
            _ => body.clone(),
        };
        let faults = |body: &Value| {
            // JSON is YAML.
            let files = BTreeMap::from([(file.to_owned(), declared(body).to_string())]);
            desired::load_desired(&files).map_or_else(|faults| faults.to_string(), |_| String::new())
        };
        // Its references are not declared in the same set.
        let before = faults(&whole);
        assert!(!before.contains("unknown"), "{file}: {before}");
        for (place, planted) in planted(&whole) {
            if !open(&place) && refuses(contract, "PUT", path, &request(&planted)) {
                held += 1;
                if faults(&planted) == before {
                    taken.push(format!("{file} {place}"));
                }
            }
        }
    }
    assert_eq!(taken, Vec::<String>::new(), "check accepts them");
    assert!(held > 80, "{held}");
    print_line(&format!("{held} unknown keys that the contract refuses: check refuses each"));
}

#[tokio::test]
async fn the_fake_refuses_every_key_that_the_contract_refuses() {
    let Some(folder) = shared("unknown keys, to the contract and to the fake") else { return };
    let contract = Contract::read(&folder);
    let (client, fake) = Place::fake_of(Cluster { mode: Mode::Enterprise, ..Cluster::default() }).await;
    everything(&client, &fake).await;
    let mut cluster = Cluster { mode: Mode::Enterprise, ..Cluster::default() };
    let now = Timestamp::UNIX_EPOCH;
    let declared = declarations().into_iter().map(|(_, path, body)| {
        let body = if path.starts_with("_ilm/") { json!({"policy": body}) } else { body };
        ReceivedCall::new("PUT", &format!("/{path}"), body.to_string().into_bytes())
    });
    let stream = json!({"index_patterns": ["a"], "data_stream": {}}).to_string().into_bytes();
    let first = [ReceivedCall::new("PUT", "/_index_template/a", stream), ReceivedCall::new("PUT", "/_data_stream/a", Vec::new())];
    let sent = fake.calls().into_iter().map(|(call, _)| call);
    let (mut held, mut left_out, mut taken) = (0, 0, Vec::new());
    // Commands send many requests several times.
    let mut judged = BTreeSet::new();
    for call in first.into_iter().chain(sent).chain(declared) {
        let path = call.segments().join("/");
        let new = judged.insert((call.method.clone(), path.clone(), call.body.clone()));
        if let Some(whole) = body(&call).filter(|whole| new && whole.is_object()) {
            for (place, planted) in planted(&whole) {
                if !refuses(contract, &call.method, &path, &planted) {
                    continue;
                }
                if open(&place) || IGNORED.iter().any(|(of, at)| path.starts_with(of) && place.ends_with(at)) {
                    left_out += 1;
                    continue;
                }
                held += 1;
                let wrong = ReceivedCall { body: planted.to_string().into_bytes(), ..call.clone() };
                let answer = cluster.clone().answer(&wrong, now);
                let told = answer.body["error"]["reason"].as_str().unwrap_or_default();
                if answer.status != 400 || !told.contains(UNKNOWN) {
                    taken.push(format!("{} {path} {place}: {} {told}", call.method, answer.status));
                }
            }
        }
        cluster.answer(&call, now);
    }
    taken.sort();
    taken.dedup();
    assert_eq!(taken, Vec::<String>::new(), "the fake accepts them");
    assert!(held > 200 && left_out > 0, "{held}");
    print_line(&format!(
        "{held} unknown keys that the contract refuses: the fake refuses each; {left_out} left out, which Elasticsearch accepts"
    ));
}
