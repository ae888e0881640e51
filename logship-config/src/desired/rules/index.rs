//! What a template gives to an index: settings, mappings, aliases, data stream lifecycle and options.
//!
//! Sources: "Index settings", "Mapping", "Data stream lifecycle", "Failure store" of the 9.x reference; DataStreamLifecycle.

use serde_json::Value;

use super::{
    Checked,
    checked::{At, join},
};
use crate::units;

/// Settings by their first step after `index.`; what stands behind it is checked for those that this program reads.
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
/// What Elasticsearch sets itself and refuses in a template.
const PRIVATE_SETTINGS: [&str; 5] = ["uuid", "creation_date", "provided_name", "version", "verified_before_close"];
const LIFECYCLE_SETTINGS: [&str; 8] =
    ["name", "rollover_alias", "indexing_complete", "origination_date", "parse_origination_date", "prefer_ilm", "step", "skip"];
const FIELD_TYPES: &[&str] = &[
    "aggregate_metric_double",
    "alias",
    "annotated_text",
    "binary",
    "boolean",
    "byte",
    "completion",
    "constant_keyword",
    "counted_keyword",
    "date",
    "date_nanos",
    "date_range",
    "dense_vector",
    "double",
    "double_range",
    "exponential_histogram",
    "flattened",
    "float",
    "float_range",
    "geo_point",
    "geo_shape",
    "half_float",
    "histogram",
    "icu_collation_keyword",
    "integer",
    "integer_range",
    "ip",
    "ip_range",
    "join",
    "keyword",
    "long",
    "long_range",
    "match_only_text",
    "murmur3",
    "nested",
    "object",
    "passthrough",
    "pattern_text",
    "percolator",
    "point",
    "rank_feature",
    "rank_features",
    "rank_vectors",
    "scaled_float",
    "search_as_you_type",
    "semantic_text",
    "shape",
    "short",
    "sparse_vector",
    "text",
    "token_count",
    "unsigned_long",
    "version",
    "wildcard",
];
const MAPPING_KEYS: &[&str] = &[
    "_data_stream_timestamp",
    "_doc",
    "_field_names",
    "_meta",
    "_routing",
    "_size",
    "_source",
    "date_detection",
    "dynamic",
    "dynamic_date_formats",
    "dynamic_templates",
    "enabled",
    "numeric_detection",
    "properties",
    "runtime",
    "subobjects",
];
const DYNAMIC: [&str; 4] = ["true", "false", "strict", "runtime"];
/// Elasticsearch's own limits of a data stream lifecycle.
const MOST_ROUNDS: usize = 10;
const SHORTEST_ROUND_MILLIS: i64 = 300_000;

pub fn settings(at: At, checked: &mut Checked) {
    let Some(section) = checked.section(at) else { return };
    let mut flat = std::collections::BTreeMap::new();
    for (key, value) in section {
        flatten(key, value, &mut vec![key], &mut flat);
    }
    for (name, (place, value)) in flat {
        let here: Vec<&str> = at.iter().copied().chain(place.iter().copied()).collect();
        // `index` itself may be left out.
        let short = name.strip_prefix("index.").unwrap_or(&name);
        let (group, rest) = short.split_once('.').unwrap_or((short, ""));
        if PRIVATE_SETTINGS.contains(&group) {
            checked.fault(&here, "is a setting that Elasticsearch makes itself", "remove it");
        } else if !SETTING_GROUPS.contains(&group) {
            let near = SETTING_GROUPS.iter().find(|known| known.starts_with(group) || group.starts_with(**known));
            let remedy = near.map_or_else(|| "correct its name".to_owned(), |near| format!("did you mean index.{near}?"));
            checked.fault(&here, format!("is an unknown setting index.{short}"), remedy);
        } else if group == "lifecycle" && !LIFECYCLE_SETTINGS.contains(&rest.split('.').next().unwrap_or_default()) {
            let remedy = format!("known: {}", LIFECYCLE_SETTINGS.map(|name| format!("index.lifecycle.{name}")).join(", "));
            checked.fault(&here, format!("is an unknown setting index.{short}"), remedy);
        }
        setting_value(short, value, &here, checked);
    }
}

