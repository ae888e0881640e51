//! This module runs one attempt: lease, start record, server, globals, each database, blobs, manifest.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use tokio::{sync::Mutex, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, error_span};

use super::{Agent, RecordNotWritten, abort_uploads, give_up, host, release, settle_orphans, watch};
use crate::{
    abort::Abort,
    bandwidth::Bandwidth,
    config::SourceSettings,
    dump::{self, DumpInput, Dumped, globals, server, server::ServerFacts, tools::Tools},
    encode::StreamEncoder,
    failure::{Exit, Failure, Result, Stage},
    layout::BackupId,
    lease::Lease,
    manifest::{self, Blob, Compression, Encryption, Globals, LaneObject, LeftOut, Manifest, Start, Totals, sign::SignedKind},
    parts::Pool,
    progress::Progress,
    store::StoreError,
    upload::{self, Destination, UploadStream},
};

const BLOBS_AT_ONCE: usize = 4;
/// Pause between two attempts of one database.
const DATABASE_PAUSE: Duration = Duration::from_secs(1);
/// SQLSTATE of a missing database.
const NO_SUCH_DATABASE: &str = "3D000";
/// The server creates roles with this prefix; no script does.
const PREDEFINED: &str = "pg_";
/// Time for tasks to notice an abort and clean up. Slower tasks are left behind.
const STOP_GRACE: Duration = Duration::from_secs(5);

pub(super) async fn take(
    agent: &Agent,
    source: &SourceSettings,
    stop: &Abort,
    progress: &Progress,
    shutdown: &CancellationToken,
) -> Result<Manifest> {
    let id = BackupId::new(Timestamp::now(), rand::random());
    let lease = Lease::take(&agent.lock_store, &agent.layout, &id, &host(), agent.job.limits.lease).await?;
    let lease = Arc::new(Mutex::new(lease));
    let watching = watch::begin_watch(agent, Arc::clone(&lease), stop.clone(), progress.clone(), shutdown.clone());
    let mut sequence = None;
    let overdue = async {
        stop.token().cancelled().await;
        tokio::time::sleep(STOP_GRACE).await;
    };
    let taken = tokio::select! {
        taken = under_lease(agent, source, &id, &mut sequence, &lease, stop, progress) => taken,
        () = overdue => Err(stop.stopped(Stage::Limit)),
    };
    watching.abort();
    let _ = watching.await;
    // The reason of the abort explains the failure that followed from it.
    let taken = match taken.map_err(|failure| stop.take_reason().unwrap_or(failure)) {
        Err(failure) => settle(agent, &id, sequence, failure).await,
        taken => taken,
    };
    if let Some(lease) = Arc::into_inner(lease) {
        release(lease.into_inner()).await;
    }
    taken
}

/// Abandons a failed attempt under its number, or the number that it would have had. Every failure must hold retention back, even
/// an early one. If the manifest already exists, only the last response was lost, and there is a backup.
async fn settle(agent: &Agent, id: &BackupId, sequence: Option<u64>, failure: Failure) -> Result<Manifest> {
    let sequence = match sequence {
        None => agent.catalogue().await.ok().map(|catalogue| catalogue.next_sequence()),
        known => known,
    };
    match give_up(agent, id, sequence, &failure.to_string()).await {
        Ok(true) => {}
        Ok(false) => {
            let catalogue = agent.catalogue().await;
            let standing = catalogue.ok().and_then(|catalogue| Some(catalogue.attempts.get(id)?.manifest()?.clone()));
            return standing.ok_or(failure);
        }
        Err(error) => {
            tracing::warn!(backup = id.as_str(), error = %error, "failed to remove the objects of a failed attempt; the next run retries");
        }
    }
    Err(failure)
}

