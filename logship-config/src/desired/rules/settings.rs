//! This module checks index settings of a template: their names step by step.
//!
//! Sources: "Index settings" of the 9.x reference; IndexScopedSettings, IndexSettings, MapperService.

use serde_json::Value;

use super::{Checked, analysis, checked::At, setting_values};

/// Settings by their first step after `index.`. [`STEPS`] lists the further steps.
const SETTING_GROUPS: &[&str] = &[
    "analysis",
    "analyze",
    "auto_expand_replicas",
    "blocks",
    "check_on_startup",
    "codec",
    "default_pipeline",
    "dense_vector",
    "esql",
    "final_pipeline",
    "format",
    "gc_deletes",
    "hidden",
    "highlight",
    "indexing",
    "indexing_pressure",
    "lifecycle",
    "load_fixed_bitset_filters_eagerly",
    "logsdb",
    "mapping",
    "mapper",
    "max_docvalue_fields_search",
    "max_inner_result_window",
    "max_ngram_diff",
    "max_refresh_listeners",
    "max_regex_length",
    "max_rescore_window",
    "max_result_window",
    "max_script_fields",
    "max_shingle_diff",
    "max_slices_per_scroll",
    "max_terms_count",
    "merge",
    "mode",
    "number_of_replicas",
    "number_of_routing_shards",
    "number_of_shards",
    "priority",
    "queries",
    "query",
    "query_string",
    "recovery",
    "refresh_interval",
    "requests",
    "routing",
    "routing_partition_size",
    "routing_path",
    "search",
    "shard",
    "similarity",
    "soft_deletes",
    "sort",
    "store",
    "time_series",
    "top_metrics_max_size",
    "translog",
    "unassigned",
    "use_time_series_doc_values_format",
    "warmer",
    "write",
];
/// Settings that Elasticsearch sets itself and refuses in a template.
const PRIVATE_SETTINGS: [&str; 5] = ["uuid", "creation_date", "provided_name", "version", "verified_before_close"];
/// The steps that may follow a group, and their further steps. A group that is not listed has no further step, or has names
/// chosen by the user (attributes of nodes, `analysis`, `similarity`).
const STEPS: &[(&str, &[&str])] = &[
    ("analyze", &["max_token_count"]),
    ("blocks", &["metadata", "read", "read_only", "read_only_allow_delete", "write"]),
    ("highlight", &["max_analyzed_offset", "weight_matches_mode"]),
    ("highlight.weight_matches_mode", &["enabled"]),
    ("indexing", &["slowlog"]),
    ("indexing.slowlog", &["include", "level", "reformat", "source", "threshold"]),
    ("indexing.slowlog.include", &["user"]),
    ("indexing.slowlog.threshold", &["index"]),
    ("indexing.slowlog.threshold.index", &SLOWLOG_LEVELS),
    ("indexing_pressure", &["memory"]),
    ("indexing_pressure.memory", &["limit"]),
    (
        "lifecycle",
        &[
            "name",
            "rollover_alias",
            "indexing_complete",
            "origination_date",
            "parse_origination_date",
            "prefer_ilm",
            "step",
            "skip",
        ],
    ),
    ("lifecycle.step", &["wait_time_threshold"]),
    (
        "mapping",
        &[
            "coerce",
            "depth",
            "dimension_fields",
            "exclude_source_vectors",
            "field_name_length",
            "ignore_above",
            "ignore_malformed",
            "nested_fields",
            "nested_objects",
            "nested_parents",
            "semantic_text",
            "source",
            "synthetic_source_keep",
            "total_fields",
            "use_doc_values_skipper",
        ],
    ),
    ("mapping.depth", &["limit"]),
    ("mapping.dimension_fields", &["limit"]),
    ("mapping.field_name_length", &["ignore_dynamic_beyond_limit", "limit"]),
    ("mapping.nested_fields", &["limit"]),
    ("mapping.nested_objects", &["limit"]),
    ("mapping.nested_parents", &["limit"]),
    ("mapping.semantic_text", &["use_legacy_format"]),
    ("mapping.source", &["mode"]),
    ("mapping.total_fields", &["ignore_dynamic_beyond_limit", "limit"]),
    ("merge", &["enabled", "policy", "scheduler"]),
    (
        "merge.policy",
        &[
            "compound_format",
            "deletes_pct_allowed",
            "expunge_deletes_allowed",
            "floor_segment",
            "max_merge_at_once",
            "max_merge_at_once_explicit",
            "max_merged_segment",
            "max_time_based_merged_segment",
            "merge_factor",
            "reclaim_deletes_weight",
            "segments_per_tier",
            "type",
        ],
    ),
    ("merge.scheduler", &["auto_throttle", "max_merge_count", "max_thread_count"]),
    ("queries", &["cache"]),
    ("queries.cache", &["enabled"]),
    ("query", &["default_field", "parse"]),
    ("query.parse", &["allow_unmapped_fields"]),
    ("query_string", &["lenient"]),
    ("requests", &["cache"]),
    ("requests.cache", &["enable"]),
    ("routing", &["allocation", "rebalance"]),
    ("routing.allocation", &["disk", "enable", "exclude", "include", "initial_recovery", "require", "total_shards_per_node"]),
    ("routing.allocation.disk", &["threshold_enabled"]),
    ("routing.rebalance", &["enable"]),
    ("search", &["check_ccs_compatibility", "idle", "slowlog", "throttled"]),
    ("search.idle", &["after"]),
    ("search.slowlog", &["include", "level", "reformat", "source", "threshold"]),
    ("search.slowlog.include", &["user"]),
    ("search.slowlog.threshold", &["fetch", "query"]),
    ("search.slowlog.threshold.fetch", &SLOWLOG_LEVELS),
    ("search.slowlog.threshold.query", &SLOWLOG_LEVELS),
    ("soft_deletes", &["enabled", "retention", "retention_lease"]),
    ("soft_deletes.retention", &["operations"]),
    ("soft_deletes.retention_lease", &["period"]),
    ("sort", &["field", "missing", "mode", "order"]),
    ("store", &["allow_mmap", "fs", "hybrid", "preload", "snapshot", "stats_refresh_interval", "type"]),
    ("time_series", &["end_time", "es87tsdb_codec", "start_time", "temporality_field"]),
    (
        "translog",
        &["durability", "flush_threshold_age", "flush_threshold_size", "generation_threshold_size", "retention", "sync_interval"],
    ),
    ("translog.retention", &["age", "size"]),
    ("unassigned", &["node_left"]),
    ("unassigned.node_left", &["delayed_timeout"]),
    ("write", &["wait_for_active_shards"]),
];
const SLOWLOG_LEVELS: [&str; 4] = ["debug", "info", "trace", "warn"];