/// The values of settings whose units and bounds people get wrong.
fn setting_value(name: &str, value: &Value, at: At, checked: &mut Checked) {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let whole = |least: i64| text.parse::<i64>().is_ok_and(|number| number >= least);
    let (right, remedy) = match name {
        "number_of_shards" => (whole(1) && text.parse::<i64>().is_ok_and(|number| number <= 1024), "write 1 to 1024"),
        "number_of_replicas" | "priority" => (whole(0), "write a whole number, 0 or more"),
        "mapping.total_fields.limit" | "mapping.depth.limit" | "mapping.nested_fields.limit" | "max_result_window" => {
            (whole(1), "write a whole number, 1 or more")
        }
        "routing.allocation.total_shards_per_node" => (whole(-1), "write a whole number, or -1 for no limit"),
        "refresh_interval" => (text == "-1" || units::duration(&text).is_some(), "write a span of time as 30s, or -1"),
        "translog.sync_interval" | "gc_deletes" | "unassigned.node_left.delayed_timeout" | "search.idle.after" => {
            (units::duration(&text).is_some(), "write a span of time, as 30s")
        }
        "translog.flush_threshold_size" => (units::size(&text).is_some(), "write a size, as 512mb"),
        "translog.durability" => (["request", "async"].contains(&text.to_lowercase().as_str()), "choose request or async"),
        "codec" => (
            ["default", "best_compression", "legacy_default", "legacy_best_compression"].contains(&text.as_str()),
            "choose default or best_compression",
        ),
        "mode" => (
            ["standard", "logsdb", "time_series", "lookup"].contains(&text.as_str()),
            "choose standard, logsdb, time_series or lookup",
        ),
        "hidden"
        | "lifecycle.prefer_ilm"
        | "mapping.ignore_malformed"
        | "lifecycle.indexing_complete"
        | "mapping.total_fields.ignore_dynamic_beyond_limit" => (text == "true" || text == "false", "write true or false"),
        _ => return,
    };
    if !right && !value.is_null() {
        checked.fault(at, format!("is {value}, which index.{name} does not take"), remedy);
    }
}

type Flat<'a> = std::collections::BTreeMap<String, (Vec<&'a str>, &'a Value)>;

