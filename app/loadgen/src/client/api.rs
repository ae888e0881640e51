//! This module calls the public API one request at a time, with JSON answers, for the simulator and the crash test. The
//! benchmark's hot path must not use it.

use super::connection::HttpConnection;
use super::request::{ApiRequest, Credentials, HttpMethod, now_milliseconds};
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::timeout;

/// Time after which an unanswered call counts as lost.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);

/// The server's answer with a 2xx.
pub type ApiReply = Value;

/// The reason for a missing answer.
#[derive(Debug)]
pub enum CallError {
    /// The exchange refused the call or could not process it: certainly not executed.
    Refused { status: u16, code: i64, message: String, retry_after: Option<u64> },
    /// A 5xx without a definite code, a lost connection, no answer in time: it may or may not have been executed.
    Unknown(String),
}

impl CallError {
    /// Binance's error code; 0 for an unknown outcome.
    pub const fn code(&self) -> i64 {
        match self {
            Self::Refused { code, .. } => *code,
            Self::Unknown(_) => 0,
        }
    }
}

impl std::fmt::Display for CallError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused { status, code, message, .. } => write!(f, "{status} {code}: {message}"),
            Self::Unknown(text) => write!(f, "outcome unknown: {text}"),
        }
    }
}

impl std::error::Error for CallError {}

/// One account's access through one connection, opened on demand.
#[derive(Debug)]
pub struct Api {
    address: SocketAddr,
    credentials: Option<Credentials>,
    connection: Option<HttpConnection>,
    request: ApiRequest,
}

impl Api {
    pub fn new(address: SocketAddr, credentials: Option<Credentials>) -> Self {
        Self { address, credentials, connection: None, request: ApiRequest::default() }
    }

    /// Switches to another server.
    pub fn move_to(&mut self, address: SocketAddr) {
        (self.address, self.connection) = (address, None);
    }

    /// A public read.
    ///
    /// # Errors
    ///
    /// See [`CallError`].
    pub async fn public(&mut self, path: &str, parameters: &str) -> Result<ApiReply, CallError> {
        self.request.public(path, parameters);
        self.send(path, parameters, None).await
    }

    /// A signed call.
    ///
    /// # Errors
    ///
    /// See [`CallError`].
    pub async fn signed(&mut self, method: HttpMethod, path: &str, parameters: &str) -> Result<ApiReply, CallError> {
        self.send(path, parameters, Some(method)).await
    }

    async fn send(&mut self, path: &str, parameters: &str, signed: Option<HttpMethod>) -> Result<ApiReply, CallError> {
        // A request that was never sent was not executed.
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => match timeout(DEADLINE, HttpConnection::open(self.address)).await {
                Ok(Ok(connection)) => connection,
                Ok(Err(error)) => return Err(refused(0, error.to_string())),
                Err(_) => return Err(refused(0, "connecting took too long".into())),
            },
        };
        let request = match (signed, &self.credentials) {
            (Some(method), Some(credentials)) => self.request.signed(method, path, parameters, credentials, now_milliseconds()),
            _ => self.request.public(path, parameters),
        };
        let response = match timeout(DEADLINE, connection.ask(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(CallError::Unknown(error.to_string())),
            Err(_) => return Err(CallError::Unknown(format!("no answer within {} s", DEADLINE.as_secs()))),
        };
        let body: Value = serde_json::from_slice(response.body).unwrap_or_default();
        let (closes, answer) = (response.closes, judge(response.status, response.retry_after, body));
        // A request on a connection that the server closes may be lost.
        self.connection = (!closes).then_some(connection);
        answer
    }
}

pub(super) fn refused(status: u16, message: String) -> CallError {
    CallError::Refused { status, code: 0, message, retry_after: None }
}

pub(super) fn judge(status: u16, retry_after: Option<u64>, body: Value) -> Result<ApiReply, CallError> {
    if (200..300).contains(&status) {
        return Ok(body);
    }
    let code = body["code"].as_i64().unwrap_or_default();
    let message = body["msg"].as_str().unwrap_or_default().to_owned();
    // -1001 and -1008 guarantee that nothing was executed; no other 5xx does, in particular not -1007.
    if status >= 500 && !matches!(code, -1001 | -1008) {
        return Err(CallError::Unknown(format!("{status} {code}: {message}")));
    }
    Err(CallError::Refused { status, code, message, retry_after })
}
