//! `backup run`: one backup of each job, retention after it, the metrics into a textfile.

use std::{io::IsTerminal, process::Stdio, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use rustix::process::{Pid, Signal, kill_process_group};
use service_kit::shutdown::Shutdown;

use super::{Left, Output};
use crate::{
    config::{Hooks, Job},
    failure::{Exit, Failure, Outcome, Stage},
    manifest::Manifest,
    progress::Progress,
    prune,
    run::{self, Agent},
};

/// How often progress is told: on a terminal, and in the log.
const BAR: Duration = Duration::from_millis(250);
const LINE: Duration = Duration::from_secs(10);

/// # Errors
/// With the status of the first job that failed; the others are backed up all the same.
pub async fn run(jobs: Vec<Job>, output: Output) -> Result<(), Exit> {
    let deadline = jobs[0].process.shutdown_deadline;
    let (agents, metrics) = super::agents(jobs).map_err(|failure| {
        output.fail("", &failure);
        failure.exit
    })?;
    let shutdown = Shutdown::new(deadline);
    if let Err(error) = shutdown.on_signals() {
        super::complain(format_args!("signals cannot be heard: {error}"));
        return Err(Exit::Failed);
    }
    let part = shutdown.part("backup");
    let mut left = Left::begin(&agents, metrics);
    let mut ended = Ok(());
    for agent in &agents {
        match one(agent, shutdown.token()).await {
            Ok(manifest) => {
                output.say(said(&manifest), &manifest);
                if !manifest.is_complete() {
                    ended = ended.and(Err(Exit::Partial));
                }
            }
            Err(failure) => {
                tracing::error!(
                    stage = failure.stage.name(),
                    error = format!("{:#}", failure.error),
                    backup = agent.job.name,
                    "the backup failed"
                );
                output.fail(&agent.job.name, &failure);
                ended = ended.and(Err(failure.exit));
            }
        }
        left.after(agent).await;
    }
    drop(part);
    ended
}

/// Hooks, the backup, and retention when it is committed.
pub(crate) async fn one(agent: &Agent, shutdown: tokio_util::sync::CancellationToken) -> Outcome<Manifest> {
    let hooks = &agent.job.hooks;
    let begun = match &hooks.before {
        Some(before) => hook(before, hooks.timeout, &[]).await,
        None => Ok(()),
    };
    let taken = match begun {
        Ok(()) => {
            let progress = || {
                let progress = Progress::default();
                tokio::spawn(tell(progress.clone()));
                progress
            };
            run::run(agent, shutdown, progress).await
        }
        Err(failure) => {
            run::count_failure(&agent.metrics, &agent.job.name, &failure);
            Err(failure)
        }
    };
    if let Some(after) = &hooks.after {
        let (id, outcome, reason) = match &taken {
            Ok(manifest) => (manifest.id.to_string(), "committed", String::new()),
            Err(failure) => (String::new(), "failed", failure.to_string()),
        };
        let [id_name, outcome_name, reason_name] = Hooks::TOLD;
        let told = [(id_name, id.as_str()), (outcome_name, outcome), (reason_name, reason.as_str())];
        // The backup is what it is, whatever the hook says of it.
        if let Err(failure) = hook(after, hooks.timeout, &told).await {
            tracing::error!(error = %failure, "the hook after the backup failed");
        }
    }
    let manifest = taken?;
    if agent.job.retention.after_run
        && let Err(failure) = prune::prune(agent, false).await
    {
        // The backup is what it is; that it is not tidied up behind is counted.
        tracing::warn!(error = %failure, "retention did not remove all that no rule keeps");
    }
    Ok(manifest)
}

fn said(manifest: &Manifest) -> String {
    let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let totals = &manifest.totals;
    format!(
        "{} committed: {} rows of {} databases, {:.1} MiB read, {:.1} MiB stored, {:.1} s{}",
        manifest.id,
        totals.rows,
        manifest.databases.len(),
        mebibytes(totals.raw_bytes),
        mebibytes(totals.stored_bytes),
        totals.duration_seconds,
        manifest
            .not_in_it()
            .iter()
            .map(|line| format!("\n  left out: {line}"))
            .chain(manifest.warnings.iter().map(|warning| format!("\n  warning: {warning}")))
            .collect::<String>()
    )
}

async fn hook(command: &str, timeout: Duration, told: &[(&str, &str)]) -> Outcome<()> {
    let failed = |text: String| Failure::told(Stage::Hook, Exit::Failed, text);
    let mut shell = tokio::process::Command::new("sh");
    // In a group of its own: what the shell has started ends with it.
    shell.arg("-c").arg(command).envs(told.iter().copied()).stdin(Stdio::null()).process_group(0).kill_on_drop(true);
    let mut shell = shell.spawn().map_err(|error| failed(format!("the hook could not be started: {error}")))?;
    let group = shell.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    match tokio::time::timeout(timeout, shell.wait()).await {
        Err(_) => {
            // Gone already is as good.
            let _ = group.map(|group| kill_process_group(group, Signal::KILL));
            Err(failed(format!("the hook took longer than {} s (BACKUP_HOOK_TIMEOUT) and was ended", timeout.as_secs())))
        }
        Ok(Err(error)) => Err(failed(format!("the hook could not be waited for: {error}"))),
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(failed(format!("the hook ended with {status}; see what it printed"))),
    }
}

/// A bar on a terminal, a log line now and then otherwise; ends with the attempt, which drops its progress.
async fn tell(progress: Progress) {
    let terminal = std::io::stderr().is_terminal();
    let bar = if terminal { ProgressBar::new(0) } else { ProgressBar::hidden() };
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {msg}") {
        bar.set_style(style);
    }
    let mut tick = tokio::time::interval(if terminal { BAR } else { LINE });
    tick.tick().await;
    loop {
        tick.tick().await;
        if progress.is_alone() {
            break;
        }
        let seen = progress.seen();
        if terminal {
            bar.set_length(seen.expected_bytes.max(seen.raw_bytes));
            bar.set_position(seen.raw_bytes);
            bar.set_message(format!("{}/{} tables", seen.tables_done, seen.tables));
        } else {
            tracing::info!(
                raw_bytes = seen.raw_bytes,
                sent_bytes = seen.sent_bytes,
                rows = seen.rows,
                tables_done = seen.tables_done,
                tables = seen.tables,
                seconds = seen.seconds,
                "the backup goes on"
            );
        }
    }
    bar.finish_and_clear();
}
