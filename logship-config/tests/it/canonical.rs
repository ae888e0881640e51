//! This module tests properties of the canonical form: another spelling of a body has the same canonical form, and the
//! canonical form of a canonical form is itself.

use logship::{
    canonical::{canonical, differences},
    desired::ObjectKind,
};
use proptest::{prelude::*, sample::select};
use serde_json::{Map, Value, json};

/// Another spelling of a body, selected by bits.
struct Spelling(u64);

impl Spelling {
    fn flip(&mut self) -> bool {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 63 == 1
    }

    fn scalar(&mut self, value: &Value) -> Value {
        match value {
            Value::Number(_) | Value::Bool(_) if self.flip() => Value::String(value.to_string()),
            Value::String(text) if self.flip() => Value::String(match text.as_str() {
                "1d" => "24h".into(),
                "2d" => "172800s".into(),
                "30d" => "720h".into(),
                "50gb" => "51200mb".into(),
                "1gb" => "1024MB".into(),
                "5m" => "300s".into(),
                "0ms" => "0s".into(),
                other => other.to_owned(),
            }),
            other => other.clone(),
        }
    }

    /// Changes the order of keys and adds nulls.
    fn object(&mut self, map: &Map<String, Value>) -> Value {
        let mut entries: Vec<_> = map.iter().map(|(key, value)| (key.clone(), self.value(value))).collect();
        if self.flip() {
            entries.reverse();
        }
        let mut object: Map<String, Value> = entries.into_iter().collect();
        if self.flip() {
            object.insert("version_of_nobody".into(), Value::Null);
        }
        object.into()
    }

    fn value(&mut self, value: &Value) -> Value {
        match value {
            Value::Object(map) => self.object(map),
            Value::Array(items) => items.iter().map(|item| self.value(item)).collect(),
            scalar => self.scalar(scalar),
        }
    }

    /// Nested settings partly flat.
    fn settings(&mut self, settings: &Value) -> Value {
        let mut flat = Map::new();
        for (key, value) in settings.as_object().into_iter().flatten() {
            let key = if self.flip() { format!("index.{key}") } else { key.clone() };
            match value {
                Value::Object(inner) if self.flip() => {
                    for (step, value) in inner {
                        flat.insert(format!("{key}.{step}"), self.value(value));
                    }
                }
                value => drop(flat.insert(key, self.value(value))),
            }
        }
        // `{index: {…}}` and `{…}` are equal, unless both contain the same name.
        flat.into()
    }
}

fn policy() -> impl Strategy<Value = Value> {
    let rollover = (select(&["1d", "2d", "30d"][..]), select(&["50gb", "1gb"][..]), 1..5u32)
        .prop_map(|(age, size, docs)| json!({"max_age": age, "max_primary_shard_size": size, "max_docs": docs}));
    let warm = (0..100u32, 1..3u32, any::<bool>(), select(&["1d", "2d"][..])).prop_map(|(priority, segments, allocates, age)| {
        let mut actions = json!({"set_priority": {"priority": priority}, "forcemerge": {"max_num_segments": segments}});
        if allocates {
            actions["allocate"] = json!({"number_of_replicas": 0, "require": {"box": "a"}});
        }
        json!({"min_age": age, "actions": actions})
    });
    (rollover, proptest::option::of(warm), proptest::option::of(select(&["30d", "2d"][..]))).prop_map(
        |(rollover, warm, delete)| {
            let mut phases = json!({"hot": {"actions": {"rollover": rollover}}});
            if let Some(warm) = warm {
                phases["warm"] = warm;
            }
            if let Some(age) = delete {
                phases["delete"] = json!({"min_age": age, "actions": {"delete": {}}});
            }
            json!({"phases": phases})
        },
    )
}

