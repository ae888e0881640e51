//! This module sends signed requests as a user's program does.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use reqwest::{Method, header::HeaderValue};
use serde_json::Value;
use service_kit::telemetry::with_causes;
use sha2::Sha256;

use super::ProbeFailure;
use crate::config;

const API_KEY: &str = "X-MBX-APIKEY";
/// Answers of the probe's endpoints are far smaller.
const ANSWER_MAX: u64 = 1 << 20;

pub(super) struct ProbeClient {
    http: reqwest::Client,
    url: String,
    api_key: HeaderValue,
    signer: Hmac<Sha256>,
    window: Duration,
}

impl ProbeClient {
    pub fn new(settings: &config::ProbeSettings) -> anyhow::Result<Self> {
        let mut api_key = HeaderValue::from_str(settings.api_key.expose())?;
        api_key.set_sensitive(true);
        Ok(Self {
            http: reqwest::Client::builder().timeout(settings.timeout).redirect(reqwest::redirect::Policy::none()).build()?,
            url: settings.url.clone(),
            api_key,
            signer: Hmac::new_from_slice(settings.secret_key.expose().as_bytes())?,
            window: settings.timeout,
        })
    }

    /// Sends a signed request and returns the body of a success.
    pub async fn ask(&self, method: Method, path: &str, parameters: &str) -> Result<Value, ProbeFailure> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let query = format!("{parameters}&recvWindow={}&timestamp={now}", self.window.as_millis().min(60_000));
        let mut mac = self.signer.clone();
        mac.update(query.as_bytes());
        let signature = hex::encode(mac.finalize().into_bytes());
        let request = self.http.request(method, format!("{}{path}?{query}&signature={signature}", self.url));
        let reply = request.header(API_KEY, self.api_key.clone()).send().await.map_err(failed)?;
        let status = reply.status();
        if reply.content_length().is_some_and(|length| length > ANSWER_MAX) {
            return Err(ProbeFailure::Wrong(format!("the answer is larger than {ANSWER_MAX} bytes")));
        }
        let body = reply.bytes().await.map_err(failed)?;
        let answer: Option<Value> = serde_json::from_slice(&body).ok();
        match answer {
            Some(answer) if status.is_success() => Ok(answer),
            None if status.is_success() => Err(ProbeFailure::Wrong("the answer is not JSON".into())),
            answer => Err(ProbeFailure::Refused {
                status: status.as_u16(),
                code: answer.as_ref().and_then(|answer| answer["code"].as_i64()).unwrap_or_default(),
                text: answer.as_ref().and_then(|answer| answer["msg"].as_str()).unwrap_or_default().to_owned(),
            }),
        }
    }
}

/// The address is not part of the text: its query has a signature.
fn failed(error: reqwest::Error) -> ProbeFailure {
    if error.is_timeout() {
        return ProbeFailure::Timeout;
    }
    ProbeFailure::Unreachable(with_causes(&error.without_url()))
}
