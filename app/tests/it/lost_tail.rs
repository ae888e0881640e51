//! Tests of a database that lost its tail while the bucket has snapshots of the lost part. It is refused until an operator
//! declares the loss. Objects of the dead history are never loaded, counted or deleted.

use exchange::{config::ObjectStorage, shipped, snapshot, worker::jobs::TakeSnapshot};
use exchange_core::{batch, event::Event};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::{
    eventually::{eventually, until},
    processes::{admin, try_admin},
    proxy::Proxy,
    recovery::take_snapshot,
    replica::{TestReplica, database, execute, number},
    worker::test_worker::{TestWorker, bucket, media},
};

/// A database restored from a backup, and the bucket of the original database, which continued. The lost sequence is that of the
/// newest snapshot.
struct Lost {
    restored: String,
    storage: ObjectStorage,
    through: u64,
}

async fn lost_tail(snapshots: usize) -> Lost {
    let complete = database().await;
    let storage = bucket(local_parts::shared_object_store().await.unwrap()).await;
    let replica = TestReplica::leading(&complete).await;
    replica.create_account("before").await.unwrap();
    replica.end().await;
    let restored = copy(&complete).await;
    let replica = TestReplica::leading(&complete).await;
    let mut through = 0;
    for number in 0..snapshots {
        replica.create_account(&format!("lost-{number}")).await.unwrap();
        through = take_snapshot(&media(&storage), &replica).await.sequence;
    }
    replica.end().await;
    Lost { restored, storage, through }
}

/// A copy of a database that no program uses at present.
pub async fn copy(url: &str) -> String {
    let (server, name) = url.rsplit_once('/').unwrap();
    let postgres = format!("{server}/postgres");
    until("no session is left", || async {
        let sessions = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}'");
        execute(
            &postgres,
            AssertSqlSafe(format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")),
        )
        .await;
        let mut connection = PgConnection::connect(&postgres).await.unwrap();
        let left: i64 = sqlx::query_scalar(AssertSqlSafe(sessions)).fetch_one(&mut connection).await.unwrap();
        left == 0
    })
    .await;
    let copy = format!("{name}_restored");
    execute(&postgres, AssertSqlSafe(format!("CREATE DATABASE {copy} TEMPLATE {name}"))).await;
    format!("{server}/{copy}")
}

