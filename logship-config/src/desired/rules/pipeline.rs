//! This module checks ingest pipelines. Sources: "Create or update a pipeline", "Processor reference", 9.x.

use super::{
    Checked,
    checked::{At, join},
};

/// Parameters that every processor accepts.
const COMMON: [&str; 5] = ["description", "if", "ignore_failure", "on_failure", "tag"];
/// Parameters of `ip_location` and its older name `geoip`.
const LOCATION: &[&str] =
    &["database_file", "download_database_on_pipeline_creation", "first_only", "ignore_missing", "properties", "target_field"];
/// Every processor of a plain installation: its required parameters (`|` separates alternatives) and its optional ones.
const PROCESSORS: &[(&str, &[&str], &[&str])] = &[
    ("append", &["field", "value|copy_from"], &["allow_duplicates", "ignore_empty_values", "media_type"]),
    (
        "attachment",
        &["field"],
        &[
            "ignore_missing",
            "indexed_chars",
            "indexed_chars_field",
            "properties",
            "remove_binary",
            "resource_name",
            "target_field",
        ],
    ),
    ("bytes", &["field"], &["ignore_missing", "target_field"]),
    ("cef", &["field"], &["ignore_empty_values", "ignore_missing", "target_field", "timezone"]),
    ("circle", &["field", "error_distance", "shape_type"], &["ignore_missing", "target_field"]),
    (
        "community_id",
        &[],
        &[
            "destination_ip",
            "destination_port",
            "iana_number",
            "icmp_code",
            "icmp_type",
            "ignore_missing",
            "seed",
            "source_ip",
            "source_port",
            "target_field",
            "transport",
        ],
    ),
    ("convert", &["field", "type"], &["ignore_missing", "target_field"]),
    ("csv", &["field", "target_fields"], &["empty_value", "ignore_missing", "quote", "separator", "trim"]),
    ("date", &["field", "formats"], &["locale", "output_format", "target_field", "timezone"]),
    (
        "date_index_name",
        &["field", "date_rounding"],
        &["date_formats", "index_name_format", "index_name_prefix", "locale", "timezone"],
    ),
    ("dissect", &["field", "pattern"], &["append_separator", "ignore_missing"]),
    ("dot_expander", &["field"], &["override", "path"]),
    ("drop", &[], &[]),
    ("enrich", &["field", "target_field", "policy_name"], &["ignore_missing", "max_matches", "override", "shape_relation"]),
    ("fail", &["message"], &[]),
    ("fingerprint", &["fields"], &["ignore_missing", "method", "salt", "target_field"]),
    ("foreach", &["field", "processor"], &["ignore_missing"]),
    (
        "geo_grid",
        &["field", "tile_type"],
        &[
            "children_field",
            "ignore_missing",
            "non_children_field",
            "parent_field",
            "precision_field",
            "target_field",
            "target_format",
        ],
    ),
    ("geoip", &["field"], LOCATION),
    (
        "grok",
        &["field", "patterns"],
        &["ecs_compatibility", "ignore_missing", "pattern_definitions", "trace_match", "validate_only"],
    ),
    ("gsub", &["field", "pattern", "replacement"], &["ignore_missing", "target_field"]),
    ("html_strip", &["field"], &["ignore_missing", "target_field"]),
    ("inference", &["model_id"], &["field_map", "ignore_missing", "inference_config", "input_output", "target_field"]),
    ("ip_location", &["field"], LOCATION),
    ("join", &["field", "separator"], &["target_field"]),
    (
        "json",
        &["field"],
        &["add_to_root", "add_to_root_conflict_strategy", "allow_duplicate_keys", "strict_json_parsing", "target_field"],
    ),
    (
        "kv",
        &["field", "field_split", "value_split"],
        &["exclude_keys", "ignore_missing", "include_keys", "prefix", "strip_brackets", "target_field", "trim_key", "trim_value"],
    ),
    ("lowercase", &["field"], &["ignore_missing", "target_field"]),
    (
        "network_direction",
        &[],
        &["destination_ip", "ignore_missing", "internal_networks", "internal_networks_field", "source_ip", "target_field"],
    ),
    ("normalize_for_stream", &[], &[]),
    ("pipeline", &["name"], &["ignore_missing_pipeline"]),
    ("recover_failure_document", &[], &[]),
    (
        "redact",
        &["field", "patterns"],
        &["ignore_missing", "pattern_definitions", "prefix", "skip_if_unlicensed", "suffix", "trace_redact"],
    ),
    ("registered_domain", &["field"], &["ignore_missing", "target_field"]),
    ("remove", &["field|keep"], &["ignore_missing"]),
    ("rename", &["field", "target_field"], &["ignore_missing"]),
    ("reroute", &[], &["dataset", "destination", "namespace"]),
    ("script", &["source|id"], &["lang", "params"]),
    ("set", &["field", "value|copy_from"], &["ignore_empty_value", "media_type", "override"]),
    ("set_security_user", &["field"], &["properties"]),
    ("sort", &["field"], &["order", "target_field"]),
    ("split", &["field", "separator"], &["ignore_missing", "preserve_trailing", "target_field"]),
    ("terminate", &[], &[]),
    ("trim", &["field"], &["ignore_missing", "target_field"]),
    ("uppercase", &["field"], &["ignore_missing", "target_field"]),
    ("uri_parts", &["field"], &["ignore_missing", "keep_original", "remove_if_successful", "target_field"]),
    ("urldecode", &["field"], &["ignore_missing", "target_field"]),
    ("user_agent", &["field"], &["extract_device_type", "ignore_missing", "properties", "regex_file", "target_field"]),
];

