//! Names of databases that tools could read as something else: a connection string, an option, a pattern, a quote.

use backup::restore;
use local_parts::{Postgres, PostgresOptions};
use sqlx::{AssertSqlSafe, Executor};
use tokio_util::sync::CancellationToken;

use crate::{
    agent::{agent_in, take},
    completeness::{by_hand, full},
    restore::reader,
    support::{connect, source, store_settings},
    verify::{drill, options as drill_options, scratch},
};

const NAMES: [&str; 7] =
    ["a=b", "dbname=postgres host=nowhere", "postgres://nowhere/x", "it's \"odd\" 100% \\x", "-x", " ünï 面,", "$(false) {a,b}*"];

#[tokio::test(flavor = "multi_thread")]
async fn a_databases_name_is_never_read_as_anything_else() {
    let postgres = Postgres::start(PostgresOptions::throwaway()).await.unwrap();
    let server = source(&postgres.url()).with_database("postgres");
    let mut session = connect(&server).await;
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    for name in NAMES {
        session.execute(AssertSqlSafe(format!("CREATE DATABASE {}", quoted(name)))).await.unwrap();
        session.execute(AssertSqlSafe(format!("ALTER DATABASE {} SET work_mem = '7MB'", quoted(name)))).await.unwrap();
        connect(&server.with_database(name)).await.execute("CREATE TABLE t AS SELECT 1 AS a").await.unwrap();
    }
    let store = store_settings().await;
    let agent = agent_in(&server, &store, &[("BACKUP_DATABASES", ""), ("BACKUP_ATTEMPTS", "1")]);
    let manifest = take(&agent).await.unwrap();
    assert!(manifest.is_complete() && manifest.databases.len() == NAMES.len() + 1, "{:?}", manifest.failed);
    let reader = reader(&agent.store, &manifest);
    for name in NAMES {
        let opened = restore::open_database(&reader, Some(name)).await.unwrap();
        let (again, stock) = (format!("{name} again"), format!("{name} stock"));
        restore::restore_database(&reader, &opened, &full(&server, &again), &CancellationToken::new()).await.unwrap();
        let (done, text) = by_hand(&store, &server, &[&manifest.id.to_string(), name, &stock], &[]);
        assert!(done, "{name}: {text}");
        for restored in [again, stock] {
            let found = sqlx::query_as("SELECT a, current_setting('work_mem') FROM t");
            let found: (i32, String) = found.fetch_one(&mut connect(&server.with_database(&restored)).await).await.unwrap();
            assert_eq!(found, (1, "7MB".to_owned()), "{restored}");
        }
    }
    let verdict = drill(&reader, &drill_options(scratch(), &[])).await;
    assert!(verdict.passed && verdict.rows_compared == NAMES.len() as u64, "{:?}", verdict.faults);
}
