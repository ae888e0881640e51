//! This module is the benchmark: four servers under one workload in alternating rounds, then the core, recovery and memory. The
//! result is the medians of the rounds.
//!
//! - Every part is real and durable: PostgreSQL with fsync and synchronous_commit on, one PostgreSQL server per arm, separate
//!   processes per arm.
//! - Processor time is the operating system's figure for server, PostgreSQL and generator together.
//! - It must not report a figure that this run did not measure.

mod arm;
mod commits;
mod figures;
mod followers;
mod machine;
mod probe;
mod recover;
mod recovery;
mod report;
mod round;
mod telemetry;

use crate::client::Credentials;
use crate::core_bench;
use crate::load;
use crate::workload::Workload;
use anyhow::{Context, Result};
use figures::Figures;
use local_parts::Folder;
use rustix::process::Signal;
use std::ops::Range;
use std::path::PathBuf;

/// Size of the measurement, and destination of the figures.
#[derive(Debug, Clone)]
pub struct BenchSettings {
    pub seed: u64,
    pub rounds: usize,
    /// Orders of each closed loop of each round.
    pub orders: u64,
    /// Seconds of each open loop.
    pub open_seconds: f64,
    pub recovery_events: u64,
    pub resting_orders: usize,
    pub core: core_bench::Size,
    pub output: PathBuf,
}

impl BenchSettings {
    /// The full measurement.
    pub fn full(seed: u64, output: PathBuf) -> Self {
        Self {
            seed,
            rounds: 5,
            orders: 20_000,
            open_seconds: 4.0,
            recovery_events: 3_000_000,
            resting_orders: core_bench::memory::ORDERS,
            core: core_bench::Size::FULL,
            output,
        }
    }

    /// Only checks that the benchmark runs.
    pub fn quick(seed: u64, output: PathBuf) -> Self {
        Self {
            seed,
            rounds: 1,
            orders: 1_500,
            open_seconds: 1.0,
            recovery_events: 50_000,
            resting_orders: 50_000,
            core: core_bench::Size::QUICK,
            output,
        }
    }
}

/// Connections of the two closed loops. The open loops have as many as the second, and run at a fraction of its rate.
const FEW: usize = 64;
const MANY: usize = 512;

/// The open loops of a round: the first one's figure is compared, the others show the parts of its time.
const OPEN: [Open; 4] = [
    Open { name: "open", arm: arm::OURS, share: 0.5, worker: true },
    Open { name: "open_without_worker", arm: arm::OURS, share: 0.5, worker: false },
    Open { name: "open_eighth", arm: arm::OURS, share: 0.125, worker: true },
    Open { name: "open_hello", arm: "hello", share: 0.5, worker: true },
];

struct Open {
    name: &'static str,
    arm: &'static str,
    /// Fraction of the rate that the exchange reached in the round's closed loop with many connections.
    share: f64,
    /// Whether the worker runs during the loop, or is paused and catches up afterwards.
    worker: bool,
}

