//! This module serves the browser pages: the start page, the reference document, its page, and the differences from Binance. The binary
//! contains the files of its release; files of other releases come from object storage. It must not answer an API request.

use super::{App, ENDPOINTS, UNSUPPORTED, asyncapi, openapi};
use crate::assets::{self, DOCUMENT, PageAsset};
use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::map_response;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::Semaphore;

const HOME: &str = "/";
/// Streams and the WebSocket API, as AsyncAPI.
const STREAMS: &str = "/asyncapi.json";
const REFERENCE: &str = "/docs";
const REFERENCE_PAGE: &str = "/docs/";
const REFERENCE_FILE: &str = "/docs/{name}";
const ASSET: &str = "/assets/{hash}/{name}";
/// Concurrent reads of other releases' files from object storage, by any number of clients.
const STORE_READS: usize = 4;
const DIFFERENCES: &str = "/docs/differences";
const HOME_PAGE: &str = include_str!("pages/home.html");
const TEMPLATE: &str = include_str!("pages/differences.html");
/// Position in the template for the list of endpoints that are answered -1020.
const UNSUPPORTED_HERE: &str = "<!-- unsupported -->";

/// Only files of this server; the reference page writes styles and images inline.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'";
const HEADERS: [(HeaderName, HeaderValue); 3] = [
    (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
];
/// The name of an asset changes with its content; a page does not.
const PAGE_LIFE: HeaderValue = HeaderValue::from_static("max-age=300");
const ASSET_LIFE: &str = "public, max-age=31536000, immutable";

/// The pages as routes.
pub fn router(app: &Arc<App>) -> Router {
    let document = openapi::openapi_document(ENDPOINTS);
    let json = Bytes::from(document.to_json().unwrap_or_default());
    let streams = Bytes::from(asyncapi::asyncapi_document().to_string());
    // The binary contains them: reading cannot fail, and a test reads them.
    let own: Arc<[PageAsset]> = assets::own().unwrap_or_default().into();
    let reference = Html(assets::reference_page(&own).unwrap_or_default());
    let (app, reads) = (Arc::clone(app), Arc::new(Semaphore::new(STORE_READS)));
    let asset = move |Path((hash, name)): Path<(String, String)>| {
        let (app, own, reads) = (Arc::clone(&app), Arc::clone(&own), Arc::clone(&reads));
        async move { asset(&app, &own, &reads, &hash, &name).await }
    };
    let differences = Html(TEMPLATE.replace(UNSUPPORTED_HERE, &unsupported()));
    Router::new()
        .route(HOME, get(|| async { Html(HOME_PAGE) }))
        .route(DOCUMENT, get(move || async move { ([(CONTENT_TYPE, "application/json")], json.clone()).into_response() }))
        .route(STREAMS, get(move || async move { ([(CONTENT_TYPE, "application/json")], streams.clone()).into_response() }))
        .route(DIFFERENCES, get(move || async move { differences.clone() }))
        .route(REFERENCE, get(|| async { Redirect::permanent(REFERENCE_PAGE) }))
        .route(REFERENCE_PAGE, get(move || async move { reference.clone() }))
        .route(REFERENCE_FILE, get(|Path(name): Path<String>| async move { reference_file(&name) }))
        .route(ASSET, get(asset))
        .layer(map_response(guarded))
}

async fn guarded(mut response: Response) -> Response {
    response.headers_mut().extend(HEADERS);
    response.headers_mut().entry(CACHE_CONTROL).or_insert(PAGE_LIFE);
    response
}

/// A file under its plain name, for links of earlier releases.
fn reference_file(name: &str) -> Response {
    match assets::file(name) {
        Ok(asset) => ([(CONTENT_TYPE, asset.content_type)], asset.bytes).into_response(),
        Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}

/// A file of this release, or of another one from object storage.
async fn asset(app: &App, own: &[PageAsset], reads: &Semaphore, hash: &str, name: &str) -> Response {
    let key = format!("{}{hash}/{name}", assets::PREFIX);
    if let Some(asset) = own.iter().find(|asset| asset.key == key) {
        return ([(CONTENT_TYPE, asset.content_type.clone()), lasting()], asset.bytes.clone()).into_response();
    }
    let Some(media) = app.files.media.as_ref().filter(|_| assets::is_plausible(hash, name)) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let Ok(_read) = reads.try_acquire() else { return StatusCode::SERVICE_UNAVAILABLE.into_response() };
    match assets::published(media, hash, name).await {
        Ok(Some(bytes)) => ([(CONTENT_TYPE, content_type(name).to_owned()), lasting()], bytes).into_response(),
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(error) => {
            tracing::debug!(%error, "failed to read a file of a page from object storage");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}

fn lasting() -> (HeaderName, String) {
    (CACHE_CONTROL, ASSET_LIFE.to_owned())
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.') {
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "js")) => "text/javascript; charset=utf-8",
        Some((_, "png")) => "image/png",
        Some((_, "svg")) => "image/svg+xml",
        Some((_, "woff2")) => "font/woff2",
        _ => "application/octet-stream",
    }
}

fn unsupported() -> String {
    UNSUPPORTED.iter().map(|(method, path)| format!("<li><code>{method} {path}</code></li>\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use exchange_core::refusal::Refusal;

    #[test]
    fn the_page_tells_the_codes_that_refusals_have() {
        for refusal in [Refusal::EmptyBook, Refusal::LiquidityBelowLotSize, Refusal::ZeroNotional, Refusal::MarketClosed] {
            let told = format!("<code>{}</code> “{refusal}”", refusal.code());
            assert!(TEMPLATE.contains(&told), "{told}");
        }
    }
}
