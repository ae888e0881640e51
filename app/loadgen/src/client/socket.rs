//! This module calls the WebSocket API one request at a time, for the simulator. It must not be used by the benchmark's hot path.

use super::api::{ApiReply, CallError, DEADLINE, judge, refused};
use super::message::SocketMessage;
use super::request::{Credentials, HttpMethod, now_milliseconds};
use futures::{SinkExt, StreamExt};
use serde_json::Value;
use std::net::SocketAddr;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

/// Methods of the REST API and their names in the WebSocket API.
const METHODS: [(HttpMethod, &str, &str); 8] = [
    (HttpMethod::Post, "/api/v3/order", "order.place"),
    (HttpMethod::Delete, "/api/v3/order", "order.cancel"),
    (HttpMethod::Post, "/api/v3/order/cancelReplace", "order.cancelReplace"),
    (HttpMethod::Get, "/api/v3/openOrders", "openOrders.status"),
    (HttpMethod::Delete, "/api/v3/openOrders", "openOrders.cancelAll"),
    (HttpMethod::Post, "/api/v3/orderList/oco", "orderList.place.oco"),
    (HttpMethod::Post, "/api/v3/orderList/otoco", "orderList.place.otoco"),
    (HttpMethod::Delete, "/api/v3/orderList", "orderList.cancel"),
];

/// The WebSocket API, without the used rate limits in each reply.
pub const API_PATH: &str = "/ws-api/v3?returnRateLimits=false";

/// An open WebSocket connection.
pub type WebSocketConnection = WebSocketStream<TcpStream>;

/// Connects to a path with its query.
///
/// # Errors
///
/// Returns an error if the server refuses the connection or the handshake.
pub async fn open_socket(address: SocketAddr, path: &str) -> anyhow::Result<WebSocketConnection> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(client_async(format!("ws://{address}{path}"), stream).await?.0)
}

/// One account's access through one connection, opened on demand.
#[derive(Debug)]
pub struct AccountSocket {
    address: SocketAddr,
    credentials: Credentials,
    connection: Option<WebSocketConnection>,
    number: u64,
    message: SocketMessage,
}

impl AccountSocket {
    pub fn new(address: SocketAddr, credentials: Credentials) -> Self {
        Self { address, credentials, connection: None, number: 0, message: SocketMessage::default() }
    }

    /// A signed call, named as in the REST API.
    ///
    /// # Errors
    ///
    /// See [`CallError`].
    pub async fn signed(&mut self, method: HttpMethod, path: &str, parameters: &str) -> Result<ApiReply, CallError> {
        let row = METHODS.iter().find(|row| (row.0, row.1) == (method, path));
        let Some((_, _, name)) = row else {
            return Err(refused(0, format!("{path} has no method in the WebSocket API")));
        };
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        self.number += 1;
        let request = self.message.signed(self.number, name, parameters, &self.credentials, now_milliseconds()).to_owned();
        let asking = async {
            connection.send(Message::Text(request.into())).await.map_err(|error| error.to_string())?;
            while let Some(message) = connection.next().await {
                let Message::Text(text) = message.map_err(|error| error.to_string())? else { continue };
                let reply: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
                if reply["id"] == self.number {
                    return Ok(reply);
                }
            }
            Err("the connection was closed".to_owned())
        };
        let mut reply = match timeout(DEADLINE, asking).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(error)) => return Err(CallError::Unknown(error)),
            Err(_) => return Err(CallError::Unknown(format!("no reply within {} s", DEADLINE.as_secs()))),
        };
        self.connection = Some(connection);
        let status = reply["status"].as_u64().and_then(|status| u16::try_from(status).ok()).unwrap_or_default();
        let body = if status == 200 { reply["result"].take() } else { reply["error"].take() };
        let until = body["data"]["retryAfter"].as_u64();
        judge(status, until.map(|until| until.saturating_sub(now_milliseconds()).div_ceil(1000)), body)
    }

    async fn connect(&self) -> Result<WebSocketConnection, CallError> {
        match timeout(DEADLINE, open_socket(self.address, API_PATH)).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(refused(0, error.to_string())),
            Err(_) => Err(refused(0, "connecting took too long".into())),
        }
    }
}
