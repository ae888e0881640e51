//! This module converts component and index templates to their canonical form, with the parts that data streams share.

use serde_json::{Map, Value, json};

use super::{drop_default, drop_empty, drop_server_fields, scalars, text, unit};
use crate::desired::resolve;

pub fn template(body: &mut Value, index: bool) {
    drop_server_fields(body);
    drop_default(body, "deprecated", &json!(false));
    drop_default(body, "version", &json!(0));
    if index {
        for list in ["index_patterns", "ignore_missing_component_templates"] {
            if body.get(list).is_some() {
                body[list] = json!(resolve::texts(&body[list]));
            }
        }
        drop_default(body, "priority", &json!(0));
        if let Some(stream) = body.get_mut("data_stream") {
            for key in ["hidden", "allow_custom_routing", "replicated"] {
                drop_default(stream, key, &json!(false));
            }
            // An empty object still means that data streams are created.
        }
        if let Some(section) = body.as_object_mut() {
            for key in ["priority", "version"] {
                if let Some(value) = section.get_mut(key) {
                    *value = text(value);
                }
            }
        }
    } else if body.get("version").is_some() {
        body["version"] = text(&body["version"]);
    }
    if let Some(inner) = body.get_mut("template") {
        if inner.get("settings").is_some() {
            let settings = resolve::flat_settings(&inner["settings"]);
            inner["settings"] =
                settings.into_iter().map(|(name, value)| (name, unit(&json!(value)))).collect::<Map<_, _>>().into();
        }
        if inner.get("mappings").is_some() {
            mappings(&mut inner["mappings"]);
        }
        if let Some(aliases) = inner.get_mut("aliases").and_then(Value::as_object_mut) {
            aliases.values_mut().for_each(alias);
        }
        if inner.get("lifecycle").is_some() {
            canonical_lifecycle(&mut inner["lifecycle"]);
        }
        if inner["data_stream_options"].get("failure_store").is_some() {
            failure_store(&mut inner["data_stream_options"]["failure_store"]);
        } else if let Some(inner) = inner.as_object_mut() {
            inner.remove("data_stream_options");
        }
        drop_empty(inner, &["settings", "mappings", "aliases"]);
    }
    drop_empty(body, &["template", "composed_of", "ignore_missing_component_templates", "_meta"]);
}

/// `routing` sets both of its halves.
fn alias(alias: &mut Value) {
    if let Some(routing) = alias.get("routing").cloned() {
        for half in ["index_routing", "search_routing"] {
            if alias.get(half).is_none() {
                alias[half] = routing.clone();
            }
        }
    }
    for key in ["is_write_index", "is_hidden"] {
        drop_default(alias, key, &json!(false));
    }
    if let Some(alias) = alias.as_object_mut() {
        alias.remove("routing");
        for key in ["index_routing", "search_routing"] {
            if let Some(value) = alias.get_mut(key) {
                *value = text(value);
            }
        }
    }
}

fn mappings(mappings: &mut Value) {
    if let Some(inner) = mappings.get("_doc").cloned() {
        *mappings = inner;
    }
    scalars(mappings);
    drop_default(mappings, "dynamic", &json!("true"));
    fields(mappings, true);
    drop_empty(mappings, &["_meta", "dynamic_templates", "runtime"]);
}

/// `a.b: {…}` equals `a: {properties: {b: {…}}}`. A field with properties is an object even without a type.
fn fields(holder: &mut Value, dots_nest: bool) {
    let dots_nest = dots_nest && holder.get("subobjects").is_none_or(|subobjects| subobjects != "false");
    let Some(properties) = holder.get_mut("properties").and_then(Value::as_object_mut) else { return };
    let mut nested = Map::new();
    for (name, field) in std::mem::take(properties) {
        let mut place = &mut nested;
        let mut steps: Vec<&str> = if dots_nest { name.split('.').collect() } else { vec![&name] };
        let last = steps.pop().unwrap_or_default().to_owned();
        for step in steps {
            let outer = place.entry(step).or_insert_with(|| json!({}));
            if !outer["properties"].is_object() {
                outer["properties"] = json!({});
            }
            let Some(inner) = outer["properties"].as_object_mut() else { return };
            place = inner;
        }
        match (place.get_mut(&last), field) {
            (Some(Value::Object(there)), Value::Object(more)) => merge(there, more),
            (_, field) => drop(place.insert(last, field)),
        }
    }
    *properties = nested;
    for field in properties.values_mut() {
        if field.get("properties").is_some() {
            drop_default(field, "type", &json!("object"));
        }
        fields(field, dots_nest);
        drop_empty(field, &["fields", "meta"]);
    }
    drop_empty(holder, &["properties"]);
}

fn merge(there: &mut Map<String, Value>, more: Map<String, Value>) {
    for (key, value) in more {
        match (there.get_mut(&key), value) {
            (Some(Value::Object(inner)), Value::Object(value)) => merge(inner, value),
            (_, value) => drop(there.insert(key, value)),
        }
    }
}

/// A data stream lifecycle. An empty one is switched on.
pub fn canonical_lifecycle(lifecycle: &mut Value) {
    drop_server_fields(lifecycle);
    drop_default(lifecycle, "enabled", &json!(true));
    drop_default(lifecycle, "downsampling_method", &json!("aggregate"));
    scalars(lifecycle);
}

pub fn failure_store(store: &mut Value) {
    if store.get("enabled").is_none() {
        store["enabled"] = json!(true);
    }
    store["enabled"] = text(&store["enabled"]);
    if store.get("lifecycle").is_some() {
        canonical_lifecycle(&mut store["lifecycle"]);
    }
}
