//! Objects that lock each other's tables, restored by many sessions without deadlocks.

use backup::{
    config::SourceSettings,
    restore::{RestoreError, RestoreOptions},
};
use sqlx::{AssertSqlSafe, Executor, PgConnection};

use crate::{
    restore::{options, reader, restore_with},
    support::{connect, database, other_server, random, store},
    twin::{self, Shape},
};

const JOBS: usize = 8;
/// Number of tables. Each one reads the next two.
const TABLES: usize = 40;

/// Policies, rules, triggers, checks and foreign keys in rings.
fn rings() -> String {
    let name = |number: usize| format!("ring_{}", number % TABLES);
    let mut script = String::from("CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';");
    for number in 0..TABLES {
        script +=
            &format!("CREATE TABLE {} (id int PRIMARY KEY, next int, note text DEFAULT '', UNIQUE (next, id));", name(number));
        script += &format!("INSERT INTO {0} SELECT n, n FROM generate_series(1, 50) n;", name(number));
    }
    for number in 0..TABLES {
        let [table, next, after] = [0, 1, 7].map(|step| name(number + step));
        script += &format!(
            "ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
             CREATE POLICY one ON {table} USING (EXISTS (SELECT FROM {next} o JOIN {after} p USING (id) WHERE o.id = {table}.id));
             CREATE POLICY two ON {table} FOR INSERT WITH CHECK (EXISTS (SELECT FROM {after} o WHERE o.id = {table}.next));
             CREATE RULE noted AS ON DELETE TO {table} DO ALSO UPDATE {next} SET note = 'deleted' WHERE id = OLD.id;
             CREATE RULE moved AS ON UPDATE TO {table} WHERE OLD.id <> NEW.id DO ALSO DELETE FROM {after} WHERE id = OLD.id;
             CREATE TRIGGER noted BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION noted();
             CREATE CONSTRAINT TRIGGER late AFTER INSERT ON {table} FROM {next} DEFERRABLE FOR EACH ROW EXECUTE FUNCTION noted();
             ALTER TABLE {table} ADD CONSTRAINT to_next FOREIGN KEY (next) REFERENCES {next};
             ALTER TABLE {table} ADD CONSTRAINT to_after FOREIGN KEY (next) REFERENCES {after};
             CREATE INDEX {table}_note ON {table} (note); CREATE STATISTICS {table}_statistics ON id, next FROM {table};
             CREATE VIEW {table}_view AS SELECT * FROM {table} NATURAL JOIN {next};"
        );
    }
    script
}

async fn deadlocks(session: &mut PgConnection, database: &str) -> i64 {
    let query = sqlx::query_scalar("SELECT deadlocks FROM pg_stat_database WHERE datname = $1").bind(database);
    query.fetch_one(session).await.unwrap()
}

