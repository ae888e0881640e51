//! This module implements `backup check`. It looks for every problem that a scheduled run would meet, and reports them all, each
//! with a remedy.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

use super::{Leaves, Output, each};
use crate::{
    abort::Abort,
    config::Job,
    dump::{server, server::ServerFacts, tools::Tools},
    failure::{Exit, Failure, Result, Stage},
    layout::BackupId,
    lease,
    run::Agent,
    schedule::BackupSchedule,
    store::{Replace, Store, StoreError},
};

/// Error code of stores for an unknown request.
const NOT_IMPLEMENTED: &str = "NotImplemented";

/// # Errors
/// Returns the exit status of the first failed check.
pub async fn check(jobs: Vec<Job>, output: Output) -> Result<(), Exit> {
    each(jobs, output, Leaves::Metrics, async |agent| {
        let mut worst = None;
        let mut say = |what: &str, found: Result<String>| match found {
            Ok(text) => {
                output.say(format!("ok      {what}: {text}"), &serde_json::json!({"check": what, "ok": true, "found": text}))
            }
            Err(failure) => {
                let text = format!("{:#}", failure.error);
                output.say(format!("FAILED  {what}: {text}"), &serde_json::json!({"check": what, "ok": false, "found": text}));
                worst.get_or_insert(failure.exit);
            }
        };
        say(
            "signing key",
            Ok(format!("its public key is {}", agent.job.keys.signing.as_ref().map(|key| key.public_key()).unwrap_or_default())),
        );
        let stop = Abort::default();
        let limit = agent.job.limits.check;
        say("server", within(limit, Stage::Connect, source(agent, &stop)).await);
        // Ends tools and connections that did not answer.
        stop.stop(Failure::told(Stage::Connect, Exit::Limit, "the check of the server has ended"));
        say("store", within(limit, Stage::Upload, store(agent)).await);
        say("catalogue", within(limit, Stage::Catalogue, catalogue(agent)).await);
        say("lease", within(limit, Stage::Lease, lease_state(agent)).await);
        for (what, schedule) in [("backups", &agent.job.schedules.backup), ("drills", &agent.job.schedules.verify)] {
            if let Some(schedule) = schedule {
                say(&format!("schedule of {what}"), Ok(next_times(schedule)));
            }
        }
        match worst {
            None => Ok(()),
            Some(exit) => Err(Failure::told(Stage::Connect, exit, "at least one check failed")),
        }
    })
    .await
}

/// Runs one check with a time limit.
async fn within(limit: Duration, stage: Stage, look: impl Future<Output = Result<String>>) -> Result<String> {
    tokio::time::timeout(limit, look).await.unwrap_or_else(|_| {
        let told = format!(
            "no answer within {} s (BACKUP_CHECK_TIMEOUT); check that it can be reached from here, or raise the limit",
            limit.as_secs_f64()
        );
        Err(Failure::told(stage, Exit::Limit, told))
    })
}

async fn source(agent: &Agent, stop: &Abort) -> Result<String> {
    let Some(source) = &agent.job.source else {
        return Err(Failure::told(Stage::Connect, Exit::Configuration, "no source server is configured; set BACKUP_SOURCE_URL"));
    };
    let tools = Tools::new(agent.job.shape.client_folder.clone(), stop.clone());
    let server = ServerFacts::open(&agent.job, source, &tools).await?;
    let (address, stop) = (source.clone(), stop.clone());
    let pooler = tokio::task::spawn_blocking(move || server::refuse_pooler(&address, &stop)).await;
    pooler.map_err(|error| Failure::new(Stage::Connect, Exit::Failed, error))??;
    for database in &server.databases {
        crate::dump::check::readable(&source.with_database(database)).await?;
    }
    let warnings: String = server.warnings.iter().map(|warning| format!("; {warning}")).collect();
    Ok(format!("version {}, {}, databases {}{warnings}", server.about.version, server.about.client, server.databases.join(", ")))
}

