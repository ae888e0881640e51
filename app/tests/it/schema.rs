//! This module validates a JSON value against a schema of the reference document. It supports the parts of JSON Schema that the
//! document uses.

use serde_json::Value;

/// Every deviation of `value` from `schema`; empty if it is valid.
pub fn faults(document: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap();
        return faults(document, &document["components"]["schemas"][name], value, at);
    }
    for choice in ["oneOf", "anyOf"] {
        if let Some(schemas) = schema[choice].as_array() {
            let tried: Vec<Vec<String>> = schemas.iter().map(|schema| faults(document, schema, value, at)).collect();
            let nearest = tried.into_iter().min_by_key(Vec::len).unwrap_or_default();
            return nearest;
        }
    }
    let mut found = Vec::new();
    if !is_of_type(&schema["type"], value) {
        found.push(format!("{at}: {value} is not of type {}", schema["type"]));
        return found;
    }
    match value {
        Value::Object(fields) if schema["properties"].is_object() || schema["type"] == "object" => {
            for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                if !fields.contains_key(name) {
                    found.push(format!("{at}: {name} is missing"));
                }
            }
            for (name, value) in fields {
                match schema["properties"].get(name) {
                    Some(property) => found.extend(faults(document, property, value, &format!("{at}.{name}"))),
                    None => found.push(format!("{at}: {name} is not documented")),
                }
            }
        }
        Value::Array(items) => {
            let prefix = schema["prefixItems"].as_array().map_or(&[][..], Vec::as_slice);
            if items.len() < schema["minItems"].as_u64().unwrap_or(0) as usize {
                found.push(format!("{at}: {} items are too few", items.len()));
            }
            for (index, item) in items.iter().enumerate() {
                let at = format!("{at}[{index}]");
                match prefix.get(index) {
                    Some(schema) => found.extend(faults(document, schema, item, &at)),
                    None if schema["items"] == false => found.push(format!("{at}: one item too many")),
                    None => found.extend(faults(document, &schema["items"], item, &at)),
                }
            }
        }
        Value::String(text) if schema["pattern"].as_str().is_some_and(|pattern| pattern.ends_with(r"\.\d{8}$")) => {
            let (whole, fraction) = text.strip_prefix('-').unwrap_or(text).split_once('.').unwrap_or_default();
            let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            if !digits(whole) || !digits(fraction) || fraction.len() != 8 {
                found.push(format!("{at}: {text} is not a number with eight decimal places"));
            }
        }
        _ => {}
    }
    found
}

fn is_of_type(kind: &Value, value: &Value) -> bool {
    let is = |kind: &str| match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        _ => false,
    };
    match kind {
        Value::String(kind) => is(kind),
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).any(is),
        _ => true,
    }
}
