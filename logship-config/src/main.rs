//! The table of commands, and a command's life: settings, run, say how it ended. Never: what a command does.

use std::{fmt::Display, io::Write as _, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand, error::ErrorKind};
use jiff::Timestamp;
use logship::{
    actual::{self, Actual},
    advice, apply, check,
    client::Client,
    config::{self, ClusterSettings, Config, Needs},
    daemon,
    exit::{Exit, Failure},
    explain, forecast, observe,
    plan::{self, Allowed, Plan},
    relay, watch,
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
    /// Looks again and again: shows drift, repairs stuck steps, keeps budgets, measures.
    Watch(Declared),
    /// Says why an index, or each index of a data stream, is where it is.
    Explain {
        /// A data stream or a backing index.
        name: String,
    },
    /// Says how many days are left until the disks are full, and how each stream grows; and what sizes to change.
    Forecast {
        #[command(flatten)]
        files: Declared,
        /// Writes JSON.
        #[arg(long)]
        json: bool,
    },
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
    /// Lets this policy or stream delete sooner, or this snapshot policy keep less; may be repeated. Protected streams never do.
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

/// For standard output, whose reader may have gone (`| head`): what a command does does not hang on that.
fn say(text: impl Display) {
    let _ = write!(std::io::stdout(), "{text}").and_then(|()| std::io::stdout().flush());
}

fn load(needs: Needs) -> Result<Config, Failure> {
    config::load(needs).map_err(|faults| Failure::new(Exit::Configuration, faults.to_string()))
}

fn check(files: Declared) -> Result<ExitCode, Failure> {
    let config = load(Needs::default())?;
    let folder = files.declared.unwrap_or(config.declared);
    let desired = check::run(&folder)?;
    let (objects, streams) = (desired.objects.len(), desired.streams.len());
    say(format_args!("{}: {objects} objects and {streams} data streams, nothing is wrong\n", folder.display()));
    Ok(ExitCode::SUCCESS)
}

fn relay() -> Result<ExitCode, Failure> {
    let config = load(Needs { cluster: true, relay: true })?;
    // Faults of the mounts are told as every command tells them, before anything stays.
    client(&config)?;
    relay::check(&config.relay)?;
    let cluster = cluster(&config)?;
    Ok(daemon::live(&config.process, |daemon| relay::run(cluster, config.relay, daemon)))
}

/// `plan`, and `apply` when it is to be carried out.
fn plan(arguments: &PlanArguments, carry_out: bool) -> Result<ExitCode, Failure> {
    let config = load(Needs { cluster: true, ..Needs::default() })?;
    let folder = arguments.files.declared.as_ref().unwrap_or(&config.declared);
    let desired = check::run(folder)?;
    let client = client(&config)?;
    let print = |actual: &Actual, plan: &Plan| match arguments.json {
        true => say(format_args!("{:#}\n", plan::machine(plan))),
        false => say(format_args!("{}\n{}", actual.describe(), plan::human(plan))),
    };
    block_on(async {
        if carry_out {
            let applied = apply::run(&client, &desired, &arguments.allowed(), &print).await?;
            if !arguments.json {
                say(format_args!("{applied} steps applied; a second plan is empty.\n"));
            }
            return Ok(ExitCode::SUCCESS);
        }
        let actual = actual::read(&client).await?;
        let plan = plan::plan(&desired, &actual, &arguments.allowed());
        print(&actual, &plan);
        Ok(if plan.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(Exit::Changes as u8) })
    })
}

fn watch(files: Declared) -> Result<ExitCode, Failure> {
    let config = load(Needs { cluster: true, ..Needs::default() })?;
    let folder = files.declared.unwrap_or_else(|| config.declared.clone());
    // Faults of the files and of the mounts are told as every command tells them, before anything stays.
    check::run(&folder)?;
    client(&config)?;
    let cluster = cluster(&config)?;
    Ok(daemon::live(&config.process, |daemon| watch::run(cluster, folder, config.watch, daemon)))
}

fn explain(name: &str) -> Result<ExitCode, Failure> {
    let config = load(Needs { cluster: true, ..Needs::default() })?;
    let client = client(&config)?;
    let limit = i64::try_from(config.watch.stuck_after.as_millis()).unwrap_or(i64::MAX);
    let now = Timestamp::now().as_millisecond();
    let told = block_on(async {
        actual::probe(&client).await?;
        explain::run(&client, name, now, limit).await
    })?;
    say(told);
    Ok(ExitCode::SUCCESS)
}

fn forecast(files: Declared, json: bool) -> Result<ExitCode, Failure> {
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
        say(format_args!("{:#}\n", forecast::machine(&told, &advice)));
    } else {
        say(forecast::human(&told));
        advice.iter().for_each(|advice| say(format_args!("advice: {}\n", advice.told)));
    }
    Ok(ExitCode::SUCCESS)
}

fn cluster(config: &Config) -> Result<ClusterSettings, Failure> {
    config.cluster.clone().ok_or_else(|| Failure::new(Exit::Configuration, "no address of Elasticsearch"))
}

fn client(config: &Config) -> Result<Client, Failure> {
    Ok(Client::new(cluster(config)?, None)?)
}

fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(Exit::Failed, format!("the runtime cannot start: {error}")))?;
    runtime.block_on(work)
}
