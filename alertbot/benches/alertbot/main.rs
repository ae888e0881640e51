//! How fast and how small the alert bot is, as a process of its own beside a Telegram emulator and a real Alertmanager. Prints
//! a table and merges its keys into `target/bench.json`.
//!
//! `cargo bench -p alertbot --bench alertbot -- [--quick]`; quick is for trying it out.

#[allow(dead_code, reason = "shared with the tests, which use the rest of it")]
#[path = "../../tests/it/bot.rs"]
mod bot;
mod measure;
mod native;
#[allow(dead_code, reason = "shared with the tests, which use the rest of it")]
#[path = "../../tests/it/payloads.rs"]
mod payloads;
#[allow(dead_code, reason = "shared with the tests, which use the rest of it")]
#[path = "../../tests/it/program.rs"]
mod program;

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, Result};
use clap::Parser;

/// Measures the alert bot.
#[derive(Parser)]
struct Arguments {
    /// Few rounds, figures that mean little.
    #[arg(long)]
    quick: bool,
    /// Cargo says it to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

/// Where everything that is measured in this workspace is collected.
const RESULTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/bench.json");

#[tokio::main]
async fn main() -> Result<()> {
    let quick = Arguments::parse().quick;
    let mut keys: BTreeMap<&str, f64> = BTreeMap::new();
    keys.insert("alertbot.accepted_to_api_p99_ms", measure::accepted_to_api(if quick { 50 } else { 500 }).await?);
    let load = measure::load(if quick { 500 } else { 10_000 }, if quick { 3 } else { 100 }).await?;
    keys.insert("alertbot.alerts_per_second", load.alerts_per_second);
    keys.insert("alertbot.restart_ms", load.restart_ms);
    keys.insert("alertbot.rss_mb", load.rss_mb);
    keys.insert("alertbot.p50_over_alertmanager_native", native::ratio(if quick { 5 } else { 60 }).await?);
    for (key, value) in &keys {
        println!("{key:<40} {value:>12.2}");
    }
    merge(Path::new(RESULTS), &keys)
}

/// Keeps the keys of others.
fn merge(path: &Path, keys: &BTreeMap<&str, f64>) -> Result<()> {
    let mut all: serde_json::Map<String, serde_json::Value> = match std::fs::read_to_string(path) {
        Ok(text) => serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))?,
        Err(_) => Default::default(),
    };
    all.extend(keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())));
    std::fs::write(path, serde_json::to_string_pretty(&all)?).with_context(|| format!("writing {}", path.display()))
}
