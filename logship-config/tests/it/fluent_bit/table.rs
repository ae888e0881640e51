//! This module runs the table of measured cases through Fluent Bit itself, the relay and the fake. If Fluent Bit is not
//! installed, each case is printed as unproved; then only `each_measured_case_has_its_setting` and the relay's own cases
//! run.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use elasticsearch_fake::{Cluster, FaultKind, InjectedFault};
use serde_json::{Value, json};

use super::node::Node;
use crate::{
    place::print_line,
    relay::world::{DEAD, World, create_streams},
};

pub const APP: &str = "logs-exchange.app-default";
pub const AUDIT: &str = "logs-exchange.audit-default";
const ACCESS: &str = "logs-exchange.access-default";
const INFRASTRUCTURE: &str = "logs-infrastructure.app-default";
const QUARANTINE: &str = "logs-quarantine.app-default";
const STREAMS: [&str; 7] =
    [APP, ACCESS, AUDIT, "logs-alertbot.app-default", "logs-backup.app-default", INFRASTRUCTURE, QUARANTINE];
/// Rows of the table and the programs' own lines, which are tests below, and the cases of `crowd` and `storm`.
const ROWS: usize = 15;
static UNPROVED: AtomicUsize = AtomicUsize::new(0);

/// Returns the declared templates, with their components combined as in Elasticsearch.
fn declared() -> Cluster {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/elasticsearch/templates");
    let yaml = |path: String| -> Value { serde_yaml_ng::from_str(&std::fs::read_to_string(path).unwrap()).unwrap() };
    let mut cluster = Cluster::default();
    for entry in std::fs::read_dir(format!("{folder}/index")).unwrap() {
        let path = entry.unwrap().path();
        let mut template = yaml(path.to_str().unwrap().to_owned());
        let own = template["template"].take();
        let mut together = json!({});
        for component in template["composed_of"].as_array().into_iter().flatten() {
            merge(&mut together, &yaml(format!("{folder}/components/{}.yaml", component.as_str().unwrap()))["template"]);
        }
        merge(&mut together, &own);
        template["template"] = together;
        template.as_object_mut().unwrap().remove("composed_of");
        cluster.index_templates.insert(path.file_stem().unwrap().to_str().unwrap().to_owned(), template);
    }
    cluster
}

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            from.iter().for_each(|(name, value)| merge(into.entry(name.clone()).or_insert(Value::Null), value));
        }
        (into, from) => *into = from.clone(),
    }
}

async fn world(deadline: &str) -> World {
    let settings = [("LOGSHIP_RELAY_STREAMS", STREAMS.join(",")), ("LOGSHIP_RELAY_DEADLINE", deadline.to_owned())];
    let mut world = World::begin(declared(), &settings.each_ref().map(|(name, value)| (*name, value.as_str()))).await;
    create_streams(&world.fake, &STREAMS);
    create_streams(&world.fake, &[DEAD]);
    world.ready().await;
    world
}

/// Prints the row as unproved if Fluent Bit is not installed.
///
/// The relay's deadline is 2 s instead of 30 s, so that rows with a refusal are short.
pub async fn with_node(row: &str, change: impl FnOnce(&mut serde_yaml_ng::Value)) -> Option<(World, Node)> {
    with_deadline(row, "2s", change).await
}

/// See [`with_node`], with another `LOGSHIP_RELAY_DEADLINE`.
pub async fn with_deadline(row: &str, deadline: &str, change: impl FnOnce(&mut serde_yaml_ng::Value)) -> Option<(World, Node)> {
    let world = world(deadline).await;
    let node = Node::prepare_with(&world, change);
    if node.is_none() {
        let unproved = UNPROVED.fetch_add(1, Ordering::Relaxed) + 1;
        print_line(&format!("unproved, {unproved} of {ROWS} rows: {row} (no program fluent-bit on this machine)"));
    }
    Some((world, node?))
}

pub fn ecs(number: usize) -> String {
    json!({
        "@timestamp": "2026-11-27T08:59:59.123Z", "log.level": "info", "message": format!("order {number} is filled"),
        "log.logger": "exchange::engine", "service.name": "exchange", "service.version": "0.1.0",
    })
    .to_string()
}

fn write(node: &mut Node, pod: &str, numbers: std::ops::Range<usize>) {
    let lines: Vec<String> = numbers.map(ecs).collect();
    node.write(pod, &lines.iter().map(|line| ("stdout", line.as_str())).collect::<Vec<_>>());
}

