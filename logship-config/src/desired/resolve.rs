//! This module resolves declared templates: the template of a name, the combined settings of its components, and the
//! retention of a stream. Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Desired, ObjectKind, Stream};
use crate::units;

/// Phases of index lifecycle management, in order.
pub const PHASES: [&str; 5] = ["hot", "warm", "cold", "frozen", "delete"];

/// Default retention of a failure store (`data_streams.lifecycle.retention.failures_default`).
const FAILURES_KEPT_MILLIS: i64 = 30 * units::MILLIS_PER_DAY;

/// The lifecycle of a stream.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Resolved {
    /// Index lifecycle policy.
    pub policy: Option<String>,
    /// If both are set, the policy applies unless this is true (`index.lifecycle.prefer_ilm: false`).
    pub prefers_lifecycle: bool,
    /// Data stream lifecycle.
    pub lifecycle: Option<Value>,
    /// Failure store.
    pub failure_store: Option<Value>,
}

/// Minimum retention of data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DataRetention {
    /// Milliseconds from the rollover, or from the document if there is no rollover.
    Millis(i64),
    Forever,
}

impl std::fmt::Display for DataRetention {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Millis(millis) => formatter.write_str(&units::rough_duration(*millis)),
            Self::Forever => formatter.write_str("for ever"),
        }
    }
}

/// Returns the template of highest priority with a matching pattern.
pub fn template_for<'d>(desired: &'d Desired, name: &str) -> Option<&'d str> {
    let matching = desired
        .of(ObjectKind::IndexTemplate)
        .filter(|(_, body)| texts(&body["index_patterns"]).iter().any(|pattern| matches(pattern, name)));
    matching.max_by_key(|(_, body)| body["priority"].as_u64().unwrap_or(0)).map(|(template, _)| template)
}

/// Components in their order, then the template itself: later parts override earlier ones.
fn parts<'d>(desired: &'d Desired, template: &str) -> Vec<&'d Value> {
    let Some(body) = desired.body(ObjectKind::IndexTemplate, template) else { return Vec::new() };
    let components = texts(&body["composed_of"]).into_iter().filter_map(|name| desired.body(ObjectKind::ComponentTemplate, name));
    components.chain([body]).map(|body| &body["template"]).collect()
}

/// Returns the settings that an index of this template gets, flat.
pub fn settings(desired: &Desired, template: &str) -> BTreeMap<String, String> {
    parts(desired, template).iter().flat_map(|part| flat_settings(&part["settings"])).collect()
}

/// Returns the lifecycle of a declared stream. Its template supplies the values that the stream does not set.
pub fn stream(desired: &Desired, name: &str, stream: &Stream) -> Resolved {
    let Some(template) = template_for(desired, name) else { return Resolved::default() };
    let parts = parts(desired, template);
    let last = |read: fn(&Value) -> &Value| {
        let said = parts.iter().rev().map(|part| read(part)).find(|value| !value.is_null());
        said.cloned()
    };
    let mut settings = settings(desired, template);
    Resolved {
        prefers_lifecycle: settings.get("index.lifecycle.prefer_ilm").is_some_and(|prefers| prefers == "false"),
        policy: settings.remove("index.lifecycle.name"),
        lifecycle: stream.lifecycle.clone().or_else(|| last(|part| &part["lifecycle"])),
        failure_store: stream.failure_store.clone().or_else(|| last(|part| &part["data_stream_options"]["failure_store"])),
    }
}

