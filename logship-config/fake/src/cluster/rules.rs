//! What Elasticsearch refuses of a template's inner part: settings that it does not know or whose values it cannot read.

use std::collections::BTreeMap;

use serde_json::Value;

use super::settings;
use crate::answer::{Answer, Refused};

/// First steps of known index settings.
const KNOWN: &[&str] = &[
    "analysis",
    "auto_expand_replicas",
    "blocks",
    "codec",
    "default_pipeline",
    "final_pipeline",
    "gc_deletes",
    "hidden",
    "highlight",
    "indexing",
    "lifecycle",
    "mapping",
    "max_result_window",
    "merge",
    "mode",
    "number_of_replicas",
    "number_of_routing_shards",
    "number_of_shards",
    "priority",
    "query",
    "refresh_interval",
    "routing",
    "search",
    "similarity",
    "sort",
    "store",
    "time_series",
    "translog",
    "unassigned",
    "write",
    "max_ngram_diff",
    "max_docvalue_fields_search",
    "routing_path",
    "format",
    "load_fixed_bitset_filters_eagerly",
    "soft_deletes",
    "shard",
    "recovery",
    "queries",
];

const MAPPING_LIMITS: &[&str] = &[
    "coerce",
    "total_fields",
    "depth",
    "nested_fields",
    "nested_objects",
    "nested_parents",
    "field_name_length",
    "dimension_fields",
    "source",
    "ignore_malformed",
    "synthetic_source_keep",
];

const SECTIONS: [&str; 5] = ["settings", "mappings", "aliases", "lifecycle", "data_stream_options"];

pub fn template(inner: &Value) -> Refused<()> {
    if let Some(unknown) = inner.as_object().and_then(|inner| super::compose::unknown(inner, &SECTIONS)) {
        return Err(Answer::error(400, "x_content_parse_exception", format!("[1:2] [template] unknown field [{unknown}]")));
    }
    let mut flat = BTreeMap::new();
    settings::flatten("index", &inner["settings"], &mut flat);
    let refuse = |reason: String| Err(Answer::illegal_argument(reason));
    for (name, value) in &flat {
        let group = name.trim_start_matches("index.").split('.').next().unwrap_or_default();
        if !KNOWN.contains(&group) {
            return refuse(format!(
                "unknown setting [{name}] please check that any required plugins are installed, or check the breaking changes \
                 documentation for removed settings"
            ));
        }
        let mapping = name.strip_prefix("index.mapping.").and_then(|rest| rest.split('.').next());
        if mapping.is_some_and(|limit| !MAPPING_LIMITS.contains(&limit)) {
            return refuse(format!("unknown setting [{name}] please check that any required plugins are installed"));
        }
        let whole = value.parse::<i64>();
        match (name.as_str(), whole) {
            ("index.number_of_shards" | "index.number_of_replicas", Err(_)) => {
                return refuse(format!("Failed to parse value [{value}] for setting [{name}]"));
            }
            ("index.number_of_shards", Ok(number)) if number < 1 => {
                return refuse(format!("Failed to parse value [{value}] for setting [{name}] must be >= 1"));
            }
            _ => {}
        }
        if name == "index.refresh_interval" && value != "-1" && duration(value).is_none() {
            return refuse(format!(
                "failed to parse setting [{name}] with value [{value}] as a time value: unit is missing or unrecognized"
            ));
        }
    }
    fields(&inner["mappings"])
}

