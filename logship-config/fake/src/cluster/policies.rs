//! This module handles index lifecycle policies: which are refused, and the form of their answers.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    Cluster,
    rules::{duration, size},
};
use crate::{
    answer::{Answer, Refused},
    call::Call,
    pattern,
};

pub const PHASES: [&str; 5] = ["hot", "warm", "cold", "frozen", "delete"];

/// Actions of a phase in the order in which they run.
pub fn ordered_actions(phase: &str) -> &'static [&'static str] {
    match phase {
        "hot" => {
            &["set_priority", "unfollow", "rollover", "readonly", "downsample", "shrink", "forcemerge", "searchable_snapshot"]
        }
        "warm" => &["set_priority", "unfollow", "readonly", "downsample", "allocate", "migrate", "shrink", "forcemerge"],
        "cold" => &["set_priority", "unfollow", "readonly", "downsample", "searchable_snapshot", "allocate", "migrate"],
        "frozen" => &["unfollow", "searchable_snapshot"],
        "delete" => &["wait_for_snapshot", "delete"],
        _ => &[],
    }
}

/// Arguments that an action knows, the ones in front of `|` required.
fn arguments(action: &str) -> Option<(&'static [&'static str], &'static [&'static str])> {
    Some(match action {
        "rollover" => (
            &[],
            &[
                "max_age",
                "max_docs",
                "max_size",
                "max_primary_shard_size",
                "max_primary_shard_docs",
                "min_age",
                "min_docs",
                "min_size",
                "min_primary_shard_size",
                "min_primary_shard_docs",
            ],
        ),
        "set_priority" => (&["priority"], &[]),
        "forcemerge" => (&["max_num_segments"], &["index_codec"]),
        "shrink" => (&[], &["number_of_shards", "max_primary_shard_size", "allow_write_after_shrink"]),
        "allocate" => (&[], &["number_of_replicas", "total_shards_per_node", "include", "exclude", "require"]),
        "migrate" => (&[], &["enabled"]),
        "searchable_snapshot" => {
            (&["snapshot_repository"], &["force_merge_index", "force_merge_on_clone", "total_shards_per_node", "replicate_for"])
        }
        "downsample" => (&["fixed_interval"], &["wait_timeout", "sampling_method", "force_merge_index"]),
        "wait_for_snapshot" => (&["policy"], &[]),
        "delete" => (&[], &["delete_searchable_snapshot"]),
        "readonly" | "unfollow" => (&[], &[]),
        _ => return None,
    })
}

/// A stored policy.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    pub body: Value,
    pub version: u64,
    pub modified: Timestamp,
}

impl Cluster {
    pub(super) fn get_policies(&self, names: &str) -> Refused<Answer> {
        let found: Vec<_> = self.policies.iter().filter(|(name, _)| pattern::listed(names, name)).collect();
        if found.is_empty() && !names.contains('*') {
            return Err(Answer::missing(format!("Lifecycle policy not found: {names}")));
        }
        let answers = found.into_iter().map(|(name, policy)| {
            let told = json!({
                "version": policy.version, "modified_date": policy.modified.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string(),
                "modified_date_millis": policy.modified.as_millisecond(), "policy": policy.body, "in_use_by": self.users_of_policy(name),
            });
            (name.clone(), told)
        });
        Ok(Answer::ok(answers.collect::<Map<_, _>>().into()))
    }

    fn users_of_policy(&self, policy: &str) -> Value {
        let of = |settings: Option<&String>| settings.is_some_and(|name| name == policy);
        let indices: Vec<_> = self
            .indices
            .iter()
            .filter(|(_, index)| of(index.settings.get("index.lifecycle.name")))
            .map(|(name, _)| name)
            .collect();
        let streams = self.data_streams.iter().filter(|(_, stream)| stream.indices.iter().any(|index| indices.contains(&index)));
        let templates = self
            .index_templates
            .iter()
            .filter(|(_, body)| self.compose(body)["settings"]["index"]["lifecycle"]["name"] == policy);
        json!({
            "indices": indices, "data_streams": streams.map(|(name, _)| name).collect::<Vec<_>>(),
            "composable_templates": templates.map(|(name, _)| name).collect::<Vec<_>>(),
        })
    }

