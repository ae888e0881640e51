//! The cluster's state. Pure: the time comes in with each call.

mod bulk;
mod component_templates;
mod compose;
mod data_streams;
mod index_templates;
mod indices;
mod info;
mod lifecycle;
mod lifecycle_calls;
mod mapping;
mod parameters;
mod pipelines;
mod policies;
mod routes;
mod rules;
mod schedule;
mod search;
mod settings;
mod snapshots;
mod types;
mod unique;
mod units;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::{
    answer::FakeAnswer,
    call::ReceivedCall,
    fault::{Delivery, InjectedFaults, InjectedLoss},
    filter::filter,
};

pub use lifecycle::{LifecycleProgress, StepFailure};
pub use policies::Policy;
pub use snapshots::SnapshotPolicy;

/// What kind of Elasticsearch is played.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// Self-managed with the free licence.
    #[default]
    Basic,
    /// Self-managed with every feature.
    Enterprise,
    /// Elastic Cloud Serverless: no ILM, no nodes.
    Serverless,
}

/// Everything that the cluster knows. Fields are open: tests bring about what would take Elasticsearch days.
#[derive(Debug, Clone)]
pub struct Cluster {
    pub name: String,
    /// `version.number`.
    pub version: String,
    pub mode: Mode,
    /// `green`, `yellow` or `red`.
    pub health: String,
    pub index_templates: BTreeMap<String, Value>,
    pub data_streams: BTreeMap<String, DataStream>,
    pub indices: BTreeMap<String, Index>,
    pub component_templates: BTreeMap<String, Value>,
    pub pipelines: BTreeMap<String, Value>,
    pub policies: BTreeMap<String, Policy>,
    pub repositories: BTreeMap<String, Value>,
    /// By repository and name.
    pub snapshots: BTreeMap<(String, String), Value>,
    pub snapshot_policies: BTreeMap<String, SnapshotPolicy>,
    /// Cluster settings, flat.
    pub settings: BTreeMap<String, String>,
    /// What file-based settings hold: handler (`ilm`) and name.
    pub reserved: BTreeSet<(String, String)>,
    /// Whether index lifecycle management runs.
    pub lifecycle_running: bool,
    /// Failures on purpose of lifecycle steps, by index.
    pub failures: BTreeMap<String, StepFailure>,
    /// Indices whose shards find no node of their tier.
    pub allocation_stuck: BTreeSet<String>,
    /// Data disks, one a node.
    pub disks: Vec<Disk>,
    /// What an `Authorization` header must be; `None`: no security.
    pub authorization: Option<String>,
    /// What befalls `_bulk` on purpose.
    pub faults: InjectedFaults,
    /// Numbers for uuids: the same calls produce the same cluster.
    pub serial: u64,
}

/// A data stream; its last index takes the writes.
#[derive(Debug, Clone, PartialEq)]
pub struct DataStream {
    pub generation: u64,
    /// Backing indices, oldest first.
    pub indices: Vec<String>,
    /// Indices of the failure store, oldest first.
    pub failure_indices: Vec<String>,
    /// Whether documents that cannot be indexed go to the failure store.
    pub failure_store: bool,
    pub hidden: bool,
    /// The failure store in answers, if the stream has one.
    pub options: Option<Value>,
    /// Data stream lifecycle, when it has one.
    pub lifecycle: Option<Value>,
    /// Settings and mappings of the stream itself, over its template's.
    pub settings: Value,
    pub mappings: Value,
    pub meta: Option<Value>,
}

/// A concrete index.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Index {
    pub uuid: String,
    pub created: Timestamp,
    /// Flat: `index.lifecycle.name`. Values are text, as in Elasticsearch.
    pub settings: BTreeMap<String, String>,
    pub mappings: Value,
    pub aliases: Map<String, Value>,
    /// By `_id`. `store` adds documents and `forget` removes them; both count the bytes.
    pub documents: BTreeMap<String, Document>,
    /// Of the documents as they came.
    document_bytes: u64,
    /// Whose backing or failure index it is.
    pub data_stream: Option<String>,
    /// When it ceased to be the write index.
    pub rolled_over: Option<Timestamp>,
    pub closed: bool,
    /// Where it is in its lifecycle policy.
    pub progress: Option<LifecycleProgress>,
    /// Additional bytes and documents, so that tests simulate a full disk.
    pub more_bytes: u64,
    pub more_documents: u64,
}

/// The disk of a data node, in bytes. `used` counts data of other programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk {
    pub total: u64,
    pub used: u64,
}

