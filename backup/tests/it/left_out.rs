//! What a backup leaves out is in its manifest, in `show`, in the verdict of a drill and in a metric.

use std::fs;

use backup::config::SourceSettings;
use local_parts::{Postgres, PostgresOptions};
use sqlx::{AssertSqlSafe, Executor};

use crate::{
    agent::{agent_in, take},
    faulty_store::{FaultyStore, StoreFault},
    program::{ended, program},
    restore::reader,
    source_faults::{NOISE, until},
    support::{connect, database, random, source, store_settings},
    verify::{drill, options as drill_options, scratch},
};

/// pg_dump drops subscriptions with a warning, and options of user mappings without one, if the role is not a superuser.
#[tokio::test(flavor = "multi_thread")]
async fn objects_hidden_from_the_role_are_listed_everywhere() {
    let (place, mut session) = database().await;
    let role = format!("backup_{:08x}", random());
    let script = "CREATE TABLE t (a int); INSERT INTO t VALUES (1);
        CREATE FOREIGN DATA WRAPPER far; CREATE SERVER away FOREIGN DATA WRAPPER far; CREATE FOREIGN TABLE distant (a int) SERVER away;
        CREATE USER MAPPING FOR CURRENT_USER SERVER away OPTIONS (password 'hunter2')";
    session.execute(script).await.unwrap();
    let subscribe = "CREATE SUBSCRIPTION feed CONNECTION 'host=nowhere dbname=x password=hunter2' PUBLICATION p WITH (connect = false, slot_name = NONE)";
    session.execute(subscribe).await.unwrap();
    let create = format!("CREATE ROLE {role} LOGIN BYPASSRLS PASSWORD 'hunter2'; GRANT pg_read_all_data TO {role}");
    session.execute(AssertSqlSafe(create)).await.unwrap();
    let limited = SourceSettings { user: role.clone(), password: Some("hunter2".to_owned().into()), ..place.clone() };
    let (store, folder) = (store_settings().await, tempfile::tempdir().unwrap());
    let textfile = folder.path().join("backup.prom");
    let changes = [("BACKUP_METRICS_TEXTFILE", textfile.to_str().unwrap())];
    let (status, text) = ended(program(&limited, &store, &changes, &["run"]), &store);
    assert_eq!(status, 0, "{text}");

    let agent = agent_in(&limited, &store, &[]);
    let catalogue = agent.catalogue().await.unwrap();
    let manifest = catalogue.newest().unwrap().0.clone();
    let (shown, text) = ended(program(&limited, &store, &[], &["show"]), &store);
    assert_eq!(shown, 0, "{text}");
    connect(&place).await.execute("DROP SUBSCRIPTION feed").await.unwrap();
    let verdict = drill(&reader(&agent.store, &manifest), &drill_options(scratch(), &[])).await;
    assert!(verdict.passed, "{:?}", verdict.faults);
    for object in ["subscriptions", "user mapping", "foreign tables"] {
        let listed = manifest.left_out.iter().any(|line| line.to_string().contains(object));
        assert!(listed && text.contains(object), "{object}: {:?}: {text}", manifest.left_out);
        assert!(verdict.left_out.iter().any(|line| line.contains(object)), "{object}: {:?}", verdict.left_out);
    }
    let metrics = fs::read_to_string(&textfile).unwrap();
    let count = format!("backup_left_out{{backup=\"default\"}} {}", manifest.left_out.len());
    assert!(manifest.left_out.len() == 3 && metrics.contains(&count), "{count}: {metrics}");
}

/// The rows of one database are held in the store while the other one is dropped.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_dropped_before_its_turn_is_left_out() {
    let postgres = Postgres::start(PostgresOptions::throwaway()).await.unwrap();
    let first = source(&postgres.create_database("a_first").await.unwrap());
    let server = first.with_database("postgres");
    postgres.create_database("b_second").await.unwrap();
    connect(&first).await.execute(NOISE).await.unwrap();
    let store = store_settings().await;
    let slow =
        FaultyStore::before(
            &store,
            |request| if request.target.contains("partNumber=") { StoreFault::Hold } else { StoreFault::Pass },
        )
        .await;
    let changes = [("BACKUP_ATTEMPTS", "1"), ("BACKUP_DATABASES", ""), ("BACKUP_WORKERS", "1")];
    let agent = agent_in(&server, &slow.settings, &changes);
    let run = tokio::spawn(async move { take(&agent).await });
    slow.held().await;
    // A session that writes to a full socket answers the signal that a drop waits for only after the gate is open. The agent's
    // session for the dropped database waits until the drop ends.
    let (mut session, mut looker) = (connect(&server).await, connect(&server).await);
    let dropped = tokio::spawn(async move { session.execute("DROP DATABASE b_second").await.map(drop) });
    until(&mut looker, "SELECT EXISTS (SELECT FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND locktype = 'object') OR NOT EXISTS (SELECT FROM pg_database WHERE datname = 'b_second')").await;
    slow.open_gate();
    dropped.await.unwrap().unwrap();
    let manifest = run.await.unwrap().unwrap();
    let left_out: Vec<_> = manifest.left_out.iter().map(ToString::to_string).collect();
    assert!(manifest.is_complete() && left_out.len() == 1, "{left_out:?}");
    assert!(left_out[0].starts_with("b_second") && left_out[0].contains("dropped"), "{left_out:?}");
}

/// Variables of libpq direct neither the agent nor its tools elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn variables_of_libpq_do_not_reach_the_tools() {
    const MISLEADING: [(&str, &str); 12] = [
        ("PGHOST", "nowhere.invalid"),
        ("PGHOSTADDR", "127.0.0.2"),
        ("PGPORT", "1"),
        ("PGSERVICE", "none"),
        ("PGSERVICEFILE", "/nowhere"),
        ("PGUSER", "nobody"),
        ("PGDATABASE", "none"),
        ("PGOPTIONS", "-c search_path=none -c default_transaction_read_only=on"),
        ("PGSSLMODE", "verify-full"),
        ("PGSSLROOTCERT", "/nowhere"),
        ("PGCLIENTENCODING", "EUC_JP"),
        ("PGTZ", "none"),
    ];
    let (place, mut session) = database().await;
    session.execute("CREATE TABLE t (a text); INSERT INTO t VALUES ('ü')").await.unwrap();
    let store = store_settings().await;
    let to = format!("misled_{:08x}", random());
    let target = crate::interrupted::url(&place);
    let server = crate::verify::server_folder().unwrap().display().to_string();
    let changes = [("BACKUP_TARGET_URL", target.as_str()), ("BACKUP_SERVER_FOLDER", server.as_str())];
    for arguments in [&["check"][..], &["run"], &["restore", "--to", &to], &["verify"]] {
        let mut command = program(&place, &store, &changes, arguments);
        command.envs(MISLEADING);
        let (status, text) = ended(command, &store);
        assert_eq!(status, 0, "{arguments:?}: {text}");
    }
}
