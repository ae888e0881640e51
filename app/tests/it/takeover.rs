//! Tests of two replicas on one database: one leads, the other takes over when the first is killed, paused or stopped.

use exchange::{
    db::journal::{self, Append},
    engine::SubmitError,
};
use exchange_core::{batch, event::Event};
use sqlx::{Connection, PgConnection};

use crate::{
    eventually::until,
    proxy::{Proxy, server_of},
    replica::{TestReplica, database, execute, number},
};

#[tokio::test]
async fn a_standby_follows_says_why_it_waits_and_takes_over_at_once_when_asked() {
    let url = database().await;
    let first = TestReplica::leading(&url).await;
    let second = TestReplica::start(&url);
    first.create_account("early").await.unwrap();
    until("the standby has followed", || async { second.account("early").is_some() }).await;
    until("the standby reports why it waits", || async {
        second.reason("lead").is_some_and(|reason| reason == "standby: 127.0.0.1:1 leads in epoch 1")
    })
    .await;
    assert_eq!(second.create_account("misdirected").await, Err(SubmitError::Unavailable));
    until("the follower is ready", || async { second.health.is_ready() }).await;
    first.end().await;
    second.leads().await;
    assert!(second.health.is_ready());
    second.create_account("late").await.unwrap();
    assert_eq!(number(&url, "SELECT epoch FROM head").await, 2);
    second.end().await;
}

#[tokio::test]
async fn everything_taken_before_the_hand_over_is_answered() {
    let url = database().await;
    let replica = TestReplica::leading(&url).await;
    let engine = replica.engine.clone();
    let mut waiting = tokio::task::JoinSet::new();
    for number in 0..500 {
        let engine = engine.clone();
        waiting.spawn(async move {
            let reference = format!("account-{number}");
            (engine.submit(crate::replica::create_account(&reference), None).await, reference)
        });
    }
    tokio::task::yield_now().await;
    replica.end().await;
    let again = TestReplica::leading(&url).await;
    while let Some(answer) = waiting.join_next().await {
        let (answer, reference) = answer.unwrap();
        match answer {
            Ok(_) => assert!(again.account(&reference).is_some(), "{reference} was acknowledged but is lost"),
            Err(SubmitError::Unavailable) => {
                assert!(again.account(&reference).is_none(), "{reference} was executed but not answered")
            }
            Err(other) => panic!("{reference}: {other:?}"),
        }
    }
    again.end().await;
}

#[tokio::test]
async fn a_paused_leader_is_replaced_and_cannot_write_when_it_wakes() {
    let url = database().await;
    let proxy = Proxy::start(server_of(&url)).await;
    let paused = TestReplica::leading(&proxy.url(&url)).await;
    paused.create_account("before").await.unwrap();
    let standby = TestReplica::start(&url);
    until("the standby follows", || async { standby.account("before").is_some() }).await;

    proxy.stall();
    let writing = tokio::spawn({
        let engine = paused.engine.clone();
        async move { engine.submit(crate::replica::create_account("from the past"), None).await }
    });
    standby.leads().await;
    standby.create_account("present").await.unwrap();
    proxy.resume();
    assert_eq!(writing.await.unwrap(), Err(SubmitError::Unavailable));
    until("the resumed replica follows", || async { paused.account("present").is_some() }).await;
    assert!(!paused.engine.is_leader());
    assert_eq!(paused.account("from the past"), None);
    standby.end().await;
    paused.leads().await;
    paused.create_account("after").await.unwrap();
    paused.end().await;
}

