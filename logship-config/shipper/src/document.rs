//! This module is pure. It builds a document as the pipeline does: ECS unchanged, other text as the message, plus its origin.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use twox_hash::XxHash3_128;

use crate::lines::{LogRecord, is_panic};

/// Parts of a run and the program of each, as in the label `app.kubernetes.io/name` of its pods.
const PROGRAMS: [(&str, &str); 7] = [
    ("serve", "exchange"),
    ("worker", "exchange"),
    ("migrate", "exchange"),
    ("alertbot", "alertbot"),
    ("backup", "backup"),
    ("relay", "logship"),
    ("watch", "logship"),
];
const NAMESPACE: &str = "local";

/// One item for the relay: the data stream, the `_id`, the document.
#[derive(Debug, Clone, PartialEq)]
pub struct LogDocument {
    pub stream: &'static str,
    pub id: String,
    pub source: Map<String, Value>,
}

/// `part` is the name of the log file without its extension. `now` is the time of records without a timestamp.
pub fn document(record: &LogRecord, part: &str, path: &str, now: Timestamp) -> LogDocument {
    let program = PROGRAMS.iter().find(|(of, _)| *of == part).map(|(_, program)| *program);
    let mut source = match serde_json::from_str::<Value>(&record.text) {
        Ok(Value::Object(ecs)) => ecs,
        _ => {
            let mut text = Map::new();
            if is_panic(&record.text) {
                text.insert("log.level".into(), "error".into());
                text.insert("error.type".into(), "panic".into());
            }
            text.insert("message".into(), record.text.as_str().into());
            text
        }
    };
    source.entry("@timestamp").or_insert_with(|| now.to_string().into());
    source.insert("log.file.path".into(), path.into());
    source.insert("log.offset".into(), record.offset.into());
    source.insert("kubernetes".into(), pod(part, program));
    // The id depends on place and text, so a record that is read twice is the same document.
    let hash = XxHash3_128::oneshot(format!("{path}\n{}\n{}", record.offset, record.text).as_bytes());
    LogDocument { stream: stream(program, &source), id: format!("{hash:032x}"), source }
}

fn pod(part: &str, program: Option<&str>) -> Value {
    let labels = match program {
        // Both labels, as charts set them: no dynamic mapping can hold a text `app` together with `app.kubernetes.io/name`.
        Some(program) => json!({"app": program, "app.kubernetes.io/name": program, "app.kubernetes.io/component": part}),
        None => json!({"app": part}),
    };
    json!({"namespace_name": NAMESPACE, "pod_name": format!("{part}-0"), "container_name": part, "host": "localhost", "labels": labels})
}

fn stream(program: Option<&str>, source: &Map<String, Value>) -> &'static str {
    let dataset = source.get("event.dataset").or_else(|| source.get("event")?.get("dataset")).and_then(Value::as_str);
    match (program, dataset) {
        (Some("exchange"), Some("exchange.audit")) => "logs-exchange.audit-default",
        (Some("exchange"), Some("exchange.access")) => "logs-exchange.access-default",
        (Some("exchange"), _) => "logs-exchange.app-default",
        (Some("alertbot"), _) => "logs-alertbot.app-default",
        (Some("backup"), _) => "logs-backup.app-default",
        _ => "logs-infrastructure.app-default",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(part: &str, text: &str) -> LogDocument {
        let record = LogRecord { offset: 7, text: text.to_owned() };
        document(&record, part, &format!("/logs/{part}.log"), Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn ecs_is_unchanged_and_other_text_becomes_a_message() {
        let ecs = of("serve", r#"{"@timestamp":"2026-11-27T09:00:00.000Z","log.level":"info","message":"m"}"#);
        assert_eq!((&ecs.source["@timestamp"], &ecs.source["log.level"]), (&"2026-11-27T09:00:00.000Z".into(), &"info".into()));
        assert_eq!((&ecs.source["log.offset"], &ecs.source["kubernetes"]["pod_name"]), (&7.into(), &"serve-0".into()));
        let text = of("postgres", "LOG:  database system is ready");
        assert_eq!(text.source["message"], "LOG:  database system is ready");
        assert_eq!((&text.source["@timestamp"], text.source.get("log.level")), (&"1970-01-01T00:00:00Z".into(), None));
        let panic = of("serve", "thread 'main' panicked at src/main.rs:1:1:\nno disk");
        assert_eq!((&panic.source["log.level"], &panic.source["error.type"]), (&"error".into(), &"panic".into()));
        assert_eq!(of("serve", "[1, 2]").source["message"], "[1, 2]");
    }

    #[test]
    fn each_line_goes_to_its_stream() {
        for (part, text, stream) in [
            ("serve", "{}", "logs-exchange.app-default"),
            ("worker", r#"{"event.dataset":"exchange.audit"}"#, "logs-exchange.audit-default"),
            ("serve", r#"{"event":{"dataset":"exchange.access"}}"#, "logs-exchange.access-default"),
            ("serve", r#"{"event.dataset":"other"}"#, "logs-exchange.app-default"),
            ("alertbot", "{}", "logs-alertbot.app-default"),
            ("backup", "text", "logs-backup.app-default"),
            ("relay", "{}", "logs-infrastructure.app-default"),
            // Only the exchange writes into its audit stream.
            ("postgres", r#"{"event.dataset":"exchange.audit"}"#, "logs-infrastructure.app-default"),
        ] {
            assert_eq!(of(part, text).stream, stream, "{part} {text}");
        }
    }

    #[test]
    fn the_id_follows_from_place_and_text() {
        let first = of("serve", "x");
        let later = document(&LogRecord { offset: 7, text: "x".into() }, "serve", "/logs/serve.log", Timestamp::MAX);
        assert_eq!(first.id, later.id);
        assert!(first.id != of("worker", "x").id && first.id != of("serve", "y").id && first.id.len() == 32);
        assert_ne!(first.id, document(&LogRecord { offset: 8, text: "x".into() }, "serve", "/logs/serve.log", Timestamp::MAX).id);
    }
}
