//! These tests read lines back as a log shipper does: JSON, one object per line.

use std::{
    io::{BufRead, BufReader, PipeReader, Read, Write},
    net::TcpListener,
    sync::Arc,
};

use serde_json::Value;
use tracing::{debug, error, info, info_span, subscriber::with_default};

use super::*;

const SERVICE: Service = Service { name: "shop", version: "1.2.3" };

/// Runs `work` under a subscriber with the given level and returns the lines that it logged.
fn lines(level: &str, work: impl FnOnce(&LogLevel)) -> Vec<Value> {
    let (reader, writer) = std::io::pipe().unwrap();
    let settings = Settings { level: level.into(), ..Settings::default() };
    let (subscriber, level) = assemble(SERVICE, &settings, Stream::Stdout, Some(Arc::new(Output::to(writer.into()))), None);
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
        assemble(SERVICE, &Settings::default(), Stream::Stdout, Some(Arc::new(Output::to(writer.into()))), None);
    with_default(subscriber, || {
        let outer = info_span!("outer", http.route = "/buy", customer = 1, late = tracing::field::Empty);
        crate::trace::continue_from_text(&outer, PARENT);
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
        assemble(SERVICE, &Settings::default(), Stream::Stdout, Some(Arc::new(Output::to(writer.into()))), None);
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
            Line::with("info", SERVICE, |line| line.text("message", "inner"), |line| Output::to(writer.into()).write(line));
            formatter.write_str(read(reader)[0]["message"].as_str().unwrap())
        }
    }
    use super::line::Line;
    assert_eq!(lines("info", |_| info!(value = ?Chatty, "outer"))[0]["value"], "inner");
}

/// The exported spans have the trace id of the request, and the log line shows the same id.
#[test]
fn spans_are_exported_under_the_trace_of_the_log_lines() {
    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let collector = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}/", collector.local_addr().unwrap());
    let receiving = std::thread::spawn(move || {
        let (mut stream, _) = collector.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            reader.read_line(&mut head).unwrap();
        }
        let length = head.to_lowercase().split_once("content-length: ").unwrap().1.lines().next().unwrap().parse().unwrap();
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
        (head, body)
    });

    let traces = export::provider(SERVICE, &endpoint).unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    let output = Some(Arc::new(Output::to(writer.into())));
    let (subscriber, level) = assemble(SERVICE, &Settings::default(), Stream::Stdout, output, Some(&traces));
    with_default(subscriber, || {
        let span = info_span!("request");
        crate::trace::continue_from_text(&span, PARENT);
        span.in_scope(|| info!("{}", crate::trace::traceparent().unwrap()));
    });
    drop(TelemetryGuard { level, traces: Some(traces) });

    let (head, body) = receiving.join().unwrap();
    assert!(head.starts_with("POST /v1/traces "), "{head}");
    let trace_id = hex::decode("0af7651916cd43dd8448eb211c80319c").unwrap();
    assert!(body.windows(16).any(|window| window == trace_id));
    let line = &read(reader)[0];
    assert_eq!(line["trace.id"], "0af7651916cd43dd8448eb211c80319c");
    let span_id = hex::decode(line["span.id"].as_str().unwrap()).unwrap();
    assert!(body.windows(8).any(|window| window == span_id));
    assert!(line["message"].as_str().unwrap().contains(line["span.id"].as_str().unwrap()));
}

#[test]
fn a_panic_is_one_line_with_its_trace() {
    let (reader, writer) = std::io::pipe().unwrap();
    let before = std::panic::take_hook();
    super::panic::install(SERVICE, Arc::new(Output::to(writer.into())));
    let panicking = std::thread::Builder::new().name("till".into()).spawn(|| {
        let (subscriber, _level) = assemble(SERVICE, &Settings::default(), Stream::Stdout, None, None);
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
