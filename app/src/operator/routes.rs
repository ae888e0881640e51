//! The leader's side: `POST /operator`, to be put behind the internal listener's token. Never: a client's request.

use super::failure::Failure;
use super::perform::{Desk, perform};
use super::request::{PATH, Request};
use crate::api_key::Vault;
use crate::engine::Engine;
use crate::http::Keys;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use sqlx::PgPool;
use std::sync::Arc;

pub fn routes(engine: Engine, pool: PgPool, vault: Vault, keys: Keys) -> Router {
    Router::new().route(PATH, post(answer)).with_state(Arc::new(Desk { engine, pool, vault, keys }))
}

async fn answer(State(desk): State<Arc<Desk>>, request: Result<Json<Request>, JsonRejection>) -> Response {
    let request = match request {
        Ok(Json(request)) => request,
        Err(rejection) => return (rejection.status(), rejection.body_text()).into_response(),
    };
    match perform(&desk, &request).await {
        Ok(value) => Json(value).into_response(),
        Err(Failure::Refused(text)) => (StatusCode::BAD_REQUEST, text).into_response(),
        Err(Failure::Unavailable(text)) => (StatusCode::SERVICE_UNAVAILABLE, text).into_response(),
        Err(Failure::Database(error)) => {
            tracing::error!(%error, actor = request.actor, "an operator's request failed");
            (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer: try again").into_response()
        }
    }
}
