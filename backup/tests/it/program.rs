//! The program as users and cron start it: results, exit statuses and metrics, without secrets in the output.

use std::{
    os::unix::fs::PermissionsExt,
    process::{Child, Command, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use backup::config::{ObjectStoreSettings, SourceSettings};
use local_parts::free_ports;
use rustix::process::{Pid, Signal, kill_process};
use sqlx::Executor;

use crate::{
    agent::settings,
    faulty_store::{FaultyStore, StoreFault},
    kept::NEWEST,
    support::{SIGNING_SEED, database, keys, store_settings},
};

const DEADLINE: Duration = Duration::from_secs(60);

/// The program with the settings of a job and no other environment.
pub fn program(source: &SourceSettings, store: &ObjectStoreSettings, changes: &[(&str, &str)], arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_backup"));
    command.env_clear().envs(settings(source, store, changes)).args(arguments);
    command
}

/// Runs the command to its end. Its output must not contain a secret.
pub fn ended(mut command: Command, store: &ObjectStoreSettings) -> (i32, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    for secret in [keys(store).1, SIGNING_SEED, "hunter2"] {
        assert!(!text.contains(secret), "the output contains a secret: {text}");
    }
    // sqlx's text ends with a line number of PostgreSQL's source.
    assert!(!text.contains("error returned from database"), "{text}");
    (status.code().unwrap_or(-1), text)
}

#[tokio::test(flavor = "multi_thread")]
async fn backups_are_taken_listed_and_removed() {
    let (source, mut session) = database().await;
    session.execute("CREATE TABLE t (a int); INSERT INTO t SELECT generate_series(1, 1000)").await.unwrap();
    let store = store_settings().await;
    let folder = tempfile::tempdir().unwrap();
    let textfile = folder.path().join("backup.prom");
    let keeping = [
        ("BACKUP_KEEP_LAST", "2"),
        ("BACKUP_KEEP_HOURLY", "0"),
        ("BACKUP_KEEP_DAILY", "0"),
        ("BACKUP_KEEP_WEEKLY", "0"),
        ("BACKUP_KEEP_MONTHLY", "0"),
        ("BACKUP_PRUNE_AFTER_RUN", "false"),
        ("BACKUP_METRICS_TEXTFILE", textfile.to_str().unwrap()),
    ];
    let say = |arguments: &[&str]| ended(program(&source, &store, &keeping, arguments), &store);
    let json = |arguments: &[&str]| -> Vec<serde_json::Value> {
        let output = program(&source, &store, &keeping, &[&["--output", "json"], arguments].concat()).output().unwrap();
        let (told, logged) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {told}{logged}");
        let read =
            |text: &str| -> Vec<serde_json::Value> { text.lines().map(|line| serde_json::from_str(line).unwrap()).collect() };
        assert!(read(&logged).iter().all(|line| line.get("@timestamp").is_some()), "{logged}");
        let told = read(&told);
        assert!(told.iter().all(|line| line.get("@timestamp").is_none()), "a log line among the results: {told:?}");
        told
    };
    let (status, text) = say(&["show"]);
    assert_eq!(status, 66, "{text}");
    for _ in 0..3 {
        let (status, text) = say(&["run"]);
        assert!(status == 0 && text.contains("committed: 1000 rows of 1 databases"), "{text}");
    }
    let listed = json(&["list"]);
    assert_eq!(listed.iter().map(|line| line["state"].as_str().unwrap()).collect::<Vec<_>>(), ["committed"; 3]);
    let (oldest, newest) = (listed[0]["id"].as_str().unwrap(), listed[2]["id"].as_str().unwrap());
    assert_eq!(json(&["show"])[0]["manifest"]["id"], newest);
    assert_eq!(json(&["show", oldest])[0]["manifest"]["totals"]["rows"], 1000);

    let planned = json(&["prune", "--dry-run"]);
    assert_eq!(json(&["list"]).len(), 3, "a dry run removes nothing");
    let goes = |lines: &[serde_json::Value]| -> Vec<_> {
        lines.iter().filter(|line| line.get("removed").is_some()).map(|line| line["id"].clone()).collect()
    };
    assert_eq!(goes(&planned), [oldest]);
    let output = program(&source, &store, &keeping, &["prune"]).output().unwrap();
    let (told, logged) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(told.contains(&format!("{oldest}  removed")) && !told.contains("@timestamp"), "{told}");
    assert!(logged.contains("removed an expired backup"), "every command logs: {logged}");
    assert_eq!(json(&["list"]).len(), 2);
    assert_eq!(goes(&json(&["prune"])).len(), 0, "a second run removes nothing");

    let (status, text) = say(&["check"]);
    assert!(status == 0 && text.contains("its public key is"), "{text}");
    assert_eq!(say(&["doctor"]).0, 0);
    let metrics = std::fs::read_to_string(&textfile).unwrap();
    for part in [
        "backup_runs_total{backup=\"default\",outcome=\"committed\"} 3",
        "backup_runs_total{backup=\"default\",outcome=\"failed\"} 0",
        "backup_removed_total{backup=\"default\"} 1",
        "backup_backups{backup=\"default\"} 2",
        "backup_last_success_timestamp_seconds{backup=\"default\"} 1",
    ] {
        assert!(metrics.contains(part), "{metrics}");
    }
}

/// `backup list | head -1`, and a full disk behind a redirection. The reader must not affect the command's work.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_closes_early_ends_no_command() {
    let (source, mut session) = database().await;
    session.execute("CREATE TABLE t (a int); INSERT INTO t SELECT generate_series(1, 1000)").await.unwrap();
    let store = store_settings().await;
    let nobody = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        writer
    };
    for (arguments, status) in [
        (&["run"][..], 0),
        (&["list"], 0),
        (&["--output", "json", "list"], 0),
        (&["show"], 0),
        (&["check"], 0),
        (&["prune", "--dry-run"], 0),
        (&["doctor"], 0),
        (&["--help"], 0),
        (&["export"], 141),
        (&["show", "20000101T000000Z-00000000"], 66),
    ] {
        let mut command = program(&source, &store, &[], arguments);
        command.stdout(nobody());
        let (found, text) = ended(command, &store);
        let quiet = !text.contains("panicked") && !text.to_lowercase().contains("broken pipe");
        assert!(found == status && quiet, "{arguments:?}: {found}: {text}");
    }
    let listed = ended(program(&source, &store, &[], &["list"]), &store).1;
    assert_eq!(listed.matches("committed").count(), 1, "the unread backup exists: {listed}");
    for (arguments, changes, status) in [
        (&["list"][..], &[][..], 0),
        (&["list"], &[("BACKUP_WORKRS", "2")], 64),
        (&["list", "--nonsense"], &[], 64),
        (&["show", "20000101T000000Z-00000000"], &[], 66),
        (&["run"], &[("BACKUP_DATABASES", "no_such")], 64),
        (&["serve"], &[], 64),
    ] {
        let mut command = program(&source, &store, changes, arguments);
        command.stdout(nobody()).stderr(nobody());
        assert_eq!(ended(command, &store).0, status, "{arguments:?} with both streams closed");
    }
    let mut command = program(&source, &store, &[], &["list"]);
    command.stdout(std::fs::File::options().write(true).open("/dev/full").unwrap());
    let (status, text) = ended(command, &store);
    assert!(status == 1 && text.contains("failed to write to standard output"), "{status}: {text}");
}

