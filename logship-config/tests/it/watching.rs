//! This module tests `watch`, `explain` and `forecast` with a fake whose clock is set forward.

use std::{sync::Arc, time::Duration};

use elasticsearch_fake::{Cluster, Disk, Fake, StepFailure};
use jiff::SignedDuration;
use logship::{client::Client, config::WatchSettings, explain, forecast, metrics::WatchMetrics, observe, watch::Watcher};
use service_kit::metrics::Metrics;

use crate::place::{Place, apply as applied, platform, settings};

const DAY: SignedDuration = SignedDuration::from_hours(24);
const APP: &str = "logs-exchange.app-default";
const ACCESS: &str = "logs-exchange.access-default";
const GIB: u64 = 1 << 30;

pub fn folder() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("elasticsearch")
}

/// A watch over the platform's set, with its metrics.
pub fn watcher(url: &str, budget_deletes: bool) -> (Watcher, Metrics) {
    let metrics = Metrics::new("logship", "0", None);
    let stuck_after = Duration::from_secs(12 * 3600);
    let watching = WatchSettings { every: Duration::from_secs(1), stuck_after, repairs: true, budget_deletes };
    let client = Arc::new(Client::new(settings(url), None).unwrap());
    let watcher = Watcher::new(client, folder(), platform(), watching, WatchMetrics::register(&metrics).unwrap());
    (watcher, metrics)
}

/// A cluster with the platform's set, and a document in the stream's write index.
async fn running(disk: Disk) -> (Client, Arc<Fake>) {
    let (client, fake) = Place::fake_of(Cluster { disks: vec![disk], ..Cluster::default() }).await;
    applied(&client, &platform()).await;
    (client, fake)
}

/// One day: the write index of each stream grows by `bytes`, and the day passes.
async fn a_day(client: &Client, fake: &Fake, streams: &[&str], bytes: u64) {
    for stream in streams {
        fill(fake, stream, bytes);
    }
    fake.advance(DAY);
    client.get("/_ilm/status").await.unwrap();
}

fn fill(fake: &Fake, stream: &str, bytes: u64) {
    fake.change(|cluster| {
        let write = cluster.data_streams[stream].indices.last().unwrap().clone();
        let index = cluster.indices.get_mut(&write).unwrap();
        (index.more_bytes, index.more_documents) = (index.more_bytes + bytes, index.more_documents + 1000);
    });
}

fn indices(fake: &Fake, stream: &str) -> Vec<String> {
    fake.look(|cluster| cluster.data_streams[stream].indices.clone())
}

fn value(metrics: &Metrics, line: &str) -> f64 {
    let text = metrics.encode();
    let found = text.lines().find_map(|candidate| candidate.strip_prefix(line)?.trim().parse().ok());
    found.unwrap_or_else(|| panic!("{line}\n{text}"))
}

#[tokio::test]
async fn indices_follow_the_declared_lifecycle_over_time() {
    let (client, fake) = running(Disk { total: 1000 * GIB, used: 0 }).await;
    for _ in 0..20 {
        a_day(&client, &fake, &[ACCESS], GIB).await;
    }
    // One index per day, deleted 14 days after the rollover: the indices of the first days are deleted.
    let kept = indices(&fake, ACCESS);
    assert_eq!(kept.len(), 15, "{kept:?}");
    fake.look(|cluster| {
        let phase = |index: &str| cluster.indices[index].progress.as_ref().unwrap().phase.clone();
        assert_eq!((phase(&kept[0]), phase(kept.last().unwrap())), ("warm".into(), "hot".into()));
        assert_eq!(cluster.indices[&kept[0]].settings["index.blocks.write"], "true");
    });
    // The audit trail stays for its seven years, and then until a snapshot contains it.
    assert_eq!(indices(&fake, "logs-exchange.audit-default").len(), 1, "an empty index must not roll over");

    let now = fake.now().as_millisecond();
    let told = explain::run(&client, ACCESS, now, 12 * 3_600_000).await.unwrap();
    assert!(told.contains("waits for its first document"), "{told}");
    assert!(told.contains("enters delete in") && told.contains("min_age 14d"), "{told}");
    a_day(&client, &fake, &[APP], GIB / 2).await;
    let told = explain::run(&client, &indices(&fake, APP)[0], fake.now().as_millisecond(), 12 * 3_600_000).await.unwrap();
    assert!(told.contains("rolled over") && told.contains("enters warm in"), "{told}");
    let told = explain::run(&client, "logs-logship.dead_letter-default", now, 1).await.unwrap();
    assert!(told.contains("own lifecycle manages it: retained 90d"), "{told}");
    let told = explain::run(&client, "logs-none", now, 1).await.unwrap_err();
    assert!(told.to_string().contains("no data stream or backing index \"logs-none\""), "{told}");

    let observation = observe::declared(&client, &platform()).await.unwrap();
    let told = forecast::forecast(&platform(), &observation, fake.now().as_millisecond());
    let access = told.streams.iter().find(|stream| stream.stream == ACCESS).unwrap();
    let daily = access.bytes_per_day.unwrap() / (2 * GIB) as f64;
    assert!((0.5..1.5).contains(&daily), "two copies of a gibibyte a day: {daily}");
    assert_eq!(told.days, [None; 3], "deletions equal growth after 14 days");
    // An index that no policy manages has an age too.
    let dead = observation.of("logs-logship.dead_letter-default").next().unwrap();
    assert!(dead.lifecycle.is_none() && (20..23).contains(&((now - dead.created_millis) / 86_400_000)), "{dead:?}");
}