/// The fence itself: the statement of a deposed leader has no effect, whatever its state.
#[tokio::test]
async fn a_batch_of_a_past_epoch_is_not_written() {
    let url = database().await;
    let mut connection = PgConnection::connect(&url).await.unwrap();
    execute(&url, "UPDATE head SET epoch = 5").await;
    let mut payload = Vec::new();
    batch::encode(&[Event::Clock(1)], &mut payload);
    let append = |epoch, previous_sequence| Append {
        epoch,
        previous_sequence,
        last_sequence: previous_sequence + 1,
        checksum: batch::checksum(&payload),
        payload: &payload,
    };
    assert!(!journal::append_batch(&mut connection, append(4, 0)).await.unwrap(), "a past epoch");
    assert!(!journal::append_batch(&mut connection, append(5, 3)).await.unwrap(), "a wrong sequence");
    assert_eq!(number(&url, "SELECT count(*) FROM journal").await, 0);
    assert!(journal::append_batch(&mut connection, append(5, 0)).await.unwrap());
    assert!(!journal::append_batch(&mut connection, append(5, 0)).await.unwrap(), "the same again");
    assert_eq!(number(&url, "SELECT count(*) FROM journal").await, 1);
}

#[tokio::test]
async fn a_clock_behind_the_journal_does_not_lead() {
    let url = database().await;
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let mut payload = Vec::new();
    // An hour from now, in microseconds.
    let ahead = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros() as i64 + 3_600_000_000;
    batch::encode(&[Event::Clock(ahead)], &mut payload);
    let append =
        Append { epoch: 0, previous_sequence: 0, last_sequence: 1, checksum: batch::checksum(&payload), payload: &payload };
    assert!(journal::append_batch(&mut connection, append).await.unwrap());
    let replica = TestReplica::start(&url);
    // Less than the hour by the time that the start took.
    until("it reports that its clock is behind", || async {
        let behind = replica.reason("lead").and_then(|reason| {
            let (_, rest) = reason.split_once("clock is ")?;
            rest.split_once(" ms behind the journal")?.0.parse::<u64>().ok()
        });
        behind.is_some_and(|behind| (3_000_000..3_600_000).contains(&behind))
    })
    .await;
    assert!(!replica.engine.is_leader());
    replica.end().await;
}

#[tokio::test]
async fn a_database_without_what_was_seen_is_refused() {
    let url = database().await;
    let replica = TestReplica::leading(&url).await;
    replica.create_account("seen").await.unwrap();
    // Like a standby that was promoted too early: the last batch is missing.
    execute(
        &url,
        "WITH last AS (DELETE FROM journal WHERE first_seq = (SELECT max(first_seq) FROM journal) RETURNING first_seq)
                   UPDATE head SET last_seq = first_seq - 1, epoch = epoch + 1, released = true FROM last",
    )
    .await;
    until("the database is refused", || async { replica.reason("database").is_some_and(|reason| reason.contains("older copy")) })
        .await;
    assert_eq!(replica.create_account("unseen").await, Err(SubmitError::Unavailable));
    assert_eq!(number(&url, "SELECT epoch FROM head").await, 2, "no replica claimed it");
    replica.end().await;
}

/// Failures of the database with this cause.
fn failures(replica: &TestReplica, cause: &str) -> u64 {
    let series = format!("exchange_engine_database_failures_total{{cause=\"{cause}\"}} ");
    let exposed = replica.metrics.encode();
    exposed.lines().find_map(|line| line.strip_prefix(series.as_str())).expect("a series from the start").parse().unwrap()
}

