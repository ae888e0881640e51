//! Tests of synchronous replication: reads show only data that a standby has. A failover that loses nothing confirmed needs no
//! operator; every replica refuses one that loses something confirmed.

use std::time::{Duration, Instant};

use exchange::{
    db::{head, journal},
    engine::{CommandReply, SubmitError},
};
use exchange_core::{batch, event::Event};
use local_parts::{Postgres, PostgresOptions, StopMode};
use sqlx::{Connection, PgConnection};
use tokio::task::JoinHandle;

use crate::{
    eventually::{DEADLINE, eventually, until},
    proxy::{Proxy, server_of},
    replica::{TestReplica, create_account, database, execute, migrate, number},
};

/// A primary that waits for one of two standbys, and the address of its database.
struct Cluster {
    primary: Postgres,
    standbys: [Postgres; 2],
    url: String,
}

impl Cluster {
    async fn start() -> Self {
        let options = PostgresOptions::throwaway().set("max_connections", "100").set("wal_receiver_timeout", "5s");
        let primary = Postgres::start(options.clone()).await.unwrap();
        let url = primary.create_database("exchange").await.unwrap();
        migrate(&url).await;
        let standbys = [
            Postgres::standby_of(&primary, "s2", &options).await.unwrap(),
            Postgres::standby_of(&primary, "s3", &options).await.unwrap(),
        ];
        execute(&url, "ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (s2, s3)'").await;
        execute(&url, "SELECT pg_reload_conf()").await;
        until("both standbys are quorum candidates", || async {
            number(&url, "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'quorum'").await == 2
        })
        .await;
        Self { primary, standbys, url }
    }

    /// Crashes the primary and promotes standby `which`; if that standby was stopped, starts it first.
    async fn fail_over(&mut self, which: usize, proxies: &[&Proxy]) -> String {
        self.primary.stop(StopMode::Immediate).await.unwrap();
        if self.standbys[which].pid().is_none() {
            self.standbys[which].start_again().await.unwrap();
        }
        let url = self.standbys[which].url_of("exchange");
        execute(&url, "SELECT pg_promote()").await;
        for proxy in proxies {
            proxy.point_to(server_of(&url));
        }
        url
    }
}

/// A command that waits for a standby.
struct Alone {
    reference: String,
    answer: JoinHandle<Result<CommandReply, SubmitError>>,
    /// The last confirmed sequence: nothing above it can be confirmed.
    confirmed: u64,
}

/// Stops the last standby until a batch waits for one. If a heartbeat waits instead, no batch can follow it, because the next
/// leader's claim waits too: the standby returns for another attempt.
async fn a_batch_waits(cluster: &mut Cluster, replicas: [&TestReplica; 2]) -> Alone {
    const WAITING: &str = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    const APPENDS: &str = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE '%INTO journal%'";
    const SENDERS: &str = "SELECT count(*) FROM pg_stat_replication";
    let url = cluster.url.clone();
    let end = Instant::now() + DEADLINE;
    for attempt in 1.. {
        let leads = || async { replicas.into_iter().find(|replica| replica.engine.is_leader()) };
        let leader = eventually("a replica leads", leads).await;
        cluster.standbys[0].stop(StopMode::Fast).await.unwrap();
        // Until the sender's process ends, it may still read the standby's last answer.
        until("the primary knows no standby", || async { number(&url, SENDERS).await == 0 }).await;
        let (engine, reference) = (leader.engine.clone(), format!("alone-{attempt}"));
        let command = create_account(&reference);
        let answer = tokio::spawn(async move { engine.submit(command, None).await });
        until("a commit waits for a standby", || async { number(&url, WAITING).await > 0 }).await;
        if number(&url, APPENDS).await > 0 {
            return Alone { reference, answer, confirmed: leader.sequence() };
        }
        assert!(Instant::now() < end, "a heartbeat waited for a standby at every attempt");
        cluster.standbys[0].start_again().await.unwrap();
        until("no commit waits", || async { number(&url, WAITING).await == 0 }).await;
    }
    unreachable!("the attempts end at the deadline")
}

