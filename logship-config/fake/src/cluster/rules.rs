//! What Elasticsearch refuses of a template's inner part: settings that it does not know or whose values it cannot read.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{compose, settings, types, units};
use crate::answer::{FakeAnswer, Refused};

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
    "query_string",
    "refresh_interval",
    "requests",
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

/// Groups with their known next steps, the innermost group first.
const CLOSED: &[(&str, &[&str])] = &[
    ("index.indexing.slowlog.", &["level", "source", "reformat", "threshold", "include"]),
    ("index.lifecycle.step.", &["wait_time_threshold"]),
    ("index.mapping.depth.", &["limit"]),
    ("index.mapping.dimension_fields.", &["limit"]),
    ("index.mapping.field_name_length.", &["limit", "ignore_dynamic_beyond_limit"]),
    ("index.mapping.nested_fields.", &["limit"]),
    ("index.mapping.nested_objects.", &["limit"]),
    ("index.mapping.source.", &["mode"]),
    ("index.mapping.total_fields.", &["limit", "ignore_dynamic_beyond_limit"]),
    ("index.merge.scheduler.", &["max_thread_count", "max_merge_count", "auto_throttle"]),
    ("index.queries.cache.", &["enabled"]),
    (
        "index.routing.allocation.",
        &["enable", "include", "exclude", "require", "initial_recovery", "disk", "total_shards_per_node"],
    ),
    ("index.routing.rebalance.", &["enable"]),
    ("index.search.idle.", &["after"]),
    ("index.search.slowlog.", &["level", "source", "reformat", "threshold", "include"]),
    ("index.soft_deletes.retention_lease.", &["period"]),
    ("index.translog.retention.", &["age", "size"]),
    ("index.unassigned.node_left.", &["delayed_timeout"]),
    ("index.blocks.", &["read_only", "read_only_allow_delete", "read", "write", "metadata"]),
    ("index.highlight.", &["max_analyzed_offset", "weight_matches_mode"]),
    ("index.indexing.", &["slowlog"]),
    (
        "index.lifecycle.",
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
    (
        "index.mapping.",
        &[
            "coerce",
            "total_fields",
            "depth",
            "nested_fields",
            "nested_objects",
            "nested_parents",
            "field_name_length",
            "dimension_fields",
            "source",
            "ignore_above",
            "ignore_malformed",
            "synthetic_source_keep",
        ],
    ),
    ("index.merge.", &["scheduler", "policy", "enabled"]),
    ("index.queries.", &["cache"]),
    ("index.query.", &["default_field", "parse"]),
    ("index.query_string.", &["lenient"]),
    ("index.routing.", &["allocation", "rebalance"]),
    ("index.search.", &["idle", "slowlog", "throttled"]),
    ("index.soft_deletes.", &["enabled", "retention", "retention_lease"]),
    ("index.sort.", &["field", "order", "mode", "missing"]),
    ("index.store.", &["type", "allow_mmap", "stats_refresh_interval", "preload", "fs"]),
    ("index.translog.", &["durability", "sync_interval", "flush_threshold_size", "generation_threshold_size", "retention"]),
    ("index.unassigned.", &["node_left"]),
];

const SECTIONS: [&str; 5] = ["settings", "mappings", "aliases", "lifecycle", "data_stream_options"];

/// Keys below which a template may hold `null`.
const NULLABLE: [&str; 7] =
    ["settings", "mappings", "aliases", "_meta", "data_retention", "data_stream_options", "failure_store"];

/// Refuses `null` in a whole template.
pub fn no_nulls(parser: &str, body: &Value) -> Refused<()> {
    types::no_nulls(parser, body, &NULLABLE)?;
    for (parent, key) in
        [(body, "_meta")].into_iter().chain(["settings", "mappings", "aliases"].map(|key| (&body["template"], key)))
    {
        if parent.get(key).is_some_and(Value::is_null) {
            types::check_type(parser, key, &Value::Null, types::Type::Object)?;
        }
    }
    Ok(())
}

pub fn template(inner: &Value) -> Refused<()> {
    compose::strict(inner, "template", &SECTIONS)?;
    compose::strict_lifecycle(&inner["lifecycle"])?;
    compose::strict(&inner["data_stream_options"], "data_stream_options", &["failure_store"])?;
    compose::strict_failure_store(&inner["data_stream_options"]["failure_store"])?;
    for alias in inner["aliases"].as_object().into_iter().flat_map(|aliases| aliases.values()) {
        let known = ["filter", "routing", "index_routing", "search_routing", "is_write_index", "is_hidden", "must_exist"];
        compose::strict(alias, "alias", &known)?;
    }
    let mut flat = BTreeMap::new();
    settings::flatten("index", &inner["settings"], &mut flat);
    let refuse = |reason: String| Err(FakeAnswer::illegal_argument(reason));
    for (name, value) in &flat {
        let group = name.trim_start_matches("index.").split('.').next().unwrap_or_default();
        if !KNOWN.contains(&group) {
            return refuse(format!(
                "unknown setting [{name}] please check that any required plugins are installed, or check the breaking changes \
                 documentation for removed settings"
            ));
        }
        let closed = CLOSED.iter().find_map(|(group, known)| Some((name.strip_prefix(group)?.split('.').next()?, known)));
        if closed.is_some_and(|(step, known)| !known.contains(&step)) {
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
        if name == "index.refresh_interval" && value != "-1" && units::duration(value).is_none() {
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
    "synthetic_source_keep",
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
    "synthetic_source_keep",
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
    let parse = |reason: String| FakeAnswer::error(400, "mapper_parsing_exception", reason);
    let Some(root) = mappings.as_object() else { return Ok(()) };
    if let Some(unknown) = compose::unknown(root, MAPPING) {
        return Err(parse(format!("Root mapping definition has unsupported parameters:  [{unknown} : {}]", root[unknown])));
    }
    compose::strict(&mappings["_source"], "_source", &["enabled", "mode", "includes", "excludes", "compress"])?;
    compose::strict(&mappings["_routing"], "_routing", &["required"])?;
    for template in mappings["dynamic_templates"].as_array().into_iter().flatten() {
        for (name, template) in template.as_object().into_iter().flatten() {
            compose::strict(template, &format!("dynamic template {name}"), DYNAMIC_TEMPLATE)?;
            if let Some(unknown) = template["mapping"].as_object().and_then(|mapping| compose::unknown(mapping, FIELD)) {
                return Err(parse(format!("dynamic template [{name}] has invalid content: unknown parameter [{unknown}]")));
            }
        }
    }
    properties(&mappings["properties"])
}

const DYNAMIC_TEMPLATE: &[&str] = &[
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

fn properties(properties: &Value) -> Refused<()> {
    let parse = |reason: String| FakeAnswer::error(400, "mapper_parsing_exception", reason);
    for (name, field) in properties.as_object().into_iter().flatten() {
        let Some(parameters) = field.as_object() else {
            return Err(parse(format!("Expected map for property [fields] on field [{name}] but got a class java.lang.String")));
        };
        let kind = field["type"].as_str().unwrap_or("object");
        if !TYPES.contains(&kind) {
            return Err(parse(format!("The mapper type [{kind}] declared on field [{name}] does not exist.")));
        }
        if let Some(unknown) = compose::unknown(parameters, FIELD) {
            return Err(parse(format!("unknown parameter [{unknown}] on mapper [{name}] of type [{kind}]")));
        }
        self::properties(&field["properties"])?;
        self::properties(&field["fields"])?;
    }
    Ok(())
}
