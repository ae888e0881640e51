//! This module runs concurrently with an attempt. It renews the lease, enforces time limits, and waits for a shutdown.

use std::{sync::Arc, time::Duration};

use tokio::{sync::Mutex, task::JoinHandle, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::Agent;
use crate::{
    abort::Abort,
    failure::{Exit, Failure, Stage},
    lease::Lease,
    progress::Progress,
};

/// Interval between checks of the limits.
const LOOK: Duration = Duration::from_secs(1);
/// Renewals within the lease's span; two of them can fail.
const RENEWALS: u32 = 3;

pub(super) fn begin_watch(
    agent: &Agent,
    lease: Arc<Mutex<Lease>>,
    stop: Abort,
    progress: Progress,
    shutdown: CancellationToken,
) -> JoinHandle<()> {
    let agent = agent.clone();
    tokio::spawn(async move {
        // Concurrently, so that a slow request for the lease does not delay the limits.
        let reason = tokio::select! {
            () = shutdown.cancelled() => {
                Failure::told(Stage::Limit, Exit::Failed, "the program was asked to stop; the attempt was aborted and no backup was taken")
            }
            reason = reached(&agent, &progress) => reason,
            reason = lost(&agent, &lease) => reason,
        };
        stop.stop(reason);
    })
}

/// Returns when a time limit is reached.
async fn reached(agent: &Agent, progress: &Progress) -> Failure {
    let (limits, name) = (&agent.job.limits, [agent.job.name.as_str()]);
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut read = 0;
    loop {
        look.tick().await;
        let seen = progress.seen();
        agent.metrics.read_bytes.with_label_values(&name).inc_by(seen.raw_bytes.saturating_sub(read));
        read = seen.raw_bytes;
        agent.metrics.stalled_seconds.with_label_values(&name).set(progress.idle().as_secs_f64());
        agent.metrics.snapshot_age_seconds.with_label_values(&name).set(progress.snapshot_age().as_secs_f64());
        let told = if progress.idle() >= limits.stall {
            format!(
                "nothing was read or sent for {} s (BACKUP_STALL_LIMIT); check the store's speed and locks in the database",
                limits.stall.as_secs()
            )
        } else if progress.elapsed() >= limits.max_duration {
            format!(
                "the attempt took longer than {} s (BACKUP_MAX_DURATION); raise it, or raise BACKUP_WORKERS",
                limits.max_duration.as_secs()
            )
        } else {
            continue;
        };
        return Failure::told(Stage::Limit, Exit::Limit, told);
    }
}

/// Renews the lease until it is lost.
async fn lost(agent: &Agent, lease: &Mutex<Lease>) -> Failure {
    let mut keep = tokio::time::interval(agent.job.limits.lease / RENEWALS);
    keep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    keep.tick().await; // returns at once; the lease was just taken
    let mut missed = 0;
    loop {
        keep.tick().await;
        match lease.lock().await.renew().await {
            Ok(()) => missed = 0,
            Err(failure) if failure.exit == Exit::Busy => return failure,
            Err(failure) => {
                missed += 1;
                tracing::warn!(error = %failure, missed, "failed to renew the lease; retrying");
                if missed >= RENEWALS {
                    return failure;
                }
            }
        }
    }
}
