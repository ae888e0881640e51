//! Every kind of object, unusual names, every family of types. Our restore must equal stock pg_restore of stock pg_dump's
//! archive: in schema, rows, sequences, owners, privileges and settings.

use std::{io::Write, os::unix::fs::PermissionsExt, process::Stdio};

use age::secrecy::ExposeSecret;
use backup::{
    config::{ObjectStoreSettings, SourceSettings},
    export,
    failure::Exit,
    manifest::sign::Signing,
    restore::{self, RestoreOptions, Selection},
    store::Replace,
};
use local_parts::find_program;
use sqlx::{AssertSqlSafe, Executor, PgConnection};
use tokio_util::sync::CancellationToken;

use crate::{
    agent::{agent_in, take},
    restore::{options, reader},
    support::{connect, database, keys, other_server, random, signing, store, store_settings},
    twin::{self, Shape, tool},
};

const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/completeness.sql");
const ROLES: &[&str] = &["complete_owner", "complete_reader", "\"Odd \"\"Role\"\"\""];
/// Lines that differ in every dump.
pub const RANDOM_LINES: &[&str] = &["\\restrict ", "\\unrestrict ", "-- Dumped ", "-- Started", "-- Completed"];

async fn make_roles(server: &SourceSettings) {
    let mut session = connect(server).await;
    for role in ROLES {
        // A concurrent test may have created it.
        let _ = session.execute(AssertSqlSafe(format!("CREATE ROLE {role}"))).await;
    }
}

/// A database with every kind of object, and its own settings.
async fn complete() -> SourceSettings {
    let (source, mut session) = database().await;
    make_roles(&source).await;
    // Statement by statement, like a user.
    tool("psql", &source, &["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--file", SCHEMA]);
    let name = &source.database;
    let settings = format!(
        "ALTER DATABASE {name} SET work_mem TO '7MB'; ALTER ROLE complete_reader IN DATABASE {name} SET search_path TO '\"select\"', 'x y'; \
         ALTER DATABASE {name} CONNECTION LIMIT 50; COMMENT ON DATABASE {name} IS 'all of it'; \
         REVOKE ALL ON DATABASE {name} FROM PUBLIC; GRANT CREATE ON DATABASE {name} TO complete_owner; ALTER DATABASE {name} OWNER TO complete_owner"
    );
    for statement in settings.split("; ") {
        session.execute(AssertSqlSafe(statement.to_owned())).await.unwrap();
    }
    source
}

/// Restores the archive of stock pg_dump with stock pg_restore, into a database of that name.
pub async fn control(source: &SourceSettings, server: &SourceSettings, name: &str) -> SourceSettings {
    let archive = tool("pg_dump", source, &["--format=custom"]);
    connect(server).await.execute(AssertSqlSafe(format!("CREATE DATABASE {name} TEMPLATE template0"))).await.unwrap();
    let target = server.with_database(name);
    pipe_into_pg_restore(&target, &archive);
    target
}

pub fn pipe_into_pg_restore(target: &SourceSettings, archive: &[u8]) {
    let mut process = std::process::Command::new(find_program("pg_restore").unwrap())
        .args(["--exit-on-error", "--dbname", &target.database])
        .envs(target.environment())
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    process.stdin.take().unwrap().write_all(archive).unwrap();
    let output = process.wait_with_output().unwrap();
    assert!(output.status.success(), "pg_restore: {}", String::from_utf8_lossy(&output.stderr));
}

/// pg_dump's output, without lines that differ between two runs.
pub fn schema(database: &SourceSettings) -> Vec<String> {
    let dump = tool("pg_dump", database, &["--schema-only"]);
    let text = String::from_utf8(dump).unwrap();
    text.lines().filter(|line| !RANDOM_LINES.iter().any(|random| line.starts_with(random))).map(str::to_owned).collect()
}

