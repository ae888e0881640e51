//! The table of subcommands, and a role's life on one page: configuration, telemetry, run, drain, say how it ended.
//! Never: what a role does.

use std::{future::Future, process::ExitCode, time::Duration};

use anyhow::Context;
use clap::{Parser, Subcommand};
use exchange::{config, db::migrate, operator, runtime, serve, worker};
use service_kit::{
    EXIT_CONFIG,
    config::Reader,
    shutdown::Shutdown,
    telemetry::{self, LogLevel, Service},
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SERVICE: Service = Service { name: "exchange", version: env!("CARGO_PKG_VERSION") };

/// A spot exchange with an API that trading bots already speak.
#[derive(Parser)]
#[command(version, after_help = "Settings come from the environment (EXCHANGE_*): each subcommand's --help lists its own.")]
struct Arguments {
    #[command(subcommand)]
    role: Role,
}

#[derive(Subcommand)]
enum Role {
    /// Serves the API; leads, or stands by while another server on the same database leads.
    #[command(after_help = config::help(config::Serve::read))]
    Serve,
    /// Projects the journal into tables and runs jobs; stands by while another worker does.
    #[command(after_help = config::help(config::Worker::read))]
    Worker {
        #[command(subcommand)]
        action: Option<WorkerAction>,
    },
    /// Brings the database's schema up to this release and exits; safe to repeat and to run twice at once.
    #[command(after_help = config::help(config::Migrate::read))]
    Migrate,
    /// Operators' actions, through the leader: assets, markets, accounts, API keys, credits. Answers JSON on stdout.
    #[command(after_help = config::help(config::Admin::read))]
    Admin(Box<operator::arguments::Arguments>),
}

#[derive(Subcommand)]
enum WorkerAction {
    /// Empties the derived tables and projects the whole journal again, archives included; then takes the trial balance.
    Rebuild,
    /// Prints jobs that failed for good, one JSON object a line.
    DeadLetters {
        #[command(subcommand)]
        action: Option<DeadLetterAction>,
    },
    /// Asks for an account's statement of a period (CSV in object storage) and prints its id.
    RequestStatement {
        #[arg(long)]
        account: u32,
        /// Its first moment, as 2026-01-31T00:00:00Z.
        #[arg(long)]
        from: String,
        /// The moment after its last one.
        #[arg(long)]
        to: String,
    },
    /// Prints an account's statements, newest first, one JSON object a line, each that is ready with a link to read it.
    Statements {
        #[arg(long)]
        account: u32,
    },
}

#[derive(Subcommand)]
enum DeadLetterAction {
    /// Also puts them back into the queue with all their attempts.
    Retry,
}

fn main() -> ExitCode {
    match Arguments::parse().role {
        Role::Serve => live(config::Serve::read, |settings| &settings.process, serve::run),
        Role::Worker { action: None } => live(config::Worker::read, |settings| &settings.process, worker::run),
        Role::Worker { action: Some(WorkerAction::Rebuild) } => {
            live(config::Worker::read, |settings| &settings.process, worker::run_rebuild)
        }
        Role::Worker { action: Some(WorkerAction::DeadLetters { action }) } => {
            answer("exchange worker", config::Worker::read, |settings| worker::command::dead_letters(settings, action.is_some()))
        }
        Role::Worker { action: Some(WorkerAction::RequestStatement { account, from, to }) } => {
            answer("exchange worker", config::Worker::read, |settings| {
                worker::command::request_statement(settings, account, from, to)
            })
        }
        Role::Worker { action: Some(WorkerAction::Statements { account }) } => {
            answer("exchange worker", config::Worker::read, |settings| worker::command::statements(settings, account))
        }
        Role::Migrate => live(config::Migrate::read, |settings| &settings.process, migrate::run),
        Role::Admin(arguments) => {
            answer(
                "exchange admin",
                config::Admin::read,
                |settings| async move { operator::client::run(&settings, *arguments).await },
            )
        }
    }
}

/// A command of a person: its answer on stdout, its fault on stderr, no log.
fn answer<Settings, Running>(name: &str, read: fn(&mut Reader) -> Settings, run: impl FnOnce(Settings) -> Running) -> ExitCode
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

/// One role from its configuration to its end. Faults of the configuration end it before anything else begins.
fn live<Settings, Run, Running>(
    read: fn(&mut Reader) -> Settings,
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
        // On a worker thread: from the thread that blocks here every wake-up of a task would have to cross threads.
        let ended =
            tokio::spawn(run(settings, telemetry.log_level(), shutdown.clone())).await.context("the role panicked").flatten();
        // A role that ends by itself takes its parts with it.
        shutdown.begin("the role has ended");
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
