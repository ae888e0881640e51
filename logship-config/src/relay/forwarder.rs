//! This module delivers a chunk to Elasticsearch: it sends, has the answer classified, waits and sends the remaining items,
//! until none remains or the deadline is reached.
//!
//! - It must not classify answers (see `verdict`).
//! - It must not decide which items remain (see `chunk`).

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{
    answer::{self, FILTER_PATH, ItemAnswer},
    backoff,
    chunk::{BulkChunk, ChunkPart, DeadLetterTarget, Tally},
    verdict::{ItemVerdict, Reception, RetryCause, of_item, of_request},
};
use crate::{
    client::{
        Client,
        headers::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue},
    },
    metrics::RelayMetrics,
};

const PATH: &str = "/_bulk";
/// Elasticsearch reports a missing data stream and does not create an index instead.
const QUERY: [(&str, &str); 2] = [("filter_path", FILTER_PATH), ("require_data_stream", "true")];
const NDJSON: HeaderValue = HeaderValue::from_static("application/x-ndjson");
/// Longest wait requested by Elasticsearch that the relay respects. The shipper's next attempt comes later anyway.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(10);

/// With less time left, another attempt would be cut off, and its documents counted as unanswered.
const SHORTEST_TRY: Duration = Duration::from_millis(100);

/// Forwards chunks. Its clones share their fields.
#[derive(Debug)]
pub struct Forwarder {
    pub client: Client,
    pub dead_letters: String,
    pub metrics: RelayMetrics,
}

/// A body as the shipper sent it. It is forwarded unchanged while the whole chunk is sent.
#[derive(Debug, Clone)]
pub struct Received {
    pub bytes: Bytes,
    pub gzip: bool,
}

/// The result of one request.
struct Sent {
    tally: Tally,
    asked_to_wait: Duration,
    /// Set if Elasticsearch processed none of its items.
    turned_away: Option<RetryCause>,
}

impl Sent {
    fn taken(tally: Tally) -> Self {
        Self { tally, asked_to_wait: Duration::ZERO, turned_away: None }
    }

    fn turned_away(chunk: &mut BulkChunk, part: &ChunkPart, cause: RetryCause, asked_to_wait: Duration) -> Self {
        Self { tally: chunk.put_back(part, cause), asked_to_wait, turned_away: Some(cause) }
    }
}

/// The result of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChunkResult {
    /// Every document or its dead letter is stored.
    Stored,
    /// The number of remaining documents. The shipper must send the chunk again.
    Unstored { documents: usize, cause: RetryCause },
}

impl Forwarder {
    /// Retries until `deadline`, or until `stop` is cancelled. The attempt in progress then still finishes.
    pub async fn deliver(
        &self,
        mut chunk: BulkChunk,
        received: &Received,
        deadline: Instant,
        stop: &CancellationToken,
    ) -> ChunkResult {
        let mut tries = 0;
        loop {
            let asked_to_wait = self.send_all(&mut chunk, received, deadline, tries > 0).await;
            let Some(cause) = chunk.cause() else { return ChunkResult::Stored };
            tries += 1;
            let wait = backoff::wait(tries, rand::random()).max(asked_to_wait.min(LONGEST_RETRY_AFTER));
            let unstored = ChunkResult::Unstored { documents: chunk.remaining(), cause };
            if Instant::now() + wait + SHORTEST_TRY >= deadline
                || stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_none()
            {
                return unstored;
            }
            chunk.retry();
        }
    }

    /// Sends all items that are not postponed. Returns the wait that Elasticsearch requests.
    async fn send_all(&self, chunk: &mut BulkChunk, received: &Received, deadline: Instant, again: bool) -> Duration {
        let mut longest = Duration::ZERO;
        while let Some(part) = chunk.next_part() {
            if again {
                self.metrics.resent.inc_by(part.len() as u64);
            }
            let span = tracing::error_span!("POST /_bulk", otel.kind = "client", documents = part.len(), again);
            let sent = self.send(chunk, part, received, deadline, again).instrument(span).await;
            self.count(&sent.tally);
            longest = longest.max(sent.asked_to_wait);
            // A cluster that refuses requests does not receive the other parts.
            if let Some(cause) = sent.turned_away {
                while let Some(part) = chunk.next_part() {
                    self.count(&chunk.put_back(&part, cause));
                }
            }
        }
        longest
    }

