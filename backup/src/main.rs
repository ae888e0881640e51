//! The table of commands, and a command's life: configuration, telemetry, run, say how it ended. Never: what a command does.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use backup::{
    command::{self, Output},
    config::{self, Needs},
    failure::Exit,
    layout::BackupId,
};
use clap::{Parser, Subcommand};
use service_kit::{
    EXIT_CONFIG,
    telemetry::{self, Stream},
};

/// Backs PostgreSQL up to object storage, and proves it by restoring.
#[derive(Parser)]
#[command(version, after_help = after_help())]
struct Arguments {
    /// A YAML file with the same settings, nested, and a list of jobs.
    #[arg(long, global = true)]
    config: Option<PathBuf>,
    /// Only this job of the file; may be repeated.
    #[arg(long, global = true)]
    job: Vec<String>,
    /// A setting by its name without BACKUP_, as workers=4; may be repeated.
    #[arg(long = "set", global = true, value_parser = setting, value_name = "NAME=VALUE")]
    settings: Vec<(String, String)>,
    #[arg(long, global = true, value_enum, default_value_t)]
    output: Output,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Takes a backup and, when it is committed, removes what no rule keeps.
    Run,
    /// Takes backups and verifies them on their schedules, with metrics on a port, until it is told to end.
    Serve,
    /// Lists attempts and backups, oldest first.
    List,
    /// Shows a backup: databases, sizes, snapshots, drills; the newest when none is named.
    Show { backup: Option<BackupId> },
    /// Restores a backup on a server, under another name until everything is there.
    Restore(command::RestoreArguments),
    /// Restores a backup for a try, compares every row, runs assertions, and records what was found.
    Verify(command::VerifyArguments),
    /// Writes a backup as an archive that stock pg_restore reads from a pipe.
    Export(command::ExportArguments),
    /// Removes backups that no rule keeps.
    Prune {
        /// Prints what would go and why the rest stays, and removes nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Checks configuration, versions, rights and the store, before the night does.
    Check,
    /// Looks for what failed attempts left, for gaps and for doubtful records, and settles what can be settled.
    Doctor,
}

fn after_help() -> String {
    format!("{}\nSettings (environment, or the file without BACKUP_ and nested):\n{}", Exit::HELP, config::help())
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as name=value")?;
    Ok((format!("{}_{}", config::PREFIX, name.to_uppercase().replace('-', "_")), value.to_owned()))
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(said) => {
            // Help and version are no faults, and go to standard output.
            let _ = said.print();
            return if said.use_stderr() { ExitCode::from(EXIT_CONFIG) } else { ExitCode::SUCCESS };
        }
    };
    let needs = match arguments.command {
        Command::Run | Command::Serve | Command::Check => Needs { source: true, signing: true },
        Command::Doctor | Command::Prune { .. } => Needs { source: false, signing: true },
        Command::List | Command::Show { .. } | Command::Restore(_) | Command::Verify(_) | Command::Export(_) => Needs::default(),
    };
    let jobs = match config::load(arguments.config.as_deref(), &arguments.settings, needs) {
        Ok(jobs) => jobs,
        Err(faults) => {
            command::complain(faults);
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    let unknown: Vec<_> = arguments.job.iter().filter(|name| !jobs.iter().any(|job| job.name == **name)).collect();
    if !unknown.is_empty() {
        command::complain(format_args!("there is no job {unknown:?}; correct --job"));
        return ExitCode::from(EXIT_CONFIG);
    }
    let jobs: Vec<_> = jobs.into_iter().filter(|job| arguments.job.is_empty() || arguments.job.contains(&job.name)).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(RUNTIME_THREADS).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            command::complain(format_args!("the runtime cannot start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let output = arguments.output;
    let ended = runtime.block_on(async {
        // What a command answers stands alone on standard output.
        let stream = if matches!(arguments.command, Command::Serve) { Stream::Stdout } else { Stream::Stderr };
        let telemetry = match telemetry::init_to(stream, command::SERVICE, &jobs[0].process.telemetry) {
            Ok(telemetry) => telemetry,
            Err(error) => {
                command::complain(format_args!("telemetry cannot start: {error}"));
                return Err(Exit::Failed);
            }
        };
        match arguments.command {
            Command::Run => command::run(jobs, output).await,
            Command::Serve => command::serve(jobs, telemetry.log_level()).await,
            Command::List => command::list(jobs, output).await,
            Command::Show { backup } => command::show(jobs, backup, output).await,
            Command::Restore(arguments) => command::restore(jobs, arguments, output).await,
            Command::Verify(arguments) => command::verify(jobs, arguments, output).await,
            Command::Export(arguments) => command::export(jobs, arguments, output).await,
            Command::Prune { dry_run } => command::prune(jobs, dry_run, output).await,
            Command::Check => command::check(jobs, output).await,
            Command::Doctor => command::doctor(jobs, output).await,
        }
    });
    // A thread that waits for what never answers must not keep the process.
    runtime.shutdown_timeout(LAST_THREADS);
    match ended {
        Ok(()) if command::all_answered() => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
        Err(exit) => ExitCode::from(exit as u8),
    }
}

/// Sending is light work; rows have threads of their own.
const RUNTIME_THREADS: usize = 2;
/// How long threads that still block are waited for at the end.
const LAST_THREADS: Duration = Duration::from_secs(3);
