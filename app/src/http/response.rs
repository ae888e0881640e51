//! From an answer to the bytes and headers of a reply; the one log line of a failure. Never: what the answer is.

use super::endpoint::{Answer, Reply};
use super::error::ApiError;
use axum::body::{Body, Bytes};
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER, VARY};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;

/// Below it gzip costs more than it saves.
const GZIP_FROM: usize = 1_024;

const JSON: HeaderValue = HeaderValue::from_static("application/json;charset=UTF-8");
const UUID: HeaderName = HeaderName::from_static("x-mbx-uuid");
const USED_WEIGHT: HeaderName = HeaderName::from_static("x-mbx-used-weight");
const USED_WEIGHT_1M: HeaderName = HeaderName::from_static("x-mbx-used-weight-1m");
const TRACE_ID: HeaderName = HeaderName::from_static("x-trace-id");

/// The reply to a request with these headers, whose address has used so much weight in this minute.
pub fn of(answer: Answer, request: &HeaderMap, used: u32) -> Response {
    let mut headers = HeaderMap::with_capacity(8);
    let (status, body) = match answer {
        Ok(reply) => {
            headers.extend(reply.headers.into_iter().map(|(name, value)| (Some(name), value)));
            (reply.status, reply.body)
        }
        Err(error) => refused(error, &mut headers),
    };
    let body = if body.len() >= GZIP_FROM && accepts_gzip(request) { gzip(body, &mut headers) } else { body };
    let weight = HeaderValue::from(used);
    headers.insert(CONTENT_TYPE, JSON);
    headers.insert(USED_WEIGHT, weight.clone());
    headers.insert(USED_WEIGHT_1M, weight);
    let mut text = uuid::Uuid::encode_buffer();
    let uuid = uuid::Builder::from_random_bytes(rand::random()).into_uuid();
    if let Ok(value) = HeaderValue::from_str(uuid.hyphenated().encode_lower(&mut text)) {
        headers.insert(UUID, value);
    }
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// The body of an error. What is ours to mend is logged here, once, with the trace that the reply names.
fn refused(error: ApiError, headers: &mut HeaderMap) -> (StatusCode, Bytes) {
    if error.status.is_server_error() {
        let status = error.status.as_u16();
        match &error.cause {
            Some(cause) => tracing::error!(http.response.status_code = status, code = error.code, %cause, "a request failed"),
            // The engine has said once why it takes no commands: thousands of clients hearing it are not news.
            None => tracing::debug!(http.response.status_code = status, code = error.code, "a command was not taken"),
        }
        if let Some(value) = service_kit::trace::trace_id().and_then(|id| HeaderValue::try_from(id).ok()) {
            headers.insert(TRACE_ID, value);
        }
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
        // Writing to memory does not fail; if it did, the plain body is still right.
        Err(_) => body,
    }
}
