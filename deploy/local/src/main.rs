//! The table of commands. What `make` calls; people call `make`.

mod with_parts;

use std::{ffi::OsString, process::ExitCode};

use clap::{Parser, Subcommand};

/// Starts the parts of the exchange on this machine.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs a command beside a PostgreSQL and an S3 server for tests, named in its environment, and ends them after it.
    WithParts {
        #[arg(trailing_var_arg = true, required = true)]
        command: Vec<OsString>,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let ended = match Arguments::parse().command {
        Command::WithParts { command } => with_parts::run(&command).await,
    };
    ended.unwrap_or_else(|error| {
        eprintln!("{error:#}");
        ExitCode::FAILURE
    })
}
