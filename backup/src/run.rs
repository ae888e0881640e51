//! This module takes a backup, from the lease to the manifest. Its manifest alone decides that a backup succeeded: it is
//! written last and once, on the condition that no other run has abandoned the attempt.

mod attempt;
mod watch;

use std::time::Duration;

use crate::{
    abort::Abort,
    catalogue::Catalogue,
    config::Job,
    failure::{Exit, Failure, Result, Stage},
    layout::{BackupId, Layout},
    lease::Lease,
    manifest::{
        self, Abandoned, Manifest,
        sign::{LARGEST_RECORD_BYTES, SignedKind, Signing},
    },
    metrics::{AgentMetrics, ObjectStoreMetrics},
    progress::Progress,
    store::{Replace, Store, StoreError},
};
use bytes::Bytes;
use futures::{StreamExt, TryFutureExt, TryStreamExt, stream};
use jiff::Timestamp;
use tracing::Instrument;

/// Shared state of all commands of a job.
#[derive(Clone)]
pub struct Agent {
    pub job: Job,
    pub store: Store,
    /// The store with the lease.
    pub lock_store: Store,
    pub layout: Layout,
    pub metrics: AgentMetrics,
}

impl Agent {
    pub fn new(job: Job, metrics: AgentMetrics, store_metrics: ObjectStoreMetrics) -> Self {
        let store = Store::new(&job.store, store_metrics);
        let lock_store = store.beside(job.store.lock_bucket.as_deref().unwrap_or(&job.store.bucket));
        let layout = Layout::new(&job.store.prefix, &job.name);
        Self { job, store, lock_store, layout, metrics }
    }

    pub async fn catalogue(&self) -> Result<Catalogue> {
        Catalogue::read(&self.store, &self.layout, &self.job.keys.trusted).await
    }

    /// Writes a signed record once. Returns [`StoreError::Exists`] if another record has this key.
    pub async fn record<Record: serde::Serialize>(
        &self,
        kind: SignedKind,
        key: &str,
        record: &Record,
    ) -> Result<(), RecordNotWritten> {
        let Some(signing) = &self.job.keys.signing else { return Err(RecordNotWritten::NoKey) };
        let bytes = seal(signing, kind, record)?;
        let written = self.store.put(key, bytes.clone(), Replace::No).await;
        if !matches!(written, Err(StoreError::Exists { .. })) {
            return written.map_err(RecordNotWritten::Store);
        }
        // A retry after a lost response finds its own record.
        let standing = self.store.get(key, LARGEST_RECORD_BYTES).await.map_err(RecordNotWritten::Store)?;
        if standing == bytes { Ok(()) } else { written.map_err(RecordNotWritten::Store) }
    }
}

fn seal<Record: serde::Serialize>(signing: &Signing, kind: SignedKind, record: &Record) -> Result<Bytes, RecordNotWritten> {
    signing.seal(kind, record).map(Bytes::from).map_err(RecordNotWritten::Json)
}

/// Reason why a record was not written.
#[derive(Debug, thiserror::Error)]
pub enum RecordNotWritten {
    #[error("no signing key is configured; set BACKUP_SIGNING_KEY")]
    NoKey,
    #[error("the record cannot be written as JSON: {0}")]
    Json(serde_json::Error),
    #[error(transparent)]
    Store(StoreError),
}

impl RecordNotWritten {
    pub fn failure(self, stage: Stage) -> Failure {
        match self {
            Self::Store(error) => Failure::store(stage, error),
            Self::NoKey => Failure::new(stage, Exit::Configuration, self),
            Self::Json(_) => Failure::new(stage, Exit::Failed, self),
        }
    }
}

/// Pause between two attempts of a run.
const PAUSE: Duration = Duration::from_secs(2);