#[tokio::test]
async fn drift_is_reported_and_not_applied() {
    let (client, fake) = running(Disk { total: 100 * GIB, used: 0 }).await;
    let (mut watcher, metrics) = watcher(&fake.url(), false);
    watcher.round(fake.now()).await.unwrap();
    assert_eq!(value(&metrics, "logship_drift_steps{action=\"update\",kind=\"lifecycle_policy\"}"), 0.0);
    assert_eq!(value(&metrics, "logship_capability{capability=\"basic\"}"), 1.0);
    fake.change(|cluster| {
        let policy = cluster.policies.get_mut("logs-app").unwrap();
        policy.body["phases"]["delete"]["min_age"] = "90d".into();
        cluster.component_templates.get_mut("logs-common@settings").unwrap()["template"]["settings"]["index"]["codec"] =
            "default".into();
    });
    fake.forget_calls();
    watcher.round(fake.now()).await.unwrap();
    assert_eq!(value(&metrics, "logship_drift_steps{action=\"update\",kind=\"component_template\"}"), 1.0);
    assert_eq!(value(&metrics, "logship_drift_refused_steps"), 1.0, "30 days instead of 90 is shorter");
    assert!(fake.calls().iter().all(|(call, _)| call.method == "GET"));
    drop(client);
}

#[tokio::test]
async fn stuck_steps_are_repaired_a_limited_number_of_times() {
    let (client, fake) = running(Disk { total: 100 * GIB, used: 0 }).await;
    a_day(&client, &fake, &[APP], GIB).await;
    let old = indices(&fake, APP)[0].clone();
    let failure = |retryable| StepFailure {
        step: "forcemerge".into(),
        kind: "io_exception".into(),
        reason: "no space left".into(),
        retryable,
    };
    fake.change(|cluster| drop(cluster.failures.insert(old.clone(), failure(false))));
    fake.advance(DAY * 3);
    let (mut watcher, metrics) = watcher(&fake.url(), false);
    fake.forget_calls();
    for _ in 0..6 {
        watcher.round(fake.now()).await.unwrap();
        fake.advance(SignedDuration::from_mins(11));
    }
    let retries = |fake: &Fake| fake.calls().iter().filter(|(call, _)| call.path.ends_with("/_ilm/retry")).count();
    assert_eq!(retries(&fake), 3, "then only a person can help");
    assert_eq!(value(&metrics, "logship_stuck_indices{class=\"failed\"}"), 1.0);
    assert_eq!(value(&metrics, "logship_repairs_total{outcome=\"done\",repair=\"retry\"}"), 3.0);
    let told = explain::run(&client, &old, fake.now().as_millisecond(), 1).await.unwrap();
    assert!(
        told.contains("STUCK (failed)") && told.contains("no space left") && told.contains("remedy: remove the cause"),
        "{told}"
    );

    // The cause is removed and a person retries the step. The index makes progress, and its counter, which is never cleared,
    // is not reported.
    fake.change(|cluster| cluster.failures.clear());
    client
        .send(logship::client::Method::Post, &format!("/{}/_ilm/retry", logship::client::segment(&old)), &[], None)
        .await
        .unwrap();
    watcher.round(fake.now()).await.unwrap();
    assert_eq!(value(&metrics, "logship_stuck_indices{class=\"failed\"}"), 0.0);

    // Elasticsearch retries: no repair is needed, and it is reported only after a long time.
    fake.change(|cluster| {
        cluster.failures.insert(old.clone(), StepFailure { step: "delete".into(), ..failure(true) });
    });
    fake.advance(DAY * 30);
    fake.forget_calls();
    watcher.round(fake.now()).await.unwrap();
    assert_eq!(retries(&fake), 0);
    fake.advance(DAY);
    watcher.round(fake.now()).await.unwrap();
    assert_eq!((retries(&fake), value(&metrics, "logship_stuck_indices{class=\"fails_again\"}")), (0, 1.0));
}

