//! Restores to a real server: complete, partial, and invalid ones.

use backup::{
    config::SourceSettings,
    manifest::Manifest,
    reading::{BackupReader, Identities},
    restore::{self, RestoreError, RestoreOptions, RestoreReport, Selection},
    store::{Replace, Store},
};
use local_parts::find_program;
use sqlx::{Executor, PgConnection};
use tokio_util::sync::CancellationToken;

use crate::{
    agent::{agent_in, take},
    completeness::by_hand,
    interrupted::url,
    program::{ended, program},
    support::{connect, database, other_server, random, store, store_settings},
    twin::{self, Shape},
};

const SHOP: &str = "
    CREATE TABLE accounts (id int PRIMARY KEY, name text NOT NULL);
    INSERT INTO accounts SELECT n, 'account ' || n FROM generate_series(1, 500) AS n;
    CREATE TABLE orders (id bigserial PRIMARY KEY, account int REFERENCES accounts, note text DEFAULT E'tab\\there');
    INSERT INTO orders (account, note) SELECT 1 + n % 500, E'line\\nbreak \\\\ ' || n FROM generate_series(1, 2000) AS n;
    CREATE INDEX orders_account ON orders (account);
    CREATE VIEW busy AS SELECT account, count(*) FROM orders GROUP BY account;
    SELECT lo_from_bytea(70001, decode(repeat('00ff', 5000), 'hex')), lo_create(70002);
";

pub fn options(server: &SourceSettings, target: &str) -> RestoreOptions {
    RestoreOptions {
        server: server.clone(),
        target: Some(target.to_owned()),
        replace: false,
        selection: Selection::default(),
        owners: false,
        privileges: false,
        tablespaces: true,
        analyze: true,
        jobs: 2,
        client_folder: find_program("pg_restore").unwrap().parent().map(Into::into),
        keep_going: false,
        in_order: false,
        maintenance_memory: None,
    }
}

pub async fn restore_with(reader: &BackupReader, options: &RestoreOptions) -> Result<RestoreReport, RestoreError> {
    let opened = restore::open_database(reader, None).await?;
    restore::restore_database(reader, &opened, options, &CancellationToken::new()).await
}

pub fn reader(store: &Store, manifest: &Manifest) -> BackupReader {
    BackupReader::new(store.clone(), Identities::default(), manifest.clone()).unwrap()
}

/// A database restored on another server, and its report.
async fn shop(shape: Shape, change: impl FnOnce(&mut RestoreOptions)) -> (SourceSettings, RestoreReport) {
    let (source, mut session) = database().await;
    session.execute(SHOP).await.unwrap();
    let store = store().await;
    let manifest = twin::write(&store, &[source], shape).await;
    let (server, name) = (other_server().await, format!("shop_{:08x}", random()));
    let mut options = options(&server, &name);
    change(&mut options);
    let report = restore_with(&reader(&store, &manifest), &options).await.unwrap();
    (server.with_database(&name), report)
}

