//! Tests of the settings of database sessions.

use exchange::db::{projection, session};
use sqlx::{PgConnection, postgres::PgConnectOptions};

use crate::replica::database;

/// PostgreSQL would compile the look-up of a server's own position: 600 ms for each poll, and seconds for a takeover on a busy
/// machine.
#[tokio::test]
async fn no_session_compiles_statements() {
    let options: PgConnectOptions = database().await.parse().unwrap();
    let options = options.options([("jit", "on"), ("jit_above_cost", "0")]);
    let mut pooled = session::pool(1).connect_with(options.clone()).await.unwrap().acquire().await.unwrap().detach();
    let mut sessions = [
        session::open_session(&options).await.unwrap(),
        session::connect_session(&options).await.unwrap(),
        projection::connect_projector(&options).await.unwrap(),
    ];
    for session in sessions.iter_mut().chain([&mut pooled]) {
        assert_eq!(show(session, "SHOW jit").await, "off");
        assert_eq!(show(session, "SHOW jit_above_cost").await, "0", "the test's own settings arrived");
    }
}

async fn show(session: &mut PgConnection, statement: &'static str) -> String {
    sqlx::query_scalar(statement).fetch_one(session).await.unwrap()
}
