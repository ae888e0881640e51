//! The cluster's state and the table of calls. Pure: the time comes in with each call.

mod bulk;
mod data_streams;
mod index_templates;
mod mapping;
mod settings;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::{
    answer::{Answer, Refused},
    call::Call,
    fault::{Delivery, Faults, Loss},
    filter::filter,
};

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
    /// What befalls `_bulk` on purpose.
    pub faults: Faults,
    /// Numbers for uuids: the same calls give the same cluster.
    serial: u64,
}

/// A data stream; its last index takes the writes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DataStream {
    pub generation: u64,
    /// Backing indices, oldest first.
    pub indices: Vec<String>,
    /// Indices of the failure store, oldest first.
    pub failure_indices: Vec<String>,
    /// The index template that made it.
    pub template: String,
    /// Whether documents that cannot be indexed go to the failure store.
    pub failure_store: bool,
    pub hidden: bool,
    /// Data stream lifecycle, when it has one.
    pub lifecycle: Option<Value>,
    pub meta: Option<Value>,
}

/// A concrete index.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Index {
    pub uuid: String,
    pub created: Timestamp,
    /// Flat: `index.lifecycle.name`. Values are text, as Elasticsearch keeps them.
    pub settings: BTreeMap<String, String>,
    pub mappings: Value,
    pub aliases: Map<String, Value>,
    /// By `_id`.
    pub documents: BTreeMap<String, Document>,
    /// Whose backing or failure index it is.
    pub data_stream: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    pub source: Value,
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
            faults: Faults::default(),
            serial: 0,
        }
    }
}

impl Cluster {
    /// Answers one call at the time `now`.
    pub fn answer(&mut self, call: &Call, now: Timestamp) -> Answer {
        self.answer_with_delivery(call, now).0
    }

    /// The same, and how the answer leaves when a fault befalls it.
    pub(crate) fn answer_with_delivery(&mut self, call: &Call, now: Timestamp) -> (Answer, Delivery) {
        let delivery = self.faults.begin(call);
        let mut answer = match self.faults.request(call) {
            _ if delivery.loss == Loss::Request => Answer::ok(Value::Null),
            Some(answer) => answer,
            None => self.route(call, now).unwrap_or_else(|refusal| refusal),
        };
        if let Some(paths) = call.query.get("filter_path") {
            answer.body = filter(&answer.body, paths);
        }
        (answer, delivery)
    }

    fn route(&mut self, call: &Call, now: Timestamp) -> Refused<Answer> {
        let segments = call.segments();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        match (call.method.as_str(), segments.as_slice()) {
            ("GET" | "HEAD", []) => Ok(self.info()),
            ("GET", ["_cluster", "health"]) => Ok(self.health()),
            ("GET", ["_data_stream"]) => self.get_data_streams("*"),
            ("GET", ["_data_stream", names]) => self.get_data_streams(names),
            ("PUT", ["_data_stream", name]) => self.create_data_stream(name, now),
            ("DELETE", ["_data_stream", names]) => self.delete_data_streams(names),
            ("GET", ["_index_template"]) => self.get_index_templates("*"),
            ("GET", ["_index_template", names]) => self.get_index_templates(names),
            ("PUT" | "POST", ["_index_template", name]) => self.put_index_template(name, call),
            ("DELETE", ["_index_template", names]) => self.delete_index_templates(names),
            ("POST" | "PUT", ["_bulk"]) => bulk::bulk(self, None, call, now),
            ("POST" | "PUT", [index, "_bulk"]) => bulk::bulk(self, Some(index), call, now),
            (method, _) => Err(Answer::not_modelled(&format!("{method} {}", call.path))),
        }
    }

    fn info(&self) -> Answer {
        let flavor = if self.mode == Mode::Serverless { "serverless" } else { "default" };
        Answer::ok(json!({
            "name": format!("{}-0", self.name), "cluster_name": self.name, "cluster_uuid": "ZmFrZS1lbGFzdGljc2VhcmNo",
            "version": {
                "number": self.version, "build_flavor": flavor, "build_type": "docker", "build_hash": "0".repeat(40),
                "build_date": "2026-01-01T00:00:00.000000000Z", "build_snapshot": false, "lucene_version": "10.3.2",
                "minimum_wire_compatibility_version": "8.19.0", "minimum_index_compatibility_version": "8.0.0",
            },
            "tagline": "You Know, for Search",
        }))
    }

    fn health(&self) -> Answer {
        let shards = self.indices.len();
        Answer::ok(json!({
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
