//! Tests of an upgrade: a server on the schema of the previous release, a migration that waits for a lock, and a server of this
//! release under load while a later release migrates.

use std::{borrow::Cow, sync::Arc, sync::atomic::Ordering};

use exchange::db::migrate::MIGRATIONS;
use serde_json::Value;
use sqlx::{
    AssertSqlSafe, Connection, PgConnection, SqlSafeStr,
    migrate::{Migration, MigrationType, Migrator},
    postgres::PgConnectOptions,
};
use tokio::process::Command;

use crate::{
    eventually::{eventually, until},
    processes::Process,
    replica::{database, execute, number},
    rolling::{LIMITS, Seen, check, knows, load, market},
};

/// Migrations of this release without the newest one: the schema of the previous release.
fn previous() -> Migrator {
    let all: Vec<Migration> = MIGRATIONS.iter().cloned().collect();
    migrator(all[..all.len() - 1].to_vec())
}

fn newest() -> &'static Migration {
    MIGRATIONS.iter().last().unwrap()
}

fn migrator(migrations: Vec<Migration>) -> Migrator {
    Migrator { migrations: Cow::Owned(migrations), locking: false, ..Migrator::DEFAULT }
}

async fn connect(url: &str) -> PgConnection {
    // A session that an operator forgot.
    let options: PgConnectOptions = url.parse().unwrap();
    PgConnection::connect_with(&options.application_name("monthly-report")).await.unwrap()
}

/// `exchange migrate` of this release: its status, and what it printed.
async fn migrate(url: &str) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_exchange"));
    let output = command.arg("migrate").env_clear().env("EXCHANGE_DATABASE_URL", url).output().await.unwrap();
    let printed = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code(), printed)
}

