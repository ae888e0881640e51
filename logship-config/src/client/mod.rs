//! This module is the connection to Elasticsearch: one address, credentials and authority from mounted files, a time limit
//! for each request.
//!
//! It uses the official `elasticsearch` crate, but only its `Transport::send`. The typed builders are generated for release
//! 9.1, an alpha, and have no call for data stream options or settings. One function for all calls also lets a test check
//! every request against the contract. Answers are read as JSON with any status: Elasticsearch explains in the body.

mod bytes;
pub mod mounted;
mod reply;

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use elasticsearch::{
    cert::{Certificate, CertificateValidation},
    http::{
        headers::HeaderMap,
        transport::{SingleNodeConnectionPool, Transport, TransportBuilder},
    },
};
use serde_json::Value;

use crate::{config::ClusterSettings, metrics::ClientMetrics};

pub use self::bytes::BytesReply;
pub use elasticsearch::http::{Method, headers};
pub use mounted::Mounted;
pub use reply::{CallError, ErrorReply};

/// Interval between checks of mounted files for changes.
const LOOK_AT_FILES_EVERY: Duration = Duration::from_secs(1);

/// Calls Elasticsearch. A changed mounted file is used from the next request on.
pub struct Client {
    settings: ClusterSettings,
    metrics: Option<ClientMetrics>,
    current: Mutex<Current>,
}

struct Current {
    mounted: Mounted,
    looked: Instant,
    transport: Transport,
}

/// The transport's own `Debug` would show the credentials.
impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Client").field("url", &self.settings.url.as_str()).finish_non_exhaustive()
    }
}

impl Client {
    /// Reads the mounted files. It sends nothing.
    ///
    /// # Errors
    /// Returns an error if a file cannot be read or contains no credentials or certificates.
    pub fn new(settings: ClusterSettings, metrics: Option<ClientMetrics>) -> Result<Self, CallError> {
        let mounted = Mounted::read(&settings.credentials, settings.ca_file.as_deref())?;
        let transport = transport(&settings, &mounted)?;
        if let Some(metrics) = &metrics {
            // `rate()` needs a value before the first event.
            for outcome in ["done", "refused", "overloaded", "unauthorised", "unreachable"] {
                metrics.requests.with_label_values(&[outcome]);
            }
            for outcome in ["done", "failed"] {
                metrics.reloads.with_label_values(&[outcome]);
            }
        }
        Ok(Self { settings, metrics, current: Mutex::new(Current { mounted, looked: Instant::now(), transport }) })
    }

    /// `path` begins with a slash; its names are percent-encoded ([`segment`]).
    ///
    /// # Errors
    /// Returns an error if no answer arrived or its status is not a success ([`CallError`] states which).
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Value, CallError> {
        let first = self.attempt(method, path, query, body).await;
        // A rotated key is refused before its file was checked again.
        let answered = match first {
            Err(CallError::Unauthorised { .. }) if self.refresh(true) => self.attempt(method, path, query, body).await,
            other => other,
        };
        if let Some(metrics) = &self.metrics {
            let outcome = answered.as_ref().map_or_else(CallError::outcome, |_| "done");
            metrics.requests.with_label_values(&[outcome]).inc();
        }
        answered
    }

    /// # Errors
    /// See [`Self::send`].
    pub async fn get(&self, path: &str) -> Result<Value, CallError> {
        self.send(Method::Get, path, &[], None).await
    }

    /// Returns `None` if Elasticsearch answers 404.
    ///
    /// # Errors
    /// See [`Self::send`].
    pub async fn find(&self, path: &str) -> Result<Option<Value>, CallError> {
        match self.get(path).await {
            Err(CallError::Refused(reply)) if reply.status == 404 => Ok(None),
            other => other.map(Some),
        }
    }

    async fn attempt(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Value, CallError> {
        let transport = self.transport();
        let began = Instant::now();
        let body = body.map(Value::to_string);
        let query = (!query.is_empty()).then_some(query);
        let sent = transport.send(method, path, HeaderMap::new(), query, body, Some(self.settings.timeout)).await;
        let unreachable = |error| CallError::unreachable(&self.settings.url, self.settings.timeout, &error);
        let response = sent.map_err(unreachable)?;
        let status = response.status_code().as_u16();
        let text = response.text().await.map_err(unreachable)?;
        if let Some(metrics) = &self.metrics {
            metrics.duration.observe(began.elapsed().as_secs_f64());
        }
        CallError::judge(method, path, status, &text)
    }

    /// Returns a transport with the currently mounted credentials.
    fn transport(&self) -> Transport {
        self.refresh(false);
        self.current.lock().unwrap_or_else(PoisonError::into_inner).transport.clone()
    }

    /// Checks the mounted files when it is time to, or `now`. Returns whether they changed.
    fn refresh(&self, now: bool) -> bool {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if !now && current.looked.elapsed() < LOOK_AT_FILES_EVERY {
            return false;
        }
        current.looked = Instant::now();
        let read = Mounted::read(&self.settings.credentials, self.settings.ca_file.as_deref());
        let built = match read {
            Ok(mounted) if mounted == current.mounted => return false,
            Ok(mounted) => transport(&self.settings, &mounted).map(|transport| (mounted, transport)),
            Err(error) => Err(error),
        };
        let outcome = match built {
            Ok((mounted, transport)) => {
                (current.mounted, current.transport) = (mounted, transport);
                tracing::info!("mounted credentials or certificates changed and were read again");
                "done"
            }
            // Until a new secret is written completely, the old one stays in use.
            Err(error) => {
                tracing::warn!(%error, "failed to read mounted files; the previous credentials stay in use");
                "failed"
            }
        };
        if let Some(metrics) = &self.metrics {
            metrics.reloads.with_label_values(&[outcome]).inc();
        }
        outcome == "done"
    }
}

fn transport(settings: &ClusterSettings, mounted: &Mounted) -> Result<Transport, CallError> {
    let mut builder = TransportBuilder::new(SingleNodeConnectionPool::new(settings.url.clone())).disable_proxy();
    if let Some(credentials) = mounted.credentials() {
        builder = builder.auth(credentials);
    }
    if let Some(ca) = mounted.ca() {
        let wrong = |error| {
            CallError::mounted(
                settings.ca_file.as_deref(),
                format!("contains no PEM certificate ({error}); provide the authority's certificate in PEM"),
            )
        };
        builder = builder.cert_validation(CertificateValidation::Full(Certificate::from_pem(ca).map_err(wrong)?));
    }
    builder.build().map_err(|error| CallError::mounted(None, format!("the connection cannot be prepared: {error}")))
}

/// Encodes a name as a part of a path.
pub fn segment(name: &str) -> String {
    percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC).to_string()
}
