//! Tests of credits and debits (once per reference, never below zero), and of the ledger that lists them.

use serde_json::{Value, json};

use super::command::Operator;
use crate::{exchange::Exchange, worker::test_worker::TestWorker};

#[tokio::test]
async fn a_reference_moves_money_once() {
    let exchange = Exchange::start().await;
    let operator = Operator::of(&exchange);
    let trader = operator.trader(&exchange, "trader").await;
    let bitcoins = async || trader.balance("BTC").await.0;
    let move_ = async |kind: &str, amount: &str, reference: &str| {
        operator.does(&[kind, "trader", "BTC", amount, "--reference", reference]).await
    };
    for _ in 0..2 {
        move_("credit", "2.5", "deposit 1").await;
        assert_eq!(bitcoins().await, "12.50000000");
    }
    for _ in 0..2 {
        move_("debit", "0.5", "withdrawal 1").await;
        assert_eq!(bitcoins().await, "12.00000000");
    }
    let said = operator.refused(&["credit", "trader", "BTC", "3", "--reference", "deposit 1"]).await;
    assert!(said.contains("reference deposit 1 was used") && said.contains("choose another"), "{said}");
    let said = operator.refused(&["credit", "trader", "USDT", "2.5", "--reference", "deposit 1"]).await;
    assert!(said.contains("reference deposit 1 was used"), "{said}");
    assert_eq!(bitcoins().await, "12.00000000");
}

#[tokio::test]
async fn what_cannot_be_moved_is_refused() {
    let exchange = Exchange::start().await;
    let operator = Operator::of(&exchange);
    let trader = operator.trader(&exchange, "trader").await;
    trader.limit("SELL", "100000", "4").await;
    let before = trader.balance("BTC").await;
    assert_eq!(before, ("6.00000000".to_owned(), "4.00000000".to_owned()));
    let rows: [(&[&str], &str); 8] = [
        (&["debit", "trader", "BTC", "6.00000001"], "insufficient balance"),
        (&["debit", "trader", "BNB", "1"], "insufficient balance"),
        (&["credit", "trader", "BTC", "0"], "amount must not be 0"),
        (&["credit", "trader", "BTC", "1.000000001"], "amount: invalid value 1.000000001; use at most 8 decimal places"),
        (&["credit", "trader", "BTC", "many"], "amount: invalid value many; write a plain decimal"),
        (&["credit", "trader", "DOGE", "1"], "asset: DOGE does not exist"),
        (&["credit", "nobody", "BTC", "1"], "account: nobody does not exist"),
        (&["credit", "0", "BTC", "1"], "account"),
    ];
    for (arguments, named) in rows {
        let said = operator.refused(&[arguments, &["--reference", "one of a kind"]].concat()).await;
        assert!(said.contains(named), "{arguments:?}: {said}");
    }
    assert_eq!(trader.balance("BTC").await, before);
    operator.does(&["debit", "trader", "BTC", "6", "--reference", "one of a kind"]).await;
    assert_eq!(trader.balance("BTC").await, ("0.00000000".to_owned(), "4.00000000".to_owned()));
}

#[tokio::test]
async fn the_ledger_tells_every_movement_newest_first() {
    let exchange = Exchange::start().await;
    let operator = Operator::of(&exchange);
    let trader = operator.trader(&exchange, "trader").await;
    trader.limit("BUY", "100", "2").await;
    operator.does(&["debit", "trader", "BTC", "1", "--reference", "withdrawal"]).await;
    let sequence = exchange.app.engine.committed().read().state.sequence();
    let worker = TestWorker::start(&exchange.app.database_url, None);
    worker.reaches(&exchange.app.database_url, sequence).await;

    let ledger = operator.does(&["account", "ledger", "trader"]).await;
    let lines: Vec<[&str; 4]> = ledger
        .as_array()
        .unwrap()
        .iter()
        .map(|line| ["asset", "amount", "from", "to"].map(|name| line[name].as_str().unwrap()))
        .collect();
    let account = trader.account;
    let [free, locked] = ["free", "locked"].map(|bucket| format!("{account}/{bucket}"));
    assert_eq!(
        lines,
        [
            ["BTC", "1", &free, "0/free"],
            ["USDT", "200", &free, &locked],
            ["USDT", "100000", "0/free", &free],
            ["BTC", "10", "0/free", &free],
        ]
    );
    let newest = operator.does(&["account", "ledger", "trader", "--limit", "1"]).await;
    assert_eq!(newest.as_array().unwrap()[..], ledger.as_array().unwrap()[..1]);
    let second = &ledger[1]["sequence"];
    let older = operator.does(&["account", "ledger", "trader", "--before", &second.to_string()]).await;
    assert_eq!(older.as_array().unwrap()[..], ledger.as_array().unwrap()[2..]);
    assert_eq!(operator.does(&["account", "ledger", "1"]).await, Value::Array(Vec::new()), "no fees were paid");
    let said = operator.refused(&["account", "ledger", "trader", "--limit", "1001"]).await;
    assert!(said.contains("limit: must be 1 to 1000"), "{said}");
    assert_ne!(newest, json!([]));
    worker.end().await;
}
