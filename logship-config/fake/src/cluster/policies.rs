//! This module handles index lifecycle policies: which are refused, and the form of their answers.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    Cluster,
    types::{self, Type},
    units,
};
use crate::{
    answer::{FakeAnswer, Refused},
    call::ReceivedCall,
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
    pub(super) fn get_policies(&self, names: &str) -> Refused<FakeAnswer> {
        let found: Vec<_> = self.policies.iter().filter(|(name, _)| pattern::listed(names, name)).collect();
        if found.is_empty() && !names.contains('*') {
            return Err(FakeAnswer::missing(format!("Lifecycle policy not found: {names}")));
        }
        let answers = found.into_iter().map(|(name, policy)| {
            let told = json!({
                "version": policy.version, "modified_date": policy.modified.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string(),
                "modified_date_millis": policy.modified.as_millisecond(), "policy": policy.body, "in_use_by": self.users_of_policy(name),
            });
            (name.clone(), told)
        });
        Ok(FakeAnswer::ok(answers.collect::<Map<_, _>>().into()))
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

    pub(super) fn put_policy(&mut self, name: &str, call: &ReceivedCall, now: Timestamp) -> Refused<FakeAnswer> {
        if name.starts_with('_') || name.contains([',', ' ']) {
            return Err(FakeAnswer::illegal_argument(format!("invalid policy name [{name}]: must not start with '_'")));
        }
        let body = call.required_json()?;
        let strict = |reason: String| {
            FakeAnswer::error(400, "x_content_parse_exception", format!("[1:2] [put_lifecycle_request] {reason}"))
        };
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
            return Err(FakeAnswer::illegal_argument(format!(
                "Failed to process request [org.elasticsearch.xpack.core.ilm.action.PutLifecycleRequest] with errors: [[{name}] set as \
                 read-only by [file_settings]]"
            )));
        }
        let version = self.policies.get(name).map_or(1, |held| held.version + 1);
        self.policies.insert(name.to_owned(), Policy { body: kept, version, modified: now });
        self.refresh_phases(name);
        Ok(FakeAnswer::acknowledged())
    }

    pub(super) fn delete_policy(&mut self, name: &str) -> Refused<FakeAnswer> {
        if !self.policies.contains_key(name) {
            return Err(FakeAnswer::missing(format!("Lifecycle policy not found: {name}")));
        }
        let users = &self.users_of_policy(name)["indices"];
        if users.as_array().is_some_and(|users| !users.is_empty()) {
            let list: Vec<_> = users.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let reason = format!("Cannot delete policy [{name}]. It is in use by one or more indices: [{}]", list.join(", "));
            return Err(FakeAnswer::illegal_argument(reason));
        }
        self.policies.remove(name);
        Ok(FakeAnswer::acknowledged())
    }

    /// The policy with the fields that Elasticsearch adds.
    fn read_policy(&self, policy: &Map<String, Value>) -> Refused<Value> {
        let strict =
            |reason: String| FakeAnswer::error(400, "x_content_parse_exception", format!("[1:2] [lifecycle_policy] {reason}"));
        if let Some(unknown) = policy.keys().find(|key| !["phases", "_meta", "deprecated"].contains(&key.as_str())) {
            return Err(strict(format!("unknown field [{unknown}]")));
        }
        let Some(phases) = policy.get("phases").and_then(Value::as_object) else {
            return Err(strict("Required [phases]".into()));
        };
        let mut kept = json!({"phases": {}});
        if let Some(meta) = policy.get("_meta") {
            types::check_type("lifecycle_policy", "_meta", meta, Type::Object)?;
            kept["_meta"] = meta.clone();
        }
        let illegal = FakeAnswer::illegal_argument;
        if let Some(deprecated) = policy.get("deprecated") {
            types::check_type("lifecycle_policy", "deprecated", deprecated, Type::Boolean)?;
        }
        for (name, phase) in phases {
            if !PHASES.contains(&name.as_str()) {
                return Err(illegal(format!("Timeseries lifecycle does not support phase [{name}]")));
            }
            types::check_type("phases", name, phase, Type::Object)?;
            if phase.get("actions").is_none() {
                return Err(strict("Required [actions]".into()));
            }
            types::check_type("phase", "actions", &phase["actions"], Type::Object)?;
            if let Some(unknown) =
                phase.as_object().and_then(|phase| phase.keys().find(|key| !["min_age", "actions"].contains(&key.as_str())))
            {
                return Err(strict(format!("[phase] unknown field [{unknown}]")));
            }
            if let Some(age) = phase.get("min_age") {
                types::check_type("phase", "min_age", age, Type::Duration)?;
            }
            let age = phase["min_age"].as_str().unwrap_or("0ms");
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
        across_phases(&kept["phases"]).map_err(FakeAnswer::illegal_argument)?;
        Ok(kept)
    }

    fn read_action(&self, action: &str, given: &Value) -> Refused<Value> {
        let strict = |reason: String| FakeAnswer::error(400, "x_content_parse_exception", format!("[1:2] [{action}] {reason}"));
        types::check_type(action, action, given, Type::Object)?;
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
        for (key, value) in section.iter().filter(|(key, value)| *key != "priority" || !value.is_null()) {
            types::check_type(action, key, value, argument_type(action, key))?;
        }
        for rules in ["include", "exclude", "require"].into_iter().filter(|_| action == "allocate") {
            for (key, value) in section.get(rules).and_then(Value::as_object).into_iter().flatten() {
                types::check_type(action, key, value, Type::Text)?;
            }
        }
        bounds(action, section).map_err(FakeAnswer::illegal_argument)?;
        match action {
            "rollover" if !section.keys().any(|key| key.starts_with("max_")) => {
                return Err(FakeAnswer::illegal_argument("At least one max_* rollover condition must be set."));
            }
            "searchable_snapshot" if self.mode != super::Mode::Enterprise => {
                return Err(FakeAnswer::illegal_argument(
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
        Ok(kept)
    }
}

fn argument_type(action: &str, key: &str) -> Type {
    match key {
        "max_age" | "min_age" | "wait_timeout" | "replicate_for" => Type::DurationText,
        "max_size" | "min_size" | "max_primary_shard_size" | "min_primary_shard_size" => Type::Size,
        "max_docs" | "min_docs" | "max_primary_shard_docs" | "min_primary_shard_docs" => Type::Long,
        "priority" | "max_num_segments" | "number_of_shards" | "number_of_replicas" | "total_shards_per_node" => Type::Int,
        "include" | "exclude" | "require" if action == "allocate" => Type::Object,
        "enabled" | "delete_searchable_snapshot" | "force_merge_index" | "force_merge_on_clone" | "allow_write_after_shrink" => {
            Type::Boolean
        }
        _ => Type::String,
    }
}

fn whole(section: &Map<String, Value>, key: &str) -> Option<i64> {
    let value = section.get(key)?;
    value.as_f64().or_else(|| value.as_str()?.trim().parse().ok()).map(|number| number as i64)
}

/// What the constructors of the actions refuse.
fn bounds(action: &str, section: &Map<String, Value>) -> Result<(), String> {
    let text = |key: &str| section.get(key).and_then(Value::as_str).unwrap_or_default();
    let given = |key: &str| section.contains_key(key);
    let least = |key: &str, least: i64| match whole(section, key) {
        Some(number) if number < least => Err(format!("[{key}] must be {least} or greater")),
        _ => Ok(()),
    };
    match action {
        "forcemerge" => {
            least("max_num_segments", 1)?;
            if given("index_codec") && text("index_codec") != "best_compression" {
                return Err(format!("unknown index codec: [{}]", text("index_codec")));
            }
        }
        "set_priority" => least("priority", 0)?,
        "shrink" => {
            least("number_of_shards", 1)?;
            if given("number_of_shards") == given("max_primary_shard_size") {
                return Err("Either [number_of_shards] or [max_primary_shard_size] must be set".into());
            }
            if units::size(text("max_primary_shard_size")) == Some(0) {
                return Err("[max_primary_shard_size] must be greater than 0".into());
            }
        }
        "allocate" => {
            least("number_of_replicas", 0)?;
            least("total_shards_per_node", -1)?;
            let says = |key: &str| section.get(key).is_some_and(|rules| rules.as_object().is_none_or(|rules| !rules.is_empty()));
            if !["number_of_replicas", "total_shards_per_node", "include", "exclude", "require"].into_iter().any(says) {
                return Err(
                    "At least one of include, exclude, require, number_of_replicas or total_shards_per_node must be set".into()
                );
            }
        }
        "searchable_snapshot" => {
            least("total_shards_per_node", 1)?;
            if text("snapshot_repository").trim().is_empty() && section["snapshot_repository"].is_string() {
                return Err("the snapshot repository must be specified".into());
            }
            if given("replicate_for") && units::duration(text("replicate_for")) == Some(0) {
                return Err("[replicate_for] must be positive".into());
            }
            let merges = section.get("force_merge_index").is_none_or(|merges| *merges == true || *merges == "true");
            if !merges && given("force_merge_on_clone") {
                return Err("[force_merge_on_clone] is not allowed when [force_merge_index] is [false]".into());
            }
        }
        "downsample" => {
            let method = text("sampling_method").to_lowercase();
            if given("sampling_method") && !["aggregate", "last_value"].contains(&method.as_str()) {
                return Err(format!("No downsampling method [{method}]"));
            }
        }
        "wait_for_snapshot" if text("policy").trim().is_empty() && section["policy"].is_string() => {
            return Err("policy name must be specified".into());
        }
        _ => {}
    }
    Ok(())
}

/// What TimeseriesLifecycleType refuses of the phases together.
fn across_phases(phases: &Value) -> Result<(), String> {
    let at = |phase: &str, action: &str| phases[phase]["actions"].get(action);
    for phase in PHASES {
        let rules = |rules: &str| {
            at(phase, "allocate").is_some_and(|allocate| allocate[rules].as_object().is_some_and(|map| !map.is_empty()))
        };
        let migrates = at(phase, "migrate")
            .is_some_and(|migrate| migrate["enabled"] != false && migrate["enabled"] != "false" && migrate["enabled"] != "");
        if migrates && ["include", "exclude", "require"].iter().any(|name| rules(name)) {
            return Err(format!(
                "phase [{phase}] specifies an enabled migrate action and an allocate action with allocation rules"
            ));
        }
    }
    let mounts: Vec<_> = PHASES.into_iter().filter_map(|phase| Some((phase, at(phase, "searchable_snapshot")?))).collect();
    if mounts.windows(2).any(|pair| pair[0].1["snapshot_repository"] != pair[1].1["snapshot_repository"]) {
        return Err("policy specifies [searchable_snapshot] action multiple times with differing repositories".into());
    }
    if mounts.iter().skip(1).any(|(_, mount)| mount.get("replicate_for").is_some()) {
        return Err("only the first searchable_snapshot action can specify 'replicate_for'".into());
    }
    if mounts.first().is_some_and(|(phase, _)| *phase == "hot") {
        let later = ["warm", "cold", "frozen"].into_iter();
        if later.clone().any(|phase| ["forcemerge", "shrink", "downsample"].iter().any(|action| at(phase, action).is_some())) {
            return Err("phases define one or more of [forcemerge, shrink, downsample] actions after a mounted snapshot".into());
        }
    }
    replicated(phases, mounts.first().map(|(phase, mount)| (*phase, *mount)))?;
    let samples: Vec<_> = PHASES.into_iter().filter_map(|phase| at(phase, "downsample")).collect();
    for pair in samples.windows(2) {
        let method = |sample: &Value| sample["sampling_method"].as_str().unwrap_or("aggregate").to_lowercase();
        let interval = |sample: &Value| sample["fixed_interval"].as_str().and_then(units::duration).unwrap_or(0);
        let (first, second) = (interval(pair[0]), interval(pair[1]));
        if second <= first || first == 0 || second % first != 0 || method(pair[0]) != method(pair[1]) {
            return Err(
                "Downsampling interval must be a multiple of the interval of the earlier phase, with the same method".into()
            );
        }
    }
    Ok(())
}

/// Replicas of a mounted snapshot must not outlive the beginning of a later phase.
fn replicated(phases: &Value, first: Option<(&str, &Value)>) -> Result<(), String> {
    let Some((phase, mount)) = first else { return Ok(()) };
    let Some(kept) = mount["replicate_for"].as_str().and_then(units::duration) else { return Ok(()) };
    let place = PHASES.iter().position(|name| *name == phase).unwrap_or(0);
    let age = |name: &str| phases[name]["min_age"].as_str().and_then(units::duration).unwrap_or(0);
    let rolls = |name: &str| phases[name]["actions"].get("rollover").is_some();
    let begins = PHASES[..=place].iter().map(|name| if rolls(name) { 0 } else { age(name) }).rfind(|age| *age > 0);
    let later = PHASES[place + 1..].iter().map(|name| age(name)).filter(|age| *age > 0);
    if later.into_iter().any(|age| age - begins.unwrap_or(0) < kept) {
        return Err("[replicate_for] must be less than the time until the next phase".into());
    }
    Ok(())
}
