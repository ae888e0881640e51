//! This module implements `backup doctor`. It reports remains of failed attempts, gaps and untrusted records, and deletes remains
//! that no run needs.

use std::collections::BTreeMap;

use super::{Leaves, Output, each};
use crate::{
    catalogue::Catalogue,
    config::Job,
    failure::{Exit, Failure, Result, Stage},
    layout::BackupId,
    lease::Lease,
    run::{self, Agent},
};
use jiff::Timestamp;

/// # Errors
/// Returns an error if records are missing or not trusted. A person must judge those.
pub async fn doctor(jobs: Vec<Job>, output: Output) -> Result<(), Exit> {
    each(jobs, output, Leaves::Metrics, async |agent| {
        let id = BackupId::new(Timestamp::now(), rand::random());
        let lease = Lease::take(&agent.lock_store, &agent.layout, &id, &run::host(), agent.job.limits.lease).await?;
        let found = async {
            let catalogue = agent.catalogue().await?;
            for settled in run::settle_orphans(agent, &catalogue).await? {
                output.say(
                    format!("{settled} vanished: abandoned it and removed its objects"),
                    &serde_json::json!({"settled": settled}),
                );
            }
            let gaps = catalogue.gaps(agent.job.retention.always_kept());
            for gap in &gaps {
                output.say(
                    format!("attempt number {gap} has no record: it was removed from outside"),
                    &serde_json::json!({"gap": gap}),
                );
            }
            for doubtful in &catalogue.doubtful {
                output.say(
                    format!("{}: {}", doubtful.key, doubtful.fault),
                    &serde_json::json!({"doubtful": doubtful.key, "fault": doubtful.fault.to_string()}),
                );
            }
            let ownerless = ownerless(agent, &catalogue).await?;
            for (id, objects) in &ownerless {
                output.say(
                    format!("{id} has {objects} objects and uploads, but no record"),
                    &serde_json::json!({"ownerless": id, "objects": objects}),
                );
            }
            if gaps.is_empty() && catalogue.doubtful.is_empty() && ownerless.is_empty() {
                output.say("no other problems found", &serde_json::json!({"healthy": true}));
                return Ok(());
            }
            let told = "records are missing or not trusted; check who may write to the bucket";
            Err(Failure::told(Stage::Catalogue, Exit::Damaged, told))
        }
        .await;
        run::release(lease).await;
        found
    })
    .await
}

/// Data without any record of an attempt. A writer writes its start record first, and a deletion removes it last.
async fn ownerless(agent: &Agent, catalogue: &Catalogue) -> Result<BTreeMap<String, usize>> {
    let failed = |error| Failure::store(Stage::Catalogue, error);
    let prefix = agent.layout.all_data();
    let objects = agent.store.list(&prefix).await.map_err(failed)?.into_iter().map(|object| object.key);
    let uploads = agent.store.list_uploads(&prefix).await.map_err(failed)?.into_iter().map(|pending| pending.upload.key);
    let mut found = BTreeMap::new();
    for key in objects.chain(uploads) {
        let id = agent.layout.backup_of(&key);
        let known = |id: &BackupId| {
            catalogue.attempts.contains_key(id) || catalogue.doubtful.iter().any(|doubtful| doubtful.id.as_ref() == Some(id))
        };
        if !id.as_ref().is_some_and(known) {
            *found.entry(id.map_or(key, |id| id.to_string())).or_insert(0) += 1;
        }
    }
    Ok(found)
}
