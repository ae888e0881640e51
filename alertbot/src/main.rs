//! The table of subcommands, and the server's life on one page: configuration, telemetry, run, drain, say how it ended.
//! Never: what a subcommand does.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use alertbot::{
    check,
    config::{self, Config, Faults, Means},
    desk::Book,
    reload,
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
    /// Take webhooks, track incidents, notify people; SIGHUP or a changed file replaces the configuration
    #[command(after_help = config::help())]
    Serve(File),
    /// Says all that is wrong with the configuration, with line and remedy, and what would be sent.
    Check(Check),
    /// Sends a real test message; without a name, to every chat.
    TestSend(TestSend),
}

#[derive(clap::Args)]
struct Check {
    #[command(flatten)]
    file: File,
    /// Shows what would be sent for this webhook body instead of the samples.
    #[arg(long)]
    payload: Option<PathBuf>,
    /// Says faults only.
    #[arg(long)]
    quiet: bool,
    /// Prints the built-in templates and what they know, and reads no configuration.
    #[arg(long)]
    templates: bool,
}

#[derive(clap::Args)]
struct TestSend {
    #[command(flatten)]
    file: File,
    /// Name of a chat; may be given several times.
    #[arg(long)]
    chat: Vec<String>,
    /// Name of a person; may be given several times.
    #[arg(long)]
    person: Vec<String>,
    /// The way to the people: every one that they have, where none is given.
    #[arg(long, value_parser = means)]
    by: Vec<Means>,
}

fn means(text: &str) -> Result<Means, String> {
    Means::ALL.into_iter().find(|means| means.name() == text).ok_or_else(|| "write telegram, sms or voice".into())
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
        Command::Check(arguments) => check(&arguments),
        Command::TestSend(arguments) => test_send(arguments),
    }
}

/// The configuration without a fault, or what to print.
fn load(file: &File) -> Result<Config, Faults> {
    let config = config::load(&file.config)?;
    match check::templates(&config, Timestamp::now()) {
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
    let now = Timestamp::now();
    let faults = check::faults(&config, now);
    let book = Book::new(config, Vec::new(), Vec::new());
    let mut warnings = check::warnings(&book.config);
    // What cannot be read is said by the preview.
    let body = arguments.payload.as_deref().and_then(|path| std::fs::read(path).ok());
    warnings.extend(body.map(|body| check::dropped_links(&book, &body)).unwrap_or_default());
    for warning in &warnings {
        eprintln!("warning: {warning}");
    }
    if !arguments.quiet {
        match preview(&book, arguments.payload.as_deref(), now) {
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
    println!("{}: nothing is wrong", arguments.file.config.display());
    ExitCode::SUCCESS
}

fn preview(book: &Book, payload: Option<&Path>, now: Timestamp) -> anyhow::Result<String> {
    let Some(path) = payload else { return Ok(check::preview(book, now)) };
    let body = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    check::preview_payload(book, &body, now).with_context(|| format!("the webhook would refuse {}", path.display()))
}

fn test_send(arguments: TestSend) -> ExitCode {
    let config = match load(&arguments.file) {
        Ok(config) => config,
        Err(faults) => return refuse(&faults),
    };
    let targets = Targets { chats: arguments.chat, people: arguments.person, by: arguments.by };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("the runtime cannot start");
    match runtime.and_then(|runtime| runtime.block_on(test_send::run(config, &targets, Timestamp::now()))) {
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

/// The server from its configuration to its end. Faults of the configuration end it before a port is bound.
fn live(file: &File) -> ExitCode {
    let config = match load(file) {
        Ok(config) => config,
        Err(faults) => return refuse(&faults),
    };
    let telemetry = match telemetry::init(SERVICE, &config.process.telemetry) {
        Ok(telemetry) => telemetry,
        Err(error) => {
            eprintln!("telemetry cannot start: {error}");
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
            tracing::error!(%error, "the runtime cannot start");
            return ExitCode::FAILURE;
        }
    };
    for fault in check::duties(&config, Timestamp::now()).into_iter().chain(check::receivers(&config)) {
        tracing::warn!(file = %file.config.display(), "{fault}");
    }
    let ended = runtime.block_on(async {
        let shutdown = Shutdown::new(config.process.shutdown_deadline);
        shutdown.on_signals()?;
        let path = file.config.clone();
        let load: reload::Load = Box::new(move || load(&File { config: path.clone() }));
        let serving = reload::run(file.config.clone(), config, load, telemetry.log_level(), shutdown.clone());
        let serving = tokio::spawn(serving);
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

/// Enough for what waits for the disk and for Telegram nearly always. The system's allocator keeps memory for each thread: more of
/// them would only make a larger process.
const WORKER_THREADS: usize = 2;
/// Drawing a picture, and looking up addresses.
const BLOCKING_THREADS: usize = 4;
/// How long threads that cannot be cancelled are waited for once every part has ended.
const BLOCKING_THREADS_TIMEOUT: Duration = Duration::from_secs(1);
