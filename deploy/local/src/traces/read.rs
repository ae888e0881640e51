//! This module reads an OTLP request and refuses one that breaks the protocol or the conventions.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value},
    trace::v1::Span,
};
use prost::Message;
use serde::Serialize;
use serde_json::Value;

/// Longest name of a span: a longer one contains an identifier.
const NAME_MAX: usize = 100;
const KINDS: [&str; 6] = ["unspecified", "internal", "server", "client", "producer", "consumer"];
const STATUSES: [&str; 3] = ["unset", "ok", "error"];

/// A span of another trace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SpanLink {
    pub trace_id: String,
    pub span_id: String,
}

/// A span as received; times in ns since 1970.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StoredSpan {
    pub service: String,
    pub trace_id: String,
    pub span_id: String,
    /// Empty for the root of a trace.
    pub parent_id: String,
    pub name: String,
    pub kind: &'static str,
    pub begun: u64,
    pub ended: u64,
    pub status: &'static str,
    pub attributes: BTreeMap<String, Value>,
    pub links: Vec<SpanLink>,
    pub events: Vec<String>,
}

impl StoredSpan {
    pub fn failed(&self) -> bool {
        self.status == "error"
    }
}

/// The spans of a request. `Err`: the first rule that one of them breaks.
pub fn spans(body: &[u8]) -> Result<Vec<StoredSpan>, String> {
    let request = ExportTraceServiceRequest::decode(body).map_err(|error| format!("the body is not an OTLP request: {error}"))?;
    let mut spans = Vec::new();
    for resource in request.resource_spans {
        let described = attributes(resource.resource.map(|resource| resource.attributes).unwrap_or_default())?;
        let service = described.get("service.name").and_then(Value::as_str).filter(|name| !name.is_empty());
        let service = service.ok_or("a resource has no service.name")?.to_owned();
        for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            let name = span.name.clone();
            spans.push(read(service.clone(), span).map_err(|reason| format!("span {name:?} of {service}: {reason}"))?);
        }
    }
    Ok(spans)
}

fn read(service: String, span: Span) -> Result<StoredSpan, String> {
    let parent_id = if span.parent_span_id.is_empty() { String::new() } else { id::<8>("parent_span_id", &span.parent_span_id)? };
    let links = span.links.iter().map(|link| {
        Ok(SpanLink {
            trace_id: id::<16>("a link's trace_id", &link.trace_id)?,
            span_id: id::<8>("a link's span_id", &link.span_id)?,
        })
    });
    let code = span.status.as_ref().map_or(0, |status| status.code);
    let read = StoredSpan {
        service,
        trace_id: id::<16>("trace_id", &span.trace_id)?,
        span_id: id::<8>("span_id", &span.span_id)?,
        parent_id,
        kind: named(&KINDS, span.kind).ok_or_else(|| format!("kind {} does not exist", span.kind))?,
        begun: span.start_time_unix_nano,
        ended: span.end_time_unix_nano,
        status: named(&STATUSES, code).ok_or_else(|| format!("status {code} does not exist"))?,
        links: links.collect::<Result<_, String>>()?,
        events: span.events.into_iter().map(|event| event.name).collect(),
        attributes: attributes(span.attributes)?,
        name: span.name,
    };
    check(&read)?;
    Ok(read)
}

fn named(names: &[&'static str], number: i32) -> Option<&'static str> {
    usize::try_from(number).ok().and_then(|number| names.get(number)).copied()
}

fn id<const LENGTH: usize>(name: &str, bytes: &[u8]) -> Result<String, String> {
    match bytes.len() {
        length if length != LENGTH => Err(format!("{name} has {length} bytes, expected {LENGTH}")),
        _ if bytes.iter().all(|byte| *byte == 0) => Err(format!("{name} is zero")),
        _ => Ok(hex::encode(bytes)),
    }
}

fn attributes(pairs: Vec<KeyValue>) -> Result<BTreeMap<String, Value>, String> {
    let mut read = BTreeMap::new();
    for KeyValue { key, value, .. } in pairs {
        if key.is_empty() || key.starts_with("otel.") {
            return Err(format!("attribute {key:?} is empty or reserved"));
        }
        let value = value.and_then(json_of).ok_or_else(|| format!("attribute {key} has no plain value"))?;
        if read.insert(key.clone(), value).is_some() {
            return Err(format!("attribute {key} appears twice"));
        }
    }
    Ok(read)
}

fn json_of(value: AnyValue) -> Option<Value> {
    match value.value? {
        any_value::Value::StringValue(text) => Some(text.into()),
        any_value::Value::BoolValue(truth) => Some(truth.into()),
        any_value::Value::IntValue(number) => Some(number.into()),
        any_value::Value::DoubleValue(number) => Some(number.into()),
        any_value::Value::ArrayValue(array) => {
            array.values.into_iter().map(json_of).collect::<Option<Vec<_>>>().map(Value::Array)
        }
        _ => None,
    }
}

fn check(span: &StoredSpan) -> Result<(), String> {
    if span.name.is_empty() || span.name.chars().count() > NAME_MAX {
        return Err(format!("the name must have 1 to {NAME_MAX} characters"));
    }
    if span.kind == KINDS[0] {
        return Err("the kind is unspecified".into());
    }
    if span.begun == 0 || span.ended < span.begun {
        return Err(format!("it ends at {} and begins at {}", span.ended, span.begun));
    }
    if let (Some(method), "server") = (span.attributes.get("http.request.method"), span.kind) {
        check_http(span, method.as_str().ok_or("http.request.method must be a text")?)?;
    }
    Ok(())
}

/// The conventions for HTTP servers.
fn check_http(span: &StoredSpan, method: &str) -> Result<(), String> {
    let name = match span.attributes.get("http.route").and_then(Value::as_str) {
        Some(route) => format!("{method} {route}"),
        None => method.to_owned(),
    };
    if span.name != name {
        return Err(format!("the name must be {name:?}"));
    }
    for required in ["url.path", "url.scheme"] {
        if !span.attributes.contains_key(required) {
            return Err(format!("{required} is missing"));
        }
    }
    // An abandoned request has no answer.
    let Some(status) = span.attributes.get("http.response.status_code") else { return Ok(()) };
    let status = status.as_i64().filter(|status| (100..600).contains(status));
    let status = status.ok_or("http.response.status_code must be a whole number from 100 to 599")?;
    match (status >= 500, span.failed(), span.attributes.contains_key("error.type")) {
        (true, true, true) | (false, false, false) => Ok(()),
        _ => Err(format!("status {status} disagrees with the span's status or error.type")),
    }
}
