//! Whether every stream has its own template: without one, Elasticsearch's built-in template for `logs-*-*` would take its
//! documents, with mappings and a lifecycle that nobody declared.
//!
//! A data stream names the template that made it, and reading that needs no more than `view_index_metadata` on the stream; the
//! template itself could only be read with `manage_index_templates`.

use std::time::Duration;

use service_kit::health::Latch;
use tokio_util::sync::CancellationToken;

use super::courier::Courier;
use crate::{
    client::{CallError, segment},
    metrics::RelayMetrics,
};

/// Templates that Elasticsearch installs by itself for data streams (its stack template registry).
const BUILT_IN: [&str; 4] = ["logs", "metrics", "synthetics", "traces"];
const WHILE_CLOSED: Duration = Duration::from_secs(1);
const WHILE_OPEN: Duration = Duration::from_secs(30);

/// Why chunks are not taken yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotReady {
    #[error("the data stream {0} does not exist; `logship apply` makes it")]
    Missing(String),
    #[error(
        "the data stream {stream} was made by Elasticsearch's own template {template:?}; declare one for it, `logship apply`, and roll over or remake the stream"
    )]
    BuiltIn { stream: String, template: String },
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
        let template = answer["data_streams"][0]["template"].as_str().unwrap_or_default();
        if BUILT_IN.contains(&template) {
            return Err(NotReady::BuiltIn { stream: stream.clone(), template: template.to_owned() });
        }
    }
    Ok(())
}
