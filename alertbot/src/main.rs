//! This module defines the subcommands and the server's life: configuration, telemetry, run, drain, report how it ended.
//! It must not contain the work of a subcommand.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use alertbot::{
    check,
    clock::Clock,
    config::{self, Config, Faults, Means},
    reload,
    routing::Routing,
    test_send::{self, Targets},
};
use anyhow::Context;
use clap::{Parser, Subcommand};
use jiff::Timestamp;
use service_kit::{
    EXIT_CONFIG,
    shutdown::Shutdown,
    telemetry::{self, Service},
};

const SERVICE: Service = Service { name: "alertbot", version: env!("CARGO_PKG_VERSION"), role: "serve" };
const SERVE_STATUSES: &str =
    "Exit status: 0 after SIGTERM or SIGINT, 1 after an error, 64 if the configuration has faults, 2 wrong arguments";
const CHECK_STATUSES: &str = "Exit status: 0 if there are no faults, 1 if the payload cannot be previewed, 64 if the configuration has faults, 2 wrong arguments";
const TEST_SEND_STATUSES: &str =
    "Exit status: 0 if every message was delivered, 1 if one was not, 64 if the configuration has faults, 2 wrong arguments";

/// Notify the on-call engineer of Alertmanager's alerts by Telegram, SMS or call
#[derive(Parser)]
#[command(version, after_help = "The --help of each subcommand lists its settings and exit statuses.")]
struct Arguments {
    #[command(subcommand)]
    command: CliCommand,
}

#[derive(Subcommand)]
enum CliCommand {
    /// Receive webhooks, track incidents, notify people; SIGHUP or a changed file reloads the configuration
    #[command(after_help = format!("{}\n{SERVE_STATUSES}", config::help()))]
    Serve(File),
    /// List every fault of the configuration with its line and fix, and preview the messages
    #[command(after_help = format!("{}\n{CHECK_STATUSES}", config::help()))]
    Check(Check),
    /// Send a real test message; without a name, to every chat
    #[command(after_help = format!("{}\n{TEST_SEND_STATUSES}", config::help()))]
    TestSend(TestSend),
}

#[derive(clap::Args)]
struct Check {
    #[command(flatten)]
    file: File,
    /// Preview the messages for this webhook body instead of the samples
    #[arg(long)]
    payload: Option<PathBuf>,
    /// Print faults only
    #[arg(long)]
    quiet: bool,
    /// Print the built-in templates and the names available to them, without reading a configuration
    #[arg(long)]
    templates: bool,
}

#[derive(clap::Args)]
struct TestSend {
    #[command(flatten)]
    file: File,
    /// Name of a chat; repeatable
    #[arg(long)]
    chat: Vec<String>,
    /// Name of a person; repeatable
    #[arg(long)]
    person: Vec<String>,
    /// Means to reach the people: telegram, sms or voice; default: every means of the person; repeatable
    #[arg(long, value_parser = means)]
    by: Vec<Means>,
}

fn means(text: &str) -> Result<Means, String> {
    Means::ALL.into_iter().find(|means| means.name() == text).ok_or_else(|| "expected telegram, sms or voice".into())
}

#[derive(clap::Args)]
struct File {
    /// Configuration file; alertbot.example.yaml shows every setting
    #[arg(long, env = "ALERTBOT_CONFIG", default_value = "/etc/alertbot/alertbot.yaml")]
    config: PathBuf,
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        CliCommand::Serve(file) => live(&file),
        CliCommand::Check(arguments) => check(&arguments),
        CliCommand::TestSend(arguments) => test_send(arguments),
    }
}

/// Returns the validated configuration.
fn load(file: &File) -> Result<Config, Faults> {
    let config = config::load(&file.config)?;
    match check::templates(&config, Clock::default().now()) {
        faults if faults.is_empty() => Ok(config),
        faults => Err(Faults::of_file(&file.config, faults)),
    }
}

fn refuse(faults: &Faults) -> ExitCode {
    eprintln!("{faults}");
    ExitCode::from(EXIT_CONFIG)
}

