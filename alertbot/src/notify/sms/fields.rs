//! This module parses a provider's callback: its query, and its body as a form or JSON. One callback may contain several reports.
//!
//! - A body is JSON if its type says so in any spelling, or if it has no type and begins like JSON.
//! - Bytes that are not UTF-8 are replaced: the reference and the code of a reply are ASCII in every provider's format.

use std::collections::BTreeMap;

use axum::http::header::CONTENT_TYPE;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::wire::scalar_text;
use crate::notify::{CallbackFault, CallbackRequest};

/// Most reports of one callback.
const MOST_REPORTS: usize = 1000;

/// Names in lower case.
#[derive(Clone, Default)]
pub(super) struct Fields(BTreeMap<String, String>);

impl Fields {
    /// The reports of a callback. A field that occurs once applies to each of them.
    pub fn read_all(request: &CallbackRequest) -> Result<Vec<Self>, CallbackFault> {
        let query = pairs(&request.query).map(|(name, value)| (name.to_lowercase(), text(value)));
        let body = form(request);
        let all = if is_json(request, &body) {
            let json: Value = serde_json::from_str(body.trim_start_matches('\u{feff}').trim())
                .map_err(|error| CallbackFault::Malformed(format!("the body is not JSON: {error}")))?;
            let common = Self(query.collect());
            match json {
                Value::Object(object) => common.and_object(&object),
                Value::Array(reports) => common.and_each(&reports),
                _ => return Err(CallbackFault::Malformed("the body is neither a JSON object nor an array of them".to_owned())),
            }
        } else {
            let body: Vec<_> = pairs(&body).map(|(name, value)| (name.to_lowercase(), text(value))).collect();
            // Names in the body replace those in the query.
            let query = query.filter(|(name, _)| !body.iter().any(|(known, _)| known == name)).collect::<Vec<_>>();
            Self::repeated(query.into_iter().chain(body))
        };
        match all.len() {
            0 => Err(CallbackFault::Malformed("the callback contains no report".to_owned())),
            1..=MOST_REPORTS => Ok(all),
            count => {
                Err(CallbackFault::Malformed(format!("the callback contains {count} reports; at most {MOST_REPORTS} are read")))
            }
        }
    }

    /// The first report.
    pub fn read(request: &CallbackRequest) -> Result<Self, CallbackFault> {
        Ok(Self::read_all(request)?.swap_remove(0))
    }

    /// `id=1&status=10&id=2&status=11` are two reports.
    fn repeated(pairs: impl Iterator<Item = (String, String)>) -> Vec<Self> {
        let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in pairs {
            values.entry(name.trim_end_matches("[]").to_owned()).or_default().push(value);
        }
        let count = values.values().map(Vec::len).max().unwrap_or(1);
        let report = |index: usize| {
            let of = values.iter().filter_map(|(name, all)| {
                let value = if all.len() == 1 { all.first() } else { all.get(index) };
                Some((name.clone(), value?.clone()))
            });
            Self(of.collect())
        };
        (0..count.min(MOST_REPORTS + 1)).map(report).collect()
    }

    /// An object is one report, or contains a list of them (`results`, `messages`, `entries`).
    fn and_object(mut self, object: &Map<String, Value>) -> Vec<Self> {
        let lists = object.values().filter_map(Value::as_array).filter(|list| list.iter().any(Value::is_object));
        let list = lists.max_by_key(|list| list.len()).cloned();
        self.0.extend(object.iter().filter_map(|(name, value)| Some((name.to_lowercase(), field(name, value)?))));
        match list {
            Some(list) => self.and_each(&list),
            None => vec![self],
        }
    }

    fn and_each(&self, reports: &[Value]) -> Vec<Self> {
        let objects = reports.iter().filter_map(Value::as_object);
        objects.take(MOST_REPORTS + 1).flat_map(|object| self.clone().and_object(object)).collect()
    }

    /// The first non-empty value of `names`.
    pub fn any(&self, names: &[&str]) -> Option<&str> {
        names.iter().filter_map(|name| self.0.get(*name)).map(String::as_str).find(|value| !value.is_empty())
    }

    pub fn needed(&self, names: &[&str]) -> Result<&str, CallbackFault> {
        self.any(names).ok_or_else(|| CallbackFault::Malformed(format!("missing {}", names.join(" or "))))
    }
}

/// A status may be an object with its name.
fn field(name: &str, value: &Value) -> Option<String> {
    match value {
        Value::Object(object) if name.eq_ignore_ascii_case("status") => {
            ["groupName", "name", "status"].iter().find_map(|name| object.get(*name).and_then(scalar_text))
        }
        Value::Array(_) | Value::Object(_) => None,
        scalar => scalar_text(scalar),
    }
}

fn is_json(request: &CallbackRequest, body: &str) -> bool {
    let kind = request.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let begins = body.trim_start_matches('\u{feff}').trim_start().starts_with(['{', '[']);
    !body.trim().is_empty() && (kind.ends_with("/json") || kind.ends_with("+json") || (kind != FORM && begins))
}

const FORM: &str = "application/x-www-form-urlencoded";

/// The body of a form, still encoded.
pub(super) fn form(request: &CallbackRequest) -> String {
    text(request.body.clone())
}

/// Names and decoded values, in order.
pub(super) fn pairs(encoded: &str) -> impl Iterator<Item = (String, Vec<u8>)> {
    encoded.split('&').map(str::trim).filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (text(decoded(name)), decoded(value))
    })
}

fn decoded(encoded: &str) -> Vec<u8> {
    percent_decode_str(&encoded.replace('+', " ")).collect()
}

pub(super) fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}
