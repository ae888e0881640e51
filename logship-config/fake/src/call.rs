//! One request, read off the wire: method, path in its parts, parameters, body.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use serde_json::Value;

use crate::answer::{FakeAnswer, Refused};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReceivedCall {
    /// `GET`, in capitals.
    pub method: String,
    /// As sent, without parameters: `/_ilm/policy/a%20b`.
    pub path: String,
    pub query: BTreeMap<String, String>,
    /// Inflated already.
    pub body: Vec<u8>,
    /// The `Authorization` header.
    pub authorization: Option<String>,
}

impl ReceivedCall {
    pub fn new(method: &str, path_and_query: &str, body: Vec<u8>) -> Self {
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        let text = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
        let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (text(name), text(value))
        });
        Self { method: method.to_owned(), path: path.to_owned(), query: pairs.collect(), body, authorization: None }
    }

    /// The path's parts, decoded.
    pub fn segments(&self) -> Vec<String> {
        let parts = self.path.split('/').filter(|part| !part.is_empty());
        parts.map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned()).collect()
    }

    /// A parameter that is a switch: present without a value means true.
    pub fn flag(&self, name: &str) -> Refused<Option<bool>> {
        match self.query.get(name).map(String::as_str) {
            None => Ok(None),
            Some("" | "true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(other) => Err(FakeAnswer::illegal_argument(format!(
                "Failed to parse value [{other}] as only [true] or [false] are allowed."
            ))),
        }
    }

    /// The body as JSON; `Null` without a body.
    pub fn json(&self) -> Refused<Value> {
        if self.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&self.body).map_err(|error| FakeAnswer::error(400, "x_content_parse_exception", error.to_string()))
    }

    /// The body, which must be there.
    pub fn required_json(&self) -> Refused<Value> {
        match self.json()? {
            Value::Null => Err(FakeAnswer::error(400, "parse_exception", "request body is required")),
            body => Ok(body),
        }
    }
}