async fn pid(connection: &mut PgConnection) -> i32 {
    sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(connection).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_on_the_previous_schema_names_what_is_missing() {
    let url = local_parts::shared_postgres().await.unwrap().create_database().await.unwrap();
    previous().run(&mut PgConnection::connect(&url).await.unwrap()).await.unwrap();
    let server = Process::serve_with(&url, &LIMITS).await;
    let wanted = format!("missing migrations: {} {}; run `exchange migrate`", newest().version, newest().description);
    until("it names the migration", || async { server.get("/readyz").await.is_some_and(|(_, text)| text.contains(&wanted)) })
        .await;
    assert_eq!(server.get("/readyz").await.unwrap().0, 503);
    assert_eq!(server.get("/livez").await.unwrap().0, 200);
    let (status, printed) = migrate(&url).await;
    assert_eq!(status, Some(0), "{printed}");
    server.leads().await;
}

/// The migration ends within its lock timeout, and an operator reads which session to look at.
#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_waits_for_a_lock_names_its_holder() {
    let url = local_parts::shared_postgres().await.unwrap().create_database().await.unwrap();
    previous().run(&mut PgConnection::connect(&url).await.unwrap()).await.unwrap();
    let mut holder = connect(&url).await;
    let pid = pid(&mut holder).await;
    let mut transaction = holder.begin().await.unwrap();
    // Every migration writes its row here.
    sqlx::query("LOCK TABLE _sqlx_migrations IN SHARE MODE").execute(&mut *transaction).await.unwrap();
    let (status, printed) = migrate(&url).await;
    assert_eq!(status, Some(1), "{printed}");
    for part in
        [format!("session {pid} "), "application monthly-report".into(), "idle in transaction".into(), "lock timeout".into()]
    {
        assert!(printed.contains(&part), "{part:?} is not in {printed}");
    }
    transaction.rollback().await.unwrap();
    let (status, printed) = migrate(&url).await;
    assert_eq!(status, Some(0), "{printed}");

    // The queue's schema, which its library migrates.
    execute(&url, "DELETE FROM graphile_worker.migrations WHERE id = (SELECT max(id) FROM graphile_worker.migrations)").await;
    let mut transaction = holder.begin().await.unwrap();
    sqlx::query("LOCK TABLE graphile_worker.migrations IN ACCESS EXCLUSIVE MODE").execute(&mut *transaction).await.unwrap();
    let (status, printed) = migrate(&url).await;
    assert_eq!(status, Some(1), "{printed}");
    assert!(printed.contains(&format!("session {pid} ")), "{printed}");
    transaction.rollback().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_migrate_waits_and_names_the_first() {
    let url = database().await;
    let mut first = connect(&url).await;
    let pid = pid(&mut first).await;
    sqlx::query("SELECT pg_advisory_lock($1)").bind(0x6578_6368_6d69_6772_i64).execute(&mut first).await.unwrap();
    let second = tokio::spawn({
        let url = url.clone();
        async move { migrate(&url).await }
    });
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'exchange migrate'
                   AND query LIKE '%pg_try_advisory_lock%'";
    until("the second one waits", || async { number(&url, waiting).await > 0 }).await;
    // It polls; the next question follows the report.
    first.close().await.unwrap();
    let (status, printed) = second.await.unwrap();
    assert_eq!(status, Some(0), "{printed}");
    assert!(printed.contains(&format!("session {pid} ")) && printed.contains("monthly-report"), "{printed}");
}

/// A later release adds a column to each table while this release's server takes orders. First a forgotten session holds a lock on the
/// busiest tables, so that the migration gives up; the server must answer every request.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_takes_orders_while_a_later_release_migrates() {
    let url = database().await;
    let server = Process::serve_with(&url, &LIMITS).await;
    server.leads().await;
    let key = Arc::new(market(&url).await);
    knows(&server.api, &key).await;
    let seen = Arc::new(Seen::default());
    let mut clients = load(std::slice::from_ref(&server.api), &key, &seen);
    seen.goes_on(50).await;

    let mut holder = connect(&url).await;
    for table in ["head", "orders", "api_keys"] {
        let mut transaction = holder.begin().await.unwrap();
        let read = AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        sqlx::query(read).execute(&mut *transaction).await.unwrap();
        let error = later(&url, &[table]).await.unwrap_err().to_string();
        assert!(error.contains("lock timeout"), "{error}");
        transaction.rollback().await.unwrap();
        seen.goes_on(20).await;
    }
    println!("longest time without an acknowledgement while a migration waits: {:?}", seen.take_gap());
    let tables: Vec<String> = {
        let sql = "SELECT relname::text FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace
                   AND NOT relispartition AND relname <> '_sqlx_migrations'";
        sqlx::query_scalar(sql).fetch_all(&mut holder).await.unwrap()
    };
    later(&url, &tables).await.unwrap();
    seen.goes_on(50).await;
    println!("while it runs: {:?}", seen.take_gap());

    // This release's `migrate` accepts the later schema, and a server starts on it.
    let (status, printed) = migrate(&url).await;
    assert_eq!(status, Some(0), "{printed}");
    let second = Process::serve_with(&url, &LIMITS).await;
    second.stands_by().await;
    seen.stop.store(true, Ordering::Relaxed);
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
    let failed = seen.failed.lock().unwrap().clone();
    assert!(failed.is_empty(), "{failed:#?}\n{:#?}", server.complaints());
    for api in [&server.api, &second.api] {
        check(api, &key, &seen, false).await;
    }
    let account: Value = eventually("the later schema is read", || async {
        let query = key.sign("omitZeroBalances=true");
        let request = reqwest::Client::new().get(format!("{}/api/v3/account?{query}", second.api));
        request.header("X-MBX-APIKEY", &key.api_key).send().await.ok()?.json().await.ok()
    })
    .await;
    assert!(account["balances"].is_array(), "{account}");
}

/// The migration of a later release, in one transaction and with this release's lock timeout.
async fn later(url: &str, tables: &[impl AsRef<str>]) -> Result<(), sqlx::migrate::MigrateError> {
    let sql: String =
        tables.iter().map(|table| format!("ALTER TABLE {} ADD COLUMN IF NOT EXISTS later bigint;", table.as_ref())).collect();
    let sql = AssertSqlSafe(sql).into_sql_str();
    let migration = Migration::new(99_990_101_000_000, "of a later release".into(), MigrationType::Simple, sql, false);
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::query("SET lock_timeout = '2s'").execute(&mut connection).await.unwrap();
    let all = MIGRATIONS.iter().cloned().chain([migration]).collect();
    migrator(all).run_direct(None, &mut connection, false).await
}
