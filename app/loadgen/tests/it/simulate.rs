//! Test of the simulator on a real exchange: books fill, trades happen, and the simulator survives a restart of the server.

use exchange_loadgen::client::Api;
use exchange_loadgen::simulate::{SimulatedAccount, SimulationSettings, run};
use exchange_loadgen::stage::{StagedExchange, exchange_binary, seed};
use exchange_loadgen::workload::key;
use local_parts::{Folder, shared_postgres};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

const DEADLINE: Duration = Duration::from_secs(60);

async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !condition().await {
        assert!(Instant::now() < end, "never: {what}");
        sleep(Duration::from_millis(50)).await;
    }
}

async fn levels(address: SocketAddr, symbol: &str) -> (usize, usize) {
    let depth = Api::new(address, None).public("/api/v3/depth", &format!("symbol={symbol}")).await.unwrap_or_default();
    let side = |name: &str| depth[name].as_array().map_or(0, Vec::len);
    (side("bids"), side("asks"))
}

async fn trades(address: SocketAddr, symbol: &str) -> usize {
    let trades = Api::new(address, None).public("/api/v3/trades", &format!("symbol={symbol}")).await.unwrap_or_default();
    trades.as_array().map_or(0, Vec::len)
}

#[tokio::test]
async fn books_fill_and_trades_happen_on_every_market() {
    let folder = Folder::throwaway("simulate").unwrap();
    let database = shared_postgres().await.unwrap().create_database().await.unwrap();
    let exchange = StagedExchange::new(exchange_binary().unwrap(), folder.path(), &database, None);
    exchange.migrate().await.unwrap();
    seed(&exchange, &database).await.unwrap();
    let server = exchange.serve("serve").await.unwrap();
    let accounts = (0..4).map(|account| {
        let (api_key, secret_key) = key(account);
        SimulatedAccount { name: format!("account-{account}"), api_key, secret_key }
    });
    let symbols = ["BTCUSDT", "ETHUSDT", "BNBUSDT"];
    let settings = SimulationSettings {
        address: server.api,
        ws_api: Some(server.api),
        streams: Some(server.api),
        accounts: accounts.collect(),
        symbols: symbols.map(str::to_owned).to_vec(),
        rate: 200.0,
        seed: 1,
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(run(settings, async move { drop(stopped.await) }));
    for symbol in symbols {
        until("ten levels a side", async || matches!(levels(server.api, symbol).await, (10.., 10..))).await;
        until("twenty trades", async || trades(server.api, symbol).await >= 20).await;
    }
    stop.send(()).unwrap();
    running.await.unwrap().unwrap();
    server.stop().await.unwrap();
}
