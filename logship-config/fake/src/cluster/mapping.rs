//! Documents against a mapping: what Elasticsearch parses, refuses, and adds dynamically. Types that the platform's templates use;
//! any other type takes any value.

use serde_json::{Map, Value, json};

use super::Index;
use super::unique::Unique;
use crate::answer::{FakeAnswer, Refused};

/// The document, when the index's mapping takes it; new fields are in the mapping then.
pub fn parse(index: &mut Index, id: &str, source: &[u8], in_data_stream: bool) -> Refused<Value> {
    let refuse = |reason: String| FakeAnswer::error(400, "document_parsing_exception", reason);
    let parsed: Value = serde_json::from_slice(source).map_err(|error| refuse(format!("failed to parse: {error}")))?;
    serde_json::from_slice::<Unique>(source).map_err(|error| refuse(format!("[1:1] {error}")))?;
    let Value::Object(members) = &parsed else {
        return Err(refuse("failed to parse, document is not an object".to_owned()));
    };
    if in_data_stream && !members.contains_key("@timestamp") {
        return Err(refuse("failed to parse: data stream timestamp field [@timestamp] is missing".to_owned()));
    }
    let mut mappings = if index.mappings.is_object() { index.mappings.clone() } else { json!({}) };
    let dynamic = mappings["dynamic"].as_str().map(str::to_owned).unwrap_or_else(|| match &mappings["dynamic"] {
        Value::Bool(dynamic) => dynamic.to_string(),
        _ => "true".to_owned(),
    });
    take_object(&mut mappings, "", members, &dynamic, id)?;
    index.mappings = mappings;
    Ok(parsed)
}

fn take_object(mapping: &mut Value, path: &str, members: &Map<String, Value>, dynamic: &str, id: &str) -> Refused<()> {
    members.iter().try_for_each(|(name, value)| take_field(mapping, path, name, value, dynamic, id))
}

/// `name` may contain dots, which separate objects.
fn take_field(mapping: &mut Value, path: &str, name: &str, value: &Value, dynamic: &str, id: &str) -> Refused<()> {
    if value.is_null() {
        return Ok(());
    }
    let (first, rest) = match name.split_once('.') {
        Some((first, rest)) => (first, Some(rest)),
        None => (name, None),
    };
    let full = if path.is_empty() { first.to_owned() } else { format!("{path}.{first}") };
    let is_object = rest.is_some() || value.is_object();
    let known = mapping["properties"].get(first).cloned();
    let Some(mut field) = known.or_else(|| (dynamic == "true").then(|| guess(value, is_object))) else {
        return match dynamic {
            "strict" => {
                let place = if path.is_empty() { "_doc" } else { path };
                let reason = format!("mapping set to strict, dynamic introduction of [{first}] within [{place}] is not allowed");
                Err(FakeAnswer::error(400, "strict_dynamic_mapping_exception", reason))
            }
            _ => Ok(()),
        };
    };
    let kind = field["type"].as_str().unwrap_or("object").to_owned();
    if matches!(kind.as_str(), "flattened") {
        return keep(mapping, first, field);
    }
    let refuse = |reason: String| Err(FakeAnswer::error(400, "document_parsing_exception", reason));
    match (is_object, kind.as_str()) {
        (true, "object" | "nested") => match rest {
            Some(rest) => take_field(&mut field, &full, rest, value, dynamic, id)?,
            None => take_object(&mut field, &full, value.as_object().unwrap_or(&Map::new()), dynamic, id)?,
        },
        (true, kind) => {
            return refuse(format!("failed to parse field [{full}] of type [{kind}] in document with id '{id}'"));
        }
        (false, "object" | "nested") => {
            return refuse(format!(
                "object mapping for [{full}] tried to parse field [{first}] as object, but found a concrete value"
            ));
        }
        (false, kind) => {
            let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
            if let Some(wrong) = values.iter().find(|value| !takes(kind, value)) {
                let preview = wrong.as_str().map_or_else(|| wrong.to_string(), str::to_owned);
                return refuse(format!(
                    "failed to parse field [{full}] of type [{kind}] in document with id '{id}'. Preview of field's value: '{preview}'"
                ));
            }
        }
    }
    keep(mapping, first, field)
}

fn keep(mapping: &mut Value, name: &str, field: Value) -> Refused<()> {
    mapping["properties"][name] = field;
    Ok(())
}

