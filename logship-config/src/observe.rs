//! This module reads the state of the indices of declared streams: lifecycle step, size and age, and the disks of the nodes.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    client::{CallError, Client, Method, segment},
    desired::Desired,
};

/// Most names in one request: the length of a path is limited.
const NAMES_AT_ONCE: usize = 20;
const CREATION_DATE: &str = "index.creation_date";
/// Fields requested of each node.
const NODE_FACTS: &str = "nodes.*.name,nodes.*.roles,nodes.*.fs.total,nodes.*.indices.shard_stats";

/// Where an index is in its lifecycle (`_ilm/explain`).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Lifecycle {
    pub policy: String,
    pub phase: String,
    pub action: String,
    pub step: String,
    /// The failed step, while `step` is `ERROR`.
    pub failed_step: Option<String>,
    /// Elasticsearch retries the step itself.
    pub retried_by_elasticsearch: bool,
    pub phase_millis: i64,
    pub action_millis: i64,
    pub step_millis: i64,
    /// Time from which ages are counted: the rollover, or the creation before it.
    pub since_millis: i64,
    /// `step_info`: a reason, a message.
    pub told: String,
    /// The phase's definition cached by the index.
    pub definition: Value,
}

/// One backing index.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct IndexFacts {
    pub name: String,
    pub stream: String,
    /// It receives the stream's writes.
    pub write: bool,
    pub created_millis: i64,
    /// Includes all copies.
    pub bytes: u64,
    pub primary_bytes: u64,
    pub documents: u64,
    pub primary_shards: u64,
    /// `None` if no policy manages it.
    pub lifecycle: Option<Lifecycle>,
}

/// The disk of one data node, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiskFacts {
    pub node: String,
    pub total: u64,
    pub used: u64,
    pub shards: u64,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct ClusterObservation {
    /// By stream and age, oldest first.
    pub indices: Vec<IndexFacts>,
    pub disks: Vec<DiskFacts>,
    /// Index lifecycle management is not stopped.
    pub lifecycle_running: bool,
}

impl ClusterObservation {
    pub fn of<'a>(&'a self, stream: &'a str) -> impl DoubleEndedIterator<Item = &'a IndexFacts> {
        self.indices.iter().filter(move |index| index.stream == stream)
    }
}

/// Reads the declared streams that exist.
///
/// # Errors
/// Returns an error if a request fails.
pub async fn declared(client: &Client, desired: &Desired) -> Result<ClusterObservation, CallError> {
    let names: Vec<&str> = desired.streams.keys().map(String::as_str).collect();
    named(client, &names).await
}

/// Reads streams by name. A stream that does not exist has no indices.
///
/// # Errors
/// Returns an error if a request fails.
pub async fn named(client: &Client, names: &[&str]) -> Result<ClusterObservation, CallError> {
    let found = client.send(Method::Get, "/_data_stream", &[("expand_wildcards", "open,hidden")], None).await?;
    let mut streams: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for stream in found["data_streams"].as_array().into_iter().flatten() {
        let name = stream["name"].as_str().unwrap_or_default();
        if names.contains(&name) {
            let indices = stream["indices"].as_array().into_iter().flatten().filter_map(|index| index["index_name"].as_str());
            streams.insert(name.to_owned(), indices.map(str::to_owned).collect());
        }
    }
    let status = client.get("/_ilm/status").await?;
    let mut observation = ClusterObservation {
        disks: disks(&client.send(Method::Get, "/_nodes/stats/fs,indices", &[("filter_path", NODE_FACTS)], None).await?),
        lifecycle_running: status["operation_mode"] == "RUNNING",
        ..ClusterObservation::default()
    };
    let all: Vec<&String> = streams.keys().collect();
    for some in all.chunks(NAMES_AT_ONCE) {
        let list = some.iter().map(|name| segment(name)).collect::<Vec<_>>().join(",");
        let explained = client.get(&format!("/{list}/_ilm/explain")).await?;
        let stats = client.get(&format!("/{list}/_stats/docs,store")).await?;
        let created = created(client, &list, &explained["indices"]).await?;
        for stream in some {
            let backing = &streams[*stream];
            for (place, name) in backing.iter().enumerate() {
                let write = place + 1 == backing.len();
                let mut facts = index(name, stream, write, &explained["indices"][name], &stats["indices"][name]);
                if facts.created_millis == 0 {
                    let setting = &created[name]["settings"][CREATION_DATE];
                    facts.created_millis = setting.as_str().and_then(|millis| millis.parse().ok()).unwrap_or(0);
                }
                observation.indices.push(facts);
            }
        }
    }
    Ok(observation)
}

