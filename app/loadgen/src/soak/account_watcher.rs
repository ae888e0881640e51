//! This module subscribes to the events of one account on one replica and records its execution reports. It must not check them against
//! the journal.
//!
//! - On one connection every report arrives once and in the order of the journal, without a gap. A new connection may begin anywhere.

use super::record::{Log, Record, Subscription};
use super::trader::Addresses;
use crate::client::{API_PATH, Credentials, SocketMessage, now_milliseconds, open_socket};
use crate::workload::key;
use futures::{SinkExt, StreamExt};
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;

/// Pause before a new connection.
const PAUSE: Duration = Duration::from_millis(100);
/// Time limit for a connection, and the longest silence.
const SILENCE: Duration = Duration::from_secs(5);

/// Watches an account at replica number `at` until the stop.
pub async fn watch_account(at: usize, account: u32, mut addresses: Addresses, log: Arc<Log>, stopped: watch::Receiver<bool>) {
    let mut number = 0;
    while !*stopped.borrow() {
        let address = addresses.borrow_and_update().get(at).copied();
        if let Some(address) = address {
            number += 1;
            // Its end is a close frame, a silence, or a cut: the next connection starts again.
            let _ = receive(address, Subscription { account, at, number }, &log, &stopped).await;
        }
        sleep(PAUSE).await;
    }
}

async fn receive(address: SocketAddr, subscription: Subscription, log: &Log, stopped: &watch::Receiver<bool>) -> Option<()> {
    let (api_key, secret) = key(subscription.account);
    let credentials = Credentials::new(&api_key, &secret).ok()?;
    let mut socket = timeout(SILENCE, open_socket(address, API_PATH)).await.ok()?.ok()?;
    let mut message = SocketMessage::default();
    let text = message.signed(1, "userDataStream.subscribe.signature", "", &credentials, now_milliseconds()).to_owned();
    socket.send(Message::text(text)).await.ok()?;
    while !*stopped.borrow() {
        let Message::Text(text) = timeout(SILENCE, socket.next()).await.ok()??.ok()? else { continue };
        let message: Value = serde_json::from_str(&text).ok()?;
        let event = &message["event"];
        if event["e"] == "executionReport" {
            let (sequence, order) = (event["I"].as_u64()?, event["i"].as_u64()?);
            log.add(Record::Reported { subscription, sequence, order });
        }
    }
    Some(())
}
