//! This program serves the fake, for `make run` and for a first try of `logship`.

use std::{net::SocketAddr, process::ExitCode, time::Duration};

use anyhow::{Context, Result};
use clap::Parser;
use elasticsearch_fake::{Cluster, Fake};

/// Run a fake of the part of Elasticsearch 9 that logship uses; it stores everything in memory
#[derive(Parser)]
#[command(version, after_help = "Exit status: 0 after SIGTERM or SIGINT, 1 after an error, 2 wrong arguments")]
struct Arguments {
    /// Host and port; port 0 selects a free one
    #[arg(long, default_value = "127.0.0.1:9200")]
    listen: SocketAddr,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("elasticsearch-fake: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<()> {
    let fake = Fake::start_on(arguments.listen, Cluster::default()).await?;
    println!("a fake of Elasticsearch listens at {}", fake.url());
    let shutdown = service_kit::shutdown::Shutdown::new(Duration::from_secs(5));
    shutdown.on_signals().context("failed to listen to signals")?;
    let ended = shutdown.token();
    tokio::select! {
        () = ended.cancelled() => {}
        () = fake.serve() => {}
    }
    Ok(())
}
