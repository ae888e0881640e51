//! This module is the table of commands. It reads the settings, runs a command and reports how it ended. It must not contain
//! the work of a command.

use std::{fmt::Display, io::Write as _, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand, error::ErrorKind};
use jiff::Timestamp;
use logship::{
    actual::{self, Actual},
    advice, apply, check,
    client::Client,
    config::{self, ClusterSettings, Config, Needs, SettingGroup},
    daemon,
    exit::{CommandFailure, Exit},
    explain, forecast, observe,
    plan::{self, Allowed, Plan},
    relay, watch,
};

/// Manage Elasticsearch's index lifecycle from declared files, and ship logs without loss
#[derive(Parser)]
#[command(version, after_help = after_help(&Exit::ALL, &EVERY_GROUP))]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Validate the declared files offline; report every fault with file and line
    #[command(after_help = after_help(&[Exit::Configuration, Exit::Declared], &[SettingGroup::Declared]))]
    Check(Declared),
    /// Run as a daemon: report drift, repair stuck steps, enforce budgets, export metrics
    #[command(after_help = after_help(&[Exit::Failed, Exit::Configuration, Exit::Declared], &[SettingGroup::Cluster, SettingGroup::Declared, SettingGroup::Watch, SettingGroup::Process]))]
    Watch(Declared),
    /// Explain the lifecycle state of an index, or of each index of a data stream
    #[command(after_help = after_help(&Exit::of_cluster_and(&[]), &[SettingGroup::Cluster, SettingGroup::StuckAfter]))]
    Explain {
        /// Data stream or backing index
        name: String,
    },
    /// Print the days until the disks are full, the growth of each stream, and sizing advice
    #[command(after_help = after_help(&Exit::of_cluster_and(&[Exit::Declared]), &[SettingGroup::Cluster, SettingGroup::Declared]))]
    Forecast {
        #[command(flatten)]
        files: Declared,
        /// Write JSON
        #[arg(long)]
        json: bool,
    },
    /// Forward _bulk requests from a shipper in the same pod to Elasticsearch without loss
    #[command(after_help = after_help(&[Exit::Failed, Exit::Configuration], &[SettingGroup::Cluster, SettingGroup::Relay, SettingGroup::Process]))]
    Relay,
    /// Show the changes that apply would make, and when each takes effect; change nothing
    #[command(after_help = after_help(&Exit::of_cluster_and(&[Exit::Changes, Exit::Declared]), &[SettingGroup::Cluster, SettingGroup::Declared]))]
    Plan(PlanArguments),
    /// Show the plan and apply it; refuse changes that a guard blocks
    #[command(after_help = after_help(&Exit::of_cluster_and(&[Exit::Declared, Exit::Refused]), &[SettingGroup::Cluster, SettingGroup::Declared]))]
    Apply(PlanArguments),
}

#[derive(clap::Args)]
struct PlanArguments {
    #[command(flatten)]
    files: Declared,
    /// Write the plan as JSON
    #[arg(long)]
    json: bool,
    /// Allow this policy or stream to delete sooner, or this snapshot policy to retain less; repeatable; not for protected
    /// streams
    #[arg(long, value_name = "NAME")]
    allow_shorter_retention: Vec<String>,
    /// Change and delete the objects of this other owner too, and mark them with the owner in owner.yaml; repeatable
    #[arg(long, value_name = "OWNER")]
    take_over: Vec<String>,
}

impl PlanArguments {
    fn allowed(&self) -> Allowed {
        let names = |names: &[String]| names.iter().cloned().collect();
        Allowed { shorter_retention: names(&self.allow_shorter_retention), take_over: names(&self.take_over) }
    }
}

#[derive(clap::Args)]
struct Declared {
    /// Folder of the declared files; overrides LOGSHIP_DECLARED
    #[arg(long)]
    declared: Option<PathBuf>,
}

const EVERY_GROUP: [SettingGroup; 5] =
    [SettingGroup::Process, SettingGroup::Cluster, SettingGroup::Declared, SettingGroup::Watch, SettingGroup::Relay];

fn after_help(statuses: &[Exit], groups: &[SettingGroup]) -> String {
    format!("{}\nSettings (environment):\n{}", Exit::help(statuses), config::help(groups))
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // If the terminal is closed, the error cannot be reported. Clap's own status, 2, means changes here.
            let _ = error.print();
            let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            return ExitCode::from(if asked { 0 } else { Exit::Configuration as u8 });
        }
    };
    let ended = match arguments.command {
        Command::Check(files) => check(files),
        Command::Watch(files) => watch(files),
        Command::Explain { name } => explain(&name),
        Command::Forecast { files, json } => forecast(files, json),
        Command::Relay => relay(),
        Command::Plan(arguments) => plan(&arguments, false),
        Command::Apply(arguments) => plan(&arguments, true),
    };
    ended.unwrap_or_else(|failure| {
        eprintln!("logship: {failure}");
        ExitCode::from(failure.exit as u8)
    })
}

