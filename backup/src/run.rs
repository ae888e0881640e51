//! A backup, from the lease to the manifest. Success is the manifest and nothing else: it is written last, once, on the
//! condition that nobody has given this attempt up in between.

mod attempt;
mod watch;

use std::time::Duration;

use crate::{
    catalogue::Catalogue,
    config::Job,
    failure::{Exit, Failure, Outcome, Stage},
    layout::{BackupId, Layout},
    lease::Lease,
    manifest::{
        self, Abandoned, Manifest,
        sign::{Kind, LARGEST_RECORD_BYTES, Signing},
    },
    metrics::{AgentMetrics, StoreMetrics},
    progress::Progress,
    stop::Stop,
    store::{Replace, Store, StoreError},
};
use bytes::Bytes;
use jiff::Timestamp;

/// What every command of a job has in hand.
#[derive(Clone)]
pub struct Agent {
    pub job: Job,
    pub store: Store,
    /// Where the lease lies.
    pub lock_store: Store,
    pub layout: Layout,
    pub metrics: AgentMetrics,
}

impl Agent {
    pub fn new(job: Job, metrics: AgentMetrics, store_metrics: StoreMetrics) -> Self {
        let store = Store::new(&job.store, store_metrics);
        let lock_store = store.beside(job.store.lock_bucket.as_deref().unwrap_or(&job.store.bucket));
        let layout = Layout::new(&job.store.prefix, &job.name);
        Self { job, store, lock_store, layout, metrics }
    }

    pub async fn catalogue(&self) -> Outcome<Catalogue> {
        Catalogue::read(&self.store, &self.layout, &self.job.keys.trusted).await
    }

    /// Writes a signed record once. [`StoreError::Exists`]: another one stands there.
    pub async fn record<Record: serde::Serialize>(&self, kind: Kind, key: &str, record: &Record) -> Result<(), RecordNotWritten> {
        let Some(signing) = &self.job.keys.signing else { return Err(RecordNotWritten::NoKey) };
        let bytes = seal(signing, kind, record)?;
        let written = self.store.put(key, bytes.clone(), Replace::No).await;
        if !matches!(written, Err(StoreError::Exists { .. })) {
            return written.map_err(RecordNotWritten::Store);
        }
        // A retry of a request whose answer was lost meets its own record.
        let standing = self.store.get(key, LARGEST_RECORD_BYTES).await.map_err(RecordNotWritten::Store)?;
        if standing == bytes { Ok(()) } else { written.map_err(RecordNotWritten::Store) }
    }
}

fn seal<Record: serde::Serialize>(signing: &Signing, kind: Kind, record: &Record) -> Result<Bytes, RecordNotWritten> {
    signing.seal(kind, record).map(Bytes::from).map_err(RecordNotWritten::Json)
}