fn check(arguments: &Check) -> ExitCode {
    if arguments.templates {
        print!("{}", check::template_help());
        return ExitCode::SUCCESS;
    }
    let config = match config::load(&arguments.file.config) {
        Ok(config) => config,
        Err(faults) => return refuse(&faults),
    };
    let now = Clock::default().now();
    let faults = check::faults(&config, now);
    let routing = Routing::new(config, Vec::new(), Vec::new());
    let mut warnings = check::warnings(&routing.config);
    warnings.extend(check::skipped_events(&routing.config, now));
    // The preview reports a file that cannot be read.
    let body = arguments.payload.as_deref().and_then(|path| std::fs::read(path).ok());
    warnings.extend(body.map(|body| check::dropped_links(&routing, &body)).unwrap_or_default());
    for warning in &warnings {
        eprintln!("warning: {warning}");
    }
    if !arguments.quiet {
        match preview(&routing, arguments.payload.as_deref(), now) {
            Ok(text) => print!("{text}"),
            Err(error) => {
                eprintln!("{error:#}");
                return ExitCode::FAILURE;
            }
        }
    }
    if !faults.is_empty() {
        return refuse(&Faults::of_file(&arguments.file.config, faults));
    }
    println!("{}: no faults", arguments.file.config.display());
    ExitCode::SUCCESS
}

fn preview(routing: &Routing, payload: Option<&Path>, now: Timestamp) -> anyhow::Result<String> {
    let Some(path) = payload else { return Ok(check::preview(routing, now)) };
    let body = std::fs::read(path).with_context(|| format!("failed to read {}", path.display()))?;
    check::preview_payload(routing, &body, now).with_context(|| format!("the webhook would reject {}", path.display()))
}

fn test_send(arguments: TestSend) -> ExitCode {
    let config = match load(&arguments.file) {
        Ok(config) => config,
        Err(faults) => return refuse(&faults),
    };
    let targets = Targets { chats: arguments.chat, people: arguments.person, by: arguments.by };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("failed to start the runtime");
    match runtime.and_then(|runtime| runtime.block_on(test_send::send_all(config, &targets, Clock::default().now()))) {
        Ok((lines, all)) => {
            lines.iter().for_each(|line| println!("{line}"));
            if all { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the server from its configuration to its end. A faulty configuration ends it before it binds a port.
fn live(file: &File) -> ExitCode {
    let config = match load(file) {
        Ok(config) => config,
        Err(faults) => return refuse(&faults),
    };
    let telemetry = match telemetry::init(SERVICE, &config.process.telemetry) {
        Ok(telemetry) => telemetry,
        Err(error) => {
            eprintln!("failed to start telemetry: {error}");
            return ExitCode::FAILURE;
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKER_THREADS)
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "failed to start the runtime");
            return ExitCode::FAILURE;
        }
    };
    let name = file.config.display().to_string();
    for fault in check::duties(&config, Clock::default().now()).into_iter().chain(check::receiver_faults(&config)) {
        tracing::warn!(file = name, "{}", fault.in_file(&name));
    }
    let ended = runtime.block_on(async {
        let shutdown = Shutdown::new(config.process.shutdown_deadline);
        shutdown.on_signals()?;
        let path = file.config.clone();
        let load: reload::Load = Box::new(move || load(&File { config: path.clone() }));
        let serving = reload::run(file.config.clone(), config, load, telemetry.log_level(), shutdown.clone());
        let serving = tokio::spawn(serving);
        let ended = serving.await.context("the server panicked").flatten();
        // If the server ends without a signal, this stops its parts.
        shutdown.begin("the server ended");
        shutdown.drained().await;
        ended
    });
    runtime.shutdown_timeout(BLOCKING_THREADS_TIMEOUT);
    telemetry::log_end(&ended)
}

/// The work mostly waits for the disk and for Telegram. The system's allocator retains memory for each thread, so more threads would
/// only enlarge the process.
const WORKER_THREADS: usize = 2;
/// Used to draw charts and to resolve host names.
const BLOCKING_THREADS: usize = 4;
/// Wait for threads that cannot be cancelled, after every part has ended.
const BLOCKING_THREADS_TIMEOUT: Duration = Duration::from_secs(1);
