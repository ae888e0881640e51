//! This module checks that every stream has its own template. Otherwise Elasticsearch's built-in template for `logs-*-*`
//! would apply, with undeclared mappings and an undeclared lifecycle.
//!
//! `GET _data_stream` needs only `view_index_metadata` on the stream; reading templates would need `manage_index_templates`.
//! The answer contains the template and the lifecycle policy of the stream's *next* index, and the policy of each existing
//! index (TransportGetDataStreamsAction, 9.x). A write index created by a built-in template, before the stream's own was
//! declared, has a built-in policy that the stream's template does not have. Other differences of policy do not close the
//! relay: a policy exchanged in the stream's own template applies only to the next index, and the write index is still the
//! stream's own.

use std::time::Duration;

use serde_json::Value;
use service_kit::health::Latch;
use tokio_util::sync::CancellationToken;

use super::forwarder::Forwarder;
use crate::{
    client::{CallError, segment},
    metrics::RelayMetrics,
};

/// Templates that Elasticsearch installs for data streams (its stack template registry).
const BUILT_IN: [&str; 4] = ["logs", "metrics", "synthetics", "traces"];
/// The lifecycle policies of those templates, by their current names and their names before about 8.14.
const BUILT_IN_POLICIES: [&str; 8] = [
    "logs",
    "logs@lifecycle",
    "metrics",
    "metrics@lifecycle",
    "synthetics",
    "synthetics@lifecycle",
    "traces",
    "traces@lifecycle",
];
const WHILE_CLOSED: Duration = Duration::from_secs(1);
const WHILE_OPEN: Duration = Duration::from_secs(30);

/// The reason why no chunks are accepted yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotReady {
    #[error("the data stream {0} does not exist; run `logship apply` to create it")]
    Missing(String),
    #[error(
        "the data stream {stream} has only Elasticsearch's own template {template:?}; declare a template for it, run \
         `logship apply`, and roll over"
    )]
    BuiltIn { stream: String, template: String },
    #[error(
        "the write index of {stream} was created by Elasticsearch's own template (its policy is {policy:?}); roll over (POST \
         /{stream}/_rollover) to get a declared index"
    )]
    WriteIndex { stream: String, policy: String },
    #[error("{0}")]
    Unknown(#[from] CallError),
}

/// Opens and closes `latch` with the state of the streams, until `stop`. An open latch closes only for an answer of
/// Elasticsearch, not for a missing one: chunks then get their 503 from Elasticsearch's silence.
pub async fn watch(forwarder: &Forwarder, names: &[String], latch: &Latch, metrics: &RelayMetrics, stop: CancellationToken) {
    let mut open = false;
    // The last logged state. `None`: nothing was logged.
    let mut told: Option<Option<NotReady>> = None;
    loop {
        let found = check_streams(forwarder, names).await;
        match &found {
            Ok(()) => open = true,
            Err(NotReady::Unknown(_)) => {}
            Err(_) => open = false,
        }
        if open {
            latch.open();
        } else if let Err(reason) = &found {
            latch.close(reason.to_string());
        }
        metrics.ready.set(i64::from(open));
        let reason = found.err();
        if told.as_ref() != Some(&reason) {
            match &reason {
                None => tracing::info!("every stream has its own template; the relay accepts chunks"),
                Some(reason) => {
                    tracing::warn!(open, %reason, "a stream differs from the declaration, or its state cannot be read")
                }
            }
            told = Some(reason);
        }
        let wait = if open { WHILE_OPEN } else { WHILE_CLOSED };
        if stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
            return;
        }
    }
}

async fn check_streams(forwarder: &Forwarder, names: &[String]) -> Result<(), NotReady> {
    for stream in names {
        let path = format!("/_data_stream/{}", segment(stream));
        let Some(answer) = forwarder.client.find(&path).await? else { return Err(NotReady::Missing(stream.clone())) };
        judge(stream, &answer["data_streams"][0])?;
    }
    Ok(())
}

/// Checks the templates in a stream's entry of the answer.
fn judge(stream: &str, told: &Value) -> Result<(), NotReady> {
    let stream = stream.to_owned();
    let template = told["template"].as_str().unwrap_or_default();
    if BUILT_IN.contains(&template) {
        return Err(NotReady::BuiltIn { stream, template: template.to_owned() });
    }
    let write = told["indices"].as_array().and_then(|indices| indices.last()).unwrap_or(&Value::Null);
    match write["ilm_policy"].as_str() {
        Some(policy) if BUILT_IN_POLICIES.contains(&policy) && told["ilm_policy"] != policy => {
            Err(NotReady::WriteIndex { stream, policy: policy.to_owned() })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Template and policy of the next index, policy of the write index, whether the relay may open.
    #[test]
    fn a_write_index_with_a_built_in_policy_closes_the_relay() {
        for (template, next, write, opens) in [
            ("mine", json!("mine"), json!("mine"), true),
            ("mine", json!("mine"), json!("logs"), false),
            ("mine", json!("mine"), json!("logs@lifecycle"), false),
            // The stream has a lifecycle and no policy.
            ("mine", json!(null), json!(null), true),
            ("mine", json!(null), json!("logs@lifecycle"), false),
            // The stream's own template uses a built-in policy.
            ("mine", json!("logs@lifecycle"), json!("logs@lifecycle"), true),
            // The policy was exchanged, added or removed; the next index gets it.
            ("mine", json!("other"), json!("mine"), true),
            ("mine", json!("mine"), json!(null), true),
            ("mine", json!(null), json!("mine"), true),
            ("logs", json!("logs@lifecycle"), json!("logs@lifecycle"), false),
            ("logs", json!("logs@lifecycle"), json!("mine"), false),
        ] {
            let told = json!({
                "template": template, "ilm_policy": next,
                "indices": [{"index_name": "old", "ilm_policy": "logs"}, {"index_name": "new", "ilm_policy": write}],
            });
            assert_eq!(judge("logs-a-b", &told).is_ok(), opens, "{told}");
        }
    }
}
