//! This module has the settings of the simulator, and the data that it reads from the exchange before it trades. It must not send
//! an order.

use super::market::MarketView;
use crate::client::{Api, Credentials};
use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// Interval between attempts to reach the exchange.
const RETRY: Duration = Duration::from_millis(500);

/// An account of the simulator, as in the accounts file.
#[derive(Clone, Deserialize)]
pub struct SimulatedAccount {
    pub name: String,
    pub api_key: String,
    pub secret_key: String,
}

impl SimulatedAccount {
    pub fn credentials(&self) -> Result<Credentials> {
        Credentials::new(&self.api_key, &self.secret_key).with_context(|| format!("the key of account {}", self.name))
    }
}

/// The settings of a run.
pub struct SimulationSettings {
    /// The API's listener.
    pub address: SocketAddr,
    /// The WebSocket API's listener; `None`: everybody trades over REST.
    pub ws_api: Option<SocketAddr>,
    /// The listener of market streams; `None`: nobody reads them.
    pub streams: Option<SocketAddr>,
    pub accounts: Vec<SimulatedAccount>,
    pub symbols: Vec<String>,
    /// Orders and cancels per second, all participants together.
    pub rate: f64,
    pub seed: u64,
}

impl SimulationSettings {
    /// `endpoints` is the file written by `make run` with the API's address; `accounts` is a list of `{"name", "api_key",
    /// "secret_key"}`.
    ///
    /// # Errors
    ///
    /// Returns an error if a file is missing or malformed, or if the rate is not above zero.
    pub fn read(endpoints: &Path, accounts: &Path, symbols: &[String], rate: f64, seed: u64) -> Result<Self> {
        ensure!(rate > 0.0 && rate.is_finite(), "--rate must be above 0");
        ensure!(!symbols.is_empty(), "--symbols must name at least one market");
        let endpoints: serde_json::Value = read_json(endpoints)?;
        let rest = endpoints["exchange"]["rest"].as_str().context("the endpoints file has no exchange.rest")?;
        let accounts = read_json(accounts)?;
        let socket = |name: &str| endpoints["exchange"][name].as_str().map(socket_address).transpose();
        let (ws_api, streams) = (socket("ws_api")?, socket("streams")?);
        Ok(Self { address: address(rest)?, ws_api, streams, accounts, symbols: symbols.to_vec(), rate, seed })
    }
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("{} has an unexpected form", path.display()))
}

/// The socket address of `http://address:port`.
///
/// # Errors
///
/// Returns an error if the text has another form.
pub fn address(url: &str) -> Result<SocketAddr> {
    let rest = url.strip_prefix("http://").with_context(|| format!("{url} does not start with http://"))?;
    rest.trim_end_matches('/').parse().with_context(|| format!("{url} is not http://address:port"))
}

/// The socket address of `ws://address:port/path`.
fn socket_address(url: &str) -> Result<SocketAddr> {
    let rest = url.strip_prefix("ws://").with_context(|| format!("{url} does not start with ws://"))?;
    let host = rest.split('/').next().unwrap_or_default();
    host.parse().with_context(|| format!("{url} is not ws://address:port/path"))
}

/// The markets' rules and last prices, once the exchange answers.
pub(super) async fn markets(settings: &SimulationSettings) -> Result<Vec<MarketView>> {
    let mut api = Api::new(settings.address, None);
    let mut told = false;
    let information = loop {
        match api.public("/api/v3/exchangeInfo", "").await {
            Ok(information) => break information,
            Err(error) if !told => {
                told = true;
                tracing::warn!(%error, "the exchange did not answer; retrying");
            }
            Err(_) => {}
        }
        tokio::time::sleep(RETRY).await;
    };
    let listed = information["symbols"].as_array().map_or(&[][..], Vec::as_slice);
    let mut markets = Vec::new();
    for symbol in &settings.symbols {
        let Some(rules) = listed.iter().find(|rules| rules["symbol"] == symbol.as_str()) else {
            bail!("the exchange has no market {symbol}: create it, or name others in --symbols");
        };
        let last = api.public("/api/v3/ticker/price", &format!("symbol={symbol}")).await.ok();
        let last = last.as_ref().and_then(|ticker| ticker["price"].as_str());
        markets.push(MarketView::read(symbol, rules, last)?);
    }
    Ok(markets)
}