/// No standby answers; the leader's backend is ended, so that its batch becomes visible on the primary alone. Then the standby
/// with more WAL is promoted: it lacks that batch, but nothing that was confirmed.
#[tokio::test(flavor = "multi_thread")]
async fn an_unreplicated_batch_is_not_shown_and_its_loss_needs_no_person() {
    let mut cluster = Cluster::start().await;
    let proxy = Proxy::start(server_of(&cluster.url)).await;
    let url = proxy.url(&cluster.url);
    let (first, second) = (TestReplica::leading(&url).await, TestReplica::start(&url));
    first.create_account("replicated").await.unwrap();
    until("the follower has it", || async { second.account("replicated").is_some() }).await;

    cluster.standbys[1].stop(StopMode::Fast).await.unwrap();
    // From here on only the standby that is promoted later confirms, so it has everything that was confirmed before.
    first.create_account("by the other standby").await.unwrap();
    let Alone { reference, answer, confirmed } = a_batch_waits(&mut cluster, [&first, &second]).await;
    execute(&cluster.url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'").await;
    let shown = "SELECT max(last_seq) FROM journal";
    until("the primary shows the batch", || async { number(&cluster.url, shown).await > confirmed as i64 }).await;
    // The followers poll ten times a second: wait for several polls.
    let looks = Instant::now() + Duration::from_millis(1500);
    until("several polls have passed", || async {
        assert!(second.sequence() <= confirmed && first.sequence() <= confirmed, "an unconfirmed batch is shown");
        assert!(second.account(&reference).is_none(), "a batch that no standby has is shown");
        assert!(first.account(&reference).is_none(), "a batch that no standby has is shown by its leader");
        Instant::now() > looks
    })
    .await;

    let promoted = cluster.fail_over(0, &[&proxy]).await;
    until("one of them leads again", || async { first.engine.is_leader() || second.engine.is_leader() }).await;
    assert!(answer.await.unwrap().is_err(), "the lost command was not acknowledged");
    let leader = if first.engine.is_leader() { &first } else { &second };
    leader.create_account("afterwards").await.unwrap();
    until("both follow", || async { first.account("afterwards").is_some() && second.account("afterwards").is_some() }).await;
    let mut connection = PgConnection::connect(&promoted).await.unwrap();
    let there = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM journal WHERE position($1 in payload) > 0");
    assert_eq!(there.bind(reference.as_bytes()).fetch_one(&mut connection).await.unwrap(), 0);
    assert!(first.account(&reference).is_none() && second.account(&reference).is_none());
    first.stop.cancel();
    second.stop.cancel();
}

/// The promoted standby lacks events that another standby had confirmed.
#[tokio::test(flavor = "multi_thread")]
async fn a_standby_without_a_confirmed_batch_is_refused_by_all() {
    let mut cluster = Cluster::start().await;
    let proxy = Proxy::start(server_of(&cluster.url)).await;
    let url = proxy.url(&cluster.url);
    let (first, second) = (TestReplica::leading(&url).await, TestReplica::start(&url));
    first.create_account("early").await.unwrap();
    cluster.standbys[1].stop(StopMode::Fast).await.unwrap();
    first.create_account("confirmed").await.unwrap();
    until("the follower has it", || async { second.account("confirmed").is_some() }).await;

    let promoted = cluster.fail_over(1, &[&proxy]).await;
    for replica in [&first, &second] {
        until("the replica refuses the database", || async {
            replica.reason("database").is_some_and(|reason| reason.contains("was confirmed"))
        })
        .await;
    }
    let epoch = number(&promoted, "SELECT epoch FROM head").await;
    assert!(!first.engine.is_leader() && !second.engine.is_leader());
    assert_eq!(number(&promoted, "SELECT epoch FROM head").await, epoch, "no replica claimed it");
    assert!(first.account("confirmed").is_some() && second.account("confirmed").is_some());
    first.stop.cancel();
    second.stop.cancel();
}

/// A leader of the previous release does not record confirmations: its newest batch confirms the one before.
#[tokio::test]
async fn under_a_previous_leader_a_batch_confirms_its_predecessor() {
    let url = database().await;
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let confirmed = async |connection: &mut PgConnection| {
        let head = head::read_head(connection).await.unwrap();
        assert_eq!(head::confirmed(connection).await.unwrap(), head.confirmed_seq);
        (head.confirmed_seq, head.confirmed_epoch)
    };
    execute(&url, "UPDATE head SET epoch = 1, released = false").await;
    assert_eq!(confirmed(&mut connection).await, (0, 0));
    append_as_before(&url, 1, 0, 3).await;
    assert_eq!(confirmed(&mut connection).await, (0, 1));
    append_as_before(&url, 1, 3, 5).await;
    assert_eq!(confirmed(&mut connection).await, (3, 1));
    // A claim alone confirms nothing, in either release.
    execute(&url, "UPDATE head SET epoch = 2").await;
    assert_eq!(confirmed(&mut connection).await, (3, 1));
    // This release's claim, with a clean answer.
    assert!(head::confirm(&mut connection, 2).await.unwrap());
    assert_eq!(confirmed(&mut connection).await, (5, 2));
    // The previous release again: the row of epoch 2 does not confirm its batches.
    execute(&url, "UPDATE head SET epoch = 3").await;
    append_as_before(&url, 3, 5, 6).await;
    assert_eq!(confirmed(&mut connection).await, (5, 3));
    append_as_before(&url, 3, 6, 7).await;
    assert_eq!(confirmed(&mut connection).await, (6, 3));
}

/// The statement of the previous release.
async fn append_as_before(url: &str, epoch: i64, previous: i64, last: i64) {
    let mut payload = Vec::new();
    batch::encode(&(previous + 1..=last).map(Event::Clock).collect::<Vec<_>>(), &mut payload);
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::query(
        "WITH fenced AS (
             UPDATE head SET last_seq = $3, beat = clock_timestamp() WHERE epoch = $1 AND last_seq = $2 RETURNING 1
         )
         INSERT INTO journal (first_seq, last_seq, epoch, checksum, payload) SELECT $2 + 1, $3, $1, $4, $5 FROM fenced",
    )
    .bind(epoch)
    .bind(previous)
    .bind(last)
    .bind(i64::from(batch::checksum(&payload)))
    .bind(&payload)
    .execute(&mut connection)
    .await
    .unwrap();
}