/// Parameters of a mapping's root and of fields, whatever their type.
const MAPPING: &[&str] = &[
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
const FIELD: &[&str] = &[
    "type",
    "properties",
    "fields",
    "dynamic",
    "enabled",
    "subobjects",
    "ignore_above",
    "index",
    "doc_values",
    "store",
    "format",
    "null_value",
    "copy_to",
    "analyzer",
    "search_analyzer",
    "search_quote_analyzer",
    "normalizer",
    "norms",
    "ignore_malformed",
    "coerce",
    "scaling_factor",
    "eager_global_ordinals",
    "fielddata",
    "fielddata_frequency_filter",
    "index_options",
    "index_prefixes",
    "index_phrases",
    "similarity",
    "term_vector",
    "position_increment_gap",
    "meta",
    "path",
    "value",
    "depth_limit",
    "split_queries_on_whitespace",
    "time_series_dimension",
    "time_series_metric",
    "time_series_dimensions",
    "locale",
    "script",
    "on_script_error",
    "dims",
    "index_options",
    "metrics",
    "default_metric",
    "include_in_parent",
    "include_in_root",
    "priority",
    "max_shingle_size",
    "positive_score_impact",
    "ignore_z_value",
    "orientation",
    "relations",
    "inference_id",
];
const TYPES: &[&str] = &[
    "aggregate_metric_double",
    "alias",
    "binary",
    "boolean",
    "byte",
    "completion",
    "constant_keyword",
    "date",
    "date_nanos",
    "date_range",
    "dense_vector",
    "double",
    "double_range",
    "flattened",
    "float",
    "float_range",
    "geo_point",
    "geo_shape",
    "half_float",
    "histogram",
    "integer",
    "integer_range",
    "ip",
    "ip_range",
    "join",
    "keyword",
    "long",
    "long_range",
    "match_only_text",
    "nested",
    "object",
    "passthrough",
    "percolator",
    "point",
    "rank_feature",
    "rank_features",
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

fn fields(mappings: &Value) -> Refused<()> {
    let parse = |reason: String| Answer::error(400, "mapper_parsing_exception", reason);
    let Some(root) = mappings.as_object() else { return Ok(()) };
    if let Some(unknown) = super::compose::unknown(root, MAPPING) {
        return Err(parse(format!("Root mapping definition has unsupported parameters:  [{unknown} : {}]", root[unknown])));
    }
    properties(&mappings["properties"])
}

fn properties(properties: &Value) -> Refused<()> {
    let parse = |reason: String| Answer::error(400, "mapper_parsing_exception", reason);
    for (name, field) in properties.as_object().into_iter().flatten() {
        let Some(parameters) = field.as_object() else {
            return Err(parse(format!("Expected map for property [fields] on field [{name}] but got a class java.lang.String")));
        };
        let kind = field["type"].as_str().unwrap_or("object");
        if !TYPES.contains(&kind) {
            return Err(parse(format!("The mapper type [{kind}] declared on field [{name}] does not exist.")));
        }
        if let Some(unknown) = super::compose::unknown(parameters, FIELD) {
            return Err(parse(format!("unknown parameter [{unknown}] on mapper [{name}] of type [{kind}]")));
        }
        self::properties(&field["properties"])?;
        self::properties(&field["fields"])?;
    }
    Ok(())
}

/// Milliseconds of a time value (`TimeValue.parseTimeValue`); `None` where it is refused.
pub fn duration(text: &str) -> Option<i64> {
    let text = text.trim().to_lowercase();
    if text == "0" {
        return Some(0);
    }
    let digits = text.find(|character: char| !character.is_ascii_digit())?;
    let number: i64 = text[..digits].parse().ok()?;
    match text[digits..].trim() {
        "d" => number.checked_mul(86_400_000),
        "h" => number.checked_mul(3_600_000),
        "m" => number.checked_mul(60_000),
        "s" => number.checked_mul(1000),
        "ms" => Some(number),
        "micros" => Some(number / 1000),
        "nanos" => Some(number / 1_000_000),
        _ => None,
    }
}

/// Bytes of a size (`ByteSizeValue.parseBytesSizeValue`); `None` where it is refused.
pub fn size(text: &str) -> Option<u64> {
    let text = text.trim().to_lowercase();
    if text == "0" {
        return Some(0);
    }
    let digits = text.find(|character: char| !character.is_ascii_digit() && character != '.')?;
    let number: f64 = text[..digits].parse().ok()?;
    let shift = match text[digits..].trim() {
        "b" => 0,
        "k" | "kb" => 10,
        "m" | "mb" => 20,
        "g" | "gb" => 30,
        "t" | "tb" => 40,
        "p" | "pb" => 50,
        _ => return None,
    };
    Some((number * (1u64 << shift) as f64) as u64)
}
