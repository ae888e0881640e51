//! This module merges an index template and its components, in the order of `composed_of`. The later value wins.

use serde_json::{Map, Value, json};

use super::{Cluster, settings};
use crate::answer::{FakeAnswer, Refused};

/// Puts `more` over `there`, object by object.
pub fn merge(there: &mut Value, more: &Value) {
    match (there, more) {
        (Value::Object(there), Value::Object(more)) => {
            for (key, value) in more {
                merge(there.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (there, more) => *there = more.clone(),
    }
}

impl Cluster {
    /// `{settings, mappings, aliases, lifecycle, data_stream_options}` of a template's body. Settings are nested under `index`.
    pub(super) fn compose(&self, body: &Value) -> Value {
        let names = body["composed_of"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let components = names.filter_map(|name| self.component_templates.get(name)).map(|component| &component["template"]);
        let mut flat = std::collections::BTreeMap::new();
        let mut composed = json!({"mappings": {}, "aliases": {}});
        for part in components.chain([&body["template"]]) {
            settings::flatten("index", &part["settings"], &mut flat);
            for section in ["mappings", "aliases", "lifecycle", "data_stream_options"] {
                if !part[section].is_null() {
                    merge(&mut composed[section], &part[section]);
                }
            }
        }
        composed["settings"] = settings::nested(&flat);
        if let Some(composed) = composed.as_object_mut() {
            composed.retain(|_, value| !value.is_null());
        }
        composed
    }
}

/// A template's inner part as Elasticsearch answers it: settings nested and text, halves of `routing`, defaults said.
pub fn spelled(mut inner: Value) -> Value {
    if inner.get("settings").is_some() {
        let mut flat = std::collections::BTreeMap::new();
        settings::flatten("index", &inner["settings"], &mut flat);
        inner["settings"] = settings::nested(&flat);
    }
    for alias in inner["aliases"].as_object_mut().into_iter().flat_map(|aliases| aliases.values_mut()) {
        if let Some(routing) = alias.as_object_mut().and_then(|alias| alias.remove("routing")) {
            alias["index_routing"] = routing.clone();
            alias["search_routing"] = routing;
        }
    }
    if inner["lifecycle"].is_object() {
        inner["lifecycle"] = lifecycle(&inner["lifecycle"]);
    }
    if inner["data_stream_options"]["failure_store"].is_object() {
        inner["data_stream_options"]["failure_store"] = failure_store(&inner["data_stream_options"]["failure_store"]);
    }
    if let Some(inner) = inner.as_object_mut() {
        inner.retain(|_, value| !value.is_null());
    }
    inner
}

/// A data stream lifecycle with its default said.
pub fn lifecycle(given: &Value) -> Value {
    let mut told = json!({"enabled": true});
    merge(&mut told, given);
    told
}

pub fn failure_store(given: &Value) -> Value {
    let mut told = json!({"enabled": true});
    merge(&mut told, given);
    if told["lifecycle"].is_object() {
        told["lifecycle"] = lifecycle(&told["lifecycle"]);
    }
    told
}

/// The body with the dates that Elasticsearch adds.
pub fn dated(mut body: Value, created: i64, modified: i64) -> Value {
    body["created_date_millis"] = created.into();
    body["modified_date_millis"] = modified.into();
    body
}

/// Whether every key is known; the first that is not.
pub fn unknown<'a>(body: &'a Map<String, Value>, known: &[&str]) -> Option<&'a str> {
    body.keys().map(String::as_str).find(|key| !known.contains(key))
}

/// The same as a refusal, in the words of the strict parser called `parser`.
pub fn strict(body: &Value, parser: &str, known: &[&str]) -> Refused<()> {
    match body.as_object().and_then(|body| unknown(body, known)) {
        None => Ok(()),
        Some(unknown) => {
            Err(FakeAnswer::error(400, "x_content_parse_exception", format!("[1:2] [{parser}] unknown field [{unknown}]")))
        }
    }
}

/// The data stream lifecycle of a template or a stream.
pub fn strict_lifecycle(lifecycle: &Value) -> Refused<()> {
    strict(lifecycle, "lifecycle", &["enabled", "data_retention", "downsampling", "downsampling_method", "frozen_after"])?;
    let mut rounds = lifecycle["downsampling"].as_array().into_iter().flatten();
    rounds.try_for_each(|round| strict(round, "downsampling_round", &["after", "fixed_interval"]))
}

pub fn strict_failure_store(store: &Value) -> Refused<()> {
    strict(store, "failure_store", &["enabled", "lifecycle"])?;
    strict(&store["lifecycle"], "failure_store_lifecycle", &["enabled", "data_retention"])
}