/// Adds Elasticsearch's defaults to a policy.
fn with_defaults(mut policy: Value, spelling: &mut Spelling) -> Value {
    for (name, phase) in policy["phases"].as_object_mut().into_iter().flatten().filter(|(_, phase)| phase.is_object()) {
        if phase["min_age"].is_null() && spelling.flip() {
            phase["min_age"] = json!("0ms");
        }
        for (action, arguments) in phase["actions"].as_object_mut().into_iter().flatten() {
            match action.as_str() {
                "allocate" if spelling.flip() => {
                    arguments["include"] = json!({});
                    arguments["exclude"] = json!({});
                }
                "delete" if spelling.flip() => arguments["delete_searchable_snapshot"] = json!(true),
                _ => {}
            }
        }
        if name == "warm" && spelling.flip() && phase["actions"]["allocate"].is_null() {
            phase["actions"].as_object_mut().unwrap().remove("allocate");
            phase["actions"]["migrate"] = json!({"enabled": true});
        }
    }
    policy["version"] = json!(7);
    policy["modified_date"] = json!("2026-01-01T00:00:00Z");
    policy
}

fn template() -> impl Strategy<Value = Value> {
    let settings =
        (1..4u32, 0..3u32, any::<bool>(), select(&["5m", "30d"][..])).prop_map(|(shards, replicas, hidden, refresh)| {
            json!({"number_of_shards": shards, "number_of_replicas": replicas, "hidden": hidden, "refresh_interval": refresh,
            "lifecycle": {"name": "p"}, "mapping": {"total_fields": {"limit": 2000}}})
        });
    let field = select(&["keyword", "long", "date", "flattened"][..]).prop_map(|kind| json!({"type": kind}));
    let fields = proptest::collection::btree_map("[a-c]{1,2}", field, 1..4);
    (settings, fields, any::<bool>(), 0..3u64).prop_map(|(settings, fields, streams, priority)| {
        let mut body = json!({"index_patterns": ["a-*"], "priority": priority,
            "template": {"settings": settings, "mappings": {"properties": {"outer": {"properties": fields}}}}});
        if streams {
            body["data_stream"] = json!({});
        }
        body
    })
}

fn respelled_template(body: &Value, spelling: &mut Spelling) -> Value {
    let mut other = body.clone();
    other["template"]["settings"] = spelling.settings(&body["template"]["settings"]);
    if spelling.flip() {
        // Dots instead of objects.
        let fields = body["template"]["mappings"]["properties"]["outer"]["properties"].as_object().unwrap();
        let dotted: Map<_, _> = fields.iter().map(|(name, field)| (format!("outer.{name}"), spelling.value(field))).collect();
        other["template"]["mappings"] = json!({"properties": dotted});
    } else if spelling.flip() {
        other["template"]["mappings"]["properties"]["outer"]["type"] = json!("object");
    }
    if spelling.flip() {
        other["composed_of"] = json!([]);
    }
    if body["data_stream"].is_object() {
        other["data_stream"] = json!({"hidden": false, "allow_custom_routing": "false"});
    }
    other["modified_date_millis"] = json!(5);
    other
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_respelled_policy_is_the_same_policy(body in policy(), seed: u64) {
        let mut spelling = Spelling(seed);
        let other = with_defaults(spelling.value(&body), &mut spelling);
        let (one, two) = (canonical(ObjectKind::LifecyclePolicy, &body), canonical(ObjectKind::LifecyclePolicy, &other));
        prop_assert_eq!(differences(&one, &two), vec![], "{}\n{}", body, other);
        prop_assert_eq!(&canonical(ObjectKind::LifecyclePolicy, &one), &one);
    }

    #[test]
    fn a_respelled_template_is_the_same_template(body in template(), seed: u64) {
        let other = respelled_template(&body, &mut Spelling(seed));
        let (one, two) = (canonical(ObjectKind::IndexTemplate, &body), canonical(ObjectKind::IndexTemplate, &other));
        prop_assert_eq!(differences(&one, &two), vec![], "{}\n{}", body, other);
        prop_assert_eq!(&canonical(ObjectKind::IndexTemplate, &one), &one);
    }

    #[test]
    fn differing_policies_are_found(one in policy(), other in policy()) {
        let same = differences(&canonical(ObjectKind::LifecyclePolicy, &one), &canonical(ObjectKind::LifecyclePolicy, &other)).is_empty();
        prop_assert_eq!(same, one == other);
    }
}
