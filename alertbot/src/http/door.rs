//! This module answers HTTP on a listener that outlives the routes behind it.
//!
//! - A request that arrives while the routes are replaced waits for the new ones, at most `GAP_WITHIN`.
//! - Connections stay open during a replacement: a client that reuses one must not see it closed.
//! - A request that still runs `GRACE` after its routes were removed gets a 503. The client must send it again.

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use axum::{
    Router,
    extract::Request,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// How long a request waits for routes.
const GAP_WITHIN: Duration = Duration::from_secs(15);
/// Maximum time that a request may run after its routes were removed. A client that sends its body slowly must not delay a
/// reload.
const GRACE: Duration = Duration::from_secs(5);

/// The routes behind a listener. Clones share them.
#[derive(Clone)]
pub struct Door {
    routes: watch::Sender<Behind>,
    gap_within: Duration,
    grace: Duration,
}

impl Default for Door {
    fn default() -> Self {
        Self { routes: watch::Sender::default(), gap_within: GAP_WITHIN, grace: GRACE }
    }
}

#[derive(Default)]
struct Behind {
    /// Changes with every replacement, so that a request knows whether its own routes were removed.
    version: u64,
    router: Option<Router>,
}

impl Door {
    /// Answers with these routes from now on.
    pub fn open(&self, router: Router) {
        self.change(Some(router));
    }

    /// Removes the routes: requests wait for the next ones.
    pub fn close(&self) {
        self.change(None);
    }

    /// Returns when there are routes.
    pub async fn opened(&self) {
        // Does not fail, because this value holds the sender.
        let _ = self.routes.subscribe().wait_for(|behind| behind.router.is_some()).await;
    }

    fn change(&self, router: Option<Router>) {
        self.routes.send_modify(|behind| *behind = Behind { version: behind.version + 1, router });
    }

    /// Accepts until `stop`, then answers the requests that run and returns.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        let stopped = stop.clone();
        let service = tower::service_fn(move |request| {
            let (door, stop) = (self.clone(), stop.clone());
            async move { Ok::<_, Infallible>(door.answer(request, stop).await) }
        });
        let service = Router::new().fallback_service(service).into_make_service_with_connect_info::<SocketAddr>();
        if let Err(error) = axum::serve(listener, service).with_graceful_shutdown(stopped.cancelled_owned()).await {
            tracing::error!(%error, "the listener failed");
        }
    }

    async fn answer(&self, request: Request, stop: CancellationToken) -> Response {
        let mut routes = self.routes.subscribe();
        let waiting = async {
            let behind = routes.wait_for(|behind| behind.router.is_some()).await.ok()?;
            Some((behind.version, behind.router.clone()?))
        };
        let found = tokio::select! {
            biased;
            found = tokio::time::timeout(self.gap_within, waiting) => found.ok().flatten(),
            () = stop.cancelled() => None,
        };
        let Some((version, router)) = found else { return unavailable() };
        let removed = async {
            let _ = routes.wait_for(|behind| behind.version != version).await;
            tokio::time::sleep(self.grace).await;
        };
        tokio::select! {
            Ok(answer) = router.oneshot(request) => answer,
            () = removed => unavailable(),
        }
    }
}

fn unavailable() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, "the configuration is being replaced, or the program is stopping; retry\n").into_response()
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, routing::get};

    use super::*;

    fn routes(says: &'static str) -> Router {
        Router::new().route("/", get(move || async move { says }))
    }

    async fn ask(door: &Door) -> (u16, String) {
        let reply = door.answer(Request::new(Body::empty()), CancellationToken::new()).await;
        let status = reply.status().as_u16();
        let body = axum::body::to_bytes(reply.into_body(), 1 << 10).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_request_between_two_routers_waits_for_the_second() {
        let door = Door::default();
        door.open(routes("first"));
        assert_eq!(ask(&door).await, (200, "first".into()));
        door.close();
        // Polled in this order: the request waits before there are routes.
        let (answer, ()) = tokio::join!(biased; ask(&door), async { door.open(routes("second")) });
        assert_eq!(answer, (200, "second".into()));
    }

    #[tokio::test]
    async fn a_request_without_routes_is_answered_503_within_the_gap() {
        let door = Door { gap_within: Duration::from_millis(10), ..Door::default() };
        assert_eq!(ask(&door).await.0, 503);
    }

    #[tokio::test]
    async fn a_request_that_does_not_end_releases_its_routes() {
        let door = Door { grace: Duration::from_millis(10), ..Door::default() };
        door.open(Router::new().route("/", get(std::future::pending::<()>)));
        let (answer, ()) = tokio::join!(biased; ask(&door), async { door.close() });
        assert_eq!(answer.0, 503);
    }
}