/// What dynamic mapping makes of a value.
fn guess(value: &Value, is_object: bool) -> Value {
    if is_object {
        return json!({"properties": {}});
    }
    let first = value.as_array().and_then(|values| values.first()).unwrap_or(value);
    match first {
        Value::Bool(_) => json!({"type": "boolean"}),
        Value::Number(number) if number.is_f64() => json!({"type": "float"}),
        Value::Number(_) => json!({"type": "long"}),
        Value::Object(_) => json!({"properties": {}}),
        _ => json!({"type": "text", "fields": {"keyword": {"type": "keyword", "ignore_above": 256}}}),
    }
}

fn takes(kind: &str, value: &Value) -> bool {
    let text = value.as_str();
    match kind {
        "long" | "integer" | "short" | "byte" => value.is_number() || text.is_some_and(|text| text.parse::<f64>().is_ok()),
        "double" | "float" | "half_float" | "scaled_float" => {
            value.is_number() || text.is_some_and(|text| text.parse::<f64>().is_ok())
        }
        "boolean" => value.is_boolean() || text.is_some_and(|text| matches!(text, "true" | "false" | "")),
        "date" | "date_nanos" => value.is_number() || text.is_some_and(is_date),
        "ip" => text.is_some_and(|text| text.parse::<std::net::IpAddr>().is_ok()),
        "keyword" | "text" | "match_only_text" | "wildcard" | "constant_keyword" => !value.is_object(),
        _ => true,
    }
}

/// `strict_date_optional_time`: a date, or a date and a time with or without an offset.
fn is_date(text: &str) -> bool {
    text.parse::<jiff::Timestamp>().is_ok()
        || text.parse::<jiff::civil::DateTime>().is_ok()
        || text.parse::<jiff::civil::Date>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(mappings: &Value, documents: &[Value]) -> Result<Value, String> {
        let mut index = Index { mappings: mappings.clone(), ..Index::default() };
        for document in documents {
            parse(&mut index, "1", document.to_string().as_bytes(), false)
                .map_err(|refusal| refusal.cause()["reason"].as_str().unwrap().to_owned())?;
        }
        Ok(index.mappings)
    }

    /// The labels of Kubernetes: one program's `app` is a text, the next one's has members.
    #[test]
    fn a_text_and_an_object_of_one_name_conflict_unless_flattened() {
        let labels = [json!({"labels": {"app": "exchange"}}), json!({"labels": {"app.kubernetes.io/name": "exchange"}})];
        let told = take(&json!({}), &labels).unwrap_err();
        assert!(told.contains("failed to parse field [labels.app] of type [text]"), "{told}");
        let told = take(&json!({}), &[labels[1].clone(), labels[0].clone()]).unwrap_err();
        assert!(told.contains("object mapping for [labels.app] tried to parse field [app] as object"), "{told}");
        take(&json!({"properties": {"labels": {"type": "flattened"}}}), &labels).unwrap();
    }

    #[test]
    fn values_are_held_against_their_types() {
        let typed = |kind: &str| json!({"properties": {"a": {"type": kind}}});
        for (kind, value, takes) in [
            ("long", json!(5), true),
            ("long", json!("5"), true),
            ("long", json!("five"), false),
            ("double", json!(0.5), true),
            ("boolean", json!("yes"), false),
            ("date", json!("2026-11-27T09:00:00.123Z"), true),
            ("date", json!("2026-11-27"), true),
            ("date", json!("yesterday"), false),
            ("ip", json!("::1"), true),
            ("ip", json!("host"), false),
            ("keyword", json!(["a", 1]), true),
            ("long", json!([1, "x"]), false),
            ("keyword", json!({"b": 1}), false),
            ("object", json!("text"), false),
            ("completion", json!("anything"), true),
        ] {
            assert_eq!(take(&typed(kind), &[json!({"a": value})]).is_ok(), takes, "{kind} {value}");
        }
    }

    #[test]
    fn new_fields_are_added_ignored_or_refused() {
        let document = [json!({"a": 1, "b.c": "x", "d": null})];
        let mapped = take(&json!({}), &document).unwrap();
        assert_eq!(mapped["properties"]["a"]["type"], "long");
        assert_eq!(mapped["properties"]["b"]["properties"]["c"]["type"], "text");
        assert!(mapped["properties"].get("d").is_none());
        assert!(take(&json!({"dynamic": false}), &document).unwrap().get("properties").is_none());
        let told = take(&json!({"dynamic": "strict"}), &document).unwrap_err();
        assert!(told.contains("dynamic introduction of [a] within [_doc] is not allowed"), "{told}");
    }
}
