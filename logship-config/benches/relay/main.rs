//! What the relay costs beside the least that anybody must do with the same bytes: `gzip -dc` of the same chunks; and beside what
//! stands there without it, nginx's `proxy_pass`. Prints a table and merges its keys into `target/bench.json`.
//!
//! `cargo bench -p logship --bench relay -- [--quick]`; quick is for trying it out.

mod bulk;
mod chunks;
mod measure;
mod nginx;
#[path = "../results.rs"]
mod results;

use std::collections::BTreeMap;

use anyhow::Result;
use clap::Parser;

/// Measures the relay.
#[derive(Parser)]
struct Arguments {
    /// Few rounds, figures that mean little.
    #[arg(long)]
    quick: bool,
    /// Cargo says it to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

/// Arms take turns so often: what else the machine does befalls each.
const ROUNDS: usize = 5;

#[tokio::main]
async fn main() -> Result<()> {
    let quick = Arguments::parse().quick;
    let rounds = if quick { 1 } else { ROUNDS };
    let chunks = chunks::make(if quick { 4 } else { 20 })?;
    let server = bulk::Server::start().await?;
    let mut relay = measure::Relay::start(&server.url()).await?;
    let nginx = nginx::Nginx::start(server.address()).await?;
    // Connections are made and memory has its size before anything counts.
    relay.send(&chunks).await?;
    let (mut gzip, mut own, mut beside) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        gzip.push(measure::gzip(&chunks, if quick { 1 } else { 5 })?);
        own.push(relay.measure(&chunks, if quick { 1 } else { 5 }).await?);
        if let Some(nginx) = &nginx {
            beside.push(nginx.measure(&chunks, if quick { 1 } else { 5 }).await?);
        }
    }
    let (gzip, own) = (results::median(gzip), results::median(own));
    let mut keys: BTreeMap<&str, f64> = BTreeMap::new();
    keys.insert("relay.cpu_over_gzip_dc", own / gzip);
    keys.insert("relay.docs_per_cpu_second", chunks::DOCUMENTS as f64 / own);
    keys.insert("relay.rss_mb", relay.peak_memory()?);
    match beside.is_empty() {
        true => println!("skipped: relay.nginx_over_gzip_dc, since there is no program nginx on this machine"),
        false => drop(keys.insert("relay.nginx_over_gzip_dc", results::median(beside) / gzip)),
    }
    for (key, value) in &keys {
        println!("{key:<40} {value:>12.2}");
    }
    relay.stop().await?;
    results::merge(&keys)
}
