//! Settings of databases and roles that change how values are read, which role a session has, and what runs at its login.

use backup::{config::SourceSettings, restore, verify::DrillPlace};
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

/// Each changes a value's meaning, its form, or who reads it. `ROLE` may not write any table.
const HOSTILE: &[&str] = &[
    "array_nulls = off",
    "xmloption = document",
    "xmlbinary = hex",
    "bytea_output = escape",
    "IntervalStyle = sql_standard",
    "DateStyle = 'SQL, DMY'",
    "TimeZone = 'Asia/Kathmandu'",
    "extra_float_digits = -15",
    "standard_conforming_strings = off",
    "backslash_quote = off",
    "quote_all_identifiers = on",
    "search_path = nowhere",
    "row_security = off",
    "session_replication_role = replica",
    "check_function_bodies = on",
    "default_tablespace = nowhere",
    "temp_tablespaces = nowhere",
    "default_transaction_read_only = on",
    "default_transaction_isolation = serializable",
    "default_transaction_deferrable = on",
    "transform_null_equals = on",
    "client_encoding = latin1",
    "synchronous_commit = remote_apply",
    "statement_timeout = '1s'",
    "exit_on_error = on",
    "lc_messages = 'C'",
    "lc_numeric = 'C'",
];

const VALUES: &str = "CREATE TABLE \"values\" (id int PRIMARY KEY, texts text[], numbers int[], floats float8, small float4, span interval, at timestamptz, day date, bytes bytea, backslash text);
    INSERT INTO \"values\" VALUES
        (1, ARRAY['a', NULL, 'NULL', ''], '{1,NULL,2}', 0.1::float8 + 0.2::float8, 1e-5, '-1 year -2 mons +3 days -04:05:06.789', '2026-01-02 03:04:05.678901+00', '2026-02-03', '\\x00ff27', E'it''s \\\\ \\n'),
        (2, NULL, '{}', 'NaN', 'Infinity', '1 day -00:00:01', 'infinity', '0044-03-15 BC', '', '');
    CREATE VIEW texts AS SELECT '{a,NULL}'::text[] AS constant, '-1 day +02:00'::interval AS span FROM \"values\" WHERE backslash <> E'\\\\';
    CREATE FUNCTION body(t text DEFAULT E'\\\\') RETURNS text LANGUAGE sql AS 'SELECT t || ''\\''';
    CREATE INDEX ON \"values\" (upper(backslash)) WHERE texts IS DISTINCT FROM '{NULL}'";
/// Fragments, which are not documents.
const FRAGMENTS: &str = "CREATE TABLE fragments (x xml); INSERT INTO fragments VALUES (XMLPARSE(CONTENT 'a<b/>c'))";
const SUMS: &str =
    "SELECT md5(string_agg(t::text, ';' ORDER BY id)) || (SELECT constant::text || span FROM texts LIMIT 1) FROM \"values\" t";

#[tokio::test(flavor = "multi_thread")]
async fn settings_of_a_database_change_no_value() {
    let postgres = Postgres::start(PostgresOptions::throwaway()).await.unwrap();
    let place = source(&postgres.create_database("hostile").await.unwrap());
    let mut session = connect(&place).await;
    session.execute(VALUES).await.unwrap();
    let xml = session.execute(FRAGMENTS).await.is_ok();
    if !xml {
        println!("skipped values of xml: the server is built without libxml");
    }
    let sum =
        async |place: SourceSettings| sqlx::query_scalar::<_, String>(SUMS).fetch_one(&mut connect(&place).await).await.unwrap();
    let expected = sum(place.clone()).await;
    session.execute("CREATE ROLE powerless").await.unwrap();
    for setting in HOSTILE {
        // A tablespace that does not exist is a warning.
        session.execute(AssertSqlSafe(format!("ALTER DATABASE hostile SET {setting}"))).await.unwrap();
    }
    drop(session);
    let store = store_settings().await;
    let agent = agent_in(&place, &store, &[("BACKUP_ATTEMPTS", "1")]);
    let manifest = take(&agent).await.unwrap();
    let reader = reader(&agent.store, &manifest);
    let opened = restore::open_database(&reader, None).await.unwrap();
    restore::restore_database(&reader, &opened, &full(&place.with_database("postgres"), "again"), &CancellationToken::new())
        .await
        .unwrap();
    let (done, text) = by_hand(&store, &place.with_database("postgres"), &[&manifest.id.to_string(), "hostile", "stock"], &[]);
    assert!(done, "{text}");
    let verdict = drill(&reader, &drill_options(scratch(), &[])).await;
    assert!(verdict.passed, "{:?}", verdict.faults);
    let mut session = connect(&place.with_database("postgres")).await;
    for name in ["hostile", "again", "stock"] {
        let settings =
            "SELECT cardinality(setconfig) FROM pg_db_role_setting JOIN pg_database d ON d.oid = setdatabase WHERE datname = $1";
        let settings: i32 = sqlx::query_scalar(settings).bind(name).fetch_one(&mut session).await.unwrap();
        assert_eq!(settings as usize, HOSTILE.len(), "{name}");
        session.execute(AssertSqlSafe(format!("ALTER DATABASE {name} RESET ALL"))).await.unwrap();
        assert_eq!(sum(place.with_database(name)).await, expected, "{name}");
    }
}

