//! This module handles the steps that all requests share: body, parameters, weight, signature, headers, metrics, and the one log
//! line of a failure. It must not contain an endpoint's work.

use super::App;
use super::address::client_address;
use super::auth;
use super::body;
use super::endpoint::{Call, Endpoint, EndpointResult, EndpointWeight, Security, TimeUnit};
use super::error::ApiError;
use super::parameters::Parameters;
use super::response;
use crate::address_key::AddressKey;
use crate::metrics::HttpMetrics;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::header::USER_AGENT;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode};
use axum::response::Response;
use exchange_core::money::Time;
use futures::FutureExt;
use service_kit::metrics::{Histogram, IntCounter};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tracing::Instrument;

/// Deadline after which the answer is -1007. The engine itself answers within the documented 10 s; this covers everything else.
const DEADLINE: Duration = Duration::from_secs(12);
const MICROSECONDS_OF_DEADLINE: Time = 12_000_000;
const QUERY_MAX: usize = 16_384;
/// Weight of a request that did not reach an endpoint.
pub const WEIGHT_OF_A_FAULT: u32 = 1;
/// Route group of requests without an endpoint.
pub const UNKNOWN_GROUP: &str = "unknown";
/// Route group of input that did not become a request: a malformed, oversized or slow head.
pub const TRANSPORT_GROUP: &str = "transport";
/// Parameters that signed endpoints read in addition to their own.
const SIGNED_NAMES: [&str; 3] = ["timestamp", "recvWindow", "signature"];

const TIME_UNIT: HeaderName = HeaderName::from_static("x-mbx-time-unit");

/// The peer address of a connection, set by the listener.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// The query as sent and signed by the client, if the listener had to encode some of its bytes.
#[derive(Debug, Clone)]
pub struct AsSent(pub Bytes);

/// The raw clock, in microseconds.
pub fn raw_now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::try_from(since.as_micros()).unwrap_or(Time::MAX)
}

/// Metrics of one group of routes. The handles are looked up once: a look-up by label costs as much as reading a request.
#[derive(Clone)]
pub struct Measured {
    group: &'static str,
    ok: IntCounter,
    duration: Histogram,
}

impl Measured {
    pub fn new(metrics: &HttpMetrics, group: &'static str) -> Self {
        let ok = metrics.requests.with_label_values(&[group, StatusCode::OK.as_str()]);
        Self { group, ok, duration: metrics.duration.with_label_values(&[group]) }
    }

    fn count(&self, metrics: &HttpMetrics, status: StatusCode, elapsed: Duration) {
        match status {
            StatusCode::OK => self.ok.inc(),
            status => metrics.requests.with_label_values(&[self.group, status.as_str()]).inc(),
        }
        self.duration.observe(elapsed.as_secs_f64());
    }
}

/// Answers a request to a known endpoint.
pub async fn answer(app: Arc<App>, endpoint: &'static Endpoint, measured: Measured, request: Request) -> Response {
    let span = service_kit::trace::server_span(&request, Some(endpoint.path));
    let response = finish(&app, &measured, request, |app, parts, body, used| Box::pin(run(app, endpoint, parts, body, used)))
        .instrument(span.clone())
        .await;
    service_kit::trace::answered(&span, response.status());
    response
}

/// Answers a request without an endpoint.
pub async fn refuse(app: Arc<App>, measured: Measured, error: ApiError, request: Request) -> Response {
    let span = service_kit::trace::server_span(&request, None);
    let mut error = Some(error);
    let response = finish(&app, &measured, request, |app, parts, _, used| {
        let refusal = charge(app, address(app, parts), WEIGHT_OF_A_FAULT, used).err().or(error.take());
        Box::pin(async move { Err(refusal.unwrap_or(ApiError::NOT_FOUND)) })
    })
    .instrument(span.clone())
    .await;
    service_kit::trace::answered(&span, response.status());
    response
}

type RunningHandler<'a> = std::pin::Pin<Box<dyn Future<Output = EndpointResult> + Send + 'a>>;

