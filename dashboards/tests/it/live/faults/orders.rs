//! Orders that rest: far below the best price, so that none trades.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use hmac::{Hmac, KeyInit, Mac};
use reqwest::{Client, Method};
use serde_json::Value;
use sha2::Sha256;

const SYMBOL: &str = "BTCUSDT";
const EVERY: Duration = Duration::from_millis(500);
/// Cancelled from time to time: an account may have a bounded number of orders.
const RESTING: usize = 50;

pub struct Orders {
    client: Client,
    rest: String,
    api_key: String,
    secret: String,
}

impl Orders {
    /// Of the first demo account.
    pub fn new(endpoints: &Value) -> Result<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned).context("endpoints.json names no API or no account");
        let account = &endpoints["accounts"][0];
        let (rest, api_key) = (text(&endpoints["exchange"]["rest"])?, text(&account["api_key"])?);
        Ok(Self { client: Client::new(), rest, api_key, secret: text(&account["secret_key"])? })
    }

    /// Until it is dropped.
    pub async fn place(self) -> Result<()> {
        let book: Value =
            self.client.get(format!("{}/api/v3/ticker/bookTicker?symbol={SYMBOL}", self.rest)).send().await?.json().await?;
        let bid: f64 = book["bidPrice"].as_str().and_then(|price| price.parse().ok()).context("the book has a bid")?;
        let price = (bid * 0.9).floor();
        loop {
            for _ in 0..RESTING {
                let order = format!("symbol={SYMBOL}&side=BUY&type=LIMIT&timeInForce=GTC&price={price}&quantity=0.001");
                self.signed(Method::POST, "/api/v3/order", &order).await?;
                tokio::time::sleep(EVERY).await;
            }
            self.signed(Method::DELETE, "/api/v3/openOrders", &format!("symbol={SYMBOL}")).await?;
        }
    }

    async fn signed(&self, method: Method, path: &str, parameters: &str) -> Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
        let query = format!("{parameters}&timestamp={now}");
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes())?;
        mac.update(query.as_bytes());
        let url = format!("{}{path}?{query}&signature={}", self.rest, hex::encode(mac.finalize().into_bytes()));
        let reply = self.client.request(method, url).header("X-MBX-APIKEY", &self.api_key).send().await?;
        let status = reply.status();
        ensure!(status.is_success(), "{path} answered {status}: {}", reply.text().await.unwrap_or_default());
        Ok(())
    }
}