/// Measures everything, prints the table and writes the figures.
///
/// # Errors
///
/// Returns an error if a part cannot be started or an order is not accepted.
pub async fn run(settings: &BenchSettings) -> Result<()> {
    let folder = Folder::throwaway("bench")?;
    let mut figures = Figures::default();
    let credentials = load::credentials()?;
    let workload = Workload::new(settings.seed);

    let places = arm::start_all(folder.path()).await?;
    let ours = places.iter().find(|place| place.is_ours()).context("the exchange is one of the arms")?;
    let machine = machine::describe(ours.database.as_deref().unwrap_or_default()).await?;
    println!("{machine}");
    let mut probe = probe::CommitProbe::new(ours, folder.path()).await?;
    // Warm up caches, prepared statements and connections of every arm before the first round.
    let mut next = 0;
    for place in &places {
        load::closed(place.address, &credentials, workload, FEW, next..next + settings.orders / 10).await?;
    }
    next += settings.orders / 10;
    for number in 0..settings.rounds {
        println!("round {} of {}", number + 1, settings.rounds);
        let mut rates = 0.0;
        // Rotate the order of the arms, so that no arm is always first.
        for turn in 0..places.len() {
            let place = &places[(turn + number) % places.len()];
            let round = round::closed(place, &credentials, workload, next, settings.orders).await?;
            println!("  {}", round.line(place.name));
            if place.is_ours() {
                rates = round.many.rate();
            }
            figures.add_round(place.name, &round);
        }
        next += settings.orders * 2;
        let (socket, cost) = round::socket(ours, &credentials, workload, next..next + settings.orders).await?;
        figures.add_socket(&socket, cost);
        next += settings.orders;
        figures.add("commit_p50_seconds", probe.commit().await?);
        figures.add("fdatasync_p50_seconds", probe.fdatasync()?);
        for open in &OPEN {
            let rate = rates * open.share;
            let numbers = next..next + (rate * settings.open_seconds) as u64;
            let place = places.iter().find(|place| place.name == open.arm).context("it is one of the arms")?;
            if place.is_ours() {
                next = numbers.end;
            }
            open.run(place, &credentials, workload, rate, numbers, &mut figures).await?;
        }
    }
    figures.set("ours.fills_per_order", ours.fills().await? / next as f64);
    for place in places {
        place.stop().await?;
    }
    probe.stop().await?;

    let (events_per_second, events) = recovery::measure_recovery(settings, folder.path()).await?;
    figures.set("recovery.events_per_second", events_per_second);
    figures.set("recovery.events", events);
    telemetry::measure_telemetry(settings, folder.path(), &mut figures).await?;
    followers::measure_followers(settings, folder.path(), &mut figures).await?;
    figures.set("recover.seconds_per_million_events", recover::measure_recover(settings, folder.path()).await?);
    let core = core_bench::run(settings.seed, settings.core)?;
    figures.set("core.mops_per_cpu_second", core.mops_per_cpu_second);
    figures.set("core.p50_ns", core.p50_ns);
    figures.set("core.p99_ns", core.p99_ns);
    figures.set("core.replay_mevents_per_cpu_second", core.replay_mevents_per_cpu_second);
    let cascade = core_bench::cascade::run(settings.core.rounds)?;
    figures.set("core.cascade_10k_ms", cascade.large_ms);
    figures.set("core.cascade_10k_over_1k", cascade.large_over_small);
    let bytes = core_bench::memory::in_a_fresh_process(settings.seed, settings.resting_orders)?;
    figures.set("memory.bytes_per_resting_order", bytes);
    figures.compare();
    report::print(&figures);
    figures.write(&settings.output)
}

impl Open {
    async fn run(
        &self,
        place: &arm::ArmPlace,
        credentials: &[Credentials],
        workload: Workload,
        rate: f64,
        numbers: Range<u64>,
        figures: &mut Figures,
    ) -> Result<()> {
        if !self.worker {
            place.signal_worker(Signal::STOP);
        }
        let (before, committed) = (place.cost().await?, place.commits().await?);
        let orders = numbers.end - numbers.start;
        let open = load::open(place.address, credentials, workload, MANY, rate, numbers).await;
        let spent = place.cost().await? - before;
        place.signal_worker(Signal::CONT);
        let open = open?;
        place.projected().await?;
        let name = self.name;
        figures.add(&format!("{name}.rate_per_second"), rate);
        figures.add(&format!("{name}.ack_p50_seconds"), open.quantile_seconds(0.5));
        figures.add(&format!("{name}.ack_p99_seconds"), open.quantile_seconds(0.99));
        let commits = place.commits().await?.since(&committed);
        if commits.count > 0.0 {
            figures.add(&format!("{name}.commit_mean_seconds"), commits.mean_seconds());
            figures.add(&format!("{name}.commit_p99_seconds"), commits.quantile_seconds(0.99));
            figures.add(&format!("{name}.orders_per_commit"), orders as f64 / commits.count);
        }
        figures.add(&format!("{name}.processors_busy"), spent.total().as_secs_f64() / open.elapsed.as_secs_f64());
        Ok(())
    }
}
