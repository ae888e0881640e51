//! This benchmark measures a plan over 500 objects: both sides are converted to their canonical form, compared and guarded.
//! It excludes the network. It merges its key into `target/bench.json`.

mod results;

use std::{collections::BTreeMap, time::Instant};

use anyhow::{Result, ensure};
use logship::{
    actual::{Actual, Held},
    desired::{Desired, ObjectKind, ObjectOwner},
    plan::{self, Allowed},
};
use serde_json::{Value, json};

/// Number of objects of each kind; 500 in total.
const COUNTS: [(ObjectKind, usize); 4] = [
    (ObjectKind::LifecyclePolicy, 100),
    (ObjectKind::Pipeline, 50),
    (ObjectKind::ComponentTemplate, 150),
    (ObjectKind::IndexTemplate, 200),
];
/// Fields of each component template, as many as in a real one.
const FIELDS: usize = 60;
const OWNER: &str = "bench";
const ROUNDS: usize = 31;

fn main() -> Result<()> {
    let (desired, actual) = sides();
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let plan = plan::plan(&desired, &actual, &Allowed::default());
        times.push(began.elapsed().as_secs_f64() * 1000.0);
        ensure!(plan.steps.len() == 1, "expected one step for the object that differs, got {}", plan.steps.len());
    }
    let milliseconds = results::median(times);
    println!("{:<40} {milliseconds:>12.2}", "plan.ms_500_objects");
    results::merge(&BTreeMap::from([("plan.ms_500_objects", milliseconds)]))
}

/// Returns 500 declared objects, and a cluster that has all but one of them in another spelling.
fn sides() -> (Desired, Actual) {
    let (mut desired, mut actual) = (Desired { owner: Some(OWNER.to_owned()), ..Desired::default() }, Actual::default());
    for (kind, count) in COUNTS {
        for number in 0..count {
            let (declared, answered) = object(kind, number);
            let key = (kind, format!("object-{number}"));
            desired.objects.insert(key.clone(), declared);
            actual
                .objects
                .insert(key, Held { body: answered, owner: Some(ObjectOwner::Named(OWNER.to_owned())), ..Held::default() });
        }
    }
    let key = (ObjectKind::LifecyclePolicy, "object-0".to_owned());
    if let Some(held) = actual.objects.get_mut(&key) {
        held.body["phases"]["hot"]["actions"]["rollover"]["max_age"] = "1h".into();
    }
    (desired, actual)
}

/// Returns an object as declared, and as Elasticsearch answers it.
fn object(kind: ObjectKind, number: usize) -> (Value, Value) {
    match kind {
        ObjectKind::LifecyclePolicy => {
            let policy = |age: &str, size: &str, delete: Value| {
                json!({"phases": {"hot": {"min_age": "0ms", "actions": {"rollover": {"max_age": age, "max_primary_shard_size": size},
                    "set_priority": {"priority": 100}}}, "warm": {"min_age": "2d", "actions": {"readonly": {}, "forcemerge": {"max_num_segments": 1}}},
                    "delete": {"min_age": "30d", "actions": {"delete": delete}}}})
            };
            (policy("24h", "40GB", json!({})), policy("1d", "40gb", json!({"delete_searchable_snapshot": true})))
        }
        ObjectKind::Pipeline => {
            let declared = json!({"processors": [{"set": {"field": "a", "value": number}}, {"rename": {"field": "b", "target_field": "c"}}]});
            let mut answered = declared.clone();
            answered["modified_date_millis"] = 1.into();
            (declared, answered)
        }
        ObjectKind::ComponentTemplate => {
            let fields: Value = (0..FIELDS)
                .map(|field| (format!("field.{field}"), json!({"type": "keyword"})))
                .collect::<serde_json::Map<_, _>>()
                .into();
            let settings = json!({"number_of_shards": 1, "index.codec": "best_compression"});
            let declared = json!({"template": {"settings": settings, "mappings": {"properties": fields}}});
            let mut answered = declared.clone();
            answered["template"]["settings"] = json!({"index": {"number_of_shards": "1", "codec": "best_compression"}});
            answered["created_date_millis"] = 1.into();
            (declared, answered)
        }
        _ => {
            let names = [format!("logs-{number}-*")];
            let composed = [format!("object-{}", number % 150)];
            let declared = json!({"index_patterns": names, "priority": 200, "data_stream": {}, "composed_of": composed,
                "template": {"settings": {"index.lifecycle.name": "object-1"}}});
            let mut answered = declared.clone();
            answered["data_stream"] = json!({"hidden": false, "allow_custom_routing": false});
            answered["template"]["settings"] = json!({"index": {"lifecycle": {"name": "object-1"}}});
            (declared, answered)
        }
    }
}
