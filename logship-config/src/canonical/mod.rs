//! This module converts declared bodies and a cluster's answers to one form, so that only a difference in meaning counts.
//! Pure.
//!
//! Elasticsearch answers with other spellings than it received, and adds defaults: settings nested or flat and always text,
//! `50gb` for `50GB`, `include: {}` in an allocate action, `routing` of an alias as two fields, dates and versions. This
//! module removes each such difference on both sides. Sources: the `toXContent` of each kind in Elasticsearch 9.x, and the
//! public reports of plans that are never empty, listed in `tests/it/perpetual.rs`.

mod policy;
mod snapshot;
mod template;

use serde_json::{Value, json};

use crate::{desired::ObjectKind, units};

/// Fields that the server adds to a body and no file declares.
const SERVER_FIELDS: [&str; 10] = [
    "created_date",
    "created_date_millis",
    "modified_date",
    "modified_date_millis",
    "in_use_by",
    "uuid",
    "effective_retention",
    "retention_determined_by",
    "rollover",
    "global_retention",
];

/// Returns the canonical form of a body of `kind`.
pub fn canonical(kind: ObjectKind, body: &Value) -> Value {
    let mut body = without_nulls(body);
    match kind {
        ObjectKind::LifecyclePolicy => policy::canonical_policy(&mut body),
        ObjectKind::ComponentTemplate => template::template(&mut body, false),
        ObjectKind::IndexTemplate => template::template(&mut body, true),
        ObjectKind::Pipeline => pipeline(&mut body),
        ObjectKind::Repository => snapshot::canonical_repository(&mut body),
        ObjectKind::SnapshotPolicy => snapshot::snapshot_policy(&mut body),
        ObjectKind::DataStream => stream(&mut body),
    }
    body
}

/// A place that differs. `None` means absent on that side.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// `phases.hot.actions.rollover.max_age`.
    pub path: String,
    pub from: Option<Value>,
    pub to: Option<Value>,
}

/// Returns the places in which two canonical bodies differ, in the order of their paths.
pub fn differences(from: &Value, to: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    compare("", Some(from), Some(to), &mut found);
    found
}

fn compare(path: &str, from: Option<&Value>, to: Option<&Value>, found: &mut Vec<Difference>) {
    match (from, to) {
        (Some(Value::Object(one)), Some(Value::Object(other))) => {
            let names: std::collections::BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            for name in names {
                let inner = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                compare(&inner, one.get(name), other.get(name), found);
            }
        }
        (one, other) if one == other => {}
        (one, other) => found.push(Difference { path: path.to_owned(), from: one.cloned(), to: other.cloned() }),
    }
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(section) => {
            let kept = section.iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.map(|(key, value)| (key.clone(), without_nulls(value))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(without_nulls).collect()),
        other => other.clone(),
    }
}

/// Removes `key` if it has its default value.
fn drop_default(section: &mut Value, key: &str, default: &Value) {
    if let Some(section) = section.as_object_mut()
        && section.get(key).is_some_and(|value| text(value) == text(default))
    {
        section.remove(key);
    }
}

fn drop_empty(section: &mut Value, keys: &[&str]) {
    let Some(section) = section.as_object_mut() else { return };
    for key in keys {
        let empty = match section.get(*key) {
            Some(Value::Object(inner)) => inner.is_empty(),
            Some(Value::Array(items)) => items.is_empty(),
            _ => false,
        };
        if empty {
            section.remove(*key);
        }
    }
}

fn drop_server_fields(body: &mut Value) {
    if let Some(body) = body.as_object_mut() {
        body.retain(|key, _| !SERVER_FIELDS.contains(&key.as_str()));
    }
}

/// A scalar as text: Elasticsearch reads `1`, `"1"` and `true`, `"true"` alike.
fn text(value: &Value) -> Value {
    match value {
        Value::Bool(_) | Value::Number(_) => Value::String(value.to_string()),
        other => other.clone(),
    }
}

/// Converts a text that is a duration or a size to one spelling.
fn unit(value: &Value) -> Value {
    let Some(text) = value.as_str() else { return value.clone() };
    match (units::duration(text), units::size(text)) {
        // `30m` can be minutes or mebibytes: its spelling is already unique.
        (Some(_), Some(_)) => json!(text.trim().to_lowercase()),
        (Some(nanos), None) => json!(units::duration_text(nanos)),
        (None, Some(bytes)) => json!(units::size_text(bytes)),
        (None, None) => value.clone(),
    }
}

/// Converts every scalar inside to text, with units in one spelling.
fn scalars(value: &mut Value) {
    match value {
        Value::Object(section) => section.values_mut().for_each(scalars),
        Value::Array(items) => items.iter_mut().for_each(scalars),
        scalar => *scalar = unit(&text(scalar)),
    }
}

