//! This module reads the queue for metrics. It must not change the queue.

use std::{collections::HashMap, time::Duration};

use sqlx::PgPool;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{clock, schedule};
use crate::{db::jobs, metrics::WorkerMetrics};

/// Interval between reads.
const POLL: Duration = Duration::from_secs(5);
/// Time limit of one read.
const DEADLINE: Duration = Duration::from_secs(5);
/// A scheduled job that is queued later than this after its time has missed it.
const GRACE_SECONDS: i64 = 45;
const STATES: [&str; 5] = ["ready", "scheduled", "running", "retrying", "dead"];
const MICROSECONDS_PER_SECOND: i64 = 1_000_000;

/// Runs until `stop`. The projector reports an unreachable database.
pub async fn observe_worker(pool: PgPool, metrics: WorkerMetrics, media: bool, stop: CancellationToken) {
    let mut misses = Misses { media, begun: clock::now() / MICROSECONDS_PER_SECOND, told: HashMap::new() };
    while stop.run_until_cancelled(sleep(POLL)).await.is_some() {
        if let Ok(Err(error)) = timeout(DEADLINE, look(&pool, &metrics, &mut misses)).await {
            tracing::debug!(%error, "failed to read the job queue");
        }
    }
}

async fn look(pool: &PgPool, metrics: &WorkerMetrics, misses: &mut Misses) -> sqlx::Result<()> {
    let mut connection = pool.acquire().await?;
    let counts = jobs::counts(&mut connection).await?;
    let oldest = jobs::oldest_ready_seconds(&mut connection).await?;
    let schedule = jobs::schedule(&mut connection).await?;
    let names = schedule::SCHEDULE.iter().map(|entry| entry.job).chain(counts.iter().map(|count| count.job.as_str()));
    let of = |job: &str, state: &str| counts.iter().find(|c| c.job == job && c.state == state).map_or(0, |c| c.count);
    for job in names {
        for state in STATES {
            metrics.jobs.with_label_values(&[job, state]).set(of(job, state));
        }
        metrics.dead_letters.with_label_values(&[job]).set(of(job, "dead"));
    }
    metrics.oldest_job_age.set(oldest.max(0.0));
    misses.count(metrics, &schedule, clock::now() / MICROSECONDS_PER_SECOND);
    Ok(())
}

/// The missed times that have been counted.
struct Misses {
    media: bool,
    /// Times before this program's start are not counted.
    begun: i64,
    told: HashMap<&'static str, i64>,
}

impl Misses {
    fn count(&mut self, metrics: &WorkerMetrics, schedule: &[(String, i64, Option<i64>)], now: i64) {
        for entry in schedule::entries(self.media) {
            // Also creates the series, so that the first miss is an increase.
            let missed = metrics.schedule_misses.with_label_values(&[entry.job]);
            let due = entry.last_due(now - GRACE_SECONDS);
            let Some((_, since, last)) = schedule.iter().find(|(job, ..)| job == entry.job) else { continue };
            let queued = last.unwrap_or(*since);
            if due > queued && due > self.begun && self.told.insert(entry.job, due) != Some(due) {
                missed.inc();
                tracing::warn!(job = entry.job, due, "a scheduled job was not queued in time");
            }
        }
    }
}
