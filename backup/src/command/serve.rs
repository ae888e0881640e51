//! This module implements `backup serve`: backups and drills on their schedules, and metrics of the bucket. It must not implement
//! the backup itself.

use std::time::Duration;

use jiff::Timestamp;
use service_kit::{
    admin::{self, Admin},
    health::{Health, Latch},
    shutdown::Shutdown,
    telemetry::LogLevel,
};
use tokio::{net::TcpListener, sync::Notify, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{reading::Which, verify::drill};
use crate::{
    catalogue::Catalogue,
    config::Job,
    failure::{Exit, Failure, Stage},
    run::{self, Agent},
    schedule::{BackupSchedule, ScheduleStep},
};

/// Maximum sleep before the clock is read again, since it may have been set.
const LONGEST_SLEEP: Duration = Duration::from_secs(20);
const CATALOGUE_EVERY: Duration = Duration::from_secs(60);
/// Maximum number of missed times that are counted at once.
const MOST_MISSES: usize = 1000;

/// Runs until a shutdown is requested.
///
/// # Errors
/// Returns an error if it cannot start.
pub async fn serve(jobs: Vec<Job>, level: LogLevel) -> Result<(), Exit> {
    let shutdown = Shutdown::new(jobs[0].process.shutdown_deadline);
    let address = jobs[0].process.admin_listen;
    let begun = async {
        let failed = |error: std::io::Error, what: String| Failure::new(Stage::Connect, Exit::Failed, error).context(what);
        if !jobs.iter().any(|job| job.schedules.backup.is_some() || job.schedules.verify.is_some()) {
            let told = "no job has a schedule; set BACKUP_SCHEDULE, or start `backup run` from a scheduler";
            return Err(Failure::told(Stage::Connect, Exit::Configuration, told));
        }
        shutdown.on_signals().map_err(|error| failed(error, "failed to install signal handlers".into()))?;
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(|error| failed(error, format!("failed to bind BACKUP_ADMIN_LISTEN={address}")))?;
        Ok((super::agents(jobs)?, listener))
    };
    let ((agents, metrics), listener) = begun.await.map_err(|failure| {
        tracing::error!(error = %failure, "serve failed to start");
        super::complain(format_args!("backup serve: {failure}"));
        failure.exit
    })?;
    let health = Health::new();
    tracing::info!(address = %address, jobs = agents.len(), "serving");
    let followed = agents.iter().map(|agent| {
        let latch = health.latch(&format!("catalogue of {}", agent.job.name), "not read yet");
        let (part, stop) = (shutdown.part(&format!("job {}", agent.job.name)), shutdown.token());
        async move {
            follow(agent, &latch, stop).await;
            drop(part);
        }
    });
    let followed = futures::future::join_all(followed);
    tokio::spawn(admin::serve(listener, std::future::pending(), Admin { metrics, health, log_level: level }));
    followed.await;
    shutdown.drained().await;
    Ok(())
}

/// Runs one job: its backups, its drills, its metrics.
async fn follow(agent: &Agent, latch: &Latch, stop: CancellationToken) {
    let Some(catalogue) = stop.run_until_cancelled(first_look(agent, latch)).await else { return };
    // Times missed while no process served are made up for once.
    let newest = catalogue.newest().map_or(Timestamp::UNIX_EPOCH, |(manifest, _)| manifest.started_at);
    let to_verify = Notify::new();
    let backups = on_schedule(agent, agent.job.schedules.backup.as_ref(), newest, &stop, async || {
        match super::run::run_once(agent, stop.clone()).await {
            Ok(_) if agent.job.schedules.verify_after_backup => to_verify.notify_one(),
            Ok(_) => {}
            Err(failure) => {
                let (stage, error) = (failure.stage.name(), format!("{:#}", failure.error));
                tracing::error!(stage, error, backup = agent.job.name, "backup failed");
            }
        }
        look(agent, latch).await;
    });
    // One drill at a time, of the newest backup at its start.
    let drilled = async {
        while stop.run_until_cancelled(to_verify.notified()).await.is_some() {
            verify(agent, &stop).await;
            look(agent, latch).await;
        }
    };
    let last_drill = catalogue.backups().flat_map(|(_, attempt)| &attempt.verifications).map(|drill| drill.started_at).max();
    let last_drill = last_drill.unwrap_or(Timestamp::UNIX_EPOCH);
    let drills_due = on_schedule(agent, agent.job.schedules.verify.as_ref(), last_drill, &stop, async || to_verify.notify_one());
    let watched = async {
        while stop.run_until_cancelled(sleep(CATALOGUE_EVERY)).await.is_some() {
            look(agent, latch).await;
        }
    };
    tokio::join!(backups, drills_due, drilled, watched);
}

async fn first_look(agent: &Agent, latch: &Latch) -> Catalogue {
    loop {
        if let Some(catalogue) = look(agent, latch).await {
            return catalogue;
        }
        sleep(LONGEST_SLEEP).await;
    }
}

/// Runs a drill and logs its result. The record and the metrics contain the same result.
async fn verify(agent: &Agent, stop: &CancellationToken) {
    let name = agent.job.name.as_str();
    match drill(agent, &Which::newest(), &[], true, stop, None).await {
        Ok(drill) if drill.passed => {
            let (id, rows, held) = (drill.id.to_string(), drill.rows_compared, drill.assertions.len());
            tracing::info!(backup = name, id, rows, assertions = held, "drill passed: the restored backup equals the original");
        }
        Ok(drill) => {
            let (id, faults) = (drill.id.to_string(), drill.faults.join("; "));
            tracing::error!(
                backup = name,
                id,
                faults,
                "drill failed: the restored backup differs from the original; take and verify a new backup"
            );
        }
        Err(_) if stop.is_cancelled() => {}
        Err(failure) => {
            tracing::error!(
                backup = name,
                stage = failure.stage.name(),
                error = format!("{:#}", failure.error),
                "failed to run the drill"
            );
        }
    }
}

/// Reads the catalogue into the metrics and the readiness latch.
async fn look(agent: &Agent, latch: &Latch) -> Option<Catalogue> {
    match agent.catalogue().await {
        Ok(catalogue) => {
            run::observe(agent, &catalogue);
            latch.open();
            Some(catalogue)
        }
        Err(failure) => {
            tracing::warn!(backup = agent.job.name, error = %failure, "failed to read the catalogue");
            latch.close(failure.to_string());
            None
        }
    }
}

/// Runs an action at each time of the schedule after `served`, one at a time.
async fn on_schedule(
    agent: &Agent,
    schedule: Option<&BackupSchedule>,
    mut served: Timestamp,
    stop: &CancellationToken,
    mut act: impl AsyncFnMut(),
) {
    let Some(schedule) = schedule else { return };
    loop {
        let now = Timestamp::now();
        match schedule.step(served, now) {
            ScheduleStep::End => return,
            ScheduleStep::ContinueFromNow => {
                tracing::warn!(
                    backup = agent.job.name,
                    served = %served,
                    "the clock was set back; the schedule continues from the present time"
                );
                served = now;
            }
            ScheduleStep::Wait(left) => {
                if stop.run_until_cancelled(sleep(left.min(LONGEST_SLEEP))).await.is_none() {
                    return;
                }
            }
            ScheduleStep::Run => {
                act().await;
                if stop.is_cancelled() {
                    return;
                }
                served = Timestamp::now();
                let missed = schedule.times_between(now, served, MOST_MISSES);
                agent.metrics.schedule_misses.with_label_values(&[agent.job.name.as_str()]).inc_by(missed as u64);
            }
        }
    }
}
