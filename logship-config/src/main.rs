//! The table of commands, and a command's life: settings, run, say how it ended. Never: what a command does.

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand, error::ErrorKind};
use logship::{
    check,
    config::{self, Config, Needs},
    daemon,
    exit::{Exit, Failure},
    relay,
};

/// Elasticsearch's index lifecycle as declared in files, and a way to it that loses no log.
#[derive(Parser)]
#[command(version, after_help = after_help())]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Says all that is wrong with the declared files, with file and line; sends nothing.
    Check(Declared),
    /// Takes _bulk from a shipper beside it and loses nothing of it on the way to Elasticsearch.
    Relay,
}

#[derive(clap::Args)]
struct Declared {
    /// Folder of the declared files, instead of the setting's.
    #[arg(long)]
    declared: Option<PathBuf>,
}

fn after_help() -> String {
    format!("{}\nSettings (environment):\n{}", Exit::HELP, config::help())
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Nothing more can be said when the terminal is gone. Clap's own status, 2, means changes here.
            let _ = error.print();
            let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            return ExitCode::from(if asked { 0 } else { Exit::Configuration as u8 });
        }
    };
    let ended = match arguments.command {
        Command::Check(files) => check(files),
        Command::Relay => relay(),
    };
    ended.unwrap_or_else(|failure| {
        eprintln!("logship: {failure}");
        ExitCode::from(failure.exit as u8)
    })
}

fn load(needs: Needs) -> Result<Config, Failure> {
    config::load(needs).map_err(|faults| Failure::new(Exit::Configuration, faults.to_string()))
}

fn check(files: Declared) -> Result<ExitCode, Failure> {
    let config = load(Needs::default())?;
    let folder = files.declared.unwrap_or(config.declared);
    let desired = check::run(&folder)?;
    let (objects, streams) = (desired.objects.len(), desired.streams.len());
    println!("{}: {objects} objects and {streams} data streams, nothing is wrong", folder.display());
    Ok(ExitCode::SUCCESS)
}

fn relay() -> Result<ExitCode, Failure> {
    let config = load(Needs { cluster: true, relay: true })?;
    let cluster = config.cluster.ok_or_else(|| Failure::new(Exit::Configuration, "no address of Elasticsearch"))?;
    Ok(daemon::live(&config.process, |daemon| relay::run(cluster, config.relay, daemon)))
}
