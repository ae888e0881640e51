//! The job queue: starting it, its hooks, dead letters. Never: what a job does.

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

/// Jobs that run at the same time: one long one must not hold up the minute's checks.
const CONCURRENCY: usize = 3;
const POLL: Duration = Duration::from_secs(1);
/// What a running job gets at shutdown; it is run again by whoever is next.
const GRACE: Duration = Duration::from_secs(5);

/// Runs jobs until `stop` or a fault of the database.
pub async fn run(context: JobContext, stop: CancellationToken) -> anyhow::Result<()> {
    db::jobs::migrate(&context.pool).await.context("the job queue's schema")?;
    unlock(&context.pool).await.context("locks of jobs that nobody runs any more")?;
    let worker = WorkerOptions::default()
        .schema(db::jobs::SCHEMA)
        .concurrency(CONCURRENCY)
        .poll_interval(POLL)
        // A listening connection would have to bypass poolers, and a second is soon enough.
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

/// Frees jobs that a killed worker held. Whoever runs jobs holds the projector's lock, so nobody else can be running them.
async fn unlock(pool: &PgPool) -> anyhow::Result<()> {
    let holders = db::jobs::lock_holders(&mut *pool.acquire().await?).await?;
    if !holders.is_empty() {
        let holders: Vec<_> = holders.iter().map(String::as_str).collect();
        WorkerUtils::new(pool.clone(), db::jobs::SCHEMA).force_unlock_workers(&holders).await?;
        tracing::info!(workers = holders.len(), "freed jobs of workers that ended without a word");
    }
    Ok(())
}

/// Jobs that failed for good, oldest first.
pub async fn dead_letters(pool: &PgPool) -> anyhow::Result<Vec<DeadLetter>> {
    Ok(db::jobs::dead_letters(&mut *pool.acquire().await?).await?)
}

/// Puts every dead letter back into the queue with all its attempts. How many there were.
pub async fn retry_dead_letters(pool: &PgPool) -> anyhow::Result<usize> {
    let ids: Vec<i64> = dead_letters(pool).await?.iter().map(|letter| letter.id).collect();
    let again = RescheduleJobOptions { attempts: Some(0), ..Default::default() };
    Ok(WorkerUtils::new(pool.clone(), db::jobs::SCHEMA).reschedule_jobs(&ids, again).await?.len())
}

/// Counts outcomes and tells failures, each once until its text changes or the job succeeds.
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
                tracing::warn!(job, id = ended.job.id(), error = ended.error, "a job failed and will be tried again");
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
                "a job failed for good: see `exchange worker dead-letters`, mend the cause, then `exchange worker dead-letters retry`"
            );
            let pool = pool.clone();
            async move { give_up(&pool, &ended.job).await }
        });
    }
}

/// Whoever waits for a statement is told that it will not come.
async fn give_up(pool: &PgPool, job: &Job) {
    let Ok(WriteStatement { statement }) = serde_json::from_value(job.payload().clone()) else { return };
    let told = async { statements::set_failed(&mut *pool.acquire().await?, statement).await };
    if let Err(error) = told.await {
        tracing::warn!(%statement, %error, "a statement that failed for good could not be marked so");
    }
}
