//! Tests of `exchange recover`: the whole PostgreSQL server is destroyed, and a new database is built from the bucket.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use exchange::{
    api_key::Permissions,
    config::ObjectStorage,
    key_objects, shipped,
    worker::jobs::{ArchiveJournal, TakeSnapshot},
};
use exchange_core::{
    Balance,
    command::{AdminAction, Command as Order, Operator},
    order::{AccountId, AssetId},
};
use local_parts::{Postgres, SharedPostgres, StopMode};
use serde_json::Value;
use sqlx::{Connection, PgConnection};
use tokio::process::Command;

use crate::{
    eventually::until,
    exchange::{Exchange, Trader},
    replica::{TestReplica, database, execute, migrate, number},
    test_app::TestApp,
    worker::test_worker::{TestWorker, bucket, media},
};

const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const OTHER_KEY: &str = "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

async fn new_bucket() -> ObjectStorage {
    bucket(local_parts::shared_object_store().await.unwrap()).await
}

/// An empty database without a schema.
async fn empty() -> String {
    local_parts::shared_postgres().await.unwrap().create_database().await.unwrap()
}

fn command(url: &str, storage: &ObjectStorage, key: &str, until: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_exchange"));
    command
        .args(["recover", "--until", until])
        .env_clear()
        .envs([
            ("EXCHANGE_DATABASE_URL", url),
            ("EXCHANGE_S3_ENDPOINT", &storage.endpoint),
            ("EXCHANGE_S3_BUCKET", &storage.bucket),
            ("EXCHANGE_S3_ACCESS_KEY", &storage.access_key),
            ("EXCHANGE_S3_SECRET_KEY", storage.secret_key.expose()),
            ("EXCHANGE_KEY_ENCRYPTION_KEY", key),
        ])
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

async fn try_recover_with(url: &str, storage: &ObjectStorage, key: &str, until: &str) -> Result<Value, String> {
    let output = command(url, storage, key, until).output().await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(serde_json::from_slice(&output.stdout).unwrap()) } else { Err(text(&output.stderr)) }
}

async fn try_recover(url: &str, storage: &ObjectStorage, until: &str) -> Result<Value, String> {
    try_recover_with(url, storage, KEY, until).await
}

async fn recover(url: &str, storage: &ObjectStorage) -> Value {
    try_recover(url, storage, "latest").await.unwrap()
}

async fn shipped_through(storage: &ObjectStorage) -> i64 {
    let objects = shipped::list_shipped(&media(storage)).await.unwrap();
    objects.iter().map(|object| object.name.last_sequence).max().unwrap_or(0)
}

async fn ships(storage: &ObjectStorage, sequence: u64) {
    until("the journal is shipped", || async { shipped_through(storage).await >= sequence as i64 }).await;
}

/// A refused recovery has no effect.
async fn assert_untouched(url: &str) {
    let tables = "SELECT count(*) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = 'public'";
    assert_eq!(number(url, tables).await, 0, "the refused recovery created something");
}

/// An app on a recovered database.
async fn serve(url: &str, storage: &ObjectStorage) -> TestApp {
    let storage = storage.clone();
    TestApp::on(url.to_owned(), move |settings| settings.object_storage = Some(storage)).await
}

/// Every balance of every account.
fn balances(app: &TestApp) -> Vec<(AccountId, Vec<(AssetId, Balance)>)> {
    let committed = app.engine.committed().read();
    committed.state.accounts().map(|account| (account.id, committed.state.balances(account.id).collect())).collect()
}

fn sequence(app: &TestApp) -> u64 {
    app.engine.committed().read().state.sequence()
}

async fn sample(app: &TestApp, name: &str) -> f64 {
    let text = app.http.get(format!("{}/metrics", app.admin)).send().await.unwrap().text().await.unwrap();
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok()).expect("a sample of that name")
}

/// The state's ledger sums to zero, and the tables have the state's balances.
async fn assert_ledger(app: &TestApp, worker: &TestWorker) {
    let url = &app.database_url;
    worker.reaches(url, sequence(app)).await;
    assert!(app.engine.committed().read().state.trial_balance().iter().all(|(_, sum)| *sum == 0));
    let unequal = "SELECT count(*) FROM (SELECT asset FROM balances GROUP BY asset HAVING sum(free + locked) <> 0) AS unequal";
    assert_eq!(number(url, unequal).await, 0);
    let mut connection = PgConnection::connect(url).await.unwrap();
    let mut rows = exchange::db::ledger::balances(&mut connection).await.unwrap();
    rows.retain(|(.., balance)| *balance != Balance::default());
    let state = balances(app).into_iter().flat_map(|(account, held)| {
        held.into_iter()
            .filter(|(_, balance)| *balance != Balance::default())
            .map(move |(asset, balance)| (account, asset, balance))
    });
    let mut state: Vec<_> = state.collect();
    for balances in [&mut rows, &mut state] {
        balances.sort_unstable_by_key(|(account, asset, _)| (*account, *asset));
    }
    assert_eq!(rows, state);
}

