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

pub fn template(inner: &Value) -> Refused<()> {
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
