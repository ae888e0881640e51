//! This module is the internal listener, for requests of other replicas and operators to the leader, authenticated by a shared
//! token. It must not serve clients.

use axum::{
    Router,
    extract::{Request, State},
    http::{StatusCode, header::AUTHORIZATION},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use service_kit::config::Secret;

/// `routes` behind the token: `Authorization: Bearer <token>`, compared in constant time.
pub fn guarded(routes: Router, token: Secret) -> Router {
    routes.layer(middleware::from_fn_with_state(token, check))
}

async fn check(State(token): State<Secret>, request: Request, next: Next) -> Response {
    let given = request.headers().get(AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    if given.is_some_and(|given| token.matches(given)) {
        return next.run(request).await;
    }
    (StatusCode::UNAUTHORIZED, "the internal listener needs EXCHANGE_INTERNAL_TOKEN as a bearer token\n").into_response()
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, routing::post};
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn only_the_token_opens_it() {
        let routes = Router::new().route("/command", post(|| async { "done" }));
        let guarded = guarded(routes, Secret::from("right".to_owned()));
        for (header, status) in [
            (None, StatusCode::UNAUTHORIZED),
            (Some("Bearer wrong"), StatusCode::UNAUTHORIZED),
            (Some("Bearer righ"), StatusCode::UNAUTHORIZED),
            (Some("right"), StatusCode::UNAUTHORIZED),
            (Some("Bearer right"), StatusCode::OK),
        ] {
            let mut request = Request::post("/command");
            if let Some(header) = header {
                request = request.header(AUTHORIZATION, header);
            }
            let reply = guarded.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
            assert_eq!(reply.status(), status, "{header:?}");
        }
    }
}
