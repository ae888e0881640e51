//! This module serves the browser pages: the start page, the reference document, its page, and the differences from Binance. The binary contains
//! all files. It must not answer an API request.

use super::{ENDPOINTS, UNSUPPORTED, asyncapi, openapi};
use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::map_response;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use utoipa_swagger_ui::{Config, SwaggerUi, Url};

const HOME: &str = "/";
const DOCUMENT: &str = "/openapi.json";
/// Streams and the WebSocket API, as AsyncAPI.
const STREAMS: &str = "/asyncapi.json";
const REFERENCE: &str = "/docs";
const DIFFERENCES: &str = "/docs/differences";
const HOME_PAGE: &str = include_str!("pages/home.html");
const TEMPLATE: &str = include_str!("pages/differences.html");
/// Position in the template for the list of endpoints that are answered -1020.
const UNSUPPORTED_HERE: &str = "<!-- unsupported -->";

/// Only files of this server; the reference page writes styles and images inline.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'";
const HEADERS: [(HeaderName, HeaderValue); 4] = [
    (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (CACHE_CONTROL, HeaderValue::from_static("max-age=300")),
];

/// The pages as routes.
pub fn router() -> Router {
    let document = openapi::document(ENDPOINTS);
    let json = Bytes::from(document.to_json().unwrap_or_default());
    let streams = Bytes::from(asyncapi::document().to_string());
    let config = Config::new([Url::from(DOCUMENT)])
        .use_base_layout()
        .try_it_out_enabled(false)
        .display_request_duration(true)
        .default_models_expand_depth(0)
        // The default sends the document's address to an external validator.
        .validator_url("none");
    let differences = Html(TEMPLATE.replace(UNSUPPORTED_HERE, &unsupported()));
    Router::new()
        .route(HOME, get(|| async { Html(HOME_PAGE) }))
        .route(DOCUMENT, get(move || async move { ([(CONTENT_TYPE, "application/json")], json.clone()).into_response() }))
        .route(STREAMS, get(move || async move { ([(CONTENT_TYPE, "application/json")], streams.clone()).into_response() }))
        .route(DIFFERENCES, get(move || async move { differences.clone() }))
        .merge(SwaggerUi::new(REFERENCE).config(config))
        .layer(map_response(guarded))
}

async fn guarded(mut response: Response) -> Response {
    response.headers_mut().extend(HEADERS);
    response
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