/// Orders that match until the database does not answer any more: their sequences and times of acknowledgement.
async fn load(trader: &Trader<'_>, other: &Trader<'_>) -> Vec<(u64, Instant)> {
    let mut acknowledged = Vec::new();
    for round in 0.. {
        let (side, who) = if round % 2 == 0 { ("BUY", trader) } else { ("SELL", other) };
        let parameters = format!("symbol=BTCUSDT&side={side}&type=LIMIT&timeInForce=GTC&price=100&quantity=0.1");
        let order = tokio::time::timeout(Duration::from_secs(2), who.post("/api/v3/order", &parameters)).await;
        if !order.is_ok_and(|answer| answer.status == 200) {
            break;
        }
        acknowledged.push((sequence(&who.exchange.app), Instant::now()));
    }
    acknowledged
}

/// A server, its whole PostgreSQL, and what was acknowledged, destroyed under load. Its state remains for comparisons.
struct Destroyed {
    exchange: Exchange,
    account: AccountId,
    api_key: String,
    secret: String,
    /// The end of what was in the bucket then.
    shipped: i64,
}

impl Destroyed {
    async fn new(storage: &ObjectStorage) -> Self {
        let mut postgres = Postgres::start(SharedPostgres::options()).await.unwrap();
        let url = postgres.create_database("exchange").await.unwrap();
        migrate(&url).await;
        let store = storage.clone();
        let exchange = Exchange::on(url.clone(), move |settings| settings.object_storage = Some(store)).await;
        let (trader, other) = (exchange.trader("one").await, exchange.trader("two").await);
        let (revoked, _) = exchange.key(trader.account, Permissions { read: true, ..Permissions::default() }, &[]).await;
        exchange::db::api_keys::revoke(&exchange.app.pool, &revoked).await.unwrap();
        let worker = TestWorker::start(&url, Some(storage.clone()));
        trader.limit("BUY", "90", "1").await;
        worker.reaches(&url, sequence(&exchange.app)).await;
        worker.complete(TakeSnapshot {}).await;
        let revision = number(&url, "SELECT max(revision) FROM api_keys").await;
        let media = media(storage);
        let shipped = || async { key_objects::newest(&key_objects::list_key_objects(&media).await.unwrap()).1 >= revision };
        until("the keys are shipped", shipped).await;
        worker.kill().await;
        let (acknowledged, (shipped, lag, at)) = tokio::join!(load(&trader, &other), async {
            ships(storage, sequence(&exchange.app) + 50).await;
            let (lag, at) = (sample(&exchange.app, "exchange_ship_lag_seconds").await, Instant::now());
            let shipped = shipped_through(storage).await;
            postgres.stop(StopMode::Immediate).await.unwrap();
            std::fs::remove_dir_all(postgres.folder()).unwrap();
            (shipped, lag, at)
        });
        // The metric is refreshed every 250 ms.
        let bound = Duration::from_millis(2250);
        let old = acknowledged.iter().rev().find(|(_, acknowledged)| *acknowledged + bound <= at).map_or(0, |(old, _)| *old);
        assert!(
            shipped >= old as i64 || lag >= 2.0,
            "shipped through {shipped}, acknowledged {old} two seconds before, lag {lag}"
        );
        // The server has lost its database. What it acknowledged is in its memory, and leaves now.
        until("everything acknowledged is shipped", || async { sample(&exchange.app, "exchange_ship_lag_events").await == 0.0 })
            .await;
        let (account, api_key, secret) = (trader.account, trader.api_key.clone(), trader.secret.clone());
        Self { exchange, account, api_key, secret, shipped }
    }
}

