//! This module sends a `_bulk` request until the relay acknowledges all of it.

use std::{fmt::Write as _, io::Write as _, time::Duration};

use anyhow::{Context, Result};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::document::LogDocument;

/// Largest request before compression, well below the relay's limit.
const CHUNK_BYTES: usize = 1 << 20;
/// Timeout of one request, above the relay's deadline.
const TIMEOUT: Duration = Duration::from_secs(60);
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

pub struct ChunkSender {
    client: reqwest::Client,
    url: String,
}

impl ChunkSender {
    pub fn new(relay: &str) -> Result<Self> {
        let client = reqwest::Client::builder().timeout(TIMEOUT).no_proxy().build().context("failed to prepare connections")?;
        Ok(Self { client, url: format!("{}/_bulk", relay.trim_end_matches('/')) })
    }

    /// Sends the items in chunks, one after the other. Retries until the shutdown.
    pub async fn ship(&self, documents: &[LogDocument], stop: &CancellationToken) {
        for chunk in chunks(documents) {
            let (body, mut wait, mut told) = (gzip(&chunk), FIRST_WAIT, false);
            while let Err(error) = self.send(body.clone()).await {
                if !told {
                    tracing::warn!(error = format!("{error:#}"), "the relay did not store a chunk; retrying");
                    told = true;
                }
                if stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
                    return;
                }
                wait = (wait * 2).min(LONGEST_WAIT);
            }
        }
    }

    async fn send(&self, body: Bytes) -> Result<()> {
        let request =
            self.client.post(&self.url).header("content-type", "application/x-ndjson").header("content-encoding", "gzip");
        let reply = request.body(body).send().await.context("failed to send to the relay")?;
        let status = reply.status();
        let text = reply.text().await.context("failed to read the answer of the relay")?;
        let answer: Value = serde_json::from_str(&text).unwrap_or_default();
        anyhow::ensure!(status.is_success() && answer["errors"] == false, "the relay answered {status}: {text}");
        Ok(())
    }
}

fn chunks(documents: &[LogDocument]) -> Vec<String> {
    let mut chunks = vec![String::new()];
    for LogDocument { stream, id, source } in documents {
        let mut text = String::new();
        // Writing into a text cannot fail, and the names and ids of this program need no escape.
        let _ = writeln!(text, "{{\"create\":{{\"_index\":\"{stream}\",\"_id\":\"{id}\"}}}}");
        let _ = writeln!(text, "{}", Value::Object(source.clone()));
        match chunks.last_mut() {
            Some(last) if last.is_empty() || last.len() + text.len() <= CHUNK_BYTES => last.push_str(&text),
            _ => chunks.push(text),
        }
    }
    chunks
}

fn gzip(plain: &str) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    // Writing to memory cannot fail.
    let _ = encoder.write_all(plain.as_bytes());
    encoder.finish().unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn chunks_are_bounded_and_hold_everything() {
        let source = json!({"message": "x".repeat(100_000)}).as_object().unwrap().clone();
        let documents: Vec<_> = (0..25)
            .map(|number| LogDocument { stream: "logs-backup.app-default", id: number.to_string(), source: source.clone() })
            .collect();
        let chunks = chunks(&documents);
        assert_eq!(chunks.len(), 3);
        assert!(chunks.iter().all(|chunk| chunk.len() <= CHUNK_BYTES && chunk.ends_with('\n')));
        assert_eq!(chunks.iter().map(|chunk| chunk.lines().count()).sum::<usize>(), 50);
    }
}