/// Every row of every table, view and sequence, by relation.
async fn rows(session: &mut PgConnection) -> Vec<(String, Vec<String>)> {
    session.execute("SET extra_float_digits = 3; SET search_path = ''").await.unwrap();
    let relations: Vec<(String, bool)> = sqlx::query_as(
        "SELECT format('%I.%I', nspname, relname), relkind = 'S' FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace \
         WHERE relkind IN ('r', 'S', 'm', 'v') AND (relkind <> 'm' OR relispopulated) AND nspname !~ '^pg_' AND relname NOT LIKE 'one\\_%' AND nspname <> 'information_schema' ORDER BY 1",
    )
    .fetch_all(&mut *session)
    .await
    .unwrap();
    let mut all = Vec::new();
    for (relation, sequence) in relations {
        let what = if sequence { "last_value || ' ' || is_called" } else { "t::text" };
        let query = format!("SELECT {what} FROM {relation} AS t ORDER BY 1");
        all.push((relation, sqlx::query_scalar(AssertSqlSafe(query)).fetch_all(&mut *session).await.unwrap()));
    }
    let objects = "SELECT oid::text || lomowner::regrole || lo_get(oid)::text || coalesce(lomacl::text, '') FROM pg_largeobject_metadata ORDER BY 1";
    all.push(("large objects".into(), sqlx::query_scalar(objects).fetch_all(session).await.unwrap()));
    all
}

/// Compares schema and rows, and requires at least this many relations.
async fn assert_equal_in(relations: usize, found: &SourceSettings, expected: &SourceSettings) {
    let (found_schema, expected_schema) = (schema(found), schema(expected));
    for (number, (found, expected)) in found_schema.iter().zip(&expected_schema).enumerate() {
        assert_eq!(found, expected, "line {number} of the schema");
    }
    assert_eq!(found_schema.len(), expected_schema.len());
    let (found, expected) = (rows(&mut connect(found).await).await, rows(&mut connect(expected).await).await);
    assert!(expected.len() >= relations, "{} relations", expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.len(), expected.len());
}

type Facts = (String, i32, i32, String, String, Option<String>, Option<String>, Option<Vec<String>>);

/// Properties of the database as a whole.
async fn of_database(place: &SourceSettings) -> Facts {
    let query = "SELECT datdba::regrole::text, datconnlimit, encoding, datcollate::text, datctype::text, \
                 replace(datacl::text, datname, ''), shobj_description(oid, 'pg_database'), \
                 (SELECT array_agg(setrole::regrole::text || setconfig::text ORDER BY setrole::regrole::text) FROM pg_db_role_setting WHERE setdatabase = pg_database.oid) \
                 FROM pg_database WHERE datname = current_database()";
    sqlx::query_as(query).fetch_one(&mut connect(place).await).await.unwrap()
}

async fn assert_equal(found: &SourceSettings, expected: &SourceSettings) {
    assert_equal_in(25, found, expected).await;
}