/// Takes a backup. It makes as many attempts as the settings allow while the failures can be temporary. If the source is a
/// standby and a primary is configured, it starts with the standby.
///
/// # Errors
/// Returns the last attempt's failure.
pub async fn run(
    agent: &Agent,
    shutdown: tokio_util::sync::CancellationToken,
    progress: impl Fn() -> Progress,
) -> Result<Manifest> {
    let name = agent.job.name.as_str();
    let mut source = agent.job.source.clone().ok_or_else(|| {
        Failure::told(Stage::Connect, Exit::Configuration, "no source server is configured; set BACKUP_SOURCE_URL")
    })?;
    let (mut primary, mut attempts) = (agent.job.primary.clone(), 0);
    loop {
        attempts += 1;
        agent.metrics.running.with_label_values(&[name]).set(1);
        let stop = Abort::default();
        let span = tracing::error_span!("backup", otel.kind = "internal", attempts);
        let taken = attempt::take(agent, &source, &stop, &progress(), &shutdown)
            .inspect_err(|failure| service_kit::trace::failed(failure.stage.name(), format!("{:#}", failure.error)))
            .instrument(span)
            .await;
        agent.metrics.running.with_label_values(&[name]).set(0);
        agent.metrics.stalled_seconds.with_label_values(&[name]).set(0.0);
        agent.metrics.snapshot_age_seconds.with_label_values(&[name]).set(0.0);
        let failure = match taken {
            Ok(manifest) => {
                agent.metrics.runs.with_label_values(&[name, if manifest.is_complete() { "committed" } else { "partial" }]).inc();
                note(&agent.metrics, name, &manifest);
                return Ok(manifest);
            }
            Err(failure) => failure,
        };
        count_failure(&agent.metrics, name, &failure);
        let last = attempts >= agent.job.limits.attempts;
        // The primary always gets one attempt, even if the settings allow the standby only one.
        let primary = primary.take_if(|_| failure.standby && attempts + 1 >= agent.job.limits.attempts);
        if !failure.passing || last && primary.is_none() || shutdown.is_cancelled() {
            return Err(failure);
        }
        tracing::warn!(
            stage = failure.stage.name(),
            error = format!("{:#}", failure.error),
            attempts,
            "attempt failed; retrying"
        );
        if let Some(primary) = primary {
            tracing::warn!("the standby cannot provide a backup; trying the primary");
            source = primary;
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = shutdown.cancelled() => return Err(failure),
        }
    }
}

/// Counts a failure other than that of a backup attempt.
pub fn count_stage(agent: &Agent, stage: Stage) {
    agent.metrics.failures.with_label_values(&[agent.job.name.as_str(), stage.name()]).inc();
}

pub fn count_failure(metrics: &AgentMetrics, name: &str, failure: &Failure) {
    metrics.runs.with_label_values(&[name, "failed"]).inc();
    metrics.failures.with_label_values(&[name, failure.stage.name()]).inc();
}

/// Updates the metrics from the catalogue.
pub fn observe(agent: &Agent, catalogue: &Catalogue) {
    let (metrics, name) = (&agent.metrics, agent.job.name.as_str());
    metrics.catalogue_read.set(seconds(Timestamp::now()));
    metrics.backups.with_label_values(&[name]).set(catalogue.backups().count() as i64);
    match catalogue.newest_complete() {
        Some((manifest, _)) => note(metrics, name, manifest),
        // An alert on an age does not see a missing series, but it does see one from 1970.
        None => {
            metrics.last_success.with_label_values(&[name]).set(0.0);
            metrics.recovery_point.with_label_values(&[name]).set(0.0);
        }
    }
    if let Some((newest, _)) = catalogue.newest() {
        note_left_out(metrics, name, newest);
    }
    let verified = catalogue.newest_verified();
    let point = verified.map_or(0.0, |(manifest, _)| seconds(recovery_point(manifest)));
    metrics.verified_point.with_label_values(&[name]).set(point);
    let last = verified.and_then(|(_, attempt)| attempt.verified()).map_or(0.0, |drill| seconds(drill.finished_at));
    metrics.last_verified.with_label_values(&[name]).set(last);
}

/// Time of the oldest snapshot: a restore returns everything committed before it.
pub fn recovery_point(manifest: &Manifest) -> Timestamp {
    manifest.databases.iter().map(|database| database.snapshot_at).min().unwrap_or(manifest.started_at)
}

pub(crate) fn seconds(time: Timestamp) -> f64 {
    time.as_millisecond() as f64 / 1000.0
}

/// Updates the metrics from the newest backup.
pub fn note(metrics: &AgentMetrics, name: &str, manifest: &Manifest) {
    if !manifest.is_complete() {
        return note_left_out(metrics, name, manifest);
    }
    metrics.last_success.with_label_values(&[name]).set(seconds(manifest.finished_at));
    metrics.recovery_point.with_label_values(&[name]).set(seconds(recovery_point(manifest)));
    metrics.duration_seconds.with_label_values(&[name]).set(manifest.totals.duration_seconds);
    metrics.raw_bytes.with_label_values(&[name]).set(manifest.totals.raw_bytes as f64);
    metrics.stored_bytes.with_label_values(&[name]).set(manifest.totals.stored_bytes as f64);
    metrics.rows.with_label_values(&[name]).set(manifest.totals.rows as f64);
    note_left_out(metrics, name, manifest);
}

