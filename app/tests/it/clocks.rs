//! Tests of wrong clocks: a clock ahead of the database's writes no time, and an operator sets back journal time that ran ahead.

use std::time::{SystemTime, UNIX_EPOCH};

use exchange::db::journal::{self, Append};
use exchange_core::{batch, event::Event, money::Time};
use sqlx::{Connection, PgConnection};

use crate::{
    eventually::until,
    processes::{admin, try_admin},
    replica::{TestReplica, database, number},
};

const DAY: Time = 86_400_000_000;

fn now() -> Time {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as Time
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_clock_steps_releases_the_head() {
    for step in [DAY, 3_000_000, -3_000_000] {
        let url = database().await;
        let wrong = TestReplica::leading(&url).await;
        wrong.create_account("before").await.unwrap();
        wrong.clock.step(step);
        assert!(wrong.create_account("at a wrong time").await.is_err());
        until("it reports why it does not lead", || async {
            wrong.reason("lead").is_some_and(|reason| reason.contains("EXCHANGE_CLOCK_BOUND"))
        })
        .await;
        let right = TestReplica::leading(&url).await;
        right.create_account("after").await.unwrap();
        let journal_time = right.engine.committed().read().state.now();
        assert!((journal_time - now()).abs() < 2_000_000, "journal time is {} µs off", journal_time - now());
        until("it follows", || async { wrong.account("after").is_some() }).await;
        assert!(wrong.account("at a wrong time").is_none());
        assert!(wrong.metrics.encode().contains("exchange_engine_clock_deviates 1"));
        // With the right clock again, it may lead.
        wrong.clock.step(0);
        right.end().await;
        wrong.leads().await;
        wrong.end().await;
    }
}

/// A journal whose time an earlier release moved a day ahead.
async fn ahead(url: &str) {
    let replica = TestReplica::leading(url).await;
    replica.create_account("before").await.unwrap();
    replica.end().await;
    let mut connection = PgConnection::connect(url).await.unwrap();
    let (epoch, last) = (number(url, "SELECT epoch FROM head").await, number(url, "SELECT last_seq FROM head").await);
    let mut payload = Vec::new();
    batch::encode(&[Event::Clock(now() + DAY)], &mut payload);
    let append = Append {
        epoch,
        previous_sequence: last,
        last_sequence: last + 1,
        checksum: batch::checksum(&payload),
        payload: &payload,
    };
    assert!(journal::append_batch(&mut connection, append).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sets_journal_time_back() {
    let url = database().await;
    ahead(&url).await;
    let replica = TestReplica::start(&url);
    until("it does not lead", || async { replica.reason("lead").is_some_and(|reason| reason.contains("behind the journal")) })
        .await;
    // While any clock disagrees, the wrong one might be right.
    replica.clock.step(DAY);
    until("the server reports it", || async { number(&url, "SELECT max(abs(clock_offset)) FROM replicas").await > DAY / 2 })
        .await;
    let refused = try_admin(&url, &["time", "set-back"]).await.unwrap_err();
    assert!(refused.contains("the clock of the server at"), "{refused}");
    replica.clock.step(0);
    until("the server's clock is right again", || async {
        number(&url, "SELECT max(abs(clock_offset)) FROM replicas").await < 400_000
    })
    .await;
    let before = replica.account("before");
    let answer = admin(&url, &["time", "set-back"]).await;
    assert!(answer["aheadMilliseconds"].as_i64().is_some_and(|ahead| ahead > 86_000_000), "{answer}");
    replica.leads().await;
    replica.create_account("after").await.unwrap();
    let journal_time = replica.engine.committed().read().state.now();
    assert!((journal_time - now()).abs() < 2_000_000, "journal time is {} µs off", journal_time - now());
    assert!(replica.account("after") > before, "ids continue to rise");
    until("the declaration is marked", || async {
        number(&url, "SELECT count(*) FROM declarations WHERE journalled_seq IS NULL").await == 0
    })
    .await;
    let refused = try_admin(&url, &["time", "set-back"]).await.unwrap_err();
    assert!(refused.contains("nothing to set back"), "{refused}");
    replica.end().await;
    let again = TestReplica::leading(&url).await;
    assert!(again.account("after").is_some());
    again.end().await;
}
