//! This module creates the spans of HTTP servers by OpenTelemetry's conventions for HTTP spans
//! (<https://opentelemetry.io/docs/specs/semconv/http/http-spans/>).
//!
//! - The name is `{method} {route}`, with the template of the route: it has few values.
//! - A 5xx answer is an error of the span, a 4xx answer is not.

use std::fmt;

use axum::{
    extract::{MatchedPath, Request},
    http::{Method, StatusCode},
    middleware::Next,
    response::Response,
};
use opentelemetry::trace::Status;
use tracing::{Instrument, Span, error_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::{continue_from, measured::Sampled};

/// Stands for a method that HTTP does not define, so that clients cannot create values.
const OTHER_METHOD: &str = "_OTHER";
/// A parameter of a route with this name is a secret; the exported path is then the route's template.
const SECRET_PARAMETER: &str = "{token}";

struct Name<'a>(&'a str, &'a str);

impl fmt::Display for Name<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.0, self.1)
    }
}

/// The span of a request, in the trace that its headers name. `route`: the template of the route, `None` without a route.
///
/// At the highest level, so that every failure has its trace at any log level.
pub fn server_span<Body>(request: &axum::http::Request<Body>, route: Option<&str>) -> Span {
    let method = known(request.method());
    let span = continue_from(request.headers(), || match route {
        Some(route) => error_span!(
            "request",
            otel.name = %Name(method, route),
            otel.kind = "server",
            http.request.method = method,
            http.route = route
        ),
        None => error_span!("request", otel.name = method, otel.kind = "server", http.request.method = method),
    });
    if Sampled::of(&span).is_some() {
        let shown = route.filter(|route| route.contains(SECRET_PARAMETER)).unwrap_or_else(|| request.uri().path());
        span.set_attribute("url.path", shown.to_owned());
        span.set_attribute("url.scheme", "http");
    }
    span
}

/// Records the answer in the request's span.
pub fn answered(span: &Span, status: StatusCode) {
    span.set_attribute("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        span.set_attribute("error.type", status.as_str().to_owned());
        span.set_status(Status::error(""));
    }
}

/// Records that the current span's work failed. `kind` has few values.
pub fn failed(kind: &'static str, text: String) {
    let span = Span::current();
    span.set_attribute("error.type", kind);
    span.set_status(Status::error(text));
}

/// The middleware of an axum router: one span for each request.
pub async fn server(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let span = server_span(&request, route.as_ref().map(MatchedPath::as_str));
    let response = next.run(request).instrument(span.clone()).await;
    answered(&span, response.status());
    response
}

fn known(method: &Method) -> &str {
    const KNOWN: [Method; 9] = [
        Method::GET,
        Method::POST,
        Method::DELETE,
        Method::PUT,
        Method::HEAD,
        Method::OPTIONS,
        Method::PATCH,
        Method::TRACE,
        Method::CONNECT,
    ];
    if KNOWN.contains(method) { method.as_str() } else { OTHER_METHOD }
}