pub fn pipeline(checked: &mut Checked) {
    checked.known(&[], &["description", "processors", "on_failure", "version", "_meta", "deprecated", "field_access_pattern"]);
    checked.no_nulls(&[], &[&["_meta", "**"], &["processors", "*", "*", "**"], &["on_failure", "*", "*", "**"]]);
    checked.text(&["description"]);
    checked.integer(&["version"], 0..=i64::MAX);
    checked.section(&["_meta"]);
    checked.boolean(&["deprecated"]);
    checked.one_of(&["field_access_pattern"], &["classic", "flexible"]);
    if checked.value(&["processors"]).is_none() {
        checked.fault(&["processors"], "is missing", "write - processor: {…} lines, or [] for none");
    }
    processors(&["processors"], checked);
    if checked.list(&["on_failure"]).is_some_and(Vec::is_empty) {
        checked.fault(&["on_failure"], "is empty", "add processors, or remove it");
    }
    processors(&["on_failure"], checked);
}

fn processors(at: At, checked: &mut Checked) {
    for place in 0..checked.list(at).map_or(0, Vec::len) {
        let place = place.to_string();
        let here = join(at, &place);
        let Some(section) = checked.section(&here) else { continue };
        let mut names = section.keys();
        let (Some(name), None) = (names.next(), names.next()) else {
            checked.fault(&here, "is not exactly one processor", "write one `- name: {…}` per item, with the options inside");
            continue;
        };
        let inside = join(&here, name);
        let Some((_, needed, optional)) = PROCESSORS.iter().find(|(known, ..)| known == name) else {
            checked.fault(&inside, "is not a processor", "correct its name (Processor reference)");
            continue;
        };
        for choice in *needed {
            if !choice.split('|').any(|key| checked.value(&join(&inside, key)).is_some()) {
                let told = choice.replace('|', " or ");
                checked.fault(&inside, format!("has no {told}"), format!("write {told}"));
            }
        }
        // An inference accepts those of its model's kind too.
        if name != "inference" {
            let choices = needed.iter().flat_map(|choice| choice.split('|'));
            let known: Vec<_> = choices.chain(optional.iter().copied()).chain(COMMON).collect();
            checked.known(&inside, &known);
        }
        checked.text(&join(&inside, "tag"));
        checked.boolean(&join(&inside, "ignore_failure"));
        processors(&join(&inside, "on_failure"), checked);
    }
}