pub fn full(server: &SourceSettings, name: &str) -> RestoreOptions {
    RestoreOptions { owners: true, privileges: true, ..options(server, name) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_equals_that_of_stock_pg_restore() {
    let source = complete().await;
    let server = other_server().await;
    make_roles(&server).await;
    let store = store().await;
    let manifest = twin::write(&store, std::slice::from_ref(&source), Shape::default()).await;
    let reader = reader(&store, &manifest);
    let name = format!("complete_{:08x}", random());
    let expected = control(&source, &server, &format!("{name}_control")).await;

    let opened = restore::open_database(&reader, None).await.unwrap();
    restore::restore_database(&reader, &opened, &full(&server, &name), &CancellationToken::new()).await.unwrap();
    let restored = server.with_database(&name);
    assert_equal(&restored, &expected).await;

    assert_eq!(of_database(&restored).await, of_database(&source).await);

    // The same through an archive and a pipe.
    let mut archive = Vec::new();
    let everything = Selection::default().choose(&opened.toc).unwrap();
    export::export_backup(&reader, &opened, &everything, &mut archive).await.unwrap();
    let piped = server.with_database(&format!("{name}_piped"));
    connect(&server)
        .await
        .execute(AssertSqlSafe(format!("CREATE DATABASE {} TEMPLATE template0", piped.database)))
        .await
        .unwrap();
    pipe_into_pg_restore(&piped, &archive);
    assert_equal(&piped, &expected).await;
}

/// A backup of the agent, restored by the agent, and by the script that works without the agent.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_restored_with_and_without_the_agent() {
    let source = complete().await;
    let server = other_server().await;
    make_roles(&server).await;
    let store = store_settings().await;
    // Objects of one part, so that pieces span two objects.
    let agent = agent_in(&source, &store, &[("BACKUP_STORE_PART_MIB", "5"), ("BACKUP_STORE_PARTS_PER_OBJECT", "1")]);
    let manifest = take(&agent).await.unwrap();
    let name = format!("agent_{:08x}", random());
    let expected = control(&source, &server, &format!("{name}_control")).await;

    let reader = reader(&agent.store, &manifest);
    let opened = restore::open_database(&reader, None).await.unwrap();
    restore::restore_database(&reader, &opened, &full(&server, &name), &CancellationToken::new()).await.unwrap();
    assert_equal(&server.with_database(&name), &expected).await;

    let by_hand = |arguments: &[&str], changes: &[(&str, &str)]| by_hand(&store, &server, arguments, changes);
    // A name that needs quotes, and one that also occurs in a text.
    let (id, stock) = (manifest.id.to_string(), format!("{name} \"stock\""));
    let (done, text) = by_hand(&[&id, &source.database, &stock], &[]);
    assert!(done, "{text}");
    assert_equal(&server.with_database(&stock), &expected).await;
    assert_eq!(of_database(&server.with_database(&stock)).await, of_database(&source).await);
    let (done, text) = by_hand(&[&id, "globals"], &[]);
    assert!(done && text.contains("CREATE ROLE complete_owner"), "{text}");
    let other = Signing::parse("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").unwrap().public_key();
    let (done, text) = by_hand(&[&id, "globals"], &[("TRUSTED_KEY", &other)]);
    assert!(!done && text.contains("is not signed by TRUSTED_KEY"), "{text}");
}

/// Runs the script that works without the agent, on `server`.
pub fn by_hand(
    store: &ObjectStoreSettings,
    server: &SourceSettings,
    arguments: &[&str],
    changes: &[(&str, &str)],
) -> (bool, String) {
    let mut script = std::process::Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/restore-with-stock-tools"));
    script.args(arguments).envs(server.environment()).env("PATH", stock_path());
    script.env("S3_ENDPOINT", store.endpoint.as_deref().unwrap()).env("S3_BUCKET", &store.bucket);
    script.env("S3_PREFIX", format!("{}/default", store.prefix)).env("S3_REGION", &store.region);
    script.env("S3_ACCESS_KEY", keys(store).0).env("S3_SECRET_KEY", keys(store).1);
    script.env("TRUSTED_KEY", signing().public_key()).envs(changes.iter().copied());
    let output = script.output().unwrap();
    (output.status.success(), format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
}

fn stock_path() -> String {
    format!("{}:/usr/bin:/bin", find_program("pg_restore").unwrap().parent().unwrap().display())
}

/// The status of the script must report every failure: of an object, and of a tool anywhere in a pipe.
#[tokio::test(flavor = "multi_thread")]
async fn the_script_reports_every_failure() {
    let (source, mut session) = database().await;
    let things = "CREATE TABLE t (id serial, a text); INSERT INTO t (a) SELECT md5(n::text) FROM generate_series(1, 1000) n; SELECT lo_from_bytea(90003, '\\x00ff')";
    session.execute(things).await.unwrap();
    let (server, settings, folder) = (other_server().await, store_settings().await, tempfile::tempdir().unwrap());
    let (identity, key) = (age::x25519::Identity::generate(), folder.path().join("identity"));
    std::fs::write(&key, identity.to_string().expose_secret()).unwrap();
    let key = key.display().to_string();
    let decrypts = find_program("age").is_ok();
    if !decrypts {
        println!("skipped encryption: age is not installed; testing the script on an unencrypted backup");
    }
    let recipient = if decrypts { identity.to_public().to_string() } else { String::new() };
    let agent = agent_in(&source, &settings, &[("BACKUP_RECIPIENTS", &recipient), ("BACKUP_ATTEMPTS", "20")]);
    let manifest = take(&agent).await.unwrap();
    let id = manifest.id.to_string();
    let call = |arguments: &[&str], path: &str| by_hand(&settings, &server, arguments, &[("AGE_IDENTITY", &key), ("PATH", path)]);
    // A new database each time, since a failed script leaves its database behind and reports it.
    let restored = |path: &str| {
        let name = format!("script_{:08x}", random());
        let (done, text) = call(&[&id, &source.database, &name], path);
        (done, text, name)
    };
    let (done, text, _) = restored(&stock_path());
    assert!(done, "{text}");

    let (database, globals) = (&manifest.databases[0], &manifest.globals.as_ref().unwrap().script.key);
    let rows = &manifest.lanes.values().next().unwrap()[0].key;
    for key in [rows, &database.toc.key, &database.contents.key, globals] {
        let bytes = agent.store.get(key, 1 << 24).await.unwrap();
        agent.store.put(key, bytes.slice(..bytes.len() - 10), Replace::Yes).await.unwrap();
        let (done, text) = match key == globals {
            true => call(&[&id, "globals"], &stock_path()),
            false => {
                let (done, text, name) = restored(&stock_path());
                assert!(key != rows || text.contains(&format!("the database {name} is incomplete")), "{text}");
                (done, text)
            }
        };
        assert!(!done && text.contains("it failed"), "{key} is truncated: {text}");
        agent.store.put(key, bytes, Replace::Yes).await.unwrap();
    }

    // Tools that do their work and then fail: always, after a number of calls, or with certain arguments.
    let when = |called: &str| format!("case \"$*\" in {called}) true;; *) false;; esac");
    let after = |calls: usize| format!("[ $(wc -l <CALLS) -gt {calls} ]");
    for (tool, fails) in [
        ("age", "true".to_owned()),
        // After the calls for the manifest and the two blobs: that of a piece.
        ("zstd", after(2)),
        ("curl", after(3)),
        ("jq", when("*.tables*")),
        ("psql", when("*COPY*")),
        ("psql", format!("! {{ {}; }}", when("*--command*"))),
        ("perl", after(1)),
        ("pg_restore", when("*--list*")),
        ("pg_restore", when("*--file*")),
    ] {
        if tool == "age" && !decrypts {
            continue;
        }
        let shims = tempfile::tempdir().unwrap();
        let (path, calls) = (shims.path().join(tool), shims.path().join("calls"));
        let (real, fails) = (find_program(tool).unwrap(), fails.replace("CALLS", &calls.display().to_string()));
        let shim =
            format!("#!/bin/sh\necho >>{}\n{} \"$@\" || exit\nif {fails}; then exit 9; fi\n", calls.display(), real.display());
        std::fs::write(&path, shim).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let (done, text, _) = restored(&format!("{}:{}", shims.path().display(), stock_path()));
        assert!(!done && text.contains("it failed"), "{tool} failed ({fails}): {text}");
    }
}

/// Not a superuser: it reads everything with `pg_read_all_data`, and sees every row with BYPASSRLS. Without the latter a policy
/// would hide rows, so the backup fails.
#[tokio::test(flavor = "multi_thread")]
async fn a_role_with_few_privileges_backs_up_everything() {
    let source = complete().await;
    let server = other_server().await;
    make_roles(&server).await;
    let role = format!("backup_{:08x}", random());
    let mut session = connect(&source).await;
    let make = format!(
        "CREATE ROLE {role} LOGIN PASSWORD 'only here'; GRANT pg_read_all_data TO {role}; \
         DO $$ DECLARE o oid; BEGIN FOR o IN SELECT oid FROM pg_largeobject_metadata LOOP \
         EXECUTE format('GRANT SELECT ON LARGE OBJECT %s TO {role}', o); END LOOP; END $$; \
         GRANT CONNECT ON DATABASE {} TO {role}",
        source.database
    );
    session.execute(AssertSqlSafe(make)).await.unwrap();
    let limited = SourceSettings { user: role.clone(), password: Some("only here".to_owned().into()), ..source.clone() };
    let store = store_settings().await;
    let agent = agent_in(&limited, &store, &[]);
    let told = take(&agent).await.unwrap_err();
    assert!(told.exit == Exit::Forbidden && told.to_string().contains("BYPASSRLS"), "{told}");

    session.execute(AssertSqlSafe(format!("ALTER ROLE {role} BYPASSRLS"))).await.unwrap();
    let manifest = take(&agent).await.unwrap();
    connect(&server).await.execute(AssertSqlSafe(format!("CREATE ROLE {role}"))).await.unwrap();
    let name = format!("limited_{:08x}", random());
    let expected = control(&limited, &server, &format!("{name}_control")).await;
    let reader = reader(&agent.store, &manifest);
    let opened = restore::open_database(&reader, None).await.unwrap();
    restore::restore_database(&reader, &opened, &full(&server, &name), &CancellationToken::new()).await.unwrap();
    assert_equal(&server.with_database(&name), &expected).await;
    let guarded: i64 = sqlx::query_scalar("SELECT count(*) FROM guarded")
        .fetch_one(&mut connect(&server.with_database(&name)).await)
        .await
        .unwrap();
    let all: i64 = sqlx::query_scalar("SELECT count(*) FROM guarded").fetch_one(&mut session).await.unwrap();
    assert_eq!(guarded, all);
}

/// Two databases of one server in one backup: one with every kind of object, and one with pgbench's tables after transactions,
/// large enough for several ranges.
#[tokio::test(flavor = "multi_thread")]
async fn several_databases_are_restored_with_pgbench_data() {
    let (complete, (bench, _session)) = (complete().await, database().await);
    tool("pgbench", &bench, &["--initialize", "--scale=8", "--foreign-keys", "--quiet"]);
    tool("pgbench", &bench, &["--client=2", "--transactions=200"]);
    let server = other_server().await;
    make_roles(&server).await;
    let databases = format!("{},{}", complete.database, bench.database);
    let agent = agent_in(&complete, &store_settings().await, &[("BACKUP_DATABASES", &databases)]);
    let manifest = take(&agent).await.unwrap();
    let reader = reader(&agent.store, &manifest);
    for (source, relations) in [(&complete, 25), (&bench, 4)] {
        let name = format!("several_{:08x}", random());
        let expected = control(source, &server, &format!("{name}_control")).await;
        let opened = restore::open_database(&reader, Some(&source.database)).await.unwrap();
        restore::restore_database(&reader, &opened, &full(&server, &name), &CancellationToken::new()).await.unwrap();
        let restored = server.with_database(&name);
        assert_equal_in(relations, &restored, &expected).await;
    }
    let counted = "SELECT (SELECT count(*) FROM pgbench_accounts), (SELECT count(*) FROM pgbench_history), \
                   (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(bbalance) FROM pgbench_branches)";
    let counted: (i64, i64, bool) = sqlx::query_as(counted).fetch_one(&mut connect(&bench).await).await.unwrap();
    assert_eq!(counted, (800_000, 400, true));
}
