//! This program ships the logs of `make run` to Elasticsearch as the pipeline in `fluent-bit/` does from a node: same documents, same
//! streams, same requests. It is for development: it knows the files of a run and stores no positions. A node has Fluent Bit.
//!
//! ```text
//! tail ─► lines (pure) ─► document (pure) ─► chunk ─► the relay
//! ```

mod chunk;
mod document;
mod lines;
mod tail;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context, Result};
use clap::Parser;
use service_kit::{
    shutdown::Shutdown,
    telemetry::{self, Service, TelemetrySettings},
};

use crate::{chunk::ChunkSender, tail::Tails};

const SERVICE: Service = Service { name: "development-shipper", version: env!("CARGO_PKG_VERSION") };
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(5);
/// Interval between two reads of the files.
const EVERY: Duration = Duration::from_millis(250);

/// Ship the log files of a run to logship's relay
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Folder of the log files, `<part>.log` each
    #[arg(long)]
    logs: PathBuf,
    /// Address of the relay, such as http://127.0.0.1:9651
    #[arg(long)]
    relay: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let _telemetry = match telemetry::init(SERVICE, &TelemetrySettings::default()) {
        Ok(telemetry) => telemetry,
        Err(error) => {
            eprintln!("development-shipper: failed to start telemetry: {error}");
            return ExitCode::FAILURE;
        }
    };
    match run(&arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "failed; exiting");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<()> {
    let shutdown = Shutdown::new(SHUTDOWN_DEADLINE);
    shutdown.on_signals().context("failed to listen to signals")?;
    let stop = shutdown.token();
    let sender = ChunkSender::new(&arguments.relay)?;
    let mut tails = Tails::new(arguments.logs.clone());
    while !stop.is_cancelled() {
        let documents = tails.read(jiff::Timestamp::now())?;
        if documents.is_empty() {
            stop.run_until_cancelled(tokio::time::sleep(EVERY)).await;
        } else {
            // Returns an unsuccessful result only on shutdown.
            sender.ship(&documents, &stop).await;
        }
    }
    tracing::info!("ended");
    Ok(())
}
