//! The journal's own connection: made with its settings, each use bounded in time. Never: a query of a table.

use std::{future::Future, io, time::Duration};

use sqlx::{ConnectOptions, Connection, PgConnection, Row, postgres::PgConnectOptions};

/// How long making a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a short statement may take before its connection counts as lost.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);

/// Connects. What is acknowledged is durable, so a server whose default does not wait for its disk is told to.
pub async fn connect(options: &PgConnectOptions) -> sqlx::Result<PgConnection> {
    let options = options.clone().application_name("exchange journal").disable_statement_logging();
    let connecting = async {
        let mut connection = PgConnection::connect_with(&options).await?;
        refuse_transaction_pooling(&mut connection, &options).await?;
        sqlx::query(
            "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') IN ('off', 'local')",
        )
        .execute(&mut connection)
        .await?;
        super::readers::state_level(&mut connection, exchange_core::event::FEATURE_LEVEL).await?;
        Ok(connection)
    };
    bounded(CONNECT_TIMEOUT, connecting).await
}

/// Refuses a pooler that gives each transaction another session: a lead is a session, and so is each prepared statement.
///
/// While a second client holds a transaction, the first one's session must still be its own.
pub async fn refuse_transaction_pooling(connection: &mut PgConnection, options: &PgConnectOptions) -> sqlx::Result<()> {
    let probe = async {
        let ours = backend(connection).await?;
        let mut other = PgConnection::connect_with(&options.clone().disable_statement_logging()).await?;
        sqlx::raw_sql("BEGIN").execute(&mut other).await?;
        let theirs = backend(&mut other).await?;
        let ours_now = backend(connection).await?;
        sqlx::raw_sql("ROLLBACK").execute(&mut other).await?;
        other.close().await.ok();
        Ok(ours == theirs || ours != ours_now)
    };
    // A pool without room for a second session cannot be probed.
    match bounded(CONNECT_TIMEOUT, probe).await {
        Ok(true) => Err(sqlx::Error::Configuration(POOLED.into())),
        Ok(false) | Err(_) => Ok(()),
    }
}

const POOLED: &str = "a pooler gives each transaction another session of PostgreSQL: set pool_mode = session for this database \
     (PgBouncer), or point EXCHANGE_DATABASE_URL at PostgreSQL itself";

/// Without a prepared statement, which such a pooler may not know.
async fn backend(connection: &mut PgConnection) -> sqlx::Result<i32> {
    sqlx::raw_sql("SELECT pg_backend_pid()").fetch_one(connection).await?.try_get(0)
}

/// A short statement that fails rather than waits for ever.
pub async fn within<Output>(statement: impl Future<Output = sqlx::Result<Output>>) -> sqlx::Result<Output> {
    bounded(STATEMENT_TIMEOUT, statement).await
}

async fn bounded<Output>(limit: Duration, work: impl Future<Output = sqlx::Result<Output>>) -> sqlx::Result<Output> {
    match tokio::time::timeout(limit, work).await {
        Ok(done) => done,
        Err(_) => {
            Err(sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} s", limit.as_secs()))))
        }
    }
}
