//! Backups of a real server to a real store, verified by a restore.

use age::secrecy::ExposeSecret;
use backup::{
    manifest,
    reading::{BackupReader, Identities},
    restore,
    run::Agent,
};
use sqlx::{Executor, PgConnection};

use crate::{
    agent::{agent, take},
    restore::{options, restore_with},
    support::{connect, database, other_server, random},
};

/// A narrow table of several page ranges, one with long values, an empty one, partitions, short and long large objects.
const WAREHOUSE: &str = r"
    CREATE TABLE movements (id bigserial PRIMARY KEY, item int NOT NULL, amount numeric, note text);
    INSERT INTO movements (item, amount, note)
        SELECT n % 97, n / 7.0, CASE WHEN n % 5 = 0 THEN NULL ELSE E'tab\there \\ ' || md5(n::text) END FROM generate_series(1, 60000) n;
    CREATE TABLE papers (id int PRIMARY KEY, body text);
    INSERT INTO papers SELECT n, (SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 20000 + n)) FROM generate_series(1, 6) n;
    CREATE TABLE nothing_yet (a int);
    CREATE TABLE no_columns ();
    INSERT INTO no_columns DEFAULT VALUES; INSERT INTO no_columns DEFAULT VALUES;
    CREATE TABLE days (at date, what text) PARTITION BY RANGE (at);
    CREATE TABLE days_1 PARTITION OF days FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
    CREATE TABLE days_2 PARTITION OF days FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
    INSERT INTO days SELECT '2026-01-01'::date + n, 'day ' || n FROM generate_series(0, 50) n;
    SELECT lo_from_bytea(81001, '\x00ff'), lo_create(81002),
        lo_from_bytea(81003, decode(repeat('00112233445566778899aabbccddeeff', 20000), 'hex'));
";

/// The content of a table, independent of the order.
async fn fingerprint(session: &mut PgConnection, table: &str) -> (i64, Option<String>) {
    let query = format!("SELECT count(*), md5(string_agg(md5(t::text), '' ORDER BY md5(t::text))) FROM {table} t");
    sqlx::query_as(sqlx::AssertSqlSafe(query)).fetch_one(session).await.unwrap()
}

const TABLES: [&str; 6] = ["movements", "papers", "nothing_yet", "no_columns", "days_1", "days_2"];

async fn comes_back(agent: &Agent, identities: Identities) {
    let manifest = take(agent).await.unwrap();
    let catalogue = agent.catalogue().await.unwrap();
    assert!(catalogue.doubtful.is_empty(), "{:?}", catalogue.doubtful);
    assert_eq!(catalogue.newest().unwrap().0, &manifest, "the stored manifest equals the returned one");
    let reader = BackupReader::new(agent.store.clone(), identities, manifest.clone()).unwrap();
    let server = other_server().await;
    let name = format!("warehouse_{:08x}", random());
    let report = restore_with(&reader, &options(&server, &name)).await.unwrap();
    assert_eq!(report.rows, manifest.totals.rows);
    let (mut theirs, mut ours) = (connect(agent.job.source.as_ref().unwrap()).await, connect(&server.with_database(&name)).await);
    for table in TABLES {
        assert_eq!(fingerprint(&mut theirs, table).await, fingerprint(&mut ours, table).await, "{table}");
    }
    for object in [81001, 81002, 81003] {
        let query = format!("SELECT md5(lo_get({object}))");
        let of = async |session: &mut PgConnection| -> String {
            sqlx::query_scalar(sqlx::AssertSqlSafe(query.clone())).fetch_one(session).await.unwrap()
        };
        assert_eq!(of(&mut theirs).await, of(&mut ours).await, "large object {object}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_in_page_ranges_is_restored_unchanged() {
    let (source, mut session) = database().await;
    session.execute(WAREHOUSE).await.unwrap();
    let agent = agent(&source, &[("BACKUP_RANGE_MIB", "1")]).await;
    comes_back(&agent, Identities::default()).await;

    let (manifest, _) = {
        let catalogue = agent.catalogue().await.unwrap();
        let (manifest, attempt) = catalogue.newest().unwrap();
        (manifest.clone(), attempt.clone())
    };
    let reader = BackupReader::new(agent.store.clone(), Identities::default(), manifest).unwrap();
    let opened = restore::open_database(&reader, None).await.unwrap();
    let table = |name: &str| -> &manifest::Table { opened.contents.tables.iter().find(|table| table.name == name).unwrap() };
    assert!(table("movements").pieces.len() > 3, "a large table is read in page ranges");
    assert!(table("nothing_yet").pieces.is_empty());
    assert_eq!(table("no_columns").rows, 2);
    assert!(opened.contents.tables.iter().all(|table| table.name != "days"), "the rows belong to its partitions");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_backup_is_restored_unchanged() {
    let (source, mut session) = database().await;
    session.execute(WAREHOUSE).await.unwrap();
    let identity = age::x25519::Identity::generate();
    let recipient = identity.to_public().to_string();
    let changes = [
        ("BACKUP_RECIPIENTS", recipient.as_str()),
        ("BACKUP_STORE_PART_MIB", "5"),
        ("BACKUP_STORE_PARTS_PER_OBJECT", "1"),
        ("BACKUP_WORKERS", "3"),
    ];
    let agent = agent(&source, &changes).await;
    let key = identity.to_string().expose_secret().to_owned();
    comes_back(&agent, Identities::parse(Some(&key.into())).unwrap()).await;
}
