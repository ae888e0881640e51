//! Tests of an unreachable PostgreSQL, at the start or later: no restart is needed, and reads continue.

use exchange::engine::SubmitError;
use local_parts::{Postgres, SharedPostgres, StopMode};

use crate::{
    eventually::until,
    replica::{TestReplica, migrate},
};

#[tokio::test]
async fn postgresql_absent_then_there_then_lost_then_back() {
    let mut postgres = Postgres::start(SharedPostgres::options()).await.unwrap();
    let url = postgres.create_database("degraded").await.unwrap();
    postgres.stop(StopMode::Fast).await.unwrap();

    let replica = TestReplica::start(&url);
    until("it reports that PostgreSQL is unavailable", || async {
        replica.reason("database").is_some_and(|reason| reason.contains("PostgreSQL is unavailable"))
    })
    .await;
    assert_eq!(replica.create_account("too early").await, Err(SubmitError::Unavailable));

    postgres.start_again().await.unwrap();
    until("it reports missing migrations", || async {
        replica.reason("database").is_some_and(|reason| reason.contains("run `exchange migrate`"))
    })
    .await;
    migrate(&url).await;
    replica.leads().await;
    replica.create_account("one").await.unwrap();

    for mode in [StopMode::Fast, StopMode::Immediate] {
        postgres.stop(mode).await.unwrap();
        until("it has noticed", || async { !replica.engine.is_leader() }).await;
        assert_eq!(replica.create_account("while away").await, Err(SubmitError::Unavailable));
        assert!(replica.account("one").is_some(), "reads continue");
        assert!(!replica.health.is_ready());
        postgres.start_again().await.unwrap();
        until("it is ready again", || async { replica.health.is_ready() }).await;
        replica.create_account(&format!("after {mode:?}")).await.unwrap();
        assert_eq!(replica.account("while away"), None);
    }
    replica.end().await;
}