impl Default for DataStream {
    fn default() -> Self {
        Self {
            generation: 0,
            indices: Vec::new(),
            failure_indices: Vec::new(),
            failure_store: false,
            hidden: false,
            options: None,
            lifecycle: None,
            settings: json!({}),
            mappings: json!({}),
            meta: None,
        }
    }
}

impl Index {
    /// The lifecycle policy that manages it.
    pub fn policy(&self) -> Option<&str> {
        self.settings.get("index.lifecycle.name").map(String::as_str)
    }

    pub fn document_count(&self) -> u64 {
        self.documents.len() as u64 + self.more_documents
    }

    pub fn size(&self) -> u64 {
        self.document_bytes + self.more_bytes
    }

    fn store(&mut self, key: String, document: Document) {
        self.document_bytes += document.bytes;
        self.document_bytes -= self.documents.insert(key, document).map_or(0, |old| old.bytes);
    }

    /// Whether it was there.
    fn forget(&mut self, key: &str) -> bool {
        let gone = self.documents.remove(key);
        self.document_bytes -= gone.as_ref().map_or(0, |gone| gone.bytes);
        gone.is_some()
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    pub source: Value,
    /// Of the source as it came.
    pub bytes: u64,
    pub version: u64,
    pub sequence: u64,
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            name: "fake".to_owned(),
            version: "9.4.0".to_owned(),
            mode: Mode::default(),
            health: "green".to_owned(),
            index_templates: BTreeMap::new(),
            data_streams: BTreeMap::new(),
            indices: BTreeMap::new(),
            component_templates: BTreeMap::new(),
            pipelines: BTreeMap::new(),
            policies: BTreeMap::new(),
            repositories: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            snapshot_policies: BTreeMap::new(),
            settings: BTreeMap::new(),
            reserved: BTreeSet::new(),
            lifecycle_running: true,
            failures: BTreeMap::new(),
            allocation_stuck: BTreeSet::new(),
            disks: vec![Disk { total: 100 << 30, used: 20 << 30 }],
            authorization: None,
            faults: InjectedFaults::default(),
            serial: 0,
        }
    }
}

impl Cluster {
    /// Answers one call at the time `now`.
    pub fn answer(&mut self, call: &ReceivedCall, now: Timestamp) -> FakeAnswer {
        self.answer_with_delivery(call, now).0
    }

    /// The same, and how the answer leaves when a fault befalls it.
    pub(crate) fn answer_with_delivery(&mut self, call: &ReceivedCall, now: Timestamp) -> (FakeAnswer, Delivery) {
        let delivery = self.faults.begin(call);
        let mut answer = match self.faults.request(call) {
            _ if delivery.loss == InjectedLoss::Request => FakeAnswer::ok(Value::Null),
            Some(answer) => answer,
            None => self.route(call, now).unwrap_or_else(|refusal| refusal),
        };
        if let Some(paths) = call.query.get("filter_path") {
            answer.body = filter(&answer.body, paths);
        }
        (answer, delivery)
    }

    fn info(&self) -> FakeAnswer {
        let flavor = if self.mode == Mode::Serverless { "serverless" } else { "default" };
        FakeAnswer::ok(json!({
            "name": format!("{}-0", self.name), "cluster_name": self.name, "cluster_uuid": "ZmFrZS1lbGFzdGljc2VhcmNo",
            "version": {
                "number": self.version, "build_flavor": flavor, "build_type": "docker", "build_hash": "0".repeat(40),
                "build_date": "2026-01-01T00:00:00.000000000Z", "build_snapshot": false, "lucene_version": "10.3.2",
                "minimum_wire_compatibility_version": "8.19.0", "minimum_index_compatibility_version": "8.0.0",
            },
            "tagline": "You Know, for Search",
        }))
    }

    fn health(&self) -> FakeAnswer {
        let shards = self.indices.len();
        FakeAnswer::ok(json!({
            "cluster_name": self.name, "status": self.health, "timed_out": false, "number_of_nodes": 1, "number_of_data_nodes": 1,
            "active_primary_shards": shards, "active_shards": shards, "relocating_shards": 0, "initializing_shards": 0,
            "unassigned_shards": 0, "unassigned_primary_shards": 0, "delayed_unassigned_shards": 0,
            "number_of_pending_tasks": 0, "number_of_in_flight_fetch": 0, "task_max_waiting_in_queue_millis": 0,
            "active_shards_percent_as_number": 100.0,
        }))
    }

    /// A uuid that nothing else has.
    fn uuid(&mut self) -> String {
        self.serial += 1;
        format!("fake{:018}", self.serial)
    }
}
