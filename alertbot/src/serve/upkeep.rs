//! This module repeats what no event triggers: steps of incidents, handovers, housekeeping, gauges.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use alertbot_core::alert::Severity;
use jiff::SignedDuration;
use service_kit::health::{Health, Latch};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    metrics::AlertbotMetrics,
    store::incidents,
    writer::{Housekeeping, Remember, Writer, handover::HandOver, timers::Due},
};

/// Longest sleep between steps, and so the largest delay of a step.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);
/// Largest delay of the announcement of a handover.
const HANDOVERS_EVERY: Duration = Duration::from_secs(5);
const HOUSEKEEPING_EVERY: Duration = Duration::from_secs(600);
const GAUGES_EVERY: Duration = Duration::from_secs(5);
/// Name of the fact that is written to check whether the disk accepts a commit.
const STORE_PROBE: &str = "store_probe";

/// Runs the steps of incidents when they are due.
pub(super) async fn step(writer: Writer, clock: Clock, changed: Arc<Notify>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let sleep = match writer.perform(Due).await {
            Ok(Some(due)) => {
                let now = clock.now().as_millisecond();
                Duration::from_millis(u64::try_from(due.saturating_sub(now)).unwrap_or(0)).min(LONGEST_SLEEP)
            }
            Ok(None) => LONGEST_SLEEP,
            Err(_) => Duration::from_secs(1),
        };
        tokio::select! {
            () = tokio::time::sleep(sleep) => {}
            () = changed.notified() => {}
            () = stop.cancelled() => {}
        }
    }
}

/// Announces handovers.
pub(super) async fn hand_over(writer: Writer, stop: CancellationToken) {
    loop {
        if let Err(error) = writer.perform(HandOver).await {
            tracing::warn!(%error, "failed to announce handovers; retrying");
        }
        if stop.run_until_cancelled(tokio::time::sleep(HANDOVERS_EVERY)).await.is_none() {
            return;
        }
    }
}

/// Deletes old rows in small portions.
pub(super) async fn keep_house(writer: Writer, clock: Clock, metrics: AlertbotMetrics, stop: CancellationToken) {
    let retention = SignedDuration::try_from(writer.routing.config.store.retention).unwrap_or(SignedDuration::MAX);
    loop {
        let horizon = clock.now().checked_sub(retention).unwrap_or(jiff::Timestamp::MIN);
        while let Ok((removed, used, free)) = writer.perform(Housekeeping { horizon }).await {
            metrics.store.removed.inc_by(removed);
            metrics.store.bytes.with_label_values(&["used"]).set(used);
            metrics.store.bytes.with_label_values(&["free"]).set(free);
            if removed == 0 || stop.is_cancelled() {
                break;
            }
        }
        if stop.run_until_cancelled(tokio::time::sleep(HOUSEKEEPING_EVERY)).await.is_none() {
            return;
        }
    }
}

/// Sets the gauges that no event changes, and readiness, which depends on the store.
pub(super) async fn gauge(
    writer: Writer,
    clock: Clock,
    metrics: AlertbotMetrics,
    (health, ready): (Health, Latch),
    reloaded: Arc<AtomicBool>,
    stop: CancellationToken,
) {
    loop {
        metrics.people.reloaded.set(i64::from(reloaded.load(Ordering::Relaxed)));
        if metrics.store.writable.get() == 0 {
            // A program that is not ready gets no requests, so it must check itself whether the disk accepts a commit again.
            let probe = Remember { name: STORE_PROBE.into(), value: clock.now().to_string() };
            let _ = writer.perform(probe).await;
        }
        if metrics.store.writable.get() == 1 {
            ready.open();
        } else {
            ready.close("the last commit failed");
        }
        metrics.people.ready.set(i64::from(health.is_ready()));
        metrics.incident.clock_stepped.set(clock.stepped_seconds());
        for schedule in &writer.routing.config.schedules {
            let on_duty = writer.routing.on_duty(&schedule.name, clock.now()).is_some();
            metrics.people.on_duty.with_label_values(&[&schedule.name]).set(i64::from(on_duty));
        }
        if let Ok(count) = incidents::count_escalation_lost(&writer.readers).await {
            metrics.incident.escalation_lost.set(count);
        }
        if let Ok(counts) = incidents::count_open(&writer.readers).await {
            for (phase, phase_name) in [(0, "firing"), (1, "acknowledged")] {
                for severity in Severity::ALL {
                    let row = counts.iter().find(|(p, s, _)| *p == phase && *s == incidents::severity(severity));
                    let labels = [phase_name, severity.name()];
                    metrics.incident.open.with_label_values(&labels).set(row.map_or(0, |(_, _, count)| *count));
                }
            }
        }
        if stop.run_until_cancelled(tokio::time::sleep(GAUGES_EVERY)).await.is_none() {
            return;
        }
    }
}
