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

const EXIT_STATUSES: &str = "Exit status: 0 success, 1 a part failed or is missing, 2 wrong arguments";
const STATUS_OF_THE_COMMAND: &str =
    "Exit status: that of the command, 130 if a signal ended it, 1 a part failed or is missing, 2 wrong arguments";
/// Settings of tests are not arguments: the helpers in the tests read the same ones.
const PROGRAMS: &str = "Settings:\n  POSTGRESQL_FOLDER  folder of PostgreSQL's programs to use instead of Debian's newest";

#[derive(Subcommand)]
enum Command {
    /// Start the exchange with live traffic in the foreground; Ctrl-C ends it
    #[command(after_help = statuses(EXIT_STATUSES))]
    Run(Place),
    /// Start the exchange in the background; return when every part is ready
    #[command(after_help = statuses(EXIT_STATUSES))]
    Up(Place),
    /// Stop the parts that `up` started
    #[command(after_help = EXIT_STATUSES)]
    Down(Place),
    /// Trigger an alert in a running exchange, and return when the chat shows it
    #[command(after_help = EXIT_STATUSES)]
    Alert {
        #[command(flatten)]
        place: Place,
        /// End the alert instead
        #[arg(long)]
        end: bool,
    },
    /// Run a command next to a whole exchange without traffic, named in its environment, then end the exchange
    ///
    /// The command receives the path of endpoints.json in TEST_ENDPOINTS, that of the program in TEST_EXCHANGE, and the settings of
    /// the exchange.
    #[command(after_help = statuses(STATUS_OF_THE_COMMAND))]
    WithExchange {
        /// Program and arguments, after `--`
        #[arg(trailing_var_arg = true, required = true)]
        command: Vec<OsString>,
    },
    /// Receive spans over OTLP on a loopback port and store the newest ones in memory
    #[command(after_help = EXIT_STATUSES)]
    Traces {
        /// Loopback address and port
        #[arg(long)]
        listen: SocketAddr,
    },
    /// Run a command next to a PostgreSQL and an S3 server for tests, named in its environment, then end both
    ///
    /// The command receives the server's address in TEST_POSTGRES_URL, and the store's address and keys as JSON in TEST_S3.
    #[command(after_help = statuses(STATUS_OF_THE_COMMAND))]
    WithParts {
        /// Program and arguments, after `--`
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

/// The end of a help text of a subcommand that starts PostgreSQL.
fn statuses(text: &str) -> String {
    format!("{PROGRAMS}\n\n{text}")
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
