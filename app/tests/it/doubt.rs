//! Tests of a commit with an unknown outcome, and of one that failed: every client gets the true outcome, and memory equals the
//! journal again.

use exchange::engine::SubmitError;
use exchange_core::command::Outcome;

use crate::{
    proxy::{Cut, Proxy, server_of},
    replica::{TestReplica, database, execute, number},
};

#[tokio::test]
async fn cut_before_the_statement_arrived_nothing_was_executed() {
    let url = database().await;
    let proxy = Proxy::start(server_of(&url)).await;
    let replica = TestReplica::leading(&proxy.url(&url)).await;
    replica.create_account("before").await.unwrap();
    proxy.cut_at("doubtful", Cut::BeforeRequest);
    assert_eq!(replica.create_account("doubtful").await, Err(SubmitError::Unavailable));
    replica.leads().await;
    assert_eq!(replica.account("doubtful"), None);
    assert_eq!(number(&url, "SELECT count(*) FROM journal WHERE position('doubtful'::bytea in payload) > 0").await, 0);
    // As if it had never been sent: the next account gets the next id.
    let (Outcome::AccountCreated(id), before) =
        (replica.create_account("after").await.unwrap().outcome, replica.account("before"))
    else {
        panic!("an account")
    };
    assert_eq!(Some(id - 1), before);
    replica.end().await;
}

#[tokio::test]
async fn cut_after_the_commit_the_true_answer_is_given() {
    let url = database().await;
    let proxy = Proxy::start(server_of(&url)).await;
    let replica = TestReplica::leading(&proxy.url(&url)).await;
    let epoch = number(&url, "SELECT epoch FROM head").await;
    proxy.cut_at("doubtful", Cut::BeforeReply);
    let Ok(reply) = replica.create_account("doubtful").await else { panic!("it was committed") };
    let Outcome::AccountCreated(id) = reply.outcome else { panic!("an account") };
    assert_eq!(replica.account("doubtful"), Some(id));
    assert_eq!(number(&url, "SELECT count(*) FROM journal WHERE position('doubtful'::bytea in payload) > 0").await, 1);
    // The outcome was read behind a fence.
    assert!(number(&url, "SELECT epoch FROM head").await > epoch);
    replica.leads().await;
    replica.create_account("after").await.unwrap();
    replica.end().await;
    assert_restart_agrees(&url, &["doubtful", "after"]).await;
}

#[tokio::test]
async fn a_failed_commit_leaves_nothing_behind() {
    let url = database().await;
    let replica = TestReplica::leading(&url).await;
    replica.create_account("before").await.unwrap();
    execute(&url, "ALTER TABLE journal ADD CONSTRAINT broken CHECK (position('unlucky'::bytea in payload) = 0) NOT VALID").await;
    assert_eq!(replica.create_account("unlucky").await, Err(SubmitError::Unavailable));
    execute(&url, "ALTER TABLE journal DROP CONSTRAINT broken").await;
    replica.leads().await;
    assert_eq!(replica.account("unlucky"), None);
    let Outcome::AccountCreated(id) = replica.create_account("unlucky").await.unwrap().outcome else { panic!("an account") };
    assert_eq!(Some(id - 1), replica.account("before"), "the failed command took no id");
    replica.end().await;
    assert_restart_agrees(&url, &["before", "unlucky"]).await;
}

/// Only the batch of the account `alone` waits for a standby, and no standby exists.
const ONLY_ALONE_WAITS: [&str; 7] = [
    "CREATE TABLE probe (moment timestamptz)",
    "CREATE FUNCTION does_not_wait() RETURNS trigger LANGUAGE plpgsql AS
     $$ BEGIN PERFORM set_config('synchronous_commit', 'local', true); RETURN NEW; END $$",
    "CREATE TRIGGER does_not_wait BEFORE UPDATE ON head FOR EACH ROW EXECUTE FUNCTION does_not_wait()",
    "CREATE FUNCTION waits() RETURNS trigger LANGUAGE plpgsql AS
     $$ BEGIN PERFORM set_config('synchronous_commit', 'on', true); RETURN NEW; END $$",
    "CREATE TRIGGER waits BEFORE INSERT ON journal FOR EACH ROW
     WHEN (position('alone'::bytea in NEW.payload) > 0) EXECUTE FUNCTION waits()",
    "ALTER SYSTEM SET synchronous_standby_names = 'absent'",
    "SELECT pg_reload_conf()",
];

