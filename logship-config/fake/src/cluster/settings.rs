//! Settings as Elasticsearch keeps them: flat names, values as text.

use std::collections::BTreeMap;

use serde_json::Value;

/// Puts `value` under `prefix` into `flat`; a name that begins with `index.` already keeps one.
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
