//! The server is real, durable by default, and ends with its owner.

use std::path::Path;

use sqlx::{Connection, Executor, PgConnection, Row};

use super::*;

async fn setting(url: &str, name: &str) -> String {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let row = sqlx::query("SELECT current_setting($1)").bind(name).fetch_one(&mut connection).await.unwrap();
    row.get(0)
}

#[tokio::test]
async fn commits_survive_an_immediate_stop() {
    let mut postgres = Postgres::start(PostgresOptions::default().set("max_connections", "17")).await.unwrap();
    let url = postgres.create_database("shop").await.unwrap();
    for (name, value) in [("fsync", "on"), ("synchronous_commit", "on"), ("max_connections", "17")] {
        assert_eq!(setting(&url, name).await, value, "{name}");
    }
    let mut connection = PgConnection::connect(&url).await.unwrap();
    connection.execute("CREATE TABLE sold (item text); INSERT INTO sold VALUES ('pear')").await.unwrap();

    let (first, port) = (postgres.pid().unwrap(), postgres.port());
    postgres.restart(StopMode::Immediate).await.unwrap();
    assert!(postgres.pid().unwrap() != first && postgres.port() == port);
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let item: String = connection.fetch_one("SELECT item FROM sold").await.unwrap().get(0);
    assert_eq!(item, "pear");

    let (pid, folder) = (postgres.pid().unwrap(), postgres.folder().to_owned());
    drop(postgres);
    assert!(!Path::new("/proc").join(pid.to_string()).exists() && !folder.exists());
}

#[tokio::test]
async fn a_wrong_password_and_a_strange_name_are_refused() {
    let postgres = Postgres::start(PostgresOptions::throwaway()).await.unwrap();
    let (before, after) = postgres.url().split_once('@').map(|(before, after)| (before.to_owned(), after.to_owned())).unwrap();
    assert!(postgres_answers(&postgres.url()).await);
    assert!(!postgres_answers(&format!("{before}x@{after}")).await);
    assert!(
        postgres
            .create_database("x; DROP DATABASE postgres")
            .await
            .unwrap_err()
            .to_string()
            .contains("is not a plain database name")
    );
    assert_eq!(setting(&postgres.url(), "fsync").await, "off");
}

#[tokio::test]
async fn a_server_that_cannot_start_says_why() {
    let options = PostgresOptions::throwaway().set("shared_buffers", "plenty").on_port(free_port());
    let error = Postgres::start(options).await.unwrap_err().to_string();
    assert!(
        error.contains("postgres ended at start") && error.contains("invalid value for parameter \"shared_buffers\""),
        "{error}"
    );
}

fn free_port() -> u16 {
    crate::free_ports::<1>().unwrap()[0]
}