/// Updates the metrics of missing databases. A backup that lacks a database is not a success for the alerts.
fn note_left_out(metrics: &AgentMetrics, name: &str, manifest: &Manifest) {
    let count = |lines: usize| i64::try_from(lines).unwrap_or(i64::MAX);
    metrics.failed_databases.with_label_values(&[name]).set(count(manifest.failed.len()));
    metrics.left_out.with_label_values(&[name]).set(count(manifest.left_out.len()));
}

/// Cleans up vanished attempts: they can no longer commit, and their objects are removed. The caller must hold the lease, which
/// ensures that no other run writes.
///
/// # Errors
/// Returns an error if the store refuses.
pub async fn settle_orphans(agent: &Agent, catalogue: &Catalogue) -> Result<Vec<BackupId>> {
    let mut settled = Vec::new();
    for (id, attempt) in &catalogue.attempts {
        // An untrusted manifest may still be genuine, so a person must decide.
        let doubted = catalogue.doubtful.iter().any(|doubtful| doubtful.id.as_ref() == Some(id));
        if attempt.is_open() && !doubted && give_up(agent, id, attempt.sequence(), "its process vanished").await? {
            settled.push(id.clone());
        }
        if matches!(attempt.outcome, Some(manifest::AttemptEnd::Abandoned(_))) {
            remove_data(agent, id).await?;
        }
    }
    Ok(settled)
}

/// Records that the attempt is abandoned, and removes its objects. Returns `false` if it has committed after all.
///
/// # Errors
/// Returns an error if the store refuses.
pub async fn give_up(agent: &Agent, id: &BackupId, sequence: Option<u64>, reason: &str) -> Result<bool> {
    let abandoned =
        Abandoned { format: manifest::FORMAT, id: id.clone(), sequence, at: Timestamp::now(), reason: reason.to_owned() };
    match agent.record(SignedKind::Outcome, &agent.layout.manifest(id), &manifest::AttemptEnd::Abandoned(abandoned)).await {
        Ok(()) => {}
        Err(RecordNotWritten::Store(StoreError::Exists { .. })) => return Ok(false),
        Err(error) => return Err(error.failure(Stage::Commit)),
    }
    remove_data(agent, id).await?;
    Ok(true)
}

/// Aborts uploads that were begun and not completed: by an ended attempt, or twice because the first response was lost.
async fn abort_uploads(agent: &Agent, id: &BackupId, lanes: u32) -> Result<()> {
    let failed = |error| Failure::store(Stage::Commit, error);
    let prefix = agent.layout.data(id);
    let mut pending = agent.store.list_uploads(&prefix).await.map_err(failed)?;
    // Some stores (MinIO) list the uploads of complete keys only. A stream writes its objects in order, so its open upload is the
    // next object.
    let objects = agent.store.list(&prefix).await.map_err(failed)?;
    let keys = (0..lanes).map(|lane| {
        let number = objects.iter().filter(|object| agent.layout.is_of_lane(&object.key, id, lane)).count();
        agent.layout.lane_object(id, lane, u32::try_from(number).unwrap_or(u32::MAX))
    });
    let listed = stream::iter(keys).map(|key| async move { agent.store.list_uploads(&key).await });
    let listed: Vec<_> = listed.buffer_unordered(LISTED_AT_ONCE).try_collect().await.map_err(failed)?;
    pending.extend(listed.into_iter().flatten());
    // Both listings may name the same upload.
    pending.sort_unstable_by(|a, b| a.upload.id.cmp(&b.upload.id));
    pending.dedup_by(|a, b| a.upload == b.upload);
    for pending in pending {
        agent.store.abort_upload(&pending.upload).await.map_err(failed)?;
    }
    Ok(())
}

/// Concurrent requests that look for uploads of streams. Every run looks at each abandoned attempt.
const LISTED_AT_ONCE: usize = 16;
/// Maximum number of streams of any configuration.
const MOST_LANES: u32 = 64;

async fn remove_data(agent: &Agent, id: &BackupId) -> Result<()> {
    let failed = |error| Failure::store(Stage::Commit, error);
    let prefix = agent.layout.data(id);
    abort_uploads(agent, id, MOST_LANES).await?;
    let keys: Vec<_> = agent.store.list(&prefix).await.map_err(failed)?.into_iter().map(|object| (object.key, None)).collect();
    for (key, reason) in agent.store.delete(&keys).await.map_err(failed)? {
        tracing::warn!(key, reason, "failed to remove an object of a failed attempt");
    }
    Ok(())
}

/// Host name and process id, for messages.
pub fn host() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{name}/{}", std::process::id())
}

/// Releases the lease. A failure to do so does not fail the work done under it.
pub async fn release(lease: Lease) {
    if let Err(failure) = lease.release().await {
        tracing::warn!(error = %failure, "failed to release the lease; it expires after BACKUP_LEASE");
    }
}