/// The whole life: trade, snapshot, destruction under load, recovery, service, history, and a second loss.
#[tokio::test(flavor = "multi_thread")]
async fn a_destroyed_database_is_recovered_twice() {
    let storage = new_bucket().await;
    let destroyed = Destroyed::new(&storage).await;
    let second = empty().await;
    let report = recover(&second, &storage).await;
    let reached = report["recoveredThrough"]["sequence"].as_u64().unwrap();
    assert!(reached as i64 >= destroyed.shipped, "{report}");
    assert_eq!(report["firstLostSequence"], reached + 1, "{report}");
    assert_eq!((&report["generation"], &report["apiKeys"]["revoked"]), (&Value::from(1), &Value::from(1)), "{report}");
    assert!(report["snapshot"].as_i64().unwrap() > 0, "{report}");
    let exchange = Exchange::of(serve(&second, &storage).await);
    let app = &exchange.app;
    until("it leads", || async { app.engine.is_leader() }).await;
    assert_eq!(balances(app), balances(&destroyed.exchange.app));

    // Its keys work, and history is refused until it is complete.
    let Destroyed { account, api_key, secret, .. } = &destroyed;
    let trader = Trader { exchange: &exchange, account: *account, api_key: api_key.clone(), secret: secret.clone() };
    let history = trader.get("/api/v3/allOrders", "symbol=BTCUSDT").await;
    assert_eq!(history.error().0, 503, "{:?}", history.body);
    assert!(history.header("retry-after").is_some());
    assert_eq!(exchange.public("/api/v3/klines", "symbol=BTCUSDT&interval=1m").await.error().0, 503);
    trader.limit("BUY", "80", "1").await;
    assert_eq!(number(&second, "SELECT count(*) FROM api_keys WHERE revoked_at IS NOT NULL").await, 1);
    let worker = TestWorker::start(&second, Some(storage.clone()));
    let complete = || async { trader.get("/api/v3/allOrders", "symbol=BTCUSDT").await.status == 200 };
    until("history is complete", complete).await;
    assert_ledger(app, &worker).await;
    until("the loss is journalled", || async {
        number(&second, "SELECT count(*) FROM declarations WHERE journalled_seq IS NULL").await == 0
    })
    .await;

    // The second loss, from the new history.
    worker.complete(TakeSnapshot {}).await;
    worker.complete(ArchiveJournal {}).await;
    trader.limit("BUY", "70", "1").await;
    ships(&storage, sequence(app)).await;
    let expected = balances(app);
    worker.end().await;
    exchange.app.end().await;
    let third = empty().await;
    let report = recover(&third, &storage).await;
    assert_eq!(report["generation"], 2, "{report}");
    let app = serve(&third, &storage).await;
    until("it leads", || async { app.engine.is_leader() }).await;
    assert_eq!(balances(&app), expected);
    let worker = TestWorker::start(&third, Some(storage.clone()));
    assert_ledger(&app, &worker).await;
    // The database before it is refused from now on.
    until("the fork is recorded", || async { shipped::forks(&media(&storage)).await.unwrap().len() == 2 }).await;
    let old = TestReplica::with_media(&second, media(&storage));
    until("the older database is refused", || async {
        old.reason("database").is_some_and(|reason| reason.contains("another database was built from this bucket"))
    })
    .await;
    old.stop.cancel();
    worker.end().await;
    app.end().await;
}

