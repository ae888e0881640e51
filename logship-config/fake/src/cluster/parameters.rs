//! Parameters that each API knows: Elasticsearch refuses any other by its name.

use crate::{
    answer::{FakeAnswer, Refused},
    call::ReceivedCall,
};

/// What every API takes ("Common options").
const COMMON: &[&str] = &["filter_path", "pretty", "human", "error_trace", "format"];
/// What most APIs that change the cluster's state take.
const MASTER: &[&str] = &["master_timeout", "timeout"];

/// By the parts of the path that are not names.
fn known(words: &[&str]) -> &'static [&'static str] {
    match words {
        ["_bulk"] => &[
            "refresh",
            "require_data_stream",
            "require_alias",
            "pipeline",
            "routing",
            "wait_for_active_shards",
            "_source",
            "_source_includes",
            "_source_excludes",
            "list_executed_pipelines",
            "include_source_on_error",
        ],
        ["_data_stream", "_stats"] => &["expand_wildcards"],
        ["_data_stream", "_settings" | "_mappings"] => &["dry_run"],
        ["_data_stream", ..] => &["expand_wildcards", "include_defaults", "verbose"],
        ["_index_template", ..] | ["_component_template"] => {
            &["create", "cause", "flat_settings", "include_defaults", "local", "settings_filter"]
        }
        ["_ingest", "pipeline", ..] => &["summary", "if_version", "verbose"],
        ["_ilm", "explain"] => &["only_errors", "only_managed"],
        ["_snapshot"] => &[
            "local",
            "verify",
            "wait_for_completion",
            "ignore_unavailable",
            "verbose",
            "after",
            "from_sort_value",
            "size",
            "sort",
            "order",
            "offset",
            "include_repository",
            "index_details",
            "index_names",
            "slm_policy_filter",
            "snapshot",
            "state",
        ],
        ["_cluster", "settings"] => &["flat_settings", "include_defaults"],
        ["_cluster", "health"] => &[
            "expand_wildcards",
            "level",
            "local",
            "wait_for_active_shards",
            "wait_for_events",
            "wait_for_nodes",
            "wait_for_no_initializing_shards",
            "wait_for_no_relocating_shards",
            "wait_for_status",
        ],
        ["_cluster", "state", ..] => &[
            "allow_no_indices",
            "expand_wildcards",
            "flat_settings",
            "ignore_unavailable",
            "local",
            "wait_for_metadata_version",
            "wait_for_timeout",
        ],
        ["_cat", ..] => &["h", "s", "v", "help", "ts", "time", "local", "bytes"],
        ["_nodes", ..] => &[
            "completion_fields",
            "fielddata_fields",
            "fields",
            "groups",
            "include_segment_file_sizes",
            "level",
            "types",
            "include_unloaded_segments",
        ],
        ["_license"] => &["accept_enterprise", "local", "acknowledge"],
        ["_stats", ..] => &[
            "completion_fields",
            "expand_wildcards",
            "fielddata_fields",
            "fields",
            "forbid_closed_indices",
            "groups",
            "include_segment_file_sizes",
            "include_unloaded_segments",
            "level",
        ],
        ["_rollover"] => &["dry_run", "lazy", "wait_for_active_shards"],
        ["_settings"] => &[
            "allow_no_indices",
            "expand_wildcards",
            "flat_settings",
            "ignore_unavailable",
            "include_defaults",
            "local",
            "preserve_existing",
            "reopen",
        ],
        ["_health_report", ..] => &["verbose", "size"],
        ["_search"] => &["_source", "allow_no_indices", "expand_wildcards", "from", "ignore_unavailable", "q", "size", "sort"],
        ["_count" | "_refresh"] => &["allow_no_indices", "expand_wildcards", "ignore_unavailable", "q"],
        [] => &[
            "allow_no_indices",
            "expand_wildcards",
            "ignore_unavailable",
            "wait_for_active_shards",
            "flat_settings",
            "include_defaults",
            "local",
        ],
        _ => &[],
    }
}

/// # Errors
/// With the first parameter that the API does not know.
pub fn check_parameters(call: &ReceivedCall, segments: &[&str]) -> Refused<()> {
    let words: Vec<&str> = segments
        .iter()
        .copied()
        .filter(|part| {
            part.starts_with('_')
                || *part == "pipeline"
                || *part == "settings"
                || *part == "health"
                || *part == "explain"
                || *part == "state"
        })
        .collect();
    let known = known(&words);
    match call.query.keys().find(|name| ![COMMON, MASTER, known].concat().contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => {
            Err(FakeAnswer::illegal_argument(format!("request [{}] contains unrecognized parameter: [{name}]", call.path)))
        }
    }
}
