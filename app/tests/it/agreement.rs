//! Tests of what replicas tell each other: the confirmed sequence that a peer knows, hashes of their states, and request weights.

use exchange::db::journal;
use exchange_core::{State, batch, event::Event};
use futures::StreamExt;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::{
    eventually::{eventually, until},
    lost_tail::copy,
    processes::admin,
    replica::{TestReplica, create_account, database, execute, number},
    test_app::TestApp,
};

/// A server that knows more than an older copy of its database, which lists that server.
async fn peer_and_older_copy() -> (TestApp, String) {
    let complete = database().await;
    let replica = TestReplica::leading(&complete).await;
    replica.create_account("before").await.unwrap();
    replica.end().await;
    let restored = copy(&complete).await;
    let peer = TestApp::on(complete, |_| {}).await;
    peer.engine.submit(create_account("lost"), None).await.unwrap();
    let report = format!(
        "INSERT INTO replicas (address, reported_at, clock_offset) VALUES ('{}', clock_timestamp(), 0)",
        peer.internal.strip_prefix("http://").unwrap()
    );
    execute(&restored, AssertSqlSafe(report)).await;
    (peer, restored)
}

/// The sequence that the refusal names.
async fn refused_sequence(replica: &TestReplica) -> String {
    eventually("the replica refuses", || async {
        let reason = replica.reason("database")?;
        reason.contains("according to the server at").then(|| reason.rsplit_once("--through ").unwrap().1.to_owned())
    })
    .await
}

/// A server that starts on an older database knows nothing itself, and has no bucket.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_below_what_a_peer_knows_is_refused() {
    let (peer, restored) = peer_and_older_copy().await;
    let late = TestReplica::with_token(&restored, crate::test_app::INTERNAL_TOKEN);
    let through = refused_sequence(&late).await;
    assert!(through.parse::<u64>().unwrap() <= peer.engine.committed().read().state.sequence());
    assert_eq!(number(&restored, "SELECT epoch FROM head").await, 1, "no replica claimed it");
    assert!(!late.engine.is_leader() && !late.health.is_ready());

    // The peer's own history continues, so the operator declares enough for the next events too.
    let through = (through.parse::<u64>().unwrap() + 10_000).to_string();
    admin(&restored, &["loss", "declare", "--through", &through, "--unreported"]).await;
    late.leads().await;
    late.end().await;
    peer.end().await;
}

/// A peer that does not answer proves nothing, so one lost machine does not stop the others.
#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_ended_does_not_stop_the_others() {
    let (peer, restored) = peer_and_older_copy().await;
    let stranger = TestReplica::with_token(&restored, "another token");
    stranger.leads().await;
    stranger.end().await;
    peer.end().await;
    let late = TestReplica::with_token(&restored, crate::test_app::INTERNAL_TOKEN);
    late.leads().await;
    late.end().await;
}

async fn events(url: &str) -> Vec<Event> {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let batches: Vec<_> = journal::stream(&mut connection, 0, i64::MAX).collect().await;
    batches.iter().flat_map(|stored| batch::decode(stored.as_ref().unwrap().payload().unwrap()).unwrap()).collect()
}

/// Replaces the server's state by one that differs in the reference of an account, at the same sequence.
async fn forge(app: &TestApp) {
    until("the state is forged", || async {
        let events = events(&app.database_url).await;
        let mut committed = app.engine.committed().write();
        if committed.state.sequence() != events.len() as u64 {
            return false;
        }
        let mut forged = State::new();
        for event in events {
            match event {
                Event::AccountCreated { account, .. } => {
                    forged.evolve(&Event::AccountCreated { account, reference: "forged".into() });
                }
                event => forged.evolve(&event),
            }
        }
        committed.state = forged;
        true
    })
    .await;
}

fn knows(app: &TestApp, reference: &str) -> bool {
    app.engine.committed().read().state.account_by_reference(reference).is_some()
}

async fn sample(app: &TestApp, series: &str) -> u64 {
    let text = app.http.get(format!("{}/metrics", app.admin)).send().await.unwrap().text().await.unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')).map(str::to_owned);
    line.unwrap_or_else(|| panic!("no series {series}")).parse().unwrap()
}

