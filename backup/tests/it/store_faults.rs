//! The store fails in every way that it can: no false success, no lost good backup, nothing left behind after the next run.

use std::collections::BTreeSet;

use backup::{config::Source, failure::Exit, layout::BackupId, run::Agent};
use sqlx::Executor;

use crate::{
    agent::{agent_in, take},
    faulty_store::{Fault, FaultyStore, Request},
    support::{database, store_settings},
};

/// Random text, so that an object has several parts.
const NOISE: &str = "CREATE TABLE noise (a text);
    INSERT INTO noise SELECT (SELECT string_agg(encode(sha512((n * 100 + k)::text::bytea), 'base64'), '') FROM generate_series(1, 40) k)
    FROM generate_series(1, 4000) n";

async fn noise() -> Source {
    let (source, mut session) = database().await;
    session.execute(NOISE).await.unwrap();
    source
}

/// What is under the prefix belongs to backups that committed, and no upload is open.
pub async fn nothing_is_left_behind(agent: &Agent) {
    let catalogue = agent.catalogue().await.unwrap();
    assert!(catalogue.doubtful.is_empty(), "{:?}", catalogue.doubtful);
    let committed: BTreeSet<BackupId> = catalogue.backups().map(|(manifest, _)| manifest.id.clone()).collect();
    let stored = agent.store.list(&agent.layout.all_data()).await.unwrap();
    let owners: BTreeSet<BackupId> = stored.iter().map(|object| agent.layout.backup_of(&object.key).unwrap()).collect();
    assert_eq!(owners, committed, "data without a manifest, or a manifest without data");
    assert_eq!(agent.store.list_uploads(&agent.layout.all_data()).await.unwrap(), vec![]);
}