async fn under_lease(
    agent: &Agent,
    source: &SourceSettings,
    id: &BackupId,
    sequence: &mut Option<u64>,
    lease: &Mutex<Lease>,
    stop: &Abort,
    progress: &Progress,
) -> Result<Manifest> {
    // Both run concurrently, since they are independent. A failure of the store takes precedence.
    let (start, opened) =
        tokio::join!(start(agent, id, sequence, lease), open(agent, source, stop).instrument(error_span!("connect")));
    let (start, (tools, mut server, before)) = (start?, opened?);

    let (lanes, uploads) = lanes(agent, id, stop, progress);
    let mut uploads = uploads;
    let read =
        databases(agent, source, &tools, id, &server, lanes, stop, progress).instrument(error_span!("read databases")).await;
    let ReadDatabases { read, failed, left_out, globals: after } = match read {
        Ok(read) => read,
        Err(failure) => {
            stop.stop(failure);
            while uploads.join_next().await.is_some() {}
            return Err(stop.stopped(Stage::Rows));
        }
    };
    let mut objects: BTreeMap<u32, Vec<LaneObject>> = BTreeMap::new();
    while let Some(uploaded) = uploads.join_next().instrument(error_span!("upload")).await {
        let (number, uploaded) = uploaded.map_err(|error| Failure::new(Stage::Upload, Exit::Failed, error))?;
        objects.insert(number, uploaded?);
    }
    objects.retain(|_, objects| !objects.is_empty());

    let script = choose_globals(before, after, &read)?;
    server.still_there(&agent.job.name).await?;

    let mut encoder = StreamEncoder::new(agent.job.shape.compression_level, &agent.job.encryption.recipients)
        .map_err(|error| Failure::new(Stage::Upload, Exit::Failed, error))?;
    let mut blobs = Blobs { agent, encoder: &mut encoder, encoded: Vec::new() };
    let script = blobs.add(agent.layout.globals(id), &script)?;
    let databases = read.into_iter().enumerate().map(|(number, dumped)| database(&mut blobs, id, number, dumped));
    let databases = databases.collect::<Result<Vec<_>>>()?;
    tokio::try_join!(blobs.send().instrument(error_span!("upload records")), abort_uploads(agent, id, agent.job.shape.workers))?;
    let finished_at = Timestamp::now();
    let manifest = Manifest {
        format: manifest::FORMAT,
        id: id.clone(),
        job: agent.job.name.clone(),
        sequence: start.sequence,
        program_version: env!("CARGO_PKG_VERSION").into(),
        started_at: start.started_at,
        finished_at,
        server: server.about.clone(),
        compression: Compression { algorithm: "zstd".into(), level: agent.job.shape.compression_level },
        encryption: encryption(agent),
        object_bytes: agent.job.store.object_bytes(),
        totals: totals(&databases, &objects, &script, progress),
        databases,
        globals: Some(Globals { script, role_passwords: server.role_passwords }),
        lanes: objects,
        failed: server.failed.drain(..).chain(failed).collect(),
        left_out: server.left_out.drain(..).chain(left_out).collect(),
        warnings: std::mem::take(&mut server.warnings),
    };
    commit(agent, &manifest, lease, stop).await?;
    Ok(manifest)
}

/// Writes the start record, which gives the attempt its number, and cleans up attempts that vanished before.
async fn start(agent: &Agent, id: &BackupId, sequence: &mut Option<u64>, lease: &Mutex<Lease>) -> Result<Start> {
    let started_at = Timestamp::now();
    let catalogue = agent.catalogue().await?;
    let number = catalogue.next_sequence();
    *sequence = Some(number);
    for orphan in settle_orphans(agent, &catalogue).await? {
        tracing::warn!(backup = orphan.as_str(), "abandoned a vanished attempt and removed its objects");
    }
    let start = Start {
        format: manifest::FORMAT,
        id: id.clone(),
        job: agent.job.name.clone(),
        started_at,
        sequence: number,
        epoch: lease.lock().await.epoch(),
        host: host(),
        keep_newest: Some(agent.job.retention.always_kept()),
    };
    agent.record(SignedKind::Start, &agent.layout.start(id), &start).await.map_err(|error| error.failure(Stage::Start))?;
    tracing::info!(backup = id.as_str(), "backup started");
    Ok(start)
}

/// Opens the server, locks it for this job, and reads its globals before the first snapshot.
async fn open(agent: &Agent, source: &SourceSettings, stop: &Abort) -> Result<(Tools, ServerFacts, Vec<u8>)> {
    let tools = Tools::new(agent.job.shape.client_folder.clone(), stop.clone());
    let mut server = ServerFacts::open(&agent.job, source, &tools).await?;
    server.lock(&agent.job.name).await?;
    let (address, stop) = (source.clone(), stop.clone());
    blocking(move || server::refuse_pooler(&address, &stop)).await?;
    let before = {
        let (tools, source, passwords) = (tools.clone(), source.clone(), server.role_passwords);
        blocking(move || globals::read_globals(&tools, &source, passwords)).await?
    };
    Ok((tools, server, before))
}

