//! One form for what is declared and what a cluster answers, so that only a difference in meaning is a difference. Pure.
//!
//! Elasticsearch answers with other spellings than it was given and with defaults added: settings nested or flat and always
//! text, `50gb` for `50GB`, `include: {}` in an allocate action, `routing` of an alias as two fields, dates and versions of its
//! own. Each such difference is undone here, on both sides alike. Sources: the `toXContent` of each kind in Elasticsearch 9.x,
//! and the public reports of plans that are never empty which `tests/it/perpetual.rs` lists.

use serde_json::{Map, Value, json};

use crate::{
    desired::{Kind, resolve},
    units,
};

/// What the server writes beside a body and nobody declares.
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

/// The canonical form of a body of `kind`.
pub fn canonical(kind: Kind, body: &Value) -> Value {
    let mut body = without_nulls(body);
    match kind {
        Kind::LifecyclePolicy => policy(&mut body),
        Kind::ComponentTemplate => template(&mut body, false),
        Kind::IndexTemplate => template(&mut body, true),
        Kind::Pipeline => pipeline(&mut body),
        Kind::Repository => repository(&mut body),
        Kind::SnapshotPolicy => snapshot_policy(&mut body),
        Kind::DataStream => stream(&mut body),
    }
    body
}

/// A place that differs: `None` on the side where nothing stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// `phases.hot.actions.rollover.max_age`.
    pub path: String,
    pub from: Option<Value>,
    pub to: Option<Value>,
}

/// The places in which two canonical bodies differ, in the order of their paths.
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

/// Removes `key` where it says what holds without it.
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

/// A text that is a span of time or a size in its one spelling.
fn unit(value: &Value) -> Value {
    let Some(text) = value.as_str() else { return value.clone() };
    match (units::duration(text), units::size(text)) {
        // `30m` is minutes to one and mebibytes to the other: its own spelling is one already.
        (Some(_), Some(_)) => json!(text.trim().to_lowercase()),
        (Some(nanos), None) => json!(units::duration_text(nanos)),
        (None, Some(bytes)) => json!(units::size_text(bytes)),
        (None, None) => value.clone(),
    }
}

/// Every scalar inside as text, with units in one spelling.
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

fn policy(body: &mut Value) {
    drop_server_fields(body);
    drop_default(body, "deprecated", &json!(false));
    drop_empty(body, &["_meta"]);
    if let Some(body) = body.as_object_mut() {
        // The version counts the writes; nobody declares it.
        body.remove("version");
    }
    let Some(phases) = body["phases"].as_object_mut() else { return };
    for (name, phase) in phases {
        if !phase.is_object() {
            *phase = json!({});
        }
        duration(phase, "min_age");
        drop_default(phase, "min_age", &json!("0ms"));
        if phase["min_age"].is_null()
            && let Some(phase) = phase.as_object_mut()
        {
            phase.remove("min_age");
        }
        if !phase["actions"].is_object() {
            phase["actions"] = json!({});
        }
        actions(name, &mut phase["actions"]);
    }
}

