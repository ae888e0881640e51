//! The spans of a backup and of a drill, against a receiver that refuses what breaks OTLP.

use std::time::{Duration, Instant};

use local_parts::{StoredSpan, TraceReceiver};
use sqlx::Executor;

use crate::{
    program::{ended, program},
    support::{database, store_settings},
};

const DEADLINE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);

/// Everything of the trace that a span of this name is in, once the span has arrived.
async fn trace_of(receiver: &TraceReceiver, name: &str) -> Vec<StoredSpan> {
    let end = Instant::now() + DEADLINE;
    loop {
        assert_eq!(receiver.faults(), Vec::<String>::new());
        let spans = receiver.spans();
        if let Some(found) = spans.iter().find(|span| span.name == name) {
            return spans.iter().filter(|span| span.trace_id == found.trace_id).cloned().collect();
        }
        assert!(Instant::now() < end, "no span {name} arrived: {spans:#?}");
        tokio::time::sleep(POLL).await;
    }
}

fn named<'a>(spans: &'a [StoredSpan], name: &str) -> &'a StoredSpan {
    spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no span {name}: {spans:#?}"))
}

/// Spans are exported before the program ends, so all of them are there afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_and_a_drill_are_a_trace_each() {
    let (source, mut session) = database().await;
    session.execute("CREATE TABLE t (a int); INSERT INTO t SELECT generate_series(1, 1000)").await.unwrap();
    let store = store_settings().await;
    let receiver = TraceReceiver::start("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let exporting = [("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint.as_str())];
    let say = async |arguments: &'static [&'static str]| {
        let (command, store) = (program(&source, &store, &exporting, arguments), store.clone());
        tokio::task::spawn_blocking(move || ended(command, &store)).await.unwrap()
    };

    let (status, text) = say(&["run"]).await;
    assert_eq!(status, 0, "{text}");
    let trace = trace_of(&receiver, "backup").await;
    let backup = named(&trace, "backup");
    assert_eq!((backup.service.as_str(), backup.kind, backup.status), ("backup", "internal", "unset"), "{backup:#?}");
    assert_eq!(backup.attributes["attempts"], "1", "{backup:#?}");
    for step in ["connect", "read databases", "upload", "upload records"] {
        let step = named(&trace, step);
        assert_eq!(step.parent_id, backup.span_id, "{step:#?}");
        assert!(backup.begun <= step.begun && step.ended <= backup.ended, "{step:#?} is outside of {backup:#?}");
    }

    let (status, text) = say(&["verify"]).await;
    assert_eq!(status, 0, "{text}");
    let drill = trace_of(&receiver, "verify").await;
    assert_ne!(named(&drill, "verify").trace_id, backup.trace_id);
    assert_eq!(named(&drill, "verify").status, "unset");
}

/// A failed backup is an error of its trace, with the stage at which it failed.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_backup_is_a_failed_span_with_its_stage() {
    let (source, _session) = database().await;
    let store = store_settings().await;
    let receiver = TraceReceiver::start("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let missing = source.with_database("missing_database");
    let settings = [("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint.as_str()), ("BACKUP_ATTEMPTS", "1")];
    let command = program(&missing, &store, &settings, &["run"]);
    let (status, text) = tokio::task::spawn_blocking(move || ended(command, &store)).await.unwrap();
    assert_ne!(status, 0, "{text}");
    let trace = trace_of(&receiver, "backup").await;
    let backup = named(&trace, "backup");
    assert!(backup.failed() && backup.attributes["error.type"] == "connect", "{backup:#?}");
}
