//! The listener: HTTP/1.1, bodies inflated and bounded, answers with Elasticsearch's headers.

use std::{io::Read, sync::Arc, sync::PoisonError};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{
        HeaderValue, Method, StatusCode,
        header::{CONTENT_ENCODING, CONTENT_TYPE},
    },
    response::Response,
};
use flate2::read::MultiGzDecoder;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{Answer, CALLS_KEPT, Call, Shared};

/// Elasticsearch's default of `http.max_content_length`.
const BODY_LIMIT_BYTES: usize = 100 << 20;

/// Until `stop` is cancelled.
pub async fn serve(listener: TcpListener, shared: Arc<Shared>, stop: CancellationToken) {
    let router = Router::new().fallback(answer).with_state(shared);
    // Ends only with `stop`: accepting goes on after a connection that failed.
    let _ = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await;
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let head_only = request.method() == Method::HEAD;
    let (parts, body) = request.into_parts();
    let answered = match axum::body::to_bytes(body, BODY_LIMIT_BYTES).await {
        Err(_) => Answer::error(413, "content_too_long_exception", "entity content is too long"),
        Ok(bytes) => {
            let zipped = parts.headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding == "gzip");
            match if zipped { inflate(&bytes) } else { Ok(bytes.to_vec()) } {
                Err(answer) => answer,
                Ok(body) => {
                    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
                    let call = Call::new(parts.method.as_str(), target, body);
                    let now = shared.now();
                    let answer = shared.change(|cluster| cluster.answer(&call, now));
                    let mut calls = shared.calls.lock().unwrap_or_else(PoisonError::into_inner);
                    if calls.len() < CALLS_KEPT {
                        calls.push((call, answer.status));
                    }
                    answer
                }
            }
        }
    };
    let body = if head_only || answered.body.is_null() { Body::empty() } else { Body::from(answered.body.to_string()) };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(answered.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert("x-elastic-product", HeaderValue::from_static("Elasticsearch"));
    response
}

fn inflate(bytes: &[u8]) -> Result<Vec<u8>, Answer> {
    let mut inflated = Vec::new();
    let read = MultiGzDecoder::new(bytes).take(BODY_LIMIT_BYTES as u64 + 1).read_to_end(&mut inflated);
    match read {
        Err(error) => Err(Answer::error(400, "zip_exception", error.to_string())),
        Ok(read) if read > BODY_LIMIT_BYTES => {
            Err(Answer::error(413, "content_too_long_exception", "entity content is too long"))
        }
        Ok(_) => Ok(inflated),
    }
}