async fn restored_without_a_deadlock(rounds: usize) {
    let (source, mut session) = database().await;
    session.execute(AssertSqlSafe(rings())).await.unwrap();
    let store = store().await;
    let reader = reader(&store, &twin::write(&store, &[source], Shape::default()).await);
    let server = other_server().await;
    for round in 0..rounds {
        let name = format!("rings_{:08x}", random());
        restore_with(&reader, &RestoreOptions { jobs: JOBS, ..options(&server, &name) }).await.unwrap();
        let mut session = connect(&server).await;
        assert_eq!(deadlocks(&mut session, &name).await, 0, "round {round}");
        let policies = "SELECT count(*) FROM pg_policies WHERE policyname IN ('one', 'two')";
        let policies: i64 =
            sqlx::query_scalar(policies).fetch_one(&mut connect(&server.with_database(&name)).await).await.unwrap();
        assert_eq!(policies, 2 * TABLES as i64);
        session.execute(AssertSqlSafe(format!("DROP DATABASE {name}"))).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_that_read_each_other_do_not_deadlock() {
    restored_without_a_deadlock(3).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: run by make soak"]
async fn objects_that_read_each_other_do_not_deadlock_in_20_restores() {
    restored_without_a_deadlock(20).await;
}

/// A view whose first refresh fails, as after a deadlock: a sequence counts the attempts across transactions. And a view whose
/// refresh always fails.
const REFUSED: &str = "CREATE SEQUENCE calls;
    CREATE FUNCTION crossed() RETURNS int LANGUAGE plpgsql AS $$ BEGIN
        IF nextval('public.calls') <= 2 THEN RAISE EXCEPTION 'deadlock detected' USING ERRCODE = '40P01'; END IF; RETURN 1; END $$;
    CREATE FUNCTION elsewhere() RETURNS int LANGUAGE plpgsql AS $$ BEGIN
        IF current_database() <> 'ORIGINAL' THEN RAISE EXCEPTION 'not here' USING DETAIL = 'in detail'; END IF; RETURN 1; END $$;
    SELECT setval('calls', 10);
    CREATE MATERIALIZED VIEW late AS SELECT crossed() AS one;
    CREATE TABLE kept (a int PRIMARY KEY); INSERT INTO kept VALUES (1), (2);
    SELECT setval('calls', 1, false)";
const NEVER: &str = "CREATE MATERIALIZED VIEW never AS SELECT elsewhere() AS one;
    CREATE TABLE guarded (a int CHECK (elsewhere() = 1)); INSERT INTO guarded VALUES (1)";

#[tokio::test(flavor = "multi_thread")]
async fn a_deadlock_in_a_restore_is_retried() {
    let (source, mut session) = database().await;
    session.execute(REFUSED).await.unwrap();
    let store = store().await;
    let reader = reader(&store, &twin::write(&store, &[source], Shape::default()).await);
    let (server, name) = (other_server().await, format!("crossed_{:08x}", random()));
    restore_with(&reader, &options(&server, &name)).await.unwrap();
    let one: i32 =
        sqlx::query_scalar("SELECT one FROM late").fetch_one(&mut connect(&server.with_database(&name)).await).await.unwrap();
    assert_eq!(one, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn keep_going_lists_the_objects_that_the_server_refused() {
    let (source, mut session) = database().await;
    let script = format!("{REFUSED}; {NEVER}").replace("ORIGINAL", &source.database);
    session.execute(AssertSqlSafe(script)).await.unwrap();
    let store = store().await;
    let reader = reader(&store, &twin::write(&store, &[source], Shape::default()).await);
    let (server, name) = (other_server().await, format!("refused_{:08x}", random()));
    let fault = restore_with(&reader, &options(&server, &name)).await.unwrap_err();
    assert!(matches!(fault, RestoreError::Rows { .. }), "{fault}");

    let report = restore_with(&reader, &RestoreOptions { keep_going: true, ..options(&server, &name) }).await.unwrap();
    let listed: Vec<_> = report.refused.iter().map(|refused| format!("{}: {}", refused.object, refused.reason)).collect();
    assert_eq!(listed.len(), 2, "{listed:?}");
    assert!(
        listed.iter().any(|line| line.starts_with("the rows of public.guarded: ") && line.contains("not here")),
        "{listed:?}"
    );
    assert!(
        listed
            .iter()
            .any(|line| line.starts_with("MATERIALIZED VIEW DATA never ") && line.contains("not here; DETAIL:  in detail")),
        "{listed:?}"
    );
    assert!(report.to_string().contains("NOT restored"), "{report}");
    let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM kept")
        .fetch_one(&mut connect(&server.with_database(&name)).await)
        .await
        .unwrap();
    assert_eq!(kept, 2);
}

/// A role that may create databases, but not set every parameter, as those of hosted servers.
#[tokio::test(flavor = "multi_thread")]
async fn keep_going_lists_settings_that_the_role_may_not_apply() {
    let (source, mut session) = database().await;
    let set = format!("ALTER DATABASE {} SET log_min_duration_statement = '1s'", source.database);
    session.execute(AssertSqlSafe(set)).await.unwrap();
    session.execute("CREATE TABLE kept (a int); INSERT INTO kept VALUES (1), (2)").await.unwrap();
    let store = store().await;
    let reader = reader(&store, &twin::write(&store, &[source], Shape::default()).await);
    let (server, role) = (other_server().await, format!("creator_{:08x}", random()));
    let create = format!("CREATE ROLE {role} LOGIN CREATEDB PASSWORD 'only here'");
    connect(&server).await.execute(AssertSqlSafe(create)).await.unwrap();
    let limited = SourceSettings { user: role.clone(), password: Some("only here".to_owned().into()), ..server.clone() };
    let name = format!("limited_{:08x}", random());
    let fault = restore_with(&reader, &options(&limited, &name)).await.unwrap_err();
    assert!(matches!(&fault, RestoreError::Server { reason, .. } if reason.contains("log_min_duration_statement")), "{fault}");

    let report = restore_with(&reader, &RestoreOptions { keep_going: true, ..options(&limited, &name) }).await.unwrap();
    let listed: Vec<_> = report.refused.iter().map(|refused| refused.object.as_str()).collect();
    assert!(listed.len() == 1 && listed[0].contains("log_min_duration_statement"), "{:?}", report.refused);
    assert_eq!(report.rows, 2);
}