/// Commits the backup: it exists from this moment.
async fn commit(agent: &Agent, manifest: &Manifest, lease: &Mutex<Lease>, stop: &Abort) -> Result<()> {
    lease.lock().await.renew().await?;
    if stop.is_stopped() {
        return Err(stop.stopped(Stage::Commit));
    }
    let key = agent.layout.manifest(&manifest.id);
    let outcome = manifest::AttemptEnd::Committed(Box::new(manifest.clone()));
    reads_back(agent, &outcome)?;
    match agent.record(SignedKind::Outcome, &key, &outcome).await {
        Ok(()) => Ok(()),
        Err(RecordNotWritten::Store(StoreError::Exists { .. })) => {
            let told = "another run abandoned this attempt before it could commit: it took longer than its lease allows";
            Err(Failure::told(Stage::Commit, Exit::Busy, told))
        }
        Err(error) => Err(error.failure(Stage::Commit)),
    }
}

/// A backup with an unreadable record is useless, however well its rows are stored.
fn reads_back(agent: &Agent, outcome: &manifest::AttemptEnd) -> Result<()> {
    let failed = |error: anyhow::Error| {
        Failure::new(Stage::Commit, Exit::Failed, error)
            .context("the manifest cannot be read back; this is a bug in backup, report it")
    };
    let Some(signing) = &agent.job.keys.signing else { return Err(RecordNotWritten::NoKey.failure(Stage::Commit)) };
    let bytes = signing.seal(SignedKind::Outcome, outcome).map_err(|error| failed(error.into()))?;
    let read =
        agent.job.keys.trusted.open::<manifest::AttemptEnd>(SignedKind::Outcome, &bytes).map_err(|fault| failed(fault.into()))?;
    if read == *outcome { Ok(()) } else { Err(failed(anyhow::Error::msg("it differs from the written one"))) }
}

type Uploads = JoinSet<(u32, Result<Vec<LaneObject>>)>;

fn lanes(agent: &Agent, id: &BackupId, stop: &Abort, progress: &Progress) -> (Vec<UploadStream>, Uploads) {
    let pool = Pool::new(agent.job.store.part_bytes, agent.job.shape.parts_in_flight);
    let to = Destination {
        store: agent.store.clone(),
        layout: Arc::new(agent.layout.clone()),
        id: id.clone(),
        bandwidth: Bandwidth::new(agent.job.limits.bandwidth),
        progress: progress.clone(),
        stop: stop.clone(),
    };
    let mut uploads = JoinSet::new();
    let lanes = (0..agent.job.shape.workers).map(|number| {
        let (lane, uploader) = upload::upload_stream(number, pool.clone(), agent.job.store.object_bytes());
        let to = to.clone();
        uploads.spawn(async move { (number, upload::upload(uploader, to).await) });
        lane
    });
    let lanes = lanes.collect();
    let stopped = stop.token();
    tokio::spawn(async move {
        // Ends all waits for a buffer.
        stopped.cancelled().await;
        pool.close();
    });
    (lanes, uploads)
}

/// Results of all databases.
struct ReadDatabases {
    read: Vec<Dumped>,
    failed: Vec<LeftOut>,
    left_out: Vec<LeftOut>,
    /// Read again, during the rows of the last database.
    globals: Vec<u8>,
}

