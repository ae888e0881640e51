//! Tests of `exchange migrate`: repeated, concurrent, on a newer schema, on an altered migration.

use exchange::db::journal::{PARTITION_EVENTS, attach_partitions};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::process::Command;

use crate::replica::{execute, number};

async fn empty() -> String {
    local_parts::shared_postgres().await.unwrap().create_database().await.unwrap()
}

async fn apply(url: &str) -> anyhow::Result<()> {
    exchange::db::migrate::apply(&mut PgConnection::connect(url).await?).await
}

#[tokio::test]
async fn twice_at_once_and_then_again() {
    let url = empty().await;
    let (first, second) = tokio::join!(apply(&url), apply(&url));
    first.unwrap();
    second.unwrap();
    apply(&url).await.unwrap();
    let applied = number(&url, "SELECT count(*) FROM _sqlx_migrations WHERE success").await;
    assert_eq!(applied as usize, exchange::db::migrate::MIGRATIONS.iter().count());
    assert_eq!(number(&url, "SELECT count(*) FROM pg_inherits WHERE inhparent = 'journal'::regclass").await, 2);
}

#[tokio::test]
async fn a_newer_schema_is_left_alone() {
    let url = empty().await;
    apply(&url).await.unwrap();
    execute(
        &url,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (99990101000000, 'of a later release', true, '\\x00', 1)",
    )
    .await;
    apply(&url).await.unwrap();
    assert_eq!(number(&url, "SELECT count(*) FROM _sqlx_migrations WHERE version = 99990101000000").await, 1);
}

/// The program also creates the job queue's schema: on an empty database, concurrently, repeated, and on schemas of a later
/// release.
#[tokio::test]
async fn the_program_may_be_run_whenever() {
    let url = empty().await;
    let run = || async {
        let output = Command::new(env!("CARGO_BIN_EXE_exchange"))
            .arg("migrate")
            .env_clear()
            .env("EXCHANGE_DATABASE_URL", &url)
            .output()
            .await
            .unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(0), "{said}");
        said
    };
    tokio::join!(run(), run());
    run().await;
    assert!(number(&url, "SELECT count(*) FROM graphile_worker.migrations").await > 0);
    execute(
        &url,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (99990101000000, 'of a later release', true, '\\x00', 1)",
    )
    .await;
    execute(&url, "INSERT INTO graphile_worker.migrations (id, breaking) VALUES (9001, false)").await;
    run().await;
    execute(&url, "INSERT INTO graphile_worker.migrations (id, breaking) VALUES (9002, true)").await;
    assert!(run().await.contains("the job queue's schema belongs to a later release"));
}

#[tokio::test]
async fn an_altered_migration_is_refused() {
    let url = empty().await;
    apply(&url).await.unwrap();
    execute(&url, "UPDATE _sqlx_migrations SET checksum = '\\x00' WHERE version = 20261123000100").await;
    let error = format!("{:#}", apply(&url).await.unwrap_err());
    assert!(error.contains("20261123000100"), "{error}");
}

/// A statement that cannot get its lock fails instead of blocking every later session.
#[tokio::test]
async fn a_lock_is_not_waited_for_long() {
    let url = empty().await;
    apply(&url).await.unwrap();
    execute(&url, "DELETE FROM _sqlx_migrations WHERE version = 20261123000100").await;
    execute(&url, "DROP TABLE head").await;
    execute(&url, "DROP TABLE journal").await;
    let mut holder = PgConnection::connect(&url).await.unwrap();
    let mut transaction = holder.begin().await.unwrap();
    sqlx::query("LOCK TABLE _sqlx_migrations IN SHARE MODE").execute(&mut *transaction).await.unwrap();
    let error = format!("{:#}", apply(&url).await.unwrap_err());
    assert!(error.contains("lock timeout"), "{error}");
    transaction.rollback().await.unwrap();
    apply(&url).await.unwrap();
}

/// The journal always has a partition for the next batch: the one in use, and the next.
#[tokio::test]
async fn partitions_are_attached_ahead() {
    let url = empty().await;
    apply(&url).await.unwrap();
    let starts = async || {
        let mut connection = PgConnection::connect(&url).await.unwrap();
        let names = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'journal'::regclass ORDER BY 1";
        sqlx::query_scalar::<_, String>(names).fetch_all(&mut connection).await.unwrap()
    };
    let names: Vec<_> = [0, 1, 2].map(|number| format!("journal_{:018}", number * PARTITION_EVENTS)).into();
    assert_eq!(starts().await, names[..2]);
    // The last event of the first partition: the next one goes into the second.
    execute(&url, AssertSqlSafe(format!("UPDATE head SET last_seq = {}", PARTITION_EVENTS - 1))).await;
    let mut connection = PgConnection::connect(&url).await.unwrap();
    attach_partitions(&mut connection).await.unwrap();
    assert_eq!(starts().await, names);
    attach_partitions(&mut connection).await.unwrap();
    assert_eq!(starts().await, names);
}
