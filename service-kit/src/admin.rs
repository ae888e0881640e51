//! This module is the admin listener for operators and Prometheus, on a separate port that clients must not reach.
//!
//! | request | answer |
//! |---|---|
//! | `GET /livez` | 200 while the process can answer at all; touches nothing outside it |
//! | `GET /readyz` | 200 or 503, JSON `{"ready": …, "latches": [{"name", "ready", "reason"?}]}` |
//! | `GET /metrics` | Prometheus's text format |
//! | `GET /log-level` | the level as text |
//! | `PUT /log-level` | sets the level from the body, for instance `info,program::module=debug`; 400 with the reason. With `LOG_LEVEL_TOKEN` set it needs `Authorization: Bearer <token>`; 401 without |

use std::{future::Future, io};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State},
    http::{
        HeaderMap, StatusCode,
        header::{AUTHORIZATION, CONTENT_TYPE},
    },
    response::IntoResponse,
    routing::get,
};
use tokio::net::TcpListener;

use crate::{
    health::Health,
    metrics::{self, Metrics},
    telemetry::LogLevel,
};

/// Largest body of `PUT /log-level`.
const BODY_LIMIT_BYTES: usize = 4 * 1024;

/// The state that the listener shows and changes.
#[derive(Clone)]
pub struct Admin {
    pub metrics: Metrics,
    pub health: Health,
    pub log_level: LogLevel,
}

/// Serves until `shutdown` completes. Stop it after the traffic's listener, so that Prometheus scrapes the last minutes
/// and readiness answers 503.
pub async fn serve(listener: TcpListener, shutdown: impl Future<Output = ()> + Send + 'static, admin: Admin) -> io::Result<()> {
    axum::serve(listener, router(admin)).with_graceful_shutdown(shutdown).await
}

/// The routes, for a program that serves them on a listener that it replaces the state of.
pub fn router(admin: Admin) -> Router {
    Router::new()
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(scrape))
        .route("/log-level", get(log_level).put(set_log_level))
        .layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES))
        .with_state(admin)
}

async fn readyz(State(admin): State<Admin>) -> impl IntoResponse {
    let latches = admin.health.latches();
    let ready = latches.iter().all(|latch| latch.ready);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(serde_json::json!({ "ready": ready, "latches": latches })))
}

async fn scrape(State(admin): State<Admin>) -> impl IntoResponse {
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], admin.metrics.encode())
}

async fn log_level(State(admin): State<Admin>) -> String {
    admin.log_level.get() + "\n"
}

async fn set_log_level(State(admin): State<Admin>, headers: HeaderMap, level: String) -> (StatusCode, String) {
    let token = headers.get(AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    if !admin.log_level.permits(token) {
        let remedy = "the token is missing or wrong; send Authorization: Bearer and the value of LOG_LEVEL_TOKEN\n";
        return (StatusCode::UNAUTHORIZED, remedy.into());
    }
    match admin.log_level.set(&level) {
        Ok(()) => {
            let level = admin.log_level.get();
            // At a level that every setting but `off` writes.
            tracing::error!(level, "the log level was changed");
            (StatusCode::OK, level + "\n")
        }
        Err(fault) => (StatusCode::BAD_REQUEST, format!("{fault}\n")),
    }
}

#[cfg(test)]
mod tests {
    use axum::{
        body::{Body, to_bytes},
        http::Request,
    };
    use tokio_util::sync::CancellationToken;
    use tower::ServiceExt;

    use super::*;
    use crate::telemetry::LogLevel;

    fn admin() -> (Admin, impl Sized) {
        let (keeps_level_alive, log_level) = LogLevel::new("info", None);
        (Admin { metrics: Metrics::new("shop", "1", None), health: Health::new(), log_level }, keeps_level_alive)
    }

    async fn ask(admin: &Admin, method: &str, path: &str, body: &str) -> (u16, String) {
        let request = Request::builder().method(method).uri(path).body(Body::from(body.to_owned())).unwrap();
        let reply = router(admin.clone()).oneshot(request).await.unwrap();
        let status = reply.status().as_u16();
        (status, String::from_utf8(to_bytes(reply.into_body(), 1 << 20).await.unwrap().to_vec()).unwrap())
    }

    #[tokio::test]
    async fn readiness_lists_each_latch_and_its_reason_and_liveness_does_not_care() {
        let (admin, _level) = admin();
        let (journal, stream) = (admin.health.latch("journal", "replaying"), admin.health.latch("stream", "not bound"));
        stream.open();
        let closed =
            r#"{"latches":[{"name":"journal","ready":false,"reason":"replaying"},{"name":"stream","ready":true}],"ready":false}"#;
        assert_eq!(ask(&admin, "GET", "/readyz", "").await, (503, closed.into()));
        assert_eq!(ask(&admin, "GET", "/livez", "").await.0, 200);
        journal.open();
        let (status, body) = ask(&admin, "GET", "/readyz", "").await;
        assert!(status == 200 && body.ends_with(r#""ready":true}"#), "{status} {body}");
    }

    #[tokio::test]
    async fn the_log_level_is_shown_changed_and_validated() {
        let (admin, _level) = admin();
        assert_eq!(ask(&admin, "GET", "/log-level", "").await, (200, "info\n".into()));
        assert_eq!(ask(&admin, "PUT", "/log-level", "warn,shop=debug\n").await, (200, "warn,shop=debug\n".into()));
        let (status, body) = ask(&admin, "PUT", "/log-level", "laud").await;
        assert!(status == 400 && body.contains("\"laud\" is not a log level"), "{status} {body}");
        assert_eq!(admin.log_level.get(), "warn,shop=debug");
        assert_eq!(ask(&admin, "PUT", "/log-level", &"x".repeat(BODY_LIMIT_BYTES + 1)).await.0, 413);
    }

    #[tokio::test]
    async fn a_change_of_the_level_needs_the_token_that_is_set() {
        let (mut admin, _level) = admin();
        let (_layer, level) = LogLevel::new("info", Some("s3cret".to_owned().into()));
        admin.log_level = level;
        for (credential, status) in [
            (None, 401),
            (Some("Bearer other"), 401),
            (Some("Bearer s3cre"), 401),
            (Some("s3cret"), 401),
            (Some("Bearer s3cret"), 200),
        ] {
            let mut request = Request::builder().method("PUT").uri("/log-level");
            if let Some(credential) = credential {
                request = request.header("authorization", credential);
            }
            let reply = router(admin.clone()).oneshot(request.body(Body::from("debug")).unwrap()).await.unwrap();
            assert_eq!(reply.status().as_u16(), status, "{credential:?}");
            assert_eq!(admin.log_level.get(), if status == 200 { "debug" } else { "info" });
        }
        assert_eq!(ask(&admin, "GET", "/log-level", "").await.0, 200, "the level is no secret");
    }

    #[tokio::test]
    async fn serves_metrics_until_the_shutdown() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (admin, _level) = admin();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let serving = tokio::spawn(serve(listener, stop.clone().cancelled_owned(), admin));
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await.unwrap();
        assert!(reply.contains("build_info{commit=\"unknown\",program=\"shop\",version=\"1\"} 1"), "{reply}");
        assert!(reply.contains("content-type: text/plain; version=0.0.4"), "{reply}");
        stop.cancel();
        serving.await.unwrap().unwrap();
    }
}
