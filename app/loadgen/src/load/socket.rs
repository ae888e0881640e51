//! This module is the closed loop over the WebSocket API: every connection has a fixed number of orders in flight, and sends its next
//! order after the answer to any of them. It must not pause.

use super::{LoadResult, histogram};
use crate::client::{API_PATH, Credentials, SocketMessage, WebSocketConnection, now_milliseconds, open_socket};
use crate::workload::Workload;
use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use futures::{FutureExt, SinkExt, StreamExt};
use hdrhistogram::Histogram;
use serde::Deserialize;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Instant;
use tokio_tungstenite::tungstenite::Message;

const METHOD: &str = "order.place";

#[derive(Deserialize)]
struct Reply {
    id: u64,
    status: u16,
}

/// Sends the orders with these numbers over `connections` connections with `in_flight` orders each, all on this thread.
///
/// # Errors
///
/// Returns an error if an order is not accepted or a connection is lost.
pub async fn run_sockets(
    address: SocketAddr,
    credentials: &[Credentials],
    workload: Workload,
    (connections, in_flight): (usize, usize),
    numbers: Range<u64>,
) -> Result<LoadResult> {
    let sockets = try_join_all((0..connections).map(|_| open_socket(address, API_PATH))).await?;
    let (next, latency) = (Cell::new(numbers.start), RefCell::new(histogram()?));
    let begun = Instant::now();
    let sending = sockets.into_iter().map(|socket| {
        let pipeline = Pipeline { socket, credentials, workload, sent: HashMap::new(), latency: &latency };
        pipeline.run(in_flight, &next, numbers.end)
    });
    try_join_all(sending).await?;
    Ok(LoadResult { elapsed: begun.elapsed(), orders: numbers.end - numbers.start, latency: latency.into_inner() })
}

struct Pipeline<'a> {
    socket: WebSocketConnection,
    credentials: &'a [Credentials],
    workload: Workload,
    /// Times of the orders in flight by number, which is the id of the message.
    sent: HashMap<u64, Instant>,
    latency: &'a RefCell<Histogram<u64>>,
}

impl Pipeline<'_> {
    async fn run(mut self, in_flight: usize, next: &Cell<u64>, end: u64) -> Result<()> {
        let (mut message, mut parameters) = (SocketMessage::default(), String::new());
        loop {
            while self.sent.len() < in_flight && next.get() < end {
                let number = next.replace(next.get() + 1);
                let order = self.workload.order(number);
                order.parameters(&mut parameters);
                let credentials = &self.credentials[order.account as usize];
                let text = message.signed(number, METHOD, &parameters, credentials, now_milliseconds());
                self.socket.feed(Message::text(text)).await?;
                self.sent.insert(number, Instant::now());
            }
            if self.sent.is_empty() {
                return Ok(());
            }
            self.socket.flush().await?;
            let first = self.socket.next().await.context("the server closed the connection")??;
            self.record(&first)?;
            // Replies that are here already, so that the next orders leave in one write as well.
            while let Some(Some(reply)) = self.socket.next().now_or_never() {
                self.record(&reply?)?;
            }
        }
    }

    fn record(&mut self, reply: &Message) -> Result<()> {
        let Message::Text(text) = reply else { return Ok(()) };
        let Reply { id, status } = serde_json::from_str(text).with_context(|| format!("reading the reply {text}"))?;
        ensure!(status == 200, "order {id} was answered {status}: {text}");
        let sent = self.sent.remove(&id).with_context(|| format!("order {id} was answered twice"))?;
        self.latency.borrow_mut().saturating_record(sent.elapsed().as_micros() as u64);
        Ok(())
    }
}
