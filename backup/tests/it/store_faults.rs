//! The store fails in every way: no false success, no lost backup, no remains after the next run.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use backup::{
    config::SourceSettings,
    failure::Exit,
    layout::BackupId,
    run::Agent,
    verify::{self, DrillPlace},
};
use sqlx::Executor;
use tokio_util::sync::CancellationToken;

use crate::{
    agent::{agent_in, take},
    faulty_store::{FaultyStore, Request, StoreFault},
    restore::{options, reader, restore_with},
    support::{connect, database, other_server, random, store_settings},
};

/// Random text, so that an object has several parts.
const NOISE: &str = "CREATE TABLE noise (a text);
    INSERT INTO noise SELECT (SELECT string_agg(encode(sha512((n * 100 + k)::text::bytea), 'base64'), '') FROM generate_series(1, 40) k)
    FROM generate_series(1, 4000) n";

async fn noise() -> SourceSettings {
    let (source, mut session) = database().await;
    session.execute(NOISE).await.unwrap();
    source
}

/// Every object under the prefix belongs to a committed backup, and no upload is open.
pub async fn nothing_is_left_behind(agent: &Agent) {
    let catalogue = agent.catalogue().await.unwrap();
    assert!(catalogue.doubtful.is_empty(), "{:?}", catalogue.doubtful);
    let committed: BTreeSet<BackupId> = catalogue.backups().map(|(manifest, _)| manifest.id.clone()).collect();
    let stored = agent.store.list(&agent.layout.all_data()).await.unwrap();
    let owners: BTreeSet<BackupId> = stored.iter().map(|object| agent.layout.backup_of(&object.key).unwrap()).collect();
    assert_eq!(owners, committed, "data without a manifest, or a manifest without data");
    assert_eq!(agent.store.list_uploads(&agent.layout.all_data()).await.unwrap(), vec![]);
}

