//! Tests of the ledger's checks: they pass on correct tables and fail after a table was changed.

use exchange::worker::jobs::{LedgerCheck, TakeTrialBalance};

use super::{journal::Journal, test_worker::TestWorker};
use crate::replica::{database, execute};

#[tokio::test(flavor = "multi_thread")]
async fn the_trial_balance_finds_a_tampered_balance() {
    let url = database().await;
    let mut journal = Journal::begin(&url, 11).await;
    journal.trade(60).await;
    let worker = TestWorker::start(&url, None);
    worker.reaches(&url, journal.state.sequence()).await;
    worker.complete(TakeTrialBalance {}).await;
    for asset in ["BTC", "USDT", "ETH"] {
        assert_eq!(worker.sample(&format!("exchange_ledger_trial_balance{{asset=\"{asset}\"}}")), Some(0.0), "{asset}");
    }
    assert_eq!(worker.sample("exchange_ledger_disagreements{comparison=\"balances\"}"), Some(0.0));

    execute(&url, "UPDATE balances SET free = free + 150000000 WHERE account = 3 AND asset = 2").await;
    worker.complete(TakeTrialBalance {}).await;
    assert_eq!(worker.sample("exchange_ledger_trial_balance{asset=\"ETH\"}"), Some(1.5));
    assert_eq!(worker.sample("exchange_ledger_trial_balance{asset=\"BTC\"}"), Some(0.0));
    assert_eq!(worker.sample("exchange_ledger_disagreements{comparison=\"balances\"}"), Some(1.0));

    // From one account to another: the sum is zero again, but the accounts are still wrong.
    execute(&url, "UPDATE balances SET free = free - 150000000 WHERE account = 4 AND asset = 2").await;
    worker.complete(TakeTrialBalance {}).await;
    assert_eq!(worker.sample("exchange_ledger_trial_balance{asset=\"ETH\"}"), Some(0.0));
    assert_eq!(worker.sample("exchange_ledger_disagreements{comparison=\"balances\"}"), Some(2.0));
    worker.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_check_finds_a_tampered_transfer() {
    let url = database().await;
    let mut journal = Journal::begin(&url, 12).await;
    journal.trade(60).await;
    let worker = TestWorker::start(&url, None);
    worker.reaches(&url, journal.state.sequence()).await;
    worker.complete(LedgerCheck {}).await;
    assert_eq!(worker.sample("exchange_ledger_disagreements{comparison=\"transfers\"}"), Some(0.0));
    execute(
        &url,
        "UPDATE ledger_transfers SET amount = amount + 1 WHERE ctid = (SELECT ctid FROM ledger_transfers WHERE debit_account = 0 LIMIT 1)",
    )
    .await;
    worker.complete(LedgerCheck {}).await;
    // Both ends of the transfer.
    assert_eq!(worker.sample("exchange_ledger_disagreements{comparison=\"transfers\"}"), Some(2.0));
    worker.end().await;
}
