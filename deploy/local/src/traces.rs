//! This module receives spans over OTLP and stores the newest ones in memory, for tests and for `make run`.
//!
//! | request | answer |
//! |---|---|
//! | `POST /v1/traces` | 200 when the spans are stored, 415 or 400 with the reason otherwise |
//! | `GET /api/traces?minutes=&min_ms=&errors=true` | the newest traces, at most [`LISTED_MAX`] |
//! | `GET /api/traces/<trace id>` | the spans of one trace, and the spans of other traces that link to it |
//!
//! The receiver refuses a request with any span that breaks OTLP or OpenTelemetry's conventions for HTTP servers, so that a test
//! notices it.

mod read;
mod store;

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, Query, State},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::json;
use tokio::{net::TcpListener, task::JoinHandle};

pub use read::{SpanLink, StoredSpan};
use store::TraceStore;

/// Largest request. The default batch of an exporter has 512 spans, about 200 KiB.
const BODY_MAX: usize = 8 * 1024 * 1024;
/// Most traces of a list.
pub const LISTED_MAX: usize = 200;
const LISTED_MINUTES: u64 = 15;
/// Reasons of refused requests that are stored.
const FAULTS_MAX: usize = 100;

type Shared = Arc<Mutex<Received>>;

#[derive(Default)]
struct Received {
    store: TraceStore,
    faults: Vec<String>,
}

/// A receiver. It ends when this value is dropped.
pub struct TraceReceiver {
    /// For `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub endpoint: String,
    received: Shared,
    serving: JoinHandle<io::Result<()>>,
}

impl TraceReceiver {
    /// Starts a receiver in this process; port 0 selects a free port.
    ///
    /// # Errors
    /// Returns an error if the port is in use.
    pub async fn start(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let received = Shared::default();
        let router = router(Arc::clone(&received));
        Ok(Self { endpoint, received, serving: tokio::spawn(async move { axum::serve(listener, router).await }) })
    }

    /// Serves until the process ends.
    ///
    /// # Errors
    /// Returns an error of the listener.
    pub async fn serve(mut self) -> io::Result<()> {
        (&mut self.serving).await.map_err(io::Error::other)?
    }

    /// The spans of a trace, in the order of their begin.
    pub fn trace(&self, trace_id: &str) -> Vec<StoredSpan> {
        locked(&self.received).store.trace(trace_id)
    }

    /// Every stored span.
    pub fn spans(&self) -> Vec<StoredSpan> {
        locked(&self.received).store.spans().cloned().collect()
    }

    /// Why requests were refused.
    pub fn faults(&self) -> Vec<String> {
        locked(&self.received).faults.clone()
    }
}

impl Drop for TraceReceiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn locked(received: &Shared) -> std::sync::MutexGuard<'_, Received> {
    received.lock().unwrap_or_else(PoisonError::into_inner)
}

fn router(received: Shared) -> Router {
    Router::new()
        .route("/v1/traces", post(take).layer(DefaultBodyLimit::max(BODY_MAX)))
        .route("/api/traces", get(list))
        .route("/api/traces/{id}", get(one))
        .with_state(received)
}

async fn take(State(received): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let refuse = |status: StatusCode, reason: String| {
        let faults = &mut locked(&received).faults;
        if faults.len() < FAULTS_MAX {
            faults.push(reason.clone());
        }
        eprintln!("refused spans: {reason}");
        (status, format!("{reason}\n")).into_response()
    };
    if headers.get(CONTENT_TYPE).is_none_or(|kind| kind != "application/x-protobuf") {
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content-type must be application/x-protobuf".into());
    }
    match read::spans(&body) {
        Ok(spans) => {
            locked(&received).store.put(spans);
            // An empty body is an empty ExportTraceServiceResponse.
            ([(CONTENT_TYPE, "application/x-protobuf")], Bytes::new()).into_response()
        }
        Err(reason) => refuse(StatusCode::BAD_REQUEST, reason),
    }
}

#[derive(Deserialize)]
struct Wanted {
    minutes: Option<u64>,
    min_ms: Option<u64>,
    errors: Option<bool>,
}

async fn list(State(received): State<Shared>, Query(wanted): Query<Wanted>) -> Response {
    let minutes = wanted.minutes.unwrap_or(LISTED_MINUTES);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let since = now.saturating_sub(Duration::from_secs(minutes.saturating_mul(60)));
    let least = Duration::from_millis(wanted.min_ms.unwrap_or_default());
    let listed = locked(&received).store.list(since, least, wanted.errors.unwrap_or_default(), LISTED_MAX);
    Json(listed).into_response()
}

async fn one(State(received): State<Shared>, Path(id): Path<String>) -> Response {
    let received = locked(&received);
    let spans = received.store.trace(&id);
    if spans.is_empty() {
        let reason = "no span of this trace is stored: it was not sampled, or newer traces replaced it\n";
        return (StatusCode::NOT_FOUND, reason).into_response();
    }
    Json(json!({"trace_id": id, "spans": spans, "linked_from": received.store.links_to(&id)})).into_response()
}
