//! This module sends requests with a prepared body of bytes and returns the answers unparsed: for `_bulk`.

use std::time::{Duration, Instant};

use bytes::Bytes;
use elasticsearch::http::headers::{HeaderMap, RETRY_AFTER};

use super::{CallError, Client, Method};

/// An answer with any status.
#[derive(Debug, Clone)]
pub struct BytesReply {
    pub status: u16,
    /// `Retry-After` in seconds, if the answer has one.
    pub retry_after: Option<Duration>,
    pub body: Bytes,
}

impl Client {
    /// Sends once and waits for the whole answer, at most `within`.
    ///
    /// # Errors
    /// Returns an error if no whole answer came back. It is then unknown whether the request was carried out.
    pub async fn post_bytes(
        &self,
        path: &str,
        query: &[(&str, &str)],
        headers: HeaderMap,
        body: Bytes,
        within: Duration,
    ) -> Result<BytesReply, CallError> {
        let replied = self.try_post(path, query, headers, body, within.min(self.settings.timeout)).await;
        let outcome = match &replied {
            Err(error) => error.outcome(),
            Ok(reply) => match reply.status {
                200..=299 => "done",
                401 | 403 => "unauthorised",
                408 | 429 | 500.. => "overloaded",
                _ => "refused",
            },
        };
        if outcome == "unauthorised" {
            // For the next attempt: a rotated key is refused before its file was checked again.
            self.refresh(true);
        }
        if let Some(metrics) = &self.metrics {
            metrics.requests.with_label_values(&[outcome]).inc();
        }
        replied
    }

    async fn try_post(
        &self,
        path: &str,
        query: &[(&str, &str)],
        headers: HeaderMap,
        body: Bytes,
        within: Duration,
    ) -> Result<BytesReply, CallError> {
        let transport = self.transport();
        let began = Instant::now();
        let unreachable = |error| CallError::unreachable(&self.settings.url, within, &error);
        let sent = transport.send(Method::Post, path, headers, Some(query), Some(body), Some(within)).await;
        let response = sent.map_err(unreachable)?;
        let status = response.status_code().as_u16();
        let seconds = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let body = response.bytes().await.map_err(unreachable)?;
        if let Some(metrics) = &self.metrics {
            metrics.duration.observe(began.elapsed().as_secs_f64());
        }
        Ok(BytesReply { status, retry_after: seconds.map(Duration::from_secs), body })
    }
}