/// Why a record was not written.
#[derive(Debug, thiserror::Error)]
pub enum RecordNotWritten {
    #[error("there is no key to sign with: set BACKUP_SIGNING_KEY")]
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

/// How long a failed attempt waits before the next one of the same run.
const PAUSE: Duration = Duration::from_secs(2);

/// Takes a backup: as many attempts as the settings allow while what fails may pass, on the standby first when the source is
/// one and a primary is named.
///
/// # Errors
/// With the last attempt's failure.
pub async fn run(
    agent: &Agent,
    shutdown: tokio_util::sync::CancellationToken,
    progress: impl Fn() -> Progress,
) -> Outcome<Manifest> {
    let name = agent.job.name.as_str();
    let mut source = agent.job.source.clone().ok_or_else(|| {
        Failure::told(Stage::Connect, Exit::Configuration, "there is no server to back up: set BACKUP_SOURCE_URL")
    })?;
    let (mut primary, mut attempts) = (agent.job.primary.clone(), 0);
    loop {
        attempts += 1;
        agent.metrics.running.with_label_values(&[name]).set(1);
        let stop = Stop::default();
        let taken = attempt::take(agent, &source, &stop, &progress(), &shutdown).await;
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
        // The primary is asked once in any case: one attempt is all that some allow a standby.
        let primary = primary.take_if(|_| failure.standby && attempts + 1 >= agent.job.limits.attempts);
        if !failure.passing || last && primary.is_none() || shutdown.is_cancelled() {
            return Err(failure);
        }
        tracing::warn!(
            stage = failure.stage.name(),
            error = format!("{:#}", failure.error),
            attempts,
            "an attempt failed and is repeated"
        );
        if let Some(primary) = primary {
            tracing::warn!("the standby gave no backup: the primary is asked");
            source = primary;
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = shutdown.cancelled() => return Err(failure),
        }
    }
}

/// Counts what failed other than an attempt to take a backup.
pub fn count_stage(agent: &Agent, stage: Stage) {
    agent.metrics.failures.with_label_values(&[agent.job.name.as_str(), stage.name()]).inc();
}

pub fn count_failure(metrics: &AgentMetrics, name: &str, failure: &Failure) {
    metrics.runs.with_label_values(&[name, "failed"]).inc();
    metrics.failures.with_label_values(&[name, failure.stage.name()]).inc();
}

/// What the metrics say of a bucket.
pub fn observe(agent: &Agent, catalogue: &Catalogue) {
    let (metrics, name) = (&agent.metrics, agent.job.name.as_str());
    metrics.catalogue_read.set(seconds(Timestamp::now()));
    metrics.backups.with_label_values(&[name]).set(catalogue.backups().count() as i64);
    match catalogue.newest_complete() {
        Some((manifest, _)) => note(metrics, name, manifest),
        // An alert on an age sees no series that is not there, and one of 1970.
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

/// The oldest of its snapshots: everything before it comes back.
pub fn recovery_point(manifest: &Manifest) -> Timestamp {
    manifest.databases.iter().map(|database| database.snapshot_at).min().unwrap_or(manifest.started_at)
}

pub(crate) fn seconds(time: Timestamp) -> f64 {
    time.as_millisecond() as f64 / 1000.0
}

/// What the metrics say of the newest backup.
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

/// What is missing in it. One that lacks a database is not the success that alerts wait for.
fn note_left_out(metrics: &AgentMetrics, name: &str, manifest: &Manifest) {
    let count = |lines: usize| i64::try_from(lines).unwrap_or(i64::MAX);
    metrics.failed_databases.with_label_values(&[name]).set(count(manifest.failed.len()));
    metrics.left_out.with_label_values(&[name]).set(count(manifest.left_out.len()));
}

/// Settles attempts that vanished: they can no longer commit, and their objects go. Only while holding the lease, which says
/// that nobody writes any more.
///
/// # Errors
/// When the store does not let us.
pub async fn settle_orphans(agent: &Agent, catalogue: &Catalogue) -> Outcome<Vec<BackupId>> {
    let mut settled = Vec::new();
    for (id, attempt) in &catalogue.attempts {
        // A manifest that is not believed is somebody's word all the same: a person decides.
        let doubted = catalogue.doubtful.iter().any(|doubtful| doubtful.id.as_ref() == Some(id));
        if attempt.is_open() && !doubted && give_up(agent, id, attempt.sequence(), "it vanished without a word").await? {
            settled.push(id.clone());
        }
        if matches!(attempt.outcome, Some(manifest::Outcome::Abandoned(_))) {
            remove_data(agent, id).await?;
        }
    }
    Ok(settled)
}

/// Writes that the attempt is given up and removes its objects. `false` when it has committed after all.
///
/// # Errors
/// When the store does not let us.
pub async fn give_up(agent: &Agent, id: &BackupId, sequence: Option<u64>, reason: &str) -> Outcome<bool> {
    let abandoned =
        Abandoned { format: manifest::FORMAT, id: id.clone(), sequence, at: Timestamp::now(), reason: reason.to_owned() };
    match agent.record(Kind::Outcome, &agent.layout.manifest(id), &manifest::Outcome::Abandoned(abandoned)).await {
        Ok(()) => {}
        Err(RecordNotWritten::Store(StoreError::Exists { .. })) => return Ok(false),
        Err(error) => return Err(error.failure(Stage::Commit)),
    }
    remove_data(agent, id).await?;
    Ok(true)
}

/// Uploads that were begun and not completed: by an attempt that ended, or twice because the first answer was lost.
async fn abort_uploads(agent: &Agent, id: &BackupId, lanes: u32) -> Outcome<()> {
    let failed = |error| Failure::store(Stage::Commit, error);
    let prefix = agent.layout.data(id);
    let mut pending = agent.store.list_uploads(&prefix).await.map_err(failed)?;
    // Some stores (MinIO) list the uploads of a whole key only. A lane writes its objects one after the other: what it has not
    // completed is the next one.
    let objects = agent.store.list(&prefix).await.map_err(failed)?;
    for lane in 0..lanes {
        let number = objects.iter().filter(|object| agent.layout.is_of_lane(&object.key, id, lane)).count();
        let key = agent.layout.lane_object(id, lane, u32::try_from(number).unwrap_or(u32::MAX));
        pending.extend(agent.store.list_uploads(&key).await.map_err(failed)?);
    }
    for pending in pending {
        agent.store.abort_upload(&pending.upload).await.map_err(failed)?;
    }
    Ok(())
}

/// Lanes that any configuration may have had.
const MOST_LANES: u32 = 64;

async fn remove_data(agent: &Agent, id: &BackupId) -> Outcome<()> {
    let failed = |error| Failure::store(Stage::Commit, error);
    let prefix = agent.layout.data(id);
    abort_uploads(agent, id, MOST_LANES).await?;
    let keys: Vec<_> = agent.store.list(&prefix).await.map_err(failed)?.into_iter().map(|object| (object.key, None)).collect();
    for (key, reason) in agent.store.delete(&keys).await.map_err(failed)? {
        tracing::warn!(key, reason, "an object of a failed attempt stays");
    }
    Ok(())
}

/// Host name and process id, for people.
pub fn host() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{name}/{}", std::process::id())
}

/// Lets go of the lease; that it could not be is no failure of what was done under it.
pub async fn release(lease: Lease) {
    if let Err(failure) = lease.release().await {
        tracing::warn!(error = %failure, "the lease could not be released: it runs out by itself");
    }
}
