//! This module answers shippers.
//!
//! | `POST /_bulk` | answer |
//! |---|---|
//! | every document or its dead letter is stored | 200 `{"took":…,"errors":false,"items":[]}`: success for Fluent Bit, which reads `errors` first |
//! | some are not stored by the deadline | 503 with `Retry-After`: the shipper retains the chunk |
//! | memory or places are not free within the wait | 429 with `Retry-After` |
//! | a stream is not ready | 503 with `Retry-After`, before the body is read |
//! | the request can never succeed unchanged | 400, 413, 415 with the remedy; nothing of it was forwarded |
//! | invalid or missing `Authorization`, if a token is configured | 401 |
//!
//! Errors have Elasticsearch's shape: `{"error":{"type","reason"},"status"}`.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    body::{Body, Bytes, HttpBody as _},
    extract::{DefaultBodyLimit, Request, State},
    http::{
        HeaderMap, StatusCode,
        header::{AUTHORIZATION, CONTENT_ENCODING, RETRY_AFTER},
        request::Parts,
    },
    middleware,
    response::{IntoResponse, Response},
    routing::post,
};
use bytes::BytesMut;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::json;
use service_kit::{config::Secret, health::Health, metrics::IntGauge};
use tokio_util::sync::CancellationToken;

use super::{
    chunk::BulkChunk,
    forwarder::{ChunkResult, Forwarder, Received},
    inflate::{self, InflateError},
    memory::{self, Busy, Charge, RelayMemory},
    ndjson::{self, NdjsonRefusal, Streams},
};
use crate::metrics::RelayMetrics;

/// A shipper that needs longer for one body has stopped.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Limits of bytes and time for reading the body of a refused request before the answer.
const DRAINED_BYTES: usize = 100 << 20;
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// For the shipper. Fluent Bit uses its own scheduler.
const RETRY_AFTER_SECONDS: u32 = 2;

/// The dependencies of the listener.
#[derive(Debug, Clone)]
pub struct Intake {
    pub forwarder: Arc<Forwarder>,
    pub streams: Arc<Streams>,
    pub health: Health,
    pub token: Option<Secret>,
    pub body_limit: usize,
    pub body_timeout: Duration,
    pub deadline: Duration,
    pub memory: RelayMemory,
    pub stop: CancellationToken,
}

/// Returns the routes of the listener.
pub fn router(intake: Intake) -> Router {
    Router::new()
        .route("/_bulk", post(bulk).put(bulk))
        .fallback(async || {
            let text = "this is logship's relay: it accepts only POST /_bulk; send other requests to Elasticsearch";
            error(StatusCode::NOT_FOUND, "not_found", text)
        })
        // The handler reads the body: it knows the limit and the answer.
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn(service_kit::trace::server))
        .with_state(intake)
}

/// The answer to a chunk that is not stored.
#[derive(Debug)]
struct Turned {
    status: StatusCode,
    /// The value of the label `outcome`.
    outcome: &'static str,
    reason: String,
}

impl Turned {
    fn new(status: StatusCode, outcome: &'static str, reason: impl Into<String>) -> Self {
        Self { status, outcome, reason: reason.into() }
    }
}

async fn bulk(State(intake): State<Intake>, request: Request) -> Response {
    let began = Instant::now();
    let metrics = &intake.forwarder.metrics;
    let answered = Answered::not_yet(metrics);
    let (head, mut body) = request.into_parts();
    let taken = take(&intake, &head, &mut body).await;
    if taken.is_err() {
        drain(body).await;
    }
    metrics.duration.observe(began.elapsed().as_secs_f64());
    match taken {
        Ok(()) => {
            answered.with("stored");
            let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            // No items: a shipper that sees `errors: false` does not read them, and they would be the largest part of the
            // answer.
            Json(json!({"took": took, "errors": false, "items": []})).into_response()
        }
        Err(Turned { status, outcome, reason }) => {
            answered.with(outcome);
            tracing::warn!({ http.response.status_code = status.as_u16(), outcome }, "{reason}");
            error(status, &format!("relay_{outcome}"), &reason)
        }
    }
}