/// If a batch is visible only on the primary, the journal's readers stop at the leader's confirmed sequence.
#[tokio::test]
async fn a_batch_that_the_leader_did_not_confirm_is_not_read() {
    let url = database().await;
    let leader = TestReplica::leading(&url).await;
    leader.create_account("confirmed").await.unwrap();
    leader.end().await;
    execute(&url, "UPDATE head SET epoch = epoch + 1, released = false, beat = clock_timestamp() + interval '1 hour'").await;
    let (epoch, last) = (number(&url, "SELECT epoch FROM head").await, number(&url, "SELECT last_seq FROM head").await);
    let mut connection = PgConnection::connect(&url).await.unwrap();
    // According to the row the leader lives, and has sent a batch without an answer yet.
    lead_from(&mut connection).await;
    let mut payload = Vec::new();
    batch::encode(&[Event::AccountCreated { account: 3, reference: "unconfirmed".into() }], &mut payload);
    let append = journal::Append {
        epoch,
        previous_sequence: last,
        last_sequence: last + 1,
        checksum: batch::checksum(&payload),
        payload: &payload,
    };
    assert!(journal::append_batch(&mut connection, append).await.unwrap());
    let follower = TestReplica::start(&url);
    until("the follower is at the confirmed end", || async { follower.sequence() == last as u64 }).await;
    assert!(follower.account("confirmed").is_some() && follower.account("unconfirmed").is_none());
    assert!(head::beat(&mut connection, epoch).await.unwrap());
    until("the follower continues to read", || async { follower.account("unconfirmed").is_some() }).await;
    follower.stop.cancel();
}

/// Makes this session the leader's.
async fn lead_from(connection: &mut PgConnection) {
    sqlx::query(
        "UPDATE head SET backend_pid = pg_backend_pid(),
             backend_start = (SELECT backend_start FROM pg_stat_get_activity(pg_backend_pid()))",
    )
    .execute(connection)
    .await
    .unwrap();
}