async fn finish(
    app: &App,
    measured: &Measured,
    request: Request,
    run: impl for<'a> FnOnce(&'a App, &'a Parts, Body, &'a mut u32) -> RunningHandler<'a>,
) -> Response {
    let begun = Instant::now();
    let _in_flight = InFlight::enter(app);
    let (parts, body) = request.into_parts();
    let mut used = 0;
    let answer = bounded(run(app, &parts, body, &mut used)).await;
    let response = response::response_of(answer, &parts.headers, used);
    let elapsed = begun.elapsed();
    measured.count(&app.metrics, response.status(), elapsed);
    if app.settings.access_log {
        log_access(app, &parts, response.status(), elapsed);
    }
    response
}

/// One line of the access stream, in ECS's names. It must not contain the query, which has signatures.
fn log_access(app: &App, parts: &Parts, status: StatusCode, elapsed: Duration) {
    let path = parts.uri.path();
    tracing::info!(
        event.dataset = "exchange.access",
        event.duration = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX),
        http.request.method = parts.method.as_str(),
        http.response.status_code = status.as_u16(),
        url.path = path,
        client.ip = %address(app, parts),
        user_agent.original = parts.headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()),
        "{} {path} {}",
        parts.method,
        status.as_u16(),
    );
}

/// Answers in every case: neither a panic nor an endless wait must reach the client.
pub async fn bounded(running: impl Future<Output = EndpointResult>) -> EndpointResult {
    match AssertUnwindSafe(tokio::time::timeout(DEADLINE, running)).catch_unwind().await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => Err(ApiError { cause: Some("the request's deadline expired".into()), ..ApiError::TIMEOUT }),
        // The panic hook has logged it.
        Err(_) => Err(ApiError::internal("handler panicked")),
    }
}

async fn run(app: &App, endpoint: &'static Endpoint, parts: &Parts, body: Body, used: &mut u32) -> EndpointResult {
    let received = app.engine.clock().time();
    let address = address(app, parts);
    let query = parts.uri.query().unwrap_or_default().as_bytes();
    let sent = parts.extensions.get::<AsSent>().map_or(query, |sent| &sent.0);
    let read = async {
        let body = match endpoint.method {
            Method::GET => Bytes::new(),
            _ => body::read_body(&parts.headers, body).await?,
        };
        if sent.len() > QUERY_MAX { Err(ApiError::QUERY_TOO_LONG) } else { Ok(body) }
    };
    let body = match read.await {
        Ok(body) => body,
        Err(error) => return Err(fault(app, address, error, used)),
    };
    let parameters = match Parameters::read(query, &body) {
        Ok(parameters) => parameters,
        Err(error) => return Err(fault(app, address, error, used)),
    };
    let weight = match endpoint.weight {
        EndpointWeight::Fixed(weight) => weight,
        EndpointWeight::Of(weigh) => weigh(&parameters),
    };
    charge(app, address, weight, used)?;
    let signed = match endpoint.security {
        Security::None => None,
        Security::UserStream => {
            let key =
                auth::unsigned(&app.keys, api_key_of(parts), address).inspect_err(|error| count_auth_failure(app, error))?;
            Some(auth::Signed { account: key.account, valid_until: received.saturating_add(MICROSECONDS_OF_DEADLINE) })
        }
        security => {
            let request = auth::SignedRequest {
                headers: &parts.headers,
                query: sent,
                body: &body,
                parameters: &parameters,
                address,
                received,
            };
            Some(auth::authenticate(&app.keys, security, &request).inspect_err(|error| count_auth_failure(app, error))?)
        }
    };
    check_names(endpoint, &parameters)?;
    let time_unit = time_unit(&parts.headers)?;
    let call = Call {
        parameters,
        time_unit,
        received,
        valid_until: signed.map(|signed| signed.valid_until),
        account: signed.map(|signed| signed.account),
        api_key: (endpoint.security == Security::UserStream).then(|| api_key_of(parts).into()),
    };
    perform_call(app, endpoint, &call).await
}

