//! This module parses a provider's callback: its query, and its body as a form or JSON.

use std::collections::BTreeMap;

use axum::http::header::CONTENT_TYPE;
use percent_encoding::percent_decode_str;

use super::wire::scalar_text;
use crate::notify::{CallbackFault, CallbackRequest};

/// Names in lower case.
pub(super) struct Fields(BTreeMap<String, String>);

impl Fields {
    pub fn read(request: &CallbackRequest) -> Result<Self, CallbackFault> {
        let mut read: BTreeMap<_, _> = pairs(&request.query).map(|(name, value)| (name.to_lowercase(), text(value))).collect();
        let kind = request.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if kind.starts_with("application/json") {
            let object: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&request.body)
                .map_err(|error| CallbackFault::Malformed(format!("the body is not a JSON object: {error}")))?;
            read.extend(object.iter().filter_map(|(name, value)| Some((name.to_lowercase(), scalar_text(value)?))));
        } else {
            let body = form(request)?;
            read.extend(pairs(&body).map(|(name, value)| (name.to_lowercase(), text(value))));
        }
        Ok(Self(read))
    }

    /// The first non-empty value of `names`.
    pub fn any(&self, names: &[&str]) -> Option<&str> {
        names.iter().filter_map(|name| self.0.get(*name)).map(String::as_str).find(|value| !value.is_empty())
    }

    pub fn needed(&self, names: &[&str]) -> Result<&str, CallbackFault> {
        self.any(names).ok_or_else(|| CallbackFault::Malformed(format!("missing {}", names.join(" or "))))
    }
}

/// The body of a form, still encoded.
pub(super) fn form(request: &CallbackRequest) -> Result<String, CallbackFault> {
    String::from_utf8(request.body.clone()).map_err(|_| CallbackFault::Malformed("the body is not UTF-8".to_owned()))
}

/// Names and decoded values, in order.
pub(super) fn pairs(encoded: &str) -> impl Iterator<Item = (String, Vec<u8>)> {
    encoded.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
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
