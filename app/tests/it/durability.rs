//! Tests that every answered command is in the journal, and still exists after a restart.

use exchange_core::command::Outcome;

use crate::replica::{TestReplica, database, number};

#[tokio::test]
async fn an_answer_comes_after_its_commit_and_survives_a_restart() {
    let url = database().await;
    let replica = TestReplica::leading(&url).await;
    let mut waiting = tokio::task::JoinSet::new();
    for number in 0..200 {
        let engine = replica.engine.clone();
        waiting.spawn(async move {
            let reference = format!("account-{number}");
            let reply = engine.submit(crate::replica::create_account(&reference), None).await.unwrap();
            // Immediately: the read model already contains it.
            let Outcome::AccountCreated(id) = reply.outcome else { panic!("{:?}", reply.outcome) };
            let account = engine.committed().read().state.account_by_reference(&reference).map(|account| account.id);
            assert_eq!(account, Some(id));
            (reference, id, reply.sequence)
        });
        // Some share a batch, some do not.
        if number % 50 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let mut answered = Vec::new();
    while let Some(reply) = waiting.join_next().await {
        let (reference, id, sequence) = reply.unwrap();
        assert!(
            number(&url, "SELECT last_seq FROM head").await as u64 >= sequence,
            "{reference} was answered before it was durable"
        );
        answered.push((reference, id));
    }
    let mut ids: Vec<_> = answered.iter().map(|(_, id)| *id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 200, "each account was created once");
    let hash = replica.engine.committed().read().state.hash();
    let sequence = replica.sequence();
    replica.end().await;

    let again = TestReplica::leading(&url).await;
    for (reference, id) in answered {
        assert_eq!(again.account(&reference), Some(id));
    }
    // The second replica leads: its first tick may already be there, and changes only time.
    if again.sequence() == sequence {
        assert_eq!(again.engine.committed().read().state.hash(), hash);
    }
    again.end().await;
}

#[tokio::test]
async fn batches_are_whole_and_follow_each_other() {
    let url = database().await;
    let replica = TestReplica::leading(&url).await;
    for account in 0..20 {
        replica.create_account(&format!("account-{account}")).await.unwrap();
    }
    replica.end().await;
    let gaps = "SELECT count(*) FROM (
        SELECT first_seq - lag(last_seq, 1, 0::bigint) OVER (ORDER BY first_seq) AS step FROM journal) AS steps WHERE step <> 1";
    assert_eq!(number(&url, gaps).await, 0);
    assert_eq!(number(&url, "SELECT (SELECT max(last_seq) FROM journal) - last_seq FROM head").await, 0);
}

#[tokio::test]
async fn the_same_reference_again_gives_the_first_answer() {
    let url = database().await;
    let replica = TestReplica::leading(&url).await;
    let first = replica.create_account("one").await.unwrap().outcome;
    let second = replica.create_account("one").await.unwrap().outcome;
    assert_eq!(first, second);
    replica.end().await;
}

#[tokio::test]
async fn time_passes_in_an_idle_journal() {
    let url = database().await;
    let replica = TestReplica::leading(&url).await;
    let begun = replica.engine.committed().read().state.now();
    crate::eventually::until("two ticks", || async { replica.engine.committed().read().state.now() >= begun + 2_000_000 }).await;
    replica.end().await;
}