/// Prints to standard output. A closed reader (`| head`) must not affect the command.
fn write_stdout(text: impl Display) {
    let _ = write!(std::io::stdout(), "{text}").and_then(|()| std::io::stdout().flush());
}

fn load(needs: Needs) -> Result<Config, CommandFailure> {
    config::load(needs).map_err(|faults| CommandFailure::new(Exit::Configuration, faults.to_string()))
}

fn check(files: Declared) -> Result<ExitCode, CommandFailure> {
    let config = load(Needs::default())?;
    let folder = files.declared.unwrap_or(config.declared);
    let desired = check::run(&folder)?;
    let (objects, streams) = (desired.objects.len(), desired.streams.len());
    write_stdout(format_args!("{}: {objects} objects and {streams} data streams, no faults\n", folder.display()));
    Ok(ExitCode::SUCCESS)
}

fn relay() -> Result<ExitCode, CommandFailure> {
    let config = load(Needs { cluster: true, relay: true })?;
    // Every command reports faults of the mounts the same way, before a daemon starts.
    client(&config)?;
    relay::check_settings(&config.relay)?;
    let cluster = cluster(&config)?;
    Ok(daemon::live(&config.process, |daemon| relay::run(cluster, config.relay, daemon)))
}

/// Runs `plan`, or `apply` if `carry_out` is set.
fn plan(arguments: &PlanArguments, carry_out: bool) -> Result<ExitCode, CommandFailure> {
    let config = load(Needs { cluster: true, ..Needs::default() })?;
    let folder = arguments.files.declared.as_ref().unwrap_or(&config.declared);
    let desired = check::run(folder)?;
    let client = client(&config)?;
    let print = |actual: &Actual, plan: &Plan| match arguments.json {
        true => write_stdout(format_args!("{:#}\n", plan::plan_json(plan))),
        false => write_stdout(format_args!("{}\n{}", actual.describe(), plan::plan_text(plan))),
    };
    block_on(async {
        if carry_out {
            let applied = apply::run(&client, &desired, &arguments.allowed(), &print).await?;
            if !arguments.json {
                write_stdout(format_args!("{applied} steps applied; a second plan is empty.\n"));
            }
            return Ok(ExitCode::SUCCESS);
        }
        let actual = actual::read_cluster(&client).await?;
        apply::check_flags(&desired, &actual, &arguments.allowed())?;
        let plan = plan::plan(&desired, &actual, &arguments.allowed());
        print(&actual, &plan);
        Ok(if plan.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(Exit::Changes as u8) })
    })
}

fn watch(files: Declared) -> Result<ExitCode, CommandFailure> {
    let config = load(Needs { cluster: true, ..Needs::default() })?;
    let folder = files.declared.unwrap_or_else(|| config.declared.clone());
    // Every command reports faults of files and mounts the same way, before a daemon starts.
    check::run(&folder)?;
    client(&config)?;
    let cluster = cluster(&config)?;
    Ok(daemon::live(&config.process, |daemon| watch::run(cluster, folder, config.watch, daemon)))
}

fn explain(name: &str) -> Result<ExitCode, CommandFailure> {
    let config = load(Needs { cluster: true, ..Needs::default() })?;
    let client = client(&config)?;
    let limit = i64::try_from(config.watch.stuck_after.as_millis()).unwrap_or(i64::MAX);
    let now = Timestamp::now().as_millisecond();
    let told = block_on(async {
        actual::probe(&client).await?;
        explain::run(&client, name, now, limit).await
    })?;
    write_stdout(told);
    Ok(ExitCode::SUCCESS)
}

fn forecast(files: Declared, json: bool) -> Result<ExitCode, CommandFailure> {
    let config = load(Needs { cluster: true, ..Needs::default() })?;
    let desired = check::run(&files.declared.unwrap_or_else(|| config.declared.clone()))?;
    let client = client(&config)?;
    let observation = block_on(async {
        actual::probe(&client).await?;
        Ok(observe::declared(&client, &desired).await?)
    })?;
    let told = forecast::forecast(&desired, &observation, Timestamp::now().as_millisecond());
    let advice = advice::advise(&observation);
    if json {
        write_stdout(format_args!("{:#}\n", forecast::forecast_json(&told, &advice)));
    } else {
        write_stdout(forecast::forecast_text(&told));
        advice.iter().for_each(|advice| write_stdout(format_args!("advice: {}\n", advice.told)));
    }
    Ok(ExitCode::SUCCESS)
}

fn cluster(config: &Config) -> Result<ClusterSettings, CommandFailure> {
    config.cluster.clone().ok_or_else(|| CommandFailure::new(Exit::Configuration, "LOGSHIP_ELASTICSEARCH_URL is missing"))
}

fn client(config: &Config) -> Result<Client, CommandFailure> {
    Ok(Client::new(cluster(config)?, None)?)
}

fn block_on<T>(work: impl Future<Output = Result<T, CommandFailure>>) -> Result<T, CommandFailure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| CommandFailure::new(Exit::Failed, format!("failed to start the runtime: {error}")))?;
    runtime.block_on(work)
}
