//! Tests that the journal has every change with its actor and reason, and no entry for a query.

use sqlx::PgPool;

use super::command::{ACTOR, Operator, REASON};
use crate::{exchange::Exchange, worker::test_worker::TestWorker};

async fn journalled(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar("SELECT action FROM operator_actions WHERE actor = $1 AND reason = $2 ORDER BY sequence")
        .bind(ACTOR)
        .bind(REASON)
        .fetch_all(pool)
        .await
        .unwrap()
}

#[tokio::test]
async fn every_change_is_journalled_with_who_and_why() {
    let exchange = Exchange::start().await;
    let operator = Operator::of(&exchange);
    let changes: [(&[&str], &str); 14] = [
        (&["asset", "create", "ETH"], "create asset ETH"),
        (&["market", "create", "ETHUSDT", "--base", "ETH", "--quote", "USDT"], "create market ETHUSDT"),
        (&["market", "set-filters", "ETHUSDT", "--min-notional", "9"], "set filters of ETHUSDT"),
        (
            &["market", "set-fees", "ETHUSDT", "--maker-rate", "0"],
            "set commission of ETHUSDT to maker 0.00000000 taker 0.00100000",
        ),
        (&["market", "halt", "ETHUSDT"], "set status of ETHUSDT to HALT"),
        (&["market", "resume", "ETHUSDT"], "set status of ETHUSDT to TRADING"),
        (&["account", "create", "trader"], "create account "),
        (&["account", "set-fees", "trader", "--maker-rate", "0", "--taker-rate", "0"], "set commission of account "),
        (&["account", "freeze", "trader"], "set rights of account "),
        (&["account", "unfreeze", "trader"], "set rights of account "),
        (&["account", "cancel-orders", "trader"], "cancel the orders of account "),
        (&["credit", "trader", "BTC", "1", "--reference", "in"], "credit account "),
        (&["debit", "trader", "BTC", "1", "--reference", "out"], "debit account "),
        (&["api-key", "create", "trader"], "create API key"),
    ];
    for (arguments, _) in changes {
        operator.does(arguments).await;
    }
    let keys = operator.does(&["api-key", "list", "trader"]).await;
    let key = keys[0]["apiKey"].as_str().unwrap();
    operator.does(&["api-key", "revoke", key]).await;
    for looking in
        [&["market", "list"][..], &["account", "show", "trader"], &["account", "ledger", "trader"], &["api-key", "list"]]
    {
        operator.does(looking).await;
    }
    operator.refused(&["debit", "trader", "BTC", "1", "--reference", "nothing there"]).await;

    let sequence = exchange.app.engine.committed().read().state.sequence();
    let worker = TestWorker::start(&exchange.app.database_url, None);
    worker.reaches(&exchange.app.database_url, sequence).await;
    let journalled = journalled(&exchange.app.pool).await;
    assert_eq!(journalled.len(), changes.len() + 1, "{journalled:?}");
    for ((arguments, named), action) in changes.iter().zip(&journalled) {
        assert!(action.starts_with(named), "{arguments:?}: {action}");
    }
    assert_eq!(journalled[changes.len()], format!("revoke API key {key}"));
    worker.end().await;
}

#[tokio::test]
async fn who_and_why_must_be_said() {
    let exchange = Exchange::start().await;
    let long = "x".repeat(201).leak();
    let nobody = [("", REASON, "actor must be 1 to 200 bytes"), (ACTOR, "", "reason must be"), (ACTOR, long, "reason must be")];
    for (actor, reason, named) in nobody {
        let said = Operator { actor, reason, ..Operator::of(&exchange) }.refused(&["asset", "create", "DOGE"]).await;
        assert!(said.contains(named), "{said}");
    }
    let assets: Vec<String> =
        exchange.app.engine.committed().read().state.assets().iter().map(|asset| asset.code.to_string()).collect();
    assert_eq!(assets, ["BTC", "USDT", "BNB"]);
}