/// A failed rollover of an index that a person has rolled over since: there is nothing left to roll over.
#[tokio::test]
async fn a_failed_index_after_its_rollover_moves_to_its_phases_end() {
    let (client, fake) = running(Disk { total: 100 * GIB, used: 0 }).await;
    let old = indices(&fake, APP)[0].clone();
    fake.change(|cluster| {
        let (kind, reason) = ("illegal_argument_exception".into(), "source alias does not exist".into());
        let failure = StepFailure { step: "check-rollover-ready".into(), kind, reason, retryable: true };
        cluster.failures.insert(old.clone(), failure);
    });
    a_day(&client, &fake, &[APP], GIB).await;
    let at = |fake: &Fake| fake.look(|cluster| cluster.indices[&old].progress.clone().map(|at| (at.action, at.step))).unwrap();
    assert_eq!(at(&fake), ("rollover".into(), "ERROR".into()));
    let (mut watcher, metrics) = watcher(&fake.url(), false);
    watcher.round(fake.now()).await.unwrap();
    assert_eq!(value(&metrics, "logship_repairs_total{outcome=\"done\",repair=\"move\"}"), 0.0, "it takes the writes");
    let now = fake.now();
    fake.change(|cluster| cluster.roll(APP, now));
    watcher.round(fake.now()).await.unwrap();
    assert_eq!(value(&metrics, "logship_repairs_total{outcome=\"done\",repair=\"move\"}"), 1.0);
    assert_eq!(value(&metrics, "logship_repairs_total{outcome=\"failed\",repair=\"move\"}"), 0.0);
    assert_eq!(at(&fake), ("complete".into(), "complete".into()));
    watcher.round(fake.now()).await.unwrap();
    assert_eq!(value(&metrics, "logship_stuck_indices{class=\"not_write_index\"}"), 0.0);
    // The lifecycle continues from there.
    fake.advance(DAY * 3);
    client.get("/_ilm/status").await.unwrap();
    assert_eq!(fake.look(|cluster| cluster.indices[&old].progress.clone().unwrap().phase), "warm");
}

#[tokio::test]
async fn an_allocation_that_finds_no_node_is_stuck_by_its_class() {
    let (client, fake) = Place::fake().await;
    let policy = "{phases: {hot: {actions: {rollover: {max_age: 1d}}}, warm: {min_age: 1d, actions: {migrate: {enabled: \
        false}, allocate: {require: {box: warm}}}}}}";
    let desired = crate::place::declared(&[
        ("policies/p.yaml", policy),
        (
            "templates/index/t.yaml",
            "{index_patterns: [logs-s-*], priority: 200, data_stream: {}, template: {settings: {index.lifecycle.name: p}}}",
        ),
        ("streams.yaml", "streams: {logs-s-a: {}}"),
    ]);
    applied(&client, &desired).await;
    let old = indices(&fake, "logs-s-a")[0].clone();
    fake.change(|cluster| cluster.allocation_stuck.insert(old.clone()));
    fill(&fake, "logs-s-a", GIB);
    for _ in 0..3 {
        fake.advance(DAY);
        client.get("/_ilm/status").await.unwrap();
    }
    let observation = observe::declared(&client, &desired).await.unwrap();
    let found = logship::stuck::find(&observation, fake.now().as_millisecond(), 12 * 3_600_000);
    assert_eq!(
        found.iter().map(|stuck| (stuck.index.as_str(), stuck.class)).collect::<Vec<_>>(),
        [(old.as_str(), logship::stuck::StuckClass::Allocation)]
    );
    assert!(found[0].told.contains("warm/allocate/check-allocation"), "{found:?}");
}

