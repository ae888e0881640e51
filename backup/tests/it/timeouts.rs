//! Time limits of the server, a database or a role must not end a session of a backup or a restore.

use backup::restore;
use local_parts::{Postgres, PostgresOptions};
use sqlx::{AssertSqlSafe, Executor};
use tokio_util::sync::CancellationToken;

use crate::{
    agent::{agent_in, take},
    completeness::full,
    faulty_store::{FaultyStore, StoreFault},
    restore::reader,
    source_faults::{NOISE, until},
    support::{connect, random, source, store_settings},
};

const LIMITS: [&str; 4] = ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout"];
/// All of our sessions that wait for the store or for each other have waited for longer than the limits.
const WAITED: &str = "SELECT count(*) FILTER (WHERE state = 'idle') > 0 AND bool_and(now() - state_change > '1 second' OR state = 'active') \
    FROM pg_stat_activity WHERE application_name = 'backup'";

async fn limited() -> Postgres {
    let postgres = Postgres::start(PostgresOptions::throwaway()).await.unwrap();
    let server = source(&postgres.url());
    let mut session = connect(&server).await;
    session.execute(NOISE).await.unwrap();
    for limit in LIMITS {
        session.execute(AssertSqlSafe(format!("ALTER ROLE ALL SET {limit} = '300ms'"))).await.unwrap();
    }
    postgres
}

#[tokio::test(flavor = "multi_thread")]
async fn timeouts_of_the_server_do_not_end_our_sessions() {
    let postgres = limited().await;
    let server = source(&postgres.url());
    let mut looker = connect(&server).await;
    for limit in LIMITS {
        looker.execute(AssertSqlSafe(format!("SET {limit} = 0"))).await.unwrap();
    }
    let store = store_settings().await;
    let holding = |wanted: &'static str| {
        FaultyStore::before(
            &store,
            move |request| if request.target.contains(wanted) { StoreFault::Hold } else { StoreFault::Pass },
        )
    };
    let slow = holding("partNumber=").await;
    let agent = agent_in(&server, &slow.settings, &[("BACKUP_ATTEMPTS", "1")]);
    let run = tokio::spawn(async move { take(&agent).await });
    slow.held().await;
    until(&mut looker, WAITED).await;
    slow.open_gate();
    let manifest = run.await.unwrap().unwrap();

    let slow = holding("/lane-").await;
    let agent = agent_in(&server, &slow.settings, &[]);
    let name = format!("limited_{:08x}", random());
    let target = server.with_database(&name);
    let restoring = tokio::spawn(async move {
        let reader = reader(&agent.store, &manifest);
        let opened = restore::open_database(&reader, None).await.unwrap();
        restore::restore_database(&reader, &opened, &full(&server, &name), &CancellationToken::new()).await
    });
    slow.held().await;
    until(&mut looker, WAITED).await;
    slow.open_gate();
    restoring.await.unwrap().unwrap();
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM noise").fetch_one(&mut connect(&target).await).await.unwrap();
    assert_eq!(rows, 16_000);
}

/// The sessions with the locks are lost while another session with the snapshot reads the rows. The backup is still valid, since
/// every table has the same file.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_lost_at_the_end_does_not_fail_the_backup() {
    let postgres = Postgres::start(PostgresOptions::throwaway()).await.unwrap();
    let server = source(&postgres.url());
    let mut session = connect(&server).await;
    session.execute(NOISE).await.unwrap();
    let store = store_settings().await;
    let slow =
        FaultyStore::before(
            &store,
            |request| if request.target.contains("partNumber=") { StoreFault::Hold } else { StoreFault::Pass },
        )
        .await;
    let agent = agent_in(&server, &slow.settings, &[("BACKUP_ATTEMPTS", "1"), ("BACKUP_WORKERS", "1")]);
    let run = tokio::spawn(async move { take(&agent).await });
    slow.held().await;
    // The session that copies rows remains.
    let ended = "SELECT count(pg_terminate_backend(pid)) >= 2 FROM pg_stat_activity WHERE application_name = 'backup' AND state LIKE 'idle%'";
    until(&mut session, ended).await;
    slow.open_gate();
    assert_eq!(run.await.unwrap().unwrap().totals.rows, 16_500);
}
