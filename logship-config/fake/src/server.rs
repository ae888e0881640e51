//! The listener: HTTP/1.1, bodies inflated and bounded, answers with Elasticsearch's headers, and connections that break where a
//! fault says so.

use std::{io, io::Read, sync::Arc, sync::PoisonError};

use axum::{
    body::{Body, Bytes},
    http::{
        HeaderValue, Method, StatusCode,
        header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE},
    },
    response::Response,
};
use flate2::read::MultiGzDecoder;
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::{BULK_KEPT_BYTES, CALLS_KEPT, FakeAnswer, ReceivedCall, Shared, fault::InjectedLoss};

/// Elasticsearch's default of `http.max_content_length`.
const BODY_LIMIT_BYTES: usize = 100 << 20;

/// Serves until `stop` is cancelled, then closes every connection at once.
pub async fn serve(listener: TcpListener, shared: Arc<Shared>, stop: CancellationToken) {
    loop {
        let connection = tokio::select! {
            () = stop.cancelled() => return,
            connection = listener.accept() => connection,
        };
        // A connection that was not accepted is the client's to try again.
        if let Ok((stream, _)) = connection {
            drop(tokio::spawn(converse(stream, Arc::clone(&shared), stop.clone())));
        }
    }
}

async fn converse(stream: TcpStream, shared: Arc<Shared>, stop: CancellationToken) {
    // Answers are small; waiting for more to send with them would only measure that wait.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: Request<Incoming>| {
        let shared = Arc::clone(&shared);
        async move { answer(&shared, request.map(Body::new)).await.ok_or_else(|| io::Error::other("cut on purpose")) }
    });
    let conversation = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        () = stop.cancelled() => {}
        // The client went away, or the connection was cut.
        _ = conversation => {}
    }
}

/// `None` where the connection is to break.
async fn answer(shared: &Shared, request: Request<Body>) -> Option<Response> {
    let head_only = request.method() == Method::HEAD;
    let (parts, body) = request.into_parts();
    let (answered, delivery) = match axum::body::to_bytes(body, BODY_LIMIT_BYTES).await {
        Err(_) => (FakeAnswer::error(413, "content_too_long_exception", "entity content is too long"), Default::default()),
        Ok(bytes) => {
            let zipped = parts.headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding == "gzip");
            match if zipped { inflate(&bytes) } else { Ok(bytes.to_vec()) } {
                Err(answer) => (answer, Default::default()),
                Ok(body) => {
                    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
                    let mut call = ReceivedCall::new(parts.method.as_str(), target, body);
                    let authorization = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
                    call.authorization = authorization.map(str::to_owned);
                    let now = shared.now();
                    let (answer, delivery) = shared.change(|cluster| cluster.answer_with_delivery(&call, now));
                    if let Some(calls) = &shared.calls {
                        let mut calls = calls.lock().unwrap_or_else(PoisonError::into_inner);
                        if calls.len() < CALLS_KEPT {
                            if call.path.ends_with("/_bulk") {
                                call.body.truncate(BULK_KEPT_BYTES);
                                call.body.shrink_to_fit();
                            }
                            calls.push((call, answer.status));
                        }
                    }
                    (answer, delivery)
                }
            }
        }
    };
    tokio::time::sleep(delivery.delay).await;
    let text = if head_only || answered.body.is_null() { String::new() } else { answered.body.to_string() };
    let body = match delivery.loss {
        InjectedLoss::None => Body::from(text),
        InjectedLoss::Request | InjectedLoss::Answer => return None,
        InjectedLoss::HalfAnswer => half(text),
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(answered.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert("x-elastic-product", HeaderValue::from_static("Elasticsearch"));
    Some(response)
}

/// Breaks off in the middle.
fn half(text: String) -> Body {
    let mut bytes = Bytes::from(text);
    bytes.truncate(bytes.len() / 2);
    Body::from_stream(futures::stream::iter([Ok::<_, io::Error>(bytes), Err(io::Error::other("cut on purpose"))]))
}

fn inflate(bytes: &[u8]) -> Result<Vec<u8>, FakeAnswer> {
    let mut inflated = Vec::new();
    let read = MultiGzDecoder::new(bytes).take(BODY_LIMIT_BYTES as u64 + 1).read_to_end(&mut inflated);
    match read {
        Err(error) => Err(FakeAnswer::error(400, "zip_exception", error.to_string())),
        Ok(read) if read > BODY_LIMIT_BYTES => {
            Err(FakeAnswer::error(413, "content_too_long_exception", "entity content is too long"))
        }
        Ok(_) => Ok(inflated),
    }
}
