//! This module converts index lifecycle policies to their canonical form. It adds each action's defaults.

use serde_json::{Map, Value, json};

use super::{drop_default, drop_empty, drop_server_fields, duration, size, text};

pub fn canonical_policy(body: &mut Value) {
    drop_server_fields(body);
    drop_default(body, "deprecated", &json!(false));
    drop_empty(body, &["_meta"]);
    if let Some(body) = body.as_object_mut() {
        // The version counts the writes; no file declares it.
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
                for rule in ["include", "exclude", "require"] {
                    for value in action.get_mut(rule).and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut) {
                        *value = text(value);
                    }
                }
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
                if let Some(method) = action["sampling_method"].as_str().map(str::to_lowercase) {
                    action["sampling_method"] = method.into();
                }
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
    // Elasticsearch migrates data in warm and cold automatically unless a snapshot is mounted there.
    if matches!(phase, "warm" | "cold") && !mounted && actions.get("migrate").is_some_and(|migrate| *migrate == json!({})) {
        actions.remove("migrate");
    }
}
