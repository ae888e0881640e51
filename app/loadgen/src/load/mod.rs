//! This module sends the workload to a server over many connections and records the latency of each answer. It must not depend on
//! the kind of server.

mod closed;
mod open;
mod socket;

pub use closed::run as closed;
pub use open::run as open;
pub use socket::run_sockets as socket;

use crate::client::{ApiRequest, Credentials, HttpConnection, HttpMethod, now_milliseconds};
use crate::workload::{ACCOUNTS, Workload, key};
use anyhow::{Context, Result, bail};
use hdrhistogram::Histogram;
use std::net::SocketAddr;
use std::time::Duration;

const PATH: &str = "/api/v3/order";
/// Longest latency that the histogram distinguishes, in µs.
const LATENCY_MAX: u64 = 120_000_000;

/// The result of a run.
#[derive(Debug)]
pub struct LoadResult {
    /// From the first request to the last answer.
    pub elapsed: Duration,
    pub orders: u64,
    /// Microseconds. In an open loop, from the time at which the request was due.
    pub latency: Histogram<u64>,
}

impl LoadResult {
    pub fn rate(&self) -> f64 {
        self.orders as f64 / self.elapsed.as_secs_f64()
    }

    pub fn quantile_seconds(&self, quantile: f64) -> f64 {
        self.latency.value_at_quantile(quantile) as f64 / 1e6
    }
}

/// An empty histogram of microseconds.
pub fn histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_max(LATENCY_MAX, 3)?)
}

/// The workload's accounts, ready to sign.
pub fn credentials() -> Result<Vec<Credentials>> {
    (0..ACCOUNTS).map(key).map(|(api_key, secret)| Credentials::new(&api_key, &secret)).collect()
}

/// A connection with its buffers.
struct Sender<'a> {
    connection: HttpConnection,
    credentials: &'a [Credentials],
    workload: Workload,
    request: ApiRequest,
    parameters: String,
}

impl<'a> Sender<'a> {
    async fn open(address: SocketAddr, credentials: &'a [Credentials], workload: Workload) -> Result<Self> {
        let connection = HttpConnection::open(address).await.context("connecting to the server under load")?;
        Ok(Self { connection, credentials, workload, request: ApiRequest::default(), parameters: String::with_capacity(256) })
    }

    /// Sends order `number` and waits for its acknowledgement. Any status except 200 ends the run: every order must be accepted.
    async fn order(&mut self, number: u64) -> Result<()> {
        let order = self.workload.order(number);
        order.parameters(&mut self.parameters);
        let credentials = &self.credentials[order.account as usize];
        let bytes = self.request.signed(HttpMethod::Post, PATH, &self.parameters, credentials, now_milliseconds());
        let response = self.connection.ask(bytes).await.with_context(|| format!("sending order {number}"))?;
        if response.status != 200 {
            bail!("order {number} was answered {}: {}", response.status, String::from_utf8_lossy(response.body));
        }
        Ok(())
    }
}
