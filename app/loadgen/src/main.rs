//! This module has the table of commands.

use anyhow::Result;
use anyhow::anyhow;
use clap::{Parser, Subcommand};
use exchange_loadgen::arms::{self, Arm};
use exchange_loadgen::client::now_milliseconds;
use exchange_loadgen::{bench, core_bench, simulate, soak, stage, workload};
use service_kit::shutdown::Shutdown;
use service_kit::telemetry::{self, Service};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Load on the exchange
#[derive(Parser)]
#[command(name = "exchange-loadgen", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Trade on a running exchange until stopped: several market makers and takers
    Simulate(Simulate),
    /// Measure, print a table and write the figures as one flat JSON object
    Bench(Bench),
    /// Kill servers under load, then check that acknowledged orders exist, nothing was executed twice, and all books agree
    Soak(Soak),
    /// Serve one of the arms that the benchmark compares with
    Arm {
        arm: Arm,
        #[arg(long)]
        listen: SocketAddr,
        /// Empty database of the arm
        #[arg(long)]
        database: Option<String>,
    },
}

#[derive(clap::Args)]
struct Simulate {
    /// File written by `make run` with the API's address
    #[arg(long, env = "SIMULATOR_ENDPOINTS", default_value = ".run/endpoints.json")]
    endpoints: PathBuf,
    /// Accounts of the simulator: a JSON list of {"name", "api_key", "secret_key"}; a third of them are takers, the others makers
    #[arg(long, env = "SIMULATOR_ACCOUNTS", default_value = ".run/simulator.json")]
    accounts: PathBuf,
    #[arg(long, env = "SIMULATOR_SYMBOLS", value_delimiter = ',', default_value = "BTCUSDT,ETHUSDT,BNBUSDT")]
    symbols: Vec<String>,
    /// Orders and cancels per second, all participants together
    #[arg(long, env = "SIMULATOR_RATE", default_value_t = 30.0)]
    rate: f64,
    #[arg(long, env = "SIMULATOR_SEED", default_value_t = 1)]
    seed: u64,
}

#[derive(clap::Args)]
struct Bench {
    #[command(subcommand)]
    part: Option<Part>,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only check that the benchmark runs; the figures are meaningless
    #[arg(long)]
    quick: bool,
    /// Rounds of all arms
    #[arg(long)]
    rounds: Option<usize>,
    /// Orders of each of an arm's two loops in a round
    #[arg(long)]
    orders: Option<u64>,
    #[arg(long, default_value = "target/bench.json")]
    output: PathBuf,
}

#[derive(clap::Args)]
struct Soak {
    /// Seed of a run's plan, to repeat it [default: the time]
    #[arg(long, env = "SEED")]
    seed: Option<u64>,
    /// Number of kill -9 of the server
    #[arg(long, default_value_t = 50)]
    kills: usize,
    /// Number of faults of the second part: replicas killed, paused, ended or cut off, and PostgreSQL promoted
    #[arg(long, default_value_t = 100)]
    faults: usize,
    /// Number of immediate stops of PostgreSQL
    #[arg(long, default_value_t = 10)]
    database_kills: usize,
    /// Number of kill -9 of the worker
    #[arg(long, default_value_t = 5)]
    worker_kills: usize,
    #[arg(long, default_value_t = 8)]
    clients: u32,
}

/// One part of the benchmark.
#[derive(Subcommand)]
enum Part {
    /// Measure the pure core
    Core,
    /// Measure the memory of a resting order in this process; print bytes
    Memory {
        #[arg(long, default_value_t = 1)]
        seed: u64,
        #[arg(long, default_value_t = core_bench::memory::ORDERS)]
        orders: usize,
    },
}

const SERVICE: Service = Service { name: "exchange-simulator", version: env!("CARGO_PKG_VERSION") };

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Simulate(told) => return simulate(&told),
        Command::Bench(Bench { part: Some(Part::Core), seed, quick, .. }) => {
            let size = if quick { core_bench::Size::QUICK } else { core_bench::Size::FULL };
            println!("{:#?}", core_bench::run(seed, size)?);
            println!("{:#?}", core_bench::cascade::run(size.rounds)?);
        }
        Command::Bench(Bench { part: Some(Part::Memory { seed, orders }), .. }) => {
            println!("{}", core_bench::memory::bytes_per_resting_order(seed, orders)?);
        }
        Command::Bench(told) => one_thread()?.block_on(bench::run(&told.settings()))?,
        Command::Soak(told) => {
            let (faults, settings) = (told.faults, told.settings()?);
            let script = soak::faults::FaultSettings {
                seed: settings.seed,
                faults,
                // The fault script adds a client for each replica.
                clients: settings.clients.min(workload::ACCOUNTS - 4),
                binary: settings.binary.clone(),
            };
            one_thread()?.block_on(async {
                soak::run(&settings).await?;
                let failed = soak::faults::run(&script).await?.failed_in_restarts();
                anyhow::ensure!(failed == 0, "{failed} requests failed while servers were restarted");
                anyhow::Ok(())
            })?;
        }
        Command::Arm { arm, listen, database } => {
            let runtime = exchange::runtime::build(exchange::runtime::default_threads())?;
            runtime.block_on(arms::serve(arm, listen, database.as_deref()))?;
        }
    }
    Ok(())
}

impl Bench {
    fn settings(self) -> bench::BenchSettings {
        let settings = if self.quick { bench::BenchSettings::quick } else { bench::BenchSettings::full };
        let mut settings = settings(self.seed, self.output);
        settings.rounds = self.rounds.unwrap_or(settings.rounds).max(1);
        settings.orders = self.orders.unwrap_or(settings.orders).max(100);
        settings
    }
}

impl Soak {
    fn settings(self) -> Result<soak::SoakSettings> {
        Ok(soak::SoakSettings {
            seed: self.seed.unwrap_or_else(now_milliseconds),
            kills: self.kills,
            database_kills: self.database_kills,
            worker_kills: self.worker_kills,
            clients: self.clients.clamp(1, workload::ACCOUNTS - 1),
            binary: stage::exchange_binary()?,
        })
    }
}

/// Generators use at most one processor, and count as one.
fn one_thread() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// Time from a signal until the process exits.
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(5);

fn simulate(told: &Simulate) -> Result<()> {
    let settings = simulate::SimulationSettings::read(&told.endpoints, &told.accounts, &told.symbols, told.rate, told.seed)?;
    let _telemetry =
        telemetry::init(SERVICE, &telemetry::TelemetrySettings::default()).map_err(|error| anyhow!("telemetry: {error}"))?;
    one_thread()?.block_on(async {
        let shutdown = Shutdown::new(SHUTDOWN_DEADLINE);
        shutdown.on_signals()?;
        simulate::run(settings, shutdown.token().cancelled_owned()).await
    })
}
