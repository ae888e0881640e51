//! These tests read lines back as a log shipper does: JSON, one object per line.

use std::{
    collections::HashSet,
    io::{BufRead, BufReader, PipeReader},
    net::TcpListener,
    sync::Arc,
    time::{Duration, Instant},
};

use local_parts::TraceReceiver;
use serde_json::Value;
use tracing::{debug, error, info, info_span, subscriber::with_default};

use super::*;

const SERVICE: Service = Service { name: "shop", version: "1.2.3", role: "till" };

/// Runs `work` under a subscriber with the given level and returns the lines that it logged.
fn lines(level: &str, work: impl FnOnce(&LogLevel)) -> Vec<Value> {
    let (reader, writer) = std::io::pipe().unwrap();
    let settings = TelemetrySettings { level: level.into(), ..TelemetrySettings::default() };
    let (subscriber, level) = assemble(SERVICE, &settings, LogStream::Stdout, Some(Arc::new(LogOutput::to(writer.into()))), None);
    with_default(subscriber, || work(&level));
    drop(level);
    read(reader)
}

fn read(reader: PipeReader) -> Vec<Value> {
    BufReader::new(reader).lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect()
}

#[test]
fn a_line_has_the_members_of_ecs_and_the_fields_as_given() {
    let mut lines = lines("info", |_| {
        info!(
            target: "shop::till",
            { event.duration = 1_500_u64, price = -2_i64, paid = true, ratio = 0.5, wide = u128::MAX },
            "sold \"it\"\n"
        );
    });
    let line = lines.remove(0);
    let timestamp = line["@timestamp"].as_str().unwrap();
    assert!(timestamp.len() == 24 && timestamp.ends_with('Z') && timestamp.as_bytes()[10] == b'T', "{timestamp}");
    for (name, value) in [
        ("log.level", Value::from("info")),
        ("message", Value::from("sold \"it\"\n")),
        ("service.name", Value::from("shop")),
        ("service.version", Value::from("1.2.3")),
        ("service.node.name", Value::from("till")),
        ("ecs.version", Value::from("8.17.0")),
        ("log.logger", Value::from("shop::till")),
        ("event.duration", Value::from(1500)),
        ("price", Value::from(-2)),
        ("paid", Value::from(true)),
        ("ratio", Value::from(0.5)),
        ("wide", Value::from("340282366920938463463374607431768211455")),
    ] {
        assert_eq!(line[name], value, "{name}");
    }
    assert!(line["process.thread.name"].is_string() && line.get("trace.id").is_none());
}

#[test]
fn ignored_variables_are_logged_once() {
    let lines = lines("info", |_| {
        warn_of_ignored(&[]);
        warn_of_ignored(&["SHOP_PORT".to_owned(), "SHOP_SERVICE_HOST".to_owned()]);
    });
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!((&lines[0]["log.level"], &lines[0]["variables"]), (&"warn".into(), &"SHOP_PORT, SHOP_SERVICE_HOST".into()));
}

