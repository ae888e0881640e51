//! The table of subcommands, and the server's life on one page: configuration, telemetry, run, drain, say how it ended.
//! Never: what a subcommand does.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use alertbot::{config, serve};
use anyhow::Context;
use clap::{Parser, Subcommand};
use service_kit::{
    EXIT_CONFIG,
    shutdown::Shutdown,
    telemetry::{self, Service},
};

const SERVICE: Service = Service { name: "alertbot", version: env!("CARGO_PKG_VERSION") };

/// Takes Alertmanager's alerts, loses none, and makes the right phone ring.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Takes webhooks, keeps incidents, tells people.
    #[command(after_help = config::help())]
    Serve(File),
}

#[derive(clap::Args)]
struct File {
    /// The configuration; alertbot.example.yaml shows all of it.
    #[arg(long, env = "ALERTBOT_CONFIG", default_value = "/etc/alertbot/alertbot.yaml")]
    config: PathBuf,
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Serve(file) => live(&file),
    }
}

/// The server from its configuration to its end. Faults of the configuration end it before a port is bound.
fn live(file: &File) -> ExitCode {
    let config = match config::load(&file.config) {
        Ok(config) => config,
        Err(faults) => {
            eprintln!("{faults}");
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    let telemetry = match telemetry::init(SERVICE, &config.process.telemetry) {
        Ok(telemetry) => telemetry,
        Err(error) => {
            eprintln!("telemetry cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "the runtime cannot start");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(async {
        let shutdown = Shutdown::new(config.process.shutdown_deadline);
        shutdown.on_signals()?;
        let serving = tokio::spawn(serve::run(config, telemetry.log_level(), shutdown.clone()));
        let ended = serving.await.context("the server panicked").flatten();
        // A server that ends by itself takes its parts with it.
        shutdown.begin("the server has ended");
        shutdown.drained().await;
        ended
    });
    runtime.shutdown_timeout(BLOCKING_THREADS_TIMEOUT);
    match ended {
        Ok(()) => {
            tracing::info!("ended");
            ExitCode::SUCCESS
        }
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "ended by an error");
            ExitCode::FAILURE
        }
    }
}

/// How long threads that cannot be cancelled are waited for once every part has ended.
const BLOCKING_THREADS_TIMEOUT: Duration = Duration::from_secs(1);
