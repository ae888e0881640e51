//! This module is `exchange worker`: it projects the journal into tables and runs jobs.
//!
//! - It must not move money (only a command does) or answer a client.
//! - One process projects and runs jobs; the others are standbys and take over when its database session ends.

mod chunk;
mod clock;
pub mod command;
mod comparison;
mod followed;
pub mod jobs;
mod observe;
pub mod projector;
pub mod question;
pub mod queue;
pub mod rebuild;
mod schedule;
mod source;

use std::{convert::Infallible, time::Duration};

use anyhow::Context;
use service_kit::{
    admin::{self, Admin},
    health::{Health, Latch},
    metrics::Metrics,
    shutdown::Shutdown,
    telemetry::LogLevel,
};
use sqlx::PgPool;
use tokio::{net::TcpListener, sync::mpsc, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    config,
    db::{migrate, session},
    media::Media,
    metrics::{ObjectStorageMetrics, WorkerMetrics},
};
use jobs::JobContext;
use projector::{ProjectionEnd, Projector};
use question::{ProjectorHandle, Question, Standing};

/// Pause between attempts to reach an unreachable database: doubles up to the last value.
const BACKOFF: Duration = Duration::from_millis(250);
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// Interval between checks of an outdated schema, and between attempts to run the queue.
const LOOK: Duration = Duration::from_secs(2);
const STORAGE_LOOK: Duration = Duration::from_secs(10);

/// The subcommand.
pub async fn run(settings: config::WorkerSettings, level: LogLevel, shutdown: Shutdown) -> anyhow::Result<()> {
    let address = settings.admin_listen;
    let listener =
        TcpListener::bind(address).await.with_context(|| format!("EXCHANGE_ADMIN_LISTEN={address} cannot be bound"))?;
    work(listener, settings, level, shutdown).await
}

/// One worker, until the shutdown.
pub async fn work(
    listener: TcpListener,
    settings: config::WorkerSettings,
    level: LogLevel,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let metrics = Metrics::new("exchange", env!("CARGO_PKG_VERSION"), option_env!("EXCHANGE_COMMIT"));
    let health = Health::new();
    let name = format!("process {} at {}", std::process::id(), listener.local_addr()?);
    let worker = Worker::build(&settings, &metrics, &health, name)?;
    tokio::spawn(admin::serve(listener, std::future::pending(), Admin { metrics, health, log_level: level }));
    worker.run(shutdown.token()).await;
    Ok(())
}

/// `exchange worker rebuild`.
pub async fn run_rebuild(settings: config::WorkerSettings, _level: LogLevel, shutdown: Shutdown) -> anyhow::Result<()> {
    let metrics = Metrics::new("exchange", env!("CARGO_PKG_VERSION"), option_env!("EXCHANGE_COMMIT"));
    let name = format!("rebuild by process {}", std::process::id());
    let worker = Worker::build(&settings, &metrics, &Health::new(), name)?;
    rebuild::run(worker.projector, shutdown.token()).await
}

/// A worker before it runs.
pub struct Worker {
    projector: Projector,
    questions: mpsc::Receiver<Question>,
    context: JobContext,
    schema: Latch,
    standing: Standing,
}

impl Worker {
    /// Does not connect yet. `name` identifies the projecting process to operators.
    pub fn build(settings: &config::WorkerSettings, metrics: &Metrics, health: &Health, name: String) -> anyhow::Result<Self> {
        let (schema, projecting) = (health.latch("migrations", "not looked at yet"), health.latch("projection", "not begun"));
        let storage = ObjectStorageMetrics::register(metrics)?;
        let media = settings.object_storage.as_ref().map(|settings| Media::new(settings, storage));
        let metrics = WorkerMetrics::register(metrics)?;
        metrics.start_at_zero(schedule::kinds());
        let options = settings.database.options.clone();
        // Lazy: an unreachable database is retried, and readiness reports the wait.
        let pool =
            session::pool(settings.database.pool_size).connect_lazy_with(options.clone().application_name("exchange worker"));
        let (handle, questions) = ProjectorHandle::new();
        let standing = Standing::new(Some(projecting), metrics.clone());
        let projector = Projector { options, pool: pool.clone(), media: media.clone(), metrics: metrics.clone(), holder: name };
        Ok(Self { projector, questions, context: JobContext { pool, media, projector: handle, metrics }, schema, standing })
    }

