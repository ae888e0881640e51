//! The table of commands.

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

/// Load on the exchange.
#[derive(Parser)]
#[command(name = "exchange-loadgen", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Trades on a running exchange until it is stopped: several market makers and takers.
    Simulate(Simulate),
    /// Measures, prints a table and writes the figures as one flat JSON object.
    Bench(Bench),
    /// Kills servers under load and checks that nothing acknowledged was lost, nothing was executed twice, and all books agree.
    Soak(Soak),
    /// One of the benchmark's servers to compare with.
    Arm {
        arm: Arm,
        #[arg(long)]
        listen: SocketAddr,
        /// The arm's database, empty.
        #[arg(long)]
        database: Option<String>,
    },
}

#[derive(clap::Args)]
struct Simulate {
    /// What `make run` wrote: names the API's address.
    #[arg(long, env = "SIMULATOR_ENDPOINTS", default_value = ".run/endpoints.json")]
    endpoints: PathBuf,
    /// The simulator's own accounts: a JSON list of {"name", "api_key", "secret_key"}; a third of them take, the others make.
    #[arg(long, env = "SIMULATOR_ACCOUNTS", default_value = ".run/simulator.json")]
    accounts: PathBuf,
    #[arg(long, env = "SIMULATOR_SYMBOLS", value_delimiter = ',', default_value = "BTCUSDT,ETHUSDT,BNBUSDT")]
    symbols: Vec<String>,
    /// Orders and cancels a second, all participants together.
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
    /// Only checks that it runs: the figures mean nothing.
    #[arg(long)]
    quick: bool,
    /// Rounds of all arms.
    #[arg(long)]
    rounds: Option<usize>,
    /// Orders of each of an arm's two loops in a round.
    #[arg(long)]
    orders: Option<u64>,
    #[arg(long, default_value = "target/bench.json")]
    output: PathBuf,
}

#[derive(clap::Args)]
struct Soak {
    /// Repeats a run's plan; the default is the time.
    #[arg(long, env = "SEED")]
    seed: Option<u64>,
    /// kill -9 of the server.
    #[arg(long, default_value_t = 50)]
    kills: usize,
    /// Immediate stops of PostgreSQL.
    #[arg(long, default_value_t = 10)]
    database_kills: usize,
    /// kill -9 of the worker.
    #[arg(long, default_value_t = 5)]
    worker_kills: usize,
    #[arg(long, default_value_t = 8)]
    clients: u32,
}

/// A part of the benchmark alone.
#[derive(Subcommand)]
enum Part {
    /// The pure core.
    Core,
    /// Memory of a resting order, in this process; prints bytes.
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
            one_thread()?.block_on(soak::run(&told.settings()?))?;
        }
        Command::Arm { arm, listen, database } => {
            let runtime = exchange::runtime::build(exchange::runtime::default_threads())?;
            runtime.block_on(arms::serve(arm, listen, database.as_deref()))?;
        }
    }
    Ok(())
}

impl Bench {
    fn settings(self) -> bench::Settings {
        let settings = if self.quick { bench::Settings::quick } else { bench::Settings::full };
        let mut settings = settings(self.seed, self.output);
        settings.rounds = self.rounds.unwrap_or(settings.rounds).max(1);
        settings.orders = self.orders.unwrap_or(settings.orders).max(100);
        settings
    }
}

impl Soak {
    fn settings(self) -> Result<soak::Settings> {
        Ok(soak::Settings {
            seed: self.seed.unwrap_or_else(now_milliseconds),
            kills: self.kills,
            database_kills: self.database_kills,
            worker_kills: self.worker_kills,
            clients: self.clients.clamp(1, workload::ACCOUNTS - 1),
            binary: stage::exchange_binary()?,
        })
    }
}

/// Generators take one processor at most, and count as one.
fn one_thread() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// From a signal until the process ends.
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(5);

fn simulate(told: &Simulate) -> Result<()> {
    let settings = simulate::Settings::read(&told.endpoints, &told.accounts, &told.symbols, told.rate, told.seed)?;
    let _telemetry = telemetry::init(SERVICE, &telemetry::Settings::default()).map_err(|error| anyhow!("telemetry: {error}"))?;
    one_thread()?.block_on(async {
        let shutdown = Shutdown::new(SHUTDOWN_DEADLINE);
        shutdown.on_signals()?;
        simulate::run(settings, shutdown.token().cancelled_owned()).await
    })
}
