//! The connection to Elasticsearch: one address, credentials and authority from mounted files, a time limit for each request.
//!
//! Stands on the official `elasticsearch` crate. Its `Transport::send` carries every request, its typed builders none: they are
//! generated for release 9.1, an alpha, and have no call for data stream options or settings; one way for all calls lets a test
//! hold every request against the contract. Answers are read as JSON whatever their status: Elasticsearch explains in the body.

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
pub use reply::{CallError, Reply};

/// How long mounted files are taken as unchanged.
const LOOK_AT_FILES_EVERY: Duration = Duration::from_secs(1);

/// Calls Elasticsearch. Mounted files that change are used from the next request on.
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

/// The transport's own form would show the credentials.
impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Client").field("url", &self.settings.url.as_str()).finish_non_exhaustive()
    }
}

impl Client {
    /// Reads the mounted files; sends nothing.
    ///
    /// # Errors
    /// When a file cannot be read or holds no credentials or certificates.
    pub fn new(settings: ClusterSettings, metrics: Option<ClientMetrics>) -> Result<Self, CallError> {
        let mounted = Mounted::read(&settings.credentials, settings.ca_file.as_deref())?;
        let transport = transport(&settings, &mounted)?;
        if let Some(metrics) = &metrics {
            // A rate needs a value before the first event.
            for outcome in ["done", "refused", "overloaded", "unauthorised", "unreachable"] {
                metrics.requests.with_label_values(&[outcome]);
            }
            for outcome in ["done", "failed"] {
                metrics.reloads.with_label_values(&[outcome]);
            }
        }
        Ok(Self { settings, metrics, current: Mutex::new(Current { mounted, looked: Instant::now(), transport }) })
    }

    /// `path` begins with a slash and has its names percent-encoded ([`segment`]).
    ///
    /// # Errors
    /// When nothing came back, or a status that is no success ([`CallError`] says which).
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Value, CallError> {
        let first = self.attempt(method, path, query, body).await;
        // A rotated key is refused before its file was looked at again.
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
    /// As [`Self::send`].
    pub async fn get(&self, path: &str) -> Result<Value, CallError> {
        self.send(Method::Get, path, &[], None).await
    }

    /// `None` where Elasticsearch says 404.
    ///
    /// # Errors
    /// As [`Self::send`].
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

    /// With the credentials that are mounted now.
    fn transport(&self) -> Transport {
        self.refresh(false);
        self.current.lock().unwrap_or_else(PoisonError::into_inner).transport.clone()
    }

    /// Looks at the mounted files when it is time to or `now`, and says whether they had changed.
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
                tracing::info!("mounted credentials or certificates have changed and were read again");
                "done"
            }
            // A secret that is being written stays as it was until it is whole.
            Err(error) => {
                tracing::warn!(%error, "mounted files cannot be read; the ones read before stay in use");
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
                format!("holds no PEM certificate ({error}); give the authority's certificate in PEM"),
            )
        };
        builder = builder.cert_validation(CertificateValidation::Full(Certificate::from_pem(ca).map_err(wrong)?));
    }
    builder.build().map_err(|error| CallError::mounted(None, format!("the connection cannot be prepared: {error}")))
}

/// A name as a part of a path.
pub fn segment(name: &str) -> String {
    percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC).to_string()
}
