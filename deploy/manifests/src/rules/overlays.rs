//! This module compares the environments: they may differ only where a list allows it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{RuleViolation, fault};
use crate::world::RenderedEnvironment;

/// A permitted difference.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OverlayDifference {
    /// Kind and name of the object; `*` for any.
    pub object: String,
    /// JSON pointer; everything below it may differ.
    pub path: String,
    pub reason: String,
}

/// Differences between two environments that no entry allows. The name of a hook's Job ends with a commit, so it is compared
/// without it.
pub fn differences(one: &RenderedEnvironment, other: &RenderedEnvironment, allowed: &[OverlayDifference]) -> Vec<RuleViolation> {
    let (left, right) = (flat(one), flat(other));
    let mut faults = Vec::new();
    for key in left.keys().chain(right.keys().filter(|key| !left.contains_key(*key))) {
        let (object, path) = key;
        let (left, right) = (left.get(key), right.get(key));
        let permitted = allowed.iter().any(|difference| {
            let below = path.strip_prefix(&difference.path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            (difference.object == "*" || difference.object == *object) && below
        });
        if left != right && !permitted {
            let show = |value: Option<&Value>| value.map_or("absent".to_owned(), ToString::to_string);
            let text = format!("{path} is {} in {} and {} in {}", show(left), one.environment, show(right), other.environment);
            faults.push(fault(object, text));
        }
    }
    faults
}

fn flat(world: &RenderedEnvironment) -> BTreeMap<(String, String), Value> {
    let mut found = BTreeMap::new();
    for (_, object) in world.objects() {
        let mut label = object.label();
        if object.kind() == "Job" {
            label.truncate(label.rfind('-').unwrap_or(label.len()));
        }
        flatten(&label, String::new(), &object.0, &mut found);
    }
    found
}

fn flatten(object: &str, path: String, value: &Value, found: &mut BTreeMap<(String, String), Value>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                flatten(object, format!("{path}/{}", name.replace('~', "~0").replace('/', "~1")), member, found);
            }
        }
        Value::Array(items) => {
            for (place, item) in items.iter().enumerate() {
                // Lists of named items are compared by name, as a person reads them.
                let name = item.get("name").and_then(Value::as_str).map_or(place.to_string(), str::to_owned);
                flatten(object, format!("{path}/{name}"), item, found);
            }
        }
        leaf => {
            found.insert((object.to_owned(), path), leaf.clone());
        }
    }
}
