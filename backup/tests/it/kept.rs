//! Buckets with versions, with object lock, and without newer checksums.

use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
use backup::{
    config::ObjectStoreSettings, failure::Exit, layout::BackupId, prune::prune_backups, reading::BackupReader,
    reading::Identities, retention::Reason, run, run::Agent,
};
use local_parts::shared_object_store;
use sqlx::Executor;
use tokio_util::sync::CancellationToken;

use crate::{
    agent::{agent, agent_in, take},
    faulty_store::{FaultyStore, StoreFault},
    program::{ended, program},
    restore::{options, restore_with},
    store_faults::nothing_is_left_behind,
    support::{database, other_server, random, store_settings},
};

/// Retention of only the newest backup.
pub const NEWEST: [(&str, &str); 7] = [
    ("BACKUP_KEEP_LAST", "1"),
    ("BACKUP_KEEP_FLOOR", "1"),
    ("BACKUP_KEEP_HOURLY", "0"),
    ("BACKUP_KEEP_DAILY", "0"),
    ("BACKUP_KEEP_WEEKLY", "0"),
    ("BACKUP_KEEP_MONTHLY", "0"),
    ("BACKUP_PRUNE_AFTER_RUN", "false"),
];

async fn versions_of(agent: &Agent, id: &BackupId) -> usize {
    let prefixes = [agent.layout.data(id), agent.layout.manifest(id), agent.layout.start(id)];
    let mut found = 0;
    for prefix in prefixes {
        found += agent.store.list_versions(&prefix).await.unwrap().len();
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn pruning_removes_every_version() {
    let ((source, mut session), store) = (database().await, store_settings().await);
    session.execute("CREATE TABLE t (a int)").await.unwrap();
    let versioned = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
    let client = shared_object_store().await.unwrap().client();
    client.put_bucket_versioning().bucket(&store.bucket).versioning_configuration(versioned).send().await.unwrap();
    let agent = agent_in(&source, &store, &NEWEST);
    let (first, second) = (take(&agent).await.unwrap(), take(&agent).await.unwrap());
    assert!(versions_of(&agent, &first.id).await > 0);
    assert_eq!(prune_backups(&agent, false).await.unwrap().remove, vec![first.id.clone()]);
    assert_eq!(versions_of(&agent, &first.id).await, 0, "a deletion that leaves a version frees no space");
    assert!(versions_of(&agent, &second.id).await > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn locked_objects_remain_and_do_not_fail_a_run() {
    let (source, mut session) = database().await;
    session.execute("CREATE TABLE t (a int)").await.unwrap();
    let open = store_settings().await;
    let client = shared_object_store().await.unwrap().client();
    let bucket = format!("locked-{:08x}", random());
    client.create_bucket().bucket(&bucket).object_lock_enabled_for_bucket(true).send().await.unwrap();
    let store = ObjectStoreSettings { bucket, ..open.clone() };
    let mut changes = NEWEST.to_vec();
    changes.extend([
        ("BACKUP_STORE_OBJECT_LOCK", "compliance"),
        ("BACKUP_STORE_OBJECT_LOCK_FOR", "1h"),
        ("BACKUP_STORE_LOCK_BUCKET", open.bucket.as_str()),
    ]);
    let agent = agent_in(&source, &store, &changes);
    let first = take(&agent).await.unwrap();
    let second = take(&agent).await.unwrap();
    let plan = prune_backups(&agent, false).await.unwrap();
    assert_eq!(plan.remove, vec![]);
    let reasons = |id: &BackupId| plan.keep.iter().find(|kept| kept.id == *id).unwrap().reasons.clone();
    assert!(reasons(&first.id).contains(&Reason::Locked) && !reasons(&first.id).contains(&Reason::Last));
    assert!(reasons(&second.id).contains(&Reason::Last));
    let scheduled = [changes.as_slice(), &[("BACKUP_SCHEDULE", "0 30 2 * * *")]].concat();
    let (status, text) = ended(program(&source, &store, &scheduled, &["check"]), &store);
    assert!(status == 0 && text.contains("schedule of backups: next at 20") && text.contains("T02:30:00Z"), "{text}");
    // `check` reports a bucket without object lock, and a lease in a bucket with it.
    for (changed, told) in [
        (("BACKUP_STORE_BUCKET", open.bucket.as_str()), "cannot be locked"),
        (("BACKUP_STORE_LOCK_BUCKET", ""), "BACKUP_STORE_LOCK_BUCKET"),
    ] {
        let mut changes = changes.clone();
        changes.retain(|(name, _)| *name != changed.0);
        changes.push(changed);
        let (status, text) = ended(program(&source, &store, &changes, &["check"]), &store);
        assert!(status == 64 && text.contains(told), "{status}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_without_newer_checksums_is_supported() {
    let (source, mut session) = database().await;
    session.execute("CREATE TABLE t (a int); INSERT INTO t SELECT generate_series(1, 1000)").await.unwrap();
    let agent = agent(&source, &[("BACKUP_STORE_CHECKSUMS", "when_required"), ("BACKUP_BANDWIDTH_MIB", "1")]).await;
    let manifest = take(&agent).await.unwrap();
    let reader = BackupReader::new(agent.store.clone(), Identities::default(), manifest).unwrap();
    let name = format!("plain_{:08x}", random());
    assert_eq!(restore_with(&reader, &options(&other_server().await, &name)).await.unwrap().rows, 1000);
}

/// At one MiB a second, the upload takes its time: all of it except the last part.
#[tokio::test(flavor = "multi_thread")]
async fn the_bandwidth_limit_is_respected() {
    let (source, mut session) = database().await;
    let rows = "CREATE TABLE t (a text); INSERT INTO t SELECT (SELECT string_agg(encode(sha512((n * 100 + k)::text::bytea), 'base64'), '') \
                FROM generate_series(1, 40) k) FROM generate_series(1, 4000) n";
    session.execute(rows).await.unwrap();
    let agent = agent(&source, &[("BACKUP_BANDWIDTH_MIB", "1"), ("BACKUP_STORE_PART_MIB", "5"), ("BACKUP_WORKERS", "1")]).await;
    let manifest = take(&agent).await.unwrap();
    let (mebibyte, part) = (f64::from(1 << 20), 5.0);
    let least = manifest.totals.stored_bytes as f64 / mebibyte - part - 1.0;
    assert!(least > 2.0 && manifest.totals.duration_seconds >= least, "{:?}", manifest.totals);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_run_ends_and_leaves_nothing() {
    let ((source, mut session), store) = (database().await, store_settings().await);
    let rows = "CREATE TABLE t (a text); INSERT INTO t SELECT (SELECT string_agg(encode(sha512((n * 100 + k)::text::bytea), 'base64'), '') \
                FROM generate_series(1, 40) k) FROM generate_series(1, 4000) n";
    session.execute(rows).await.unwrap();
    let hold = |request: &crate::faulty_store::Request<'_>| {
        if request.target.contains("partNumber=") { StoreFault::Hold } else { StoreFault::Pass }
    };
    let slow = FaultyStore::before(&store, hold).await;
    let (agent, stop) = (agent_in(&source, &slow.settings, &[]), CancellationToken::new());
    let running = tokio::spawn({
        let stop = stop.clone();
        async move { run::run(&agent, stop, backup::progress::Progress::default).await }
    });
    slow.held().await;
    stop.cancel();
    let failure = running.await.unwrap().unwrap_err();
    assert!(failure.exit == Exit::Failed && failure.to_string().contains("asked to stop"), "{failure}");
    let healthy = agent_in(&source, &store, &[]);
    take(&healthy).await.unwrap();
    nothing_is_left_behind(&healthy).await;
}