#[tokio::test]
async fn budgets_delete_the_oldest_only_when_switched_on() {
    let (client, fake) = running(Disk { total: 100 * GIB, used: 0 }).await;
    for _ in 0..8 {
        a_day(&client, &fake, &[ACCESS, "logs-exchange.audit-default"], 3 * GIB).await;
    }
    let before = indices(&fake, ACCESS);
    let (mut dry, metrics) = watcher(&fake.url(), false);
    dry.round(fake.now()).await.unwrap();
    // 30 % of 100 GiB, and 48 GiB with copies: the oldest are deleted until 30 are left, none younger than 3 days.
    let due = value(&metrics, &format!("logship_budget_due_indices{{stream=\"{ACCESS}\"}}"));
    assert!(due >= 3.0, "{due}");
    assert_eq!(indices(&fake, ACCESS), before, "a dry run");
    let (mut keeping, metrics) = watcher(&fake.url(), true);
    keeping.round(fake.now()).await.unwrap();
    let after = indices(&fake, ACCESS);
    assert_eq!(after, before[due as usize..], "the oldest first, the write index never");
    assert_eq!(value(&metrics, &format!("logship_budget_deleted_indices_total{{outcome=\"done\",stream=\"{ACCESS}\"}}")), due);
    let audit = indices(&fake, "logs-exchange.audit-default");
    let deleted = |name: &str| {
        fake.calls().iter().any(|(call, _)| call.method == "DELETE" && call.path.contains(&logship::client::segment(name)))
    };
    assert!(audit.iter().all(|index| !deleted(index)), "a protected stream has no budget");
}

#[tokio::test]
async fn a_cluster_that_fails_and_comes_back() {
    let (_client, fake) = running(Disk { total: 100 * GIB, used: 0 }).await;
    let (mut watcher, metrics) = watcher(&fake.url(), false);
    fake.change(|cluster| cluster.authorization = Some("ApiKey other".into()));
    let failed = watcher.round(fake.now()).await.unwrap_err();
    assert_eq!(failed.exit, logship::exit::Exit::Forbidden);
    assert_eq!(value(&metrics, "logship_watch_rounds_total{outcome=\"failed\"}"), 1.0);
    fake.change(|cluster| cluster.authorization = None);
    watcher.round(fake.now()).await.unwrap();
    assert_eq!(value(&metrics, "logship_watch_rounds_total{outcome=\"done\"}"), 1.0);
    assert_eq!(value(&metrics, "logship_declared_valid"), 1.0);
}

#[tokio::test]
async fn the_daemon_gets_ready_exports_metrics_and_ends_on_sigterm() {
    let (_client, fake) = Place::fake().await;
    let [admin]: [u16; 1] = local_parts::free_ports().unwrap();
    let settings = [
        ("LOGSHIP_ELASTICSEARCH_URL", fake.url()),
        ("LOGSHIP_ADMIN_LISTEN", format!("127.0.0.1:{admin}")),
        ("LOGSHIP_DECLARED", folder().display().to_string()),
        ("LOGSHIP_WATCH_EVERY", "200ms".to_owned()),
        ("LOG_FORMAT", "json".to_owned()),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value)).to_vec();
    let place = tempfile::tempdir().unwrap();
    let program = std::path::PathBuf::from(env!("CARGO_BIN_EXE_logship"));
    let launch = local_parts::Launch::new("logship", program, ["watch"], settings, local_parts::StopSignal::Terminate);
    let mut process = local_parts::ChildProcess::start(&launch, place.path()).unwrap();
    let address = format!("http://127.0.0.1:{admin}");
    let ask = async |path: &str| reqwest::get(format!("{address}{path}")).await.ok();
    let ready = async || ask("/readyz").await.is_some_and(|reply| reply.status().is_success());
    process.ready(Duration::from_secs(30), ready).await.unwrap();
    let metrics = ask("/metrics").await.unwrap().text().await.unwrap();
    for line in [
        "logship_drift_steps{action=\"create\",kind=\"lifecycle_policy\"} 4",
        "logship_cluster_health{status=\"green\"} 1",
        "logship_lifecycle_running 1",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
    assert!(!metrics.contains("logship_days_to_watermark{"), "no stream exists, so the growth is unknown");
    assert!(process.stop(local_parts::StopSignal::Terminate).await.unwrap().success());
    let log = std::fs::read_dir(place.path())
        .unwrap()
        .map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap())
        .collect::<String>();
    let line = log.lines().find(|line| line.contains("differs from the declared files")).unwrap_or_else(|| panic!("{log}"));
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["service.name"], "logship");
    // Each difference is reported once, for any number of checks.
    assert_eq!(log.matches("logs-audit").count(), 1, "{log}");
}
