//! This module is a fake Elasticsearch that stores nothing: it counts the items and answers one in a hundred with 429. It
//! answers as slowly as counting takes. It runs in this process, where its processor time is not measured.

use std::{io::Read, net::SocketAddr, time::Duration};

use anyhow::{Context, Result};
use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, StatusCode, header::CONTENT_ENCODING},
    response::IntoResponse,
    routing::{get, post},
};
use flate2::read::MultiGzDecoder;
use tokio::net::TcpListener;

use crate::chunks::STREAM;

/// One item of a whole chunk out of this many is answered 429. A resent item is stored.
const ONE_BUSY_IN: usize = 100;

pub struct Server {
    address: SocketAddr,
}

impl Server {
    /// Each answer to `_bulk` takes at least `delay`.
    pub async fn start(delay: Duration) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("listening")?;
        let address = listener.local_addr()?;
        let bulk = async move |headers: HeaderMap, body: Bytes| {
            tokio::time::sleep(delay).await;
            let gzip = headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding == "gzip");
            ([("content-type", "application/json")], answer(items(&body, gzip)))
        };
        let stream = async || {
            let body = format!("{{\"data_streams\":[{{\"name\":\"{STREAM}\",\"template\":\"exchange\"}}]}}");
            (StatusCode::OK, [("content-type", "application/json")], body).into_response()
        };
        let router = Router::new()
            .route("/_bulk", post(bulk))
            .route("/_data_stream/{name}", get(stream))
            .layer(axum::extract::DefaultBodyLimit::disable());
        tokio::spawn(axum::serve(listener, router).into_future());
        Ok(Self { address })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

fn items(body: &[u8], gzip: bool) -> usize {
    let count = |bytes: &[u8]| memchr::memchr_iter(b'\n', bytes).count() / 2;
    if !gzip {
        return count(body);
    }
    let mut plain = Vec::new();
    // An unreadable body gets an empty answer, which the relay logs as an error.
    let _ = MultiGzDecoder::new(body).read_to_end(&mut plain);
    count(&plain)
}

/// As much of Elasticsearch's answer as `filter_path` selects.
fn answer(items: usize) -> String {
    let whole_chunk = items >= crate::chunks::DOCUMENTS;
    let is_busy = |item: usize| whole_chunk && item.is_multiple_of(ONE_BUSY_IN);
    let mut text = format!("{{\"errors\":{whole_chunk},\"items\":[");
    for item in 0..items {
        let comma = if item == 0 { "" } else { "," };
        text.push_str(comma);
        text.push_str(if is_busy(item) {
            "{\"create\":{\"status\":429,\"error\":{\"type\":\"es_rejected_execution_exception\",\"reason\":\"rejected \
             execution of primary operation [coordinating_and_primary_bytes=0]\"}}}"
        } else {
            "{\"create\":{\"status\":201}}"
        });
    }
    text.push_str("]}");
    text
}
