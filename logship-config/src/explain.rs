//! This module runs `logship explain`: it describes why an index is in its state, the condition that it waits for, the next
//! step with its time, and faults.

use std::fmt::Write as _;

use serde_json::Value;

use crate::{
    client::{Client, Method, segment},
    desired::resolve::{self, PHASES},
    exit::{CommandFailure, Exit},
    observe::{self, ClusterObservation, IndexFacts, Lifecycle},
    stuck, units,
};

/// Explains every index of a data stream, or one backing index.
///
/// # Errors
/// Returns a failure if no such stream or index exists, or a request fails.
pub async fn run(client: &Client, name: &str, now_millis: i64, stuck_after_millis: i64) -> Result<String, CommandFailure> {
    let missing = || {
        CommandFailure::new(Exit::Failed, format!("no data stream or backing index {name:?} exists; GET _data_stream lists them"))
    };
    let found = client.find(&format!("/_data_stream/{}", segment(name))).await?;
    // A pattern, a list or an alias matches streams of other names.
    let exact = found.map(|found| found["data_streams"][0].clone()).filter(|stream| stream["name"] == name);
    let found = match exact {
        Some(stream) => stream,
        // A backing index: find the stream that contains it.
        None => {
            let all = client.send(Method::Get, "/_data_stream", &[("expand_wildcards", "open,hidden")], None).await?;
            let holds =
                |stream: &&Value| stream["indices"].as_array().into_iter().flatten().any(|index| index["index_name"] == name);
            all["data_streams"].as_array().into_iter().flatten().find(holds).cloned().unwrap_or_default()
        }
    };
    let stream = found["name"].as_str().ok_or_else(missing)?.to_owned();
    let observation = observe::named(client, &[&stream]).await?;
    let mut text = String::new();
    if !observation.lifecycle_running {
        let _ = writeln!(text, "index lifecycle management is stopped: no index moves until POST _ilm/start");
    }
    let mut policies: std::collections::BTreeMap<String, Value> = std::collections::BTreeMap::new();
    for index in observation.of(&stream).filter(|index| name == stream || index.name == name) {
        let policy = match &index.lifecycle {
            Some(at) if !policies.contains_key(&at.policy) => {
                let found = client.find(&format!("/_ilm/policy/{}", segment(&at.policy))).await?.unwrap_or_default();
                policies.entry(at.policy.clone()).or_insert(found[&at.policy]["policy"].clone()).clone()
            }
            Some(at) => policies[&at.policy].clone(),
            None => Value::Null,
        };
        text.push_str(&index_text(index, &observation, &policy, now_millis, stuck_after_millis));
        if index.lifecycle.is_none() && found["lifecycle"].is_object() {
            let kept = resolve::lifecycle_retention(&found["lifecycle"]);
            let _ = writeln!(text, "  the data stream's own lifecycle manages it: retained {kept}, counted from its rollover");
        }
    }
    Ok(text)
}

/// Describes one index. Pure.
pub fn index_text(
    index: &IndexFacts,
    observation: &ClusterObservation,
    policy: &Value,
    now_millis: i64,
    stuck_after_millis: i64,
) -> String {
    let role = if index.write { "write index" } else { "rolled over" };
    let size = units::rough_size(index.primary_bytes);
    let mut text = format!("{} ({role}, {size} in {} shards, {} documents)\n", index.name, index.primary_shards, index.documents);
    let Some(at) = &index.lifecycle else {
        text.push_str("  no index lifecycle policy manages it\n");
        return text;
    };
    let since = |millis: i64| units::rough_duration(now_millis - millis);
    let step = at.failed_step.as_deref().unwrap_or(&at.step);
    let _ = writeln!(
        text,
        "  policy {}, phase {}, action {}, step {step} for {}",
        at.policy,
        at.phase,
        at.action,
        since(at.step_millis)
    );
    match stuck::classify(index, now_millis, stuck_after_millis) {
        Some(stuck) => {
            let _ = writeln!(text, "  STUCK ({}): {}\n  remedy: {}", stuck.class.name(), stuck.told, stuck.class.remedy());
        }
        None => {
            let _ = writeln!(text, "  {}", waits_for(index, at, policy, now_millis));
        }
    }
    if at.phase != "new" && !policy.is_null() && cached_differs(at, policy) {
        let told =
            "the policy has changed since the index entered this phase: the index finishes its cached definition of the phase";
        let _ = writeln!(text, "  {told}");
    }
    if !observation.lifecycle_running {
        let _ = writeln!(text, "  it does not move while index lifecycle management is stopped");
    }
    text
}

