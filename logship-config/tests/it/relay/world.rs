//! This module simulates the surroundings of a relay: a fake Elasticsearch with streams, and a shipper that retries until
//! success.

use std::{collections::BTreeMap, io::Write, path::PathBuf, time::Duration};

use elasticsearch_fake::{Cluster, Fake, FaultKind, InjectedFault};
use flate2::{Compression, write::GzEncoder};
use local_parts::{ChildProcess, Launch, StopSignal, free_ports};
use serde_json::{Value, json};

pub const APP: &str = "logs-exchange.app-default";
pub const AUDIT: &str = "logs-exchange.audit-default";
pub const DEAD: &str = "logs-logship.dead_letter-default";
pub const READY_DEADLINE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(10);
/// Longer than any chunk takes.
const SEND_TIMEOUT: Duration = Duration::from_secs(60);

pub struct World {
    pub fake: Fake,
    pub url: String,
    pub admin: String,
    pub client: reqwest::Client,
    settings: Vec<(String, String)>,
    folder: tempfile::TempDir,
    process: Option<ChildProcess>,
}

/// The relay's answer.
#[derive(Debug, PartialEq)]
pub struct Told {
    pub status: u16,
    pub retry_after: bool,
    pub body: Value,
}

impl Told {
    /// As Fluent Bit 5.1 reads it: 200 or 201, and `errors` is false.
    pub fn is_success(&self) -> bool {
        matches!(self.status, 200 | 201) && self.body["errors"] == false
    }

    pub fn reason(&self) -> &str {
        self.body["error"]["reason"].as_str().unwrap_or_default()
    }
}

/// A cluster in which `price` is a number, with the platform's streams.
pub fn cluster(failure_store: bool) -> Cluster {
    let mut cluster = Cluster::default();
    let mappings =
        json!({"properties": {"@timestamp": {"type": "date"}, "price": {"type": "long"}, "message": {"type": "text"}}});
    let template = |pattern: &str, mappings: &Value, failure_store: bool| {
        json!({"index_patterns": [pattern], "data_stream": {}, "priority": 200, "template": {
            "mappings": mappings, "data_stream_options": {"failure_store": {"enabled": failure_store}}}})
    };
    cluster.index_templates.insert("exchange".into(), template("logs-exchange.*-*", &mappings, failure_store));
    cluster.index_templates.insert("dead-letters".into(), template("logs-logship.dead_letter-*", &json!({}), false));
    cluster
}

pub fn create_streams(fake: &Fake, names: &[&str]) {
    let now = fake.now();
    for name in names {
        let call = elasticsearch_fake::ReceivedCall::new("PUT", &format!("/_data_stream/{name}"), Vec::new());
        let answer = fake.change(|cluster| cluster.answer(&call, now));
        assert_eq!(answer.status, 200, "{:?}", answer.body);
    }
}

impl World {
    pub async fn start() -> Self {
        Self::start_with(cluster(false), &[]).await
    }

    /// Starts with existing streams, and waits until the relay is ready.
    pub async fn start_with(cluster: Cluster, settings: &[(&str, &str)]) -> Self {
        let mut world = Self::begin(cluster, settings).await;
        create_streams(&world.fake, &[APP, AUDIT, DEAD]);
        world.ready().await;
        world
    }

    /// Starts without waiting for readiness.
    pub async fn begin(cluster: Cluster, settings: &[(&str, &str)]) -> Self {
        let fake = Fake::start(cluster).await.unwrap();
        let [listen, admin]: [u16; 2] = free_ports().unwrap();
        let mut all: BTreeMap<&str, String> = BTreeMap::from([
            ("LOGSHIP_ELASTICSEARCH_URL", fake.url()),
            ("LOGSHIP_RELAY_LISTEN", format!("127.0.0.1:{listen}")),
            ("LOGSHIP_ADMIN_LISTEN", format!("127.0.0.1:{admin}")),
            ("LOGSHIP_RELAY_STREAMS", format!("{APP},{AUDIT}")),
            ("LOG_FORMAT", "json".to_owned()),
        ]);
        all.extend(settings.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let mut world = Self {
            fake,
            url: format!("http://127.0.0.1:{listen}/_bulk"),
            admin: format!("http://127.0.0.1:{admin}"),
            client: reqwest::Client::builder().timeout(SEND_TIMEOUT).no_proxy().build().unwrap(),
            settings: all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            folder: tempfile::tempdir().unwrap(),
            process: None,
        };
        world.launch().await;
        world
    }

    /// Starts the relay at the same addresses.
    pub async fn launch(&mut self) {
        let program = PathBuf::from(env!("CARGO_BIN_EXE_logship"));
        let launch = Launch::new("logship", program, ["relay"], self.settings.clone(), StopSignal::Kill);
        let mut process = ChildProcess::start(&launch, self.folder.path()).unwrap();
        let (client, livez) = (self.client.clone(), format!("{}/livez", self.admin));
        process.ready(READY_DEADLINE, async || client.get(&livez).send().await.is_ok()).await.unwrap();
        self.process = Some(process);
    }

    pub async fn ready(&mut self) {
        self.until("the relay is ready", async |world| world.readiness().await.0).await;
    }

    pub async fn readiness(&self) -> (bool, Value) {
        match self.client.get(format!("{}/readyz", self.admin)).send().await {
            Ok(reply) => (reply.status().is_success(), reply.json().await.unwrap_or_default()),
            Err(_) => (false, Value::Null),
        }
    }

    pub async fn until(&self, what: &str, holds: impl AsyncFn(&Self) -> bool) {
        let end = tokio::time::Instant::now() + READY_DEADLINE;
        while !holds(self).await {
            assert!(tokio::time::Instant::now() < end, "{what}: not within {READY_DEADLINE:?}. {}", self.log());
            tokio::time::sleep(POLL).await;
        }
    }

    pub async fn stop(&mut self, signal: StopSignal) -> std::process::ExitStatus {
        self.process().stop(signal).await.unwrap()
    }

    /// Returns the relay's process, so that it can end while the world is still used.
    pub fn process(&mut self) -> ChildProcess {
        self.process.take().unwrap()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("logship.log")).unwrap()
    }

