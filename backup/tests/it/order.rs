//! Objects whose creation reads rows of other tables, or must precede the planner's statistics.

use std::{fs, os::unix::fs::PermissionsExt};

use backup::{
    restore::RestoreOptions,
    verify::{self, DrillPlace, ScratchSettings},
};
use local_parts::{Postgres, PostgresOptions};
use sqlx::{AssertSqlSafe, Executor};
use tokio_util::sync::CancellationToken;

use crate::{
    agent::{agent, agent_in, take},
    completeness::by_hand,
    restore::{options, reader, restore_with},
    support::{connect, database, other_server, random, source, store_settings},
    verify::{drill, options as drill_options, server_folder},
};

/// The large table is filled first, and its index calls a function that is declared immutable and reads the other table. The
/// dictionary waits for its rows: its name comes last and it is smaller.
const LOOKUP: &str = "CREATE TABLE z_words (number int, word text); INSERT INTO z_words SELECT n, 'word ' || n FROM generate_series(0, 9) n;
    CREATE FUNCTION word_of(n int) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT coalesce((SELECT word FROM public.z_words WHERE number = n % 10), ''none'')';
    CREATE TABLE a_large (id int, filler text, other int);
    INSERT INTO a_large SELECT n, repeat('x', 100), n FROM generate_series(1, 60000) n;
    CREATE INDEX by_word ON a_large (word_of(id));
    CREATE STATISTICS together (ndistinct) ON id, other FROM a_large";

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_reads_another_table_contains_its_rows() {
    let (source, mut session) = database().await;
    session.execute(LOOKUP).await.unwrap();
    let agent = agent(&source, &[]).await;
    let manifest = take(&agent).await.unwrap();
    let reader = reader(&agent.store, &manifest);
    let (server, name) = (other_server().await, format!("lookup_{:08x}", random()));
    // One session takes the longest tasks first, so the dictionary comes last.
    restore_with(&reader, &RestoreOptions { jobs: 1, ..options(&server, &name) }).await.unwrap();
    let mut restored = connect(&server.with_database(&name)).await;
    restored.execute("SET enable_seqscan = off").await.unwrap();
    let found = "SELECT count(*) FROM a_large WHERE word_of(id) = 'word 3'";
    let plan: Vec<String> = sqlx::query_scalar(AssertSqlSafe(format!("EXPLAIN {found}"))).fetch_all(&mut restored).await.unwrap();
    assert!(plan.iter().any(|line| line.contains("by_word")), "{plan:?}");
    let found: i64 = sqlx::query_scalar(found).fetch_one(&mut restored).await.unwrap();
    assert_eq!(found, 6000);

    // Statistics for the planner: of the expression, and of the statistics object.
    let known = "SELECT (SELECT count(*) FROM pg_stats WHERE tablename = 'by_word'), (SELECT count(*) FROM pg_stats_ext WHERE statistics_name = 'together' AND n_distinct IS NOT NULL)";
    let known: (i64, i64) = sqlx::query_as(known).fetch_one(&mut restored).await.unwrap();
    assert_eq!(known, (1, 1));
}

