//! The table of commands. What `make` calls; people call `make`.

mod command;
mod stack;
mod with_parts;

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use stack::{DEFAULT_PORT_BASE, Layout};

/// Starts the parts of the exchange on this machine.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Starts the exchange with live traffic in the foreground; Ctrl-C ends it all.
    Run(Place),
    /// The same in the background; returns when every part is ready.
    Up(Place),
    /// Ends what `up` started.
    Down(Place),
    /// Provokes an alert in a run that is up, and returns when the chat shows it.
    Alert {
        #[command(flatten)]
        place: Place,
        /// Ends the alert instead.
        #[arg(long)]
        end: bool,
    },
    /// Runs a command beside a whole exchange without traffic, named in its environment, and ends it after it.
    WithExchange {
        #[arg(trailing_var_arg = true, required = true)]
        command: Vec<OsString>,
    },
    /// Runs a command beside a PostgreSQL and an S3 server for tests, named in its environment, and ends them after it.
    WithParts {
        #[arg(trailing_var_arg = true, required = true)]
        command: Vec<OsString>,
    },
}

/// Where a run is.
#[derive(Args)]
struct Place {
    /// The port of the REST API, which the others follow; 0 takes any free ports.
    #[arg(long, env = "PORT_BASE", default_value_t = DEFAULT_PORT_BASE)]
    port_base: u16,
    /// Data, logs and endpoints.json [default: .run in the repository]
    #[arg(long, env = "RUN_FOLDER")]
    folder: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    ended(Arguments::parse().command).await.unwrap_or_else(|error| {
        eprintln!("{error:#}");
        ExitCode::FAILURE
    })
}

async fn ended(command: Command) -> Result<ExitCode> {
    match command {
        Command::Run(place) => stack::run(&place.layout()?).await?,
        Command::Up(place) => stack::up(&place.layout()?).await?,
        Command::Down(place) => stack::down(&place.layout()?).await?,
        Command::Alert { place, end } => stack::alert(&place.layout()?, end).await?,
        Command::WithExchange { command } => return stack::beside(&command).await,
        Command::WithParts { command } => return with_parts::run(&command).await,
    }
    Ok(ExitCode::SUCCESS)
}

impl Place {
    fn layout(self) -> Result<Layout> {
        Layout::new(self.port_base, self.folder)
    }
}