/// The manager of an index.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LivesBy<'a> {
    Policy(&'a str),
    /// The lifecycle of its data stream.
    Lifecycle(&'a Value),
    Nothing,
}

/// The policy takes precedence, unless the stream's lifecycle is switched on and preferred (Metadata.isIndexManagedByILM).
pub fn lives_by<'a>(policy: Option<&'a str>, lifecycle: Option<&'a Value>, prefers_lifecycle: bool) -> LivesBy<'a> {
    let lifecycle = lifecycle.filter(|lifecycle| lifecycle_enabled(lifecycle));
    match (policy, lifecycle) {
        (Some(policy), None) => LivesBy::Policy(policy),
        (Some(policy), Some(_)) if !prefers_lifecycle => LivesBy::Policy(policy),
        (_, Some(lifecycle)) => LivesBy::Lifecycle(lifecycle),
        (None, None) => LivesBy::Nothing,
    }
}

/// Returns the retention of a policy.
pub fn policy_retention(policy: &Value) -> DataRetention {
    let delete = &policy["phases"]["delete"];
    if !delete.is_object() || !delete["actions"].as_object().is_some_and(|actions| actions.contains_key("delete")) {
        return DataRetention::Forever;
    }
    DataRetention::Millis(phase_age(policy, "delete"))
}

/// Returns the age at which a phase is entered: the maximum age of the phase and the earlier phases. With a rollover the hot
/// phase does not count, since the other ages are counted from the rollover.
pub fn phase_age(policy: &Value, phase: &str) -> i64 {
    let rolls = policy["phases"]["hot"]["actions"]["rollover"].is_object();
    let place = PHASES.iter().position(|name| *name == phase).unwrap_or_default();
    let counted = PHASES[..=place].iter().filter(|name| !(rolls && **name == "hot"));
    let ages = counted.filter_map(|name| policy["phases"][*name]["min_age"].as_str().and_then(units::millis));
    ages.max().unwrap_or(0)
}

/// Whether a data stream lifecycle exists and is switched on.
pub fn lifecycle_enabled(lifecycle: &Value) -> bool {
    lifecycle.is_object() && lifecycle["enabled"] != false && lifecycle["enabled"] != "false"
}

/// Returns the retention of a data stream lifecycle.
pub fn lifecycle_retention(lifecycle: &Value) -> DataRetention {
    match lifecycle["data_retention"].as_str().and_then(units::millis).filter(|_| lifecycle_enabled(lifecycle)) {
        Some(millis) => DataRetention::Millis(millis),
        None => DataRetention::Forever,
    }
}

/// Returns the retention of a failure store, switched on or off.
pub fn failure_retention(store: &Value) -> DataRetention {
    let lifecycle = &store["lifecycle"];
    match lifecycle_retention(lifecycle) {
        DataRetention::Forever if lifecycle["enabled"] != false && lifecycle["enabled"] != "false" => {
            DataRetention::Millis(FAILURES_KEPT_MILLIS)
        }
        kept => kept,
    }
}

/// A list of texts, or one text.
pub fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// Returns settings with dotted names under `index.` and values as text. Nulls are omitted.
pub fn flat_settings(settings: &Value) -> BTreeMap<String, String> {
    let mut flat = BTreeMap::new();
    if let Some(section) = settings.as_object() {
        flatten("", section, &mut flat);
    }
    flat
}

fn flatten(prefix: &str, section: &Map<String, Value>, flat: &mut BTreeMap<String, String>) {
    for (key, value) in section {
        let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            Value::Object(inner) => flatten(&name, inner, flat),
            Value::Null => {}
            value => {
                let full = if name.starts_with("index.") { name } else { format!("index.{name}") };
                flat.insert(full, text(value));
            }
        }
    }
}

/// A setting's value as Elasticsearch stores it. It joins the items of a list with commas, which list settings read alike.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// Whether `name` matches `pattern`, in which each `*` matches any text.
pub fn matches(pattern: &str, name: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(tail) = name.strip_prefix(head) else { return false };
    (0..=tail.len()).any(|at| tail.is_char_boundary(at) && matches(rest, &tail[at..]))
}

/// Whether some name matches both patterns.
pub fn overlap(one: &str, other: &str) -> bool {
    match (one.chars().next(), other.chars().next()) {
        (None, None) => true,
        (Some('*'), _) => {
            overlap(&one[1..], other) || other.chars().next().is_some_and(|first| overlap(one, &other[first.len_utf8()..]))
        }
        (_, Some('*')) => overlap(other, one),
        (Some(letter), Some(same)) if letter == same => overlap(&one[letter.len_utf8()..], &other[same.len_utf8()..]),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn patterns_overlap_when_one_name_fits_both() {
        for (one, other, overlaps) in [
            ("logs-*-*", "logs-shop.app-*", true),
            ("logs-*", "metrics-*", false),
            ("*-a", "b-*", true),
            ("a*b", "ab", true),
            ("a*b", "ac", false),
            ("logs-*-*", "logs-app", false),
        ] {
            assert_eq!(overlap(one, other), overlaps, "{one} {other}");
            assert_eq!(overlap(other, one), overlaps, "{other} {one}");
        }
    }

    #[test]
    fn retention_is_the_delete_phase_or_the_lifecycle() {
        assert_eq!(policy_retention(&json!({"phases": {"hot": {}}})), DataRetention::Forever);
        let deletes = json!({"phases": {"delete": {"min_age": "30d", "actions": {"delete": {}}}}});
        assert_eq!(policy_retention(&deletes).to_string(), "30d");
        // Phases are entered in sequence.
        let later = json!({"phases": {"hot": {"min_age": "90d", "actions": {"rollover": {}}}, "cold": {"min_age": "40d"},
            "delete": {"min_age": "0ms", "actions": {"delete": {}}}}});
        assert_eq!(policy_retention(&later).to_string(), "40d");
        assert_eq!(lifecycle_retention(&json!({"data_retention": "7d"})), DataRetention::Millis(7 * units::MILLIS_PER_DAY));
        assert_eq!(lifecycle_retention(&json!({"data_retention": "7d", "enabled": false})), DataRetention::Forever);
        assert!(DataRetention::Millis(1) < DataRetention::Forever);
        for (store, kept) in [
            (json!({"enabled": true}), "30d"),
            (json!({"enabled": "true", "lifecycle": {"data_retention": "7d"}}), "7d"),
            (json!({"enabled": true, "lifecycle": {"enabled": false}}), "for ever"),
            (json!({"enabled": false}), "30d"),
        ] {
            assert_eq!(failure_retention(&store).to_string(), kept, "{store}");
        }
    }
}