/// Runs an authenticated call: of the REST API and of the WebSocket API. A signed read first waits until this replica has everything
/// that was acknowledged before.
pub async fn perform_call(app: &App, endpoint: &'static Endpoint, call: &Call<'_>) -> EndpointResult {
    if endpoint.security == Security::UserData {
        app.engine.up_to_date().await?;
    }
    (endpoint.handle)(app, call).await
}

fn api_key_of(parts: &Parts) -> &str {
    parts.headers.get(auth::API_KEY_HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Counts a request that failed authentication.
pub fn count_auth_failure(app: &App, error: &ApiError) {
    app.metrics.auth_failures.with_label_values(&[error.code.to_string().as_str()]).inc();
}

fn address(app: &App, parts: &Parts) -> IpAddr {
    let peer = parts.extensions.get::<Peer>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip());
    client_address(peer, &parts.headers, &app.settings.trusted_proxies)
}

pub fn charge(app: &App, address: IpAddr, weight: u32, used: &mut u32) -> Result<(), ApiError> {
    let (total, result) = app.limits.charge(AddressKey::new(address), weight, raw_now());
    *used = total;
    app.metrics.weight.inc_by(weight.into());
    result.inspect_err(|error| app.metrics.rate_limited.with_label_values(&[error.status.as_str()]).inc())
}

/// The client's address of a WebSocket handshake.
pub fn address_of(app: &App, request: &Request) -> IpAddr {
    let peer = request.extensions().get::<Peer>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip());
    client_address(peer, request.headers(), &app.settings.trusted_proxies)
}

/// Counts an answer that did not pass [`answer`]: a handshake.
pub fn count(app: &App, measured: &Measured, status: StatusCode) {
    measured.count(&app.metrics, status, Duration::ZERO);
}

/// A failure before the weight is known costs weight too: it must not bypass the limit.
fn fault(app: &App, address: IpAddr, error: ApiError, used: &mut u32) -> ApiError {
    charge(app, address, WEIGHT_OF_A_FAULT, used).err().unwrap_or(error)
}

/// The endpoint must read every parameter that the client sent. A misspelt name could otherwise place an order that its sender
/// did not intend.
pub fn check_names(endpoint: &Endpoint, parameters: &Parameters<'_>) -> Result<(), ApiError> {
    let sent = parameters.len();
    // Clients habitually sign public requests too: accept that.
    let read = parameters.count_known(endpoint.parameters) + parameters.count_known(&SIGNED_NAMES);
    let expected = endpoint.parameters.len() + if endpoint.security == Security::None { 0 } else { SIGNED_NAMES.len() };
    match sent {
        sent if sent == read => Ok(()),
        sent if sent > expected => Err(ApiError::too_many(expected, sent)),
        sent => Err(ApiError::unread(read, sent)),
    }
}

fn time_unit(headers: &HeaderMap) -> Result<TimeUnit, ApiError> {
    match headers.get(TIME_UNIT) {
        None => Ok(TimeUnit::Millisecond),
        Some(unit) => TimeUnit::from_text(unit.as_bytes()).ok_or(ApiError::TIME_UNIT),
    }
}

/// Counts a request while it is in progress, on every way out.
struct InFlight<'a>(&'a App);

impl<'a> InFlight<'a> {
    fn enter(app: &'a App) -> Self {
        app.metrics.in_flight.inc();
        Self(app)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.metrics.in_flight.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_panic_and_a_wait_without_end_are_answered() {
        let panicked = bounded(async { panic!("on purpose") }).await.unwrap_err();
        assert_eq!((panicked.status, panicked.code), (StatusCode::INTERNAL_SERVER_ERROR, -1000));
        assert_eq!(
            panicked.text, "An unknown error occurred while processing the request.",
            "internal details stay out of the reply"
        );

        let begun = tokio::time::Instant::now();
        let late = bounded(std::future::pending()).await.unwrap_err();
        assert_eq!((late.status, late.code, begun.elapsed().as_secs()), (StatusCode::GATEWAY_TIMEOUT, -1007, DEADLINE.as_secs()));
    }
}
