//! This module deletes backups: those not retained by policy, and one by its name. Besides it, only the cleanup of failed
//! attempts deletes.
//!
//! A backup's manifest is deleted first, so that a partly deleted backup no longer counts as one. The start record is deleted
//! last. After an interruption, the next run therefore finds the remaining objects.

use jiff::Timestamp;

use crate::{
    catalogue::Catalogue,
    failure::{Exit, Failure, Result, Stage},
    layout::BackupId,
    lease::Lease,
    manifest::{self, Abandoned, sign::SignedKind},
    retention::{self, Reason, RetainedBackup, RetentionPlan},
    run::{self, Agent},
    store::StoreError,
};

/// Plans the deletions and, unless `dry_run` is set, deletes. A dry run plans the same deletions.
///
/// # Errors
/// Returns an error if retention refuses, or if the store refuses a deletion.
pub async fn prune_backups(agent: &Agent, dry_run: bool) -> Result<RetentionPlan> {
    let name = agent.job.name.as_str();
    leased(agent, dry_run).await.inspect_err(|failure| match failure.exit {
        // Already counted with its reason.
        Exit::Refused => {}
        Exit::Busy => agent.metrics.retention_refused.with_label_values(&[name, "lease"]).inc(),
        _ => run::count_stage(agent, Stage::Retention),
    })
}

async fn leased(agent: &Agent, dry_run: bool) -> Result<RetentionPlan> {
    let id = BackupId::new(Timestamp::now(), rand::random());
    let mut lease = Lease::take(&agent.lock_store, &agent.layout, &id, &run::host(), agent.job.limits.lease).await?;
    let pruned = under_lease(agent, &mut lease, dry_run).await;
    run::release(lease).await;
    pruned
}

async fn under_lease(agent: &Agent, lease: &mut Lease, dry_run: bool) -> Result<RetentionPlan> {
    let name = agent.job.name.as_str();
    let catalogue = agent.catalogue().await?;
    if let Some(doubtful) = catalogue.doubtful.first() {
        agent.metrics.retention_refused.with_label_values(&[name, "doubtful"]).inc();
        let failure = Failure::new(Stage::Retention, Exit::Refused, doubtful.fault.clone());
        return Err(failure.context(format!("nothing is removed while a record is not trusted ({})", doubtful.key)));
    }
    let entries = entries(agent, &catalogue).await?;
    let newest = catalogue.in_order().next_back();
    let committed = newest.is_none_or(|(_, newest)| newest.manifest().is_some_and(manifest::Manifest::is_complete));
    let plan = retention::plan(&agent.job.retention, &entries, committed, Timestamp::now()).map_err(|refusal| {
        agent.metrics.retention_refused.with_label_values(&[name, refusal.name()]).inc();
        Failure::new(Stage::Retention, Exit::Refused, refusal)
    })?;
    agent.metrics.backups.with_label_values(&[name]).set((plan.keep.len()) as i64);
    for reason in Reason::ALL {
        let kept = plan.keep.iter().filter(|kept| kept.reasons.contains(&reason)).count();
        agent.metrics.kept.with_label_values(&[name, reason.name()]).set(kept as i64);
    }
    if dry_run {
        return Ok(plan);
    }
    for id in &plan.remove {
        // A process that slept here may have lost the lease, and with it the right to delete.
        lease.renew().await?;
        remove(agent, id).await?;
        agent.metrics.removed.with_label_values(&[name]).inc();
        tracing::info!(backup = id.as_str(), "removed an expired backup");
    }
    // Records of failed attempts that are older than every backup are no longer useful.
    if let Some(oldest) = plan.keep.first().map(|kept| &kept.id) {
        for (id, attempt) in catalogue.in_order().take_while(|(id, _)| *id != oldest) {
            if matches!(attempt.outcome, Some(manifest::AttemptEnd::Abandoned(_))) {
                lease.renew().await?;
                match remove(agent, id).await {
                    // Still locked: a later run removes it. The expired backups are removed all the same.
                    Err(failure) if failure.exit == Exit::Forbidden => {
                        tracing::info!(backup = id.as_str(), reason = %failure, "failed to remove locked objects of a failed attempt; a later run retries");
                    }
                    removed => removed?,
                }
            }
        }
    }
    Ok(plan)
}

/// Deletes one backup, with its objects and drills. Its attempt remains as abandoned, so that its number is not a gap. `force`:
/// even if no other verified, or no other complete backup remains.
///
/// # Errors
/// Returns an error before any deletion if the backup does not exist, must stay, or is locked.
pub async fn delete_backup(agent: &Agent, id: &BackupId, force: bool) -> Result<()> {
    let run_id = BackupId::new(Timestamp::now(), rand::random());
    let mut lease = Lease::take(&agent.lock_store, &agent.layout, &run_id, &run::host(), agent.job.limits.lease).await?;
    let deleted = delete_under_lease(agent, &mut lease, id, force).await;
    run::release(lease).await;
    deleted.inspect_err(|failure| {
        if failure.exit != Exit::Refused {
            run::count_stage(agent, Stage::Retention);
        }
    })
}