fn flatten<'a>(name: &str, value: &'a Value, place: &mut Vec<&'a str>, flat: &mut Flat<'a>) {
    // Names under these groups are the user's own.
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

pub fn mappings(at: At, checked: &mut Checked) {
    if checked.section(at).is_none() {
        return;
    }
    checked.known(at, MAPPING_KEYS);
    dynamic(at, checked);
    for switch in ["date_detection", "numeric_detection", "subobjects"] {
        checked.boolean(&join(at, switch));
    }
    for (place, template) in checked.list(&join(at, "dynamic_templates")).into_iter().flatten().enumerate() {
        let place = place.to_string();
        if template.as_object().is_none_or(|template| template.len() != 1) {
            let here = join(at, "dynamic_templates");
            checked.fault(
                &join(&here, &place),
                "is no dynamic template",
                "write `- name: {match_mapping_type: …, mapping: {…}}`",
            );
        }
    }
    properties(&join(at, "properties"), checked);
}

fn dynamic(at: At, checked: &mut Checked) {
    let here = join(at, "dynamic");
    let Some(value) = checked.value(&here) else { return };
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if !DYNAMIC.contains(&text.as_str()) {
        checked.fault(&here, format!("is {value}"), format!("choose {}", DYNAMIC.join(", ")));
    }
}

fn properties(at: At, checked: &mut Checked) {
    for (name, _) in checked.section(at).into_iter().flatten() {
        let here = join(at, name);
        let Some(field) = checked.section(&here) else {
            if checked.value(&here).is_none() {
                checked.fault(&here, "is empty", "write its type, as {type: keyword}");
            }
            continue;
        };
        let kind = checked.text(&join(&here, "type"));
        match kind {
            None if !field.contains_key("properties")
                && !field.contains_key("type")
                && !field.contains_key("dynamic")
                && !field.contains_key("enabled") =>
            {
                checked.fault(&here, "has neither type nor properties", "write its type, as {type: keyword}");
            }
            Some(kind) if !FIELD_TYPES.contains(&kind) => {
                checked.fault(&join(&here, "type"), format!("is {kind:?}, no field type"), "correct it, as keyword, long, date");
            }
            _ => {}
        }
        dynamic(&here, checked);
        checked.integer(&join(&here, "ignore_above"), 0..=i64::from(i32::MAX));
        properties(&join(&here, "properties"), checked);
        properties(&join(&here, "fields"), checked);
    }
}

pub fn aliases(at: At, checked: &mut Checked) {
    for (name, _) in checked.section(at).into_iter().flatten() {
        let here = join(at, name);
        checked.section(&here);
        checked.known(&here, &["filter", "index_routing", "search_routing", "routing", "is_write_index", "is_hidden"]);
        checked.boolean(&join(&here, "is_write_index"));
        checked.boolean(&join(&here, "is_hidden"));
    }
}

/// A data stream lifecycle, in a template or of a stream.
pub fn lifecycle(at: At, checked: &mut Checked) {
    if checked.section(at).is_none() {
        return;
    }
    checked.known(at, &["enabled", "data_retention", "downsampling", "downsampling_method"]);
    checked.boolean(&join(at, "enabled"));
    retention(at, checked);
    let here = join(at, "downsampling");
    let rounds = checked.list(&here);
    if checked.one_of(&join(at, "downsampling_method"), &["aggregate", "last_value"]).is_some() && rounds.is_none() {
        checked.fault(&join(at, "downsampling_method"), "stands without downsampling", "write downsampling, or remove it");
    }
    let Some(rounds) = rounds else { return };
    if rounds.is_empty() || rounds.len() > MOST_ROUNDS {
        checked.fault(&here, format!("has {} rounds", rounds.len()), format!("write 1 to {MOST_ROUNDS}, or remove it"));
    }
    let mut before: Option<(i64, i64)> = None;
    for place in 0..rounds.len() {
        let place = place.to_string();
        let round = join(&here, &place);
        checked.section(&round);
        checked.known(&round, &["after", "fixed_interval"]);
        checked.required_text(&join(&round, "after"));
        checked.required_text(&join(&round, "fixed_interval"));
        let (after, interval) = (checked.duration(&join(&round, "after")), checked.duration(&join(&round, "fixed_interval")));
        let (Some(after), Some(interval)) = (after, interval) else { continue };
        if interval < SHORTEST_ROUND_MILLIS {
            checked.fault(&join(&round, "fixed_interval"), "is below 5m, the least", "choose a longer interval");
        }
        if let Some((earlier, smaller)) = before {
            if after <= earlier {
                checked.fault(&join(&round, "after"), "does not come after the round before", "let after grow");
            }
            if interval <= smaller || smaller > 0 && interval % smaller != 0 {
                checked.fault(
                    &join(&round, "fixed_interval"),
                    "is no larger multiple of the round before",
                    "choose a multiple of it",
                );
            }
        }
        before = Some((after, interval));
    }
}

/// `failure_store` of a stream or of a template's options.
pub fn failure_store(at: At, checked: &mut Checked) {
    if checked.section(at).is_none() {
        return;
    }
    checked.known(at, &["enabled", "lifecycle"]);
    if checked.boolean(&join(at, "enabled")).is_none() && checked.value(&join(at, "lifecycle")).is_none() {
        checked.fault(at, "says nothing", "write enabled: true or false");
    }
    let here = join(at, "lifecycle");
    if checked.section(&here).is_some() {
        checked.known(&here, &["enabled", "data_retention"]);
        checked.boolean(&join(&here, "enabled"));
        retention(&here, checked);
    }
}

fn retention(at: At, checked: &mut Checked) {
    if checked.duration(&join(at, "data_retention")) == Some(0) {
        checked.fault(&join(at, "data_retention"), "is 0", "choose how long to keep, or remove it to keep for ever");
    }
}
