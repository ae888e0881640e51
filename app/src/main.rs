//! This module holds the table of subcommands and the life cycle of a role: configuration, telemetry, run, drain, exit status. It
//! must not contain the work of a role.

use std::{future::Future, process::ExitCode, time::Duration};

use anyhow::Context;
use clap::{Parser, Subcommand};
use exchange::{config, db::migrate, operator, probe, recover, runtime, serve, worker};
use service_kit::{
    EXIT_CONFIG,
    config::SettingsReader,
    shutdown::Shutdown,
    telemetry::{self, LogLevel, Service},
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SERVICE: Service = Service { name: "exchange", version: env!("CARGO_PKG_VERSION") };

/// A spot exchange with an API that trading bots already speak.
#[derive(Parser)]
#[command(
    version,
    after_help = "Settings are environment variables (EXCHANGE_*). The --help of each subcommand lists its \
 settings."
)]
struct Arguments {
    #[command(subcommand)]
    role: Role,
}

#[derive(Subcommand)]
enum Role {
    /// Serve the API; one server of a database leads, the others are standbys
    #[command(after_help = config::help(config::ServeSettings::read))]
    Serve,
    /// Project the journal into tables and run jobs; other workers are standbys
    #[command(after_help = config::help(config::WorkerSettings::read))]
    Worker {
        #[command(subcommand)]
        action: Option<WorkerAction>,
    },
    /// Migrate the database schema to this release and exit; safe to repeat and to run concurrently
    #[command(after_help = config::help(config::Migrate::read))]
    Migrate,
    /// Place, read back and cancel an order every few seconds through the API, and export how that goes as metrics
    #[command(after_help = config::help(config::ProbeSettings::read))]
    Probe,
    /// Store the files of the served pages in object storage under content-hashed names; safe to repeat; print them as JSON
    #[command(after_help = config::help(config::Publish::read))]
    Publish,
    /// Build a new, empty database from object storage after the loss of the old one; print a report as JSON
    #[command(after_help = config::help(config::Recover::read))]
    Recover(recover::arguments::RecoverArguments),
    /// Run an operator action through the leader: assets, markets, accounts, API keys, credits; print JSON
    #[command(after_help = config::help(config::AdminSettings::read))]
    Admin(Box<operator::arguments::AdminArguments>),
}

#[derive(Subcommand)]
enum WorkerAction {
    /// Empty the derived tables, project the whole journal again, archives included, then take the trial balance
    Rebuild,
    /// Print jobs that failed permanently, one JSON object per line
    DeadLetters {
        #[command(subcommand)]
        action: Option<DeadLetterAction>,
    },
    /// Request an account statement for a period (CSV in object storage) and print its id
    RequestStatement {
        #[arg(long)]
        account: u32,
        /// Start of the period, inclusive, as 2026-01-31T00:00:00Z
        #[arg(long)]
        from: String,
        /// End of the period, exclusive
        #[arg(long)]
        to: String,
    },
    /// Print the statements of an account, newest first, one JSON object per line, with a download link once ready
    Statements {
        #[arg(long)]
        account: u32,
    },
}

#[derive(Subcommand)]
enum DeadLetterAction {
    /// Also put them back into the queue with the full number of attempts
    Retry,
}

fn main() -> ExitCode {
    match Arguments::parse().role {
        Role::Serve => live(config::ServeSettings::read, |settings| &settings.process, serve::run),
        Role::Worker { action: None } => live(config::WorkerSettings::read, |settings| &settings.process, worker::run),
        Role::Worker { action: Some(WorkerAction::Rebuild) } => {
            live(config::WorkerSettings::read, |settings| &settings.process, worker::run_rebuild)
        }
        Role::Worker { action: Some(WorkerAction::DeadLetters { action }) } => {
            answer("exchange worker", config::WorkerSettings::read, |settings| {
                worker::command::dead_letters(settings, action.is_some())
            })
        }
        Role::Worker { action: Some(WorkerAction::RequestStatement { account, from, to }) } => {
            answer("exchange worker", config::WorkerSettings::read, |settings| {
                worker::command::request_statement(settings, account, from, to)
            })
        }
        Role::Worker { action: Some(WorkerAction::Statements { account }) } => {
            answer("exchange worker", config::WorkerSettings::read, |settings| worker::command::statements(settings, account))
        }
        Role::Migrate => live(config::Migrate::read, |settings| &settings.process, migrate::run),
        Role::Probe => live(config::ProbeSettings::read, |settings| &settings.process, probe::run),
        Role::Publish => answer("exchange publish", config::Publish::read, serve::publish),
        Role::Recover(arguments) => {
            answer("exchange recover", config::Recover::read, |settings| recover::run(settings, arguments))
        }
        Role::Admin(arguments) => answer("exchange admin", config::AdminSettings::read, |settings| async move {
            operator::client::run(&settings, *arguments).await
        }),
    }
}

/// Runs an interactive command: result on stdout, error on stderr, no log.
fn answer<Settings, Running>(
    name: &str,
    read: fn(&mut SettingsReader) -> Settings,
    run: impl FnOnce(Settings) -> Running,
) -> ExitCode
where
    Running: Future<Output = anyhow::Result<()>>,
{
    let settings = match config::load(read) {
        Ok(settings) => settings,
        Err(faults) => {
            eprintln!("{faults}");
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(run(settings))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs one role from its configuration to its exit. A configuration error stops it before anything else starts.
fn live<Settings, Run, Running>(
    read: fn(&mut SettingsReader) -> Settings,
    process: fn(&Settings) -> &config::Process,
    run: Run,
) -> ExitCode
where
    Run: FnOnce(Settings, LogLevel, Shutdown) -> Running,
    Running: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let settings = match config::load(read) {
        Ok(settings) => settings,
        Err(faults) => {
            eprintln!("{faults}");
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    let telemetry = match telemetry::init(SERVICE, &process(&settings).telemetry) {
        Ok(telemetry) => telemetry,
        Err(error) => {
            eprintln!("telemetry cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let runtime = match runtime::build(process(&settings).runtime_threads) {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "the runtime cannot start");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(async {
        let shutdown = Shutdown::new(process(&settings).shutdown_deadline);
        shutdown.on_signals()?;
        // On a worker thread: every wake-up of a task on the blocking thread would have to cross threads.
        let ended =
            tokio::spawn(run(settings, telemetry.log_level(), shutdown.clone())).await.context("the role panicked").flatten();
        // A role that returns early also stops its tasks.
        shutdown.begin("role stopped");
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

/// Time to wait for threads that cannot be cancelled once every task has ended.
const BLOCKING_THREADS_TIMEOUT: Duration = Duration::from_secs(1);
