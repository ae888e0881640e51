//! The page in which people see the chats and press the buttons. It asks `/control`, like any test.

use std::sync::Arc;

use axum::{
    Router,
    http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName},
    response::IntoResponse,
    routing::get,
};

use crate::Shared;

/// Messages come from programs under test: none of what they say is ever run or fetched.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'";

pub fn page_routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/", get(|| served("text/html; charset=utf-8", include_str!("page/index.html"))))
        .route("/page.css", get(|| served("text/css", include_str!("page/page.css"))))
        .route("/page.js", get(|| served("text/javascript", include_str!("page/page.js"))))
}

async fn served(kind: &'static str, content: &'static str) -> impl IntoResponse {
    let headers: [(HeaderName, &str); 2] = [(CONTENT_TYPE, kind), (CONTENT_SECURITY_POLICY, POLICY)];
    (headers, content)
}
