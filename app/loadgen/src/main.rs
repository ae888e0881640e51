//! The table of commands.

use anyhow::Result;
use clap::{Parser, Subcommand};
use exchange_loadgen::core_bench;

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
    /// Measures, prints a table and writes target/bench.json.
    #[command(subcommand)]
    Bench(Bench),
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

fn main() -> Result<()> {
    match Arguments::parse().command {
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