fn actions(phase: &str, actions: &mut Value) {
    let Some(actions) = actions.as_object_mut() else { return };
    let mounted = actions.contains_key("searchable_snapshot");
    for (name, action) in actions.iter_mut() {
        if !action.is_object() {
            *action = json!({});
        }
        match name.as_str() {
            "rollover" => {
                for key in ["max_age", "min_age"].into_iter().filter(|key| action.get(key).is_some()).collect::<Vec<_>>() {
                    duration(action, key);
                }
                let sizes = ["max_size", "max_primary_shard_size", "min_size", "min_primary_shard_size"];
                for key in sizes.into_iter().filter(|key| action.get(key).is_some()).collect::<Vec<_>>() {
                    size(action, key);
                }
            }
            "shrink" => {
                if action.get("max_primary_shard_size").is_some() {
                    size(action, "max_primary_shard_size");
                }
                drop_default(action, "allow_write_after_shrink", &json!(false));
            }
            "allocate" => {
                drop_empty(action, &["include", "exclude", "require"]);
                drop_default(action, "total_shards_per_node", &json!(-1));
            }
            "searchable_snapshot" => {
                drop_default(action, "force_merge_index", &json!(true));
                if action.get("replicate_for").is_some() {
                    duration(action, "replicate_for");
                }
            }
            "downsample" => {
                duration(action, "fixed_interval");
                if action.get("wait_timeout").is_some() {
                    duration(action, "wait_timeout");
                }
                drop_default(action, "wait_timeout", &json!("1d"));
                drop_default(action, "sampling_method", &json!("aggregate"));
            }
            "delete" => drop_default(action, "delete_searchable_snapshot", &json!(true)),
            "migrate" => drop_default(action, "enabled", &json!(true)),
            _ => {}
        }
        if let Some(action) = action.as_object_mut() {
            for value in action.values_mut().filter(|value| !value.is_object()) {
                *value = text(value);
            }
        }
    }
    // Elasticsearch moves data in warm and cold by itself unless a snapshot is mounted there.
    if matches!(phase, "warm" | "cold") && !mounted && actions.get("migrate").is_some_and(|migrate| *migrate == json!({})) {
        actions.remove("migrate");
    }
}

fn template(body: &mut Value, index: bool) {
    drop_server_fields(body);
    drop_default(body, "deprecated", &json!(false));
    drop_default(body, "version", &json!(0));
    if index {
        for list in ["index_patterns", "ignore_missing_component_templates"] {
            if body.get(list).is_some() {
                body[list] = json!(resolve::texts(&body[list]));
            }
        }
        drop_default(body, "priority", &json!(0));
        if let Some(stream) = body.get_mut("data_stream") {
            for key in ["hidden", "allow_custom_routing", "replicated"] {
                drop_default(stream, key, &json!(false));
            }
            // An empty object still says that data streams are made.
        }
        if let Some(section) = body.as_object_mut() {
            for key in ["priority", "version"] {
                if let Some(value) = section.get_mut(key) {
                    *value = text(value);
                }
            }
        }
    } else if body.get("version").is_some() {
        body["version"] = text(&body["version"]);
    }
    if let Some(inner) = body.get_mut("template") {
        if inner.get("settings").is_some() {
            let settings = resolve::flat_settings(&inner["settings"]);
            inner["settings"] =
                settings.into_iter().map(|(name, value)| (name, unit(&json!(value)))).collect::<Map<_, _>>().into();
        }
        if inner.get("mappings").is_some() {
            mappings(&mut inner["mappings"]);
        }
        if let Some(aliases) = inner.get_mut("aliases").and_then(Value::as_object_mut) {
            aliases.values_mut().for_each(alias);
        }
        if inner.get("lifecycle").is_some() {
            lifecycle(&mut inner["lifecycle"]);
        }
        if inner["data_stream_options"].get("failure_store").is_some() {
            failure_store(&mut inner["data_stream_options"]["failure_store"]);
        } else if let Some(inner) = inner.as_object_mut() {
            inner.remove("data_stream_options");
        }
        drop_empty(inner, &["settings", "mappings", "aliases"]);
    }
    drop_empty(body, &["template", "composed_of", "ignore_missing_component_templates", "_meta"]);
}

/// `routing` stands for both of its halves.
fn alias(alias: &mut Value) {
    if let Some(routing) = alias.get("routing").cloned() {
        for half in ["index_routing", "search_routing"] {
            if alias.get(half).is_none() {
                alias[half] = routing.clone();
            }
        }
    }
    for key in ["is_write_index", "is_hidden"] {
        drop_default(alias, key, &json!(false));
    }
    if let Some(alias) = alias.as_object_mut() {
        alias.remove("routing");
        for key in ["index_routing", "search_routing"] {
            if let Some(value) = alias.get_mut(key) {
                *value = text(value);
            }
        }
    }
}