type Rule = fn(&Request<'_>) -> StoreFault;

fn data(request: &Request<'_>, fault: StoreFault) -> StoreFault {
    if request.writes_data() { fault } else { StoreFault::Pass }
}

fn parts(request: &Request<'_>, fault: StoreFault) -> StoreFault {
    if request.target.contains("partNumber=") { fault } else { StoreFault::Pass }
}

/// The request that turns the parts into an object.
fn completion(request: &Request<'_>, fault: StoreFault) -> StoreFault {
    if request.method == "POST" && request.target.contains("uploadId=") { fault } else { StoreFault::Pass }
}

fn manifest(request: &Request<'_>, fault: StoreFault) -> StoreFault {
    if request.writes_manifest() { fault } else { StoreFault::Pass }
}

/// Concurrent tests create roles on this server, which can restart an attempt. Faults of the store must not.
const ROLES_CHANGE: [(&str, &str); 1] = [("BACKUP_ATTEMPTS", "10")];

/// One row per permanent failure: the store's response, the exit status, the message.
const FOR_GOOD: &[(&str, Rule, Exit, &str)] = &[
    ("500", |request| data(request, StoreFault::Answer(500, "InternalError")), Exit::Unavailable, "check that it runs"),
    ("503 on parts", |request| parts(request, StoreFault::Answer(503, "SlowDown")), Exit::Unavailable, "SlowDown"),
    ("403", |request| data(request, StoreFault::Answer(403, "AccessDenied")), Exit::Forbidden, "grant them s3:PutObject"),
    ("expired", |request| parts(request, StoreFault::Answer(400, "ExpiredToken")), Exit::Forbidden, "set new ones"),
    ("clock", |request| data(request, StoreFault::Answer(403, "RequestTimeTooSkewed")), Exit::Forbidden, "set the clock"),
    ("slow", |request| parts(request, StoreFault::Answer(400, "RequestTimeout")), Exit::Unavailable, "unavailable"),
    ("full", |request| parts(request, StoreFault::Answer(507, "InsufficientStorage")), Exit::Failed, "free space"),
    ("quota", |request| data(request, StoreFault::Answer(400, "QuotaExceeded")), Exit::Failed, "raise its quota"),
    (
        "another region",
        |request| data(request, StoreFault::Answer(301, "PermanentRedirect")),
        Exit::Failed,
        "BACKUP_STORE_REGION",
    ),
    (
        "signed for another region",
        |request| data(request, StoreFault::Answer(400, "AuthorizationHeaderMalformed")),
        Exit::Failed,
        "BACKUP_STORE_REGION",
    ),
    ("small parts", |request| completion(request, StoreFault::Answer(400, "EntityTooSmall")), Exit::Failed, "EntityTooSmall"),
    ("an upload vanished", |request| parts(request, StoreFault::Answer(404, "NoSuchUpload")), Exit::Busy, "lifecycle rules"),
    ("damaged", |request| parts(request, StoreFault::Damage), Exit::Failed, "upload"),
    ("cut in the middle of a part", |request| parts(request, StoreFault::Cut), Exit::Unavailable, "unavailable"),
    (
        "unreachable from the middle on",
        |request| if request.number > 25 { StoreFault::Cut } else { StoreFault::Pass },
        Exit::Unavailable,
        "unavailable",
    ),
    ("no manifest", |request| manifest(request, StoreFault::Answer(500, "InternalError")), Exit::Unavailable, "unavailable"),
    (
        "no right to a manifest",
        |request| manifest(request, StoreFault::Answer(403, "AccessDenied")),
        Exit::Forbidden,
        "manifests",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_refuses_writes_fails_the_backup() {
    let (source, store) = (noise().await, store_settings().await);
    let healthy = agent_in(&source, &store, &[]);
    let good = take(&healthy).await.unwrap();
    for (what, rule, exit, told) in FOR_GOOD {
        let faulty = FaultyStore::before(&store, rule).await;
        let agent = agent_in(&source, &faulty.settings, &ROLES_CHANGE);
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

/// The store executed the request, and its response was lost. This must not fail the backup, or leave an upload open.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_response_does_not_fail_a_backup() {
    let (source, store) = (noise().await, store_settings().await);
    connect(&source).await.execute("CREATE TABLE small (a int); INSERT INTO small VALUES (1)").await.unwrap();
    let rows: [(&str, Rule); 5] = [
        ("a start record", |request| lost(request, "PUT", "/starts/", "")),
        ("a blob", |request| lost(request, "PUT", "-toc", "partNumber=")),
        ("a small stream", |request| lost(request, "PUT", "/lane-", "partNumber=")),
        ("an upload begun", |request| lost(request, "POST", "uploads", "uploadId=")),
        ("an upload completed", |request| lost(request, "POST", "uploadId=", "delete")),
    ];
    for (what, rule) in rows {
        let hit = Arc::new(AtomicBool::new(false));
        let faulty = FaultyStore::before(&store, {
            let hit = Arc::clone(&hit);
            move |request| {
                let fault = rule(request);
                if fault != StoreFault::Pass && hit.swap(true, Relaxed) { StoreFault::Pass } else { fault }
            }
        })
        .await;
        // One worker reads the large table, and the other less than an upload in parts needs.
        let agent = agent_in(&source, &faulty.settings, &[ROLES_CHANGE[0], ("BACKUP_RANGE_MIB", "65536")]);
        let manifest = take(&agent).await.unwrap_or_else(|failure| panic!("{what}: {failure}"));
        assert!(hit.load(Relaxed), "{what}: no such request");
        assert_eq!(manifest.totals.rows, 4001, "{what}");
        nothing_is_left_behind(&agent_in(&source, &store, &[])).await;
    }
}

/// A restore from a store that breaks transfers, answers late, or not at all.
#[tokio::test(flavor = "multi_thread")]
async fn a_restore_resumes_a_broken_transfer() {
    let (source, store) = (noise().await, store_settings().await);
    let manifest = take(&agent_in(&source, &store, &[])).await.unwrap();
    let server = other_server().await;
    let through = async |fault: StoreFault, times: usize, part: &'static str| {
        let mut left = times;
        let faulty = FaultyStore::before(&store, move |request| {
            if left > 0 && request.method == "GET" && request.target.contains(part) {
                left -= 1;
                return fault;
            }
            StoreFault::Pass
        })
        .await;
        let agent = agent_in(&source, &faulty.settings, &[("BACKUP_STORE_ATTEMPTS", "3")]);
        (reader(&agent.store, &manifest), faulty)
    };
    for (what, fault, times, part) in [
        ("cut", StoreFault::CutAnswer, 4, "/lane-"),
        ("cut contents", StoreFault::CutAnswer, 4, "-toc"),
        ("500", StoreFault::Answer(500, "InternalError"), 2, "/lane-"),
        ("lost", StoreFault::LoseAnswer, 2, "/lane-"),
        ("stalled", StoreFault::StallAnswer, 1, "/lane-"),
    ] {
        let (reader, _faulty) = through(fault, times, part).await;
        let name = format!("back_{:08x}", random());
        let report = restore_with(&reader, &options(&server, &name)).await.unwrap_or_else(|told| panic!("{what}: {told}"));
        assert_eq!(report.rows, 4000, "{what}");
        let place = DrillPlace::Given(server.clone());
        let options = verify::VerifyOptions { place, assertions: Vec::new(), jobs: 2, client_folder: tools() };
        let (reader, _faulty) = through(fault, times, part).await;
        let verdict = verify::verify_backup(&reader, &options, &CancellationToken::new()).await.unwrap();
        assert!(verdict.passed, "{what}: {:?}", verdict.faults);
    }
    for (what, fault, told) in [
        ("cut", StoreFault::CutAnswer, "unavailable"),
        ("500", StoreFault::Answer(500, "InternalError"), "unavailable"),
        ("403", StoreFault::Answer(403, "AccessDenied"), "s3:GetObject"),
    ] {
        let (reader, _faulty) = through(fault, usize::MAX, "/lane-").await;
        let name = format!("back_{:08x}", random());
        let failure = restore_with(&reader, &options(&server, &name)).await.unwrap_err().to_string();
        assert!(failure.contains(told), "{what}: {failure}");
        let left = sqlx::query_scalar("SELECT count(*) FROM pg_database WHERE datname LIKE $1").bind(format!("{name}%"));
        let left: i64 = left.fetch_one(&mut connect(&server).await).await.unwrap();
        assert_eq!(left, 0, "{what}");
    }
}

fn tools() -> Option<PathBuf> {
    local_parts::find_program("pg_restore").unwrap().parent().map(Into::into)
}

fn lost(request: &Request<'_>, method: &str, part: &str, other: &str) -> StoreFault {
    let is = request.method == method && request.target.contains(part) && (other.is_empty() || !request.target.contains(other));
    if is { StoreFault::LoseAnswer } else { StoreFault::Pass }
}

/// Expires the lease: a run that lost the store could not release it.
pub async fn expire(agent: &Agent) {
    let leases = agent.lock_store.list(&agent.layout.leases()).await.unwrap();
    let keys: Vec<_> = leases.into_iter().map(|object| (object.key, None)).collect();
    agent.lock_store.delete(&keys).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_temporary_failure_is_retried() {
    let (source, store) = (noise().await, store_settings().await);
    for (what, fault, part) in [
        ("500", StoreFault::Answer(500, "InternalError"), "partNumber="),
        ("damaged", StoreFault::Damage, "partNumber="),
        ("a damaged record", StoreFault::Damage, "/starts/"),
        ("cut", StoreFault::Cut, "partNumber="),
        ("a response lost", StoreFault::LoseAnswer, "partNumber="),
    ] {
        let mut left = 2;
        let faulty = FaultyStore::before(&store, move |request| {
            if left > 0 && request.method == "PUT" && (request.target.contains(part) || request.writes_manifest()) {
                left -= 1;
                return fault;
            }
            StoreFault::Pass
        })
        .await;
        let agent = agent_in(&source, &faulty.settings, &[("BACKUP_STORE_ATTEMPTS", "4")]);
        let manifest = take(&agent).await.unwrap_or_else(|failure| panic!("{what}: {failure}"));
        assert_eq!(manifest.totals.rows, 4000);
    }
    // S3 answers 200 at once, and may report a failure in the body of that response.
    let mut left = 2;
    let faulty = FaultyStore::before(&store, move |request| {
        let fault = completion(request, StoreFault::Answer(200, "InternalError"));
        if fault != StoreFault::Pass && left > 0 {
            left -= 1;
            return fault;
        }
        StoreFault::Pass
    })
    .await;
    let agent = agent_in(&source, &faulty.settings, &[("BACKUP_STORE_ATTEMPTS", "4")]);
    assert_eq!(take(&agent).await.unwrap().totals.rows, 4000);
    // The response to the very last request is lost: the backup exists and is reported.
    let faulty = FaultyStore::before(&store, {
        let mut lost = false;
        move |request| {
            if request.writes_manifest() && !std::mem::replace(&mut lost, true) {
                StoreFault::LoseAnswer
            } else {
                StoreFault::Pass
            }
        }
    })
    .await;
    take(&agent_in(&source, &faulty.settings, &[])).await.unwrap();
    let healthy = agent_in(&source, &store, &[]);
    assert_eq!(healthy.catalogue().await.unwrap().backups().count(), 7);
    nothing_is_left_behind(&healthy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_store_fails_the_run_at_its_limits() {
    let (source, store) = (noise().await, store_settings().await);
    for (setting, told) in
        [("BACKUP_STALL_LIMIT", "nothing was read or sent"), ("BACKUP_MAX_DURATION", "the attempt took longer")]
    {
        let faulty = FaultyStore::before(&store, |request| parts(request, StoreFault::Hold)).await;
        let failure = take(&agent_in(&source, &faulty.settings, &[(setting, "2s")])).await.unwrap_err();
        assert!(failure.exit == Exit::Limit && failure.to_string().contains(told), "{setting}: {failure}");
    }
    let healthy = agent_in(&source, &store, &[]);
    take(&healthy).await.unwrap();
    nothing_is_left_behind(&healthy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_one_of_two_concurrent_runs_takes_a_backup() {
    let (source, store) = (noise().await, store_settings().await);
    let slow = FaultyStore::before(&store, |request| parts(request, StoreFault::Hold)).await;
    let first = tokio::spawn({
        let agent = agent_in(&source, &slow.settings, &[]);
        async move { take(&agent).await }
    });
    slow.held().await;
    let other = agent_in(&source, &store, &[]);
    let refused = take(&other).await.unwrap_err();
    assert!(refused.exit == Exit::Busy && refused.to_string().contains("holds the lease until"), "{refused}");
    // Without the lease, as after a reset by hand, the lock on the server still prevents a second run.
    expire(&other).await;
    let refused = take(&other).await.unwrap_err();
    assert!(refused.exit == Exit::Busy && refused.to_string().contains("advisory lock"), "{refused}");
    slow.open_gate();
    // The other run took the lease in between and abandoned this attempt: it must not commit.
    let ended = first.await.unwrap().unwrap_err();
    assert_eq!(ended.exit, Exit::Busy, "{ended}");
    assert_eq!(other.catalogue().await.unwrap().backups().count(), 0);
    take(&other).await.unwrap();
    nothing_is_left_behind(&other).await;
}

/// 429 and other passing statuses without a code, for longer than a few seconds: the store asks to wait, and the run waits. A request that the store does
/// not support is not retried.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_asks_to_wait_is_retried() {
    const PASSING: [(u16, &str); 6] =
        [(503, "SlowDown"), (429, ""), (408, ""), (409, "ConditionalRequestConflict"), (520, ""), (500, "InternalError")];
    let (source, store) = (noise().await, store_settings().await);
    let mut refused = 0;
    let busy = FaultyStore::before(&store, move |request| {
        if request.writes_data() && refused < 8 {
            refused += 1;
            let (status, code) = PASSING[refused % PASSING.len()];
            return StoreFault::Answer(status, code);
        }
        StoreFault::Pass
    })
    .await;
    let agent = agent_in(&source, &busy.settings, &[("BACKUP_STORE_ATTEMPTS", "20"), ("BACKUP_ATTEMPTS", "1")]);
    assert_eq!(take(&agent).await.unwrap().totals.rows, 4000);

    let lacking = FaultyStore::before(&store, |request| {
        if request.method == "PUT" { StoreFault::Answer(501, "NotImplemented") } else { StoreFault::Pass }
    })
    .await;
    let failure = take(&agent_in(&source, &lacking.settings, &[])).await.unwrap_err();
    assert!(failure.exit == Exit::Failed && failure.to_string().contains("the store does not support this request"), "{failure}");
}