    async fn send(&self, chunk: &mut BulkChunk, part: ChunkPart, received: &Received, deadline: Instant, again: bool) -> Sent {
        let within = deadline.saturating_duration_since(Instant::now());
        if within.is_zero() {
            // Nothing is sent, so that no document of it is unanswered.
            return Sent::turned_away(chunk, &part, RetryCause::Unavailable, Duration::ZERO);
        }
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, NDJSON);
        service_kit::trace::inject(&mut headers);
        let body = if chunk.is_as_received(&part) {
            if received.gzip {
                headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
            received.bytes.clone()
        } else {
            chunk.lines(&part).into()
        };
        let reply = match self.client.post_bytes(PATH, &QUERY, headers, body, within).await {
            Ok(reply) => reply,
            Err(error) => {
                tracing::warn!(documents = part.len(), %error, "a request got no complete answer; its documents are sent again");
                self.metrics.unanswered.inc_by(part.len() as u64);
                return Sent::turned_away(chunk, &part, RetryCause::Unavailable, Duration::ZERO);
            }
        };
        let target = DeadLetterTarget { stream: &self.dead_letters, now: Timestamp::now() };
        let asked_to_wait = reply.retry_after.unwrap_or_default();
        match of_request(reply.status) {
            Reception::Items => match answer::read_answer(&reply.body, part.len()) {
                Ok(answers) => {
                    let tally = chunk.settle(&part, &answers, target);
                    log_postponed(&answers, &tally, again);
                    Sent::taken(tally)
                }
                Err(fault) => {
                    tracing::error!(documents = part.len(), %fault, "an answer does not list its documents; they are sent again");
                    self.metrics.unanswered.inc_by(part.len() as u64);
                    Sent::turned_away(chunk, &part, RetryCause::Unavailable, asked_to_wait)
                }
            },
            Reception::TooLarge => {
                self.metrics.splits.inc();
                Sent::taken(chunk.too_large(part, target))
            }
            Reception::Later(cause) => {
                let status = reply.status;
                // Logs the type of the error, not its reason: that may quote a document.
                let kind = error_type(&reply.body);
                let said = "Elasticsearch accepts no documents now; the relay sends them again";
                tracing::warn!({ http.response.status_code = status, error.type = kind, documents = part.len() }, "{said}");
                Sent::turned_away(chunk, &part, cause, asked_to_wait)
            }
        }
    }

    fn count(&self, tally: &Tally) {
        let documents = [
            ("stored", tally.stored),
            ("already_there", tally.already_there),
            ("failure_store", tally.in_failure_store),
            ("dead_letter", tally.dead_letters),
            ("dead_letter_already_there", tally.dead_letters_already_there),
        ];
        for (outcome, count) in documents {
            self.metrics.documents.with_label_values(&[outcome]).inc_by(count);
        }
        for cause in RetryCause::ALL {
            self.metrics.put_off.with_label_values(&[cause.name()]).inc_by(tally.later(cause));
        }
        self.metrics.cut.inc_by(tally.cut);
    }
}

/// Logs the first postponed item, once per chunk at its first attempt. Logs the type of the error, not its reason: that may
/// quote a document.
fn log_postponed(answers: &[ItemAnswer], tally: &Tally, again: bool) {
    let documents: u64 = RetryCause::ALL.into_iter().map(|cause| tally.later(cause)).sum();
    let found = |answer: &ItemAnswer| match of_item(answer) {
        ItemVerdict::Later(cause) => Some(cause),
        // An item refused here is a dead letter: other refused documents become dead letters and are not postponed.
        ItemVerdict::Refused if tally.later(RetryCause::LetterRefused) > 0 => Some(RetryCause::LetterRefused),
        _ => None,
    };
    let first = answers.iter().find_map(|answer| Some((found(answer)?, answer)));
    let Some((cause, answer)) = first.filter(|_| !again) else { return };
    let kind = answer.error.as_ref().map_or("", |error| error.kind.as_str());
    let said = "Elasticsearch postponed documents; the relay sends them again";
    let status = answer.status;
    tracing::warn!({ http.response.status_code = status, error.type = kind, cause = cause.name(), documents }, "{said}");
}

/// Returns `error.type` of an answer, or an empty text.
fn error_type(body: &[u8]) -> String {
    #[derive(serde::Deserialize, Default)]
    #[serde(default)]
    struct Body {
        error: Error,
    }
    #[derive(serde::Deserialize, Default)]
    #[serde(default)]
    struct Error {
        r#type: String,
    }
    serde_json::from_slice::<Body>(body).unwrap_or_default().error.r#type
}

#[cfg(test)]
mod tests {
    use super::error_type;

    #[test]
    fn the_type_of_an_error_is_read_if_present() {
        let told = br#"{"error":{"root_cause":[],"type":"security_exception","reason":"x"},"status":403}"#;
        assert_eq!(error_type(told), "security_exception");
        assert_eq!(error_type(b"<html>"), "");
        assert_eq!(error_type(br#"{"error":"a text"}"#), "");
    }
}