async fn one<Value>(session: &mut PgConnection, query: &'static str) -> Value
where
    Value: for<'row> sqlx::Decode<'row, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
{
    sqlx::query_scalar(query).fetch_one(session).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_is_restored_with_all_kinds_of_objects() {
    let (place, report) = shop(Shape::default(), |_| {}).await;
    assert_eq!((report.tables, report.rows), (2, 2500));
    let mut session = connect(&place).await;
    assert_eq!(one::<i64>(&mut session, "SELECT count(*) FROM orders WHERE note = E'line\\nbreak \\\\ ' || id").await, 2000);
    assert_eq!(one::<i64>(&mut session, "INSERT INTO orders (account) VALUES (1) RETURNING id").await, 2001);
    assert_eq!(one::<i64>(&mut session, "SELECT count(*) FROM pg_indexes WHERE schemaname = 'public'").await, 3);
    assert_eq!(one::<Vec<u8>>(&mut session, "SELECT lo_get(70001)").await, [0, 255].repeat(5000));
    assert_eq!(one::<Vec<u8>>(&mut session, "SELECT lo_get(70002)").await, b"");
    assert_eq!(one::<f32>(&mut session, "SELECT reltuples FROM pg_class WHERE relname = 'accounts'").await, 500.0);
    let refused = session.execute("INSERT INTO orders (account) VALUES (1000)").await.unwrap_err().to_string();
    assert!(refused.contains("orders_account_fkey"), "{refused}");
}

/// All sessions fill a table that dominates. Rows written by one session are frozen. An index on an expression has statistics
/// only if the table is analysed after the index is built.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_table_is_filled_by_all_sessions_then_analysed() {
    let (source, mut session) = database().await;
    let large = "CREATE TABLE large (id int PRIMARY KEY, note text);
        INSERT INTO large SELECT n, repeat(md5(n::text), 4) FROM generate_series(1, 50000) AS n;
        CREATE INDEX large_note ON large (upper(note));
        CREATE TABLE small (id int PRIMARY KEY); INSERT INTO small VALUES (1)";
    session.execute(large).await.unwrap();
    let store = store().await;
    let shape = Shape { piece_bytes: 500_000, object_bytes: 1 << 20, ..Shape::default() };
    let reader = reader(&store, &twin::write(&store, &[source], shape).await);
    let server = other_server().await;
    for (jobs, analyze) in [(1, true), (3, true), (3, false)] {
        let name = format!("large_{:08x}", random());
        let report = restore_with(&reader, &RestoreOptions { jobs, analyze, ..options(&server, &name) }).await.unwrap();
        assert!(report.raw_bytes > 4 << 20, "{}", report.raw_bytes);
        assert_eq!((report.tables, report.rows), (2, 50_001));
        let mut session = connect(&server.with_database(&name)).await;
        let sum = "SELECT count(*) FROM large WHERE note = repeat(md5(id::text), 4) HAVING sum(id) = 50000::bigint * 50001 / 2";
        assert_eq!(one::<i64>(&mut session, sum).await, 50_000);
        for relation in ["large", "large_note", "small"] {
            let known = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_stats WHERE tablename = $1)").bind(relation);
            assert_eq!(known.fetch_one(&mut session).await.map(|known: bool| known).unwrap(), analyze, "{relation}");
        }
        if analyze {
            let frozen = one::<i32>(&mut session, "SELECT relallvisible FROM pg_class WHERE relname = 'large'").await > 0;
            assert_eq!(frozen, jobs == 1, "{jobs} jobs");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_table_is_restored_and_omissions_are_listed() {
    let selection = Selection { tables: vec!["public.orders".parse().unwrap()], ..Selection::default() };
    let (place, report) = shop(Shape::default(), |options| options.selection = selection).await;
    assert_eq!((report.tables, report.rows), (1, 2000));
    assert_eq!(report.omitted, ["FK CONSTRAINT public.orders orders_account_fkey", "VIEW public.busy"]);
    let part = report.part.as_ref().unwrap();
    assert_eq!((part.selected.as_slice(), part.brought.len()), (["TABLE public.orders".to_owned()].as_slice(), 0));
    assert_eq!(["TABLE", "TABLE DATA", "CONSTRAINT"].map(|kind| part.left[kind]), [1; 3], "{:?}", part.left);
    let said = report.to_string();
    for part in ["TABLE public.orders\n", "FK CONSTRAINT public.orders orders_account_fkey\n", "1 TABLE DATA"] {
        assert!(said.contains(part), "{said}");
    }
    let mut session = connect(&place).await;
    assert_eq!(one::<i64>(&mut session, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").await, 1);
    assert_eq!(one::<i64>(&mut session, "INSERT INTO orders (account) VALUES (9999) RETURNING id").await, 2001);
}

/// A partial restore includes needed objects of another schema, and reports tables that are empty.
#[tokio::test(flavor = "multi_thread")]
async fn a_schema_lists_objects_taken_from_other_schemas() {
    let (source, mut session) = database().await;
    let schemas = "CREATE SCHEMA ours; CREATE SCHEMA theirs; CREATE TYPE theirs.state AS ENUM ('new');
        CREATE FUNCTION theirs.next() RETURNS int LANGUAGE sql AS 'SELECT 7';
        CREATE TABLE theirs.people (id int PRIMARY KEY); INSERT INTO theirs.people VALUES (1);
        CREATE TABLE ours.orders (id int DEFAULT theirs.next(), state theirs.state, person int REFERENCES theirs.people);
        INSERT INTO ours.orders (state, person) VALUES ('new', 1);
        CREATE VIEW ours.known AS SELECT p.id FROM theirs.people p";
    session.execute(schemas).await.unwrap();
    let store = store().await;
    let manifest = twin::write(&store, &[source], Shape::default()).await;
    let (server, name) = (other_server().await, format!("part_{:08x}", random()));
    let selection = Selection { schemas: vec!["ours".into()], ..Selection::default() };
    let options = RestoreOptions { selection, ..options(&server, &name) };
    let report = restore_with(&reader(&store, &manifest), &options).await.unwrap();
    let part = report.part.unwrap();
    let sorted = |mut names: Vec<String>| {
        names.sort();
        names
    };
    assert_eq!(sorted(part.selected), ["TABLE ours.orders", "VIEW ours.known"]);
    assert_eq!(sorted(part.brought), ["FUNCTION theirs.next()", "TABLE theirs.people", "TYPE theirs.state"]);
    assert_eq!(report.omitted, ["FK CONSTRAINT ours.orders orders_person_fkey"]);
    let mut session = connect(&server.with_database(&name)).await;
    assert_eq!(one::<i64>(&mut session, "SELECT count(*) FROM ours.orders WHERE id = 7").await, 1);
    assert_eq!(one::<i64>(&mut session, "SELECT count(*) FROM theirs.people").await, 0);
}

/// Tables that refer to each other and to themselves: their foreign keys lock the same tables in either order.
#[tokio::test(flavor = "multi_thread")]
async fn mutual_foreign_keys_are_restored_by_many_sessions() {
    const PAIRS: i64 = 12;
    const RESTORES: usize = 6;
    let (source, mut session) = database().await;
    for pair in 0..PAIRS {
        let tables = format!(
            "CREATE TABLE a{pair} (id int PRIMARY KEY, other int, parent int REFERENCES a{pair}); \
             CREATE TABLE b{pair} (id int PRIMARY KEY REFERENCES a{pair}, other int REFERENCES a{pair}, parent int REFERENCES b{pair}); \
             INSERT INTO a{pair} SELECT n, n, 1 FROM generate_series(1, 2000) n; \
             INSERT INTO b{pair} SELECT n, n, 1 FROM generate_series(1, 2000) n; \
             ALTER TABLE a{pair} ADD FOREIGN KEY (other) REFERENCES b{pair}, ADD FOREIGN KEY (id) REFERENCES b{pair}"
        );
        session.execute(sqlx::AssertSqlSafe(tables)).await.unwrap();
    }
    let store = store().await;
    let manifest =
        twin::write(&store, &[source], Shape { piece_bytes: 1 << 20, object_bytes: 1 << 20, ..Shape::default() }).await;
    let (reader, server) = (reader(&store, &manifest), other_server().await);
    for _ in 0..RESTORES {
        let name = format!("rings_{:08x}", random());
        let report = restore_with(&reader, &RestoreOptions { jobs: 8, ..options(&server, &name) }).await.unwrap();
        assert_eq!(report.rows, 2 * 2000 * PAIRS as u64);
        let mut session = connect(&server.with_database(&name)).await;
        let keys = "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND convalidated";
        assert_eq!(one::<i64>(&mut session, keys).await, 6 * PAIRS);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_backup_needs_the_right_key() {
    let (source, mut session) = database().await;
    session.execute(SHOP).await.unwrap();
    let (mine, yours) = (age::x25519::Identity::generate(), age::x25519::Identity::generate());
    let store = store().await;
    let shape = Shape { recipients: vec![mine.to_public(), age::x25519::Identity::generate().to_public()], ..Shape::default() };
    let manifest = twin::write(&store, &[source], shape).await;
    let key = |identity: &age::x25519::Identity| {
        use age::secrecy::ExposeSecret;
        Identities::parse(Some(&format!("# a comment\n{}\n", identity.to_string().expose_secret()).into())).unwrap()
    };
    let told = BackupReader::new(store.clone(), Identities::default(), manifest.clone()).err().unwrap().to_string();
    assert!(told.contains("BACKUP_IDENTITIES"), "{told}");
    let server = other_server().await;
    let options = options(&server, &format!("sealed_{:08x}", random()));
    let with = |identities| BackupReader::new(store.clone(), identities, manifest.clone()).unwrap();
    let told = restore_with(&with(key(&yours)), &options).await.unwrap_err().to_string();
    assert!(told.contains("none of the configured private keys"), "{told}");
    assert_eq!(restore_with(&with(key(&mine)), &options).await.unwrap().rows, 2500);
}

/// After any change to an object, the restore fails, names the object, and leaves no database behind.
#[tokio::test(flavor = "multi_thread")]
async fn damaged_swapped_and_truncated_objects_are_rejected() {
    let (source, mut session) = database().await;
    session.execute(SHOP).await.unwrap();
    let store = store().await;
    let manifest = twin::write(&store, &[source], Shape::default()).await;
    let lane = &manifest.lanes[&0];
    assert!(lane.len() > 3, "{} objects", lane.len());
    let (first, second) = (lane[0].key.clone(), lane[1].key.clone());
    let good = [bytes(&store, &first).await, bytes(&store, &second).await];
    let mut flipped = good[1].clone();
    flipped[1000] ^= 1;
    let server = other_server().await;
    let toc = manifest.databases[0].toc.key.clone();
    let toc_bytes = bytes(&store, &toc).await;
    let cases = [
        ("one bit", second.clone(), Some(flipped)),
        ("another object", second.clone(), Some(good[0].clone())),
        ("cut", second.clone(), Some(good[1][..100].to_vec())),
        ("gone", second.clone(), None),
        ("another table of contents", toc.clone(), Some(good[0].clone())),
    ];
    for (what, key, bytes) in cases {
        match bytes {
            Some(bytes) => store.put(&key, bytes.into(), Replace::Yes).await.unwrap(),
            None => drop(store.delete(&[(key.clone(), None)]).await.unwrap()),
        }
        let name = format!("broken_{:08x}", random());
        let told = restore_with(&reader(&store, &manifest), &options(&server, &name)).await.unwrap_err().to_string();
        assert!(told.contains(&key) || told.contains("lane-0000"), "{what}: {told}");
        let mut session = connect(&server).await;
        let left = sqlx::query_scalar("SELECT count(*) FROM pg_database WHERE datname LIKE $1").bind(format!("{name}%"));
        assert_eq!(left.fetch_one(&mut session).await.map(|count: i64| count).unwrap(), 0, "{what}");
        store.put(&second, good[1].clone().into(), Replace::Yes).await.unwrap();
        store.put(&toc, toc_bytes.clone().into(), Replace::Yes).await.unwrap();
    }
}

async fn bytes(store: &Store, key: &str) -> Vec<u8> {
    store.get(key, 1 << 24).await.unwrap().to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_problem_is_reported_before_any_change() {
    let (source, mut session) = database().await;
    let role = format!("owner_{:08x}", random());
    let setup =
        format!("CREATE ROLE {role}; CREATE TABLE t (a int); ALTER TABLE t OWNER TO {role}; GRANT SELECT ON t TO pg_monitor");
    session.execute(sqlx::AssertSqlSafe(setup)).await.unwrap();
    let store = store().await;
    let manifest = twin::write(&store, &[source], Shape::default()).await;
    let server = other_server().await;
    let taken = format!("taken_{:08x}", random());
    connect(&server).await.execute(sqlx::AssertSqlSafe(format!("CREATE DATABASE {taken}"))).await.unwrap();
    let options = RestoreOptions { owners: true, privileges: true, ..options(&server, &taken) };
    let told = restore_with(&reader(&store, &manifest), &options).await.unwrap_err().to_string();
    for part in [&format!("already has a database \"{taken}\""), &format!("no role {role}")] {
        assert!(told.contains(part), "{told}");
    }
    assert!(!told.contains("pg_monitor"), "{told}");
    let mut session = connect(&server).await;
    let there = sqlx::query_scalar("SELECT count(*) FROM pg_database WHERE datname LIKE $1").bind(format!("{taken}%"));
    assert_eq!(there.fetch_one(&mut session).await.map(|count: i64| count).unwrap(), 1);

    // The server would truncate the name at the last step.
    let long = RestoreOptions { target: Some("ü".repeat(32)), owners: false, privileges: false, ..options.clone() };
    let told = restore_with(&reader(&store, &manifest), &long).await.unwrap_err();
    assert!(matches!(told, RestoreError::Preflight(_)) && told.to_string().contains("has 64 bytes"), "{told}");

    // A locale that exists only on the old machine.
    let (reader, name) = (reader(&store, &manifest), format!("abroad_{:08x}", random()));
    let mut opened = restore::open_database(&reader, None).await.unwrap();
    let entry = opened.toc.entries.iter_mut().find(|entry| entry.kind == "DATABASE").unwrap();
    let abroad = "CREATE DATABASE a WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE_PROVIDER = libc LOCALE = 'xx_YY.UTF-8';";
    entry.definition = abroad.into();
    let options = RestoreOptions { owners: false, privileges: false, target: Some(name), ..options };
    let told = restore::restore_database(&reader, &opened, &options, &CancellationToken::new()).await.unwrap_err();
    assert!(matches!(told, RestoreError::Preflight(_)) && told.to_string().contains("no locale \"xx_YY.UTF-8\""), "{told}");
}

/// One row per reason why a restore cannot start: settings, command line, exit status, message.
#[tokio::test(flavor = "multi_thread")]
async fn every_restore_that_cannot_start_has_an_exit_status() {
    let (source, mut session) = database().await;
    session.execute("CREATE TABLE t (a int)").await.unwrap();
    let (store, server, none) = (store_settings().await, other_server().await, tempfile::tempdir().unwrap());
    assert_eq!(ended(program(&source, &store, &[], &["run"]), &store).0, 0);
    let role = format!("clerk_{:08x}", random());
    let make = format!("CREATE ROLE {role} LOGIN PASSWORD 'right'");
    connect(&server).await.execute(sqlx::AssertSqlSafe(make)).await.unwrap();
    let at = |who: &str| format!("postgres://{who}@{}:{}/postgres?sslmode=disable", server.host, server.port);
    let (wrong, little, good) = (at(&format!("{role}:hunter2")), at(&format!("{role}:right")), url(&server));
    let nowhere = none.path().display().to_string();
    type Row<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str], i32, &'a str);
    let rows: [Row<'_>; 6] = [
        (&[], &["restore", "--nonsense"], 64, "--nonsense"),
        (&[], &["nonsense"], 64, "nonsense"),
        (&[("BACKUP_TARGET_URL", &wrong)], &["restore", "--to", "x"], 77, "password authentication failed"),
        (&[("BACKUP_TARGET_URL", &little)], &["restore", "--to", "x"], 77, "grant it CREATEDB"),
        (
            &[("BACKUP_TARGET_URL", &good), ("BACKUP_CLIENT_FOLDER", &nowhere)],
            &["restore", "--to", "x"],
            78,
            "BACKUP_CLIENT_FOLDER",
        ),
        (&[("BACKUP_TARGET_URL", &good)], &["restore", "--to", "x", "--table", "public.none"], 64, "pg_restore --list"),
    ];
    for (changes, arguments, status, told) in rows {
        let (found, text) = ended(program(&source, &store, changes, arguments), &store);
        assert!(found == status && text.contains(told), "{arguments:?}: {found}: {text}");
    }
    let (status, text) = ended(program(&source, &store, &[], &["--help"]), &store);
    assert!(status == 0 && text.contains("Exit status"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_existing_database_of_the_same_name_is_renamed() {
    let (source, mut session) = database().await;
    session.execute("CREATE TABLE fresh (a int)").await.unwrap();
    let store = store().await;
    let manifest = twin::write(&store, &[source], Shape::default()).await;
    let (server, name) = (other_server().await, format!("again_{:08x}", random()));
    let mut options = options(&server, &name);
    restore_with(&reader(&store, &manifest), &options).await.unwrap();
    options.replace = true;
    restore_with(&reader(&store, &manifest), &options).await.unwrap();
    let mut session = connect(&server).await;
    let names: Vec<String> = sqlx::query_scalar("SELECT datname::text FROM pg_database WHERE datname LIKE $1 ORDER BY 1")
        .bind(format!("{name}%"))
        .fetch_all(&mut session)
        .await
        .unwrap();
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(names[0] == name && names[1].starts_with(&format!("{name}_replaced_")), "{names:?}");
}

/// Statistics are not part of a backup. A table of which the server cannot collect them, such as one whose index has an expression
/// that fails, or a partition on another server, is complete without them.
#[tokio::test(flavor = "multi_thread")]
async fn tables_without_statistics_do_not_fail_a_restore() {
    let (source, mut session) = database().await;
    // The function fails in ANALYZE only.
    let script =
        "CREATE TABLE limits (a int); INSERT INTO limits VALUES (1); CREATE TABLE fine (a int); INSERT INTO fine VALUES (1), (2);
        CREATE FUNCTION picky(a int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
            IF current_query() LIKE 'ANALYZE%' THEN RAISE EXCEPTION 'not now'; END IF; RETURN a; END $$;
        CREATE INDEX ON limits (picky(a));
        CREATE TABLE parts (a int) PARTITION BY LIST (a); CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1);
        INSERT INTO parts VALUES (1)";
    session.execute(script).await.unwrap();
    let far = "CREATE EXTENSION IF NOT EXISTS postgres_fdw; CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '/nowhere');
        CREATE USER MAPPING FOR PUBLIC SERVER far; CREATE FOREIGN TABLE parts_2 PARTITION OF parts FOR VALUES IN (2) SERVER far";
    let query = "SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'postgres_fdw')";
    if sqlx::query_scalar(query).fetch_one(&mut session).await.unwrap() {
        session.execute(far).await.unwrap();
    } else {
        println!(
            "skipped: a partition on another server: the server has no postgres_fdw; install: apt-get install postgresql-15"
        );
    }
    let store = store_settings().await;
    let agent = agent_in(&source, &store, &[]);
    let manifest = take(&agent).await.unwrap();
    let (server, name) = (other_server().await, format!("unanalyzed_{:08x}", random()));
    restore_with(&reader(&agent.store, &manifest), &options(&server, &name)).await.unwrap();
    let stock = format!("{name}_stock");
    let (done, text) = by_hand(&store, &server, &[&manifest.id.to_string(), &source.database, &stock], &[]);
    assert!(done && text.contains("have no statistics"), "{text}");
    for name in [name, stock] {
        let query = "SELECT count(*) FROM pg_stats WHERE tablename IN ('fine', 'parts_1', 'limits')";
        let mut session = connect(&server.with_database(&name)).await;
        let analyzed: i64 = sqlx::query_scalar(query).fetch_one(&mut session).await.unwrap();
        assert_eq!(analyzed, 2, "{name}: those of the other tables are there");
    }
}
