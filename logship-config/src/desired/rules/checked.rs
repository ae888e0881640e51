//! This module wraps a document under validation. Its getters record faults with the line. It must not contain rules.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};
use service_kit::{
    config::nearest,
    yaml::{FileFault, YamlDocument},
};

use crate::units;

pub struct Checked<'a> {
    document: &'a YamlDocument,
    faults: Vec<FileFault>,
}

/// The fault of a place with `null`.
const EMPTY: &str = "is empty";

/// A place in the document.
pub type At<'p> = &'p [&'p str];

impl<'a> Checked<'a> {
    pub fn new(document: &'a YamlDocument) -> Self {
        Self { document, faults: Vec::new() }
    }

    pub fn into_faults(self) -> Vec<FileFault> {
        self.faults
    }

    pub fn fault(&mut self, at: At, wrong: impl Into<String>, remedy: impl Into<String>) {
        let line = self.document.line(at);
        let (path, wrong, remedy) = (at.join("."), wrong.into(), remedy.into());
        // An empty place is reported once, although a rule may need its value.
        if self.faults.iter().any(|fault| fault.path == path && fault.wrong == EMPTY) {
            return;
        }
        self.faults.push(FileFault { line, path, wrong, remedy });
    }

    /// Refuses `key:` without a value, at any depth: Elasticsearch accepts `null` in few places. `except` lists those places;
    /// `*` matches one step, `**` the rest.
    pub fn no_nulls(&mut self, at: At, except: &[At]) {
        let mut empty = Vec::new();
        if let Some(value) = self.value(at) {
            nulls(value, &mut at.iter().map(|step| (*step).to_owned()).collect(), &mut empty);
        }
        for place in empty {
            let place: Vec<&str> = place.iter().map(String::as_str).collect();
            if !except.iter().any(|except| covers(except, &place)) {
                self.fault(&place, EMPTY, "set a value, write {} for an empty section, or remove it");
            }
        }
    }

    /// Returns `None` if the place is absent or `null`.
    pub fn value(&self, at: At) -> Option<&'a Value> {
        let step = |value: &'a Value, step: &&str| match value {
            Value::Array(items) => items.get(step.parse::<usize>().ok()?),
            value => value.get(*step),
        };
        at.iter().try_fold(&self.document.value, step).filter(|value| !value.is_null())
    }

    /// Returns a section, which may be absent.
    pub fn section(&mut self, at: At) -> Option<&'a Map<String, Value>> {
        let value = self.value(at)?;
        if value.as_object().is_none() {
            self.fault(at, "is not a section", "write `name: value` lines under it, or {} for an empty section");
        }
        value.as_object()
    }

    /// Returns a section that must exist and may be empty (`{}`).
    pub fn required_section(&mut self, at: At) -> Option<&'a Map<String, Value>> {
        if self.value(at).is_none() {
            self.fault(at, "is missing", "add it; {} is an empty section");
            return None;
        }
        self.section(at)
    }

    /// Refuses keys that are not `known`. The remedy names the most similar known key.
    pub fn known(&mut self, at: At, known: &[&str]) {
        let Some(section) = self.value(at).and_then(Value::as_object) else { return };
        for key in section.keys().filter(|key| !known.contains(&key.as_str())) {
            let remedy = match nearest(key, known.iter().map(|known| (*known).to_owned())) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("known keys: {}", if known.is_empty() { "nothing".into() } else { known.join(", ") }),
            };
            self.fault(&join(at, key), "is an unknown key", remedy);
        }
    }

    pub fn text(&mut self, at: At) -> Option<&'a str> {
        let value = self.value(at)?;
        match value.as_str() {
            Some(text) if !text.trim().is_empty() => Some(text),
            Some(_) => {
                self.fault(at, "is empty", "set a value, or remove it");
                None
            }
            None => {
                self.fault(at, format!("is {value}, which is not a text"), "write it in quotes");
                None
            }
        }
    }

    pub fn required_text(&mut self, at: At) -> Option<&'a str> {
        if self.value(at).is_none() {
            self.fault(at, "is missing", "set a value");
        }
        self.text(at)
    }

    pub fn one_of(&mut self, at: At, choices: &[&str]) -> Option<&'a str> {
        let text = self.text(at)?;
        if !choices.contains(&text) {
            self.fault(at, format!("is {text:?}"), format!("choose {}", choices.join(" or ")));
        }
        Some(text)
    }

    /// A text, or a number or boolean that Elasticsearch reads as text.
    pub fn word(&mut self, at: At) {
        if !self.value(at).is_some_and(|value| value.is_number() || value.is_boolean()) {
            self.text(at);
        }
    }

    /// A boolean. Like Elasticsearch, it accepts `"true"` in quotes.
    pub fn boolean(&mut self, at: At) -> Option<bool> {
        let value = self.value(at)?;
        let read = value.as_bool().or_else(|| value.as_str().and_then(|text| text.parse().ok()));
        if read.is_none() {
            self.fault(at, format!("is {value}"), "write true or false");
        }
        read
    }

    /// A whole number. Like Elasticsearch, it accepts digits in quotes.
    pub fn integer(&mut self, at: At, bounds: RangeInclusive<i64>) -> Option<i64> {
        let value = self.value(at)?;
        let read = value.as_i64().or_else(|| value.as_str().and_then(|text| text.parse().ok()));
        match read {
            Some(number) if bounds.contains(&number) => return Some(number),
            Some(number) if *bounds.end() == i64::MAX => {
                self.fault(at, format!("is {number}, below {}", bounds.start()), "choose a larger number");
            }
            Some(number) => {
                let wrong = format!("is {number}, outside {} to {}", bounds.start(), bounds.end());
                self.fault(at, wrong, "choose a number within these bounds");
            }
            None => self.fault(at, format!("is {value}, not a whole number"), "write a whole number"),
        }
        None
    }

    /// A duration in milliseconds.
    pub fn duration(&mut self, at: At) -> Option<i64> {
        let value = self.value(at)?;
        let read = match value {
            Value::String(text) => units::millis(text),
            Value::Number(number) if number.as_i64() == Some(0) => Some(0),
            _ => None,
        };
        if read.is_none() {
            let remedy = "write a whole number and a unit: d, h, m, s, ms, micros or nanos, such as 30d";
            self.fault(at, format!("is {value}, not a duration"), remedy);
        }
        read
    }

    /// A size in bytes.
    pub fn size(&mut self, at: At) -> Option<u64> {
        let value = self.value(at)?;
        let read = match value {
            Value::String(text) => units::size(text),
            Value::Number(number) if number.as_i64() == Some(0) => Some(0),
            _ => None,
        };
        if read.is_none() {
            self.fault(at, format!("is {value}, not a size"), "write a number and a unit: b, kb, mb, gb, tb or pb, such as 50gb");
        }
        read
    }

    /// A list of texts. One text is a list with one item.
    pub fn texts(&mut self, at: At) -> Option<Vec<&'a str>> {
        let value = self.value(at)?;
        let items: Option<Vec<&str>> = match value {
            Value::String(text) => Some(vec![text]),
            Value::Array(items) => items.iter().map(Value::as_str).collect(),
            _ => None,
        };
        match items {
            Some(items) if items.iter().all(|item| !item.trim().is_empty()) => Some(items),
            _ => {
                self.fault(at, "is not a list of texts", "write - item lines, each a text");
                None
            }
        }
    }

    pub fn list(&mut self, at: At) -> Option<&'a Vec<Value>> {
        let value = self.value(at)?;
        if value.as_array().is_none() {
            self.fault(at, "is not a list", "write - item lines under it");
        }
        value.as_array()
    }
}

/// Collects the places of nulls under `value`.
fn nulls(value: &Value, place: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    let mut inside = |step: String, value: &Value| {
        place.push(step);
        nulls(value, place, found);
        place.pop();
    };
    match value {
        Value::Null => found.push(place.clone()),
        Value::Object(section) => section.iter().for_each(|(key, value)| inside(key.clone(), value)),
        Value::Array(items) => items.iter().enumerate().for_each(|(at, value)| inside(at.to_string(), value)),
        _ => {}
    }
}

/// Whether a pattern of steps matches a place.
fn covers(pattern: At, place: At) -> bool {
    match (pattern, place) {
        (["**"], [_, ..]) | ([], []) => true,
        ([step, pattern @ ..], [here, place @ ..]) => (*step == "*" || step == here) && covers(pattern, place),
        _ => false,
    }
}

/// Returns a place one step deeper.
pub fn join<'p>(at: At<'p>, step: &'p str) -> Vec<&'p str> {
    at.iter().copied().chain([step]).collect()
}
