//! This module runs the job queue: start, hooks, dead letters. It must not contain a job's work.

use std::{collections::HashMap, sync::Arc, time::Duration};

use anyhow::Context;
use graphile_worker::{
    HookRegistry, Job, JobComplete, JobFail, JobPermanentlyFail, Plugin, Worker, WorkerOptions, WorkerUtils,
    worker_utils::types::RescheduleJobOptions,
};
use parking_lot::Mutex;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::{
    jobs::{self, JobContext, WriteStatement},
    schedule,
};
use crate::{
    db::{self, jobs::DeadLetter, statements},
    metrics::WorkerMetrics,
};

/// Concurrent jobs: a long one must not delay the checks of each minute.
const CONCURRENCY: usize = 3;
const POLL: Duration = Duration::from_secs(1);
/// Time for a running job at shutdown; afterwards the next worker runs it again.
const GRACE: Duration = Duration::from_secs(5);

/// Runs jobs until `stop` or an error of the database.
pub async fn run(context: JobContext, stop: CancellationToken) -> anyhow::Result<()> {
    db::jobs::migrate(&context.pool).await.context("the job queue's schema")?;
    unlock(&context.pool).await.context("failed to free the locks of abandoned jobs")?;
    let worker = WorkerOptions::default()
        .schema(db::jobs::SCHEMA)
        .concurrency(CONCURRENCY)
        .poll_interval(POLL)
        // A listening connection would have to bypass poolers, and polling each second is fast enough.
        .use_notification_delivery(false)
        .pg_pool(context.pool.clone())
        .define_jobs(jobs::definitions())
        .with_cron(schedule::crontab(context.media.is_some()).as_str())?
        .add_plugin(Watch { metrics: context.metrics.clone(), pool: context.pool.clone(), failing: Arc::default() })
        .add_extension(context)
        .listen_os_shutdown_signals(false)
        .shutdown_signal(stop.cancelled_owned())
        .shutdown_grace_period(GRACE)
        .init()
        .await?;
    Worker::run(&worker).await?;
    Ok(())
}

/// Frees jobs that a killed worker locked. The process that runs jobs owns the projector's lock, so no other process can be
/// running them.
async fn unlock(pool: &PgPool) -> anyhow::Result<()> {
    let holders = db::jobs::lock_holders(&mut *pool.acquire().await?).await?;
    if !holders.is_empty() {
        let holders: Vec<_> = holders.iter().map(String::as_str).collect();
        WorkerUtils::new(pool.clone(), db::jobs::SCHEMA).force_unlock_workers(&holders).await?;
        tracing::info!(workers = holders.len(), "freed the jobs of workers that were killed");
    }
    Ok(())
}

/// Jobs that failed permanently, oldest first.
pub async fn dead_letters(pool: &PgPool) -> anyhow::Result<Vec<DeadLetter>> {
    Ok(db::jobs::dead_letters(&mut *pool.acquire().await?).await?)
}

/// Puts every dead letter back into the queue with the full number of attempts. Returns their number.
pub async fn retry_dead_letters(pool: &PgPool) -> anyhow::Result<usize> {
    let ids: Vec<i64> = dead_letters(pool).await?.iter().map(|letter| letter.id).collect();
    let again = RescheduleJobOptions { attempts: Some(0), ..Default::default() };
    Ok(WorkerUtils::new(pool.clone(), db::jobs::SCHEMA).reschedule_jobs(&ids, again).await?.len())
}

/// Counts outcomes and logs failures, each once until its text changes or the job succeeds.
struct Watch {
    metrics: WorkerMetrics,
    pool: PgPool,
    failing: Arc<Mutex<HashMap<String, String>>>,
}

impl Plugin for Watch {
    fn register(self, hooks: &mut HookRegistry) {
        let (metrics, failing) = (self.metrics.clone(), Arc::clone(&self.failing));
        hooks.on(JobComplete, move |ended| {
            let job = ended.job.task_identifier().clone();
            metrics.job_runs.with_label_values(&[job.as_str(), "completed"]).inc();
            metrics.job_seconds.with_label_values(&[job.as_str()]).observe(ended.duration.as_secs_f64());
            if failing.lock().remove(&job).is_some() {
                tracing::info!(job, "a job that had been failing succeeds again");
            }
            std::future::ready(())
        });
        let (metrics, failing) = (self.metrics.clone(), Arc::clone(&self.failing));
        hooks.on(JobFail, move |ended| {
            let job = ended.job.task_identifier().clone();
            metrics.job_runs.with_label_values(&[job.as_str(), "retried"]).inc();
            if failing.lock().insert(job.clone(), ended.error.clone()).as_deref() != Some(ended.error.as_str()) {
                tracing::warn!(job, id = ended.job.id(), error = ended.error, "a job failed; retrying later");
            }
            std::future::ready(())
        });
        let (metrics, pool) = (self.metrics, self.pool);
        hooks.on(JobPermanentlyFail, move |ended| {
            let job = ended.job.task_identifier().as_str();
            metrics.job_runs.with_label_values(&[job, "dead"]).inc();
            tracing::error!(
                job,
                id = ended.job.id(),
                error = ended.error,
                "a job failed permanently: see `exchange worker dead-letters`, fix the cause, then run `exchange worker \
                 dead-letters retry`"
            );
            let pool = pool.clone();
            async move { give_up(&pool, &ended.job).await }
        });
    }
}

/// Marks the statement as failed, so that its reader does not wait for it.
async fn give_up(pool: &PgPool, job: &Job) {
    let Ok(WriteStatement { statement, .. }) = serde_json::from_value(job.payload().clone()) else { return };
    let told = async { statements::set_failed(&mut *pool.acquire().await?, statement).await };
    if let Err(error) = told.await {
        tracing::warn!(%statement, %error, "failed to mark a statement as failed");
    }
}