#[test]
fn an_error_is_logged_with_its_causes() {
    #[derive(Debug, thiserror::Error)]
    #[error("the till is stuck")]
    struct Stuck(#[source] std::io::Error);

    let lines = lines("info", |_| {
        let stuck = Stuck(std::io::Error::other("a coin"));
        error!(error = &stuck as &dyn std::error::Error, error.type = "Stuck", "no change");
    });
    assert_eq!((&lines[0]["error.message"], &lines[0]["error.type"]), (&"the till is stuck: a coin".into(), &"Stuck".into()));
    assert!(lines[0].get("error").is_none());
}

#[test]
fn lines_have_the_fields_and_trace_of_their_spans() {
    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let (reader, writer) = std::io::pipe().unwrap();
    let (subscriber, _level) =
        assemble(SERVICE, &TelemetrySettings::default(), LogStream::Stdout, Some(Arc::new(LogOutput::to(writer.into()))), None);
    with_default(subscriber, || {
        let outer = crate::trace::continue_from_text(PARENT, || {
            info_span!("outer", http.route = "/buy", customer = 1, late = tracing::field::Empty)
        });
        outer.record("late", "yes");
        outer.in_scope(|| info_span!("inner", customer = 2).in_scope(|| info!(customer = 3, "one")));
        outer.in_scope(|| info_span!("inner", customer = 2).in_scope(|| info!("two")));
        info!("three");
    });
    let text = BufReader::new(reader).lines().map(Result::unwrap).collect::<Vec<_>>();
    assert_eq!(text[0].matches("\"customer\"").count(), 1, "a name appears once: {}", text[0]);
    let lines: Vec<Value> = text.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["customer"], &lines[1]["customer"]), (&3.into(), &2.into()));
    for line in &lines[..2] {
        assert_eq!((&line["http.route"], &line["late"]), (&"/buy".into(), &"yes".into()));
        assert_eq!(line["trace.id"], "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(line["span.id"].as_str().unwrap().len(), 16);
    }
    assert_ne!(lines[0]["span.id"], lines[1]["span.id"]);
    assert!(lines[2].get("http.route").is_none() && lines[2].get("trace.id").is_none());
}

/// The new value is once longer and once shorter than the old one. The other field must not change.
#[test]
fn a_field_recorded_twice_has_its_last_value() {
    let lines = lines("info", |_| {
        let span = info_span!("job", done = "none", beside = "here");
        for done in ["one of many", "two", "thirty of very many more", ""] {
            span.record("done", done);
            span.in_scope(|| info!("so far"));
        }
    });
    let told: Vec<_> = lines.iter().map(|line| (line["done"].as_str().unwrap(), line["beside"].as_str().unwrap())).collect();
    assert_eq!(told, [("one of many", "here"), ("two", "here"), ("thirty of very many more", "here"), ("", "here")]);
}

#[test]
fn the_level_changes_at_run_time() {
    let lines = lines("warn", |level| {
        info!("unheard");
        level.set(" debug ").unwrap();
        debug!("heard");
        assert!(level.set("laud").is_err());
        assert_eq!(level.get(), "debug");
        level.set("error").unwrap();
        info!("unheard again");
    });
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["message"], "heard");
}

#[test]
fn lines_of_many_threads_stay_whole_even_when_long() {
    const THREADS: usize = 8;
    const LINES: usize = 50;
    let (reader, writer) = std::io::pipe().unwrap();
    let reading = std::thread::spawn(|| read(reader));
    let (subscriber, level) =
        assemble(SERVICE, &TelemetrySettings::default(), LogStream::Stdout, Some(Arc::new(LogOutput::to(writer.into()))), None);
    let dispatch = tracing::Dispatch::new(subscriber);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let dispatch = &dispatch;
            scope.spawn(move || {
                let filling = "x".repeat(if thread % 2 == 0 { 10 } else { 40_000 });
                tracing::dispatcher::with_default(dispatch, || (0..LINES).for_each(|_| info!(filling, "line")));
            });
        }
    });
    drop((dispatch, level));
    assert_eq!(reading.join().unwrap().len(), THREADS * LINES);
}

#[test]
fn a_value_that_logs_while_it_is_printed_spoils_no_line() {
    struct Chatty;
    impl std::fmt::Debug for Chatty {
        fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            let (reader, writer) = std::io::pipe().unwrap();
            LogLine::with("info", SERVICE, |line| line.text("message", "inner"), |line| LogOutput::to(writer.into()).write(line));
            formatter.write_str(read(reader)[0]["message"].as_str().unwrap())
        }
    }
    use super::line::LogLine;
    assert_eq!(lines("info", |_| info!(value = ?Chatty, "outer"))[0]["value"], "inner");
}

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";
const UNSAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319d-b7ad6b7169203331-00";

