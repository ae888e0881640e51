//! The table of commands, and a command's life: settings, run, say how it ended. Never: what a command does.

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand, error::ErrorKind};
use logship::{
    actual, apply, check,
    client::Client,
    config::{self, Config, Needs},
    daemon,
    exit::{Exit, Failure},
    plan::{self, Allowed, Plan},
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
    /// Shows what would change in the cluster, and when each change takes effect; changes nothing.
    Plan(PlanArguments),
    /// Shows the plan and carries it out; refuses what a guard holds back.
    Apply(PlanArguments),
}

#[derive(clap::Args)]
struct PlanArguments {
    #[command(flatten)]
    files: Declared,
    /// Writes the plan as JSON.
    #[arg(long)]
    json: bool,
    /// Lets the retention of this policy or stream shrink; may be repeated. Protected streams never shrink.
    #[arg(long, value_name = "NAME")]
    allow_shorter_retention: Vec<String>,
}

impl PlanArguments {
    fn allowed(&self) -> Allowed {
        Allowed { shorter_retention: self.allow_shorter_retention.iter().cloned().collect() }
    }
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
        Command::Plan(arguments) => plan(&arguments, false),
        Command::Apply(arguments) => plan(&arguments, true),
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

/// `plan`, and `apply` when it is to be carried out.
fn plan(arguments: &PlanArguments, carry_out: bool) -> Result<ExitCode, Failure> {
    let config = load(Needs { cluster: true, ..Needs::default() })?;
    let folder = arguments.files.declared.as_ref().unwrap_or(&config.declared);
    let desired = check::run(folder)?;
    let client = client(&config)?;
    let print = |plan: &Plan| match arguments.json {
        true => println!("{:#}", plan::machine(plan)),
        false => print!("{}", plan::human(plan)),
    };
    block_on(async {
        if carry_out {
            let applied = apply::run(&client, &desired, &arguments.allowed(), &print).await?;
            if !arguments.json {
                println!("{applied} steps applied; a second plan is empty.");
            }
            return Ok(ExitCode::SUCCESS);
        }
        let plan = plan::plan(&desired, &actual::read(&client).await?, &arguments.allowed());
        print(&plan);
        Ok(if plan.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(Exit::Changes as u8) })
    })
}

fn client(config: &Config) -> Result<Client, Failure> {
    let settings = config.cluster.clone().expect("the command said that it needs a cluster");
    Ok(Client::new(settings, None)?)
}

fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(Exit::Failed, format!("the runtime cannot start: {error}")))?;
    runtime.block_on(work)
}
