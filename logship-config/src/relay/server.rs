//! The listener that a shipper sends to.
//!
//! | `POST /_bulk` | answer |
//! |---|---|
//! | every document is stored, or its dead letter is | 200 `{"took":…,"errors":false,"items":[]}`: success for Fluent Bit, which looks at `errors` first |
//! | some are not by the deadline | 503 with `Retry-After`: the shipper keeps the chunk |
//! | memory or places are not free within the wait | 429 with `Retry-After` |
//! | a stream is not ready | 503 with `Retry-After`, before the body is read |
//! | what can never be right as it is | 400, 413, 415 with the remedy; nothing of it was sent on |
//! | wrong or missing `Authorization`, when one is configured | 401 |
//!
//! Errors have Elasticsearch's shape: `{"error":{"type","reason"},"status"}`.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, Request, State},
    http::{
        HeaderMap, StatusCode,
        header::{AUTHORIZATION, CONTENT_ENCODING, RETRY_AFTER},
        request::Parts,
    },
    response::{IntoResponse, Response},
    routing::post,
};
use bytes::BytesMut;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::json;
use service_kit::{config::Secret, health::Health, metrics::IntGauge};
use tokio_util::sync::CancellationToken;

use super::{
    chunk::Chunk,
    courier::{Courier, Outcome, Received},
    inflate,
    memory::{self, Busy, Charge, Memory},
    ndjson::{self, Refusal, Streams},
};
use crate::metrics::RelayMetrics;

/// A shipper that is slower than this with one body has stopped.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Of a body that is not taken: so much is read, and for so long, before it is answered.
const DRAINED_BYTES: usize = 100 << 20;
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// For the shipper; Fluent Bit has a scheduler of its own.
const RETRY_AFTER_SECONDS: u32 = 2;

/// What the listener works with.
#[derive(Debug, Clone)]
pub struct Intake {
    pub courier: Arc<Courier>,
    pub streams: Arc<Streams>,
    pub health: Health,
    pub token: Option<Secret>,
    pub body_limit: usize,
    pub deadline: Duration,
    pub memory: Memory,
    pub stop: CancellationToken,
}

/// Serves until `intake.stop` is cancelled and what is under way has been answered.
pub async fn serve<L>(listener: L, intake: Intake) -> io::Result<()>
where
    L: axum::serve::Listener<Addr: std::fmt::Debug>,
{
    let stop = intake.stop.clone();
    axum::serve(listener, router(intake)).with_graceful_shutdown(stop.cancelled_owned()).await
}

fn router(intake: Intake) -> Router {
    Router::new()
        .route("/_bulk", post(bulk).put(bulk))
        .fallback(async || {
            let text = "this is logship's relay: it takes POST /_bulk and nothing else; ask Elasticsearch itself";
            error(StatusCode::NOT_FOUND, "not_found", text)
        })
        // The body is read by the handler, which knows the limit and what to answer.
        .layer(DefaultBodyLimit::disable())
        .with_state(intake)
}

/// How a chunk that is not stored is answered.
#[derive(Debug)]
struct Turned {
    status: StatusCode,
    /// The label `outcome`.
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
    let metrics = &intake.courier.metrics;
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
            // No items: a shipper that sees `errors: false` needs none, and they would be larger than all the rest.
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

/// Counts a chunk once: by its answer, or as abandoned where the shipper hangs up before one (this future is dropped then).
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
                "the shipper hung up before its chunk was answered; what of it was stored is already there when it comes again"
            );
        }
        self.metrics.chunks.with_label_values(&[self.outcome]).inc();
    }
}

/// A chunk is in work until this is dropped, however its future ends.
struct InWork<'a>(&'a IntGauge);

