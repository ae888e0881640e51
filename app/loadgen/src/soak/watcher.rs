//! This module subscribes to the trades of every market on one replica and records them. It must not check them against the journal.
//!
//! - On one connection every trade arrives once and in order, without a gap. A new connection may begin anywhere.

use super::client::symbol;
use super::record::{Log, Record, number};
use super::trader::Addresses;
use crate::workload::MARKETS;
use futures::StreamExt;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

/// Pause before a new connection.
const PAUSE: Duration = Duration::from_millis(100);
/// Time limit for a connection, and the longest silence.
const SILENCE: Duration = Duration::from_secs(5);

/// Watches replica number `at` until the stop.
pub async fn run(at: usize, mut addresses: Addresses, log: Arc<Log>, stopped: watch::Receiver<bool>) {
    while !*stopped.borrow() {
        let address = addresses.borrow_and_update().get(at).copied();
        if let Some(address) = address {
            // Its end is a close frame, a silence, or a cut: the next connection starts again.
            let _ = watch(address, &log, &stopped).await;
        }
        sleep(PAUSE).await;
    }
}

async fn watch(address: SocketAddr, log: &Log, stopped: &watch::Receiver<bool>) -> Option<()> {
    let names: Vec<_> = (0..MARKETS.len()).map(|market| format!("{}@trade", symbol(market).to_lowercase())).collect();
    let url = format!("ws://{address}/stream?streams={}", names.join("/"));
    let connecting = async {
        let stream = TcpStream::connect(address).await.ok()?;
        client_async(url, stream).await.ok()
    };
    let (mut stream, _) = timeout(SILENCE, connecting).await.ok()??;
    let mut last: BTreeMap<usize, u64> = BTreeMap::new();
    while !*stopped.borrow() {
        let Message::Text(text) = timeout(SILENCE, stream.next()).await.ok()??.ok()? else { continue };
        let event: Value = serde_json::from_str(&text).ok()?;
        let data = &event["data"];
        let market = (0..MARKETS.len()).find(|market| data["s"] == symbol(*market))?;
        let trade = data["t"].as_u64()?;
        if let Some(before) = last.insert(market, trade)
            && trade != before + 1
        {
            log.add(Record::Violation(format!("a connection received trade {trade} of market {market} after trade {before}")));
        }
        log.add(Record::Traded { market, trade, price: number(&data["p"]), quantity: number(&data["q"]) });
    }
    Some(())
}
