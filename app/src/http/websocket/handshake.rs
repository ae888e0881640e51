//! This module is the opening handshake of RFC 6455. It must not know what the connection is for.

use super::Admitted;
use super::connection::{MESSAGE_MAX, Serve};
use crate::http::error::ApiError;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_util::sync::CancellationToken;

const VERSION: &[u8] = b"13";
/// Length of a key: 16 bytes in base64.
const KEY_LENGTH: usize = 24;
/// Bytes that a connection's buffers start with. The default of 128 KiB would be most of the memory of an idle subscriber.
const BUFFER: usize = 4 * 1024;

/// A request that may become a WebSocket.
pub struct Handshake {
    key: HeaderValue,
    upgrade: OnUpgrade,
}

/// # Errors
///
/// Returns 426 for a request that is not a handshake of version 13, 400 for a malformed key.
pub fn accept(request: &mut Request) -> Result<Handshake, ApiError> {
    let headers = request.headers();
    if !has_token(headers, CONNECTION, "upgrade") || !has_token(headers, UPGRADE, "websocket") {
        return Err(ApiError::UPGRADE_REQUIRED);
    }
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version.as_bytes() != VERSION) {
        return Err(ApiError::WEBSOCKET_VERSION);
    }
    let key = headers.get(SEC_WEBSOCKET_KEY).filter(|key| key.len() == KEY_LENGTH).cloned().ok_or(ApiError::WEBSOCKET_KEY)?;
    // HTTP/1.0 has no upgrade.
    let upgrade = request.extensions_mut().remove::<OnUpgrade>().ok_or(ApiError::UPGRADE_REQUIRED)?;
    Ok(Handshake { key, upgrade })
}

impl Handshake {
    /// Answers 101, and serves the connection in its own task.
    pub fn start(self, serve: Box<dyn Serve>, admitted: Option<Admitted>) -> Response {
        let accept = derive_accept_key(self.key.as_bytes());
        tokio::spawn(async move {
            // A client that disconnects during the handshake is not logged.
            let Ok(upgraded) = self.upgrade.await else { return };
            let config = WebSocketConfig::default()
                .read_buffer_size(BUFFER)
                .write_buffer_size(BUFFER)
                .max_message_size(Some(MESSAGE_MAX))
                .max_frame_size(Some(MESSAGE_MAX));
            let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await;
            let shutdown = admitted.as_ref().map_or_else(CancellationToken::new, |admitted| admitted.shutdown.clone());
            serve.serve(socket, shutdown).await;
            drop(admitted);
        });
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        if let Ok(accept) = HeaderValue::from_str(&accept) {
            headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        }
        response
    }
}

fn has_token(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    let values = headers.get_all(name);
    let mut tokens = values.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    tokens.any(|found| found.trim().eq_ignore_ascii_case(token))
}
