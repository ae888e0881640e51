//! This module is a cheap HTTP/1.1 client: one TCP connection, one request in flight, no allocation per request. Not supported:
//! TLS, redirects, chunked bodies.
//!
//! It must be cheap, because the benchmark adds the generator's processor time to the server's.

mod api;
mod connection;
mod message;
mod request;
mod socket;

pub use api::{Api, ApiReply, CallError};
pub use connection::{HttpConnection, Response};
pub use message::SocketMessage;
pub use request::{ApiRequest, Credentials, HttpMethod, now_milliseconds};
pub use socket::{API_PATH, AccountSocket, WebSocketConnection, open_socket};
