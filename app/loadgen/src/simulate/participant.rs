//! This module is the common part of makers and takers: an account, a pace, and calls that survive a restart of the exchange. It
//! must not contain a strategy.

use super::fair::Fair;
use super::market::MarketView;
use super::setup::SimulatedAccount;
use crate::client::{AccountSocket, Api, ApiReply, CallError, Credentials, HttpMethod};
use crate::random::Random;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// First and longest pause after an unreachable exchange.
const PATIENCE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// Codes for "too fast".
const LIMITED: [i64; 2] = [-1003, -1015];
/// Pause after "too fast" if the exchange does not state one.
const LIMITED_PAUSE: Duration = Duration::from_secs(5);

/// Shared by all participants.
pub(super) struct SharedMarket {
    pub markets: Vec<MarketView>,
    fair: Mutex<Fair>,
    pub counters: Counters,
}

impl SharedMarket {
    pub fn new(markets: Vec<MarketView>, random: Random) -> Self {
        let opening = markets.iter().map(|market| market.opening as f64).collect();
        Self { markets, fair: Mutex::new(Fair::new(opening, random)), counters: Counters::default() }
    }

    pub fn fair(&self, market: usize) -> f64 {
        self.fair.lock().unwrap_or_else(PoisonError::into_inner).price(market, Instant::now())
    }
}

/// Events since the last report.
#[derive(Default)]
pub(super) struct Counters {
    accepted: AtomicU64,
    refused: AtomicU64,
    unreachable: AtomicU64,
    /// Read from market streams.
    pub events: AtomicU64,
}

impl Counters {
    pub fn report(&self) {
        let (accepted, refused) = (self.accepted.swap(0, Relaxed), self.refused.swap(0, Relaxed));
        let (unreachable, events) = (self.unreachable.swap(0, Relaxed), self.events.swap(0, Relaxed));
        tracing::info!(accepted, refused, unreachable, events, "trading resumed");
    }
}

/// Outcome of a call.
pub(super) enum CallResult {
    Done(ApiReply),
    /// The exchange refused the call.
    Refused,
    /// The exchange was unreachable or slow: read the open orders again.
    Lost,
}

/// How a participant reaches the exchange.
pub(super) enum Access {
    Rest(Box<Api>),
    Socket(Box<AccountSocket>),
}

impl Access {
    pub fn rest(address: SocketAddr, credentials: Credentials) -> Self {
        Self::Rest(Box::new(Api::new(address, Some(credentials))))
    }

    async fn signed(&mut self, method: HttpMethod, path: &str, parameters: &str) -> Result<ApiReply, CallError> {
        match self {
            Self::Rest(api) => api.signed(method, path, parameters).await,
            Self::Socket(socket) => socket.signed(method, path, parameters).await,
        }
    }
}

pub(super) struct Participant {
    pub name: String,
    pub shared: Arc<SharedMarket>,
    pub random: Random,
    access: Access,
    pause: Duration,
    patience: Duration,
}

impl Participant {
    pub fn new(access: Access, account: &SimulatedAccount, shared: Arc<SharedMarket>, random: Random, pause: Duration) -> Self {
        Self { name: account.name.clone(), shared, random, access, pause, patience: PATIENCE.0 }
    }

    /// Waits for this participant's next turn: the pace on average, with jitter so that participants do not run in step.
    pub async fn turn(&mut self) {
        let spread = 0.5 + self.random.below(1_000) as f64 / 1_000.0;
        sleep(self.pause.mul_f64(spread)).await;
    }

    pub fn any_market(&mut self) -> usize {
        self.random.below(self.shared.markets.len() as u64) as usize
    }

    pub async fn post(&mut self, path: &str, parameters: &str) -> CallResult {
        self.call(HttpMethod::Post, path, parameters).await
    }

    pub async fn delete(&mut self, path: &str, parameters: &str) -> CallResult {
        self.call(HttpMethod::Delete, path, parameters).await
    }

    /// Reads the account's open orders on a market, and retries until the exchange answers.
    pub async fn open_orders(&mut self, market: usize) -> Vec<ApiReply> {
        let parameters = format!("symbol={}", self.shared.markets[market].symbol);
        loop {
            match self.call(HttpMethod::Get, "/api/v3/openOrders", &parameters).await {
                CallResult::Done(ApiReply::Array(orders)) => return orders,
                CallResult::Done(_) => return Vec::new(),
                // A refused read means "too fast" or a key that is not known yet: both are temporary.
                CallResult::Refused => sleep(LIMITED_PAUSE).await,
                CallResult::Lost => {}
            }
        }
    }

    /// Cancels the orders of an earlier run on every market.
    pub async fn clear(&mut self) {
        for market in 0..self.shared.markets.len() {
            if self.open_orders(market).await.is_empty() {
                continue;
            }
            let parameters = format!("symbol={}", self.shared.markets[market].symbol);
            self.delete("/api/v3/openOrders", &parameters).await;
        }
    }

    async fn call(&mut self, method: HttpMethod, path: &str, parameters: &str) -> CallResult {
        let counters = &self.shared.counters;
        match self.access.signed(method, path, parameters).await {
            Ok(reply) => {
                counters.accepted.fetch_add(1, Relaxed);
                if self.patience != PATIENCE.0 {
                    self.patience = PATIENCE.0;
                    tracing::info!(participant = self.name, "the exchange is reachable again");
                }
                CallResult::Done(reply)
            }
            Err(CallError::Refused { code, retry_after, .. }) if LIMITED.contains(&code) => {
                counters.refused.fetch_add(1, Relaxed);
                sleep(retry_after.map_or(LIMITED_PAUSE, Duration::from_secs)).await;
                CallResult::Refused
            }
            Err(CallError::Refused { status, code, message, .. }) if (400..500).contains(&status) => {
                counters.refused.fetch_add(1, Relaxed);
                tracing::debug!(participant = self.name, path, parameters, status, code, message, "refused");
                CallResult::Refused
            }
            Err(error) => {
                counters.unreachable.fetch_add(1, Relaxed);
                if self.patience == PATIENCE.0 {
                    tracing::warn!(participant = self.name, %error, "the exchange is unreachable; retrying");
                }
                sleep(self.patience).await;
                self.patience = (self.patience * 2).min(PATIENCE.1);
                CallResult::Lost
            }
        }
    }
}
