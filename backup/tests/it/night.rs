//! Runs the commands of the README's section "At night", line by line.

use std::{fs, path::Path, process::Command};

use backup::config::ObjectStoreSettings;
use local_parts::{Postgres, SharedPostgres, find_program};
use sqlx::{Connection, Executor, PgConnection};

use crate::{
    interrupted::url,
    program::{ended, program},
    support::{SIGNING_SEED, connect, keys, random, signing, source, store_settings},
};

const README: &str = include_str!("../../README.md");

/// Lines of the shell blocks between two headings.
fn lines(from: &str, to: &str) -> Vec<&'static str> {
    let part = README.split_once(from).unwrap().1.split_once(to).unwrap().0;
    let mut inside = false;
    let mut found = Vec::new();
    for line in part.lines().map(str::trim) {
        if line.starts_with("```") {
            inside = line == "```sh";
        } else if inside {
            found.push(line);
        }
    }
    found
}

/// The line with our values instead of the README's examples; `None` if it sets only variables that we do not have.
fn ours(line: &str, values: &[(&str, String)]) -> Option<String> {
    let Some(set) = line.strip_prefix("export ") else { return Some(line.to_owned()) };
    let names = set.split('#').next().unwrap_or_default().split_whitespace();
    let set: Vec<_> = names
        .filter_map(|setting| {
            let (name, value) = setting.split_once('=').unwrap();
            let own = values.iter().find(|(own, _)| *own == name).map(|(_, value)| format!("{name}='{value}'"));
            own.or_else(|| value.starts_with('"').then(|| setting.to_owned()))
        })
        .collect();
    (!set.is_empty()).then(|| format!("export {}", set.join(" ")))
}

async fn count(session: &mut PgConnection, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(session).await.unwrap()
}

/// Backs up a server with two databases and user tables in `postgres`, and stops it. Returns the role that owns a table.
async fn lost(store: &ObjectStoreSettings) -> String {
    let lost = Postgres::start(SharedPostgres::options()).await.unwrap();
    let lost_source = source(&lost.url());
    let role = format!("shop_{:08x}", random());
    let mut session = connect(&lost_source.with_database("postgres")).await;
    for statement in [
        format!("CREATE ROLE {role}"),
        "CREATE DATABASE shop".into(),
        format!("CREATE TABLE duties (a int); INSERT INTO duties VALUES (1); ALTER TABLE duties OWNER TO {role}"),
    ] {
        session.execute(sqlx::AssertSqlSafe(statement)).await.unwrap();
    }
    let mut shop = connect(&lost_source.with_database("shop")).await;
    shop.execute("CREATE TABLE orders (a int); INSERT INTO orders SELECT generate_series(1, 100)").await.unwrap();
    let unlimited = [("BACKUP_DATABASES", "")];
    let (status, text) = ended(program(&lost_source, store, &unlimited, &["run"]), store);
    assert_eq!(status, 0, "{text}");
    role
}

/// The problems of every database are reported before roles are created. An error after that lists what was created.
#[tokio::test(flavor = "multi_thread")]
async fn every_problem_is_reported_before_anything_is_created() {
    let store = store_settings().await;
    let role = lost(&store).await;
    let found = Postgres::start(SharedPostgres::options()).await.unwrap();
    let server = source(&found.url()).with_database("postgres");
    let said = async |statement: &'static str| {
        let mut session = connect(&server).await;
        session.execute(statement).await.unwrap();
        session.close().await.unwrap();
    };
    said("CREATE DATABASE shop").await;
    said("CREATE TABLE mine (a int)").await;
    // A session connected to `postgres` prevents its replacement.
    let mut session = connect(&server.with_database("template1")).await;
    let restore =
        |url: String| ended(program(&server, &store, &[("BACKUP_TARGET_URL", &url)], &["restore", "--globals", "--all"]), &store);
    let (status, text) = restore(url(&server));
    for part in ["no database was restored", "already has a database \"shop\"", "already has a database \"postgres\""] {
        assert!(status == 64 && text.contains(part), "{part}: {status}: {text}");
    }
    assert!(!text.contains("no role"), "the globals contain it: {text}");
    let made = format!("SELECT count(*) FROM pg_roles WHERE rolname = '{role}'");
    let made = async |session: &mut PgConnection| -> i64 {
        sqlx::query_scalar(sqlx::AssertSqlSafe(made.clone())).fetch_one(session).await.unwrap()
    };
    assert_eq!(made(&mut session).await, 0, "nothing is created while there are problems");

    // A user who may create databases but not roles.
    said("DROP TABLE mine").await;
    said("DROP DATABASE shop").await;
    said("CREATE ROLE clerk LOGIN PASSWORD 'right' CREATEDB").await;
    let clerk = format!("postgres://clerk:right@{}:{}/postgres?sslmode=disable", server.host, server.port);
    let (status, text) = restore(clerk);
    for part in ["not created: CREATE ROLE", &format!("no role {role}"), "were created before", "no database was restored"] {
        assert!(status == 64 && text.contains(part), "{part}: {status}: {text}");
    }
    assert_eq!(count(&mut session, "SELECT count(*) FROM pg_database WHERE NOT datistemplate").await, 1);
    let (status, text) = restore(url(&server));
    assert!(status == 0 && made(&mut session).await == 1, "{status}: {text}");
}

