//! This module checks the parts of a template other than index settings: mappings, aliases, data stream lifecycle and
//! options.
//!
//! Sources: "Mapping", "Data stream lifecycle", "Failure store" of the 9.x reference; DataStreamLifecycle.

use super::{
    Checked,
    checked::{At, join},
};

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
    "synthetic_source_keep",
];
/// Parameters of a field of any type.
const FIELD_PARAMETERS: &[&str] = &[
    "analyzer",
    "coerce",
    "contexts",
    "copy_to",
    "default_metric",
    "depth_limit",
    "dims",
    "doc_values",
    "dynamic",
    "eager_global_ordinals",
    "element_type",
    "enable_position_increments",
    "enabled",
    "fielddata",
    "fielddata_frequency_filter",
    "fields",
    "format",
    "ignore_above",
    "ignore_malformed",
    "ignore_z_value",
    "include_in_parent",
    "include_in_root",
    "index",
    "index_options",
    "index_phrases",
    "index_prefixes",
    "inference_id",
    "locale",
    "max_input_length",
    "max_shingle_size",
    "meta",
    "metrics",
    "norms",
    "null_value",
    "on_script_error",
    "orientation",
    "path",
    "position_increment_gap",
    "positive_score_impact",
    "preserve_position_increments",
    "preserve_separators",
    "priority",
    "properties",
    "relations",
    "scaling_factor",
    "script",
    "search_analyzer",
    "search_inference_id",
    "search_quote_analyzer",
    "similarity",
    "split_queries_on_whitespace",
    "store",
    "strategy",
    "subobjects",
    "synthetic_source_keep",
    "term_vector",
    "time_series_dimension",
    "time_series_dimensions",
    "time_series_metric",
    "type",
    "value",
    "chunking_settings",
    "language",
    "country",
    "variant",
    "strength",
    "decomposition",
    "alternate",
    "case_level",
    "case_first",
    "numeric",
    "variable_top",
    "hiragana_quaternary_mode",
    "rules",
    "normalizer",
];
const DYNAMIC_TEMPLATE_KEYS: [&str; 9] = [
    "mapping",
    "match",
    "match_mapping_type",
    "match_pattern",
    "path_match",
    "path_unmatch",
    "runtime",
    "unmatch",
    "unmatch_mapping_type",
];
const DYNAMIC: [&str; 4] = ["true", "false", "strict", "runtime"];
/// Elasticsearch's own limits of a data stream lifecycle.
const MOST_ROUNDS: usize = 10;
const SHORTEST_ROUND_MILLIS: i64 = 300_000;

pub fn mappings(at: At, checked: &mut Checked) {
    if checked.section(at).is_none() {
        return;
    }
    checked.known(at, MAPPING_KEYS);
    dynamic(at, checked);
    for switch in ["date_detection", "numeric_detection", "subobjects"] {
        checked.boolean(&join(at, switch));
    }
    checked.known(&join(at, "_source"), &["compress", "enabled", "excludes", "includes", "mode"]);
    checked.known(&join(at, "_routing"), &["required"]);
    for (place, template) in checked.list(&join(at, "dynamic_templates")).into_iter().flatten().enumerate() {
        let (list, place) = (join(at, "dynamic_templates"), place.to_string());
        let here = join(&list, &place);
        match template.as_object().filter(|template| template.len() == 1).and_then(|template| template.keys().next()) {
            Some(name) => {
                let template = join(&here, name);
                checked.known(&template, &DYNAMIC_TEMPLATE_KEYS);
                checked.known(&join(&template, "mapping"), FIELD_PARAMETERS);
            }
            None => {
                checked.fault(&here, "is not a dynamic template", "write `- name: {match_mapping_type: …, mapping: {…}}`");
            }
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
                checked.fault(&here, "is empty", "write its type, such as {type: keyword}");
            }
            continue;
        };
        checked.known(&here, FIELD_PARAMETERS);
        let kind = checked.text(&join(&here, "type"));
        match kind {
            None if !field.contains_key("properties")
                && !field.contains_key("type")
                && !field.contains_key("dynamic")
                && !field.contains_key("enabled") =>
            {
                checked.fault(&here, "has neither type nor properties", "write its type, such as {type: keyword}");
            }
            Some(kind) if !FIELD_TYPES.contains(&kind) => {
                checked.fault(
                    &join(&here, "type"),
                    format!("is {kind:?}, not a field type"),
                    "correct it, for example keyword, long or date",
                );
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
        if checked.value(&here).is_none() {
            checked.fault(&here, "is empty", "write {} for an alias without options");
        }
        checked.section(&here);
        checked.known(&here, &["filter", "index_routing", "search_routing", "routing", "is_write_index", "is_hidden"]);
        checked.section(&join(&here, "filter"));
        // Elasticsearch silently ignores a number as routing.
        for routing in ["index_routing", "search_routing", "routing"] {
            checked.text(&join(&here, routing));
        }
        checked.boolean(&join(&here, "is_write_index"));
        checked.boolean(&join(&here, "is_hidden"));
    }
}

/// Checks a data stream lifecycle, in a template or of a stream.
pub fn check_lifecycle(at: At, checked: &mut Checked) {
    if checked.section(at).is_none() {
        return;
    }
    checked.known(at, &["enabled", "data_retention", "downsampling", "downsampling_method", "frozen_after"]);
    checked.boolean(&join(at, "enabled"));
    // Unlike other durations, it must be a text.
    if checked.text(&join(at, "frozen_after")).is_some() {
        checked.duration(&join(at, "frozen_after"));
    }
    retention(at, checked);
    let here = join(at, "downsampling");
    let rounds = checked.list(&here);
    if checked.one_of(&join(at, "downsampling_method"), &["aggregate", "last_value"]).is_some() && rounds.is_none() {
        checked.fault(&join(at, "downsampling_method"), "is set without downsampling", "add downsampling, or remove it");
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
            checked.fault(&join(&round, "fixed_interval"), "is below 5m, the minimum", "choose a longer interval");
        }
        if let Some((earlier, smaller)) = before {
            if after <= earlier {
                checked.fault(&join(&round, "after"), "is not later than the previous round", "use increasing values of after");
            }
            if interval <= smaller || smaller > 0 && interval % smaller != 0 {
                checked.fault(
                    &join(&round, "fixed_interval"),
                    "is not a larger multiple of the previous round",
                    "choose a multiple of the previous value",
                );
            }
        }
        before = Some((after, interval));
    }
}

/// Checks `failure_store` of a stream or of a template's options.
pub fn failure_store(at: At, checked: &mut Checked) {
    if checked.section(at).is_none() {
        return;
    }
    checked.known(at, &["enabled", "lifecycle"]);
    if checked.boolean(&join(at, "enabled")).is_none() && checked.value(&join(at, "lifecycle")).is_none() {
        checked.fault(at, "is empty", "write enabled: true or false");
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
        checked.fault(&join(at, "data_retention"), "is 0", "set the retention time, or remove it to retain documents forever");
    }
}
