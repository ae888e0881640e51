//! This module is the HTTP/1.1 listener. It closes a connection without an answer if a fault requires it.

use std::{convert::Infallible, io, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{DefaultBodyLimit, Path, State},
    http::{Request, Response},
    routing::{any, get},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::{Shared, control, dispatch, page, reply::Cut};

/// Serves until `stop` is cancelled, then closes every connection at once.
pub async fn serve(listener: TcpListener, shared: Arc<Shared>, stop: CancellationToken) {
    let router = router(shared);
    loop {
        let connection = tokio::select! {
            () = stop.cancelled() => return,
            connection = listener.accept() => connection,
        };
        match connection {
            Ok((stream, _)) => drop(tokio::spawn(converse(stream, router.clone(), stop.clone()))),
            Err(error) => tracing::warn!(%error, "a connection was not accepted"),
        }
    }
}

async fn converse(stream: TcpStream, router: Router, stop: CancellationToken) {
    // Answers are small; waiting for more to send with them would only measure that wait.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: Request<Incoming>| {
        let router = router.clone();
        async move {
            let response: Result<Response<Body>, Infallible> = router.oneshot(request.map(Body::new)).await;
            let Ok(response) = response;
            if response.extensions().get::<Cut>().is_some() { Err(io::Error::other("cut on purpose")) } else { Ok(response) }
        }
    });
    let conversation = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        () = stop.cancelled() => {}
        // The client went away, or the connection was cut.
        _ = conversation => {}
    }
}

fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        // `/bot<token>/<method>` and `/file/bot<token>/<path>`.
        .route("/{bot}/{method}", any(call))
        .route("/file/{bot}/{path}", get(file))
        .merge(page::page_routes())
        .nest("/control", control::control_routes())
        .layer(DefaultBodyLimit::disable())
        .with_state(shared)
}

async fn call(
    State(shared): State<Arc<Shared>>,
    Path((bot, method)): Path<(String, String)>,
    request: Request<Body>,
) -> Response<Body> {
    dispatch::answer_call(&shared, bot.strip_prefix("bot"), &method, request).await
}

async fn file(State(shared): State<Arc<Shared>>, Path((bot, path)): Path<(String, String)>) -> Response<Body> {
    dispatch::download(&shared, bot.strip_prefix("bot"), &path)
}