fn refuses(replica: &TestReplica, through: u64) -> bool {
    replica.reason("database").is_some_and(|reason| reason.contains(&format!("loss declare --through {through}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_below_what_the_bucket_proves_is_refused() {
    let lost = lost_tail(3).await;
    let replica = TestReplica::with_media(&lost.restored, media(&lost.storage));
    until("the server refuses", || async { refuses(&replica, lost.through) }).await;
    let worker = TestWorker::start(&lost.restored, Some(lost.storage.clone()));
    until("the worker refuses", || async {
        let latches = worker.health.latches();
        latches.iter().any(|latch| latch.reason.as_ref().is_some_and(|reason| reason.contains("loss declare")))
    })
    .await;
    assert!(!replica.engine.is_leader() && !worker.health.is_ready());
    assert_eq!(number(&lost.restored, "SELECT epoch FROM head").await, 1, "no replica claimed it");

    let answer = admin(&lost.restored, &["loss", "declare", "--through", &lost.through.to_string()]).await;
    assert_eq!(answer["through"], lost.through, "{answer}");
    replica.leads().await;
    until("the worker is ready", || async { worker.health.is_ready() }).await;
    let journalled = "SELECT count(*) FROM journal WHERE position('declare the history lost'::bytea in payload) > 0";
    until("the declaration is journalled", || async { number(&lost.restored, journalled).await == 1 }).await;
    until("it is marked", || async {
        number(&lost.restored, "SELECT count(*) FROM declarations WHERE journalled_seq IS NULL").await == 0
    })
    .await;

    // The new history passes the dead snapshots, and retains its own snapshots.
    while replica.sequence() <= lost.through {
        replica.create_account(&format!("found-{}", replica.sequence())).await.unwrap();
    }
    for round in 0..4 {
        replica.create_account(&format!("round-{round}")).await.unwrap();
        worker.reaches(&lost.restored, replica.sequence()).await;
        worker.complete(TakeSnapshot {}).await;
    }
    let names = snapshot::list_snapshots(&media(&lost.storage)).await.unwrap();
    let dead = names.iter().filter(|name| name.sequence <= lost.through).count();
    assert_eq!((dead, names.len() - dead), (3, 3), "{names:?}");
    assert_eq!(worker.sample("exchange_object_storage_foreign_objects{kind=\"snapshot\"}"), Some(3.0));
    worker.end().await;
    replica.end().await;

    let again = TestReplica::with_media(&lost.restored, media(&lost.storage));
    again.leads().await;
    assert!(again.account("round-3").is_some() && again.account("lost-0").is_none());
    again.end().await;
}

/// A sequence that is too low changes nothing, and one that is too high excuses later losses.
#[tokio::test(flavor = "multi_thread")]
async fn a_loss_is_declared_as_the_servers_report_it() {
    let lost = lost_tail(1).await;
    let declare = |through: u64| {
        let restored = lost.restored.clone();
        async move { try_admin(&restored, &["loss", "declare", "--through", &through.to_string()]).await }
    };
    let reported = format!("report --through {}", lost.through);
    let replica = TestReplica::with_media(&lost.restored, media(&lost.storage));
    until("the server refuses", || async { refuses(&replica, lost.through) }).await;
    for wrong in [1, lost.through - 1, lost.through + 1, lost.through + 99_999] {
        let refused = declare(wrong).await.unwrap_err();
        assert!(refused.contains(&reported), "{wrong}: {refused}");
    }
    assert_eq!(number(&lost.restored, "SELECT count(*) FROM declarations").await, 0);
    declare(lost.through).await.unwrap();
    replica.leads().await;
    until("no server reports a loss", || async {
        declare(lost.through + 99_999).await.is_err_and(|refused| refused.contains("no running server refuses it"))
    })
    .await;
    assert_eq!(number(&lost.restored, "SELECT count(*) FROM declarations").await, 1);
    replica.end().await;
}

/// The text of a refusal is for a person: what to declare are two columns. A row: the report of a server.
#[tokio::test(flavor = "multi_thread")]
async fn the_loss_to_declare_is_a_value_of_the_report() {
    let url = database().await;
    let reports = "INSERT INTO replicas (address, reported_at, clock_offset, refusal, lost_through, lost_generation) VALUES
            ('refuses:1', clock_timestamp() + interval '1 hour', 0, 'in other words', 93, 4),
            ('of an earlier release:1', clock_timestamp() + interval '1 hour', 0, 'loss declare --through 94', NULL, NULL),
            ('follows again:1', clock_timestamp() + interval '1 hour', 0, NULL, 95, 0)";
    execute(&url, reports).await;
    for wrong in [&["93"][..], &["94"], &["95"], &["93", "--generation", "3"]] {
        let refused = try_admin(&url, &[&["loss", "declare", "--through"], wrong].concat()).await.unwrap_err();
        assert!(refused.contains("report --through 93 --generation 4; declare that"), "{wrong:?}: {refused}");
    }
    let declared = admin(&url, &["loss", "declare", "--through", "93", "--generation", "4"]).await;
    assert_eq!(declared["through"], 93, "{declared}");
}

/// The bucket has two dead histories then. One declaration ends both refusals, and the third history has a generation of its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_restored_again_needs_one_declaration() {
    let lost = lost_tail(1).await;
    let again = copy(&lost.restored).await;
    // An earlier loss of the second history: a restored database cannot know how many there were.
    let earlier =
        "INSERT INTO declarations (kind, actor, reason, ends_at, through) SELECT 'loss', 'ada', 'test', last_seq, 1 FROM head";
    execute(&lost.restored, earlier).await;
    let replica = TestReplica::with_media(&lost.restored, media(&lost.storage));
    until("the server refuses", || async { refuses(&replica, lost.through) }).await;
    admin(&lost.restored, &["loss", "declare", "--through", &lost.through.to_string()]).await;
    replica.leads().await;
    while replica.sequence() <= lost.through {
        replica.create_account(&format!("second-{}", replica.sequence())).await.unwrap();
    }
    let newest = || async { shipped::forks(&media(&lost.storage)).await.unwrap().last().map_or(0, |fork| fork.generation) };
    until("the second history ships", || async { newest().await == 2 }).await;
    take_snapshot(&media(&lost.storage), &replica).await;
    replica.end().await;

    let replica = TestReplica::with_media(&again, media(&lost.storage));
    let arguments = eventually("the third is refused", || async {
        let reason = replica.reason("database")?;
        let superseded = reason.contains("continues its history");
        reason.rsplit_once(" loss declare ").filter(|_| superseded).map(|(_, arguments)| arguments.to_owned())
    })
    .await;
    assert!(arguments.ends_with("--generation 2"), "{arguments}");
    let arguments: Vec<&str> = ["loss", "declare"].into_iter().chain(arguments.split(' ')).collect();
    admin(&again, &arguments).await;
    replica.leads().await;
    replica.create_account("third").await.unwrap();
    until("the third history ships", || async { newest().await == 3 }).await;
    assert!(replica.account(&format!("second-{}", lost.through)).is_none());
    replica.end().await;
}

/// The new history is as long as the dead one: the snapshot at its sequence belongs to the dead one.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_snapshot_that_was_passed_is_not_loaded() {
    let lost = lost_tail(1).await;
    // As in an earlier release, which does not ask the bucket.
    let replica = TestReplica::leading(&lost.restored).await;
    while replica.sequence() <= lost.through {
        replica.create_account(&format!("found-{}", replica.sequence())).await.unwrap();
    }
    let hash = replica.engine.committed().read().state.trial_balance();
    replica.end().await;
    let again = TestReplica::with_media(&lost.restored, media(&lost.storage));
    again.leads().await;
    assert!(again.account("lost-0").is_none(), "the state of a dead history is served");
    assert_eq!(again.engine.committed().read().state.trial_balance(), hash);
    assert!(again.metrics.encode().contains("exchange_engine_recovery_seconds{source=\"journal\"}"));
    again.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_answers_later_makes_the_leader_step_down() {
    let lost = lost_tail(1).await;
    let store = lost.storage.endpoint.strip_prefix("http://").unwrap().to_owned();
    let proxy = Proxy::start("127.0.0.1:1").await;
    let late = ObjectStorage { endpoint: proxy.http(), ..lost.storage.clone() };
    let replica = TestReplica::with_media(&lost.restored, media(&late));
    replica.leads().await;
    assert!(replica.metrics.encode().contains("exchange_engine_history_checked 0"));
    // Beyond the dead snapshot, a sequence alone proves nothing.
    while replica.sequence() <= lost.through {
        replica.create_account(&format!("found-{}", replica.sequence())).await.unwrap();
    }
    proxy.point_to(&store);
    until("the server refuses", || async { refuses(&replica, lost.through) && !replica.engine.is_leader() }).await;
    admin(&lost.restored, &["loss", "declare", "--through", &lost.through.to_string()]).await;
    replica.leads().await;
    assert!(replica.metrics.encode().contains("exchange_engine_history_checked 1"));
    replica.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_answers_later_and_agrees_is_noted() {
    let url = database().await;
    let storage = bucket(local_parts::shared_object_store().await.unwrap()).await;
    let store = storage.endpoint.strip_prefix("http://").unwrap().to_owned();
    let proxy = Proxy::start("127.0.0.1:1").await;
    let replica = TestReplica::with_media(&url, media(&ObjectStorage { endpoint: proxy.http(), ..storage.clone() }));
    replica.leads().await;
    replica.create_account("one").await.unwrap();
    take_snapshot(&media(&storage), &replica).await;
    proxy.point_to(&store);
    until("the bucket is checked", || async { replica.metrics.encode().contains("exchange_engine_history_checked 1") }).await;
    assert!(replica.engine.is_leader());
    replica.end().await;
}

/// The database continues from another past of the same length.
#[tokio::test(flavor = "multi_thread")]
async fn a_running_replica_does_not_follow_another_past() {
    let url = database().await;
    let replica = TestReplica::leading(&url).await;
    replica.create_account("ours").await.unwrap();
    let (mut connection, mut payload) = (PgConnection::connect(&url).await.unwrap(), Vec::new());
    let mut exchange = connection.begin().await.unwrap();
    // Deposes the leader, whose next statement waits for this one.
    let last: i64 = sqlx::query_scalar("UPDATE head SET epoch = epoch + 1, released = true RETURNING last_seq")
        .fetch_one(&mut *exchange)
        .await
        .unwrap();
    let first: i64 = sqlx::query_scalar("SELECT max(first_seq) FROM journal").fetch_one(&mut *exchange).await.unwrap();
    batch::encode(&(first..=last).map(Event::Clock).collect::<Vec<_>>(), &mut payload);
    sqlx::query("UPDATE journal SET payload = $1, checksum = $2 WHERE first_seq = $3")
        .bind(&payload)
        .bind(i64::from(batch::checksum(&payload)))
        .bind(first)
        .execute(&mut *exchange)
        .await
        .unwrap();
    exchange.commit().await.unwrap();
    until("the replica refuses it", || async {
        replica.reason("database").is_some_and(|reason| reason.contains("history of this database differs"))
    })
    .await;
    assert!(replica.account("ours").is_some() && !replica.engine.is_leader());
    replica.stop.cancel();
}