pub fn documents(world: &World, stream: &str) -> Vec<Value> {
    world.documents(stream).into_iter().map(|(_, _, source)| source).collect()
}

pub async fn arrived(world: &World, node: &Node, stream: &str, count: usize) {
    let end = tokio::time::Instant::now() + Duration::from_secs(40);
    while documents(world, stream).len() < count {
        let found = documents(world, stream).len();
        assert!(tokio::time::Instant::now() < end, "{found} of {count} in {stream}. {}\n{}", node.log(), world.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Flat or nested: Elasticsearch accepts both.
fn field<'a>(document: &'a Value, name: &str) -> &'a Value {
    document.get(name).unwrap_or_else(|| document.pointer(&format!("/{}", name.replace('.', "/"))).unwrap_or(&Value::Null))
}

#[tokio::test]
async fn row_1_partly_busy_answers_lose_nothing() {
    let Some((world, mut node)) = with_node("partial 429", |_| {}).await else { return };
    world.fault(InjectedFault::new(FaultKind::busy_items(0.5)).times(3));
    node.exchange("exchange-0");
    write(&mut node, "exchange-0", 0..23);
    node.start().await;
    arrived(&world, &node, APP, 23).await;
    assert!(world.put_off("busy").await > 0);
    // This row also checks that the line is one document with its own time, level and pod, without the CRI frame.
    let document = &documents(&world, APP)[0];
    assert!(document["@timestamp"].as_str().unwrap().starts_with("2026-11-27T08:59:59.123"), "{document}");
    assert_eq!(field(document, "log.level"), "info");
    assert_eq!(
        (&document["kubernetes"]["pod_name"], document.get("log"), document.get("_p")),
        (&"exchange-0".into(), None, None)
    );
}

#[tokio::test]
async fn row_2_a_lost_position_ends_in_success_and_no_loop() {
    let Some((world, mut node)) = with_node("all 409", |_| {}).await else { return };
    node.exchange("exchange-0");
    write(&mut node, "exchange-0", 0..23);
    node.start().await;
    arrived(&world, &node, APP, 23).await;
    // A chunk whose answer Fluent Bit did not read before the kill would be sent again too.
    world.until("the chunks were acknowledged", async |_| !node.chunks().contains("is filled")).await;
    node.kill().await;
    node.lose_positions();
    node.start().await;
    world.until("the file was read again", async |world| world.settled("already_there").await >= 23).await;
    write(&mut node, "exchange-0", 23..24);
    arrived(&world, &node, APP, 24).await;
    assert_eq!((documents(&world, APP).len(), world.settled("already_there").await), (24, 23), "no loop");
}

#[tokio::test]
async fn row_3_a_refused_document_is_a_dead_letter_and_blocks_nothing() {
    let Some((world, mut node)) = with_node("400: mapping", |_| {}).await else { return };
    // As on a cluster without failure stores.
    world.fake.change(|cluster| cluster.data_streams.get_mut(APP).unwrap().failure_store = false);
    node.exchange("exchange-0");
    let refused = json!({"@timestamp": "2026-11-27T09:00:00.000Z", "message": "x", "service": "no object"}).to_string();
    write(&mut node, "exchange-0", 0..11);
    node.write("exchange-0", &[("stdout", &refused)]);
    write(&mut node, "exchange-0", 11..22);
    node.start().await;
    arrived(&world, &node, APP, 22).await;
    arrived(&world, &node, DEAD, 1).await;
    let letter = &documents(&world, DEAD)[0];
    assert!(letter["event"]["original"].as_str().unwrap().contains("no object"), "{letter}");
}

#[tokio::test]
async fn row_4_an_unreachable_relay_and_a_kill_lose_nothing() {
    let Some((mut world, mut node)) = with_node("output down + kill -9", |_| {}).await else { return };
    world.stop(local_parts::StopSignal::Kill).await;
    node.exchange("exchange-0");
    let lines: Vec<String> = (0..23).map(ecs).collect();
    // Also through the multiline filter's emitter.
    node.write("exchange-0", &lines.iter().map(|line| ("stderr", line.as_str())).collect::<Vec<_>>());
    node.start().await;
    node.until_metric("fluentbit_output_retries_total", 1.0).await;
    node.kill().await;
    world.launch().await;
    world.ready().await;
    node.start().await;
    arrived(&world, &node, APP, 23).await;
    let told: BTreeSet<String> = documents(&world, APP).iter().map(|document| document["message"].to_string()).collect();
    assert_eq!(told.len(), 23);
}

#[tokio::test]
async fn row_5_labels_with_a_common_prefix_are_both_stored() {
    let Some((world, mut node)) = with_node("app and app.kubernetes.io/name", |_| {}).await else { return };
    node.pod("exchange-0", &json!({"app.kubernetes.io/name": "exchange", "app": "exchange"}));
    node.exchange("exchange-1");
    write(&mut node, "exchange-0", 0..12);
    write(&mut node, "exchange-1", 12..23);
    node.start().await;
    arrived(&world, &node, APP, 23).await;
    assert_eq!(world.settled("dead_letter").await + world.settled("failure_store").await, 0);
}

#[tokio::test]
async fn row_6_ten_lines_of_one_text_are_ten_documents() {
    let Some((world, mut node)) = with_node("10 identical lines", |_| {}).await else { return };
    node.exchange("exchange-0");
    // The time is the same too: only the offset distinguishes them.
    node.step = 0;
    node.write("exchange-0", &[("stdout", ecs(1).as_str()); 10]);
    node.write("exchange-0", &[("stderr", "the same words"); 10]);
    node.start().await;
    arrived(&world, &node, APP, 20).await;
}

#[tokio::test]
async fn row_7_names_with_dots_do_not_change() {
    let Some((world, mut node)) = with_node("replace_dots", |_| {}).await else { return };
    node.exchange("exchange-0");
    write(&mut node, "exchange-0", 0..1);
    node.start().await;
    arrived(&world, &node, APP, 1).await;
    let document = &documents(&world, APP)[0];
    assert!(document.get("log.level").is_some() && document.get("log_level").is_none(), "{document}");
}

#[tokio::test]
async fn row_8_panics_between_lines_of_json_are_one_document_each() {
    let Some((world, mut node)) = with_node("Rust panics interleaved with JSON", |_| {}).await else { return };
    node.exchange("exchange-0");
    let lines: Vec<String> = (0..6).map(ecs).collect();
    let mut written = Vec::new();
    let panics = [
        ["thread 'main' (4711) panicked at app/src/main.rs:5:7:", "no disk", "note: run with `RUST_BACKTRACE=1`"],
        ["thread 'worker' panicked at app/src/worker.rs:9:1:", "index out of bounds", "   0: rust_begin_unwind"],
    ];
    for (number, line) in panics.iter().flatten().enumerate() {
        written.push(("stderr", *line));
        written.push(("stdout", lines[number].as_str()));
    }
    node.write("exchange-0", &written);
    node.start().await;
    arrived(&world, &node, APP, 8).await;
    let all = documents(&world, APP);
    let told: Vec<&Value> = all.iter().filter(|document| document["stream"] == "stderr").collect();
    assert_eq!((all.len(), told.len()), (8, 2), "{told:?}");
    for panic in panics {
        let whole = told.iter().find(|document| document["message"].as_str().unwrap().contains(panic[0])).unwrap();
        assert!(panic.iter().all(|line| whole["message"].as_str().unwrap().contains(line)), "{whole}");
        assert_eq!((field(whole, "log.level"), field(whole, "error.type")), (&"error".into(), &"panic".into()));
    }
}

#[tokio::test]
async fn row_9_a_full_queue_drops_the_oldest_and_counts_it() {
    let limit = |configuration: &mut serde_yaml_ng::Value| {
        for output in configuration["pipeline"]["outputs"].as_sequence_mut().unwrap() {
            output["storage.total_limit_size"] = "300K".into();
        }
    };
    let Some((mut world, mut node)) = with_node("storage.total_limit_size reached", limit).await else { return };
    world.stop(local_parts::StopSignal::Kill).await;
    node.exchange("exchange-0");
    node.start().await;
    let end = tokio::time::Instant::now() + Duration::from_secs(40);
    let mut written = 0;
    while node.metric("fluentbit_output_dropped_records_total").await == 0.0 {
        assert!(tokio::time::Instant::now() < end, "nothing is dropped after {written} lines. {}", node.log());
        write(&mut node, "exchange-0", written..written + 200);
        written += 200;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn row_10_each_line_goes_to_its_stream() {
    let Some((world, mut node)) = with_node("bulk to a data stream; routing", |_| {}).await else { return };
    node.exchange("exchange-0");
    node.pod("alertbot-0", &json!({"app.kubernetes.io/name": "alertbot"}));
    node.pod("backup-0", &json!({"app.kubernetes.io/name": "backup"}));
    node.pod("postgres-0", &json!({"app": "postgres"}));
    let set = |flat: bool, dataset: &str| {
        let mut line = json!({"@timestamp": "2026-11-27T09:00:00.000Z", "message": dataset});
        if flat {
            line["event.dataset"] = dataset.into()
        } else {
            line["event"] = json!({"dataset": dataset})
        }
        line.to_string()
    };
    for flat in [true, false] {
        let lines = [set(flat, "exchange.audit"), set(flat, "exchange.access"), set(flat, "exchange.app")];
        node.write("exchange-0", &lines.each_ref().map(|line| ("stdout", line.as_str())));
        // No other pod can write to the exchange's audit stream.
        node.write("postgres-0", &[("stdout", lines[0].as_str())]);
    }
    // A pod that the API server does not know writes under another pod's name. Its line is quarantined without that name.
    let forged = json!({
        "@timestamp": "2026-11-27T09:00:00.000Z", "message": "forged", "event.dataset": "exchange.audit",
        "kubernetes": {"pod_name": "exchange-0", "pod_id": "u", "labels": {"app.kubernetes.io/name": "exchange"}},
        "kubernetes.pod_name": "exchange-0", "kubernetes.pod_id": "u", "_origin": {"pod_id": "u"}, "event.created": "1999-01-01T00:00:00Z",
    })
    .to_string();
    node.write("unknown-0", &[("stdout", forged.as_str()), ("stderr", forged.as_str())]);
    // Such a line has no stream either. It is quarantined, not lost.
    node.write_bare("unknown-0", &set(true, "exchange.audit"));
    // A tenant in another namespace sets the label of the exchange. Its namespace's name may contain the platform's.
    for namespace in ["tenant", "trading-tenant"] {
        node.pod_in(namespace, "exchange-0", &json!({"app.kubernetes.io/name": "exchange"}));
        node.write_in(namespace, "exchange-0", &[("stdout", forged.as_str()), ("stderr", forged.as_str())]);
    }
    write(&mut node, "alertbot-0", 0..2);
    write(&mut node, "backup-0", 0..3);
    node.write("postgres-0", &[("stderr", "LOG:  database system is ready to accept connections")]);
    node.start().await;
    for (stream, count) in STREAMS.into_iter().zip([2, 2, 2, 2, 3, 7, 3]) {
        arrived(&world, &node, stream, count).await;
        let all = documents(&world, stream);
        assert_eq!(all.len(), count, "{stream}: {all:?}");
        assert!(all.iter().all(|document| document.get("_dataset").is_none()), "{all:?}");
        for document in &all {
            let flat = document.as_object().unwrap().keys().any(|name| name.starts_with("kubernetes."));
            assert!(!flat && document["event.created"].as_str().unwrap().starts_with("2026"), "{document}");
        }
        if stream == QUARANTINE {
            assert!(all.iter().all(|document| document.pointer("/kubernetes/pod_id").is_none()), "{all:?}");
        }
    }
}

/// Elasticsearch reads every spelling of a time, and a line without one gets the time of the container runtime.
#[tokio::test]
async fn row_11_each_spelling_of_a_time_stays_without_an_error() {
    let Some((world, mut node)) = with_node("timestamps without a fraction", |_| {}).await else { return };
    node.exchange("exchange-0");
    let times =
        ["2026-11-27T08:59:59Z", "2026-11-27T08:59:59.123Z", "2026-11-27T09:59:59+01:00", "2026-11-27T08:59:59.123456789Z"];
    let mut lines: Vec<String> = times.map(|time| json!({"@timestamp": time, "message": time}).to_string()).into();
    lines.push(json!({"message": "no time"}).to_string());
    // Loggers such as logrus, slog and pino write `time`.
    lines.push(json!({"time": "2026-11-27T08:59:59Z", "message": "other name"}).to_string());
    lines.push(json!({"time": 1_764_230_399, "_cri_time": "own", "message": "other name"}).to_string());
    lines.push("no JSON".to_owned());
    node.write("exchange-0", &lines.iter().map(|line| ("stdout", line.as_str())).collect::<Vec<_>>());
    node.start().await;
    arrived(&world, &node, APP, lines.len()).await;
    for document in documents(&world, APP) {
        let (time, message) = (document["@timestamp"].as_str().unwrap(), document["message"].as_str().unwrap());
        let kept = times.contains(&message).then_some(message);
        assert!(kept.map_or(time.starts_with("2026-11-27T09:00:00.0000"), |kept| time == kept), "{document}");
        assert!(document["event.created"].as_str().unwrap().starts_with("2026-11-27T09:00:00"), "{document}");
    }
    let errors: Vec<String> = node.log().lines().filter(|line| line.contains("[parser")).map(str::to_owned).collect();
    assert_eq!(errors, Vec::<String>::new());
}

/// A line may have members with the names that the record has already, flat or nested. Elasticsearch refuses duplicate names.
#[tokio::test]
async fn row_12_a_line_may_use_the_names_of_the_record() {
    const NAMES: [&str; 7] = ["time", "stream", "_p", "log.offset", "log.file.path", "event.created", "_dataset"];
    let Some((world, mut node)) = with_node("members named like those of the record", |_| {}).await else { return };
    node.exchange("exchange-0");
    let mut lines: Vec<String> =
        NAMES.map(|name| json!({"@timestamp": "2026-11-27T08:59:59Z", "message": name, name: "own"}).to_string()).into();
    // The pipeline of Elasticsearch removes nested ones; see the case of OpenSearch.
    // Without a message, the object `log` stays.
    lines.push(json!({"@timestamp": "2026-11-27T08:59:59Z", "log": {"level": "info"}}).to_string());
    lines.push(json!({"@timestamp": "2026-11-27T08:59:59Z", "message": "nested", "event": {"created": "1999-01-01T00:00:00Z"}, "log": {"level": "info", "offset": 7}}).to_string());
    node.write("exchange-0", &lines.iter().map(|line| ("stdout", line.as_str())).collect::<Vec<_>>());
    node.start().await;
    arrived(&world, &node, APP, lines.len()).await;
    for document in documents(&world, APP) {
        let created = document["event.created"].as_str().unwrap();
        let own: Vec<_> = document.as_object().unwrap().iter().filter(|(_, value)| *value == "own").collect();
        assert!(created.starts_with("2026-11-27T09:00:00") && document["log.offset"].is_u64() && own.is_empty(), "{document}");
    }
    assert_eq!(world.settled("failure_store").await + world.settled("dead_letter").await, 0);
}

/// Lines that every program prints through the same telemetry. The relay's own log represents them, with its errors and
/// labels, and a panic with its backtrace as that telemetry writes it.
#[tokio::test]
async fn each_line_of_a_program_is_a_document() {
    let Some((world, mut node)) = with_node("the programs' own lines", |_| {}).await else { return };
    for body in ["", "no action\n", "{\"create\":{\"_index\":\"logs-other-default\",\"_id\":\"1\"}}\n{}\n"] {
        assert_eq!(world.send(body.as_bytes()).await.status, 400);
    }
    let panic = json!({
        "@timestamp": "2026-11-27T09:00:00.000Z", "log.level": "error", "message": "panic", "error.type": "panic",
        "error.message": "index out of bounds", "error.stack_trace": "   0: std::backtrace\n             at ./src/main.rs:1\n",
        "log.origin.file.name": "src/main.rs", "log.origin.file.line": 5, "service.name": "exchange",
    });
    let log = world.log();
    let lines: Vec<String> = log.lines().map(str::to_owned).chain([panic.to_string()]).collect();
    assert!(lines.len() > 5 && log.contains("\"log.level\":\"warn\""), "{log}");
    node.pod(
        "logship-0",
        &json!({"app.kubernetes.io/name": "logship", "app.kubernetes.io/part-of": "exchange", "app": "logship"}),
    );
    node.write("logship-0", &lines.iter().map(|line| ("stdout", line.as_str())).collect::<Vec<_>>());
    node.start().await;
    arrived(&world, &node, INFRASTRUCTURE, lines.len()).await;
    let told: Vec<String> = documents(&world, INFRASTRUCTURE).iter().map(|document| document["message"].to_string()).collect();
    for line in &lines {
        let written: Value = serde_json::from_str(line).unwrap();
        assert!(told.contains(&written["message"].to_string()), "{line}");
    }
    assert_eq!(world.settled("failure_store").await + world.settled("dead_letter").await, 0);
}