/// Runs `work` with an exporter to `endpoint` and returns the lines logged until everything is exported.
fn exporting(endpoint: &str, work: impl FnOnce()) -> Vec<Value> {
    exporting_to(Traces::to(SERVICE, endpoint).unwrap(), work)
}

fn exporting_to(traces: Traces, work: impl FnOnce()) -> Vec<Value> {
    let (reader, writer) = std::io::pipe().unwrap();
    let output = Some(Arc::new(LogOutput::to(writer.into())));
    let (subscriber, level) = assemble(SERVICE, &TelemetrySettings::default(), LogStream::Stdout, output, Some(&traces));
    let dispatch = tracing::Dispatch::new(subscriber);
    tracing::dispatcher::with_default(&dispatch, work);
    drop((TelemetryGuard { level, _traces: Some(traces) }, dispatch));
    read(reader)
}

async fn receiver() -> TraceReceiver {
    TraceReceiver::start("127.0.0.1:0".parse().unwrap()).await.unwrap()
}

/// The exported spans have the trace id of the request, and the log line shows the same ids.
#[tokio::test(flavor = "multi_thread")]
async fn spans_are_exported_under_the_trace_of_the_log_lines() {
    let receiver = receiver().await;
    let lines = exporting(&receiver.endpoint, || {
        let span = crate::trace::continue_from_text(PARENT, || info_span!("request"));
        span.in_scope(|| info!("{}", crate::trace::traceparent().unwrap()));
    });
    let line = &lines[0];
    assert_eq!(line["trace.id"], TRACE_ID);
    assert!(line["message"].as_str().unwrap().contains(line["span.id"].as_str().unwrap()));
    let trace = receiver.trace(TRACE_ID);
    assert_eq!((trace.len(), &line["span.id"]), (1, &trace[0].span_id.as_str().into()), "{:?}", receiver.faults());
    assert_eq!((trace[0].parent_id.as_str(), trace[0].service.as_str()), ("b7ad6b7169203331", "shop"));
    assert_eq!(trace[0].events.len(), 1);
}

/// The first span of a trace decides: a span below one that is not exported must not begin a trace.
#[tokio::test(flavor = "multi_thread")]
async fn half_of_the_traces_are_exported_whole() {
    use opentelemetry_sdk::trace::Sampler;
    // Few enough for their lines to fit into a pipe, which is read at the end.
    const TRACES: usize = 100;
    let receiver = receiver().await;
    let half = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(0.5)));
    let lines = exporting_to(Traces::sampled_by(SERVICE, &receiver.endpoint, Some(half.into())).unwrap(), || {
        for _ in 0..TRACES {
            info_span!("first").in_scope(|| info_span!("second").in_scope(|| info!("at work")));
        }
        crate::trace::continue_from_text(PARENT, || info_span!("first")).in_scope(|| info_span!("second").in_scope(|| ()));
        crate::trace::continue_from_text(UNSAMPLED, || info_span!("first")).in_scope(|| info!("not exported"));
    });
    assert_eq!(receiver.faults(), Vec::<String>::new());
    let spans = receiver.spans();
    let (first, second): (Vec<_>, Vec<_>) = spans.iter().partition(|span| span.name == "first");
    assert!((TRACES / 4..TRACES * 3 / 4).contains(&first.len()), "{} of {TRACES}", first.len());
    assert_eq!(first.len(), second.len());
    for span in second {
        let parent = first.iter().find(|first| first.trace_id == span.trace_id).unwrap();
        assert_eq!(span.parent_id, parent.span_id);
    }
    assert_eq!(receiver.trace(TRACE_ID).len(), 2, "the sender of the parent decides");
    let traces: HashSet<_> = lines.iter().map(|line| line["trace.id"].as_str().unwrap()).collect();
    assert_eq!(traces.len(), TRACES + 1, "every line has its trace, exported or not");
    assert!(traces.contains(&UNSAMPLED[3..35]));
}

