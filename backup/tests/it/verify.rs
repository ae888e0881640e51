//! Drills that pass, drills that must fail, and no remains.

use std::{path::PathBuf, process::Command};

use age::secrecy::ExposeSecret;
use backup::{
    manifest::{DatabaseContents, Manifest, Verification},
    reading::{BackupReader, Identities},
    run::Agent,
    store::{Replace, Store},
    verify::{self, AssertionFile, DrillPlace, ScratchSettings, VerifyOptions},
};
use local_parts::find_program;
use sqlx::{AssertSqlSafe, Executor};
use tokio_util::sync::CancellationToken;

use crate::{
    agent::{agent, settings, take},
    restore::reader,
    support::{SIGNING_SEED, connect, database, keys, other_server, random, store, store_settings},
    twin::{self, Shape, sha256},
};

const BANK: &str = r"
    CREATE TABLE balances (account int PRIMARY KEY, amount numeric NOT NULL);
    INSERT INTO balances SELECT n, n - 2000.5 FROM generate_series(1, 4000) n;
    CREATE TABLE notes (id int, note text);
    INSERT INTO notes SELECT n, E'tab\there \\ ' || repeat(md5(n::text), 8) FROM generate_series(1, 20000) n;
    CREATE TABLE nothing_yet (a int);
    CREATE TABLE generated (a int, b int GENERATED ALWAYS AS (a * 2) STORED, c text);
    INSERT INTO generated (a, c) SELECT n, n::text FROM generate_series(1, 100) n;
    SELECT lo_from_bytea(81001, '\x00ff'), lo_create(81002), lo_from_bytea(81004, decode(repeat('00', 65536), 'hex')),
        lo_from_bytea(81003, decode(repeat('00112233445566778899aabbccddeeff', 20000), 'hex'));
";

const ASSERTIONS: &str = "\
-- name: all sums to zero
-- needs: public.balances
SELECT sum(amount) AS sum FROM public.balances HAVING sum(amount) <> 0;
";

pub fn scratch() -> DrillPlace {
    DrillPlace::Scratch(ScratchSettings { server_folder: server_folder(), ..ScratchSettings::default() })
}

pub fn server_folder() -> Option<PathBuf> {
    find_program("initdb").unwrap().parent().map(Into::into)
}

pub fn options(place: DrillPlace, assertions: &[&str]) -> VerifyOptions {
    let folder = tempfile::tempdir().unwrap();
    let assertions = assertions.iter().map(|text| {
        let path = folder.path().join("assertions.sql");
        std::fs::write(&path, text).unwrap();
        AssertionFile::read(&path).unwrap()
    });
    VerifyOptions {
        place,
        assertions: assertions.collect(),
        jobs: 2,
        client_folder: find_program("pg_restore").unwrap().parent().map(Into::into),
    }
}

pub async fn drill(reader: &BackupReader, options: &VerifyOptions) -> Verification {
    verify::verify_backup(reader, options, &CancellationToken::new()).await.unwrap()
}