/// Backs up every database in order. Reads the globals again during the rows of the last database.
#[expect(clippy::too_many_arguments, reason = "the inputs of an attempt, passed on once")]
async fn databases(
    agent: &Agent,
    source: &SourceSettings,
    tools: &Tools,
    id: &BackupId,
    server: &ServerFacts,
    lanes: Vec<UploadStream>,
    stop: &Abort,
    progress: &Progress,
) -> Result<ReadDatabases> {
    let readings = server.databases.iter().map(|name| DumpInput {
        source: source.with_database(name),
        tools: tools.clone(),
        shape: agent.job.shape.clone(),
        limits: agent.job.limits.clone(),
        recipients: agent.job.encryption.recipients.clone(),
        progress: progress.clone(),
        stop: stop.clone(),
    });
    let reader = DatabaseReader {
        id: id.clone(),
        tools: tools.clone(),
        source: source.clone(),
        passwords: server.role_passwords,
        others: server.databases.len() > 1,
        // The primary may provide a backup that the standby cannot, and then a complete one.
        standby_alone: agent.job.primary.is_none(),
        lanes,
        encoders: Vec::new(),
        globals: None,
    };
    let readings: VecDeque<_> = readings.collect();
    blocking(move || reader.all(readings)).await
}

/// Reads databases in order into the same streams. Blocks its thread.
struct DatabaseReader {
    id: BackupId,
    tools: Tools,
    source: SourceSettings,
    passwords: bool,
    others: bool,
    standby_alone: bool,
    lanes: Vec<UploadStream>,
    encoders: Vec<StreamEncoder>,
    globals: Option<std::thread::JoinHandle<Result<Vec<u8>>>>,
}

impl DatabaseReader {
    fn all(mut self, mut readings: VecDeque<DumpInput>) -> Result<ReadDatabases> {
        let (mut read, mut failed, mut left_out) = (Vec::new(), Vec::new(), Vec::new());
        let mut first_failure = None;
        while let Some(reading) = readings.pop_front() {
            let name = reading.source.database.clone();
            match self.patiently(&reading, readings.is_empty()) {
                Ok(dumped) => {
                    let lines = dumped.left_out.iter().map(|reason| LeftOut { database: name.clone(), reason: reason.clone() });
                    left_out.extend(lines);
                    read.push(dumped);
                }
                Err(failure) if failure.whole || reading.stop.is_stopped() || !self.others => return Err(failure),
                Err(failure) if failure.standby && !self.standby_alone => return Err(failure),
                Err(failure) if failure.sqlstate() == Some(NO_SUCH_DATABASE) => {
                    let reason = "it was dropped before it could be read".to_owned();
                    left_out.push(LeftOut { database: name, reason });
                }
                Err(failure) => {
                    let error = format!("{failure:#}");
                    tracing::error!(
                        database = name,
                        stage = failure.stage.name(),
                        error,
                        "failed to read a database; continuing with the others"
                    );
                    failed.push(LeftOut { database: name, reason: failure.to_string() });
                    first_failure.get_or_insert(failure);
                }
            }
        }
        if let (Some(failure), true) = (first_failure, read.is_empty()) {
            return Err(failure);
        }
        for lane in self.lanes {
            lane.finish().map_err(|error| Failure::new(Stage::Upload, Exit::Failed, error))?;
        }
        let globals = match self.globals.and_then(|reader| reader.join().ok()) {
            Some(globals) => globals?,
            None => globals::read_globals(&self.tools, &self.source, self.passwords)?,
        };
        Ok(ReadDatabases { read, failed, left_out, globals })
    }

    /// Retries while the failures can be temporary. If there is no other database, the whole attempt is repeated instead.
    fn patiently(&mut self, reading: &DumpInput, last: bool) -> Result<Dumped> {
        let mut attempt = 1;
        loop {
            let named = |failure: Failure| failure.context(format!("database {}", reading.source.database));
            let failure = match self.one(reading, last).map_err(named) {
                Err(failure) if self.others && failure.passing && !failure.whole && !reading.stop.is_stopped() => failure,
                ended => return ended,
            };
            if attempt >= reading.limits.attempts {
                return Err(failure);
            }
            tracing::warn!(error = %failure, attempt, "failed to read a database; retrying");
            attempt += 1;
            std::thread::sleep(DATABASE_PAUSE);
        }
    }

    fn one(&mut self, reading: &DumpInput, last: bool) -> Result<Dumped> {
        let begun = dump::begin_dump(reading.clone())?;
        if last && self.globals.is_none() {
            let (tools, source, passwords) = (self.tools.clone(), self.source.clone(), self.passwords);
            self.globals = Some(std::thread::spawn(move || globals::read_globals(&tools, &source, passwords)));
        }
        dump::read_database(begun, &self.id, &mut self.lanes, &mut self.encoders)
    }
}