const ABANDONED: &str = "abandoned";

/// Counts a chunk once: by its answer, or as abandoned if the shipper closes the connection first. This future is then
/// dropped.
struct Answered<'a> {
    metrics: &'a RelayMetrics,
    outcome: &'static str,
}

impl<'a> Answered<'a> {
    fn not_yet(metrics: &'a RelayMetrics) -> Self {
        Self { metrics, outcome: ABANDONED }
    }

    fn with(mut self, outcome: &'static str) {
        self.outcome = outcome;
    }
}

impl Drop for Answered<'_> {
    fn drop(&mut self) {
        if self.outcome == ABANDONED {
            tracing::warn!(
                "the shipper closed the connection before its chunk was answered; a retry finds the stored documents as \
                 duplicates"
            );
        }
        self.metrics.chunks.with_label_values(&[self.outcome]).inc();
    }
}

/// A chunk is in progress until this is dropped, even if its future is cancelled.
struct CountedChunk<'a>(&'a IntGauge);

impl<'a> CountedChunk<'a> {
    fn begin(gauge: &'a IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for CountedChunk<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// If the relay closes the connection while the shipper still sends, the connection is reset and the answer is lost.
async fn drain(mut body: Body) {
    let discard = async {
        let mut left = DRAINED_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            let Some(rest) = left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else { return };
            left = rest;
        }
    };
    // A slower shipper gets no answer.
    let _ = tokio::time::timeout(DRAIN_TIMEOUT, discard).await;
}

fn error(status: StatusCode, kind: &str, reason: &str) -> Response {
    let body = Json(json!({"error": {"type": kind, "reason": reason}, "status": status.as_u16()}));
    let mut response = (status, body).into_response();
    if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
        response.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_SECONDS.into());
    }
    response
}

async fn take(intake: &Intake, head: &Parts, body: &mut Body) -> Result<(), Turned> {
    if intake.token.as_ref().is_some_and(|token| !proves(&head.headers, token)) {
        let text = "send `Authorization: ApiKey` with the value of LOGSHIP_RELAY_TOKEN; in Fluent Bit set http_api_key";
        return Err(Turned::new(StatusCode::UNAUTHORIZED, "unauthorised", text));
    }
    if let Some(latch) = intake.health.latches().into_iter().find(|latch| !latch.ready) {
        let text = format!("no chunks are accepted yet ({}): {}", latch.name, latch.reason.unwrap_or_default());
        return Err(Turned::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", text));
    }
    carry(intake, head, body).await
}

async fn carry(intake: &Intake, head: &Parts, body: &mut Body) -> Result<(), Turned> {
    let metrics = &intake.forwarder.metrics;
    let refused = |status, reason: &'static str, text: String| {
        metrics.refused.with_label_values(&[reason]).inc();
        Turned::new(status, "refused", text)
    };
    if let Some(query) = head.uri.query().filter(|query| !query.is_empty()) {
        let text = format!("the relay accepts no parameters ({query}); declare a pipeline in the index template instead");
        return Err(refused(StatusCode::BAD_REQUEST, "parameters", text));
    }
    let encoding = head.headers.get(CONTENT_ENCODING).map(|value| value.as_bytes().to_ascii_lowercase());
    let gzip = match encoding.as_deref() {
        None | Some(b"identity") => false,
        // Names of encodings have no case, and `x-gzip` is another name of gzip (RFC 9110, 8.4.1.3).
        Some(b"gzip" | b"x-gzip") => true,
        Some(_) => {
            let text = "the body is neither plain nor gzip; in Fluent Bit set `compress gzip`".to_owned();
            return Err(refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "encoding", text));
        }
    };
    let (bytes, _arrived) = read_body(intake, body).await?;
    let received = Received { bytes, gzip };
    metrics.received_bytes.inc_by(received.bytes.len() as u64);
    let too_large = |fault: InflateError| match fault {
        InflateError::TooLarge { .. } => Turned::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", fault.to_string()),
        InflateError::Broken(_) => refused(StatusCode::BAD_REQUEST, "encoding", fault.to_string()),
    };
    let (plain, _work) = make_plain(intake, &received).await?.map_err(too_large)?;
    let _in_work = CountedChunk::begin(&metrics.in_work);
    // A slow shipper does not reduce Elasticsearch's time.
    let deadline = tokio::time::Instant::now() + intake.deadline;
    metrics.inflated_bytes.inc_by(plain.len() as u64);
    let items = ndjson::cut(&plain, &intake.streams)
        .map_err(|refusal: NdjsonRefusal| refused(StatusCode::BAD_REQUEST, refusal.name(), refusal.to_string()))?;
    let chunk = BulkChunk::new(plain, items, Arc::clone(&intake.streams));
    match intake.forwarder.deliver(chunk, &received, deadline, &intake.stop).await {
        ChunkResult::Stored => Ok(()),
        ChunkResult::Unstored { documents, cause } => {
            let text = format!("{documents} documents are not stored ({}); send the chunk again", cause.name());
            Err(Turned::new(StatusCode::SERVICE_UNAVAILABLE, "unstored", text))
        }
    }
}

