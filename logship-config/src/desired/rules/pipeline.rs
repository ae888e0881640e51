//! Ingest pipelines. Sources: "Create or update a pipeline", "Processor reference", 9.x.

use super::{
    Checked,
    checked::{At, join},
};

/// Every processor of a plain installation, and what it cannot do without. A choice is written with `|`.
const PROCESSORS: &[(&str, &[&str])] = &[
    ("append", &["field", "value|copy_from"]),
    ("attachment", &["field"]),
    ("bytes", &["field"]),
    ("cef", &["field"]),
    ("circle", &["field", "error_distance", "shape_type"]),
    ("community_id", &[]),
    ("convert", &["field", "type"]),
    ("csv", &["field", "target_fields"]),
    ("date", &["field", "formats"]),
    ("date_index_name", &["field", "date_rounding"]),
    ("dissect", &["field", "pattern"]),
    ("dot_expander", &["field"]),
    ("drop", &[]),
    ("enrich", &["field", "target_field", "policy_name"]),
    ("fail", &["message"]),
    ("fingerprint", &["fields"]),
    ("foreach", &["field", "processor"]),
    ("geo_grid", &["field", "tile_type"]),
    ("geoip", &["field"]),
    ("grok", &["field", "patterns"]),
    ("gsub", &["field", "pattern", "replacement"]),
    ("html_strip", &["field"]),
    ("inference", &["model_id"]),
    ("ip_location", &["field"]),
    ("join", &["field", "separator"]),
    ("json", &["field"]),
    ("kv", &["field", "field_split", "value_split"]),
    ("lowercase", &["field"]),
    ("network_direction", &[]),
    ("normalize_for_stream", &[]),
    ("pipeline", &["name"]),
    ("recover_failure_document", &[]),
    ("redact", &["field", "patterns"]),
    ("registered_domain", &["field"]),
    ("remove", &["field|keep"]),
    ("rename", &["field", "target_field"]),
    ("reroute", &[]),
    ("script", &["source|id"]),
    ("set", &["field", "value|copy_from"]),
    ("set_security_user", &["field"]),
    ("sort", &["field"]),
    ("split", &["field", "separator"]),
    ("terminate", &[]),
    ("trim", &["field"]),
    ("uppercase", &["field"]),
    ("uri_parts", &["field"]),
    ("urldecode", &["field"]),
    ("user_agent", &["field"]),
];

pub fn pipeline(checked: &mut Checked) {
    checked.known(&[], &["description", "processors", "on_failure", "version", "_meta", "deprecated", "field_access_pattern"]);
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
        checked.fault(&["on_failure"], "is empty", "write processors, or remove it");
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
            checked.fault(&here, "is not one processor", "write one `- name: {…}` an item; options stand inside");
            continue;
        };
        let inside = join(&here, name);
        let Some((_, needed)) = PROCESSORS.iter().find(|(known, _)| known == name) else {
            checked.fault(&inside, "is no processor", "correct its name (Processor reference)");
            continue;
        };
        for choice in *needed {
            if !choice.split('|').any(|key| checked.value(&join(&inside, key)).is_some()) {
                let told = choice.replace('|', " or ");
                checked.fault(&inside, format!("has no {told}"), format!("write {told}"));
            }
        }
        checked.text(&join(&inside, "tag"));
        checked.boolean(&join(&inside, "ignore_failure"));
        processors(&join(&inside, "on_failure"), checked);
    }
}