/// A bucket with three shipped objects or more and no snapshot.
async fn shipped_journal() -> (ObjectStorage, u64) {
    let (url, storage) = (database().await, new_bucket().await);
    let replica = TestReplica::with_media(&url, media(&storage));
    replica.leads().await;
    for number in 0..3 {
        replica.create_account(&format!("account-{number}")).await.unwrap();
        ships(&storage, replica.sequence()).await;
    }
    replica.end().await;
    let sequence = shipped_through(&storage).await as u64;
    (storage, sequence)
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_refused_before_any_effect() {
    let (storage, sequence) = shipped_journal().await;
    let url = empty().await;
    for (until, expected) in [
        ("999999", "the journal in the bucket ends at sequence"),
        ("1970-01-01T00:00:01Z", "no event of the journal is at or before"),
        ("yesterday", "write `latest`, a sequence"),
        ("0", "a sequence is 1 or more"),
    ] {
        let error = try_recover(&url, &storage, until).await.unwrap_err();
        assert!(error.contains(expected), "--until {until}: {error}");
        assert_untouched(&url).await;
    }
    let error = try_recover(&url, &new_bucket().await, "latest").await.unwrap_err();
    assert!(error.contains("EXCHANGE_S3_BUCKET"), "{error}");
    assert_untouched(&url).await;

    let full = database().await;
    let replica = TestReplica::leading(&full).await;
    replica.create_account("one").await.unwrap();
    replica.end().await;
    let error = try_recover(&full, &storage, "latest").await.unwrap_err();
    assert!(error.contains("the database is not empty"), "{error}");
    let foreign = empty().await;
    execute(&foreign, "CREATE TABLE customers (id bigint)").await;
    let error = try_recover(&foreign, &storage, "latest").await.unwrap_err();
    assert!(error.contains("customers"), "{error}");

    // One changed byte in an object in the middle.
    let (store, objects) = (media(&storage), shipped::list_shipped(&media(&storage)).await.unwrap());
    let key = objects[1].name.key();
    let whole = store.get(&key).await.unwrap();
    let mut damaged = whole.to_vec();
    let middle = damaged.len() - 10;
    damaged[middle] ^= 1;
    store.put(&key, damaged.into(), exchange::media::ZSTD, exchange::media::Replace::Yes).await.unwrap();
    let error = try_recover(&url, &storage, "latest").await.unwrap_err();
    assert!(error.contains(&key) && error.contains("damaged"), "{error}");
    assert_untouched(&url).await;
    store.delete(&key).await.unwrap();
    let error = try_recover(&url, &storage, "latest").await.unwrap_err();
    let lacks = format!("lacks the journal's sequences {}..={}", objects[1].name.first_sequence, objects[1].name.last_sequence);
    assert!(error.contains(&lacks), "{error}");
    assert_untouched(&url).await;
    store.put(&key, whole, exchange::media::ZSTD, exchange::media::Replace::Yes).await.unwrap();
    assert_eq!(recover(&url, &storage).await["recoveredThrough"]["sequence"], sequence);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_whose_keys_another_exchange_sealed_is_refused() {
    let storage = new_bucket().await;
    let app = serve(&database().await, &storage).await;
    until("the keys are shipped", || async { !key_objects::list_key_objects(&media(&storage)).await.unwrap().is_empty() }).await;
    let operator = Operator { actor: "test".into(), reason: "test".into() };
    let action = AdminAction::CreateAccount { reference: "one".into() };
    let sequence = app.engine.submit(Order::Admin { operator, action }, None).await.unwrap().sequence;
    ships(&storage, sequence).await;
    app.end().await;
    let url = empty().await;
    let error = try_recover_with(&url, &storage, OTHER_KEY, "latest").await.unwrap_err();
    assert!(error.contains("cannot be decrypted") && error.contains("EXCHANGE_S3_BUCKET"), "{error}");
    assert_untouched(&url).await;
    recover(&url, &storage).await;
}

/// Killed at several moments, then repeated.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_recovery_can_be_repeated() {
    let (storage, sequence) = shipped_journal().await;
    let url = empty().await;
    for milliseconds in [50, 200, 400] {
        let mut running = command(&url, &storage, KEY, "latest").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let ended = tokio::time::timeout(Duration::from_millis(milliseconds), running.wait()).await;
        running.kill().await.unwrap();
        if ended.is_ok_and(|status| status.unwrap().success()) {
            break;
        }
    }
    let complete = async {
        let mut connection = PgConnection::connect(&url).await.unwrap();
        let head: Result<i64, _> = sqlx::query_scalar("SELECT last_seq FROM head").fetch_one(&mut connection).await;
        head.is_ok_and(|last| last > 0)
    };
    if complete.await {
        let error = try_recover(&url, &storage, "latest").await.unwrap_err();
        assert!(error.contains(&format!("it has a journal up to sequence {sequence}")), "{error}");
    } else {
        assert_eq!(recover(&url, &storage).await["recoveredThrough"]["sequence"], sequence);
    }
    let app = serve(&url, &storage).await;
    until("it leads", || async { app.engine.is_leader() }).await;
    app.end().await;
}

/// A recovery that is killed in the middle of the migrations leaves a part of the schema.
#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_continues_after_a_part_of_the_migrations() {
    let (storage, sequence) = shipped_journal().await;
    for applied in [0, 1, 3] {
        let url = empty().await;
        let mut connection = PgConnection::connect(&url).await.unwrap();
        let mut part = sqlx::migrate!("../migrations");
        let versions: Vec<_> = part.iter().map(|migration| migration.version).collect();
        part.migrations.to_mut().truncate(applied);
        part.run_direct(None, &mut connection, false).await.unwrap();
        assert!(versions.len() > applied);
        connection.close().await.unwrap();
        assert_eq!(recover(&url, &storage).await["recoveredThrough"]["sequence"], sequence, "after {applied} migrations");
    }
}
