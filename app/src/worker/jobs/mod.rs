//! This module has the jobs: each is a struct (its payload), a name and a run function. Each must be safe to repeat at any time.
//! `schedule` decides when they run.

use std::future::Future;

use graphile_worker::{JobDefinition, TaskHandler, WorkerContext};
use sqlx::PgPool;
use tracing::Instrument;

use crate::{media::Media, metrics::WorkerMetrics, worker::question::ProjectorHandle};

mod archive;
mod ledger_check;
mod merge;
mod snapshot;
pub mod statement;
mod tickers;
mod trial_balance;
mod upkeep;

pub use archive::ArchiveJournal;
pub use ledger_check::LedgerCheck;
pub use snapshot::TakeSnapshot;
pub use statement::WriteStatement;
pub use tickers::RefreshTickers;
pub use trial_balance::TakeTrialBalance;
pub use upkeep::Upkeep;

/// Shared parts for every job.
#[derive(Debug, Clone)]
pub struct JobContext {
    pub pool: PgPool,
    /// `None`: not configured. Jobs that need it are not scheduled.
    pub media: Option<Media>,
    pub projector: ProjectorHandle,
    pub metrics: WorkerMetrics,
}

impl JobContext {
    fn media(&self) -> anyhow::Result<&Media> {
        self.media.as_ref().ok_or_else(|| anyhow::anyhow!("object storage is not configured: set EXCHANGE_S3_*"))
    }
}

/// Every job of this program.
pub fn definitions() -> Vec<JobDefinition> {
    vec![
        ArchiveJournal::definition(),
        LedgerCheck::definition(),
        TakeSnapshot::definition(),
        WriteStatement::definition(),
        RefreshTickers::definition(),
        TakeTrialBalance::definition(),
        Upkeep::definition(),
    ]
}

/// Runs a job's body with the context and returns its error, including causes, as the text that the queue stores.
async fn run<Job, Body, Running>(job: Job, context: WorkerContext, body: Body) -> Result<(), JobError>
where
    Job: TaskHandler,
    Body: FnOnce(Job, JobContext) -> Running,
    Running: Future<Output = anyhow::Result<()>>,
{
    run_in_trace(job, context, None, body).await
}

/// Does the same as [`run`], in the trace of the request that queued the job.
async fn run_in_trace<Job, Body, Running>(
    job: Job,
    context: WorkerContext,
    traceparent: Option<&str>,
    body: Body,
) -> Result<(), JobError>
where
    Job: TaskHandler,
    Body: FnOnce(Job, JobContext) -> Running,
    Running: Future<Output = anyhow::Result<()>>,
{
    let Some(context) = context.get_ext::<JobContext>().cloned() else {
        return Err(JobError("the queue was started without a job context".into()));
    };
    let span = span(Job::IDENTIFIER, traceparent);
    let running = async {
        body(job, context).await.map_err(|error| {
            let text = format!("{error:#}");
            service_kit::trace::failed("job", text.clone());
            JobError(text)
        })
    };
    running.instrument(span).await
}

fn span(job: &'static str, traceparent: Option<&str>) -> tracing::Span {
    let create = || tracing::error_span!("job", otel.name = %format_args!("job {job}"), otel.kind = "consumer", job);
    match traceparent {
        Some(traceparent) => service_kit::trace::continue_from_text(traceparent, create),
        None => create(),
    }
}

/// A job's failure as the queue stores it.
struct JobError(String);

impl std::fmt::Debug for JobError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
