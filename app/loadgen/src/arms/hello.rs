//! This arm does nothing with an order: it measures the cost of HTTP and the signature. It must not use a lock or a database.

use super::request::{ArmKeys, ArmRefusal, acknowledge};
use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::post;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

struct App {
    keys: ArmKeys,
    last: AtomicI64,
}

pub(super) fn router() -> Router {
    let app = App { keys: ArmKeys::new(), last: AtomicI64::new(0) };
    Router::new().route("/api/v3/order", post(place)).with_state(Arc::new(app))
}

async fn place(State(app): State<Arc<App>>, headers: HeaderMap, body: String) -> Result<Response, ArmRefusal> {
    let order = app.keys.check(&headers, &body)?;
    Ok(acknowledge(&order, app.last.fetch_add(1, Relaxed) + 1))
}
