//! `backup check`: everything that a night would stumble over, asked by day. Every finding at once, each with its remedy.

use bytes::Bytes;
use jiff::Timestamp;

use super::{Output, each};
use crate::{
    config::Job,
    dump::{server, server::Server, tools::Tools},
    failure::{Exit, Failure, Outcome, Stage},
    layout::BackupId,
    lease,
    run::Agent,
    store::{Replace, StoreError},
};

/// # Errors
/// With the status of the first finding that is a failure.
pub async fn check(jobs: Vec<Job>, output: Output) -> Result<(), Exit> {
    each(jobs, output, async |agent| {
        let mut worst = None;
        let mut say = |what: &str, found: Outcome<String>| match found {
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
        say("server", source(agent).await);
        say("store", store(agent).await);
        say("catalogue", catalogue(agent).await);
        say("lease", lease_state(agent).await);
        match worst {
            None => Ok(()),
            Some(exit) => Err(Failure::told(Stage::Connect, exit, "not everything is as a backup needs it")),
        }
    })
    .await
}

async fn source(agent: &Agent) -> Outcome<String> {
    let Some(source) = &agent.job.source else {
        return Err(Failure::told(Stage::Connect, Exit::Configuration, "there is none: set BACKUP_SOURCE_URL"));
    };
    let tools = Tools::new(agent.job.shape.client_folder.clone());
    let server = Server::open(&agent.job, source, &tools).await?;
    let address = source.clone();
    let pooler = tokio::task::spawn_blocking(move || server::refuse_pooler(&address)).await;
    pooler.map_err(|error| Failure::new(Stage::Connect, Exit::Failed, error))??;
    for database in &server.databases {
        crate::dump::check::readable(&source.with_database(database)).await?;
    }
    let warnings: String = server.warnings.iter().map(|warning| format!("; {warning}")).collect();
    Ok(format!("version {}, {}, databases {}{warnings}", server.about.version, server.about.client, server.databases.join(", ")))
}

/// Writes, reads and deletes below the lease, which no lock keeps, and asks whether a condition is honoured.
async fn store(agent: &Agent) -> Outcome<String> {
    let failed = |error| Failure::store(Stage::Upload, error);
    agent.store.check_bucket().await.map_err(failed)?;
    if agent.job.store.object_lock.is_some() && !agent.store.can_lock().await.map_err(failed)? {
        let told = "objects of this bucket cannot be locked: create it with object lock, or unset BACKUP_STORE_OBJECT_LOCK";
        return Err(Failure::told(Stage::Upload, Exit::Configuration, told));
    }
    if agent.job.store.object_lock.is_some() && agent.job.store.lock_bucket.is_none() {
        let told = "the lease would lie in a bucket whose objects are kept: set BACKUP_STORE_LOCK_BUCKET to another one";
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
    store.put(&key, text.clone(), Replace::No).await.map_err(failed)?;
    let conditional = store.put(&key, text.clone(), Replace::No).await;
    let read = store.get(&key, 1024).await.map_err(failed)?;
    let kept = store.delete(&[(key.clone(), None)]).await.map_err(failed)?;
    if !matches!(conditional, Err(StoreError::Exists { .. })) {
        let told =
            "the store ignores If-None-Match: two writers could overwrite each other; use one that honours conditional writes";
        return Err(Failure::told(Stage::Upload, Exit::Failed, told));
    }
    if read != text {
        return Err(Failure::told(Stage::Upload, Exit::Damaged, "the store gives back other bytes than were written"));
    }
    if let Some((_, reason)) = kept.first() {
        return Err(Failure::told(
            Stage::Retention,
            Exit::Forbidden,
            format!("objects cannot be deleted: {reason}; grant s3:DeleteObject"),
        ));
    }
    let upload =
        agent.store.begin_upload(&agent.layout.data(&BackupId::new(Timestamp::now(), rand::random()))).await.map_err(failed)?;
    agent.store.abort_upload(&upload).await.map_err(failed)?;
    Ok(format!("bucket {}: written, read, deleted; conditional writes and multipart uploads work", agent.store.bucket()))
}

async fn catalogue(agent: &Agent) -> Outcome<String> {
    let catalogue = agent.catalogue().await?;
    match catalogue.doubtful.first() {
        Some(doubtful) => Err(Failure::new(Stage::Catalogue, Exit::Damaged, doubtful.fault.clone()).context(format!(
            "{} records are not believed, the first is {}",
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

async fn lease_state(agent: &Agent) -> Outcome<String> {
    Ok(match lease::look(&agent.lock_store, &agent.layout).await? {
        Some(state) if state.held => format!("held by {} until {}", state.host, state.until),
        _ => "free".into(),
    })
}