/// The receiver refuses spans that break OpenTelemetry's conventions for HTTP servers.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_span_follows_the_conventions_of_http() {
    use crate::trace::{answered, server_span};
    let receiver = receiver().await;
    let request = |method: &str, path: &str| {
        axum::http::Request::builder().method(method).uri(path).header("traceparent", PARENT).body(()).unwrap()
    };
    let lines = exporting(&receiver.endpoint, || {
        for (method, path, route, status) in [
            ("POST", "/order?price=1", Some("/order"), 200),
            ("GET", "/order", Some("/order"), 400),
            ("DELETE", "/order", Some("/order"), 503),
            ("GET", "/phone/a/secret", Some("/phone/{provider}/{token}"), 200),
            ("BREW", "/any/thing", None, 404),
        ] {
            let span = server_span(&request(method, path), route);
            span.in_scope(|| info!("answered"));
            answered(&span, status.try_into().unwrap());
        }
    });
    assert_eq!(receiver.faults(), Vec::<String>::new());
    let shown = receiver.trace(TRACE_ID).into_iter().map(|span| {
        let path = span.attributes["url.path"].as_str().unwrap().to_owned();
        let status = span.attributes["http.response.status_code"].as_i64().unwrap();
        (span.name, span.kind, span.status, path, status)
    });
    let expected = [
        ("POST /order", "unset", "/order", 200),
        ("GET /order", "unset", "/order", 400),
        ("DELETE /order", "error", "/order", 503),
        ("GET /phone/{provider}/{token}", "unset", "/phone/{provider}/{token}", 200),
        ("_OTHER", "unset", "/any/thing", 404),
    ];
    let expected = expected.map(|(name, status, path, code)| (name.to_owned(), "server", status, path.to_owned(), code));
    assert_eq!(shown.collect::<Vec<_>>(), expected);
    assert_eq!((&lines[0]["http.request.method"], &lines[0]["http.route"]), (&"POST".into(), &"/order".into()));
    assert!(lines.iter().all(|line| line.as_object().unwrap().keys().all(|name| !name.starts_with("otel."))), "{lines:?}");
}

/// A step has the times that its caller measured, and links from its trace to another one.
#[tokio::test(flavor = "multi_thread")]
async fn a_measured_step_is_a_child_with_links() {
    use crate::trace::Sampled;
    let receiver = receiver().await;
    exporting(&receiver.endpoint, || {
        let ended = Instant::now();
        let begun = ended.checked_sub(Duration::from_millis(7)).unwrap();
        let first = crate::trace::continue_from_text(PARENT, || info_span!("first"));
        let second = info_span!("second").in_scope(|| Sampled::current().unwrap());
        let parent = Sampled::of(&first).unwrap();
        let step = parent.step("commit", begun, ended).attribute("commands", 2);
        step.links([&second]).export().unwrap();
        let unsampled = crate::trace::continue_from_text(UNSAMPLED, || info_span!("unsampled"));
        assert_eq!(unsampled.in_scope(Sampled::current), None);
        assert_eq!(unsampled.in_scope(|| info_span!("below").in_scope(Sampled::current)), None);
        let adopted = unsampled.in_scope(|| parent.child(|| info_span!("adopted")));
        assert!(Sampled::of(&adopted).is_some(), "the named parent decides, not the current span");
    });
    assert_eq!(receiver.faults(), Vec::<String>::new());
    let spans = receiver.trace(TRACE_ID);
    let named = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
    let (first, commit) = (named("first"), named("commit"));
    assert_eq!((&commit.parent_id, commit.kind), (&first.span_id, "internal"));
    assert!((6_900_000..7_100_000).contains(&(commit.ended - commit.begun)), "{commit:?}");
    let second = receiver.spans().into_iter().find(|span| span.name == "second").unwrap();
    assert_eq!((commit.links.len(), &commit.links[0].span_id), (1, &second.span_id));
    assert_eq!(named("adopted").parent_id, first.span_id);
    assert_eq!(receiver.spans().len(), 4, "a trace that is not sampled is not exported");
}

