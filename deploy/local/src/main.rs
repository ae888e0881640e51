//! The table of commands. What `make` calls; people call `make`.

mod command;
mod stack;
mod with_parts;

use std::{ffi::OsString, net::SocketAddr, path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use local_parts::TraceReceiver;

use stack::{DEFAULT_PORT_BASE, StackLayout};

/// Starts the parts of the exchange on this machine.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start the exchange with live traffic in the foreground; Ctrl-C ends it
    Run(Place),
    /// Start the exchange in the background; return when every part is ready
    Up(Place),
    /// Stop the parts that `up` started
    Down(Place),
    /// Trigger an alert in a running exchange, and return when the chat shows it
    Alert {
        #[command(flatten)]
        place: Place,
        /// End the alert instead
        #[arg(long)]
        end: bool,
    },
    /// Run a command next to a whole exchange without traffic, named in its environment, then end the exchange
    WithExchange {
        #[arg(trailing_var_arg = true, required = true)]
        command: Vec<OsString>,
    },
    /// Receive spans over OTLP on a loopback port and store the newest ones in memory
    Traces {
        #[arg(long)]
        listen: SocketAddr,
    },
    /// Run a command next to a PostgreSQL and an S3 server for tests, named in its environment, then end both
    WithParts {
        #[arg(trailing_var_arg = true, required = true)]
        command: Vec<OsString>,
    },
}

/// Ports and folder of a run.
#[derive(Args)]
struct Place {
    /// Port of the REST API; all other ports follow from it; 0 selects free ports
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
        Command::Traces { listen } => TraceReceiver::start(listen).await?.serve().await?,
        Command::WithParts { command } => return with_parts::run(&command).await,
    }
    Ok(ExitCode::SUCCESS)
}

impl Place {
    fn layout(self) -> Result<StackLayout> {
        StackLayout::new(self.port_base, self.folder)
    }
}
