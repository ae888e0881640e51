//! This module is the leader's side: `POST /operator`, served behind the internal listener's token. It must not answer a client's
//! request.

use super::failure::OperatorFailure;
use super::perform::{OperatorContext, perform_request};
use super::request::{OperatorRequest, PATH};
use crate::api_key::Vault;
use crate::database_cause::DatabaseCause;
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
    Router::new().route(PATH, post(answer)).with_state(Arc::new(OperatorContext { engine, pool, vault, keys }))
}

async fn answer(State(desk): State<Arc<OperatorContext>>, request: Result<Json<OperatorRequest>, JsonRejection>) -> Response {
    let request = match request {
        Ok(Json(request)) => request,
        Err(rejection) => return (rejection.status(), rejection.body_text()).into_response(),
    };
    let performed = perform_request(&desk, &request).await.map_err(|failure| match failure {
        OperatorFailure::Refused(text) => (StatusCode::BAD_REQUEST, text),
        OperatorFailure::Unavailable(text) => (StatusCode::SERVICE_UNAVAILABLE, text),
        OperatorFailure::Database(error) => {
            if let Some(cause) = schema_refusal(&error) {
                return (StatusCode::BAD_REQUEST, cause);
            }
            tracing::error!(%error, actor = request.actor, "operator request failed");
            (StatusCode::SERVICE_UNAVAILABLE, format!("{}: try again", DatabaseCause::of(&error).explain()))
        }
    });
    log_audit(&request, performed.as_ref().err().map(|(_, text)| text.as_str()));
    performed.map(Json).into_response()
}

/// The reason if a constraint or a value's type refuses the request. The database answered, so a retry does not help. SQLSTATE
/// classes 22 and 23.
fn schema_refusal(error: &sqlx::Error) -> Option<String> {
    let error = error.as_database_error()?;
    let code = error.code()?;
    if !code.starts_with("22") && !code.starts_with("23") {
        return None;
    }
    let known = match error.constraint() {
        Some("api_keys_account_check") => {
            Some("account: the house accounts (0 and 1) cannot have API keys; name a customer's account")
        }
        Some("api_keys_pkey") => Some("the id of the new API key already exists: repeat the command"),
        Some("api_keys_public_key_check") => Some("ed25519: the public key must have 32 bytes"),
        _ => None,
    };
    let named = error.constraint().map(|constraint| format!(" (constraint {constraint})")).unwrap_or_default();
    Some(known.map_or_else(|| format!("the database refuses the values{named}: {}", error.message()), str::to_owned))
}

/// One line of the audit stream, in ECS's names: actor, action, reason and outcome. The journal contains every change too; this
/// stream also has refused requests and queries.
fn log_audit(request: &OperatorRequest, failure: Option<&str>) {
    let action = request.action.name();
    tracing::info!(
        event.dataset = "exchange.audit",
        event.action = action,
        event.outcome = if failure.is_none() { "success" } else { "failure" },
        event.reason = request.reason,
        event.original = serde_json::to_string(&request.action).ok(),
        user.name = request.actor,
        error.message = failure,
        "{action} by {}",
        request.actor,
    );
}