fn mappings(mappings: &mut Value) {
    if let Some(inner) = mappings.get("_doc").cloned() {
        *mappings = inner;
    }
    scalars(mappings);
    drop_default(mappings, "dynamic", &json!("true"));
    fields(mappings, true);
    drop_empty(mappings, &["_meta", "dynamic_templates", "runtime"]);
}

/// `a.b: {…}` is `a: {properties: {b: {…}}}`, and a field with properties is an object without saying so.
fn fields(holder: &mut Value, dots_nest: bool) {
    let dots_nest = dots_nest && holder.get("subobjects").is_none_or(|subobjects| subobjects != "false");
    let Some(properties) = holder.get_mut("properties").and_then(Value::as_object_mut) else { return };
    let mut nested = Map::new();
    for (name, field) in std::mem::take(properties) {
        let mut place = &mut nested;
        let mut steps: Vec<&str> = if dots_nest { name.split('.').collect() } else { vec![&name] };
        let last = steps.pop().unwrap_or_default().to_owned();
        for step in steps {
            let outer = place.entry(step).or_insert_with(|| json!({}));
            if !outer["properties"].is_object() {
                outer["properties"] = json!({});
            }
            let Some(inner) = outer["properties"].as_object_mut() else { return };
            place = inner;
        }
        match (place.get_mut(&last), field) {
            (Some(Value::Object(there)), Value::Object(more)) => merge(there, more),
            (_, field) => drop(place.insert(last, field)),
        }
    }
    *properties = nested;
    for field in properties.values_mut() {
        if field.get("properties").is_some() {
            drop_default(field, "type", &json!("object"));
        }
        fields(field, dots_nest);
        drop_empty(field, &["fields", "meta"]);
    }
    drop_empty(holder, &["properties"]);
}

fn merge(there: &mut Map<String, Value>, more: Map<String, Value>) {
    for (key, value) in more {
        match (there.get_mut(&key), value) {
            (Some(Value::Object(inner)), Value::Object(value)) => merge(inner, value),
            (_, value) => drop(there.insert(key, value)),
        }
    }
}

/// A data stream lifecycle; an empty one says that it is on.
fn lifecycle(lifecycle: &mut Value) {
    drop_server_fields(lifecycle);
    drop_default(lifecycle, "enabled", &json!(true));
    drop_default(lifecycle, "downsampling_method", &json!("aggregate"));
    scalars(lifecycle);
}

