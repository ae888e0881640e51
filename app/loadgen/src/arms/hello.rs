//! This arm does nothing with an order: it measures the cost of HTTP and the signature. It must not use a lock or a database.

use super::request::{ArmRefusal, ArmState, acknowledge};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

pub(super) async fn place(
    State(app): State<Arc<ArmState<AtomicI64>>>,
    headers: HeaderMap,
    body: String,
) -> Result<Response, ArmRefusal> {
    let order = app.keys.check(&headers, &body)?;
    Ok(acknowledge(&order, app.store.fetch_add(1, Relaxed) + 1))
}
