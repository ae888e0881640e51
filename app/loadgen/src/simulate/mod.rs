//! This module is the market simulator: market makers and takers that trade through the public API, so that a new exchange has
//! live books, trades and candles. It must not bypass the API.
//!
//! Every second participant trades over the WebSocket API, and one task reads the market streams.
//!
//! Makers place ladders of limit orders around a fair price that is a random walk. Takers trade against them with every order
//! type. Each participant has a separate account and pace, survives restarts of the server, and first cancels the orders of an
//! earlier run.

mod fair;
mod maker;
mod market;
mod participant;
mod setup;
mod taker;
mod watch;

pub use setup::{SimulatedAccount, SimulationSettings};

use crate::client::AccountSocket;
use crate::random::Random;
use anyhow::{Result, ensure};
use participant::{Access, Participant, SharedMarket};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// Percentage of all orders that makers send.
const MAKERS_SHARE: u64 = 75;
/// Interval between two log lines about progress.
const REPORT: Duration = Duration::from_secs(60);

/// Trades until `stop` ends.
///
/// # Errors
///
/// Returns an error if the settings are invalid. An unreachable server is retried.
pub async fn run(settings: SimulationSettings, stop: impl Future<Output = ()>) -> Result<()> {
    ensure!(settings.accounts.len() >= 2, "the simulator needs at least two accounts, a maker's and a taker's");
    tokio::pin!(stop);
    let markets = tokio::select! {
        markets = setup::markets(&settings) => markets?,
        () = &mut stop => return Ok(()),
    };
    let mut random = Random::new(settings.seed);
    let shared = Arc::new(SharedMarket::new(markets, random.fork()));
    let takers = (settings.accounts.len() / 3).max(1);
    let makers = settings.accounts.len() - takers;
    let mut tasks = tokio::task::JoinSet::new();
    for (number, account) in settings.accounts.iter().enumerate() {
        let (share, among) = if number < makers { (MAKERS_SHARE, makers) } else { (100 - MAKERS_SHARE, takers) };
        let pause = Duration::from_secs_f64(among as f64 * 100.0 / (settings.rate * share as f64));
        // Every second participant trades over the WebSocket API.
        let credentials = account.credentials()?;
        let access = match settings.ws_api.filter(|_| number % 2 == 1) {
            Some(address) => Access::Socket(Box::new(AccountSocket::new(address, credentials))),
            None => Access::rest(settings.address, credentials),
        };
        let participant = Participant::new(access, account, Arc::clone(&shared), random.fork(), pause);
        if number < makers {
            tasks.spawn(maker::Maker::new(participant, number, makers).run());
        } else {
            tasks.spawn(taker::SimulatedTaker::new(participant).run());
        }
    }
    if let Some(address) = settings.streams {
        tasks.spawn(watch::run(address, Arc::clone(&shared)));
    }
    tracing::info!(makers, takers, rate = settings.rate, "trading");
    let mut report = interval(REPORT);
    report.set_missed_tick_behavior(MissedTickBehavior::Delay);
    report.tick().await;
    loop {
        tokio::select! {
            _ = report.tick() => shared.counters.report(),
            () = &mut stop => break,
        }
    }
    tasks.shutdown().await;
    tracing::info!("the simulator stopped");
    Ok(())
}
