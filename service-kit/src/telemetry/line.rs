//! This module builds one ECS line (<https://www.elastic.co/guide/en/ecs/current/index.html>).

use std::{cell::RefCell, error::Error, fmt, io::Write};

use time::{OffsetDateTime, format_description::BorrowedFormatItem, macros::format_description};
use tracing::field::{Field, Visit};

use super::Service;
use crate::trace::TraceContext;

/// The error with its causes, on one line.
pub fn with_causes(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// The release of ECS whose names and types the lines follow.
const ECS_VERSION: &str = "8.17.0";
const TIMESTAMP: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

thread_local! {
    /// Every line of a thread reuses this memory.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A JSON object that grows member by member.
pub(super) struct LogLine<'a> {
    text: &'a mut Vec<u8>,
}

impl LogLine<'_> {
    /// Builds a line with the members that every line has, and hands it to `write` complete with its line feed.
    pub(super) fn with(level: &str, service: Service, fill: impl FnOnce(&mut LogLine<'_>), write: impl FnOnce(&[u8])) {
        let build = |text: &mut Vec<u8>| {
            text.clear();
            text.extend_from_slice(b"{\"@timestamp\":\"");
            // Fails for years past 9999 only.
            let _ = OffsetDateTime::now_utc().format_into(text, &TIMESTAMP);
            text.push(b'"');
            let mut line = LogLine { text };
            line.text("log.level", level);
            fill(&mut line);
            line.text("service.name", service.name);
            line.text("service.version", service.version);
            line.text("service.node.name", service.role);
            line.text("ecs.version", ECS_VERSION);
            if let Some(name) = std::thread::current().name() {
                line.text("process.thread.name", name);
            }
            text.extend_from_slice(b"}\n");
            write(text);
        };
        BUFFER.with(|buffer| match buffer.try_borrow_mut() {
            Ok(mut text) => build(&mut text),
            // A value logs while it is printed: build its line in another buffer.
            Err(_) => build(&mut Vec::new()),
        });
    }

    pub(super) fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        quote(self.text, value);
    }

    /// `value` is JSON already.
    pub(super) fn json(&mut self, name: &str, value: &[u8]) {
        self.name(name);
        self.text.extend_from_slice(value);
    }

    pub(super) fn trace(&mut self, context: TraceContext) {
        self.text("trace.id", &context.trace_id.to_string());
        self.text("span.id", &context.span_id.to_string());
    }

    fn name(&mut self, name: &str) {
        self.text.push(b',');
        quote(self.text, name);
        self.text.push(b':');
    }
}

/// Fields with this prefix are instructions to the exporter of spans.
const OF_EXPORTER: &str = "otel.";

/// The name of a field in the line. `error` must not be a text: in ECS it is an object with members.
fn member(field: &Field) -> &'static str {
    match field.name() {
        "error" => "error.message",
        name => name.strip_prefix("r#").unwrap_or(name),
    }
}

/// Takes the fields of an event or a span as JSON, one by one.
pub(super) struct LineFields<F: FnMut(&'static str, &[u8])> {
    take: F,
    value: Vec<u8>,
}

impl<F: FnMut(&'static str, &[u8])> LineFields<F> {
    pub(super) fn new(take: F) -> Self {
        Self { take, value: Vec::new() }
    }

    fn plain(&mut self, field: &Field, value: impl fmt::Display) {
        if field.name().starts_with(OF_EXPORTER) {
            return;
        }
        self.value.clear();
        let _ = write!(self.value, "{value}");
        (self.take)(member(field), &self.value);
    }

    fn quoted(&mut self, field: &Field, value: &str) {
        if field.name().starts_with(OF_EXPORTER) {
            return;
        }
        self.value.clear();
        quote(&mut self.value, value);
        (self.take)(member(field), &self.value);
    }
}

impl<F: FnMut(&'static str, &[u8])> Visit for LineFields<F> {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.plain(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.plain(field, value);
    }

    /// Written as text, since log stores have no 128-bit numbers.
    fn record_i128(&mut self, field: &Field, value: i128) {
        self.quoted(field, &value.to_string());
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.quoted(field, &value.to_string());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        if value.is_finite() { self.plain(field, value) } else { self.quoted(field, &value.to_string()) }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.plain(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.quoted(field, value);
    }

    /// Writes the error and its causes as one text.
    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.quoted(field, &with_causes(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name().starts_with(OF_EXPORTER) {
            return;
        }
        self.quoted(field, &format!("{value:?}"));
    }
}

fn quote(text: &mut Vec<u8>, value: &str) {
    // Writing a text into memory cannot fail.
    let _ = serde_json::to_writer(text, value);
}
