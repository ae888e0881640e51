//! This module is the WebSocket side of the API: the handshake, the life of a connection, market streams and the WebSocket API. It
//! must not publish (see `streams`) or decide a request's answer (the handlers of the REST API do).

mod api;
mod connection;
mod control;
mod handshake;
mod market;
mod rate;

use super::App;
use super::edge::{self, Measured};
use super::error::ApiError;
pub use api::{METHODS, SESSION_METHODS};
use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::get;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Route group of handshakes.
pub const GROUP: &str = "websocket";
/// Weight of a connection (web-socket-api.md, "IP limits").
pub const CONNECT_WEIGHT: u32 = 2;

/// Set by the listener: a WebSocket outlives the HTTP connection that it came from.
#[derive(Clone)]
pub struct Admitted {
    _held: Arc<dyn Send + Sync>,
    shutdown: CancellationToken,
}

impl Admitted {
    /// `held` is the connection's place and counters, which the last clone frees; `shutdown` means that the server stops.
    pub fn new(held: Arc<dyn Send + Sync>, shutdown: CancellationToken) -> Self {
        Self { _held: held, shutdown }
    }
}

/// Paths of the WebSocket API.
const API_PATHS: &[&str] = &["/ws-api/v3"];
/// Paths of market streams.
const STREAM_PATHS: &[&str] =
    &["/ws", "/ws/", "/ws/{*streams}", "/stream", "/stream/", "/stream/ws", "/stream/ws/", "/stream/ws/{*streams}"];

/// The routes of the WebSocket side.
pub fn router(app: &Arc<App>) -> Router {
    let measured = Measured::new(&app.metrics, GROUP);
    let mut router = Router::new();
    let streams = STREAM_PATHS.iter().map(|path| (path, market::open_market_session as Open));
    for (path, serve) in streams.chain(API_PATHS.iter().map(|path| (path, api::open_api_session as Open))) {
        let (app, measured) = (Arc::clone(app), measured.clone());
        router = router.route(path, get(move |request| open(app.clone(), measured.clone(), request, serve)));
    }
    router
}

/// Turns an accepted request into a task that serves the connection.
type Open = fn(&Arc<App>, &Request) -> Result<Box<dyn connection::Serve>, ApiError>;

async fn open(app: Arc<App>, measured: Measured, mut request: Request, open: Open) -> Response {
    let accepted = handshake::accept(&mut request)
        .and_then(|handshake| edge::charge(&app, edge::address_of(&app, &request), CONNECT_WEIGHT, &mut 0).map(|()| handshake))
        .and_then(|handshake| open(&app, &request).map(|serve| (handshake, serve)));
    match accepted {
        Ok((handshake, serve)) => {
            let admitted = request.extensions().get::<Admitted>().cloned();
            let response = handshake.start(serve, admitted);
            edge::count(&app, &measured, response.status());
            response
        }
        Err(error) => edge::refuse(app, measured, error, request).await,
    }
}
