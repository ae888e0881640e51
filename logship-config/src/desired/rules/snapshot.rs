//! This module checks snapshot repositories and snapshot lifecycle policies. Sources: "S3 repository", "Create or update a
//! snapshot lifecycle policy", SnapshotLifecyclePolicy.validate, 9.x.

use super::{Checked, cron, date_math};

/// Types that need no plugin, each with its required settings and its settings in addition to [`EVERY_REPOSITORY`].
const REPOSITORY_TYPES: [(&str, &[&str], &[&str]); 6] = [
    ("s3", &["bucket"], &S3_SETTINGS),
    ("gcs", &["bucket"], &["application_name", "base_path", "bucket", "client", "http_proxy"]),
    (
        "azure",
        &[],
        &[
            "base_path",
            "client",
            "container",
            "delete_objects_max_size",
            "location_mode",
            "max_concurrent_batch_deletes",
            "max_single_part_upload_size",
        ],
    ),
    ("fs", &["location"], &["location", "max_number_of_snapshots"]),
    ("url", &["url"], &["http_max_retries", "http_socket_timeout", "max_number_of_snapshots", "url"]),
    // The settings of the type that it delegates to.
    ("source", &["delegate_type"], &[]),
];
const EVERY_REPOSITORY: [&str; 7] = [
    "cache_repository_data",
    "chunk_size",
    "compress",
    "io_buffer_size",
    "max_restore_bytes_per_sec",
    "max_snapshot_bytes_per_sec",
    "readonly",
];
const S3_SETTINGS: [&str; 28] = [
    "add_purpose_custom_query_parameter",
    "base_path",
    "bucket",
    "buffer_size",
    "canned_acl",
    "client",
    "connection_max_idle_time",
    "delete_objects_max_size",
    "endpoint",
    "get_register_retry_delay",
    "max_connections",
    "max_multipart_parts",
    "max_multipart_upload_cleanup_size",
    "max_retries",
    "path_style_access",
    "protocol",
    "proxy.host",
    "proxy.port",
    "proxy.scheme",
    "read_timeout",
    "region",
    "server_side_encryption",
    "storage_class",
    "throttled_delete_retry.delay_increment",
    "throttled_delete_retry.maximum_delay",
    "throttled_delete_retry.maximum_number_of_retries",
    "unsafely_incompatible_with_s3_conditional_writes",
    "disable_chunked_encoding",
];
const SECRETS: [&str; 5] = ["access_key", "secret_key", "session_token", "proxy.username", "proxy.password"];
const SNAPSHOT_SIZES: [&str; 4] = ["chunk_size", "buffer_size", "max_restore_bytes_per_sec", "max_snapshot_bytes_per_sec"];
/// `slm.minimum_interval`.
const SHORTEST_INTERVAL_MILLIS: i64 = 15 * 60_000;
const EXPAND_WILDCARDS: [&str; 5] = ["all", "open", "closed", "hidden", "none"];
const METADATA_LIMIT_BYTES: usize = 1024;
/// Characters that no snapshot's name may contain.
const NOT_IN_NAMES: [char; 11] = [' ', ',', '#', '/', '\\', '*', '?', '"', '|', '<', '>'];
const NOT_IN_NAMES_TEXT: &str = "space , # / \\ * ? \" | < >";
const NAME_REMEDY: &str = "use lower case without spaces, such as <nightly-{now/d}>";

pub fn check_repository(checked: &mut Checked) {
    checked.no_nulls(&[], &[]);
    checked.known(&[], &["type", "settings"]);
    let kind = checked.required_text(&["type"]);
    checked.required_section(&["settings"]);
    for secret in SECRETS {
        if checked.value(&["settings", secret]).is_some() {
            let remedy = "move it to Elasticsearch's keystore (s3.client.<name>.…; ECK: secureSettings) and name the client";
            checked.fault(&["settings", secret], "is a secret, which a repository's settings would expose", remedy);
        }
    }
    let Some(kind) = kind else { return };
    match REPOSITORY_TYPES.iter().find(|(known, ..)| *known == kind) {
        None => {
            let known: Vec<_> = REPOSITORY_TYPES.iter().map(|(known, ..)| *known).collect();
            checked.fault(&["type"], format!("is {kind:?}"), format!("choose {}", known.join(", ")));
        }
        Some((_, needed, own)) => {
            for key in *needed {
                checked.required_text(&["settings", key]);
            }
            if kind != "source" {
                let known: Vec<_> = own.iter().chain(&EVERY_REPOSITORY).chain(&SECRETS).copied().collect();
                checked.known(&["settings"], &known);
            }
        }
    }
    if kind == "s3"
        && let Some(path) = checked.text(&["settings", "base_path"])
        && (path.starts_with('/') || path.ends_with('/'))
    {
        checked.fault(&["settings", "base_path"], "begins or ends with a slash", "remove the slash");
    }
    for key in SNAPSHOT_SIZES {
        checked.size(&["settings", key]);
    }
    for key in ["compress", "readonly"] {
        checked.boolean(&["settings", key]);
    }
}

