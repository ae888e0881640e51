//! Drills and restores that are killed or stopped: what remains, and for how long.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use backup::config::{ObjectStoreSettings, SourceSettings, TlsMode};
use local_parts::find_program;
use rustix::process::{Pid, Signal, kill_process};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::{
    program::{Served, ended, program},
    support::{database, other_server, random, store_settings},
};

const DEADLINE: Duration = Duration::from_secs(60);
/// An assertion at which the drill waits.
const SLEEPS: &str = "-- name: sleeps\nSELECT pg_sleep(600)";

pub fn url(source: &SourceSettings) -> String {
    let password = source.password.as_ref().map(|password| password.expose().to_owned()).unwrap_or_default();
    format!("postgres://{}:{password}@{}:{}/postgres?sslmode=disable", source.user, source.host, source.port)
}

/// Folders of drills in `parent`.
fn folders(parent: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).unwrap().flatten().map(|entry| entry.path());
    entries.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("drill-")).collect()
}

/// Waits until the assertion sleeps on `server`, which may change.
async fn sleeping(server: impl Fn() -> Option<SourceSettings>) {
    let begun = Instant::now();
    loop {
        if let Some(source) = server()
            && let Ok(mut session) = PgConnection::connect_with(&source.options()).await
        {
            let query = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid() AND state = 'active')";
            if sqlx::query_scalar(query).fetch_one(&mut session).await.unwrap_or(false) {
                return;
            }
        }
        assert!(begun.elapsed() < DEADLINE, "the drill never reaches its assertion");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn scratch(parent: &Path) -> Option<SourceSettings> {
    let folder = folders(parent).pop()?;
    Some(SourceSettings {
        host: folder.display().to_string(),
        port: 5432,
        user: "postgres".into(),
        password: None,
        database: "postgres".into(),
        tls: TlsMode::Disable,
        root_certificates: None,
        client_certificate: None,
        startup: Vec::new(),
    })
}

fn started(mut command: Command) -> Served {
    Served(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}

fn told_to_end(mut running: Served) {
    kill_process(Pid::from_child(&running.0), Signal::TERM).unwrap();
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = running.0.try_wait().unwrap() {
            break status;
        }
        assert!(begun.elapsed() < DEADLINE, "it does not stop");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(status.code(), Some(1));
}

async fn backed_up() -> (SourceSettings, ObjectStoreSettings) {
    let (source, mut session) = database().await;
    session.execute("CREATE TABLE t (a int); INSERT INTO t SELECT generate_series(1, 100)").await.unwrap();
    let store = store_settings().await;
    assert_eq!(ended(program(&source, &store, &[], &["run"]), &store).0, 0);
    (source, store)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_removes_the_folder_of_a_killed_drill() {
    let (source, store) = backed_up().await;
    let folder = tempfile::tempdir().unwrap();
    // The drill's server runs with another account.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let (assertions, drills) = (folder.path().join("sleeps.sql"), folder.path().join("d"));
    fs::create_dir(&drills).unwrap();
    fs::write(&assertions, SLEEPS).unwrap();
    let server_folder = find_program("initdb").unwrap().parent().unwrap().display().to_string();
    let changes = [("BACKUP_SERVER_FOLDER", server_folder.as_str()), ("BACKUP_DRILL_FOLDER", drills.to_str().unwrap())];
    let sleeps = ["verify", "--assertions", assertions.to_str().unwrap()];

    let mut killed = started(program(&source, &store, &changes, &sleeps));
    sleeping(|| scratch(&drills)).await;
    killed.0.kill().unwrap();
    killed.0.wait().unwrap();
    let begun = Instant::now();
    while PgConnection::connect_with(&scratch(&drills).unwrap().options()).await.is_ok() {
        assert!(begun.elapsed() < DEADLINE, "its server outlives it");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(folders(&drills).len(), 1, "no process could remove it");
    // The folder of a running drill must not be removed.
    let living = started(program(&source, &store, &changes, &sleeps));
    sleeping(|| scratch(&drills)).await;
    assert_eq!(folders(&drills).len(), 1, "the folder of the running drill");
    let (status, text) = ended(program(&source, &store, &changes, &["verify"]), &store);
    assert_eq!(status, 0, "{text}");
    assert_eq!(folders(&drills).len(), 1, "the folder of the running drill");

    told_to_end(living);
    assert_eq!(folders(&drills), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_drill_on_a_given_server_drops_its_databases() {
    let (source, store) = backed_up().await;
    let (server, folder) = (other_server().await, tempfile::tempdir().unwrap());
    let (assertions, url) = (folder.path().join("sleeps.sql"), url(&server));
    fs::write(&assertions, SLEEPS).unwrap();
    let sleeps = ["verify", "--assertions", assertions.to_str().unwrap()];
    let running = started(program(&source, &store, &[("BACKUP_DRILL_URL", &url)], &sleeps));
    sleeping(|| Some(server.clone())).await;
    told_to_end(running);
    let left = sqlx::query_scalar("SELECT count(*) FROM pg_database WHERE datname LIKE $1").bind(format!("{}%", source.database));
    let mut session = PgConnection::connect_with(&server.options()).await.unwrap();
    assert_eq!(left.fetch_one(&mut session).await.map(|count: i64| count).unwrap(), 0);
}

/// The server refuses to drop a database with subscriptions, but the drill's databases must be dropped.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_with_subscriptions_is_dropped_too() {
    let (source, mut session) = database().await;
    session.execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1)").await.unwrap();
    let subscribe = "CREATE SUBSCRIPTION \"from \"\"afar\"\"\" CONNECTION 'host=nowhere dbname=x' PUBLICATION p WITH (connect = false, slot_name = kept)";
    session.execute(subscribe).await.unwrap();
    let (store, server) = (store_settings().await, other_server().await);
    let url = url(&server);
    assert_eq!(ended(program(&source, &store, &[], &["run"]), &store).0, 0);
    let (status, text) = ended(program(&source, &store, &[("BACKUP_DRILL_URL", &url)], &["verify"]), &store);
    assert_eq!(status, 0, "{text}");
    let left =
        sqlx::query_scalar("SELECT count(*) FROM pg_database WHERE datname LIKE $1").bind(format!("%{}%", source.database));
    let mut session = PgConnection::connect_with(&server.options()).await.unwrap();
    assert_eq!(left.fetch_one(&mut session).await.map(|count: i64| count).unwrap(), 0);
}

/// A killed restore cannot drop its database. The next restore prints its name and the statement that drops it.
#[tokio::test(flavor = "multi_thread")]
async fn a_restore_names_the_database_of_a_killed_restore() {
    let (source, store) = backed_up().await;
    let server = other_server().await;
    let name = format!("kept_{:08x}", random());
    let left = format!("{name}_restoring_0a1b2c3d_0a1b2c3d");
    let mut session = PgConnection::connect_with(&server.options()).await.unwrap();
    session.execute(AssertSqlSafe(format!("CREATE DATABASE {left}"))).await.unwrap();
    let url = url(&server);
    let arguments = ["restore", "--to", name.as_str(), "--no-owner", "--no-privileges"];
    let (status, text) = ended(program(&source, &store, &[("BACKUP_TARGET_URL", &url)], &arguments), &store);
    assert!(status == 0 && text.contains(&format!("DROP DATABASE \\\"{left}\\\"")), "{status}: {text}");
}