/// Returns the creation times of indices without a policy: `_ilm/explain` reports them only for the others.
async fn created(client: &Client, list: &str, explained: &Value) -> Result<Value, CallError> {
    let unmanaged = |index: &Value| index["index_creation_date_millis"].is_null();
    if !explained.as_object().is_some_and(|indices| indices.values().any(unmanaged)) {
        return Ok(Value::Null);
    }
    client.send(Method::Get, &format!("/{list}/_settings/{CREATION_DATE}"), &[("flat_settings", "true")], None).await
}

fn index(name: &str, stream: &str, write: bool, explained: &Value, stats: &Value) -> IndexFacts {
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let shards = number(&stats["primaries"]["shard_stats"]["total_count"]).max(1);
    IndexFacts {
        name: name.to_owned(),
        stream: stream.to_owned(),
        write,
        created_millis: explained["index_creation_date_millis"].as_i64().unwrap_or(0),
        bytes: number(&stats["total"]["store"]["size_in_bytes"]),
        primary_bytes: number(&stats["primaries"]["store"]["size_in_bytes"]),
        documents: number(&stats["primaries"]["docs"]["count"]),
        primary_shards: shards,
        lifecycle: lifecycle(explained),
    }
}

fn lifecycle(explained: &Value) -> Option<Lifecycle> {
    // Elasticsearch writes a boolean; its documentation says text.
    if explained["managed"] != true && explained["managed"] != "true" {
        return None;
    }
    let text = |key: &str| explained[key].as_str().unwrap_or_default().to_owned();
    let time = |key: &str| explained[key].as_i64().unwrap_or(0);
    let info = &explained["step_info"];
    Some(Lifecycle {
        policy: text("policy"),
        phase: text("phase"),
        action: text("action"),
        step: text("step"),
        failed_step: explained["failed_step"].as_str().map(str::to_owned),
        retried_by_elasticsearch: explained["is_auto_retryable_error"] == true,
        phase_millis: time("phase_time_millis"),
        action_millis: time("action_time_millis"),
        step_millis: time("step_time_millis"),
        since_millis: time("lifecycle_date_millis"),
        told: info["reason"].as_str().or(info["message"].as_str()).unwrap_or_default().to_owned(),
        definition: explained["phase_execution"]["phase_definition"].clone(),
    })
}

/// Nodes that hold data.
fn disks(stats: &Value) -> Vec<DiskFacts> {
    let nodes = stats["nodes"].as_object().into_iter().flat_map(|nodes| nodes.values());
    let nodes = nodes.filter_map(|node| {
        let holds_data = |role: &Value| role.as_str().is_some_and(|role| role.starts_with("data"));
        if !node["roles"].as_array().is_some_and(|roles| roles.iter().any(holds_data)) {
            return None;
        }
        let disk = &node["fs"]["total"];
        let total = disk["total_in_bytes"].as_u64().filter(|total| *total > 0)?;
        Some(DiskFacts {
            node: node["name"].as_str().unwrap_or_default().to_owned(),
            total,
            used: total.saturating_sub(disk["available_in_bytes"].as_u64()?),
            shards: node["indices"]["shard_stats"]["total_count"].as_u64().unwrap_or(0),
        })
    });
    nodes.collect()
}