/// Writes, reads and deletes an object below the lease, which no object lock retains. Checks that conditional writes work. Then
/// tries in the backups' bucket the requests of a run.
async fn store(agent: &Agent) -> Result<String> {
    let failed = |error| Failure::store(Stage::Upload, error);
    agent.store.check_bucket().await.map_err(failed)?;
    if agent.job.store.object_lock.is_some() && !agent.store.can_lock().await.map_err(failed)? {
        let told = "objects of this bucket cannot be locked; create it with object lock, or unset BACKUP_STORE_OBJECT_LOCK";
        return Err(Failure::told(Stage::Upload, Exit::Configuration, told));
    }
    if agent.job.store.object_lock.is_some() && agent.job.store.lock_bucket.is_none() {
        let told = "the lease would be in a bucket with object lock; set BACKUP_STORE_LOCK_BUCKET to another bucket";
        return Err(Failure::told(Stage::Upload, Exit::Configuration, told));
    }
    let key = format!(
        "{}check-{}",
        agent.layout.leases().replace("/lease/", "/check/"),
        BackupId::new(Timestamp::now(), rand::random())
    );
    let store = &agent.lock_store;
    store.check_bucket().await.map_err(failed)?;
    let text = Bytes::from_static(b"written by `backup check`");
    store.put(&key, text.clone(), Replace::No).await.map_err(|error| match &error {
        StoreError::Refused { code, .. } if code == NOT_IMPLEMENTED => failed(error)
            .context("the store does not support conditional writes (If-None-Match); two runs could overwrite each other"),
        _ => failed(error),
    })?;
    let conditional = store.put(&key, text.clone(), Replace::No).await;
    let read = store.get(&key, 1024).await.map_err(failed)?;
    deletes(store, &key).await?;
    if !matches!(conditional, Err(StoreError::Exists { .. })) {
        let told =
            "the store ignores If-None-Match: two writers could overwrite each other; use one that supports conditional writes";
        return Err(Failure::told(Stage::Upload, Exit::Failed, told));
    }
    if read != text {
        return Err(Failure::told(Stage::Upload, Exit::Damaged, "the store returned other bytes than were written"));
    }
    // A complete key, since some stores reject keys that end with a slash.
    let data = agent.layout.lane_object(&BackupId::new(Timestamp::now(), rand::random()), 0, 0);
    let upload = agent.store.begin_upload(&data).await.map_err(failed)?;
    agent.store.abort_upload(&upload).await.map_err(failed)?;
    agent.store.list_uploads(&data).await.map_err(failed)?;
    match agent.store.get(&data, 1024).await {
        // Without the right to list, the store does not report that the object does not exist.
        Ok(_) | Err(StoreError::NotFound { .. }) => {}
        Err(error) => return Err(failed(error)),
    }
    deletes(&agent.store, &data).await?;
    Ok(format!("bucket {}: written, read, deleted; conditional writes and multipart uploads work", agent.store.bucket()))
}

/// Deletes an object, whether it exists or not, and its versions.
async fn deletes(store: &Store, key: &str) -> Result<()> {
    let failed = |error| Failure::store(Stage::Upload, error);
    let refused = |kept: Vec<(String, String)>, right: &str| match kept.into_iter().next() {
        None => Ok(()),
        Some((_, reason)) => {
            let told = format!("objects of the bucket {} cannot be deleted: {reason}; grant {right}", store.bucket());
            Err(Failure::told(Stage::Retention, Exit::Forbidden, told))
        }
    };
    refused(store.delete(&[(key.to_owned(), None)]).await.map_err(failed)?, "s3:DeleteObject")?;
    let versions = match store.list_versions(key).await {
        // A store without versioning has no versions.
        Err(StoreError::Refused { .. } | StoreError::NotFound { .. }) => Vec::new(),
        versions => versions.map_err(failed)?,
    };
    let kept = versions.into_iter().filter(|version| !version.version.is_empty() && version.version != "null");
    let kept: Vec<_> = kept.map(|version| (version.key, Some(version.version))).collect();
    refused(store.delete(&kept).await.map_err(failed)?, "s3:DeleteObjectVersion")
}

async fn catalogue(agent: &Agent) -> Result<String> {
    let catalogue = agent.catalogue().await?;
    match catalogue.doubtful.first() {
        Some(doubtful) => Err(Failure::new(Stage::Catalogue, Exit::Damaged, doubtful.fault.clone()).context(format!(
            "{} records are not trusted, the first is {}",
            catalogue.doubtful.len(),
            doubtful.key
        ))),
        None => Ok(format!(
            "{} backups, the newest {}",
            catalogue.backups().count(),
            catalogue.newest().map_or_else(|| "none".into(), |(manifest, _)| manifest.id.to_string())
        )),
    }
}

/// Next times of the schedule, UTC.
fn next_times(schedule: &BackupSchedule) -> String {
    const SHOWN: usize = 3;
    let times = std::iter::successors(schedule.next_after(Timestamp::now()), |time| schedule.next_after(*time));
    format!("next at {}", times.take(SHOWN).map(|time| time.to_string()).collect::<Vec<_>>().join(", "))
}

async fn lease_state(agent: &Agent) -> Result<String> {
    Ok(match lease::look(&agent.lock_store, &agent.layout).await? {
        Some(state) if state.held => format!("held by {} until {}", state.host, state.until),
        _ => "free".into(),
    })
}