const DEADLINE: Duration = Duration::from_secs(30);

/// Spans of many full queues are discarded: the queue is bounded. One line reports it.
#[test]
fn a_collector_that_refuses_connections_is_logged_once() {
    let refused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    let (line_sender, line_receiver) = std::sync::mpsc::channel();
    let reading = std::thread::spawn(move || {
        for line in BufReader::new(reader).lines() {
            line_sender.send(serde_json::from_str::<Value>(&line.unwrap()).unwrap()).unwrap();
        }
    });
    let traces = Traces::to(SERVICE, &format!("http://{refused}")).unwrap();
    let output = Some(Arc::new(LogOutput::to(writer.into())));
    let (subscriber, level) = assemble(SERVICE, &TelemetrySettings::default(), LogStream::Stdout, output, Some(&traces));
    let dispatch = tracing::Dispatch::new(subscriber);
    tracing::dispatcher::set_global_default(dispatch.clone()).unwrap();
    let lose = || (0..10_000).for_each(|_| info_span!("lost").in_scope(|| ()));
    lose();
    // Exporters of other tests log here too.
    let ours = |line: &Value| line["endpoint"].as_str().is_some_and(|endpoint| endpoint.contains(&refused.to_string()));
    let next = |wanted: &dyn Fn(&Value) -> bool| loop {
        let line = line_receiver.recv_timeout(DEADLINE).unwrap();
        if wanted(&line) {
            return line;
        }
    };
    let first = next(&ours);
    assert!(first["message"].as_str().unwrap().contains("the trace collector accepts no spans"), "{first}");
    assert!(first["error.message"].is_string(), "{first}");
    lose();
    drop((TelemetryGuard { level, _traces: Some(traces) }, dispatch));
    info!("the end");
    let second = next(&|line| ours(line) || line["message"] == "the end");
    assert_eq!(second["message"], "the end", "the failure is one line");
    drop((line_receiver, reading));
}

/// The client of the exporter would wait 10 s for each batch.
#[test]
fn a_collector_that_does_not_answer_delays_no_end() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let traces = Traces::to(SERVICE, &endpoint).unwrap();
    let (subscriber, _level) = assemble(SERVICE, &TelemetrySettings::default(), LogStream::Stdout, None, Some(&traces));
    with_default(subscriber, || (0..5_000).for_each(|_| info_span!("lost").in_scope(|| ())));
    let begun = Instant::now();
    drop(traces);
    let took = begun.elapsed();
    assert!(took < export::LAST_SPANS_TIMEOUT + Duration::from_secs(5), "{took:?}");
}

#[test]
fn a_panic_is_one_line_with_its_trace() {
    let (reader, writer) = std::io::pipe().unwrap();
    let before = std::panic::take_hook();
    super::panic::install(SERVICE, Arc::new(LogOutput::to(writer.into())));
    let panicking = std::thread::Builder::new().name("till".into()).spawn(|| {
        let (subscriber, _level) = assemble(SERVICE, &TelemetrySettings::default(), LogStream::Stdout, None, None);
        with_default(subscriber, || info_span!("request").in_scope(|| panic!("no {} left", "change")))
    });
    assert!(panicking.unwrap().join().is_err());
    std::panic::set_hook(before);
    // If another test fails at the same time, its panic is in the output too.
    let lines = read(reader);
    let line = lines.iter().find(|line| line["process.thread.name"] == "till").unwrap();
    assert_eq!((&line["error.type"], &line["error.message"]), (&"panic".into(), &"no change left".into()));
    assert_eq!((&line["log.level"], &line["message"]), (&"error".into(), &"panic".into()));
    assert!(line["error.stack_trace"].as_str().unwrap().contains("tests::a_panic_is_one_line"));
    assert!(line["log.origin.file.name"].as_str().unwrap().ends_with("tests.rs") && line["log.origin.file.line"].is_u64());
    assert_eq!(line["trace.id"].as_str().unwrap().len(), 32);
}
