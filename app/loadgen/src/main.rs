//! The table of commands.

use anyhow::Result;
use anyhow::anyhow;
use clap::{Parser, Subcommand};
use exchange_loadgen::{core_bench, simulate};
use service_kit::shutdown::Shutdown;
use service_kit::telemetry::{self, Service};
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
    /// Measures, prints a table and writes target/bench.json.
    #[command(subcommand)]
    Bench(Bench),
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

#[derive(Subcommand)]
enum Bench {
    /// The pure core alone.
    Core {
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Only checks that it runs.
        #[arg(long)]
        quick: bool,
    },
    /// Memory of a resting order; prints bytes.
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
        Command::Bench(Bench::Core { seed, quick }) => {
            let size = if quick { core_bench::Size::QUICK } else { core_bench::Size::FULL };
            println!("{:#?}", core_bench::run(seed, size)?);
            println!("bytes per resting order: {:.1}", core_bench::memory::in_a_fresh_process(seed, core_bench::memory::ORDERS)?);
        }
        Command::Bench(Bench::Memory { seed, orders }) => {
            println!("{}", core_bench::memory::bytes_per_resting_order(seed, orders)?);
        }
    }
    Ok(())
}

/// From a signal until the process ends.
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(5);

fn simulate(told: &Simulate) -> Result<()> {
    let settings = simulate::Settings::read(&told.endpoints, &told.accounts, &told.symbols, told.rate, told.seed)?;
    let _telemetry = telemetry::init(SERVICE, &telemetry::Settings::default()).map_err(|error| anyhow!("telemetry: {error}"))?;
    // One thread is plenty, and leaves the processors to the exchange.
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let shutdown = Shutdown::new(SHUTDOWN_DEADLINE);
        shutdown.on_signals()?;
        simulate::run(settings, shutdown.token().cancelled_owned()).await
    })
}
