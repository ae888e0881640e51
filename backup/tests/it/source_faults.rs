//! The server changes and fails during a backup: the backup equals its snapshot, or it fails with an error.

use std::{
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use age::secrecy::ExposeSecret;
use backup::{
    config::{ObjectStoreSettings, SourceSettings},
    failure::Exit,
    manifest::Manifest,
    reading::{BackupReader, Identities},
    restore,
    run::Agent,
};
use local_parts::{Folder, Postgres, PostgresOptions, StopMode, find_program};
use sqlx::{Executor, PgConnection};

use crate::{
    agent::{agent_in, take},
    faulty_store::{FaultyStore, StoreFault},
    store_faults::nothing_is_left_behind,
    support::{connect, database, random, source, store_settings},
};

/// Large enough to fill all buffers before it is read completely.
pub const NOISE: &str = "CREATE TABLE noise (id int PRIMARY KEY, a text);
    INSERT INTO noise SELECT n, (SELECT string_agg(encode(sha512((n * 100 + k)::text::bytea), 'base64'), '') FROM generate_series(1, 40) k)
    FROM generate_series(1, 16000) n;
    CREATE TABLE small (id int PRIMARY KEY, a text); INSERT INTO small SELECT n, md5(n::text) FROM generate_series(1, 500) n";

const DEADLINE: Duration = Duration::from_secs(30);

/// A run that is stopped in the middle of the rows: locks are held, a snapshot is taken, buffers are full.
struct InTheMiddle {
    store: FaultyStore,
    run: tokio::task::JoinHandle<backup::failure::Result<Manifest>>,
}

async fn in_the_middle(source: &SourceSettings, store: &ObjectStoreSettings, changes: &[(&str, &str)]) -> InTheMiddle {
    let slow =
        FaultyStore::before(
            store,
            |request| if request.target.contains("partNumber=") { StoreFault::Hold } else { StoreFault::Pass },
        )
        .await;
    let agent = agent_in(source, &slow.settings, changes);
    let run = tokio::spawn(async move { take(&agent).await });
    slow.held().await;
    InTheMiddle { store: slow, run }
}

impl InTheMiddle {
    async fn end(self) -> backup::failure::Result<Manifest> {
        self.store.open_gate();
        self.run.await.unwrap()
    }
}

/// Waits until `query` returns true.
pub async fn until(session: &mut PgConnection, query: &str) {
    let begun = Instant::now();
    while !sqlx::query_scalar::<_, bool>(sqlx::AssertSqlSafe(query.to_owned())).fetch_one(&mut *session).await.unwrap() {
        assert!(begun.elapsed() < DEADLINE, "never: {query}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Number and checksum of a table's rows in a backup.
pub async fn rows_of(agent: &Agent, manifest: &Manifest, table: &str) -> Option<(u64, String)> {
    let reader = BackupReader::new(agent.store.clone(), Identities::default(), manifest.clone()).unwrap();
    let opened = restore::open_database(&reader, None).await.unwrap();
    opened.contents.tables.iter().find(|found| found.name == table).map(|table| (table.rows, table.checksum.clone()))
}

/// A session that wants an exclusive lock waits until the last row is read. The worker that meets its lock request reads on.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_during_a_backup_waits_or_is_invisible() {
    for change in ["TRUNCATE noise, small", "DROP TABLE small, noise", "ALTER TABLE small ALTER a TYPE varchar USING a || 'x'"] {
        let ((source, mut writer), store) = (database().await, store_settings().await);
        writer.execute(NOISE).await.unwrap();
        let agent = agent_in(&source, &store, &[]);
        let before = take(&agent).await.unwrap();
        let standing = in_the_middle(&source, &store, &[]).await;
        writer.execute("UPDATE noise SET a = 'changed' WHERE id % 2 = 0; INSERT INTO small SELECT n, 'new' FROM generate_series(1000, 9000) n").await.unwrap();
        let changing = tokio::spawn(async move { writer.execute(change).await.map(drop) });
        let mut looker = connect(&source).await;
        until(&mut looker, "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock' AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))").await;
        let manifest = standing.end().await.unwrap_or_else(|failure| panic!("{change}: {failure}"));
        changing.await.unwrap().unwrap();
        for (table, rows) in [("noise", 16_000), ("small", 500)] {
            let found = rows_of(&agent, &manifest, table).await;
            assert_eq!(found.as_ref().map(|(rows, _)| *rows), Some(rows), "{change}");
            assert_eq!(found, rows_of(&agent, &before, table).await, "{change}: the same rows");
        }
    }
}

/// A change while the agent waits for locks is part of the snapshot, or makes the agent list the tables again.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_before_the_locks_is_backed_up_completely() {
    for (change, rows) in [
        ("TRUNCATE small", Some(0)),
        ("DROP TABLE small", None),
        ("ALTER TABLE small ALTER a TYPE varchar USING a || 'x'", Some(500)),
        ("DROP TABLE small; CREATE TABLE small AS SELECT 1 AS one", Some(1)),
        ("ALTER TABLE small RENAME TO renamed", None),
        ("DROP TABLE small; CREATE VIEW small AS SELECT 1 AS one", None),
    ] {
        let ((source, mut changer), store) = (database().await, store_settings().await);
        changer.execute("CREATE TABLE small (id int PRIMARY KEY, a text); INSERT INTO small SELECT n, md5(n::text) FROM generate_series(1, 500) n").await.unwrap();
        changer.execute("BEGIN; LOCK TABLE small IN ACCESS EXCLUSIVE MODE").await.unwrap();
        let agent = agent_in(&source, &store, &[]);
        let run = tokio::spawn({
            let agent = agent.clone();
            async move { take(&agent).await }
        });
        let mut looker = connect(&source).await;
        until(&mut looker, "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND mode = 'AccessShareLock' AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))").await;
        changer.execute(sqlx::AssertSqlSafe(format!("{change}; COMMIT"))).await.unwrap();
        let manifest = run.await.unwrap().unwrap_or_else(|failure| panic!("{change}: {failure}"));
        let found = rows_of(&agent, &manifest, "small").await;
        assert_eq!(found.as_ref().map(|(rows, _)| *rows), rows, "{change}");
        let after = take(&agent).await.unwrap();
        assert_eq!(found, rows_of(&agent, &after, "small").await, "{change}: the same rows");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_table_is_reported_in_time() {
    let ((source, mut keeper), store) = (database().await, store_settings().await);
    keeper.execute("CREATE TABLE kept (a int)").await.unwrap();
    keeper.execute("BEGIN; LOCK TABLE kept IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let failure = take(&agent_in(&source, &store, &[("BACKUP_LOCK_WAIT", "300ms"), ("BACKUP_ATTEMPTS", "1")])).await.unwrap_err();
    assert!(failure.to_string().contains("BACKUP_LOCK_WAIT"), "{failure}");
}

const COORDINATOR: &str = "application_name = 'backup' AND state = 'idle in transaction' AND datname = current_database()";

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_snapshot_fails_the_attempt_and_is_retried() {
    let ((source, mut session), store) = (database().await, store_settings().await);
    session.execute(NOISE).await.unwrap();
    // More than two, since concurrent tests create roles on this server.
    for (attempts, succeeds) in [("1", false), ("10", true)] {
        let standing = in_the_middle(&source, &store, &[("BACKUP_ATTEMPTS", attempts)]).await;
        // Including the sessions that read with the snapshot: they alone could still prove that their rows are complete.
        let end = "SELECT bool_and(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'backup' AND datname = current_database()";
        until(&mut session, end).await;
        let ended = standing.end().await;
        assert_eq!(ended.is_ok(), succeeds, "{ended:?}");
        if let Err(failure) = ended {
            // Whichever connection notices first is named: the snapshot's own, or one that was reading rows.
            let text = failure.to_string();
            assert!(["gone", "broke", "lost", "SQLSTATE 57P01"].iter().any(|cause| text.contains(cause)), "{text}");
        }
    }
    nothing_is_left_behind(&agent_in(&source, &store, &[])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_server_fails_the_backup() {
    let store = store_settings().await;
    let mut postgres = Postgres::start(PostgresOptions::throwaway()).await.unwrap();
    let source = source(&postgres.url());
    connect(&source).await.execute(NOISE).await.unwrap();
    let agent = agent_in(&source, &store, &[("BACKUP_ATTEMPTS", "1")]);
    let good = take(&agent).await.unwrap();
    for mode in [StopMode::Immediate, StopMode::Fast] {
        let standing = in_the_middle(&source, &store, &[("BACKUP_ATTEMPTS", "1")]).await;
        postgres.stop(mode).await.unwrap();
        let failure = standing.end().await.unwrap_err();
        assert_eq!(failure.exit, Exit::Unavailable, "{failure}");
        assert_eq!(take(&agent).await.unwrap_err().exit, Exit::Unavailable);
        assert_eq!(agent.catalogue().await.unwrap().newest().unwrap().0.id, good.id);
        postgres.start_again().await.unwrap();
    }
    take(&agent).await.unwrap();
    nothing_is_left_behind(&agent).await;
}

/// No snapshot covers roles. The roles read after the last snapshot are used if they include every role that the databases need.
/// A role created while the last rows are read is not part of the backup.
#[tokio::test(flavor = "multi_thread")]
async fn roles_created_between_snapshots_are_backed_up() {
    // A separate server, since concurrent tests create roles on the shared one.
    let postgres = Postgres::start(PostgresOptions::throwaway()).await.unwrap();
    for name in ["early", "late"] {
        connect(&source(&postgres.create_database(name).await.unwrap())).await.execute(NOISE).await.unwrap();
    }
    let source = source(&postgres.url());
    for (databases, expected) in [("early", false), ("early,late", true)] {
        let store = store_settings().await;
        let standing = in_the_middle(&source, &store, &[("BACKUP_DATABASES", databases), ("BACKUP_ATTEMPTS", "2")]).await;
        let role = format!("latecomer_{:08x}", random());
        connect(&source).await.execute(sqlx::AssertSqlSafe(format!("CREATE ROLE {role}"))).await.unwrap();
        let manifest = standing.end().await.unwrap();
        let agent = agent_in(&source, &store, &[]);
        let catalogue = agent.catalogue().await.unwrap();
        assert_eq!(catalogue.attempts.len(), 1, "{databases}");
        let reader = BackupReader::new(agent.store.clone(), Identities::default(), manifest.clone()).unwrap();
        let script = reader.blob(&manifest.globals.unwrap().script).await.unwrap();
        assert_eq!(
            String::from_utf8_lossy(&script).contains(&role),
            expected,
            "{databases}: the roles at the time of the snapshot"
        );
    }
}

/// Password verifiers belong only in backups that not everyone can read.
#[tokio::test(flavor = "multi_thread")]
async fn passwords_are_backed_up_encrypted_or_if_configured() {
    let ((source, mut session), store) = (database().await, store_settings().await);
    let role = format!("keeper_{:08x}", random());
    let make = format!("SET password_encryption = 'scram-sha-256'; CREATE ROLE {role} LOGIN PASSWORD 'hunter2'");
    session.execute(sqlx::AssertSqlSafe(make)).await.unwrap();
    let identity = age::x25519::Identity::generate();
    let recipient = identity.to_public().to_string();
    let key = || Identities::parse(Some(&identity.to_string().expose_secret().to_owned().into())).unwrap();
    for (changes, kept) in [
        (vec![], false),
        (vec![("BACKUP_RECIPIENTS", recipient.as_str())], true),
        (vec![("BACKUP_RECIPIENTS", recipient.as_str()), ("BACKUP_ROLE_PASSWORDS", "never")], false),
        (vec![("BACKUP_ROLE_PASSWORDS", "always")], true),
    ] {
        let agent = agent_in(&source, &store, &[changes.as_slice(), &[("BACKUP_ATTEMPTS", "20")]].concat());
        let manifest = take(&agent).await.unwrap();
        let globals = manifest.globals.clone().unwrap();
        let reader = BackupReader::new(agent.store.clone(), key(), manifest).unwrap();
        let script = String::from_utf8(reader.blob(&globals.script).await.unwrap().to_vec()).unwrap();
        assert!(script.contains(&role) && globals.role_passwords == kept, "{changes:?}");
        assert_eq!(script.contains("SCRAM-SHA-256$"), kept, "{changes:?}");
    }
}

/// A standby whose replay cancels readers.
#[tokio::test(flavor = "multi_thread")]
async fn a_cancelling_standby_is_retried_then_the_primary() {
    let store = store_settings().await;
    let options =
        || PostgresOptions::throwaway().set("wal_level", "replica").set("max_wal_senders", "4").set("hot_standby", "on");
    let primary = Postgres::start(options()).await.unwrap();
    let primary_source = source(&primary.url());
    let mut writer = connect(&primary_source).await;
    writer.execute(NOISE).await.unwrap();
    writer.execute("CREATE UNLOGGED TABLE passing (a int); INSERT INTO passing VALUES (1)").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("standby");
    drop(Folder::kept(&place).unwrap());
    let data = place.join("data");
    let copied = Command::new(find_program("pg_basebackup").unwrap())
        .args(["-R", "-c", "fast", "-X", "stream", "-d", &primary.url(), "-D"])
        .arg(&data)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
    std::fs::copy(primary.folder().join("password"), place.join("password")).unwrap();
    // Servers run as the owner of the primary's data.
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let owner = format!("--reference={}", primary.folder().join("data").display());
    assert!(Command::new("chown").args(["-R", &owner]).arg(&place).status().unwrap().success());
    let standby = Postgres::start(options().set("max_standby_streaming_delay", "0").in_folder(&place)).await.unwrap();
    let standby_source = source(&standby.url());
    let mut looker = connect(&standby_source).await;
    until(&mut looker, "SELECT pg_is_in_recovery() AND EXISTS (SELECT FROM pg_tables WHERE tablename = 'small')").await;

    // Undisturbed, the standby provides the backup. It does not have the rows of unlogged tables.
    let agent = agent_in(&standby_source, &store, &[]);
    let manifest = take(&agent).await.unwrap();
    assert!(manifest.server.standby && manifest.totals.rows == 16_500, "{manifest:?}");
    assert_eq!(rows_of(&agent, &manifest, "passing").await, None);

    // Replaying an exclusive lock ends the sessions that read the table.
    let conflict = async |writer: &mut PgConnection, looker: &mut PgConnection| {
        writer.execute("BEGIN; LOCK TABLE small IN ACCESS EXCLUSIVE MODE; DROP TABLE small; CREATE TABLE small (id int PRIMARY KEY, a text); COMMIT").await.unwrap();
        until(looker, &format!("SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE {COORDINATOR})")).await;
    };
    let standing = in_the_middle(&standby_source, &store, &[("BACKUP_ATTEMPTS", "1")]).await;
    conflict(&mut writer, &mut looker).await;
    let failure = standing.end().await.unwrap_err();
    assert!(failure.passing && failure.standby, "{failure:?}");

    let primary_url = format!("{}?sslmode=disable", primary.url());
    let standing =
        in_the_middle(&standby_source, &store, &[("BACKUP_ATTEMPTS", "1"), ("BACKUP_PRIMARY_URL", &primary_url)]).await;
    conflict(&mut writer, &mut looker).await;
    let manifest = standing.end().await.unwrap();
    assert!(!manifest.server.standby, "the primary provided it, although only one attempt is allowed");

    // A standby that is down cannot provide a backup either.
    drop((looker, standby));
    let changes = [("BACKUP_ATTEMPTS", "2"), ("BACKUP_PRIMARY_URL", primary_url.as_str())];
    let manifest = take(&agent_in(&standby_source, &store, &changes)).await.unwrap();
    assert!(!manifest.server.standby, "the primary provided it");
    nothing_is_left_behind(&agent_in(&primary_source, &store, &[])).await;
}
