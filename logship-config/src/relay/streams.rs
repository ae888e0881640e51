//! Whether every stream has its own template: without one, Elasticsearch's built-in template for `logs-*-*` would take its
//! documents, with mappings and a lifecycle that nobody declared.
//!
//! `GET _data_stream` needs no more than `view_index_metadata` on the stream; templates themselves could only be read with
//! `manage_index_templates`. It names the template, and the lifecycle policy, that the stream's *next* index would get, and the
//! policy of each index that is there (TransportGetDataStreamsAction, 9.x). A write index that a built-in template made, before
//! the stream's own was declared, is known by the built-in policy that it has and the stream's template has not. Other
//! differences of policy close nothing: one that was exchanged in the stream's own template reaches the next index only, and the
//! write index is the stream's own all the same.

use std::time::Duration;

use serde_json::Value;
use service_kit::health::Latch;
use tokio_util::sync::CancellationToken;

use super::courier::Courier;
use crate::{
    client::{CallError, segment},
    metrics::RelayMetrics,
};

/// Templates that Elasticsearch installs by itself for data streams (its stack template registry).
const BUILT_IN: [&str; 4] = ["logs", "metrics", "synthetics", "traces"];
/// The lifecycle policies of those templates, by their names of today and of clusters that began before 8.14 or so.
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

/// Why chunks are not taken yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotReady {
    #[error("the data stream {0} does not exist; `logship apply` makes it")]
    Missing(String),
    #[error(
        "the data stream {stream} has no template but Elasticsearch's own {template:?}; declare one for it, `logship apply`, and roll over"
    )]
    BuiltIn { stream: String, template: String },
    #[error(
        "the write index of {stream} was made by Elasticsearch's own template (its policy is {policy:?}); roll over (POST /{stream}/_rollover), and the next index is as declared"
    )]
    WriteIndex { stream: String, policy: String },
    #[error("{0}")]
    Unknown(#[from] CallError),
}

/// Keeps `latch` as the streams are, until `stop`. Once open it closes only for what Elasticsearch says, not for its silence:
/// chunks then get their 503 from that.
pub async fn watch(courier: &Courier, names: &[String], latch: &Latch, metrics: &RelayMetrics, stop: CancellationToken) {
    let mut open = false;
    // What was said last; nothing yet.
    let mut told: Option<Option<NotReady>> = None;
    loop {
        let found = look(courier, names).await;
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
                None => tracing::info!("every stream has its own template; chunks are taken"),
                Some(reason) => tracing::warn!(open, %reason, "a stream is not as declared, or that cannot be seen"),
            }
            told = Some(reason);
        }
        let wait = if open { WHILE_OPEN } else { WHILE_CLOSED };
        if stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
            return;
        }
    }
}

async fn look(courier: &Courier, names: &[String]) -> Result<(), NotReady> {
    for stream in names {
        let path = format!("/_data_stream/{}", segment(stream));
        let Some(answer) = courier.client.find(&path).await? else { return Err(NotReady::Missing(stream.clone())) };
        judge(stream, &answer["data_streams"][0])?;
    }
    Ok(())
}

/// What a stream's entry in the answer says of its templates.
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
    fn a_write_index_is_the_streams_own_unless_a_built_in_policy_says_otherwise() {
        for (template, next, write, opens) in [
            ("mine", json!("mine"), json!("mine"), true),
            ("mine", json!("mine"), json!("logs"), false),
            ("mine", json!("mine"), json!("logs@lifecycle"), false),
            // A lifecycle of the stream's own, with no policy at all.
            ("mine", json!(null), json!(null), true),
            ("mine", json!(null), json!("logs@lifecycle"), false),
            // The stream's own template uses a built-in policy.
            ("mine", json!("logs@lifecycle"), json!("logs@lifecycle"), true),
            // The policy was exchanged, given or taken away; the next index gets it.
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
