//! The short form of `make soak`: a few blows, the same checks.

use exchange_loadgen::soak::{SoakSettings, faults, run};
use exchange_loadgen::stage::exchange_binary;

#[tokio::test]
async fn nothing_acknowledged_is_lost_when_servers_are_killed() {
    let settings =
        SoakSettings { seed: 1, kills: 3, database_kills: 1, worker_kills: 1, clients: 4, binary: exchange_binary().unwrap() };
    let summary = run(&settings).await.unwrap();
    assert!(summary.orders > 50 && summary.cancels > 0 && summary.fills > 0, "{summary:?}");
}

/// The short form of the fault script: every kind of fault once, on three replicas and a replicated PostgreSQL.
#[tokio::test]
async fn what_clients_saw_is_in_the_journal_after_every_fault() {
    let settings = faults::FaultSettings { seed: 1, faults: 7, clients: 4, binary: exchange_binary().unwrap() };
    let summary = faults::run(&settings).await.unwrap();
    assert_eq!(summary.gaps.len(), 7, "{summary:?}");
    assert!(summary.orders > 50 && summary.trades > 0 && summary.reports > 0, "{summary:?}");
}
