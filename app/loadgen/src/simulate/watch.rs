//! This module reads the market streams while the simulator trades, and checks that book updates have no gap. It must not trade.

use super::participant::SharedMarket;
use futures::StreamExt;
use serde_json::Value;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::sleep;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::{Error, Message};

/// Pause before the next connection.
const RETRY: Duration = Duration::from_secs(1);

/// Reads the streams of every market, and reconnects without end.
pub(super) async fn run(address: SocketAddr, shared: Arc<SharedMarket>) {
    loop {
        if let Err(error) = read(address, &shared).await {
            tracing::debug!(%error, "the streams ended; reconnecting");
        }
        sleep(RETRY).await;
    }
}

async fn read(address: SocketAddr, shared: &SharedMarket) -> Result<(), Error> {
    let symbols = shared.markets.iter().map(|market| market.symbol.to_lowercase());
    let names: Vec<String> = symbols.flat_map(|symbol| [format!("{symbol}@depth@100ms"), format!("{symbol}@trade")]).collect();
    let url = format!("ws://{address}/stream?streams={}", names.join("/"));
    let (mut socket, _) = client_async(url, TcpStream::connect(address).await?).await?;
    let mut last: HashMap<String, u64> = HashMap::new();
    while let Some(message) = socket.next().await {
        let Message::Text(text) = message? else { continue };
        let event: Value = serde_json::from_str(&text).unwrap_or_default();
        shared.counters.events.fetch_add(1, Relaxed);
        let data = &event["data"];
        let (Some(symbol), Some(first), Some(end)) = (data["s"].as_str(), data["U"].as_u64(), data["u"].as_u64()) else {
            continue;
        };
        let before = last.insert(symbol.to_owned(), end);
        if before.is_some_and(|before| before + 1 != first) {
            tracing::error!(symbol, first, ?before, "book updates have a gap");
        }
    }
    Ok(())
}