/// Roles may be created and dropped while rows are read. The chosen script must contain all roles that the databases need.
fn choose_globals(before: Vec<u8>, after: Vec<u8>, read: &[Dumped]) -> Result<Vec<u8>> {
    if globals::same(&before, &after) {
        return Ok(after);
    }
    let needed: BTreeSet<&str> = read.iter().flat_map(|dumped| &dumped.roles).map(String::as_str).collect();
    let has_all = |script: &[u8]| {
        let made = globals::roles(script);
        needed.iter().all(|role| role.starts_with(PREDEFINED) || made.contains(*role))
    };
    if has_all(&after) {
        return Ok(after);
    }
    if has_all(&before) {
        return Ok(before);
    }
    let told = "roles changed between the first snapshot and the last, and neither list contains all roles that own objects or have grants; \
                run again when roles do not change";
    Err(Failure::told(Stage::Globals, Exit::Failed, told).passing())
}

fn database(blobs: &mut Blobs<'_>, id: &BackupId, number: usize, dumped: Dumped) -> Result<manifest::ManifestDatabase> {
    let contents = serde_json::to_vec(&dumped.contents).map_err(|error| Failure::new(Stage::Contents, Exit::Failed, error))?;
    let layout = &blobs.agent.layout;
    let (toc, told) = (layout.toc(id, number), layout.contents(id, number));
    Ok(manifest::ManifestDatabase {
        name: dumped.contents.database.clone(),
        snapshot_at: dumped.snapshot_at,
        wal_position: dumped.wal_position,
        tables: dumped.contents.tables.len() as u64,
        rows: dumped.rows,
        large_objects: dumped.contents.large_objects.as_ref().map_or(0, |large| large.objects),
        raw_bytes: dumped.raw_bytes,
        toc: blobs.add(toc, &dumped.toc)?,
        contents: blobs.add(told, &contents)?,
    })
}

/// Encoded blobs that are not sent yet.
struct Blobs<'a> {
    agent: &'a Agent,
    encoder: &'a mut StreamEncoder,
    encoded: Vec<(String, Bytes)>,
}

impl Blobs<'_> {
    fn add(&mut self, key: String, bytes: &[u8]) -> Result<Blob> {
        let (stored, encoded) = self.encoder.encode(bytes).map_err(|error| Failure::new(Stage::Upload, Exit::Failed, error))?;
        self.encoded.push((key.clone(), Bytes::from(stored)));
        Ok(Blob { key, bytes: encoded.bytes, sha256: encoded.sha256, raw_bytes: encoded.raw_bytes })
    }

    async fn send(self) -> Result<()> {
        let agent = self.agent;
        let sent = self.encoded.into_iter().map(|(key, bytes)| async move { agent.store.put_own(&key, bytes).await });
        stream::iter(sent)
            .buffer_unordered(BLOBS_AT_ONCE)
            .try_collect()
            .await
            .map_err(|error| Failure::store(Stage::Upload, error))
    }
}

fn encryption(agent: &Agent) -> Option<Encryption> {
    let recipients: Vec<_> = agent.job.encryption.recipients.iter().map(ToString::to_string).collect();
    (!recipients.is_empty()).then(|| Encryption { algorithm: "age".into(), recipients })
}

fn totals(
    databases: &[manifest::ManifestDatabase],
    objects: &BTreeMap<u32, Vec<LaneObject>>,
    script: &Blob,
    progress: &Progress,
) -> Totals {
    let lanes: u64 = objects.values().flatten().map(|object| object.bytes).sum();
    let blobs: u64 = databases.iter().map(|database| database.toc.bytes + database.contents.bytes).sum();
    Totals {
        rows: databases.iter().map(|database| database.rows).sum(),
        raw_bytes: databases.iter().map(|database| database.raw_bytes).sum(),
        stored_bytes: lanes + blobs + script.bytes,
        // In milliseconds, since more digits do not survive a JSON round trip.
        duration_seconds: progress.elapsed().as_millis() as f64 / 1000.0,
    }
}

/// Runs work on a thread that may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Failure::new(Stage::Rows, Exit::Failed, error)))
}