type Rule = fn(&Request<'_>) -> Fault;

fn data(request: &Request<'_>, fault: Fault) -> Fault {
    if request.writes_data() { fault } else { Fault::Pass }
}

fn parts(request: &Request<'_>, fault: Fault) -> Fault {
    if request.target.contains("partNumber=") { fault } else { Fault::Pass }
}

fn manifest(request: &Request<'_>, fault: Fault) -> Fault {
    if request.writes_manifest() { fault } else { Fault::Pass }
}

/// One row per way to fail for good: what the store does, the exit status, what is said.
const FOR_GOOD: &[(&str, Rule, Exit, &str)] = &[
    ("500", |request| data(request, Fault::Answer(500, "InternalError")), Exit::Unavailable, "look whether it runs"),
    ("503 on parts", |request| parts(request, Fault::Answer(503, "SlowDown")), Exit::Unavailable, "SlowDown"),
    ("403", |request| data(request, Fault::Answer(403, "AccessDenied")), Exit::Forbidden, "grant them this action"),
    ("full", |request| parts(request, Fault::Answer(507, "InsufficientStorage")), Exit::Failed, "make room"),
    ("quota", |request| data(request, Fault::Answer(400, "QuotaExceeded")), Exit::Failed, "raise its quota"),
    ("damaged", |request| parts(request, Fault::Damage), Exit::Failed, "upload"),
    ("cut in the middle of a part", |request| parts(request, Fault::Cut), Exit::Unavailable, "unavailable"),
    (
        "away from the middle on",
        |request| if request.number > 25 { Fault::Cut } else { Fault::Pass },
        Exit::Unavailable,
        "unavailable",
    ),
    ("no manifest", |request| manifest(request, Fault::Answer(500, "InternalError")), Exit::Unavailable, "unavailable"),
    ("no right to a manifest", |request| manifest(request, Fault::Answer(403, "AccessDenied")), Exit::Forbidden, "manifests"),
];

#[tokio::test(flavor = "multi_thread")]
async fn what_the_store_does_not_take_is_no_backup() {
    let (source, store) = (noise().await, store_settings().await);
    let healthy = agent_in(&source, &store, &[]);
    let good = take(&healthy).await.unwrap();
    for (what, rule, exit, told) in FOR_GOOD {
        let faulty = FaultyStore::before(&store, rule).await;
        let agent = agent_in(&source, &faulty.settings, &[("BACKUP_ATTEMPTS", "1")]);
        let failure = take(&agent).await.expect_err(what);
        let text = failure.to_string();
        assert!(failure.exit == *exit && text.contains(told), "{what}: {:?}: {text}", failure.exit);
        let catalogue = healthy.catalogue().await.unwrap();
        assert_eq!(catalogue.newest().unwrap().0.id, good.id, "{what}");
        expire(&healthy).await;
    }
    assert_eq!(take(&healthy).await.unwrap().totals.rows, good.totals.rows);
    nothing_is_left_behind(&healthy).await;
}

/// As if the time of the lease had passed: one that lost the store could not give it back.
pub async fn expire(agent: &Agent) {
    let leases = agent.lock_store.list(&agent.layout.leases()).await.unwrap();
    let keys: Vec<_> = leases.into_iter().map(|object| (object.key, None)).collect();
    agent.lock_store.delete(&keys).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_is_tried_again() {
    let (source, store) = (noise().await, store_settings().await);
    for (what, fault) in [
        ("500", Fault::Answer(500, "InternalError")),
        ("damaged", Fault::Damage),
        ("cut", Fault::Cut),
        ("an answer lost", Fault::LoseAnswer),
    ] {
        let mut left = 2;
        let faulty = FaultyStore::before(&store, move |request| {
            if left > 0 && (request.target.contains("partNumber=") || request.writes_manifest()) {
                left -= 1;
                return fault;
            }
            Fault::Pass
        })
        .await;
        let agent = agent_in(&source, &faulty.settings, &[("BACKUP_STORE_ATTEMPTS", "4")]);
        let manifest = take(&agent).await.unwrap_or_else(|failure| panic!("{what}: {failure}"));
        assert_eq!(manifest.totals.rows, 4000);
    }
    // The answer to the very last request is lost: there is a backup, and it is told as one.
    let faulty = FaultyStore::before(&store, {
        let mut lost = false;
        move |request| {
            if request.writes_manifest() && !std::mem::replace(&mut lost, true) { Fault::LoseAnswer } else { Fault::Pass }
        }
    })
    .await;
    take(&agent_in(&source, &faulty.settings, &[])).await.unwrap();
    let healthy = agent_in(&source, &store, &[]);
    assert_eq!(healthy.catalogue().await.unwrap().backups().count(), 5);
    nothing_is_left_behind(&healthy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_stands_still_is_waited_for_as_long_as_the_limits_say() {
    let (source, store) = (noise().await, store_settings().await);
    for (setting, told) in
        [("BACKUP_STALL_LIMIT", "nothing was read or sent"), ("BACKUP_MAX_DURATION", "the attempt took longer")]
    {
        let faulty = FaultyStore::before(&store, |request| parts(request, Fault::Hold)).await;
        let failure = take(&agent_in(&source, &faulty.settings, &[(setting, "2s")])).await.unwrap_err();
        assert!(failure.exit == Exit::Limit && failure.to_string().contains(told), "{setting}: {failure}");
    }
    let healthy = agent_in(&source, &store, &[]);
    take(&healthy).await.unwrap();
    nothing_is_left_behind(&healthy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_runs_at_once_one_takes_a_backup() {
    let (source, store) = (noise().await, store_settings().await);
    let slow = FaultyStore::before(&store, |request| parts(request, Fault::Hold)).await;
    let first = tokio::spawn({
        let agent = agent_in(&source, &slow.settings, &[]);
        async move { take(&agent).await }
    });
    slow.held().await;
    let other = agent_in(&source, &store, &[]);
    let refused = take(&other).await.unwrap_err();
    assert!(refused.exit == Exit::Busy && refused.to_string().contains("holds the lease until"), "{refused}");
    // Without the lease, as after one that was set back by hand, the lock on the server still stands between them.
    expire(&other).await;
    let refused = take(&other).await.unwrap_err();
    assert!(refused.exit == Exit::Busy && refused.to_string().contains("advisory lock"), "{refused}");
    slow.open_gate();
    // The other one took the lease in between and gave this attempt up: it must not commit.
    let ended = first.await.unwrap().unwrap_err();
    assert_eq!(ended.exit, Exit::Busy, "{ended}");
    assert_eq!(other.catalogue().await.unwrap().backups().count(), 0);
    take(&other).await.unwrap();
    nothing_is_left_behind(&other).await;
}