async fn delete_under_lease(agent: &Agent, lease: &mut Lease, id: &BackupId, force: bool) -> Result<()> {
    let refused = |told: String| Failure::told(Stage::Retention, Exit::Refused, told);
    let catalogue = agent.catalogue().await?;
    let (manifest, _) = catalogue.find(Some(id))?;
    let sequence = manifest.sequence;
    if !force && catalogue.newest_verified().is_some_and(|(newest, _)| newest.id == *id) {
        return Err(refused(format!("{id} is the newest verified backup; verify a newer one first, or add --force")));
    }
    if !force && manifest.is_complete() && catalogue.backups().filter(|(other, _)| other.is_complete()).count() == 1 {
        return Err(refused(format!("{id} is the only complete backup; take another one first, or add --force")));
    }
    // Of any object, since a partly deleted backup is the worst result. The manifest was written last and is locked the longest.
    let until = agent.store.locked_until(&agent.layout.manifest(id)).await;
    let until = until.map_err(|error| Failure::store(Stage::Retention, error))?;
    if let Some(until) = until.filter(|until| *until > Timestamp::now()) {
        return Err(refused(format!("{id} is locked in the store until {until}; delete it then")));
    }
    lease.renew().await?;
    remove_all_but_start(agent, id).await?;
    let reason = format!("deleted by `backup delete` on {}", run::host());
    let abandoned =
        Abandoned { format: manifest::FORMAT, id: id.clone(), sequence: Some(sequence), at: Timestamp::now(), reason };
    // If this fails, the attempt is open, and the next run abandons it.
    let recorded =
        agent.record(SignedKind::Outcome, &agent.layout.manifest(id), &manifest::AttemptEnd::Abandoned(abandoned)).await;
    recorded.map_err(|error| error.failure(Stage::Retention))?;
    tracing::info!(backup = id.as_str(), force, "deleted a backup by its name");
    Ok(())
}

async fn entries(agent: &Agent, catalogue: &Catalogue) -> Result<Vec<RetainedBackup>> {
    let mut entries = Vec::new();
    for (manifest, attempt) in catalogue.backups() {
        // Asks the store instead of our settings: the bucket can have its own default lock, or other tools may have set one.
        let until = agent.store.locked_until(&agent.layout.manifest(&manifest.id)).await;
        let locked_until = until.map_err(|error| Failure::store(Stage::Retention, error))?;
        let at = run::recovery_point(manifest);
        entries.push(RetainedBackup {
            id: manifest.id.clone(),
            sequence: manifest.sequence,
            at,
            verified: attempt.verified().is_some(),
            locked_until,
            complete: manifest.is_complete(),
        });
    }
    Ok(entries)
}

async fn remove(agent: &Agent, id: &BackupId) -> Result<()> {
    remove_all_but_start(agent, id).await?;
    remove_under(agent, &[agent.layout.start(id)]).await
}

async fn remove_all_but_start(agent: &Agent, id: &BackupId) -> Result<()> {
    let layout = &agent.layout;
    // The order matters: after an interruption, the rest is not a backup, and its start record leads to it.
    remove_under(agent, &[layout.manifest(id), layout.data(id), layout.verifications(id)]).await
}

async fn remove_under(agent: &Agent, prefixes: &[String]) -> Result<()> {
    let failed = |error| Failure::store(Stage::Retention, error);
    for prefix in prefixes {
        let versions = match agent.store.list_versions(prefix).await {
            Ok(versions) => versions,
            // A store without versioning has no versions.
            Err(StoreError::Refused { .. } | StoreError::NotFound { .. }) => Vec::new(),
            Err(error) => return Err(failed(error).context("failed to list versions; grant s3:ListBucketVersions")),
        };
        let mut keys: Vec<_> = versions
            .into_iter()
            .filter(|version| !version.version.is_empty() && version.version != "null")
            .map(|version| (version.key, Some(version.version)))
            .collect();
        if keys.is_empty() {
            keys = agent.store.list(prefix).await.map_err(failed)?.into_iter().map(|object| (object.key, None)).collect();
        }
        if let Some((key, reason)) = agent.store.delete(&keys).await.map_err(failed)?.into_iter().next() {
            let told = format!("failed to remove {key}: {reason}; it is locked, or s3:DeleteObject is missing");
            return Err(Failure::told(Stage::Retention, Exit::Forbidden, told));
        }
    }
    Ok(())
}