    pub(super) fn put_policy(&mut self, name: &str, call: &Call, now: Timestamp) -> Refused<Answer> {
        if name.starts_with('_') || name.contains([',', ' ']) {
            return Err(Answer::illegal_argument(format!("invalid policy name [{name}]: must not start with '_'")));
        }
        let body = call.required_json()?;
        let strict =
            |reason: String| Answer::error(400, "x_content_parse_exception", format!("[1:2] [put_lifecycle_request] {reason}"));
        let sections = body.as_object().ok_or_else(|| strict("Expected START_OBJECT".into()))?;
        if let Some(unknown) = sections.keys().find(|key| *key != "policy") {
            return Err(strict(format!("unknown field [{unknown}]")));
        }
        let Some(policy) = body["policy"].as_object() else {
            return Err(strict("Required one of fields [policy], but none were specified. ".into()));
        };
        let kept = self.read_policy(policy)?;
        let reserved = self.reserved.iter().any(|(handler, key)| handler == "ilm" && key == name);
        if reserved {
            return Err(Answer::illegal_argument(format!(
                "Failed to process request [org.elasticsearch.xpack.core.ilm.action.PutLifecycleRequest] with errors: [[{name}] set as \
                 read-only by [file_settings]]"
            )));
        }
        let version = self.policies.get(name).map_or(1, |held| held.version + 1);
        self.policies.insert(name.to_owned(), Policy { body: kept, version, modified: now });
        self.refresh_phases(name);
        Ok(Answer::acknowledged())
    }

    pub(super) fn delete_policy(&mut self, name: &str) -> Refused<Answer> {
        if !self.policies.contains_key(name) {
            return Err(Answer::missing(format!("Lifecycle policy not found: {name}")));
        }
        let users = &self.users_of_policy(name)["indices"];
        if users.as_array().is_some_and(|users| !users.is_empty()) {
            let list: Vec<_> = users.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let reason = format!("Cannot delete policy [{name}]. It is in use by one or more indices: [{}]", list.join(", "));
            return Err(Answer::illegal_argument(reason));
        }
        self.policies.remove(name);
        Ok(Answer::acknowledged())
    }

    /// The policy with the fields that Elasticsearch adds.
    fn read_policy(&self, policy: &Map<String, Value>) -> Refused<Value> {
        let strict =
            |reason: String| Answer::error(400, "x_content_parse_exception", format!("[1:2] [lifecycle_policy] {reason}"));
        if let Some(unknown) = policy.keys().find(|key| !["phases", "_meta", "deprecated"].contains(&key.as_str())) {
            return Err(strict(format!("unknown field [{unknown}]")));
        }
        let Some(phases) = policy.get("phases").and_then(Value::as_object) else {
            return Err(strict("Required [phases]".into()));
        };
        let mut kept = json!({"phases": {}});
        if let Some(meta) = policy.get("_meta") {
            kept["_meta"] = meta.clone();
        }
        let illegal = Answer::illegal_argument;
        for (name, phase) in phases {
            if !PHASES.contains(&name.as_str()) {
                return Err(illegal(format!("Timeseries lifecycle does not support phase [{name}]")));
            }
            if let Some(unknown) =
                phase.as_object().and_then(|phase| phase.keys().find(|key| !["min_age", "actions"].contains(&key.as_str())))
            {
                return Err(strict(format!("[phase] unknown field [{unknown}]")));
            }
            let age = phase["min_age"].as_str().unwrap_or("0ms");
            if duration(age).is_none() {
                return Err(illegal(format!(
                    "failed to parse setting [min_age] with value [{age}] as a time value: unit is missing or unrecognized"
                )));
            }
            let mut actions = Map::new();
            for (action, given) in phase["actions"].as_object().into_iter().flatten() {
                if !ordered_actions(name).contains(&action.as_str()) {
                    return Err(illegal(format!("invalid action [{action}] defined in phase [{name}]")));
                }
                actions.insert(action.clone(), self.read_action(action, given)?);
            }
            let needing = ["readonly", "shrink", "forcemerge", "downsample", "searchable_snapshot"];
            let alone: Vec<_> = needing.into_iter().filter(|action| name == "hot" && actions.contains_key(*action)).collect();
            if !alone.is_empty() && !actions.contains_key("rollover") {
                return Err(illegal(format!(
                    "the [{}] action(s) may not be used in the [hot] phase without an accompanying [rollover] action",
                    alone.join(", ")
                )));
            }
            if name == "frozen" && !actions.contains_key("searchable_snapshot") {
                return Err(illegal(
                    "policy specifies the [frozen] phase without a corresponding [searchable_snapshot] action, but a searchable snapshot \
                     action is required in the frozen phase"
                        .into(),
                ));
            }
            kept["phases"][name] = json!({"min_age": age, "actions": actions});
        }
        Ok(kept)
    }