fn duration(section: &mut Value, key: &str) {
    if let Some(nanos) = section[key].as_str().and_then(units::duration) {
        section[key] = json!(units::duration_text(nanos));
    } else if section[key] == 0 {
        section[key] = json!(units::duration_text(0));
    }
}

fn size(section: &mut Value, key: &str) {
    if let Some(bytes) = section[key].as_str().and_then(units::size) {
        section[key] = json!(units::size_text(bytes));
    }
}

fn pipeline(body: &mut Value) {
    drop_server_fields(body);
    drop_default(body, "deprecated", &json!(false));
    drop_default(body, "version", &json!(0));
    drop_default(body, "field_access_pattern", &json!("classic"));
    if body.get("version").is_some() {
        body["version"] = text(&body["version"]);
    }
    // A processor's values retain their types: `value: 5` writes a number, `value: "5"` a text.
    drop_empty(body, &["on_failure", "_meta"]);
}

/// `{lifecycle, failure_store}` of a data stream.
fn stream(body: &mut Value) {
    if body.get("lifecycle").is_some() {
        template::canonical_lifecycle(&mut body["lifecycle"]);
    }
    if body.get("failure_store").is_some() {
        template::failure_store(&mut body["failure_store"]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_name_their_places() {
        let found = differences(&json!({"a": {"b": 1, "c": 2}, "d": [1]}), &json!({"a": {"b": 3}, "d": [1, 2], "e": {}}));
        let told: Vec<_> = found.iter().map(|found| (found.path.as_str(), found.from.is_some(), found.to.is_some())).collect();
        assert_eq!(told, [("a.b", true, true), ("a.c", true, false), ("d", true, true), ("e", false, true)]);
    }

    #[test]
    fn an_explicit_default_equals_an_omitted_one() {
        let said = json!({"phases": {"hot": {"min_age": "0ms", "actions": {"rollover": {"max_age": "24h", "max_size": "50GB"}}},
            "warm": {"min_age": "2d", "actions": {"allocate": {"number_of_replicas": "1", "include": {}, "exclude": {}, "require": {}},
                "shrink": {"number_of_shards": 1, "allow_write_after_shrink": false}, "migrate": {"enabled": true}}},
            "delete": {"min_age": "720h", "actions": {"delete": {"delete_searchable_snapshot": true}}}}});
        let silent = json!({"phases": {"hot": {"actions": {"rollover": {"max_age": "1d", "max_size": "50gb"}}},
            "warm": {"min_age": "48h", "actions": {"allocate": {"number_of_replicas": 1}, "shrink": {"number_of_shards": 1}}},
            "delete": {"min_age": "30d", "actions": {"delete": {}}}}, "_meta": {}});
        let (one, other) = (canonical(ObjectKind::LifecyclePolicy, &said), canonical(ObjectKind::LifecyclePolicy, &silent));
        assert_eq!(differences(&one, &other), []);
    }

    #[test]
    fn a_meaning_that_differs_stays_a_difference() {
        let of = |kind, one: Value, other: Value| differences(&canonical(kind, &one), &canonical(kind, &other)).len();
        let pipeline = |value: Value| json!({"processors": [{"set": {"field": "a", "value": value}}]});
        assert_eq!(of(ObjectKind::Pipeline, pipeline(json!(5)), pipeline(json!("5"))), 1);
        assert_eq!(
            of(ObjectKind::IndexTemplate, json!({"index_patterns": ["a"], "data_stream": {}}), json!({"index_patterns": ["a"]})),
            1
        );
        let composed = |order: Value| json!({"index_patterns": ["a"], "composed_of": order});
        assert_eq!(of(ObjectKind::IndexTemplate, composed(json!(["a", "b"])), composed(json!(["b", "a"]))), 1);
        let mount = |extra: Value| json!({"phases": {"cold": {"actions": extra}}});
        let mounted = json!({"searchable_snapshot": {"snapshot_repository": "r"}, "migrate": {}});
        assert_eq!(
            of(ObjectKind::LifecyclePolicy, mount(mounted), mount(json!({"searchable_snapshot": {"snapshot_repository": "r"}}))),
            1
        );
        let template = |lifecycle: Value| json!({"index_patterns": ["a"], "template": {"lifecycle": lifecycle}});
        assert_eq!(of(ObjectKind::IndexTemplate, template(json!({})), template(Value::Null)), 1);
        let priority = |value: Value| json!({"phases": {"hot": {"actions": {"set_priority": {"priority": value}}}}});
        assert_eq!(of(ObjectKind::LifecyclePolicy, priority(json!(0)), priority(Value::Null)), 1);
    }
}
