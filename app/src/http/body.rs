//! This module reads a request's body within limits of size and time. It must not interpret the body.

use super::error::ApiError;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use http_body_util::BodyExt;
use std::time::Duration;

/// Longest body that is read.
pub const BODY_MAX: usize = 65_536;
/// Bytes of a longer body that are discarded so that the sender can read the refusal; beyond it the connection is closed.
const DISCARD_MAX: usize = 16 << 20;
const TIMEOUT: Duration = Duration::from_secs(5);
const FORM: &[u8] = b"application/x-www-form-urlencoded";

/// # Errors
///
/// Returns 413 if the body is too long, 415 if the content type is not a form's, 408 if it was not sent in time, 400 if it was
/// truncated.
pub async fn read_body(headers: &HeaderMap, body: Body) -> Result<Bytes, ApiError> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let body = tokio::time::timeout(TIMEOUT, collect(body)).await.map_err(|_| ApiError::BODY_TIMEOUT)??;
    if !body.is_empty() && !is_form(headers) {
        return Err(ApiError::CONTENT_TYPE);
    }
    Ok(body)
}

async fn collect(mut body: Body) -> Result<Bytes, ApiError> {
    let mut first = Bytes::new();
    let mut joined: Vec<u8> = Vec::new();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| ApiError::BODY_BROKEN)?.into_data() else { continue };
        length += data.len();
        if length > DISCARD_MAX {
            return Err(ApiError::TOO_LARGE);
        }
        if length > BODY_MAX {
            joined = Vec::new();
            first = Bytes::new();
        } else if length == data.len() {
            // Nearly every body is one piece, which needs no copy.
            first = data;
        } else {
            if joined.is_empty() {
                joined.extend_from_slice(&first);
            }
            joined.extend_from_slice(&data);
        }
    }
    match length {
        length if length > BODY_MAX => Err(ApiError::TOO_LARGE),
        _ if joined.is_empty() => Ok(first),
        _ => Ok(joined.into()),
    }
}

/// A missing content type counts as a form's.
fn is_form(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE) else { return true };
    let media_type = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    media_type.trim_ascii().eq_ignore_ascii_case(FORM)
}