fn failure_store(store: &mut Value) {
    if store.get("enabled").is_none() {
        store["enabled"] = json!(true);
    }
    store["enabled"] = text(&store["enabled"]);
    if store.get("lifecycle").is_some() {
        lifecycle(&mut store["lifecycle"]);
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
    // A processor's values keep their types: `value: 5` writes a number, `value: "5"` a text.
    drop_empty(body, &["on_failure", "_meta"]);
}

/// What a repository does when it is not told.
const REPOSITORY_DEFAULTS: [(&str, &str); 5] = [
    ("client", "default"),
    ("compress", "true"),
    ("readonly", "false"),
    ("server_side_encryption", "false"),
    ("max_restore_bytes_per_sec", "0b"),
];

fn repository(body: &mut Value) {
    drop_server_fields(body);
    if let Some(settings) = body.get_mut("settings") {
        let flat = resolve::flat_settings(settings);
        let plain = flat.into_iter().map(|(name, value)| (name.trim_start_matches("index.").to_owned(), unit(&json!(value))));
        *settings = plain.collect::<Map<_, _>>().into();
        for (key, default) in REPOSITORY_DEFAULTS {
            drop_default(settings, key, &json!(default));
        }
    }
}

fn snapshot_policy(body: &mut Value) {
    drop_server_fields(body);
    if let Some(schedule) = body["schedule"].as_str() {
        body["schedule"] = unit(&json!(schedule.split_whitespace().collect::<Vec<_>>().join(" ")));
    }
    if let Some(config) = body.get_mut("config") {
        if config.get("indices").is_some() {
            // One text may hold several names.
            let names: Vec<String> = resolve::texts(&config["indices"])
                .iter()
                .flat_map(|names| names.split(',').map(|name| name.trim().to_owned()))
                .collect();
            config["indices"] = json!(names);
        }
        drop_default(config, "indices", &json!(["*"]));
        for (key, default) in [("ignore_unavailable", false), ("partial", false), ("include_global_state", true)] {
            drop_default(config, key, &json!(default));
            if config.get(key).is_some() {
                config[key] = text(&config[key]);
            }
        }
        drop_empty(config, &["metadata"]);
    }
    if let Some(retention) = body.get_mut("retention") {
        scalars(retention);
    }
    drop_empty(body, &["config", "retention"]);
}

/// `{lifecycle, failure_store}` of a data stream.
fn stream(body: &mut Value) {
    if body.get("lifecycle").is_some() {
        lifecycle(&mut body["lifecycle"]);
    }
    if body.get("failure_store").is_some() {
        failure_store(&mut body["failure_store"]);
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
    fn a_default_said_is_a_default_kept_silent() {
        let said = json!({"phases": {"hot": {"min_age": "0ms", "actions": {"rollover": {"max_age": "24h", "max_size": "50GB"}}},
            "warm": {"min_age": "2d", "actions": {"allocate": {"number_of_replicas": "1", "include": {}, "exclude": {}, "require": {}},
                "shrink": {"number_of_shards": 1, "allow_write_after_shrink": false}, "migrate": {"enabled": true}}},
            "delete": {"min_age": "720h", "actions": {"delete": {"delete_searchable_snapshot": true}}}}});
        let silent = json!({"phases": {"hot": {"actions": {"rollover": {"max_age": "1d", "max_size": "50gb"}}},
            "warm": {"min_age": "48h", "actions": {"allocate": {"number_of_replicas": 1}, "shrink": {"number_of_shards": 1}}},
            "delete": {"min_age": "30d", "actions": {"delete": {}}}}, "_meta": {}});
        let (one, other) = (canonical(Kind::LifecyclePolicy, &said), canonical(Kind::LifecyclePolicy, &silent));
        assert_eq!(differences(&one, &other), []);
    }

    #[test]
    fn a_meaning_that_differs_stays_a_difference() {
        let of = |kind, one: Value, other: Value| differences(&canonical(kind, &one), &canonical(kind, &other)).len();
        let pipeline = |value: Value| json!({"processors": [{"set": {"field": "a", "value": value}}]});
        assert_eq!(of(Kind::Pipeline, pipeline(json!(5)), pipeline(json!("5"))), 1);
        assert_eq!(
            of(Kind::IndexTemplate, json!({"index_patterns": ["a"], "data_stream": {}}), json!({"index_patterns": ["a"]})),
            1
        );
        let composed = |order: Value| json!({"index_patterns": ["a"], "composed_of": order});
        assert_eq!(of(Kind::IndexTemplate, composed(json!(["a", "b"])), composed(json!(["b", "a"]))), 1);
        let mount = |extra: Value| json!({"phases": {"cold": {"actions": extra}}});
        let mounted = json!({"searchable_snapshot": {"snapshot_repository": "r"}, "migrate": {}});
        assert_eq!(
            of(Kind::LifecyclePolicy, mount(mounted), mount(json!({"searchable_snapshot": {"snapshot_repository": "r"}}))),
            1
        );
        let template = |lifecycle: Value| json!({"index_patterns": ["a"], "template": {"lifecycle": lifecycle}});
        assert_eq!(of(Kind::IndexTemplate, template(json!({})), template(Value::Null)), 1);
        let priority = |value: Value| json!({"phases": {"hot": {"actions": {"set_priority": {"priority": value}}}}});
        assert_eq!(of(Kind::LifecyclePolicy, priority(json!(0)), priority(Value::Null)), 1);
    }
}
