//! The program over a folder of log files and a fake Elasticsearch that takes the relay's place.

use std::{fs::OpenOptions, io::Write, path::PathBuf, time::Duration};

use elasticsearch_fake::{Cluster, Fake, FaultKind, InjectedFault};
use local_parts::{ChildProcess, Launch, StopSignal};
use serde_json::{Value, json};

const DEADLINE: Duration = Duration::from_secs(30);
const STREAM: &str = "logs-exchange.app-default";

fn cluster() -> Cluster {
    let mut cluster = Cluster::default();
    let mappings = json!({"properties": {"kubernetes": {"properties": {"labels": {"type": "flattened"}}}}});
    let template = json!({"index_patterns": ["logs-*"], "data_stream": {}, "template": {"mappings": mappings}});
    cluster.index_templates.insert("logs-all".into(), template);
    cluster
}

fn documents(fake: &Fake, stream: &str) -> Vec<Value> {
    fake.look(|cluster| {
        let indices = cluster.data_streams.get(stream).into_iter().flat_map(|stream| &stream.indices);
        indices.flat_map(|index| cluster.indices[index].documents.values().map(|document| document.source.clone())).collect()
    })
}

async fn until(fake: &Fake, stream: &str, count: usize) -> Vec<Value> {
    let end = tokio::time::Instant::now() + DEADLINE;
    loop {
        let found = documents(fake, stream);
        if found.len() >= count {
            return found;
        }
        assert!(tokio::time::Instant::now() < end, "{} of {count} in {stream}: {found:?}", found.len());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

struct Shipper {
    logs: tempfile::TempDir,
    process: ChildProcess,
}

impl Shipper {
    fn start(fake: &Fake) -> Self {
        let logs = tempfile::tempdir().unwrap();
        let program = PathBuf::from(env!("CARGO_BIN_EXE_development-shipper"));
        let arguments = ["--logs".into(), logs.path().as_os_str().to_owned(), "--relay".into(), fake.url().into()];
        let launch = Launch::new("shipper", program, arguments, Vec::new(), StopSignal::Terminate);
        let process = ChildProcess::start(&launch, logs.path()).unwrap();
        Self { logs, process }
    }

    fn write(&self, part: &str, text: &str) {
        let path = self.logs.path().join(format!("{part}.log"));
        OpenOptions::new().create(true).append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
    }
}

#[tokio::test]
async fn what_parts_write_arrives_as_the_pipeline_would_ship_it() {
    let fake = Fake::start(cluster()).await.unwrap();
    let mut shipper = Shipper::start(&fake);
    let line = |number: usize| {
        format!("{{\"@timestamp\":\"2026-11-27T09:00:00.000Z\",\"log.level\":\"info\",\"message\":\"{number}\"}}\n")
    };
    (0..500).for_each(|number| shipper.write("serve", &line(number)));
    shipper.write("serve", "thread 'main' (1) panicked at src/main.rs:1:1:\nno disk\nnote: run with `RUST_BACKTRACE=1`\n");
    shipper.write("postgres", "LOG:  database system is ready to accept connections\n");
    let found = until(&fake, STREAM, 501).await;
    assert_eq!(found.len(), 501);
    let panic = found.iter().find(|document| document["error.type"] == "panic").unwrap();
    assert!(panic["message"].as_str().unwrap().ends_with("RUST_BACKTRACE=1`"), "{panic}");
    assert_eq!(until(&fake, "logs-infrastructure.app-default", 1).await[0]["kubernetes"]["labels"]["app"], "postgres");

    // Nothing is lost while the relay asks for time, and nothing doubled after it.
    fake.change(|cluster| cluster.faults.add(InjectedFault::new(FaultKind::unavailable()).times(3)));
    (500..700).for_each(|number| shipper.write("serve", &line(number)));
    assert_eq!(until(&fake, STREAM, 701).await.len(), 701);
    assert_eq!(shipper.process.stop(StopSignal::Terminate).await.unwrap().code(), Some(0));
}
