//! This module is a worker in the test's own process, without an admin listener.

use exchange::{
    config,
    media::Media,
    metrics::ObjectStorageMetrics,
    worker::{Worker, jobs::JobContext},
};
use graphile_worker::{JobSpec, TaskHandler, WorkerUtils};
use local_parts::S3Access;
use service_kit::{config::Secret, health::Health, metrics::Metrics};
use sqlx::PgPool;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::eventually::until;
use crate::worker::tables::projected;

pub struct TestWorker {
    pub health: Health,
    pub metrics: Metrics,
    pub context: JobContext,
    pub stop: CancellationToken,
    pub task: JoinHandle<()>,
}

impl TestWorker {
    pub fn start(url: &str, storage: Option<config::ObjectStorage>) -> Self {
        Self::named(url, storage, "test")
    }

    pub fn named(url: &str, storage: Option<config::ObjectStorage>, name: &str) -> Self {
        let mut settings = config::load_from([("EXCHANGE_DATABASE_URL", url)], config::WorkerSettings::read).unwrap();
        settings.object_storage = storage;
        let (metrics, health, stop) = (Metrics::new("exchange", "test", None), Health::new(), CancellationToken::new());
        let worker = Worker::build(&settings, &metrics, &health, name.into()).unwrap();
        let context = worker.context().clone();
        let task = tokio::spawn(worker.run(stop.clone()));
        Self { health, metrics, context, stop, task }
    }

    /// Waits until the tables contain `sequence` events.
    pub async fn reaches(&self, url: &str, sequence: u64) {
        until("the tables hold the journal", || async { projected(url).await >= sequence as i64 }).await;
    }

    /// Puts a job into the queue in addition to the schedule.
    pub async fn add<Job: TaskHandler + Clone>(&self, job: Job) -> i64 {
        self.add_with(job, JobSpec::default()).await
    }

    pub async fn add_with<Job: TaskHandler + Clone>(&self, job: Job, spec: JobSpec) -> i64 {
        exchange::db::jobs::migrate(&self.context.pool).await.unwrap();
        *WorkerUtils::new(self.context.pool.clone(), "graphile_worker").add_job(job, spec).await.unwrap().id()
    }

    /// Puts a job into the queue and waits until it has succeeded.
    pub async fn complete<Job: TaskHandler + Clone>(&self, job: Job) {
        let id = self.add(job).await;
        until("the job succeeds", || async { !exists(&self.context.pool, id).await }).await;
    }

    /// The sample whose name and labels are `series`.
    pub fn sample(&self, series: &str) -> Option<f64> {
        let text = self.metrics.encode();
        text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    }

    pub async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }

    /// Like a killed process: it stops without any message.
    pub async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

/// Whether the job is still in the queue.
pub async fn exists(pool: &PgPool, job: i64) -> bool {
    sqlx::query_scalar("SELECT EXISTS (SELECT FROM graphile_worker.jobs WHERE id = $1)").bind(job).fetch_one(pool).await.unwrap()
}

/// A new bucket.
pub async fn bucket(access: &S3Access) -> config::ObjectStorage {
    let bucket = format!("test-{}", uuid::Uuid::now_v7());
    access.create_bucket(&bucket).await.unwrap();
    config::ObjectStorage {
        endpoint: access.endpoint.clone(),
        region: access.region.clone(),
        bucket,
        access_key: access.access_key.clone(),
        secret_key: Secret::from(access.secret_key.clone()),
        checksums: config::Checksums::default(),
    }
}

pub fn media(storage: &config::ObjectStorage) -> Media {
    let metrics = ObjectStorageMetrics::register(&Metrics::new("exchange", "test", None)).unwrap();
    Media::new(storage, metrics)
}