/// A database gives its sessions another role, which may read but not write.
#[tokio::test(flavor = "multi_thread")]
async fn the_role_of_a_databases_sessions_does_not_stop_a_restore() {
    let postgres = Postgres::start(PostgresOptions::throwaway()).await.unwrap();
    let place = source(&postgres.create_database("assumed").await.unwrap());
    let mut session = connect(&place).await;
    session.execute(VALUES).await.unwrap();
    session
        .execute("CREATE ROLE looker; GRANT pg_read_all_data TO looker; ALTER DATABASE assumed SET role = 'looker'")
        .await
        .unwrap();
    drop(session);
    let store = store_settings().await;
    let agent = agent_in(&place, &store, &[("BACKUP_ATTEMPTS", "1")]);
    let manifest = take(&agent).await.unwrap();
    let reader = reader(&agent.store, &manifest);
    let opened = restore::open_database(&reader, None).await.unwrap();
    let server = place.with_database("postgres");
    restore::restore_database(&reader, &opened, &full(&server, "again"), &CancellationToken::new()).await.unwrap();
    for place in [scratch(), DrillPlace::Given(server.clone())] {
        let verdict = drill(&reader, &drill_options(place, &[])).await;
        assert!(verdict.passed && verdict.rows_compared == 2, "{verdict:?}");
    }
    let (done, text) = by_hand(&store, &server, &[&manifest.id.to_string(), "assumed", "stock"], &[]);
    assert!(done, "{text}");
}

/// Since PostgreSQL 17 a database can run a trigger at each login. One records logins, so each session of a drill would add a row;
/// another refuses the restored database.
#[tokio::test(flavor = "multi_thread")]
async fn triggers_of_a_login_do_not_run_in_a_restore() {
    const TRIGGERS: &str = "CREATE TABLE logins (at timestamptz DEFAULT now()); INSERT INTO logins DEFAULT VALUES;
        CREATE FUNCTION login() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
            IF current_database() <> 'guarded' THEN RAISE EXCEPTION 'only the original'; END IF;
            INSERT INTO public.logins DEFAULT VALUES; END $$;
        CREATE FUNCTION recorded() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.logins DEFAULT VALUES; END';
        CREATE EVENT TRIGGER recorded ON login EXECUTE FUNCTION recorded()";
    let postgres = Postgres::start(PostgresOptions::throwaway()).await.unwrap();
    let place = source(&postgres.create_database("guarded").await.unwrap());
    let mut session = connect(&place).await;
    let version: i32 =
        sqlx::query_scalar("SELECT current_setting('server_version_num')::int").fetch_one(&mut session).await.unwrap();
    if version < 170_000 {
        return println!("skipped triggers of a login: PostgreSQL has them since 17; run with POSTGRESQL_FOLDER");
    }
    session.execute(TRIGGERS).await.unwrap();
    let server = place.with_database("postgres");
    for refusing in [false, true] {
        if refusing {
            session.execute("CREATE EVENT TRIGGER guard ON login EXECUTE FUNCTION login()").await.unwrap();
        }
        let store = store_settings().await;
        let agent = agent_in(&place, &store, &[("BACKUP_ATTEMPTS", "1")]);
        let manifest = take(&agent).await.unwrap();
        let reader = reader(&agent.store, &manifest);
        let opened = restore::open_database(&reader, None).await.unwrap();
        let name = format!("again_{refusing}");
        restore::restore_database(&reader, &opened, &full(&server, &name), &CancellationToken::new()).await.unwrap();
        for place in [scratch(), DrillPlace::Given(server.clone())] {
            let verdict = drill(&reader, &drill_options(place, &[])).await;
            assert!(verdict.passed, "{refusing}: {:?}", verdict.faults);
        }
        let (done, text) = by_hand(&store, &server, &[&manifest.id.to_string(), "guarded", &format!("stock_{refusing}")], &[]);
        assert!(done, "{text}");
    }
}