pub fn settings(at: At, checked: &mut Checked) {
    let Some(section) = checked.section(at) else { return };
    let mut flat = std::collections::BTreeMap::new();
    for (key, value) in section {
        flatten(key, value, &mut vec![key], &mut flat);
    }
    for (name, (place, value)) in flat {
        let here: Vec<&str> = at.iter().copied().chain(place.iter().copied()).collect();
        // `index` itself may be omitted.
        let short = name.strip_prefix("index.").unwrap_or(&name);
        let group = short.split('.').next().unwrap_or_default();
        if PRIVATE_SETTINGS.contains(&group) {
            checked.fault(&here, "is a setting that Elasticsearch sets itself", "remove it");
        } else if !SETTING_GROUPS.contains(&group) {
            let near = SETTING_GROUPS.iter().find(|known| known.starts_with(group) || group.starts_with(**known));
            let remedy = near.map_or_else(|| "correct its name".to_owned(), |near| format!("did you mean index.{near}?"));
            checked.fault(&here, format!("is an unknown setting index.{short}"), remedy);
        } else if let Some((group, known)) = unknown_step(short) {
            let known: Vec<_> = known.iter().map(|step| format!("index.{group}.{step}")).collect();
            checked.fault(&here, format!("is an unknown setting index.{short}"), format!("known: {}", known.join(", ")));
        }
        setting_values::check(short, value, &here, checked);
    }
    analysis::analysis(at, checked);
}

/// Returns the group of a setting with an unknown step, and the allowed steps.
fn unknown_step(name: &str) -> Option<(&'static str, &'static [&'static str])> {
    STEPS.iter().copied().find(|(group, known)| {
        let rest = name.strip_prefix(group).and_then(|rest| rest.strip_prefix('.'));
        rest.is_some_and(|rest| !known.contains(&rest.split('.').next().unwrap_or_default()))
    })
}

type Flat<'a> = std::collections::BTreeMap<String, (Vec<&'a str>, &'a Value)>;

fn flatten<'a>(name: &str, value: &'a Value, place: &mut Vec<&'a str>, flat: &mut Flat<'a>) {
    // Names under these groups are chosen by the user.
    let own = ["analysis", "index.analysis", "similarity", "index.similarity"].contains(&name);
    match value.as_object().filter(|_| !own) {
        Some(section) => {
            for (key, value) in section {
                place.push(key);
                flatten(&format!("{name}.{key}"), value, place, flat);
                place.pop();
            }
        }
        None => drop(flat.insert(name.to_owned(), (place.clone(), value))),
    }
}
