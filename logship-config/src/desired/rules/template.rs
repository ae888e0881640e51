//! This module checks component and index templates. Sources: "Create or update a component template", "… an index
//! template", 9.x.

use super::{Checked, checked, index, settings};

const TEMPLATE_KEYS: [&str; 5] = ["settings", "mappings", "aliases", "lifecycle", "data_stream_options"];

pub fn component(checked: &mut Checked) {
    checked.known(&[], &["template", "version", "_meta", "deprecated"]);
    checked.required_section(&["template"]);
    shared(checked);
}

pub fn index(checked: &mut Checked) {
    let known = [
        "index_patterns",
        "composed_of",
        "template",
        "version",
        "priority",
        "_meta",
        "allow_auto_create",
        "data_stream",
        "deprecated",
        "ignore_missing_component_templates",
    ];
    checked.known(&[], &known);
    match checked.texts(&["index_patterns"]) {
        None if checked.value(&["index_patterns"]).is_none() => {
            checked.fault(&["index_patterns"], "is missing", "list the names that it applies to, such as - logs-shop.app-*");
        }
        Some(patterns) if patterns.is_empty() => {
            checked.fault(&["index_patterns"], "is empty", "list the names that it applies to")
        }
        Some(patterns) => {
            for pattern in patterns {
                let forbidden = |character: char| "\\/?\"<>| ,#:".contains(character) || character.is_uppercase();
                if pattern.starts_with('_') || pattern.contains(forbidden) {
                    let wrong = format!("contains {pattern:?}, which no valid name matches");
                    checked.fault(&["index_patterns"], wrong, "use lower-case letters, digits, - . _ and *");
                }
            }
        }
        None => {}
    }
    checked.texts(&["composed_of"]);
    checked.texts(&["ignore_missing_component_templates"]);
    checked.integer(&["priority"], 0..=i64::MAX);
    checked.boolean(&["allow_auto_create"]);
    if checked.section(&["data_stream"]).is_some() {
        checked.known(&["data_stream"], &["hidden", "allow_custom_routing"]);
        checked.boolean(&["data_stream", "hidden"]);
        checked.boolean(&["data_stream", "allow_custom_routing"]);
    } else {
        for only in ["lifecycle", "data_stream_options"] {
            if checked.value(&["template", only]).is_some() {
                let remedy = "add data_stream: {}, or remove it";
                checked.fault(&["template", only], "is for data streams, which this template does not create", remedy);
            }
        }
    }
    checked.section(&["template"]);
    shared(checked);
}

/// Places in which Elasticsearch accepts `null`: it removes what an earlier component sets.
const NULLS: [checked::At; 8] = [
    &["_meta", "**"],
    &["template", "settings", "**"],
    &["template", "mappings", "**"],
    &["template", "aliases", "**"],
    &["template", "lifecycle", "data_retention"],
    &["template", "lifecycle", "frozen_after"],
    &["template", "data_stream_options"],
    &["template", "data_stream_options", "failure_store"],
];

fn shared(checked: &mut Checked) {
    checked.no_nulls(&[], &NULLS);
    checked.integer(&["version"], 0..=i64::MAX);
    checked.section(&["_meta"]);
    checked.boolean(&["deprecated"]);
    checked.known(&["template"], &TEMPLATE_KEYS);
    settings::check_index_settings(&["template", "settings"], checked);
    index::mappings(&["template", "mappings"], checked);
    index::aliases(&["template", "aliases"], checked);
    index::check_lifecycle(&["template", "lifecycle"], checked);
    let options = ["template", "data_stream_options"];
    if checked.section(&options).is_some() {
        checked.known(&options, &["failure_store"]);
        index::failure_store(&["template", "data_stream_options", "failure_store"], checked);
    }
}
