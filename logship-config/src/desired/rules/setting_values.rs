//! This module checks the values of index settings by their type: numbers, booleans, durations, sizes and choices.
//!
//! Source: IndexScopedSettings of Elasticsearch 9.5. Settings of other types, and those of plugins, have any value here.

use serde_json::Value;

use super::{Checked, checked::At};
use crate::units;

const BOOLEANS: &[&str] = &[
    "blocks.metadata",
    "blocks.read",
    "blocks.read_only",
    "blocks.read_only_allow_delete",
    "blocks.write",
    "hidden",
    "highlight.weight_matches_mode.enabled",
    "indexing.slowlog.include.user",
    "indexing.slowlog.reformat",
    "lifecycle.indexing_complete",
    "lifecycle.parse_origination_date",
    "lifecycle.prefer_ilm",
    "lifecycle.skip",
    "load_fixed_bitset_filters_eagerly",
    "mapping.coerce",
    "mapping.exclude_source_vectors",
    "mapping.field_name_length.ignore_dynamic_beyond_limit",
    "mapping.ignore_malformed",
    "mapping.total_fields.ignore_dynamic_beyond_limit",
    "mapping.use_doc_values_skipper",
    "merge.scheduler.auto_throttle",
    "queries.cache.enabled",
    "query.parse.allow_unmapped_fields",
    "query_string.lenient",
    "requests.cache.enable",
    "search.slowlog.include.user",
    "soft_deletes.enabled",
];
/// `-1` switches these off.
const DURATIONS_OR_OFF: &[&str] = &[
    "indexing.slowlog.threshold.index.debug",
    "indexing.slowlog.threshold.index.info",
    "indexing.slowlog.threshold.index.trace",
    "indexing.slowlog.threshold.index.warn",
    "refresh_interval",
    "search.slowlog.threshold.fetch.debug",
    "search.slowlog.threshold.fetch.info",
    "search.slowlog.threshold.fetch.trace",
    "search.slowlog.threshold.fetch.warn",
    "search.slowlog.threshold.query.debug",
    "search.slowlog.threshold.query.info",
    "search.slowlog.threshold.query.trace",
    "search.slowlog.threshold.query.warn",
    "translog.retention.age",
];
const DURATIONS: &[&str] = &[
    "gc_deletes",
    "lifecycle.step.wait_time_threshold",
    "search.idle.after",
    "soft_deletes.retention_lease.period",
    "store.stats_refresh_interval",
    "translog.flush_threshold_age",
    "translog.sync_interval",
    "unassigned.node_left.delayed_timeout",
];
const SIZES: &[&str] = &[
    "merge.policy.floor_segment",
    "merge.policy.max_merged_segment",
    "translog.flush_threshold_size",
    "translog.generation_threshold_size",
];
/// Elasticsearch refuses a translog that is smaller than its header.
const SMALLEST_TRANSLOG_BYTES: u64 = 55;
/// Whole numbers, with the least of each.
const NUMBERS: &[(&str, i64)] = &[
    ("analyze.max_token_count", 1),
    ("highlight.max_analyzed_offset", -1),
    ("mapping.depth.limit", 1),
    ("mapping.field_name_length.limit", 1),
    ("mapping.nested_fields.limit", 0),
    ("mapping.nested_objects.limit", 0),
    ("mapping.total_fields.limit", 0),
    ("max_docvalue_fields_search", 0),
    ("max_inner_result_window", 1),
    ("max_ngram_diff", 0),
    ("max_refresh_listeners", 0),
    ("max_regex_length", 1),
    ("max_rescore_window", 1),
    ("max_result_window", 1),
    ("max_script_fields", 0),
    ("max_shingle_diff", 0),
    ("max_slices_per_scroll", 1),
    ("max_terms_count", 1),
    ("number_of_replicas", 0),
    ("number_of_routing_shards", 1),
    ("priority", 0),
    ("routing.allocation.total_shards_per_node", -1),
    ("routing_partition_size", 1),
];
const MOST_SHARDS: i64 = 1024;
const CODECS: [&str; 4] = ["default", "best_compression", "legacy_default", "legacy_best_compression"];
const MODES: [&str; 4] = ["standard", "logsdb", "time_series", "lookup"];

/// Checks the value of the setting `index.<name>`.
pub fn check(name: &str, value: &Value, at: At, checked: &mut Checked) {
    // `null` sets the default.
    if value.is_null() {
        return;
    }
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if let Some(remedy) = remedy(name, &text) {
        checked.fault(at, format!("is {value}, which index.{name} does not accept"), remedy);
    }
}

/// Returns how to correct a value. `None`: it is right.
fn remedy(name: &str, text: &str) -> Option<String> {
    let whole = |least: i64, most: i64| text.parse::<i64>().is_ok_and(|number| (least..=most).contains(&number));
    let (right, remedy) = if BOOLEANS.contains(&name) {
        (text == "true" || text == "false", "write true or false".to_owned())
    } else if DURATIONS_OR_OFF.contains(&name) {
        (text == "-1" || units::duration(text).is_some(), "write a duration such as 30s, or -1".to_owned())
    } else if DURATIONS.contains(&name) {
        (units::duration(text).is_some(), "write a duration, such as 30s".to_owned())
    } else if SIZES.contains(&name) {
        let least = if name.starts_with("translog.") { SMALLEST_TRANSLOG_BYTES } else { 0 };
        (units::size(text).is_some_and(|bytes| bytes >= least), format!("write a size of at least {least}b, such as 512mb"))
    } else if let Some((_, least)) = NUMBERS.iter().find(|(number, _)| *number == name) {
        (whole(*least, i64::from(i32::MAX)), format!("write a whole number, {least} or more"))
    } else {
        match name {
            "number_of_shards" => (whole(1, MOST_SHARDS), format!("write 1 to {MOST_SHARDS}")),
            "auto_expand_replicas" => (is_range(text), "write false, or a range such as 0-1 or 0-all".to_owned()),
            "translog.durability" => {
                (["request", "async"].contains(&text.to_lowercase().as_str()), "choose request or async".to_owned())
            }
            "codec" => (CODECS.contains(&text), "choose default or best_compression".to_owned()),
            "mode" => (MODES.contains(&text.to_lowercase().as_str()), format!("choose {}", MODES.join(", "))),
            _ => return None,
        }
    };
    (!right).then_some(remedy)
}

/// `0-5`, `0-all` or `false`.
fn is_range(text: &str) -> bool {
    let Some((least, most)) = text.split_once('-') else { return text == "false" };
    let least = least.parse::<u32>();
    let most = if most == "all" { Ok(u32::MAX) } else { most.parse::<u32>() };
    matches!((least, most), (Ok(least), Ok(most)) if least <= most)
}