/// One row per error: settings, command, exit status, message.
#[tokio::test(flavor = "multi_thread")]
async fn every_error_has_a_message_and_an_exit_status() {
    let (source, mut session) = database().await;
    let store = store_settings().await;
    let role = format!("reader_{:08x}", crate::support::random());
    let make = format!("CREATE TABLE hidden (a int); CREATE ROLE {role} LOGIN PASSWORD 'hunter2'");
    session.execute(sqlx::AssertSqlSafe(make)).await.unwrap();
    let old = tempfile::tempdir().unwrap();
    for tool in ["pg_dump", "pg_dumpall"] {
        let path = old.path().join(tool);
        std::fs::write(&path, format!("#!/bin/sh\necho '{tool} (PostgreSQL) 12.4'\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let [closed] = free_ports::<1>().unwrap();
    let at = |user: &str, port: u16| format!("postgres://{user}@{}:{port}/{}?sslmode=disable", source.host, source.database);
    let nobody = at("nobody_such:hunter2", source.port);
    let away = at("me:hunter2", closed);
    let reader = at(&format!("{role}:hunter2"), source.port);
    let store_away = format!("http://127.0.0.1:{closed}");
    type Row<'a> = (&'a [(&'a str, &'a str)], i32, &'a str);
    let rows: [Row<'_>; 9] = [
        (&[("BACKUP_WORKRS", "2"), ("BACKUP_STORE_PART_MIB", "x")], 64, "did you mean BACKUP_WORKERS"),
        (&[("BACKUP_SCHEDULE", "nightly")], 64, "BACKUP_SCHEDULE"),
        (&[("BACKUP_STORE_BUCKET", "no-such-bucket-here")], 64, "bucket no-such-bucket-here does not exist"),
        (&[("BACKUP_STORE_SECRET_KEY", "hunter2")], 77, "correct the credentials"),
        (&[("BACKUP_STORE_ENDPOINT", &store_away)], 69, "the object store is unavailable"),
        (&[("BACKUP_SOURCE_URL", &away)], 69, "failed to connect to"),
        (&[("BACKUP_SOURCE_URL", &nobody)], 77, "nobody_such"),
        (&[("BACKUP_SOURCE_URL", &reader)], 77, "may not read public.hidden"),
        (&[("BACKUP_CLIENT_FOLDER", old.path().to_str().unwrap())], 78, "install postgresql-client-15"),
    ];
    for (changes, status, told) in rows {
        let (found, text) = ended(program(&source, &store, changes, &["check"]), &store);
        assert!(found == status && text.contains(told), "{changes:?}: {found}: {text}");
        let (found, text) = ended(program(&source, &store, changes, &["run"]), &store);
        assert_eq!(found, status, "run with {changes:?}: {text}");
    }
    let (status, text) = ended(program(&source, &store, &[("BACKUP_DATABASES", "no_such")], &["run"]), &store);
    assert!(status == 64 && text.contains("no database no_such"), "{text}");
    // A failed run is recorded, and holds retention back.
    let (status, text) = ended(program(&source, &store, &[], &["prune"]), &store);
    assert!(status == 73 && text.contains("nothing is removed until a backup succeeds"), "{status}: {text}");
}

/// Metrics for the node exporter after a first failure, with a second job, and after refused retention.
#[tokio::test(flavor = "multi_thread")]
async fn the_textfile_counts_failures_of_one_shot_commands() {
    let (source, mut session) = database().await;
    session.execute("CREATE TABLE t (a int)").await.unwrap();
    let (store, leases, folder) = (store_settings().await, store_settings().await, tempfile::tempdir().unwrap());
    let textfile = folder.path().join("backup.prom");
    let (textfile, leases) = (textfile.to_str().unwrap(), leases.bucket.as_str());
    let mut changes = NEWEST.to_vec();
    changes.extend([("BACKUP_METRICS_TEXTFILE", textfile), ("BACKUP_STORE_LOCK_BUCKET", leases)]);
    let metrics = |parts: &[&str]| {
        let text = std::fs::read_to_string(textfile).unwrap();
        parts.iter().for_each(|part| assert!(text.contains(&format!("{part}\n")), "no {part}: {text}"));
    };
    let missing = [changes.as_slice(), &[("BACKUP_DATABASES", "no_such")]].concat();
    assert_eq!(ended(program(&source, &store, &missing, &["run"]), &store).0, 64);
    metrics(&[
        "backup_runs_total{backup=\"default\",outcome=\"failed\"} 1",
        "backup_failures_total{backup=\"default\",stage=\"connect\"} 1",
        "backup_failures_total{backup=\"default\",stage=\"rows\"} 0",
        "backup_last_success_timestamp_seconds{backup=\"default\"} 0",
        "backup_recovery_point_timestamp_seconds{backup=\"default\"} 0",
        "backup_verified_point_timestamp_seconds{backup=\"default\"} 0",
        "backup_last_verified_timestamp_seconds{backup=\"default\"} 0",
    ]);
    assert_eq!(ended(program(&source, &store, &changes, &["prune"]), &store).0, 73);
    metrics(&[
        "backup_retention_refused_total{backup=\"default\",reason=\"newest_failed\"} 1",
        "backup_failures_total{backup=\"default\",stage=\"retention\"} 0",
    ]);

    // Two jobs in one process: each is counted once, and the failure of one does not prevent the other's backup.
    let file = folder.path().join("jobs.yaml");
    std::fs::write(&file, "jobs:\n  - name: bad\n    databases: [no_such]\n  - name: default\n").unwrap();
    let both = ["--config", file.to_str().unwrap(), "run"];
    let (status, text) = ended(program(&source, &store, &changes, &both), &store);
    assert!(status == 64 && text.contains("committed: 0 rows of 1 databases"), "{status}: {text}");
    metrics(&[
        "backup_runs_total{backup=\"bad\",outcome=\"failed\"} 1",
        "backup_last_success_timestamp_seconds{backup=\"bad\"} 0",
        "backup_runs_total{backup=\"default\",outcome=\"failed\"} 1",
        "backup_runs_total{backup=\"default\",outcome=\"committed\"} 1",
    ]);

    // Retention without the right to delete: by its own command, and after a run, which still succeeds.
    assert_eq!(ended(program(&source, &store, &changes, &["run"]), &store).0, 0);
    let bucket = store.bucket.clone();
    let forbidding = FaultyStore::before(&store, move |request| {
        let deletes = request.method == "POST" && request.target.contains("delete") && request.target.contains(&bucket);
        if deletes { StoreFault::Answer(403, "AccessDenied") } else { StoreFault::Pass }
    })
    .await;
    let (status, text) = ended(program(&source, &forbidding.settings, &changes, &["prune"]), &store);
    assert!(status == 77 && text.contains("s3:DeleteObject"), "{status}: {text}");
    metrics(&["backup_failures_total{backup=\"default\",stage=\"retention\"} 1"]);
    let after = [changes.as_slice(), &[("BACKUP_PRUNE_AFTER_RUN", "true")]].concat();
    let (status, text) = ended(program(&source, &forbidding.settings, &after, &["run"]), &store);
    assert!(status == 0 && text.contains("retention failed to remove"), "{status}: {text}");
    metrics(&[
        "backup_failures_total{backup=\"default\",stage=\"retention\"} 2",
        "backup_runs_total{backup=\"default\",outcome=\"failed\"} 1",
    ]);

    // A failure to read or restore is counted by its stage.
    assert_eq!(ended(program(&source, &store, &changes, &["restore", "20000101T000000Z-00000000", "--to", "x"]), &store).0, 66);
    metrics(&["backup_failures_total{backup=\"default\",stage=\"catalogue\"} 1"]);
}

/// One row per right: the denied requests, and the right that `check` names.
#[tokio::test(flavor = "multi_thread")]
async fn check_names_the_missing_right_of_the_store() {
    let (source, mut session) = database().await;
    session.execute("CREATE TABLE t (a int)").await.unwrap();
    let (store, leases) = (store_settings().await, store_settings().await.bucket);
    let rows: [(&str, &str, &str); 9] = [
        ("HEAD", "", "s3:ListBucket"),
        ("GET", "list-type=2", "s3:ListBucket"),
        ("GET", "?uploads", "s3:ListBucketMultipartUploads"),
        ("GET", "?versions", "s3:ListBucketVersions"),
        ("GET", "/data/", "s3:GetObject"),
        ("POST", "?uploads", "s3:PutObject"),
        ("DELETE", "uploadId=", "s3:AbortMultipartUpload"),
        ("POST", "?delete", "s3:DeleteObject"),
        ("PUT", "/check/", "s3:PutObject"),
    ];
    for lock_bucket in ["", leases.as_str()] {
        let changes = [("BACKUP_STORE_LOCK_BUCKET", lock_bucket)];
        for (method, part, right) in rows {
            // With a separate bucket for the lease, the bucket of the backups denies the request.
            let place = if lock_bucket.is_empty() || part == "/check/" { String::new() } else { format!("/{}", store.bucket) };
            let hit = Arc::new(AtomicBool::new(false));
            let forbidding = FaultyStore::before(&store, {
                let (hit, place) = (Arc::clone(&hit), place.clone());
                move |request| {
                    let is = request.method == method && request.target.contains(part) && request.target.starts_with(&place);
                    hit.fetch_or(is, Relaxed);
                    if is { StoreFault::Answer(403, "AccessDenied") } else { StoreFault::Pass }
                }
            })
            .await;
            let (status, text) = ended(program(&source, &forbidding.settings, &changes, &["check"]), &store);
            assert!(hit.load(Relaxed), "{method} {part}: never requested");
            assert!(status == 77 && text.contains(right), "{method} {part} {place}: {status}: {text}");
        }
    }
    let (status, text) = ended(program(&source, &store, &[], &["check"]), &store);
    assert_eq!(status, 0, "{text}");
}

/// Every object that a backup reads and the role may not read.
#[tokio::test(flavor = "multi_thread")]
async fn check_names_objects_that_the_role_may_not_read() {
    let (source, mut session) = database().await;
    let store = store_settings().await;
    let role = format!("reader_{:08x}", crate::support::random());
    let make = format!(
        "CREATE ROLE {role} LOGIN PASSWORD 'hunter2'; CREATE TABLE seen (id serial, a int); GRANT SELECT ON seen TO {role}; \
         SELECT lo_create(90001); CREATE SCHEMA shut; CREATE TABLE shut.away (a int); GRANT SELECT ON shut.away TO {role}"
    );
    session.execute(sqlx::AssertSqlSafe(make)).await.unwrap();
    let reader = format!("postgres://{role}:hunter2@{}:{}/{}?sslmode=disable", source.host, source.port, source.database);
    let check = || ended(program(&source, &store, &[("BACKUP_SOURCE_URL", &reader)], &["check"]), &store);
    for (told, remedy) in [
        ("may not read public.seen_id_seq, shut.away;", format!("GRANT SELECT ON SEQUENCE seen_id_seq TO {role}")),
        ("may not read shut.away;", format!("GRANT USAGE ON SCHEMA shut TO {role}")),
        ("may not read the large objects 90001;", format!("GRANT SELECT ON LARGE OBJECT 90001 TO {role}")),
    ] {
        let (status, text) = check();
        assert!(status == 77 && text.contains(told), "{status}: {text}");
        session.execute(sqlx::AssertSqlSafe(remedy)).await.unwrap();
    }
    let (status, text) = check();
    assert_eq!(status, 0, "{text}");
    let (status, text) = ended(program(&source, &store, &[("BACKUP_SOURCE_URL", &reader)], &["run"]), &store);
    assert_eq!(status, 0, "the backup succeeds after `check` does: {text}");
}

/// A running program that is killed with the test.
pub struct Served(pub Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn serve_takes_scheduled_backups_and_stops_on_request() {
    let (source, mut session) = database().await;
    session.execute("CREATE TABLE t (a int)").await.unwrap();
    let store = store_settings().await;
    let [port] = free_ports::<1>().unwrap();
    let listen = format!("127.0.0.1:{port}");
    let changes = [("BACKUP_SCHEDULE", "* * * * * *"), ("BACKUP_ADMIN_LISTEN", listen.as_str())];
    let mut served =
        Served(program(&source, &store, &changes, &["serve"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let committed = |metrics: &str| {
        let line = metrics.lines().find(|line| line.starts_with("backup_runs_total{backup=\"default\",outcome=\"committed\"}"));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).unwrap_or(0.0)
    };
    let begun = Instant::now();
    loop {
        let metrics = match reqwest::get(format!("http://{listen}/metrics")).await {
            Ok(answer) => answer.text().await.unwrap(),
            Err(_) => String::new(),
        };
        if committed(&metrics) >= 2.0 {
            assert!(metrics.contains("backup_failures_total{backup=\"default\",stage=\"rows\"} 0"), "{metrics}");
            break;
        }
        assert!(begun.elapsed() < DEADLINE, "no second backup: {metrics}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    kill_process(Pid::from_child(&served.0), Signal::TERM).unwrap();
    assert_eq!(served.0.wait().unwrap().code(), Some(0));
}
