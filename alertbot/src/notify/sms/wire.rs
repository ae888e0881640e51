//! This module sends one request and interprets its failure. An address may contain a key, so errors must not show it.

use std::time::Duration;

use alertbot_core::delivery::DeliveryOutcome;
use anyhow::Context;
use reqwest::{Client, RequestBuilder, header::RETRY_AFTER, redirect};

/// Wait if a provider reports "too many" without a time.
const RETRY_AFTER_DEFAULT: Duration = Duration::from_secs(30);
/// Largest answer. Real answers are short.
const ANSWER_BYTES: usize = 256 * 1024;

#[derive(Clone)]
pub(super) struct Wire {
    pub client: Client,
}

/// A provider's answer.
pub(super) struct ProviderAnswer {
    pub status: u16,
    pub body: String,
    retry_after: Option<Duration>,
}

impl Wire {
    pub fn new(timeout: Duration) -> anyhow::Result<Self> {
        // A redirect would send the key and the number to another host.
        let client = Client::builder().timeout(timeout).redirect(redirect::Policy::none()).build();
        Ok(Self { client: client.context("failed to build an HTTP client")? })
    }

    /// Without an answer, returns the outcome as `Err`.
    pub async fn ask(&self, request: RequestBuilder) -> Result<ProviderAnswer, DeliveryOutcome> {
        let reply = request.send().await.map_err(|error| unanswered(&error))?;
        let status = reply.status().as_u16();
        let seconds = reply.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let body = body(reply).await?;
        Ok(ProviderAnswer { status, body, retry_after: seconds.map(Duration::from_secs) })
    }

    /// Whether the answer is anything but a gateway error.
    pub async fn answers(&self, request: RequestBuilder) -> bool {
        self.ask(request).await.is_ok_and(|answer| answer.status < 500)
    }
}

async fn body(mut reply: reqwest::Response) -> Result<String, DeliveryOutcome> {
    let mut bytes = Vec::new();
    while let Some(chunk) = reply.chunk().await.map_err(|error| unanswered(&error))? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > ANSWER_BYTES {
            bytes.truncate(ANSWER_BYTES);
            break;
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn unanswered(error: &reqwest::Error) -> DeliveryOutcome {
    if error.is_builder() {
        return DeliveryOutcome::Refused {
            reason: "failed to build the request: the address or a header is malformed".to_owned(),
            dead: false,
        };
    }
    if error.is_connect() {
        return DeliveryOutcome::TryAgain { reason: "no connection".to_owned() };
    }
    let reason = if error.is_timeout() { "no answer in time" } else { "the connection broke" };
    DeliveryOutcome::Unknown { reason: reason.to_owned() }
}

impl ProviderAnswer {
    /// The outcome of an error status that the provider does not explain.
    pub fn failure(&self, explained: &str) -> DeliveryOutcome {
        let reason =
            if explained.is_empty() { format!("HTTP {}", self.status) } else { format!("HTTP {}: {explained}", self.status) };
        match self.status {
            429 => DeliveryOutcome::RateLimited { retry_after: self.retry_after.unwrap_or(RETRY_AFTER_DEFAULT) },
            // The gateway may have forwarded the request before it lost the answer.
            502 | 504 => DeliveryOutcome::Unknown { reason },
            500.. => DeliveryOutcome::TryAgain { reason },
            _ => DeliveryOutcome::Refused { reason, dead: false },
        }
    }

    pub fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_str(&self.body).ok()
    }
}

/// A text or a number as text.
pub(super) fn scalar_text(value: &serde_json::Value) -> Option<String> {
    match value {
        serde_json::Value::Null => None,
        serde_json::Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}
