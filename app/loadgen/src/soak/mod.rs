//! This module is the crash test: clients trade through the public API while servers are killed at random times.
//!
//! - Afterwards every acknowledged order must exist, nothing may be executed twice, and the tables must agree with the journal.
//! - It must not use a retry that hides a loss.
//! - The seed determines the clients' requests and the times of the blows. The machine's timing adds its own variation, so a seed
//!   repeats the plan of a run but not every interleaving.

mod account_watcher;
mod client;
mod cluster;
pub mod faults;
mod fold;
mod history;
mod record;
mod reports;
mod site;
mod standby;
mod tables;
mod trader;
mod watcher;

use crate::random::Random;
use anyhow::{Context, Result, ensure};
use client::SoakClient;
use fold::Fold;
use record::{Log, Record};
use site::Site;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::time::sleep;

/// Number of blows and clients.
#[derive(Debug, Clone)]
pub struct SoakSettings {
    pub seed: u64,
    /// kill -9 of the server.
    pub kills: usize,
    /// Immediate stops of PostgreSQL.
    pub database_kills: usize,
    /// kill -9 of the worker.
    pub worker_kills: usize,
    pub clients: u32,
    /// The `exchange` program.
    pub binary: PathBuf,
}

/// Time under load before each blow: minimum and maximum.
const CALM: (i64, i64) = (100, 1_200);
/// Time limit for at least one acknowledgement between two blows.
const PROGRESS: Duration = Duration::from_secs(60);

/// Target of a blow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blow {
    Server,
    Database,
    Worker,
}

/// The totals of a run.
#[derive(Debug, Default, Clone, Copy)]
pub struct SoakSummary {
    pub orders: usize,
    pub cancels: usize,
    pub fills: usize,
    pub refused: usize,
    pub unknown: usize,
    /// Servers that recovered from a snapshot and the journal's tail.
    pub from_snapshots: usize,
}

/// Runs the whole test and prints the checks.
///
/// # Errors
///
/// Returns an error if an acknowledged order is missing, a command was executed twice, or the books, tables and journal disagree.
pub async fn run(settings: &SoakSettings) -> Result<SoakSummary> {
    println!(
        "soak: seed {}, {} kills of the server, {} of PostgreSQL, {} of the worker, {} clients",
        settings.seed, settings.kills, settings.database_kills, settings.worker_kills, settings.clients
    );
    let mut random = Random::new(settings.seed);
    let mut site = Site::start(&settings.binary).await?;
    standby::check(&mut site).await.context("two servers on one database")?;

    let (address, addresses) = watch::channel(site.address());
    let log = Arc::new(Log::default());
    let (stop, stopped) = watch::channel(false);
    let clients: Vec<_> = (0..settings.clients)
        .map(|account| SoakClient::new(account, addresses.clone(), Arc::clone(&log), random.fork(), stopped.clone()))
        .collect::<Result<_>>()?;
    let mut running = tokio::task::JoinSet::new();
    clients.into_iter().for_each(|client| drop(running.spawn(client.run())));

    let mut fold = Fold::default();
    let mut summary = SoakSummary::default();
    for (number, blow) in plan(settings, &mut random).into_iter().enumerate() {
        sleep(Duration::from_millis(random.between(CALM.0, CALM.1) as u64)).await;
        progress(&log).await.with_context(|| format!("before blow {number}"))?;
        let begun = Instant::now();
        site.strike(blow).await.with_context(|| format!("blow {number}, {blow:?}"))?;
        address.send_replace(site.address());
        let back = begun.elapsed();
        let records = log.take();
        check(&site, &mut fold, &records, &mut summary).await.with_context(|| format!("after blow {number}, {blow:?}"))?;
        println!(
            "  blow {number:>3} {blow:?}: back after {back:.1?}; {} records checked, {} events",
            records.len(),
            fold.sequence()
        );
    }
    stop.send_replace(true);
    while let Some(ended) = running.join_next().await {
        ended.context("a client failed")?;
    }
    let records = log.take();
    check(&site, &mut fold, &records, &mut summary).await.context("at the end")?;
    summary.from_snapshots = site.from_snapshots;
    ensure!(settings.kills == 0 || summary.from_snapshots > 0, "no server recovered from a snapshot");
    tables::agree(&site, &fold).await.context("failed to compare the tables with the journal")?;
    site.stop().await?;
    println!("soak: passed, seed {}: {summary:?}, {} events, {} trades", settings.seed, fold.sequence(), fold.trades.len());
    Ok(summary)
}

/// The blows in a random order.
fn plan(settings: &SoakSettings, random: &mut Random) -> Vec<Blow> {
    let kinds =
        [(Blow::Server, settings.kills), (Blow::Database, settings.database_kills), (Blow::Worker, settings.worker_kills)];
    let mut plan: Vec<Blow> = kinds.into_iter().flat_map(|(blow, count)| std::iter::repeat_n(blow, count)).collect();
    for index in (1..plan.len()).rev() {
        plan.swap(index, random.below(index as u64 + 1) as usize);
    }
    plan
}

/// A blow against an idle exchange would prove nothing.
async fn progress(log: &Log) -> Result<()> {
    let end = Instant::now() + PROGRESS;
    while !log.has_acknowledged() {
        ensure!(Instant::now() < end, "nothing was acknowledged for {} s", PROGRESS.as_secs());
        sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// Compares everything in `records` with the journal and with the API's current answers.
async fn check(site: &Site, fold: &mut Fold, records: &[Record], summary: &mut SoakSummary) -> Result<()> {
    fold.read(&site.database).await?;
    for record in records {
        fold.confirm(record)?;
        match record {
            Record::Placed { fills, .. } => {
                summary.orders += 1;
                summary.fills += fills.len();
            }
            Record::Canceled { .. } => summary.cancels += 1,
            Record::Refused { .. } => summary.refused += 1,
            Record::Unknown { .. } => summary.unknown += 1,
            _ => {}
        }
    }
    fold.balanced()?;
    history::confirm(site.address(), records).await.context("asking the API")
}
