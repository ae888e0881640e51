//! This module converts repositories and snapshot lifecycle policies to their canonical form.

use serde_json::{Map, Value, json};

use super::{drop_default, drop_empty, drop_server_fields, scalars, text, unit};
use crate::desired::resolve;

/// Default settings of a repository.
const REPOSITORY_DEFAULTS: [(&str, &str); 5] = [
    ("client", "default"),
    ("compress", "true"),
    ("readonly", "false"),
    ("server_side_encryption", "false"),
    ("max_restore_bytes_per_sec", "0b"),
];

pub fn canonical_repository(body: &mut Value) {
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

pub fn snapshot_policy(body: &mut Value) {
    drop_server_fields(body);
    if let Some(schedule) = body["schedule"].as_str() {
        body["schedule"] = unit(&json!(schedule.split_whitespace().collect::<Vec<_>>().join(" ")));
    }
    if let Some(config) = body.get_mut("config") {
        if config.get("indices").is_some() {
            // One text may contain several names.
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
