//! This module converts a YAML document to a JSON value and finds the line of every part of it. A JSON file is YAML too.
//!
//! Plain scalars have the types of YAML 1.2's core schema: `true`, `3` and `0.5` are typed, all else is text (`no` too).

use serde_json::{Map, Number, Value};

use super::{Content, FileFault, Node, parse_yaml};

/// One document as JSON, with its lines.
#[derive(Debug, Clone, PartialEq)]
pub struct YamlDocument {
    pub value: Value,
    root: Node,
}

impl YamlDocument {
    /// # Errors
    /// Returns the first syntax fault, or every duplicate key.
    pub fn parse(text: &str) -> Result<Self, Vec<FileFault>> {
        let root = parse_yaml(text).map_err(|fault| vec![fault])?;
        let mut faults = Vec::new();
        let value = json(&root, &mut Vec::new(), &mut faults);
        if faults.is_empty() { Ok(Self { value, root }) } else { Err(faults) }
    }

    /// Returns the line of a place, or of the nearest enclosing place in the file. A place is a list of keys and of positions of
    /// list items.
    pub fn line<Step: AsRef<str>>(&self, place: &[Step]) -> usize {
        let mut line = self.root.line;
        let mut node = &self.root;
        for step in place {
            let step = step.as_ref();
            let inner = match &node.content {
                Content::Mapping(entries) => {
                    entries.iter().find(|entry| entry.key == step).map(|entry| (entry.line, &entry.value))
                }
                Content::Sequence(items) => step.parse().ok().and_then(|at: usize| items.get(at)).map(|item| (item.line, item)),
                Content::Null | Content::Scalar(_) => None,
            };
            let Some(found) = inner else { break };
            (line, node) = found;
        }
        line
    }
}

fn json(node: &Node, place: &mut Vec<String>, faults: &mut Vec<FileFault>) -> Value {
    match &node.content {
        Content::Null => Value::Null,
        Content::Scalar(text) if node.quoted => Value::from(text.as_str()),
        Content::Scalar(text) => scalar(text),
        Content::Sequence(items) => {
            let item = |(at, item): (usize, &Node)| {
                place.push(at.to_string());
                let value = json(item, place, faults);
                place.pop();
                value
            };
            Value::Array(items.iter().enumerate().map(item).collect())
        }
        Content::Mapping(entries) => {
            let mut members = Map::new();
            for entry in entries {
                place.push(entry.key.clone());
                let value = json(&entry.value, place, faults);
                if members.insert(entry.key.clone(), value).is_some() {
                    let first = entries.iter().find(|first| first.key == entry.key).map_or(0, |first| first.line);
                    let wrong = format!("is set twice (first in line {first})");
                    faults.push(FileFault::new(entry.line, &place.join("."), &wrong, "remove one of them"));
                }
                place.pop();
            }
            Value::Object(members)
        }
    }
}

fn scalar(text: &str) -> Value {
    match text {
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => number(text).map_or_else(|| Value::from(text), Value::Number),
    }
}

/// Decimal numbers only: `0x10`, `1e3` and `.inf` are text, since no setting uses them as numbers.
fn number(text: &str) -> Option<Number> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let decimal = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match digits.split_once('.') {
        None if decimal(digits) => text.parse::<i64>().map(Number::from).or_else(|_| text.parse::<u64>().map(Number::from)).ok(),
        Some((whole, part)) if decimal(whole) && decimal(part) => Number::from_f64(text.parse().ok()?),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_have_yaml_1_2_types_and_places_have_lines() {
        let text = "# a comment\na: 30d\nb:\n  - 1\n  - {c: 0.5, d: \"1\"}\ne:\nf: no\ng: true\nh: 1.2.3\ni: \"\"\nj: 'null'\n";
        let document = YamlDocument::parse(text).unwrap();
        let expected = json!({
            "a": "30d", "b": [1, {"c": 0.5, "d": "1"}], "e": null, "f": "no", "g": true, "h": "1.2.3", "i": "", "j": "null",
        });
        assert_eq!(document.value, expected);
        for (place, line) in
            [(&["a"][..], 2), (&["b"], 3), (&["b", "0"], 4), (&["b", "1", "d"], 5), (&["b", "1", "x"], 5), (&["z"], 2)]
        {
            assert_eq!(document.line(place), line, "{place:?}");
        }
        assert_eq!(YamlDocument::parse("").unwrap().value, Value::Null);
    }

    #[test]
    fn a_json_file_is_a_document() {
        let text = "{\n\t\"a\": [1, -2.5, null, \"\\u00e9\\/\"],\n\t\"b\": {\"c\": false, \"d\": {}}\n}\n";
        let document = YamlDocument::parse(text).unwrap();
        assert_eq!(document.value, serde_json::from_str::<Value>(text).unwrap());
        assert_eq!(document.line(&["b", "c"]), 3);
    }

    #[test]
    fn every_duplicate_key_is_a_fault() {
        let faults = YamlDocument::parse("a: 1\nb:\n  c: 1\n  c: 2\na: 3\n").unwrap_err();
        let told: Vec<String> = faults.iter().map(|fault| fault.in_file("f.yaml").to_string()).collect();
        assert_eq!(
            told,
            [
                "f.yaml:4: b.c: is set twice (first in line 3); remove one of them",
                "f.yaml:5: a: is set twice (first in line 1); remove one of them",
            ]
        );
    }
}
