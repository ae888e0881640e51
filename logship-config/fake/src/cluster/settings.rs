//! This module stores settings as Elasticsearch does, with flat names and values as text, and returns them nested.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Puts `value` under `prefix` into `flat`; a name that already begins with `index.` is not prefixed.
pub fn flatten(prefix: &str, value: &Value, flat: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                let name = match key.strip_prefix("index") {
                    Some(rest) if prefix == "index" && (rest.is_empty() || rest.starts_with('.')) => key.clone(),
                    _ => format!("{prefix}.{key}"),
                };
                flatten(&name, value, flat);
            }
        }
        Value::Null => {
            flat.remove(prefix);
        }
        Value::Array(items) => {
            for (place, item) in items.iter().enumerate() {
                flatten(&format!("{prefix}.{place}"), item, flat);
            }
        }
        Value::String(text) => {
            flat.insert(prefix.to_owned(), text.clone());
        }
        other => {
            flat.insert(prefix.to_owned(), other.to_string());
        }
    }
}

/// Flat settings as a tree of text; numbered names are a list again.
pub fn nested(flat: &BTreeMap<String, String>) -> Value {
    let mut tree = json!({});
    for (name, value) in flat {
        let mut place = &mut tree;
        for step in name.split('.') {
            if !place.is_object() {
                *place = json!({});
            }
            place = &mut place[step];
        }
        *place = value.as_str().into();
    }
    lists(&mut tree);
    tree
}

fn lists(tree: &mut Value) {
    let Some(section) = tree.as_object_mut() else { return };
    section.values_mut().for_each(lists);
    let numbered = !section.is_empty() && (0..section.len()).all(|place| section.contains_key(&place.to_string()));
    if numbered {
        *tree = (0..section.len()).map(|place| section[&place.to_string()].clone()).collect::<Vec<_>>().into();
    }
}
