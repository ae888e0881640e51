//! This module is the listener that Alertmanager and providers call.
//!
//! | request | answer |
//! |---|---|
//! | `POST /webhook/<alertmanager>` | 200 when the group is on disk; 401, 404, 413, 400 if a retry would fail too; 503 otherwise |
//! | `GET` or `POST /phone/<provider>/<token>` | 200 when the report or message is on disk; 404, 413, 400; 503 otherwise |
//!
//! Alertmanager retries after a 5xx or a broken connection until its `group_interval` ends. It takes every 4xx for final, 429 too.
//! So a 4xx is only for a request whose retry would fail in the same way.

mod authentication;
pub mod callback;
pub mod door;
mod rejection;
pub mod webhook;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    routing::{any, post},
};

use callback::CallbackContext;
use webhook::WebhookContext;

/// Body of a provider's callback: a report or one SMS. It is read before the caller is authenticated.
const CALLBACK_BODY_BYTES: usize = 64 * 1024;

pub fn router(webhooks: WebhookContext, callbacks: CallbackContext) -> Router {
    // The handler reads the body of a webhook, because it knows the limit and the answer.
    let webhooks =
        Router::new().route("/webhook/{name}", post(webhook::webhook).layer(DefaultBodyLimit::disable())).with_state(webhooks);
    Router::new()
        .route("/phone/{provider}/{token}", any(callback::callback).layer(DefaultBodyLimit::max(CALLBACK_BODY_BYTES)))
        .with_state(callbacks)
        .merge(webhooks)
        .layer(middleware::from_fn(service_kit::trace::server))
}