/// As hosted servers do when their disk is nearly full. The replica follows, reports the cause, and does not claim in a loop.
#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_database_is_followed_and_claimed_seldom() {
    let url = database().await;
    let replica = TestReplica::leading(&url).await;
    replica.create_account("before").await.unwrap();
    let (server, name) = url.rsplit_once('/').unwrap();
    let set = async |change: &str| {
        let change = format!("ALTER DATABASE {name} {change}");
        execute(&format!("{server}/postgres"), sqlx::AssertSqlSafe(change)).await;
    };
    set("SET default_transaction_read_only = on").await;
    let (begun, before) = (std::time::Instant::now(), number(&url, "SELECT epoch FROM head").await);
    execute(&url, "SELECT pg_terminate_backend(backend_pid) FROM head").await;
    until("it reports the cause", || async {
        replica.reason("lead").is_some_and(|reason| reason.contains("PostgreSQL is read-only"))
    })
    .await;
    assert!(!replica.engine.is_leader() && replica.account("before").is_some());
    assert_eq!(replica.create_account("read-only").await, Err(SubmitError::Unavailable));
    until("some claims are refused", || async { failures(&replica, "read_only") >= 5 }).await;
    // The pauses double from a tenth of a second: the sum of the first four is a lower bound.
    assert!(begun.elapsed() >= std::time::Duration::from_millis(1500), "5 claims within {:?}", begun.elapsed());
    assert_eq!(number(&url, "SELECT epoch FROM head").await, before);
    // A session keeps the setting that it began with.
    set("RESET default_transaction_read_only").await;
    until("it commits again", || async { replica.create_account("after").await.is_ok() }).await;
    replica.end().await;
}

/// Another program holds every session: the cause is in the reason and in a metric, and the attempts are seldom.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_a_free_connection_is_named() {
    let url = database().await;
    let name = url.rsplit_once('/').unwrap().1.to_owned();
    let role = format!("full_{name}");
    // The limit does not count for a superuser.
    execute(&url, sqlx::AssertSqlSafe(format!("CREATE ROLE {role} LOGIN PASSWORD 'secret' CONNECTION LIMIT 0"))).await;
    let (scheme, rest) = url.split_once("://").unwrap();
    let host = rest.split_once('@').map_or(rest, |(_, host)| host);
    let replica = TestReplica::start(&format!("{scheme}://{role}:secret@{host}"));
    until("it reports the cause", || async {
        replica.reason("database").is_some_and(|reason| reason.contains("no free connection") && reason.contains(&role))
    })
    .await;
    assert!(failures(&replica, "connections") >= 1);
    execute(&url, sqlx::AssertSqlSafe(format!("ALTER ROLE {role} SUPERUSER"))).await;
    replica.leads().await;
    replica.end().await;
    until("its sessions have ended", || async { try_drop(&url, &role).await }).await;
}

async fn try_drop(url: &str, role: &str) -> bool {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::query(sqlx::AssertSqlSafe(format!("DROP ROLE {role}"))).execute(&mut connection).await.is_ok()
}

/// The database accepts a claim and refuses every batch, as with a full disk: the epochs must not race ahead.
#[tokio::test(flavor = "multi_thread")]
async fn claims_slow_down_while_no_batch_can_be_written() {
    let url = database().await;
    let replica = TestReplica::leading(&url).await;
    replica.create_account("before").await.unwrap();
    execute(
        &url,
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             RAISE EXCEPTION USING ERRCODE = '53100', MESSAGE = 'could not extend file: No space left on device'; END $$",
    )
    .await;
    execute(&url, "CREATE TRIGGER full_disk BEFORE INSERT ON journal FOR EACH ROW EXECUTE FUNCTION full_disk()").await;
    let begun = std::time::Instant::now();
    let epoch = number(&url, "SELECT epoch FROM head").await;
    // The server reported an error, so the command was certainly not executed: no client waits for the next term.
    assert_eq!(replica.create_account("full").await, Err(SubmitError::Unavailable));
    until("some claims fail", || async { number(&url, "SELECT epoch FROM head").await >= epoch + 6 }).await;
    assert!(failures(&replica, "disk_full") >= 6, "each is counted with its cause");
    // The pauses double from a tenth of a second: the sum of the first four is a lower bound.
    assert!(begun.elapsed() >= std::time::Duration::from_millis(1500), "6 claims within {:?}", begun.elapsed());
    execute(&url, "DROP TRIGGER full_disk ON journal").await;
    until("it commits again", || async { replica.create_account("after").await.is_ok() }).await;
    replica.end().await;
}
