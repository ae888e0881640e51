//! This module implements `backup verify`: the drill, its record, its metrics.

use std::path::PathBuf;

use tokio_util::sync::CancellationToken;

use super::{
    Output,
    reading::{Which, alone, open_backup, restore_failed},
};
use crate::{
    config::Job,
    failure::{Exit, Failure, Result, Stage},
    manifest::{Manifest, Verification, sign::SignedKind},
    run::{self, Agent},
    verify::{self, AssertionFile, DrillError, DrillPlace, ScratchSettings, VerifyOptions},
};

#[derive(Debug, Clone, clap::Args)]
pub struct VerifyArguments {
    #[command(flatten)]
    which: Which,
    /// File of SQL assertions in addition to BACKUP_ASSERTIONS; repeatable
    #[arg(long)]
    assertions: Vec<PathBuf>,
    /// Print the result without a signed record next to the backup
    #[arg(long)]
    no_record: bool,
}

/// # Errors
/// Returns an error if the restored backup differs from the original, or if the drill could not be run.
pub async fn verify(jobs: Vec<Job>, arguments: VerifyArguments, output: Output) -> Result<(), Exit> {
    alone(jobs, output, async |agent, shutdown| {
        let verification =
            drill(agent, &arguments.which, &arguments.assertions, !arguments.no_record, &shutdown, Some(output)).await?;
        output.say(said(&verification), &verification);
        verdict(&verification)
    })
    .await
}

/// Runs one drill, records and counts its result, and returns the verdict.
///
/// # Errors
/// Returns an error if there is no verdict.
pub(crate) async fn drill(
    agent: &Agent,
    which: &Which,
    more_assertions: &[PathBuf],
    record: bool,
    shutdown: &CancellationToken,
    answers: Option<Output>,
) -> Result<Verification> {
    let drilled = uncounted(agent, which, more_assertions, record, shutdown, answers).await;
    match &drilled {
        // A cancelled drill has no result to count.
        Err(_) if shutdown.is_cancelled() => {}
        Err(failure) => run::count_stage(agent, failure.stage),
        Ok(verification) if !verification.passed => run::count_stage(agent, Stage::Verify),
        Ok(_) => {}
    }
    drilled
}

async fn uncounted(
    agent: &Agent,
    which: &Which,
    more_assertions: &[PathBuf],
    record: bool,
    shutdown: &CancellationToken,
    answers: Option<Output>,
) -> Result<Verification> {
    let name = agent.job.name.as_str();
    if record && agent.job.keys.signing.is_none() {
        let told =
            "the drill's record must be signed, but no signing key is configured; set BACKUP_SIGNING_KEY, or use --no-record";
        return Err(Failure::told(Stage::Verify, Exit::Configuration, told));
    }
    let options = options(&agent.job, more_assertions)?;
    let reader = open_backup(agent, which, answers).await?;
    let done = verify::verify_backup(&reader, &options, shutdown).await;
    let outcome = match &done {
        Ok(verification) if verification.passed => "passed",
        Ok(_) => "failed",
        Err(_) => "not_done",
    };
    if done.is_ok() || !shutdown.is_cancelled() {
        agent.metrics.verifications.with_label_values(&[name, outcome]).inc();
    }
    let verification = done.map_err(|fault| match fault {
        DrillError::Restore(fault) => restore_failed(fault).context("failed to run the drill"),
        DrillError::Scratch(fault) => Failure::new(Stage::Verify, Exit::Failed, fault),
    })?;
    if record {
        let key = agent.layout.verification(&verification.id, verification.finished_at, rand::random());
        agent.record(SignedKind::Verification, &key, &verification).await.map_err(|error| error.failure(Stage::Verify))?;
    }
    note(agent, reader.manifest(), &verification);
    Ok(verification)
}

fn options(job: &Job, more_assertions: &[PathBuf]) -> Result<VerifyOptions> {
    let files = job.drill.assertions.iter().chain(more_assertions).map(|path| AssertionFile::read(path));
    let assertions: Result<Vec<_>, _> = files.collect();
    let place = match &job.drill.server {
        Some(server) => DrillPlace::Given(server.clone()),
        None => DrillPlace::Scratch(ScratchSettings {
            server_folder: job.drill.server_folder.clone(),
            folder: job.drill.folder.clone(),
            preload: job.drill.preload.clone(),
        }),
    };
    Ok(VerifyOptions {
        place,
        assertions: assertions.map_err(|fault| Failure::new(Stage::Verify, Exit::Configuration, fault))?,
        jobs: job.restoring.jobs,
        client_folder: job.shape.client_folder.clone(),
    })
}

/// Updates the metrics after a drill.
fn note(agent: &Agent, manifest: &Manifest, verification: &Verification) {
    let (metrics, name) = (&agent.metrics, agent.job.name.as_str());
    let took = run::seconds(verification.finished_at) - run::seconds(verification.started_at);
    metrics.verification_seconds.with_label_values(&[name]).set(took);
    metrics.restore_seconds.with_label_values(&[name]).set(verification.restore_seconds);
    if verification.passed {
        metrics.last_verified.with_label_values(&[name]).set(run::seconds(verification.finished_at));
        let gauge = metrics.verified_point.with_label_values(&[name]);
        // A later drill of an older backup must not set the newest verified time back.
        gauge.set(gauge.get().max(run::seconds(run::recovery_point(manifest))));
    }
}

fn said(verification: &Verification) -> String {
    let held = verification.assertions.iter().filter(|assertion| assertion.passed).count();
    let verdict = if verification.passed { "equals the original" } else { "DIFFERS from the original" };
    format!(
        "{} {verdict}: {} rows of {} tables compared, {held} of {} assertions hold, restored in {:.1} s on PostgreSQL {}{}",
        verification.id,
        verification.rows_compared,
        verification.tables_compared,
        verification.assertions.len(),
        verification.restore_seconds,
        verification.server_version,
        verification.faults.iter().map(|fault| format!("\n  {fault}")).collect::<String>()
    )
}

fn verdict(verification: &Verification) -> Result<()> {
    if verification.passed {
        return Ok(());
    }
    let told = format!("{} failed its drill; take a new backup now and verify it", verification.id);
    Err(Failure::told(Stage::Verify, Exit::Damaged, told))
}
