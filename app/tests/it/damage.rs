//! Tests of a damaged journal: it stops the start, with a message that names the batch and the remedy.

use exchange_core::batch;
use sqlx::AssertSqlSafe;

use crate::replica::{TestReplica, database, execute};

async fn damaged(damage: impl Into<String>) -> String {
    let url = database().await;
    let replica = TestReplica::leading(&url).await;
    for account in 0..3 {
        replica.create_account(&format!("account-{account}")).await.unwrap();
    }
    replica.end().await;
    execute(&url, AssertSqlSafe(damage.into())).await;
    let replica = TestReplica::start(&url);
    let error = tokio::time::timeout(crate::eventually::DEADLINE, replica.task).await.expect("it stops").unwrap().unwrap_err();
    assert!(replica.health.latches().iter().any(|latch| latch.name == "journal" && latch.reason.is_some()));
    format!("{error:#}")
}

#[tokio::test]
async fn an_altered_batch_is_named() {
    let message = damaged(
        "UPDATE journal SET payload = set_byte(payload, length(payload) - 1, get_byte(payload, length(payload) - 1) # 1)
         WHERE position('account-1'::bytea in payload) > 0",
    )
    .await;
    assert!(message.starts_with("the journal batch that starts at sequence "), "{message}");
    assert!(
        message.contains("is corrupt: its checksum is 0x") && message.contains("Restore the last verified backup"),
        "{message}"
    );
}

#[tokio::test]
async fn a_missing_batch_is_named() {
    let message = damaged("DELETE FROM journal WHERE position('account-1'::bytea in payload) > 0").await;
    assert!(message.starts_with("the journal lacks the batches with sequences "), "{message}");
    assert!(message.contains("the batch after them exists"), "{message}");
}

#[tokio::test]
async fn a_missing_end_is_named() {
    let message = damaged("DELETE FROM journal WHERE first_seq = (SELECT max(first_seq) FROM journal)").await;
    assert!(message.contains("the head states that they were committed"), "{message}");
}

#[tokio::test]
async fn a_batch_of_a_later_format_names_the_remedy() {
    let payload = [batch::FORMAT + 1, 1];
    let message = damaged(format!(
        "WITH last AS (SELECT max(first_seq) AS first_seq FROM journal)
         UPDATE journal SET payload = '\\x{:02x}{:02x}', checksum = {} FROM last WHERE journal.first_seq = last.first_seq",
        payload[0],
        payload[1],
        batch::checksum(&payload)
    ))
    .await;
    assert!(message.contains("run the release that wrote it"), "{message}");
}

/// The data is intact: a restore would lose acknowledged orders.
#[tokio::test]
async fn a_batch_of_a_newer_level_asks_for_an_upgrade() {
    let mut payload = Vec::new();
    batch::header(exchange_core::event::FEATURE_LEVEL + 1, 1, &mut payload);
    payload.push(250);
    let message = damaged(format!(
        "WITH last AS (SELECT max(first_seq) AS first_seq FROM journal)
         UPDATE journal SET payload = '\\x{}', checksum = {} FROM last WHERE journal.first_seq = last.first_seq",
        hex::encode(&payload),
        batch::checksum(&payload)
    ))
    .await;
    let reads = exchange_core::event::FEATURE_LEVEL;
    let levels = format!("feature level {} (this release reads {reads})", reads + 1);
    assert!(message.contains(&levels) && message.contains("a newer release wrote it"), "{message}");
    assert!(!message.contains("corrupt") && !message.contains("backup"), "{message}");
}
