//! This module checks snapshot repositories and snapshot lifecycle policies. Sources: "S3 repository", "Create or update a
//! snapshot lifecycle policy", SnapshotLifecyclePolicy.validate, 9.x.

use super::Checked;

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

pub fn repository(checked: &mut Checked) {
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

pub fn policy(checked: &mut Checked) {
    checked.known(&[], &["schedule", "name", "repository", "config", "retention"]);
    checked.required_text(&["repository"]);
    if let Some(name) = checked.required_text(&["name"]) {
        // Date math in <…> may contain capitals, such as {now/d}.
        let plain = name.split(['{', '}']).step_by(2).collect::<String>();
        if plain != plain.to_lowercase() || plain.contains([' ', ',', '#', '/', '\\', '*', '?', '"', '|']) {
            checked.fault(&["name"], format!("is {name:?}"), "use lower case without spaces, such as <nightly-{now/d}>");
        }
    }
    schedule(checked);
    if checked.section(&["config"]).is_some() {
        let known = [
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
        for switch in ["ignore_unavailable", "include_global_state", "partial"] {
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

/// Checks an interval, or a Quartz cron line: second minute hour day month weekday, optionally a year.
fn schedule(checked: &mut Checked) {
    let Some(text) = checked.required_text(&["schedule"]) else { return };
    if let Some(millis) = crate::units::millis(text) {
        if millis < SHORTEST_INTERVAL_MILLIS {
            checked.fault(&["schedule"], "is below 15m, the minimum", "choose a longer interval");
        }
        return;
    }
    let fields: Vec<&str> = text.split_whitespace().collect();
    let whole = |field: &str, least: u32, most: u32| {
        field.split(',').all(|part| {
            let (range, step) = part.split_once('/').unwrap_or((part, "1"));
            let within = |text: &str| text.parse::<u32>().is_ok_and(|number| (least..=most).contains(&number));
            let named = |text: &str| text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_alphabetic()) && most <= 12;
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let one = |text: &str| within(text) || named(text);
            let special = matches!(range, "*" | "?")
                || most == 31 && matches!(range, "L" | "LW" | "W")
                || most == 7 && range.split_once('#').is_some_and(|(day, nth)| one(day) && nth.parse::<u8>().is_ok())
                || range.strip_suffix('L').or(range.strip_suffix('W')).is_some_and(one);
            step.parse::<u32>().is_ok_and(|step| step > 0) && (special || one(first) && one(last))
        })
    };
    let bounds = [(0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (1, 7), (1970, 2199)];
    let right = (6..=7).contains(&fields.len())
        && fields.iter().zip(bounds).all(|(field, (least, most))| whole(field, least, most))
        // Quartz requires exactly one of the two day fields to be `?`.
        && (fields[3] == "?") != (fields[5] == "?");
    if !right {
        let remedy = "write second minute hour day month weekday with ? for one of the days, such as 0 30 1 * * ?, or an \
            interval such as 1d";
        checked.fault(&["schedule"], format!("is {text:?}, not a schedule"), remedy);
    }
}
