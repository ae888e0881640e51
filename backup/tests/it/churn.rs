//! Other sessions create, change, drop, empty and lock objects during a backup: it commits a consistent copy, or fails within a
//! bound and can be retried.

use std::{
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use backup::config::SourceSettings;
use local_parts::find_program;
use sqlx::{AssertSqlSafe, Executor};

use crate::{
    agent::{agent_in, take},
    restore::{options, reader, restore_with},
    source_faults::{rows_of, until},
    support::{connect, database, other_server, random, store_settings},
};

/// No attempt may last longer, on a busy machine.
const BOUND: Duration = Duration::from_secs(300);
/// A session waits for an exclusive lock.
const WAITS: &str = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock' \
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))";
const PAIRS: &str = "CREATE TABLE left_rows (id int PRIMARY KEY, a text); CREATE TABLE right_rows (id int PRIMARY KEY, a text);
    INSERT INTO left_rows SELECT n, md5(n::text) FROM generate_series(1, 200) n; INSERT INTO right_rows SELECT * FROM left_rows;
    CREATE TABLE altered (id int PRIMARY KEY, a text); INSERT INTO altered SELECT n, 'a' FROM generate_series(1, 300) n;
    CREATE INDEX altered_a ON altered (a); CREATE VIEW over AS SELECT id FROM altered; CREATE SEQUENCE counter";
/// One statement sequence for each session, with a number in place of `%`.
const CHURN: [&str; 7] = [
    "CREATE TABLE passing_% (a int PRIMARY KEY); INSERT INTO passing_% VALUES (1); DROP TABLE passing_%",
    "BEGIN; TRUNCATE left_rows, right_rows; INSERT INTO left_rows SELECT n, md5('%' || n) FROM generate_series(1, 200) n;
     INSERT INTO right_rows SELECT * FROM left_rows; COMMIT",
    "ALTER TABLE altered ADD COLUMN extra_% int DEFAULT 7; ALTER TABLE altered DROP COLUMN extra_%",
    "REINDEX TABLE altered",
    "VACUUM FULL altered",
    "CREATE VIEW view_% AS SELECT id FROM altered; CREATE TYPE type_% AS ENUM ('a'); DROP VIEW view_%; DROP TYPE type_%",
    "CREATE FUNCTION function_%(a int, b text DEFAULT 'x') RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE SEQUENCE sequence_%;
     CREATE STATISTICS statistics_% ON id, a FROM altered; DROP FUNCTION function_%; DROP SEQUENCE sequence_%; DROP STATISTICS statistics_%",
];
const PAUSE: Duration = Duration::from_millis(400);

/// Runs [`CHURN`] until the flag is set. Returns the number of rounds.
async fn churn(source: SourceSettings, statements: &'static str, stop: Arc<AtomicBool>, rounds: Arc<AtomicUsize>) {
    let mut session = connect(&source).await;
    for number in 0.. {
        if stop.load(Relaxed) {
            return;
        }
        // One of two sessions that deadlock gets an error. The rest of its transaction is rolled back.
        if session.execute(AssertSqlSafe(statements.replace('%', &number.to_string()))).await.is_err() {
            let _ = session.execute("ROLLBACK").await;
        } else {
            rounds.fetch_add(1, Relaxed);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_churn_is_consistent() {
    let ((source, mut session), store) = (database().await, store_settings().await);
    session.execute(PAIRS).await.unwrap();
    let (stop, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let churning: Vec<_> = CHURN
        .iter()
        .map(|statements| tokio::spawn(churn(source.clone(), statements, Arc::clone(&stop), Arc::clone(&rounds))))
        .collect();
    let agent = agent_in(&source, &store, &[("BACKUP_ATTEMPTS", "3"), ("BACKUP_LOCK_WAIT", "5s")]);
    let mut taken = Vec::new();
    for _ in 0..2 {
        let begun = (Instant::now(), rounds.load(Relaxed));
        match tokio::time::timeout(BOUND, take(&agent)).await.expect("within the bound") {
            Ok(manifest) => taken.push(manifest),
            Err(failure) => assert!(failure.passing, "{failure}"),
        }
        assert!(rounds.load(Relaxed) > begun.1, "the other sessions proceed");
    }
    stop.store(true, Relaxed);
    futures::future::join_all(churning).await;
    assert!(!taken.is_empty(), "no backup succeeded");
    for manifest in &taken {
        let [left, right] = [rows_of(&agent, manifest, "left_rows").await, rows_of(&agent, manifest, "right_rows").await];
        assert_eq!(left.as_ref().map(|(rows, _)| *rows), Some(200));
        assert_eq!(left, right, "both tables are of one moment");
        assert_eq!(rows_of(&agent, manifest, "altered").await.map(|(rows, _)| rows), Some(300));
    }
    let server = other_server().await;
    let name = format!("churn_{:08x}", random());
    restore_with(&reader(&agent.store, taken.last().unwrap()), &options(&server, &name)).await.unwrap();
    let mut restored = connect(&server.with_database(&name)).await;
    let equal = "SELECT (SELECT count(*) FROM left_rows NATURAL JOIN right_rows) = 200 AND (SELECT count(*) FROM altered) = 300";
    assert!(sqlx::query_scalar::<_, bool>(equal).fetch_one(&mut restored).await.unwrap());
    take(&agent).await.unwrap();
}

/// A folder of client tools whose pg_dump starts only when the file `go` exists.
fn waiting_pg_dump(folder: &Path) {
    let tools = find_program("pg_dump").unwrap();
    for name in ["pg_dumpall", "pg_restore", "psql"] {
        std::os::unix::fs::symlink(tools.with_file_name(name), folder.join(name)).unwrap();
    }
    let (script, go) = (folder.join("pg_dump"), folder.join("go"));
    let wait = format!("while [ ! -e {} ]; do sleep 0.05; done", go.display());
    let text = format!("#!/bin/sh\ncase \"$*\" in *--snapshot*) {wait};; esac\nexec {} \"$@\"\n", tools.display());
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(script, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// A TRUNCATE that waits for our locks blocks pg_dump's request for the same table. The server does not report a deadlock, since
/// pg_dump's session does not wait for ours directly. The TRUNCATE proceeds, and the backup begins again.
#[tokio::test(flavor = "multi_thread")]
async fn a_lock_request_between_ours_and_pg_dumps_does_not_block_both() {
    for change in ["TRUNCATE left_rows", "REINDEX TABLE altered", "VACUUM FULL right_rows", "DROP TABLE left_rows"] {
        let ((source, mut writer), store) = (database().await, store_settings().await);
        writer.execute(PAIRS).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        waiting_pg_dump(folder.path());
        let client = folder.path().display().to_string();
        // Longer than the test may last: only the circle itself ends the wait.
        let changes = [("BACKUP_ATTEMPTS", "1"), ("BACKUP_LOCK_WAIT", "10m"), ("BACKUP_CLIENT_FOLDER", &client)];
        let agent = agent_in(&source, &store, &changes);
        let run = tokio::spawn(async move { take(&agent).await });
        let mut looker = connect(&source).await;
        let locked = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'backup' AND state = 'idle in transaction' \
            AND datname = current_database())";
        until(&mut looker, locked).await;
        let changing = tokio::spawn(async move { writer.execute(change).await.map(drop) });
        if change.starts_with("REINDEX") {
            // It waits for a lock on the table only after pg_dump read it, or not at all.
            changing.await.unwrap().unwrap();
        } else {
            until(&mut looker, WAITS).await;
            std::fs::write(folder.path().join("go"), "").unwrap();
            tokio::time::timeout(BOUND, changing).await.expect("the change proceeds").unwrap().unwrap();
        }
        std::fs::write(folder.path().join("go"), "").unwrap();
        let taken = tokio::time::timeout(BOUND, run).await.expect("the backup ends").unwrap();
        taken.unwrap_or_else(|failure| panic!("{change}: {failure}"));
    }
}

/// pg_dump's own limit covers only its `LOCK TABLE`. It also waits for locks on views, sequences and indexes.
#[tokio::test(flavor = "multi_thread")]
async fn a_locked_view_or_sequence_fails_the_backup_in_time() {
    for change in ["ALTER VIEW over RENAME TO other", "ALTER SEQUENCE counter RENAME TO other"] {
        let ((source, mut holder), store) = (database().await, store_settings().await);
        holder.execute(PAIRS).await.unwrap();
        holder.execute(AssertSqlSafe(format!("BEGIN; {change}"))).await.unwrap();
        let agent = agent_in(&source, &store, &[("BACKUP_ATTEMPTS", "1"), ("BACKUP_LOCK_WAIT", "500ms")]);
        let failure = tokio::time::timeout(BOUND, take(&agent)).await.expect("it ends").unwrap_err();
        assert!(failure.passing && failure.to_string().contains("BACKUP_LOCK_WAIT"), "{change}: {failure}");
        holder.execute("ROLLBACK").await.unwrap();
        take(&agent).await.unwrap();
    }
}
