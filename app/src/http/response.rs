//! This module turns an answer into the bytes and headers of a reply, and writes the one log line of a failure. It must not
//! decide the answer.

use super::endpoint::{EndpointResult, Reply};
use super::error::ApiError;
use axum::body::{Body, Bytes};
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER, SEC_WEBSOCKET_VERSION, UPGRADE, VARY};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;

/// Below this size gzip costs more than it saves.
const GZIP_FROM: usize = 1_024;

const JSON: HeaderValue = HeaderValue::from_static("application/json;charset=UTF-8");
const UUID: HeaderName = HeaderName::from_static("x-mbx-uuid");
const USED_WEIGHT: HeaderName = HeaderName::from_static("x-mbx-used-weight");
const USED_WEIGHT_1M: HeaderName = HeaderName::from_static("x-mbx-used-weight-1m");
const TRACE_ID: HeaderName = HeaderName::from_static("x-trace-id");

/// The reply to a request with these headers, whose address used this weight in the current minute.
pub fn response_of(answer: EndpointResult, request: &HeaderMap, used: u32) -> Response {
    let mut headers = HeaderMap::with_capacity(8);
    let mut text = uuid::Uuid::encode_buffer();
    let uuid = uuid::Builder::from_random_bytes(rand::random()).into_uuid();
    let uuid = uuid.hyphenated().encode_lower(&mut text);
    let (status, body) = match answer {
        Ok(reply) => {
            headers.extend(reply.headers.into_iter().map(|(name, value)| (Some(name), value)));
            (reply.status, reply.body)
        }
        Err(error) => refused(error, uuid, &mut headers),
    };
    let body = if body.len() >= GZIP_FROM && accepts_gzip(request) { gzip(body, &mut headers) } else { body };
    let weight = HeaderValue::from(used);
    headers.insert(CONTENT_TYPE, JSON);
    headers.insert(USED_WEIGHT, weight.clone());
    headers.insert(USED_WEIGHT_1M, weight);
    if let Ok(value) = HeaderValue::from_str(uuid) {
        headers.insert(UUID, value);
    }
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// The body of an error. Every 5xx answer has exactly one log line here, with the trace and the request id that the reply
/// contains: a client's report then leads to its cause. The rate is not bounded: one line per answer.
fn refused(error: ApiError, request_id: &str, headers: &mut HeaderMap) -> (StatusCode, Bytes) {
    if error.status.is_server_error() {
        log_failure(&error, request_id);
        if let Some(value) = service_kit::trace::trace_id().and_then(|id| HeaderValue::try_from(id).ok()) {
            headers.insert(TRACE_ID, value);
        }
    }
    if error.status == StatusCode::UPGRADE_REQUIRED {
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    }
    if let Some(seconds) = error.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    let reply = Reply::written(128, |json| {
        json.object(|json| {
            json.key("code").integer(error.code);
            json.key("msg").text(&error.text);
            if let Some(data) = &error.data {
                json.key("data").raw(data);
            }
        });
    });
    (error.status, reply.body)
}

/// The one log line of a failure.
pub fn log_failure(error: &ApiError, request_id: &str) {
    let cause = error.cause.as_deref().unwrap_or(&error.text);
    tracing::error!(
        http.response.status_code = error.status.as_u16(),
        http.request.id = request_id,
        code = error.code,
        %cause,
        "request failed"
    );
}

fn accepts_gzip(request: &HeaderMap) -> bool {
    request.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).any(
        |coding| {
            let (name, quality) = coding.split_once(';').unwrap_or((coding, ""));
            name.trim().eq_ignore_ascii_case("gzip") && !matches!(quality.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000")
        },
    )
}

fn gzip(body: Bytes, headers: &mut HeaderMap) -> Bytes {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::with_capacity(body.len() / 4), flate2::Compression::fast());
    match encoder.write_all(&body).and_then(|()| encoder.finish()) {
        Ok(small) => {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
            small.into()
        }
        // Writing to memory does not fail. If it did, the plain body would still be correct.
        Err(_) => body,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::SubmitError;
    use parking_lot::Mutex;
    use std::sync::Arc;
    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Level, Metadata, Subscriber};

    /// Collects log lines of level warn and error.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<String>>>);

    struct Fields(String);

    impl Visit for Fields {
        fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
            self.0.push_str(&format!("{field}={value:?} "));
        }
    }

    impl Subscriber for Lines {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            *metadata.level() <= Level::WARN
        }
        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, event: &Event<'_>) {
            let mut fields = Fields(String::new());
            event.record(&mut fields);
            self.0.lock().push(fields.0);
        }
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    #[test]
    fn every_5xx_has_one_line_with_cause_and_request_id() {
        let rows = [
            (ApiError::from(SubmitError::Unavailable), "503", "accepts no commands"),
            (ApiError::from(SubmitError::Busy), "503", "queue of commands is full"),
            (ApiError::from(SubmitError::Unknown), "504", "outcome of a commit is unknown"),
            (ApiError::from(sqlx::Error::PoolTimedOut), "503", "pool timed out"),
            (ApiError::internal("a broken row"), "500", "a broken row"),
            (ApiError::TIMEOUT, "504", "Timeout waiting"),
        ];
        for (error, status, cause) in rows {
            let lines = Lines::default();
            let reply = tracing::subscriber::with_default(lines.clone(), || response_of(Err(error), &HeaderMap::new(), 1));
            let lines = lines.0.lock();
            let [line] = &lines[..] else { panic!("{status} {cause}: {lines:?}") };
            let id = reply.headers()[UUID].to_str().unwrap();
            assert!(line.contains(cause) && line.contains(id) && line.contains(status), "{line}");
        }
        let lines = Lines::default();
        tracing::subscriber::with_default(lines.clone(), || response_of(Err(ApiError::SYMBOL), &HeaderMap::new(), 1));
        assert!(lines.0.lock().is_empty(), "a client error is not logged");
    }
}