    /// Context of its jobs.
    pub const fn context(&self) -> &JobContext {
        &self.context
    }

    /// Runs until `stop`; outages of the database and the object store do not end it.
    pub async fn run(self, stop: CancellationToken) {
        let context = self.context;
        if stop.run_until_cancelled(migrated(&context.pool, &self.schema)).await.is_none() {
            return;
        }
        let observed =
            observe::observe_worker(context.pool.clone(), context.metrics.clone(), context.media.is_some(), stop.clone());
        let stored = watch_storage(context.media.clone(), stop.clone());
        let worked = run_jobs(context, &self.standing, stop.clone());
        let projected = project(self.projector, self.questions, &self.standing, stop.clone());
        tokio::join!(observed, stored, worked, projected);
    }
}

/// Returns once every migration of this release has been applied.
async fn migrated(pool: &PgPool, latch: &Latch) {
    let mut told = String::new();
    loop {
        let missing = async { anyhow::Ok(migrate::missing(&mut *pool.acquire().await?).await?) }.await;
        let reason = match missing {
            Ok(None) => return latch.open(),
            Ok(Some(missing)) => missing,
            Err(error) => format!("the database is unreachable: {error:#}"),
        };
        if told != reason {
            tracing::warn!(reason, "waiting for the database");
            told.clone_from(&reason);
        }
        latch.close(reason);
        sleep(LOOK).await;
    }
}

/// Projects for the lifetime of the worker; outages of the database do not end it.
async fn project(projector: Projector, mut questions: mpsc::Receiver<Question>, standing: &Standing, stop: CancellationToken) {
    let (mut state, mut backoff) = (None, BACKOFF);
    loop {
        match projector.run(&mut state, &mut questions, standing, &stop).await {
            Ok(ProjectionEnd::Stopped) => return,
            Ok(ProjectionEnd::Deposed) => {
                tracing::info!("the tables were reset or another worker projects; restarting");
                backoff = BACKOFF;
            }
            Err(error) => {
                if standing.failed(&error) {
                    tracing::warn!(error = format!("{error:#}"), "projection stopped; retrying");
                }
                backoff = (backoff * 2).min(BACKOFF_MAX);
            }
        }
        if stop.run_until_cancelled(sleep(backoff)).await.is_none() {
            return;
        }
    }
}

/// Runs jobs while this process projects: they may query its state, and two workers never run the same job.
async fn run_jobs(context: JobContext, standing: &Standing, stop: CancellationToken) {
    let mut projecting = standing.watch();
    let mut told = String::new();
    loop {
        if stop.run_until_cancelled(projecting.wait_for(|projecting| *projecting)).await.is_none() {
            return;
        }
        let turn = stop.child_token();
        let ended = async {
            // Fails only if the sender is dropped, and `standing` owns it.
            let _ = projecting.wait_for(|projecting| !*projecting).await;
            turn.cancel();
            std::future::pending::<Infallible>().await
        };
        let result = tokio::select! {
            result = queue::run(context.clone(), turn.clone()) => result,
            never = ended => match never {},
        };
        match result {
            Ok(()) if stop.is_cancelled() => return,
            Ok(()) => told.clear(),
            Err(error) => {
                let error = format!("{error:#}");
                if told != error {
                    tracing::warn!(error, "the job queue stopped; retrying");
                    told = error;
                }
                if stop.run_until_cancelled(sleep(LOOK)).await.is_none() {
                    return;
                }
            }
        }
    }
}

/// Logs the loss and the return of object storage, each once. Jobs wait and retry; nothing else stops.
async fn watch_storage(media: Option<Media>, stop: CancellationToken) {
    let Some(media) = media else {
        return tracing::warn!("object storage is not configured: no snapshots, archives or statements");
    };
    let mut told = String::new();
    loop {
        let reason = media.check_bucket().await.err().map(|error| error.to_string()).unwrap_or_default();
        match (told.is_empty(), reason.is_empty()) {
            (false, true) => tracing::info!("object storage is reachable again"),
            (_, false) if told != reason => {
                tracing::warn!(reason, "object storage is unreachable; snapshots, archives and statements wait")
            }
            _ => {}
        }
        told = reason;
        if stop.run_until_cancelled(sleep(STORAGE_LOOK)).await.is_none() {
            return;
        }
    }
}
