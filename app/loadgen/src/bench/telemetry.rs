//! This module measures what observability costs: processor time of logs and traces, and the metrics of a server with many accounts.
//!
//! - Two servers run the same orders in alternating rounds: one logs errors only, one logs at info and samples 1 % of its traces.
//! - The share is of the server's own processor time, where all of the telemetry is. PostgreSQL's would dilute it.

use super::BenchSettings;
use super::arm::postgres_options;
use super::figures::Figures;
use crate::client::Credentials;
use crate::load;
use crate::measure::{median, processor};
use crate::stage::{StagedExchange, StagedServer, exchange_binary, scrape, seed_with};
use crate::workload::Workload;
use anyhow::{Context, Result};
use local_parts::{Postgres, TraceReceiver};
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::path::Path;
use std::time::Instant;

/// Accounts in addition to those that trade.
const IDLE_ACCOUNTS: u32 = 10_000;
const CONNECTIONS: usize = 64;
const SCRAPES: usize = 20;
const ROUNDS: usize = 6;

struct Observed {
    server: StagedServer,
    _postgres: Postgres,
}

pub async fn measure_telemetry(settings: &BenchSettings, folder: &Path, figures: &mut Figures) -> Result<()> {
    let receiver = TraceReceiver::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
    let silent = start("silent", folder, &[("LOG_LEVEL", "error")]).await?;
    let exported = [
        ("LOG_LEVEL", "info"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint.as_str()),
        ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.01"),
    ];
    let observed = start("observed", folder, &exported).await?;
    let (credentials, workload) = (load::credentials()?, Workload::new(settings.seed));
    let (mut shares, mut next) = (Vec::new(), 0);
    for round in 0..=ROUNDS {
        let orders = next..next + settings.orders / 2;
        next = orders.end;
        let without = silent.run(&credentials, workload, orders.clone()).await?;
        let with = observed.run(&credentials, workload, orders).await?;
        // The first round only warms up.
        if round > 0 {
            shares.push(1.0 - without / with);
        }
    }
    figures.set("telemetry.cpu_share", median(&shares));
    figures.set("telemetry.spans", receiver.spans().len() as f64);
    let mut milliseconds = Vec::new();
    let mut text = String::new();
    for _ in 0..SCRAPES {
        let begun = Instant::now();
        text = scrape(observed.server.admin).await?;
        milliseconds.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    figures.set("metrics.scrape_ms", median(&milliseconds));
    figures.set("metrics.series_per_program", text.lines().filter(|line| !line.starts_with('#')).count() as f64);
    for place in [silent, observed] {
        place.server.stop().await?;
    }
    Ok(())
}

async fn start(name: &str, folder: &Path, more: &[(&str, &str)]) -> Result<Observed> {
    let postgres = Postgres::start(postgres_options()).await?;
    let database = postgres.create_database(name).await?;
    let mut exchange = StagedExchange::new(exchange_binary()?, folder, &database, None);
    for (setting, value) in more {
        exchange = exchange.set(setting, value);
    }
    exchange.migrate().await?;
    seed_with(&exchange, &database, IDLE_ACCOUNTS).await?;
    Ok(Observed { server: exchange.serve(name).await?, _postgres: postgres })
}

impl Observed {
    /// Processor seconds of the server for these orders.
    async fn run(&self, credentials: &[Credentials], workload: Workload, orders: Range<u64>) -> Result<f64> {
        let pid = self.server.child.pid().context("the server runs")?;
        let before = processor::of_process(pid)?;
        load::closed(self.server.api, credentials, workload, CONNECTIONS, orders).await?;
        Ok((processor::of_process(pid)? - before).as_secs_f64())
    }
}