/// A session on `postgres`, such as that of a monitoring agent, must not hold the other databases back.
#[tokio::test(flavor = "multi_thread")]
async fn the_other_databases_are_restored_without_an_excluded_one() {
    let store = store_settings().await;
    lost(&store).await;
    let found = Postgres::start(SharedPostgres::options()).await.unwrap();
    let server = source(&found.url()).with_database("postgres");
    let _monitor = connect(&server).await;
    let restore = |more: &[&str]| {
        let arguments = [&["restore", "--globals"], more].concat();
        ended(program(&server, &store, &[("BACKUP_TARGET_URL", &url(&server))], &arguments), &store)
    };
    let (status, text) = restore(&["--all", "--replace"]);
    assert!(status == 64 && text.contains("has connected sessions") && text.contains("--exclude"), "{status}: {text}");
    let (status, text) = restore(&["--all", "--exclude", "nope"]);
    assert!(status == 66 && text.contains("nope") && text.contains("postgres, shop"), "{status}: {text}");
    let (status, text) = restore(&["--all", "--exclude", "postgres", "--exclude", "shop"]);
    assert!(status == 64 && text.contains("every database"), "{status}: {text}");
    assert_eq!(restore(&["--exclude", "shop"]).0, 64, "it needs --all");
    let (status, text) = restore(&["--all", "--exclude", "postgres"]);
    assert_eq!(status, 0, "{text}");
    assert_eq!(count(&mut connect(&server.with_database("shop")).await, "SELECT count(*) FROM orders").await, 100);
}

/// A new server from `initdb`.
#[tokio::test(flavor = "multi_thread")]
async fn the_readme_leads_from_a_new_server_to_a_verified_database() {
    let store = store_settings().await;
    let role = lost(&store).await;
    let found = Postgres::start(SharedPostgres::options()).await.unwrap();
    let found_source = source(&found.url());
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("signing");
    fs::write(&key, SIGNING_SEED).unwrap();
    let values = [
        ("BACKUP_STORE_ENDPOINT", store.endpoint.clone().unwrap()),
        ("BACKUP_STORE_BUCKET", store.bucket.clone()),
        ("BACKUP_STORE_ACCESS_KEY", keys(&store).0.to_owned()),
        ("BACKUP_STORE_SECRET_KEY", keys(&store).1.to_owned()),
        ("BACKUP_NAME", "default".into()),
        ("BACKUP_TRUSTED_KEYS", signing().public_key()),
        ("BACKUP_TARGET_URL", url(&found_source)),
        ("BACKUP_SIGNING_KEY_FILE", key.display().to_string()),
    ];
    let night = lines("## At night", "### With `pg_restore`");
    let script: Vec<String> = night.iter().filter_map(|line| ours(line, &values)).collect();
    for line in ["backup restore --globals --all", "backup check && backup run && backup verify"] {
        assert!(script.iter().any(|ours| ours == line), "{script:?}");
    }
    // Programs of the machine, which the README's reader installs.
    let folder_of = |tool: &str| find_program(tool).unwrap().parent().unwrap().display().to_string();
    let program = Path::new(env!("CARGO_BIN_EXE_backup")).parent().unwrap().display().to_string();
    let mut command = Command::new("sh");
    command.env_clear().args(["-ec", &script.join("\n")]).env("PATH", format!("{program}:/usr/bin:/bin"));
    command.env("BACKUP_CLIENT_FOLDER", folder_of("pg_dump")).env("BACKUP_SERVER_FOLDER", folder_of("initdb"));
    let (status, text) = ended(command, &store);
    assert_eq!(status, 0, "{script:?}: {text}");
    assert!(text.contains("committed: 101 rows of 2 databases") && text.matches("equals the original").count() == 2, "{text}");

    let mut postgres = connect(&found_source.with_database("postgres")).await;
    let mine = format!("SELECT count(*) FROM pg_tables WHERE tablename = 'duties' AND tableowner = '{role}'");
    assert_eq!(sqlx::query_scalar::<_, i64>(sqlx::AssertSqlSafe(mine)).fetch_one(&mut postgres).await.unwrap(), 1);
    assert_eq!(
        count(&mut postgres, "SELECT count(*) FROM pg_database WHERE NOT datistemplate").await,
        2,
        "no renamed database remains"
    );
    let mut shop = connect(&found_source.with_database("shop")).await;
    assert_eq!(count(&mut shop, "SELECT count(*) FROM orders").await, 100);
}