async fn bank() -> (Agent, Manifest) {
    let (source, mut session) = database().await;
    session.execute(BANK).await.unwrap();
    let agent = agent(&source, &[("BACKUP_RANGE_MIB", "1")]).await;
    let manifest = take(&agent).await.unwrap();
    (agent, manifest)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_backup_passes_on_scratch_and_given_servers() {
    let (agent, manifest) = bank().await;
    let reader = reader(&agent.store, &manifest);
    let server = other_server().await;
    for place in [scratch(), DrillPlace::Given(server.clone())] {
        let verdict = drill(&reader, &options(place, &[ASSERTIONS])).await;
        assert!(verdict.passed, "{:?}", verdict.faults);
        assert_eq!((verdict.id.clone(), verdict.tables_compared), (manifest.id.clone(), 4));
        assert_eq!(verdict.rows_compared, 24_100);
        assert!(verdict.restore_seconds > 0.0 && !verdict.server_version.is_empty());
        assert!(matches!(verdict.assertions.as_slice(), [one] if one.passed && one.name == "all sums to zero"));
    }
    let left = sqlx::query_scalar("SELECT count(*) FROM pg_database WHERE datname LIKE $1");
    let left = left.bind(format!("{}%", manifest.databases[0].name));
    assert_eq!(left.fetch_one(&mut connect(&server).await).await.map(|count: i64| count).unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_or_inapplicable_assertion_fails_the_drill() {
    let (agent, manifest) = bank().await;
    let reader = reader(&agent.store, &manifest);
    let server = other_server().await;
    let rows = [
        ("-- name: none owes\n-- needs: public.balances\nSELECT * FROM public.balances WHERE amount < 0", "\"amount\": -1999.5"),
        ("-- name: lost\n-- needs: public.ledger\nSELECT 1 FROM public.ledger", "no restored database has public.ledger"),
        ("-- name: wrong\nSELECT no_such_column FROM public.balances", "no_such_column"),
        ("-- name: writes\nDELETE FROM public.balances RETURNING 1", "syntax error"),
    ];
    for (assertion, told) in rows {
        let verdict = drill(&reader, &options(DrillPlace::Given(server.clone()), &[ASSERTIONS, assertion])).await;
        assert!(!verdict.passed && verdict.faults.len() == 1 && verdict.faults[0].contains(told), "{:?}", verdict.faults);
        assert!(verdict.assertions[0].passed);
    }
}

/// Makes contents incorrect.
type Lie = fn(&mut DatabaseContents);

/// A manifest with a valid signature whose counts differ from its rows, and objects that differ from the manifest.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_differs_from_its_manifest_fails() {
    let server = other_server().await;
    let place = || DrillPlace::Given(server.clone());
    let (source, mut session) = database().await;
    session.execute(BANK).await.unwrap();
    let store = store().await;
    let manifest =
        twin::write(&store, &[source], Shape { piece_bytes: 100_000, object_bytes: 500_000, ..Shape::default() }).await;
    let verdict = drill(&reader(&store, &manifest), &options(place(), &[])).await;
    assert!(verdict.passed, "the unchanged backup passes: {:?}", verdict.faults);
    let lies: [(&str, Lie); 4] = [
        ("has 4000 rows, but the backup has 4001", |contents| {
            contents.tables.iter_mut().find(|table| table.name == "balances").unwrap().rows += 1
        }),
        ("public.balances has different rows", |contents| {
            let table = contents.tables.iter_mut().find(|table| table.name == "balances").unwrap();
            table.checksum = contents_checksum();
        }),
        ("large objects differ", |contents| contents.large_objects.as_mut().unwrap().checksum = contents_checksum()),
        ("public.notes", |contents| drop(contents.tables.iter_mut().find(|table| table.name == "notes").unwrap().pieces.pop())),
    ];
    for (told, lie) in lies {
        let lying = lying(&store, &manifest, lie).await;
        let verdict = drill(&reader(&store, &lying), &options(place(), &[])).await;
        assert!(!verdict.passed && verdict.faults.iter().any(|fault| fault.contains(told)), "{told}: {:?}", verdict.faults);
    }
    let lane = &manifest.lanes[&0][0];
    let mut bytes = store.get(&lane.key, 1 << 24).await.unwrap().to_vec();
    bytes[1000] ^= 1;
    store.put(&lane.key, bytes.into(), Replace::Yes).await.unwrap();
    let verdict = drill(&reader(&store, &manifest), &options(place(), &[])).await;
    assert!(!verdict.passed && verdict.faults[0].contains(&lane.key), "{:?}", verdict.faults);
    drop(store.delete(&[(lane.key.clone(), None)]).await.unwrap());
    let verdict = drill(&reader(&store, &manifest), &options(place(), &[])).await;
    assert!(!verdict.passed && verdict.faults[0].contains(&lane.key), "{:?}", verdict.faults);
}

fn contents_checksum() -> String {
    "0".repeat(32)
}

/// The same backup with incorrect contents.
async fn lying(store: &Store, manifest: &Manifest, lie: Lie) -> Manifest {
    let blob = &manifest.databases[0].contents;
    let bytes = store.get(&blob.key, 1 << 24).await.unwrap();
    let mut contents = serde_json::from_slice(&zstd::decode_all(&bytes[..]).unwrap()).unwrap();
    lie(&mut contents);
    let raw = serde_json::to_vec(&contents).unwrap();
    let stored = zstd::encode_all(raw.as_slice(), 1).unwrap();
    let mut manifest = manifest.clone();
    let blob = &mut manifest.databases[0].contents;
    blob.key = format!("{}-{:08x}", blob.key, random());
    (blob.bytes, blob.sha256, blob.raw_bytes) = (stored.len() as u64, sha256(&stored), raw.len() as u64);
    store.put(&blob.key, stored.into(), Replace::No).await.unwrap();
    manifest
}

/// The server's database `postgres`, roles that own objects, and another database, all encrypted. A scratch server has none of
/// them.
#[tokio::test(flavor = "multi_thread")]
async fn several_encrypted_databases_with_roles_pass() {
    let (first, mut session) = database().await;
    session.execute(BANK).await.unwrap();
    let (second, mut session) = database().await;
    let role = format!("clerk_{:08x}", random());
    let make = format!(
        "CREATE ROLE {role}; CREATE TABLE desks (a int); ALTER TABLE desks OWNER TO {role}; INSERT INTO desks VALUES (1); \
         GRANT SELECT ON desks TO {role}"
    );
    session.execute(AssertSqlSafe(make)).await.unwrap();
    let identity = age::x25519::Identity::generate();
    let databases = format!("{},{},postgres", first.database, second.database);
    let recipient = identity.to_public().to_string();
    let agent = agent(&first, &[("BACKUP_DATABASES", &databases), ("BACKUP_RECIPIENTS", &recipient)]).await;
    let manifest = take(&agent).await.unwrap();
    let key = identity.to_string().expose_secret().to_owned();
    let identities = Identities::parse(Some(&key.into())).unwrap();
    let reader = BackupReader::new(agent.store.clone(), identities, manifest).unwrap();
    let verdict = drill(&reader, &options(scratch(), &[ASSERTIONS])).await;
    assert!(verdict.passed, "{:?}", verdict.faults);
    assert_eq!(verdict.rows_compared, 24_101);
    assert_eq!(verdict.assertions.len(), 1, "it applies to one of the databases");
}

/// `backup verify`, `backup restore` and `backup export`, as a user runs them.
#[tokio::test(flavor = "multi_thread")]
async fn the_program_verifies_records_restores_and_exports() {
    let (source, mut session) = database().await;
    session.execute(BANK).await.unwrap();
    let (store, folder) = (store_settings().await, tempfile::tempdir().unwrap());
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (assertions, broken) = (file("bank.sql", ASSERTIONS), file("broken.sql", "SELECT 1"));
    let textfile = folder.path().join("backup.prom");
    let target = other_server().await;
    let password = target.password.as_ref().map(|password| password.expose().to_owned()).unwrap_or_default();
    let target_url = format!("postgres://{}:{password}@{}:{}/postgres?sslmode=disable", target.user, target.host, target.port);
    let programs = server_folder().unwrap().display().to_string();
    let changes = [
        ("BACKUP_ASSERTIONS", assertions.as_str()),
        ("BACKUP_METRICS_TEXTFILE", textfile.to_str().unwrap()),
        ("BACKUP_SERVER_FOLDER", programs.as_str()),
        ("BACKUP_TARGET_URL", target_url.as_str()),
    ];
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_backup"));
        let output = command.env_clear().envs(settings(&source, &store, &changes)).args(arguments).output().unwrap();
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let secrets = [keys(&store).1, SIGNING_SEED, password.as_str()];
        assert!(secrets.iter().all(|secret| secret.is_empty() || !text.contains(secret)), "the output contains a secret: {text}");
        (output.status.code().unwrap_or(-1), text, output.stdout)
    };
    let (status, text, _) = run(&["verify"]);
    assert!(status == 66 && text.contains("backup run"), "{status}: {text}");
    assert_eq!(run(&["run"]).0, 0);
    let (status, text, _) = run(&["verify", "--assertions", &broken]);
    assert!(status == 64 && text.contains("broken.sql"), "{status}: {text}");
    let (status, text, _) = run(&["restore", "--verified", "--to", "x"]);
    assert!(status == 66 && text.contains("backup verify"), "{status}: {text}");
    let (status, text, _) = run(&["verify"]);
    assert!(status == 0 && text.contains("24100 rows of 4 tables compared, 1 of 1 assertions hold"), "{status}: {text}");
    let (_, text, _) = run(&["show"]);
    assert!(text.contains("passed"), "{text}");
    let metrics = std::fs::read_to_string(&textfile).unwrap();
    assert!(metrics.contains("backup_verifications_total{backup=\"default\",outcome=\"passed\"} 1"), "{metrics}");
    assert!(metrics.contains("backup_verified_point_timestamp_seconds{backup=\"default\"} 1"), "{metrics}");

    let name = format!("bank_{:08x}", random());
    let (status, text, _) = run(&["restore", "--verified", "--to", &name, "--no-owner", "--no-privileges"]);
    assert!(status == 0 && text.contains(&name), "{status}: {text}");
    let named = |line: &str| line.contains("\"restoring\"") && line.contains(&format!("\"{name}\""));
    assert!(text.lines().any(named), "the log names the database: {text}");
    let mut restored = connect(&target.with_database(&name)).await;
    let count = sqlx::query_scalar("SELECT count(*) FROM notes").fetch_one(&mut restored).await.map(|count: i64| count);
    assert_eq!(count.unwrap(), 20_000);
    let (status, text, _) = run(&["restore", "--to", &name, "--no-owner", "--no-privileges"]);
    assert!(status == 64 && text.contains("already"), "{status}: {text}");
    let (status, text, archive) = run(&["export", "--table", "public.balances"]);
    assert!(status == 0 && archive.starts_with(b"PGDMP"), "{status}");
    let told = ["contains a part of", "selected:\n    TABLE public.balances", "also left out", "TABLE DATA"];
    assert!(told.iter().all(|told| text.contains(told)), "{text}");
    let (_, text, _) = run(&["export", "--table", "public.balances", "--output", "json"]);
    assert!(text.contains("\"part\":{\"selected\":[\"TABLE public.balances\"]"), "{text}");
    let (_, text, _) = run(&["export"]);
    assert!(!text.contains("left out"), "a whole database leaves nothing out");

    // A restored backup that differs has its own exit status, and the failure is recorded.
    session.execute("UPDATE balances SET amount = amount + 1 WHERE account = 1").await.unwrap();
    assert_eq!(run(&["run"]).0, 0);
    let (status, text, _) = run(&["verify"]);
    assert!(status == 65 && text.contains("DIFFERS from the original") && text.contains("\"sum\": 1"), "{status}: {text}");
}
