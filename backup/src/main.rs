//! This module defines the commands, and runs one: configuration, telemetry, command, exit status. It must not implement a
//! command.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use backup::{
    command::{self, Output},
    config::{self, Needs},
    failure::Exit,
    layout::BackupId,
};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use service_kit::{
    EXIT_CONFIG,
    telemetry::{self, LogStream},
};

/// Back up PostgreSQL to object storage, and verify the backups by restoring them
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// YAML file with the same settings, nested, and a list of jobs
    #[arg(long, global = true)]
    config: Option<PathBuf>,
    /// Run only this job of the file; repeatable
    #[arg(long, global = true)]
    job: Vec<String>,
    /// Setting by its name without BACKUP_, such as workers=4; repeatable
    #[arg(long = "set", global = true, value_parser = setting, value_name = "NAME=VALUE")]
    settings: Vec<(String, String)>,
    #[arg(long, global = true, value_enum, default_value_t)]
    output: Output,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Take a backup of each job and, after the commit, delete expired backups
    Run,
    /// Take and verify backups on schedules, with metrics on a port, until stopped
    Serve,
    /// List backup attempts, oldest first
    List,
    /// Show a backup with its databases, sizes, snapshots and drills (default: the newest)
    Show { backup: Option<BackupId> },
    /// Restore a backup to a server, under a temporary name until it is complete
    Restore(command::RestoreArguments),
    /// Restore a backup as a drill, compare every row, run assertions, and record the result
    Verify(command::VerifyArguments),
    /// Write a backup as an archive for stock pg_restore, which can read it from a pipe
    Export(command::ExportArguments),
    /// Delete backups not retained by policy
    Prune {
        /// Print the backups to delete, and why the others are retained, without deleting
        #[arg(long)]
        dry_run: bool,
    },
    /// Delete one backup by its name; refuses the newest verified and the only complete one
    Delete(command::DeleteArguments),
    /// Check configuration, versions, rights and the store before the first run
    Check,
    /// Report remains of failed attempts, gaps and untrusted records, and remove what is safe to remove
    Doctor,
}

fn after_help() -> String {
    format!("{}\nSettings (environment, or the file without BACKUP_ and nested):\n{}", Exit::HELP, config::help())
}

/// The help of every subcommand also states the settings and the exit statuses.
fn parse() -> Result<Arguments, clap::Error> {
    let help = after_help();
    let command = Arguments::command().after_help(&help).mut_subcommands(|command| command.after_help(&help));
    Arguments::from_arg_matches(&command.try_get_matches()?)
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as name=value")?;
    Ok((format!("{}_{}", config::PREFIX, name.to_uppercase().replace('-', "_")), value.to_owned()))
}

fn main() -> ExitCode {
    if let Some(status) = backup::shell::run(std::env::args_os()) {
        return status;
    }
    let arguments = match parse() {
        Ok(arguments) => arguments,
        Err(said) => {
            // Help and version are not errors, and go to standard output.
            let _ = said.print();
            return if said.use_stderr() { ExitCode::from(EXIT_CONFIG) } else { ExitCode::SUCCESS };
        }
    };
    let needs = match arguments.command {
        Command::Run | Command::Serve | Command::Check => Needs { source: true, signing: true },
        Command::Doctor | Command::Prune { .. } | Command::Delete(_) => Needs { source: false, signing: true },
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
        command::complain(format_args!("job {unknown:?} does not exist; correct --job"));
        return ExitCode::from(EXIT_CONFIG);
    }
    let jobs: Vec<_> = jobs.into_iter().filter(|job| arguments.job.is_empty() || arguments.job.contains(&job.name)).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(RUNTIME_THREADS).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            command::complain(format_args!("failed to start the runtime: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let output = arguments.output;
    let ended = runtime.block_on(async {
        // Standard output contains only results.
        let stream = if matches!(arguments.command, Command::Serve) { LogStream::Stdout } else { LogStream::Stderr };
        let telemetry = match telemetry::init_to(stream, command::SERVICE, &jobs[0].process.telemetry) {
            Ok(telemetry) => telemetry,
            Err(error) => {
                command::complain(format_args!("failed to start telemetry: {error}"));
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
            Command::Delete(arguments) => command::delete(jobs, arguments, output).await,
            Command::Check => command::check(jobs, output).await,
            Command::Doctor => command::doctor(jobs, output).await,
        }
    });
    // A thread blocked on a peer that never answers must not delay the exit.
    runtime.shutdown_timeout(LAST_THREADS);
    match ended {
        Ok(()) if command::all_answered() => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
        Err(exit) => ExitCode::from(exit as u8),
    }
}

/// Sending needs little processor time. Rows have their own threads.
const RUNTIME_THREADS: usize = 2;
/// Maximum wait at exit for threads that still block.
const LAST_THREADS: Duration = Duration::from_secs(3);