    fn read_action(&self, action: &str, given: &Value) -> Refused<Value> {
        let strict = |reason: String| Answer::error(400, "x_content_parse_exception", format!("[1:2] [{action}] {reason}"));
        let mut kept = given.clone();
        let Some(section) = kept.as_object_mut() else { return Ok(json!({})) };
        let (required, optional) = arguments(action).ok_or_else(|| strict("unknown action".into()))?;
        if let Some(unknown) = section.keys().find(|key| !required.contains(&key.as_str()) && !optional.contains(&key.as_str())) {
            return Err(strict(format!("unknown field [{unknown}]")));
        }
        if let Some(missing) = required.iter().find(|key| !section.contains_key(**key)) {
            return Err(strict(format!("Required [{missing}]")));
        }
        let number = |section: &Map<String, Value>, key: &str| {
            section.get(key).and_then(|value| value.as_i64().or_else(|| value.as_str()?.parse().ok()))
        };
        for (key, value) in section.iter() {
            let text = value.as_str().unwrap_or_default();
            if (key.ends_with("_age") || key == "fixed_interval" || key == "wait_timeout" || key == "replicate_for")
                && duration(text).is_none()
            {
                return Err(Answer::illegal_argument(format!(
                    "failed to parse setting [{key}] with value [{text}] as a time value"
                )));
            }
            if key.ends_with("_size") && size(text).is_none() {
                return Err(Answer::error(
                    400,
                    "parse_exception",
                    format!(
                        "failed to parse setting [{key}] with value [{text}] as a size in bytes: unit is missing or unrecognized"
                    ),
                ));
            }
        }
        match action {
            "rollover" if !section.keys().any(|key| key.starts_with("max_")) => {
                return Err(Answer::illegal_argument("At least one max_* rollover condition must be set."));
            }
            "searchable_snapshot" if self.mode != super::Mode::Enterprise => {
                return Err(Answer::illegal_argument(
                    "policy [policy] defines the [searchable_snapshot] action but the current license is non-compliant for [searchable-snapshots]",
                ));
            }
            "searchable_snapshot" => drop(section.entry("force_merge_index").or_insert(json!(true))),
            "delete" => drop(section.entry("delete_searchable_snapshot").or_insert(json!(true))),
            "shrink" => drop(section.entry("allow_write_after_shrink").or_insert(json!(false))),
            "migrate" => drop(section.entry("enabled").or_insert(json!(true))),
            "allocate" => {
                for rules in ["include", "exclude", "require"] {
                    section.entry(rules).or_insert(json!({}));
                }
            }
            _ => {}
        }
        // Numbers in quotes are answered as numbers.
        for key in ["priority", "max_num_segments", "number_of_shards", "number_of_replicas", "max_docs", "min_docs"] {
            if let Some(value) = number(section, key) {
                section.insert(key.to_owned(), value.into());
            }
        }
        if action == "forcemerge" && number(section, "max_num_segments").is_none_or(|segments| segments < 1) {
            return Err(Answer::illegal_argument("[max_num_segments] must be a positive integer"));
        }
        if action == "set_priority" && number(section, "priority").is_some_and(|priority| priority < 0) {
            return Err(Answer::illegal_argument("[priority] must be 0 or greater"));
        }
        Ok(kept)
    }
}
