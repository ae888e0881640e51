//! This module is a WebSocket client for the tests.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, client_async, connect_async,
    tungstenite::{Error, Message, protocol::frame::coding::CloseCode},
};

use crate::{eventually::DEADLINE, test_app::TestApp};

/// An open connection.
pub struct Socket(pub WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    /// Opens `path` of the server's API.
    pub async fn open(app: &TestApp, path: &str) -> Self {
        Self::try_open(app, path).await.unwrap()
    }

    /// Status and body of a refused handshake.
    pub async fn refused(app: &TestApp, path: &str) -> (u16, Value) {
        match Self::try_open(app, path).await {
            Err(Error::Http(response)) => {
                let body = response.body().clone().unwrap_or_default();
                (response.status().as_u16(), serde_json::from_slice(&body).unwrap_or_default())
            }
            Err(error) => panic!("{path}: {error}"),
            Ok(_) => panic!("{path} was accepted"),
        }
    }

    /// A client with a small receive buffer, which the server fills soon.
    pub async fn small(app: &TestApp, path: &str) -> WebSocketStream<TcpStream> {
        let address = app.api.strip_prefix("http://").unwrap().parse().unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let stream = socket.connect(address).await.unwrap();
        client_async(format!("ws://{address}{path}"), stream).await.unwrap().0
    }

    /// Opens `path` behind a proxy.
    pub async fn open_at(api: &str, path: &str) -> Self {
        Self::try_open_at(api, path).await.unwrap()
    }

    async fn try_open(app: &TestApp, path: &str) -> Result<Self, Error> {
        Self::try_open_at(&app.api, path).await
    }

    async fn try_open_at(api: &str, path: &str) -> Result<Self, Error> {
        let url = format!("{}{path}", api.replacen("http", "ws", 1));
        Ok(Self(connect_async(url).await?.0))
    }

    pub async fn send(&mut self, message: impl ToString) {
        self.0.send(Message::Text(message.to_string().into())).await.unwrap();
    }

    /// The next text message.
    pub async fn text(&mut self) -> String {
        loop {
            match self.message().await {
                Some(Message::Text(text)) => return text.as_str().to_owned(),
                Some(Message::Ping(_) | Message::Pong(_)) => {}
                other => panic!("expected a text message, got {other:?}"),
            }
        }
    }

    pub async fn json(&mut self) -> Value {
        serde_json::from_str(&self.text().await).unwrap()
    }

    /// Sends a message and returns the reply with its id; events in between are dropped.
    pub async fn ask(&mut self, message: Value) -> Value {
        self.send(&message).await;
        self.find(|reply| reply.get("id") == Some(&message["id"])).await
    }

    /// The first message that `is_it`; messages before it are dropped.
    pub async fn find(&mut self, is_it: impl Fn(&Value) -> bool) -> Value {
        loop {
            let message = self.json().await;
            if is_it(&message) {
                return message;
            }
        }
    }

    /// The text messages that arrive until none has for `quiet`.
    pub async fn until_quiet(&mut self, quiet: Duration) -> Vec<Value> {
        let mut messages = Vec::new();
        while let Ok(message) = tokio::time::timeout(quiet, self.0.next()).await {
            if let Some(Ok(Message::Text(text))) = message {
                messages.push(serde_json::from_str(&text).unwrap());
            }
        }
        messages
    }

    /// Reads up to the end and returns the code of the close frame; `None`: the connection ended without one.
    pub async fn closed(&mut self) -> Option<(CloseCode, String)> {
        loop {
            match self.message().await {
                Some(Message::Close(frame)) => return frame.map(|frame| (frame.code, frame.reason.as_str().to_owned())),
                Some(_) => {}
                None => return None,
            }
        }
    }

    async fn message(&mut self) -> Option<Message> {
        let next = tokio::time::timeout(DEADLINE, self.0.next()).await.expect("a message within the deadline");
        next.and_then(Result::ok)
    }
}
