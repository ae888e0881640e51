//! The journal's own connection: made with its settings, each use bounded in time. Never: a query of a table.

use std::{future::Future, io, time::Duration};

use sqlx::{ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};

/// How long making a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a short statement may take before its connection counts as lost.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);

/// Connects. What is acknowledged is durable, so a server whose default does not wait for its disk is told to.
pub async fn connect(options: &PgConnectOptions) -> sqlx::Result<PgConnection> {
    let options = options.clone().application_name("exchange journal").disable_statement_logging();
    let connecting = async {
        let mut connection = PgConnection::connect_with(&options).await?;
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