/// Decompresses a body and charges its plain form. The size stated in a gzip body is a hint: a body that exceeds it is
/// charged the whole limit.
async fn make_plain(intake: &Intake, received: &Received) -> Result<Result<(Vec<u8>, memory::InWork), InflateError>, Turned> {
    let (bytes, limit) = (&received.bytes, intake.body_limit);
    if !received.gzip {
        let work = intake.memory.begin(bytes.len()).await.map_err(busy)?;
        return Ok(Ok((bytes.to_vec(), work)));
    }
    let hint = inflate::size_hint(bytes).min(limit);
    let work = intake.memory.begin(hint).await.map_err(busy)?;
    match inflate::inflate(bytes, hint) {
        Err(InflateError::TooLarge { .. }) if hint < limit => {
            drop(work);
            let work = intake.memory.begin(limit).await.map_err(busy)?;
            Ok(inflate::inflate(bytes, limit).map(|plain| (plain, work)))
        }
        plain => Ok(plain.map(|plain| (plain, work))),
    }
}

fn busy(Busy { setting }: Busy) -> Turned {
    let text = format!("{setting} is exhausted and did not become free within LOGSHIP_RELAY_WAIT; send the chunk again");
    Turned::new(StatusCode::TOO_MANY_REQUESTS, "busy", text)
}

async fn read_body(intake: &Intake, body: &mut Body) -> Result<(Bytes, Charge), Turned> {
    let limit = intake.body_limit;
    let read = async {
        let whole = body.size_hint().exact().map_or(limit, |length| usize::try_from(length).unwrap_or(limit).min(limit));
        let (mut body, mut bytes, mut charge) = (Limited::new(body, limit), BytesMut::new(), Charge::default());
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| {
                if error.is::<LengthLimitError>() {
                    let text = format!(
                        "the body is larger than LOGSHIP_RELAY_BODY_LIMIT ({limit} bytes); send smaller chunks, or raise it"
                    );
                    return Turned::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", text);
                }
                Turned::new(StatusCode::BAD_REQUEST, "broken", "the body ended early; send it completely")
            })?;
            let Ok(data) = frame.into_data() else { continue };
            intake.memory.arrived(&mut charge, bytes.len() + data.len(), whole).await.map_err(busy)?;
            bytes.extend_from_slice(&data);
        }
        Ok((bytes.freeze(), charge))
    };
    tokio::time::timeout(intake.body_timeout, read).await.unwrap_or_else(|_| {
        let text = format!("the body did not arrive within {} s; send it again", intake.body_timeout.as_secs());
        Err(Turned::new(StatusCode::REQUEST_TIMEOUT, "broken", text))
    })
}

/// Compares in constant time.
fn proves(headers: &HeaderMap, token: &Secret) -> bool {
    let sent = headers.get(AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"ApiKey "));
    sent.is_some_and(|sent| token.matches(sent))
}