/// Configuration tables of an extension exist with their foreign keys before the rows, so the order of the rows matters. The
/// extension's own rows are not in the backup: its condition excludes them.
#[tokio::test(flavor = "multi_thread")]
async fn configuration_tables_are_filled_in_the_order_of_their_keys() {
    const SCRIPT: &str = "CREATE TABLE z_kinds (kind text PRIMARY KEY, built_in bool);
        INSERT INTO z_kinds VALUES ('built in', true);
        CREATE TABLE m_types (type text PRIMARY KEY, kind text NOT NULL REFERENCES z_kinds, parent text REFERENCES m_types);
        CREATE TABLE a_values (value int, type text REFERENCES m_types);
        SELECT pg_extension_config_dump('z_kinds', 'WHERE NOT built_in'); SELECT pg_extension_config_dump('m_types', '');
        SELECT pg_extension_config_dump('a_values', '')";
    let folder = tempfile::tempdir().unwrap();
    let extensions = folder.path().join("extension");
    fs::create_dir(&extensions).unwrap();
    fs::write(extensions.join("keyed.control"), "default_version = '1'\nrelocatable = true\n").unwrap();
    fs::write(extensions.join("keyed--1.sql"), SCRIPT).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:$system", folder.path().display());
    let postgres = Postgres::start(PostgresOptions::throwaway()).await.unwrap();
    let place = source(&postgres.create_database("keyed").await.unwrap());
    let mut session = connect(&place).await;
    if session.execute("SHOW extension_control_path").await.is_err() {
        return println!(
            "skipped configuration tables with keys: extensions outside the server's folder need PostgreSQL 18; install: deploy/local/postgresql-releases"
        );
    }
    for name in ["keyed", "postgres", "template1"] {
        let set = format!("ALTER DATABASE {name} SET extension_control_path = '{path}'");
        session.execute(AssertSqlSafe(set)).await.unwrap();
    }
    let mut session = connect(&place).await;
    let rows = "CREATE EXTENSION keyed; INSERT INTO z_kinds VALUES ('own', false);
        INSERT INTO m_types SELECT 'type ' || n, 'own', nullif('type ' || n - 1, 'type 0') FROM generate_series(1, 20000) n;
        INSERT INTO a_values SELECT n, 'type ' || 1 + n % 20000 FROM generate_series(1, 100000) n";
    session.execute(rows).await.unwrap();
    let (server, store) = (place.with_database("postgres"), store_settings().await);
    let agent = agent_in(&place, &store, &[]);
    let manifest = take(&agent).await.unwrap();
    let reader = reader(&agent.store, &manifest);
    restore_with(&reader, &RestoreOptions { jobs: 8, ..options(&server, "keyed_again") }).await.unwrap();
    let verdict = drill(&reader, &drill_options(DrillPlace::Given(server.clone()), &[])).await;
    assert!(verdict.passed && verdict.rows_compared == 120_001, "{verdict:?}");
    let (done, text) = by_hand(&store, &server, &[&manifest.id.to_string(), "keyed", "keyed_stock"], &[]);
    assert!(done, "{text}");
    for name in ["keyed_again", "keyed_stock"] {
        let counted = "SELECT (SELECT count(*) FROM z_kinds), (SELECT count(*) FROM m_types), (SELECT count(*) FROM a_values)";
        let counted: (i64, i64, i64) =
            sqlx::query_as(counted).fetch_one(&mut connect(&server.with_database(name)).await).await.unwrap();
        assert_eq!(counted, (2, 20_000, 100_000), "{name}");
    }
}

/// A view of the restored database needs a library that the server must load at its start. Without it the drill has no verdict.
#[tokio::test(flavor = "multi_thread")]
async fn a_drill_loads_the_libraries_that_extensions_need() {
    const NEEDS: &str = "CREATE EXTENSION pg_stat_statements;
        CREATE FUNCTION loaded() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN
            IF current_setting('unix_socket_directories') LIKE '%drill-%' THEN RETURN (SELECT count(*) FROM public.pg_stat_statements); END IF;
            RETURN 0; END $$;
        CREATE MATERIALIZED VIEW statements AS SELECT loaded() AS known";
    let (place, mut session) = database().await;
    if session.execute(NEEDS).await.is_err() {
        return println!(
            "skipped: the server has no pg_stat_statements; install postgresql-contrib (apt-get install postgresql-15)"
        );
    }
    let agent = agent(&place, &[]).await;
    let manifest = take(&agent).await.unwrap();
    let reader = reader(&agent.store, &manifest);
    let with = |preload: Vec<String>| {
        let place =
            DrillPlace::Scratch(ScratchSettings { server_folder: server_folder(), preload, ..ScratchSettings::default() });
        drill_options(place, &[])
    };
    let fault = verify::verify_backup(&reader, &with(Vec::new()), &CancellationToken::new()).await.unwrap_err().to_string();
    assert!(fault.contains("BACKUP_DRILL_PRELOAD_LIBRARIES"), "{fault}");
    let verdict = drill(&reader, &with(vec!["pg_stat_statements".into()])).await;
    assert!(verdict.passed, "{:?}", verdict.faults);
}