    pub fn fault(&self, fault: InjectedFault) {
        self.fake.change(|cluster| cluster.faults.add(fault));
    }

    pub fn no_faults(&self) {
        self.fake.change(|cluster| cluster.faults.clear());
    }

    /// Sends once, like a shipper with `compress gzip`. Returns `None` if the connection broke.
    pub async fn try_send(&self, body: &[u8]) -> Option<Told> {
        let request = self.client.post(&self.url).header("content-encoding", "gzip").body(gzip(body));
        self.told(request).await
    }

    pub async fn told(&self, request: reqwest::RequestBuilder) -> Option<Told> {
        let reply = request.header("content-type", "application/x-ndjson").send().await.ok()?;
        let (status, retry_after) = (reply.status().as_u16(), reply.headers().contains_key("retry-after"));
        Some(Told { status, retry_after, body: reply.json().await.ok()? })
    }

    pub async fn send(&self, body: &[u8]) -> Told {
        self.try_send(body).await.expect("an answer")
    }

    /// Sends until success, like a shipper that retains its chunks. Returns the number of attempts.
    pub async fn ship(&self, body: &[u8]) -> usize {
        for times in 1.. {
            if self.try_send(body).await.is_some_and(|told| told.is_success()) {
                return times;
            }
            assert!(times < 1_000, "never stored. {}", self.log());
            tokio::time::sleep(POLL).await;
        }
        unreachable!("the range has no end")
    }

    /// Returns every document of a stream's backing indices: the index, the key, and the source.
    pub fn documents(&self, stream: &str) -> Vec<(String, String, Value)> {
        self.fake.look(|cluster| {
            let indices = cluster.data_streams[stream].indices.iter();
            let held = indices.flat_map(|index| {
                cluster.indices[index].documents.iter().map(|(id, document)| (index.clone(), id.clone(), document.source.clone()))
            });
            held.collect()
        })
    }

    /// Returns the statuses of all answers to `_bulk`.
    pub fn bulk_calls(&self) -> Vec<u16> {
        self.fake.calls().iter().filter(|(call, _)| call.path == "/_bulk").map(|(_, status)| *status).collect()
    }

    /// Returns a metric of the relay, with its exact labels: `logship_relay_documents_total{outcome="stored"}`.
    pub async fn metric(&self, series: &str) -> u64 {
        let text = self.client.get(format!("{}/metrics", self.admin)).send().await.unwrap().text().await.unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{series} is not in\n{text}")).parse().unwrap()
    }

    pub async fn settled(&self, outcome: &str) -> u64 {
        self.metric(&format!("logship_relay_documents_total{{outcome=\"{outcome}\"}}")).await
    }

    /// Returns the number of chunks with this outcome.
    pub async fn chunks(&self, outcome: &str) -> u64 {
        self.metric(&format!("logship_relay_chunks_total{{outcome=\"{outcome}\"}}")).await
    }

    pub async fn put_off(&self, cause: &str) -> u64 {
        self.metric(&format!("logship_relay_put_off_documents_total{{cause=\"{cause}\"}}")).await
    }
}

/// Every request gets this answer.
pub fn refuse_requests(status: u16, error: &'static str) -> InjectedFault {
    InjectedFault::new(FaultKind::Request { status, error, reason: "on purpose" })
}

/// Every item gets this answer.
pub fn refuse_items(status: u16, error: &'static str) -> InjectedFault {
    InjectedFault::new(FaultKind::Items { share: 1.0, status, error, reason: "on purpose" })
}

pub fn line(stream: &str, id: &str, document: &Value) -> String {
    format!("{{\"create\":{{\"_index\":\"{stream}\",\"_id\":\"{id}\"}}}}\n{document}\n")
}

pub fn good(number: usize) -> Value {
    json!({"@timestamp": "2026-01-01T00:00:00Z", "message": format!("order {number} is filled"), "price": number})
}

/// The mapping refuses this document.
pub fn bad(number: usize) -> Value {
    json!({"@timestamp": "2026-01-01T00:00:00Z", "message": format!("order {number} is filled"), "price": "much"})
}

/// Good documents `from..to`; the numbers are their ids.
pub fn numbered(from: usize, to: usize) -> Vec<u8> {
    (from..to).map(|number| line(APP, &number.to_string(), &good(number))).collect::<String>().into_bytes()
}

pub fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}