/// A leader and a follower that compared their states at least once.
async fn compared_pair() -> (TestApp, TestApp) {
    let leader = TestApp::start().await;
    leader.engine.submit(create_account("real"), None).await.unwrap();
    let follower = TestApp::on(leader.database_url.clone(), |_| {}).await;
    until("the states were compared", || async { sample(&follower, "exchange_follower_compared_states_total").await > 1 }).await;
    assert_eq!(sample(&follower, "exchange_follower_differing_states_total{wrong=\"self\"}").await, 0);
    (leader, follower)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_differs_is_rebuilt_from_the_journal() {
    let (leader, follower) = compared_pair().await;
    forge(&follower).await;
    assert!(!knows(&follower, "real"));
    until("the follower has the journal's state", || async { knows(&follower, "real") && !knows(&follower, "forged") }).await;
    assert_eq!(sample(&follower, "exchange_follower_differing_states_total{wrong=\"self\"}").await, 1);
    assert_eq!(sample(&follower, "exchange_follower_differing_states_total{wrong=\"leader\"}").await, 0);
    assert!(leader.engine.is_leader() && follower.health.is_ready());
    leader.engine.submit(create_account("later"), None).await.unwrap();
    until("the follower follows", || async { knows(&follower, "later") }).await;
    let compared = sample(&follower, "exchange_follower_compared_states_total").await;
    until("the states are compared again", || async {
        sample(&follower, "exchange_follower_compared_states_total").await > compared + 1
    })
    .await;
    assert_eq!(sample(&follower, "exchange_follower_differing_states_total{wrong=\"self\"}").await, 1, "they agree");
    follower.end().await;
    leader.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_differs_steps_down_and_is_rebuilt() {
    let (leader, follower) = compared_pair().await;
    forge(&leader).await;
    // Whichever is faster: the deposed server may lead again once its state is the journal's.
    let rebuilt = || knows(&leader, "real") && !knows(&leader, "forged");
    let leads = async || match (follower.engine.is_leader(), leader.engine.is_leader() && rebuilt()) {
        (true, _) => Some(&follower),
        (_, true) => Some(&leader),
        _ => None,
    };
    let leading = eventually("a server with the journal's state leads", leads).await;
    assert_eq!(sample(&follower, "exchange_follower_differing_states_total{wrong=\"leader\"}").await, 1);
    assert_eq!(sample(&follower, "exchange_follower_differing_states_total{wrong=\"self\"}").await, 0);
    until("the deposed server has the journal's state", || async { rebuilt() }).await;
    leading.engine.submit(create_account("later"), None).await.unwrap();
    for server in [&leader, &follower] {
        until("each server has what comes after", || async { knows(server, "later") && server.health.is_ready() }).await;
    }
    leader.end().await;
    follower.end().await;
}

const WEIGHT: u32 = 600;

async fn ping(app: &TestApp, address: &str) -> u16 {
    let request = app.http.get(format!("{}/api/v3/ping", app.api)).header("X-Forwarded-For", address);
    request.send().await.unwrap().status().as_u16()
}

fn minute() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() / 60
}

/// Answers with 200 until each of the servers refuses the address.
async fn use_up(apps: &[&TestApp], address: &str) -> u32 {
    let clients = apps.iter().flat_map(|app| [app; 4]).map(|app| async move {
        let mut answered = 0;
        while ping(app, address).await == 200 {
            answered += 1;
        }
        answered
    });
    futures::future::join_all(clients).await.into_iter().sum()
}

/// A client that spreads its requests over three servers, as fast as they answer, gets at most a tenth more than the limit. A
/// server that starts, and the servers that remain after the leader ended, refuse it too.
#[tokio::test(flavor = "multi_thread")]
async fn the_weight_of_an_address_holds_across_replicas() {
    let change = |settings: &mut exchange::config::ServeSettings| {
        settings.rate_limits.weight_1m = WEIGHT;
        settings.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    };
    let leader = TestApp::on(database().await, change).await;
    leader.engine.submit(create_account("first"), None).await.unwrap();
    let [second, third] =
        [TestApp::on(leader.database_url.clone(), change).await, TestApp::on(leader.database_url.clone(), change).await];
    until("both followers are connected", || async { leader.engine.followers() == 2 }).await;
    let late = TestApp::on(leader.database_url.clone(), change).await;
    let mut number = 0;
    // Repeated if a minute of the limit ends in between.
    loop {
        number += 1;
        let (address, begun) = (format!("203.0.113.{number}"), minute());
        let answered = use_up(&[&leader, &second, &third], &address).await;
        let at_the_late_one = eventually("it knows the weight", || async {
            (ping(&late, &address).await != 200).then_some(()).or((minute() != begun).then_some(()))
        });
        at_the_late_one.await;
        if minute() == begun {
            assert!((WEIGHT..=WEIGHT + WEIGHT / 10).contains(&answered), "{answered} requests of {WEIGHT}");
            break;
        }
    }
    // The leader ends: nothing is refunded, on those that remain and on one that starts.
    loop {
        number += 1;
        let (address, begun) = (format!("203.0.113.{number}"), minute());
        use_up(&[&leader], &address).await;
        until("the followers know it", || async {
            ping(&second, &address).await != 200 && ping(&third, &address).await != 200 || minute() != begun
        })
        .await;
        if minute() == begun {
            leader.end().await;
            until("another server leads", || async { [&second, &third, &late].iter().any(|app| app.engine.is_leader()) }).await;
            let fresh = TestApp::on(second.database_url.clone(), change).await;
            until("the fresh server knows the weight", || async { ping(&fresh, &address).await != 200 || minute() != begun })
                .await;
            let refused = [ping(&second, &address).await, ping(&third, &address).await, ping(&late, &address).await];
            assert!(!refused.contains(&200) || minute() != begun, "{refused:?}");
            fresh.end().await;
            break;
        }
    }
    for app in [late, third, second] {
        app.end().await;
    }
}
