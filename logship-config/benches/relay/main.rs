//! This benchmark compares the processor time of the relay with two references for the same bytes: `gzip -dc`, the minimum
//! of work, and nginx's `proxy_pass`, a common proxy. It also measures how long small chunks of many pods take. It prints a
//! table and merges its keys into `target/bench.json`.
//!
//! `cargo bench -p logship --bench relay -- [--quick]`; quick is for a trial.

mod bulk;
mod chunks;
mod measure;
mod nginx;
mod pods;
#[path = "../results.rs"]
mod results;

use std::{collections::BTreeMap, time::Duration};

use anyhow::Result;
use clap::Parser;

/// Measure the relay
#[derive(Parser)]
struct Arguments {
    /// Run few rounds; the figures are not meaningful
    #[arg(long)]
    quick: bool,
    /// Passed by Cargo to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

/// Rounds in which the variants alternate, so that other load on the machine affects all of them.
const ROUNDS: usize = 5;

#[tokio::main]
async fn main() -> Result<()> {
    let quick = Arguments::parse().quick;
    let rounds = if quick { 1 } else { ROUNDS };
    let chunks = chunks::make(if quick { 4 } else { 20 })?;
    let server = bulk::Server::start(Duration::ZERO).await?;
    let mut relay = measure::Relay::start(&server.url()).await?;
    let nginx = nginx::Nginx::start(server.address()).await?;
    // Opens connections and fills memory before the measurement starts.
    relay.send(&chunks).await?;
    let (mut gzip, mut own, mut proxied) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        gzip.push(measure::gzip(&chunks, if quick { 1 } else { 5 })?);
        own.push(relay.measure(&chunks, if quick { 1 } else { 5 }).await?);
        if let Some(nginx) = &nginx {
            proxied.push(nginx.measure(&chunks, if quick { 1 } else { 5 }).await?);
        }
    }
    let (gzip, own) = (results::median(gzip), results::median(own));
    let mut keys: BTreeMap<&str, f64> = BTreeMap::new();
    keys.insert("relay.cpu_over_gzip_dc", own / gzip);
    keys.insert("relay.docs_per_cpu_second", chunks::DOCUMENTS as f64 / own);
    keys.insert("relay.rss_mb", relay.peak_memory()?);
    match proxied.is_empty() {
        true => println!("skipped: relay.nginx_over_gzip_dc, since the program nginx is not installed"),
        false => drop(keys.insert("relay.nginx_over_gzip_dc", results::median(proxied) / gzip)),
    }
    keys.insert("relay.p99_s_20_pods", pods::p99(if quick { 3 } else { 20 }).await?);
    for (key, value) in &keys {
        println!("{key:<40} {value:>12.2}");
    }
    relay.stop().await?;
    results::merge(&keys)
}
