//! This module checks values against Elasticsearch's API description, closed: an unlisted key is a violation. The
//! description itself forbids no extra field. Here an object that lists its properties has no others, except values chosen
//! by the user.

use std::{collections::BTreeSet, io::Read, path::Path};

use flate2::read::GzDecoder;
use serde_json::{Map, Value};

/// Parameters that every operation accepts ("Common options").
const COMMON_PARAMETERS: [&str; 4] = ["filter_path", "pretty", "human", "error_trace"];
/// A description with deeper nesting refers to itself.
const DEPTH_LIMIT: usize = 60;

pub struct Contract {
    description: Value,
}

/// The contract's result for a request.
pub struct Judged {
    pub operation: String,
    pub violations: Vec<String>,
}

impl Contract {
    /// Reads the description once for all tests: it is large.
    pub fn read(folder: &str) -> &'static Self {
        static READ: std::sync::OnceLock<Contract> = std::sync::OnceLock::new();
        READ.get_or_init(|| Self::parse(folder))
    }

    fn parse(folder: &str) -> Self {
        let file = std::fs::File::open(Path::new(folder).join("elasticsearch-9.4-openapi.json.gz")).unwrap();
        let mut text = String::new();
        GzDecoder::new(file).read_to_string(&mut text).unwrap();
        Self { description: serde_json::from_str(&text).unwrap() }
    }

    /// Returns the operation of a request, and all parts that the contract does not list.
    pub fn judge(&self, method: &str, path: &str, query: &[&str], body: Option<&Value>) -> Judged {
        let Some(operation) = self.operation(method, path) else {
            return Judged { operation: String::new(), violations: vec![format!("{method} {path}: no such operation")] };
        };
        let mut violations = Vec::new();
        let parameters = operation["parameters"].as_array().into_iter().flatten().map(|parameter| self.resolve(parameter));
        let known: Vec<&str> = parameters
            .filter(|parameter| parameter["in"] == "query")
            .filter_map(|parameter| parameter["name"].as_str())
            .collect();
        for name in query.iter().filter(|name| !known.contains(name) && !COMMON_PARAMETERS.contains(name)) {
            violations.push(format!("{method} {path}: parameter {name} is unknown"));
        }
        let request = self.resolve(&operation["requestBody"]);
        // A body of lines is described as a list.
        let content = &request["content"];
        let kind = if content["application/x-ndjson"].is_object() { "application/x-ndjson" } else { "application/json" };
        let schema = &content[kind]["schema"];
        match body {
            Some(body) if schema.is_null() => violations.push(format!("{method} {path}: takes no body, got {body}")),
            Some(body) => self.check(schema, body, &format!("{method} {path}: "), 0, &mut violations),
            None if request["required"] == true => violations.push(format!("{method} {path}: a body is required")),
            None => {}
        }
        Judged { operation: operation["operationId"].as_str().unwrap_or_default().to_owned(), violations }
    }

    /// Returns the matching path with the most fixed parts.
    fn operation(&self, method: &str, path: &str) -> Option<&Value> {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let fits = |pattern: &str| {
            let wanted: Vec<&str> = pattern.split('/').filter(|part| !part.is_empty()).collect();
            let free = |part: &str| part.starts_with('{');
            let same = wanted.len() == parts.len()
                && wanted.iter().zip(&parts).all(|(wanted, part)| wanted == part || free(wanted) && !part.starts_with('_'));
            same.then(|| wanted.iter().filter(|part| !free(part)).count())
        };
        let paths = self.description["paths"].as_object()?;
        let fitting = paths.iter().filter_map(|(pattern, operations)| {
            let operation = operations.get(method.to_lowercase())?;
            Some((fits(pattern)?, operation))
        });
        fitting.max_by_key(|(fixed, _)| *fixed).map(|(_, operation)| operation)
    }

    fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        match schema["$ref"].as_str() {
            Some(reference) => self.resolve(self.description.pointer(reference.trim_start_matches('#')).unwrap()),
            None => schema,
        }
    }

    /// All parts of an `allOf`, resolved.
    fn parts<'a>(&'a self, schema: &'a Value, depth: usize, parts: &mut Vec<&'a Value>) {
        let schema = self.resolve(schema);
        parts.push(schema);
        if depth < DEPTH_LIMIT {
            for part in schema["allOf"].as_array().into_iter().flatten() {
                self.parts(part, depth + 1, parts);
            }
        }
    }

    fn check(&self, schema: &Value, value: &Value, place: &str, depth: usize, violations: &mut Vec<String>) {
        assert!(depth < DEPTH_LIMIT, "{place}");
        let mut parts = Vec::new();
        self.parts(schema, 0, &mut parts);
        for part in &parts {
            self.check_choices(part, value, place, depth, violations);
            self.check_scalar(part, value, place, violations);
            if let (Some(items), Value::Array(list)) = (part.get("items"), value) {
                for (at, item) in list.iter().enumerate() {
                    self.check(items, item, &format!("{place}.{at}"), depth + 1, violations);
                }
            }
        }
        if let Value::Object(object) = value {
            self.check_object(&parts, object, place, depth, violations);
        }
    }

    fn check_choices(&self, part: &Value, value: &Value, place: &str, depth: usize, violations: &mut Vec<String>) {
        for list in ["oneOf", "anyOf"] {
            let Some(choices) = part[list].as_array() else { continue };
            let mut closest: Option<Vec<String>> = None;
            for choice in self.discriminated(part, choices, value) {
                let mut wrong = Vec::new();
                self.check(choice, value, place, depth + 1, &mut wrong);
                if closest.as_ref().is_none_or(|closest| wrong.len() < closest.len()) {
                    closest = Some(wrong);
                }
            }
            violations.extend(closest.unwrap_or_else(|| vec![format!("{place}: matches no choice")]));
        }
    }

    /// Returns the choice named by the value's `type`, or all.
    fn discriminated<'a>(&'a self, part: &'a Value, choices: &'a [Value], value: &Value) -> Vec<&'a Value> {
        let name = part["discriminator"]["propertyName"].as_str().and_then(|property| value[property].as_str());
        match name.and_then(|name| part["discriminator"]["mapping"][name].as_str()) {
            Some(reference) => vec![self.description.pointer(reference.trim_start_matches('#')).unwrap()],
            None => choices.iter().collect(),
        }
    }

    fn check_scalar(&self, part: &Value, value: &Value, place: &str, violations: &mut Vec<String>) {
        let right = match part["type"].as_str() {
            Some("string") => value.is_string(),
            Some("number" | "integer") => value.is_number(),
            Some("boolean") => value.is_boolean(),
            Some("array") => value.is_array(),
            // `{type: object}` without properties describes a value chosen by the user.
            Some("object") => value.is_object() || part.get("properties").is_none() && part.get("additionalProperties").is_none(),
            _ => true,
        };
        let absent = value.is_null() && part["nullable"] == true;
        if !(right || absent) {
            violations.push(format!("{place}: {value} is not a {}", part["type"]));
        }
        if let Some(known) = part["enum"].as_array()
            && !known.contains(value)
        {
            violations.push(format!("{place}: {value} is not one of {}", part["enum"]));
        }
    }

    fn check_object(
        &self,
        parts: &[&Value],
        object: &Map<String, Value>,
        place: &str,
        depth: usize,
        violations: &mut Vec<String>,
    ) {
        for part in parts {
            for name in part["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                if !object.contains_key(name) {
                    violations.push(format!("{place}: {name} is missing"));
                }
            }
        }
        // An object with open choices is checked by them.
        let listed: BTreeSet<&str> = parts
            .iter()
            .filter_map(|part| part["properties"].as_object())
            .flat_map(|map| map.keys().map(String::as_str))
            .collect();
        if listed.is_empty() && !parts.iter().any(|part| part.get("additionalProperties").is_some()) {
            return;
        }
        for (name, value) in object {
            let inner = if place.ends_with(' ') { format!("{place}{name}") } else { format!("{place}.{name}") };
            let property = parts.iter().find_map(|part| part["properties"].get(name));
            let free = parts.iter().find_map(|part| part.get("additionalProperties"));
            match (property, free) {
                (Some(property), _) => self.check(property, value, &inner, depth + 1, violations),
                (None, Some(schema)) if schema.is_object() => self.check(schema, value, &inner, depth + 1, violations),
                (None, Some(_)) => {}
                (None, None) => violations.push(format!("{inner}: is unknown")),
            }
        }
    }
}
