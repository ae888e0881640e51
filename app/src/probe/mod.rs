//! This module is the probe: it places an order through the public API every few seconds, reads it back and cancels it. Its metrics
//! say what a user sees, whatever the exchange says about itself.
//!
//! - The order rests far from the market, so a round changes no book near the spread and costs no money.
//! - At most one order exists: a round begins with a cancel of whatever an earlier round left.
//! - Each failure is logged once until the result changes.

mod client;

use std::{
    fmt,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::Context;
use reqwest::Method;
use serde_json::Value;
use service_kit::{
    admin::{self, Admin},
    health::Health,
    metrics::Metrics,
    shutdown::Shutdown,
    telemetry::LogLevel,
};
use tokio::{net::TcpListener, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::{config, metrics::ProbeMetrics};
use client::ProbeClient;

const STEPS: [&str; 3] = ["place", "read", "cancel"];
const ORDER: &str = "/api/v3/order";
const OPEN_ORDERS: &str = "/api/v3/openOrders";
/// The account has no open order to cancel.
const NOTHING_TO_CANCEL: i64 = -2011;

/// Why a round failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeFailure {
    /// No connection, or it broke.
    Unreachable(String),
    /// No answer in time.
    Timeout,
    /// An answer other than success.
    Refused { status: u16, code: i64, text: String },
    /// A success that contradicts the request.
    Wrong(String),
}

const RESULTS: [&str; 5] = ["ok", "unreachable", "timeout", "refused", "wrong"];

impl ProbeFailure {
    const fn result(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Timeout => "timeout",
            Self::Refused { .. } => "refused",
            Self::Wrong(_) => "wrong",
        }
    }
}

impl fmt::Display for ProbeFailure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(reason) => write!(formatter, "the API is unreachable: {reason}"),
            Self::Timeout => formatter.write_str("no answer in time"),
            Self::Refused { status, code, text } => write!(formatter, "answered with status {status}, code {code}: {text}"),
            Self::Wrong(text) => formatter.write_str(text),
        }
    }
}

/// The subcommand.
///
/// # Errors
/// Returns an error if the admin listener cannot be bound. A failing API is a metric, not an error.
pub async fn run(settings: config::ProbeSettings, level: LogLevel, shutdown: Shutdown) -> anyhow::Result<()> {
    let address = settings.admin_listen;
    let listener =
        TcpListener::bind(address).await.with_context(|| format!("EXCHANGE_ADMIN_LISTEN={address} cannot be bound"))?;
    tracing::info!(setting = "EXCHANGE_ADMIN_LISTEN", address = %listener.local_addr()?, "listening");
    let metrics = Metrics::new("exchange", env!("CARGO_PKG_VERSION"), option_env!("EXCHANGE_COMMIT"));
    let probe = Probe::new(&settings, ProbeMetrics::register(&metrics)?)?;
    let admin = Admin { metrics, health: Health::new(), log_level: level };
    tokio::spawn(admin::serve(listener, std::future::pending(), admin));
    probe.run(shutdown.token()).await;
    Ok(())
}

struct Probe {
    client: ProbeClient,
    metrics: ProbeMetrics,
    symbol: String,
    price: String,
    quantity: String,
    interval: Duration,
}

impl Probe {
    fn new(settings: &config::ProbeSettings, metrics: ProbeMetrics) -> anyhow::Result<Self> {
        metrics.start_at_zero(&STEPS, &RESULTS);
        Ok(Self {
            client: ProbeClient::new(settings)?,
            metrics,
            symbol: settings.symbol.clone(),
            price: settings.price.clone(),
            quantity: settings.quantity.clone(),
            interval: settings.interval,
        })
    }

    async fn run(self, stop: CancellationToken) {
        let mut rounds = tokio::time::interval(self.interval);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last: Option<&'static str> = None;
        while stop.run_until_cancelled(rounds.tick()).await.is_some() {
            // A round that has begun ends, so that no order remains.
            let result = self.observe().await;
            if last != Some(result.0) {
                match &result.1 {
                    Some(failure) => tracing::warn!(result = result.0, error = %failure, "the probe's order failed"),
                    None => tracing::info!("the probe's order is placed, read back and cancelled"),
                }
                last = Some(result.0);
            }
        }
    }

    /// Runs and measures a round.
    async fn observe(&self) -> (&'static str, Option<ProbeFailure>) {
        let failure = self.round().await.err();
        let result = failure.as_ref().map_or(RESULTS[0], ProbeFailure::result);
        self.metrics.rounds.with_label_values(&[result]).inc();
        if failure.is_none() {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            self.metrics.last_success.set(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
        }
        (result, failure)
    }

    async fn round(&self) -> Result<(), ProbeFailure> {
        let symbol = format!("symbol={}", self.symbol);
        match self.client.ask(Method::DELETE, OPEN_ORDERS, &symbol).await {
            Ok(_) | Err(ProbeFailure::Refused { code: NOTHING_TO_CANCEL, .. }) => {}
            Err(failure) => return Err(failure),
        }
        let id = format!("probe-{:016x}", rand::random::<u64>());
        let (price, quantity) = (&self.price, &self.quantity);
        let order = format!("{symbol}&side=BUY&type=LIMIT_MAKER&price={price}&quantity={quantity}&newClientOrderId={id}");
        let placed = self.step("place", Method::POST, &order).await?;
        expect(&placed, "clientOrderId", &id)?;
        let read = self.step("read", Method::GET, &format!("{symbol}&origClientOrderId={id}")).await?;
        expect(&read, "status", "NEW")?;
        let cancelled = self.step("cancel", Method::DELETE, &format!("{symbol}&origClientOrderId={id}")).await?;
        expect(&cancelled, "status", "CANCELED")
    }

    async fn step(&self, step: &'static str, method: Method, parameters: &str) -> Result<Value, ProbeFailure> {
        let begun = Instant::now();
        let answer = self.client.ask(method, ORDER, parameters).await?;
        self.metrics.step.with_label_values(&[step]).observe(begun.elapsed().as_secs_f64());
        Ok(answer)
    }
}

fn expect(answer: &Value, member: &str, expected: &str) -> Result<(), ProbeFailure> {
    if answer[member] == expected {
        return Ok(());
    }
    Err(ProbeFailure::Wrong(format!("{member} is {}, expected {expected}", answer[member])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_contradicts_the_request_is_wrong() {
        let answer = serde_json::json!({"status": "FILLED"});
        let failure = expect(&answer, "status", "NEW").unwrap_err();
        assert_eq!((failure.result(), failure.to_string().as_str()), ("wrong", "status is \"FILLED\", expected NEW"));
        assert_eq!(expect(&answer, "status", "FILLED"), Ok(()));
    }

    #[test]
    fn every_failure_is_one_of_the_results() {
        let refused = ProbeFailure::Refused { status: 503, code: -1001, text: "t".into() };
        for failure in [ProbeFailure::Unreachable("r".into()), ProbeFailure::Timeout, refused, ProbeFailure::Wrong("w".into())] {
            assert!(RESULTS[1..].contains(&failure.result()), "{failure}");
        }
    }
}