fn waits_for(index: &IndexFacts, at: &Lifecycle, policy: &Value, now_millis: i64) -> String {
    if at.step == "ERROR" {
        return format!("Elasticsearch retries the step: {}", at.told);
    }
    if at.action == "rollover" && at.step == "check-rollover-ready" {
        return rollover(index, &at.definition["actions"]["rollover"], now_millis);
    }
    if at.step != "complete" {
        let told = if at.told.is_empty() { String::new() } else { format!(": {}", at.told) };
        return format!("running {}/{}{told}", at.action, at.step);
    }
    let place = PHASES.iter().position(|phase| *phase == at.phase).map_or(0, |place| place + 1);
    let next = PHASES[place..].iter().find(|phase| policy["phases"][**phase].is_object());
    match next {
        None => "it stays in this phase: the policy has no later one".to_owned(),
        Some(next) => {
            let wanted = policy["phases"][*next]["min_age"].as_str().and_then(units::millis).unwrap_or(0);
            let left = at.since_millis + wanted - now_millis;
            let age = units::rough_duration(now_millis - at.since_millis);
            let from = if index.write { "its creation" } else { "its rollover" };
            match left {
                ..=0 => {
                    format!("enters {next} at the next check (age {age} since {from}, min_age {})", units::rough_duration(wanted))
                }
                left => format!(
                    "enters {next} in {} (age {age} since {from}, min_age {})",
                    units::rough_duration(left),
                    units::rough_duration(wanted)
                ),
            }
        }
    }
}

/// Returns each condition next to the current value.
fn rollover(index: &IndexFacts, conditions: &Value, now_millis: i64) -> String {
    if index.documents == 0 {
        return "waits for its first document: an empty index is not rolled over".to_owned();
    }
    let shard = index.primary_bytes / index.primary_shards;
    let mut told = Vec::new();
    for (key, wanted) in conditions.as_object().into_iter().flatten() {
        let wanted = wanted.as_str().map_or_else(|| wanted.to_string(), str::to_owned);
        let is = match key.as_str() {
            "max_age" | "min_age" => units::rough_duration(now_millis - index.created_millis),
            "max_primary_shard_size" | "min_primary_shard_size" => units::rough_size(shard),
            "max_size" | "min_size" => units::rough_size(index.primary_bytes),
            "max_primary_shard_docs" | "min_primary_shard_docs" => (index.documents / index.primary_shards).to_string(),
            _ => index.documents.to_string(),
        };
        told.push(format!("{key} {is} of {wanted}"));
    }
    format!("waits for its rollover, at the first max_* that is reached: {}", told.join(", "))
}

fn cached_differs(at: &Lifecycle, policy: &Value) -> bool {
    let kind = crate::desired::ObjectKind::LifecyclePolicy;
    let of = |phase: &Value| {
        let mut phases = serde_json::Map::new();
        // The time of entry is not part of the phase's actions.
        let mut phase = phase.clone();
        if let Some(phase) = phase.as_object_mut() {
            phase.remove("min_age");
        }
        phases.insert(at.phase.clone(), phase);
        crate::canonical::canonical(kind, &serde_json::json!({"phases": phases}))
    };
    !at.definition.is_null() && of(&at.definition) != of(&policy["phases"][&at.phase])
}
