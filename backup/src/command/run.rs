//! This module implements `backup run`: one backup of each job, then retention, then the metrics textfile.

use std::{io::IsTerminal, process::Stdio, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use rustix::process::{Pid, Signal, kill_process_group};
use service_kit::shutdown::Shutdown;

use super::{Left, Output};
use crate::{
    config::{Hooks, Job},
    failure::{Exit, Failure, Result, Stage},
    manifest::Manifest,
    progress::Progress,
    prune,
    run::{self, Agent},
};

/// Interval between progress reports: on a terminal, and in the log.
const BAR: Duration = Duration::from_millis(250);
const LINE: Duration = Duration::from_secs(10);

/// # Errors
/// Returns the status of the first failed job. The other jobs are backed up all the same.
pub async fn run(jobs: Vec<Job>, output: Output) -> Result<(), Exit> {
    let deadline = jobs[0].process.shutdown_deadline;
    let (agents, metrics) = super::agents(jobs).map_err(|failure| {
        output.fail("", &failure);
        failure.exit
    })?;
    let shutdown = Shutdown::new(deadline);
    if let Err(error) = shutdown.on_signals() {
        super::complain(format_args!("failed to install signal handlers: {error}"));
        return Err(Exit::Failed);
    }
    let part = shutdown.part("backup");
    let mut left = Left::begin(&agents, metrics);
    let mut ended = Ok(());
    for agent in &agents {
        match run_once(agent, shutdown.token()).await {
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
                    "backup failed"
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

/// Runs the hooks, the backup, and retention after a commit.
pub(crate) async fn run_once(agent: &Agent, shutdown: tokio_util::sync::CancellationToken) -> Result<Manifest> {
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
        // The backup is committed, even if the hook fails.
        if let Err(failure) = hook(after, hooks.timeout, &told).await {
            tracing::error!(error = %failure, "hook after the backup failed; the backup is not affected");
        }
    }
    let manifest = taken?;
    if agent.job.retention.after_run
        && let Err(failure) = prune::prune_backups(agent, false).await
    {
        // The backup is committed. A metric counts the failed retention.
        tracing::warn!(error = %failure, "retention failed to remove all expired backups; the backup is not affected");
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

async fn hook(command: &str, timeout: Duration, told: &[(&str, &str)]) -> Result<()> {
    let failed = |text: String| Failure::told(Stage::Hook, Exit::Failed, text);
    let mut shell = tokio::process::Command::new("sh");
    // In a separate process group, so that the shell's children end with it.
    shell.arg("-c").arg(command).envs(told.iter().copied()).stdin(Stdio::null()).process_group(0).kill_on_drop(true);
    let mut shell = shell.spawn().map_err(|error| failed(format!("failed to start the hook: {error}")))?;
    let group = shell.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    match tokio::time::timeout(timeout, shell.wait()).await {
        Err(_) => {
            // The processes may have ended already.
            let _ = group.map(|group| kill_process_group(group, Signal::KILL));
            Err(failed(format!("the hook took longer than {} s (BACKUP_HOOK_TIMEOUT) and was killed", timeout.as_secs())))
        }
        Ok(Err(error)) => Err(failed(format!("failed to wait for the hook: {error}"))),
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(failed(format!("the hook ended with {status}; read its output"))),
    }
}

/// Shows a bar on a terminal, and otherwise logs a line at intervals. Ends with the attempt, which drops its progress.
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
                "backup in progress"
            );
        }
    }
    bar.finish_and_clear();
}