impl<'a> InWork<'a> {
    fn begin(gauge: &'a IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for InWork<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A connection that is closed on a shipper which still sends is reset, and the answer with it.
async fn drain(mut body: Body) {
    let discard = async {
        let mut left = DRAINED_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            let Some(rest) = left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else { return };
            left = rest;
        }
    };
    // Whoever takes longer gets no answer.
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
        let text = "send `Authorization: ApiKey` with what LOGSHIP_RELAY_TOKEN holds; in Fluent Bit, http_api_key";
        return Err(Turned::new(StatusCode::UNAUTHORIZED, "unauthorised", text));
    }
    if let Some(latch) = intake.health.latches().into_iter().find(|latch| !latch.ready) {
        let text = format!("nothing is taken yet ({}): {}", latch.name, latch.reason.unwrap_or_default());
        return Err(Turned::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", text));
    }
    carry(intake, head, body).await
}

async fn carry(intake: &Intake, head: &Parts, body: &mut Body) -> Result<(), Turned> {
    let metrics = &intake.courier.metrics;
    let refused = |status, reason: &'static str, text: String| {
        metrics.refused.with_label_values(&[reason]).inc();
        Turned::new(status, "refused", text)
    };
    if let Some(query) = head.uri.query().filter(|query| !query.is_empty()) {
        let text = format!("the relay takes no parameters ({query}); declare a pipeline in the index template instead");
        return Err(refused(StatusCode::BAD_REQUEST, "parameters", text));
    }
    let gzip = match head.headers.get(CONTENT_ENCODING).map(|value| value.as_bytes()) {
        None | Some(b"identity") => false,
        Some(b"gzip") => true,
        Some(_) => {
            let text = "the body is neither plain nor gzip; in Fluent Bit set `compress gzip`".to_owned();
            return Err(refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "encoding", text));
        }
    };
    let (bytes, _arrived) = read_body(intake, body).await?;
    let received = Received { bytes, gzip };
    metrics.received_bytes.inc_by(received.bytes.len() as u64);
    let too_large = |fault: inflate::Fault| match fault {
        inflate::Fault::TooLarge { .. } => Turned::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", fault.to_string()),
        inflate::Fault::Broken(_) => refused(StatusCode::BAD_REQUEST, "encoding", fault.to_string()),
    };
    let (plain, _work) = make_plain(intake, &received).await?.map_err(too_large)?;
    let _in_work = InWork::begin(&metrics.in_work);
    // A slow shipper takes none of the time that Elasticsearch has.
    let deadline = tokio::time::Instant::now() + intake.deadline;
    metrics.inflated_bytes.inc_by(plain.len() as u64);
    let items = ndjson::cut(&plain, &intake.streams)
        .map_err(|refusal: Refusal| refused(StatusCode::BAD_REQUEST, refusal.name(), refusal.to_string()))?;
    let chunk = Chunk::new(plain, items, Arc::clone(&intake.streams));
    match intake.courier.deliver(chunk, &received, deadline, &intake.stop).await {
        Outcome::Stored => Ok(()),
        Outcome::Unstored { documents, cause } => {
            let text = format!("{documents} documents are not stored ({}); send the chunk again", cause.name());
            Err(Turned::new(StatusCode::SERVICE_UNAVAILABLE, "unstored", text))
        }
    }
}

/// The plain form of a body, and what it is charged. The size that a gzip body names is a hint: one that exceeds it is charged
/// the whole limit.
async fn make_plain(intake: &Intake, received: &Received) -> Result<Result<(Vec<u8>, memory::InWork), inflate::Fault>, Turned> {
    let (bytes, limit) = (&received.bytes, intake.body_limit);
    if !received.gzip {
        let work = intake.memory.begin(bytes.len()).await.map_err(busy)?;
        return Ok(Ok((bytes.to_vec(), work)));
    }
    let hint = inflate::size_hint(bytes).min(limit);
    let work = intake.memory.begin(hint).await.map_err(busy)?;
    match inflate::inflate(bytes, hint) {
        Err(inflate::Fault::TooLarge { .. }) if hint < limit => {
            drop(work);
            let work = intake.memory.begin(limit).await.map_err(busy)?;
            Ok(inflate::inflate(bytes, limit).map(|plain| (plain, work)))
        }
        plain => Ok(plain.map(|plain| (plain, work))),
    }
}

fn busy(Busy { setting }: Busy) -> Turned {
    let text = format!("{setting} is in use and did not become free within LOGSHIP_RELAY_WAIT; send the chunk again");
    Turned::new(StatusCode::TOO_MANY_REQUESTS, "busy", text)
}

async fn read_body(intake: &Intake, body: &mut Body) -> Result<(Bytes, Charge), Turned> {
    let limit = intake.body_limit;
    let read = async {
        let (mut body, mut bytes, mut charge) = (Limited::new(body, limit), BytesMut::new(), Charge::default());
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| {
                if error.is::<LengthLimitError>() {
                    let text = format!(
                        "the body is larger than LOGSHIP_RELAY_BODY_LIMIT ({limit} bytes); send smaller chunks, or raise it"
                    );
                    return Turned::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", text);
                }
                Turned::new(StatusCode::BAD_REQUEST, "broken", "the body broke off; send it whole")
            })?;
            let Ok(data) = frame.into_data() else { continue };
            intake.memory.arrived(&mut charge, bytes.len() + data.len()).await.map_err(busy)?;
            bytes.extend_from_slice(&data);
        }
        Ok((bytes.freeze(), charge))
    };
    tokio::time::timeout(BODY_TIMEOUT, read).await.unwrap_or_else(|_| {
        let text = format!("the body did not come within {} s; send it again", BODY_TIMEOUT.as_secs());
        Err(Turned::new(StatusCode::REQUEST_TIMEOUT, "broken", text))
    })
}

/// In constant time.
fn proves(headers: &HeaderMap, token: &Secret) -> bool {
    let sent = headers.get(AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"ApiKey "));
    sent.is_some_and(|sent| token.matches(sent))
}
