//! This module implements `filter_path`: it reduces an answer to a list of paths
//! (<https://www.elastic.co/docs/reference/elasticsearch/rest-apis/common-options#common-options-response-filtering>).

use serde_json::{Map, Value};

/// `*` matches any part of one name, `**` any number of names. Elements of lists are matched too.
/// Not supported: exclusions (`-path`).
pub fn filter(value: &Value, paths: &str) -> Value {
    let paths: Vec<Vec<&str>> = paths.split(',').map(|path| path.split('.').collect()).collect();
    let paths: Vec<&[&str]> = paths.iter().map(Vec::as_slice).collect();
    kept(value, &paths).unwrap_or_else(|| Value::Object(Map::new()))
}

fn kept(value: &Value, paths: &[&[&str]]) -> Option<Value> {
    if paths.iter().any(|path| matches!(path, [] | ["**"])) {
        return Some(value.clone());
    }
    match value {
        Value::Object(members) => {
            let kept: Map<String, Value> = members
                .iter()
                .filter_map(|(name, value)| {
                    let mut below: Vec<&[&str]> = Vec::new();
                    for path in paths {
                        let [first, rest @ ..] = path else { continue };
                        if *first == "**" {
                            below.push(path);
                            if rest.first().is_some_and(|next| crate::pattern::matches(next, name)) {
                                below.push(&rest[1..]);
                            }
                        } else if crate::pattern::matches(first, name) {
                            below.push(rest);
                        }
                    }
                    Some((name.clone(), kept(value, &below)?))
                })
                .collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        Value::Array(items) => {
            let kept: Vec<Value> = items.iter().filter_map(|item| kept(item, paths)).collect();
            (!kept.is_empty()).then_some(Value::Array(kept))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_name_what_stays() {
        let whole = json!({"took": 3, "errors": true, "items": [
            {"create": {"_id": "1", "status": 201}},
            {"create": {"_id": "2", "status": 400, "error": {"type": "a", "caused_by": {"type": "b"}}}},
        ]});
        for (paths, left) in [
            ("took", json!({"took": 3})),
            ("took,err*", json!({"took": 3, "errors": true})),
            ("items.*.status", json!({"items": [{"create": {"status": 201}}, {"create": {"status": 400}}]})),
            ("items.*.error", json!({"items": [{"create": {"error": {"type": "a", "caused_by": {"type": "b"}}}}]})),
            ("**.type", json!({"items": [{"create": {"error": {"type": "a", "caused_by": {"type": "b"}}}}]})),
            ("nothing", json!({})),
        ] {
            assert_eq!(filter(&whole, paths), left, "{paths}");
        }
    }
}