/// PostgreSQL reports success when the wait for a standby is cancelled. The leader checks again, behind a fence.
#[tokio::test]
async fn a_commit_that_was_not_waited_for_is_looked_up() {
    let postgres = local_parts::Postgres::start(local_parts::SharedPostgres::options()).await.unwrap();
    let url = postgres.create_database("standby").await.unwrap();
    crate::replica::migrate(&url).await;
    // A default that hides warnings must not hide this one.
    execute(&url, "ALTER DATABASE standby SET client_min_messages = error").await;
    let replica = TestReplica::leading(&url).await;
    let epoch = number(&url, "SELECT epoch FROM head").await;
    for statement in ONLY_ALONE_WAITS {
        execute(&url, statement).await;
    }
    // The server applies the setting with a delay: until then commits do not wait.
    crate::eventually::until("commits wait for the standby", || async {
        let committing = execute(&url, "INSERT INTO probe VALUES (now())");
        tokio::time::timeout(std::time::Duration::from_millis(200), committing).await.is_err()
    })
    .await;
    let creating = tokio::spawn({
        let engine = replica.engine.clone();
        async move { engine.submit(crate::replica::create_account("alone"), None).await }
    });
    crate::eventually::until("the commit waits for the standby, and the wait is cancelled", || async {
        assert!(!creating.is_finished(), "it was acknowledged though no standby has it");
        let cancel = "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity
                      WHERE wait_event = 'SyncRep' AND application_name = 'exchange journal'";
        number(&url, cancel).await > 0
    })
    .await;
    creating.await.unwrap().unwrap();
    replica.leads().await;
    assert!(number(&url, "SELECT epoch FROM head").await > epoch, "there was a fence");
    let looked_up = "exchange_engine_unknown_commits_total{found=\"committed\"} 1";
    assert!(replica.metrics.encode().contains(looked_up), "{}", replica.metrics.encode());
    replica.end().await;
}

/// The database does not answer before the deadline: the client receives an unknown outcome. Afterwards memory equals the
/// journal.
#[tokio::test]
async fn past_the_deadline_the_outcome_is_unknown() {
    let url = database().await;
    let proxy = Proxy::start(server_of(&url)).await;
    let replica = TestReplica::leading(&proxy.url(&url)).await;
    // A heartbeat may be in flight at that moment. Then the command is never sent, and the answer is "unavailable": try again.
    let mut outcome = Err(SubmitError::Unavailable);
    for _ in 0..10 {
        proxy.stall();
        outcome = replica.create_account("doubtful").await;
        if outcome != Err(SubmitError::Unavailable) {
            break;
        }
        proxy.resume();
        replica.leads().await;
    }
    assert_eq!(outcome, Err(SubmitError::Unknown));
    let told = "exchange_engine_unknown_commits_total{found=\"unknown\"} 1";
    assert!(replica.metrics.encode().contains(told), "{}", replica.metrics.encode());
    proxy.resume();
    replica.leads().await;
    replica.create_account("after").await.unwrap();
    let written = number(&url, "SELECT count(*) FROM journal WHERE position('doubtful'::bytea in payload) > 0").await;
    assert_eq!(replica.account("doubtful").is_some(), written == 1, "{written} written");
    replica.end().await;
    assert_restart_agrees(&url, &["after"]).await;
}

async fn assert_restart_agrees(url: &str, references: &[&str]) {
    let again = TestReplica::leading(url).await;
    for reference in references {
        assert!(again.account(reference).is_some(), "{reference}");
    }
    again.end().await;
}