pub fn check_snapshot_policy(checked: &mut Checked) {
    checked.no_nulls(&[], &[&["config", "metadata", "**"]]);
    checked.known(&[], &["schedule", "name", "repository", "config", "retention", "unhealthy_if_no_snapshot_within"]);
    unhealthy(checked);
    checked.required_text(&["repository"]);
    if let Some(name) = checked.required_text(&["name"]) {
        snapshot_name(name, checked);
    }
    schedule(checked);
    if checked.section(&["config"]).is_some() {
        let known = [
            "allow_no_indices",
            "indices",
            "ignore_unavailable",
            "include_global_state",
            "feature_states",
            "metadata",
            "partial",
            "expand_wildcards",
        ];
        checked.known(&["config"], &known);
        checked.texts(&["config", "indices"]);
        checked.texts(&["config", "feature_states"]);
        for word in checked.texts(&["config", "expand_wildcards"]).into_iter().flatten().flat_map(|words| words.split(',')) {
            if !EXPAND_WILDCARDS.contains(&word.trim()) {
                let remedy = format!("choose one of {}", EXPAND_WILDCARDS.join(", "));
                checked.fault(&["config", "expand_wildcards"], format!("holds {word:?}"), remedy);
            }
        }
        for switch in ["allow_no_indices", "ignore_unavailable", "include_global_state", "partial"] {
            checked.boolean(&["config", switch]);
        }
        if let Some(metadata) = checked.section(&["config", "metadata"])
            && serde_json::to_string(metadata).map_or(0, |text| text.len()) > METADATA_LIMIT_BYTES
        {
            checked.fault(&["config", "metadata"], "is larger than 1024 bytes", "shorten it");
        }
    }
    if checked.section(&["retention"]).is_some() {
        checked.known(&["retention"], &["expire_after", "min_count", "max_count"]);
        if checked.duration(&["retention", "expire_after"]) == Some(0) {
            checked.fault(&["retention", "expire_after"], "is 0", "set the retention of snapshots");
        }
        let least = checked.integer(&["retention", "min_count"], 1..=i64::from(i32::MAX));
        let most = checked.integer(&["retention", "max_count"], 1..=i64::from(i32::MAX));
        if let (Some(least), Some(most)) = (least, most)
            && least > most
        {
            checked.fault(&["retention", "min_count"], format!("is above max_count {most}"), "lower it, or raise max_count");
        }
    }
}

/// Elasticsearch also compares the time with the interval of a cron expression.
fn unhealthy(checked: &mut Checked) {
    let at = ["unhealthy_if_no_snapshot_within"];
    let Some(within) = checked.duration(&at) else { return };
    let interval = checked.value(&["schedule"]).and_then(|schedule| crate::units::millis(schedule.as_str()?)).unwrap_or(0);
    if within <= interval.max(SHORTEST_INTERVAL_MILLIS) {
        checked.fault(&at, "is not longer than the interval between snapshots", "write a longer time");
    }
}

/// The name of each snapshot, which may contain date math.
fn snapshot_name(name: &str, checked: &mut Checked) {
    let constant = match date_math::constant_parts(name) {
        Ok(constant) => constant,
        Err(wrong) => return checked.fault(&["name"], format!("is {name:?}, which {wrong}"), NAME_REMEDY),
    };
    if constant.starts_with('_') || constant != constant.to_lowercase() || constant.contains(NOT_IN_NAMES) {
        let wrong = format!("is {name:?}, with a leading underscore, a capital letter or one of {NOT_IN_NAMES_TEXT}");
        checked.fault(&["name"], wrong, NAME_REMEDY);
    }
}

/// Checks an interval or a cron expression.
fn schedule(checked: &mut Checked) {
    let Some(text) = checked.required_text(&["schedule"]) else { return };
    if let Some(millis) = crate::units::millis(text) {
        if millis < SHORTEST_INTERVAL_MILLIS {
            checked.fault(&["schedule"], "is below 15m, the minimum", "choose a longer interval");
        }
        return;
    }
    if !cron::is_valid(text) {
        let remedy = "write second minute hour day month weekday with ? for one of the days, such as 0 30 1 * * ?, or an \
            interval such as 1d";
        checked.fault(&["schedule"], format!("is {text:?}, not a schedule"), remedy);
    }
}
