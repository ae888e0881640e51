//! This module opens sessions with their settings, and limits the time of each use of the journal's own. It must not query a table.

use std::{future::Future, io, time::Duration};

use sqlx::{
    ConnectOptions, Connection, PgConnection, Row,
    postgres::{PgConnectOptions, PgPoolOptions},
};

/// Time limit for connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Time limit for a short statement; after it the connection counts as lost.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);

/// Settings of every session but the migrations'. PostgreSQL compiles a statement that it estimates as expensive, and a table without statistics is
/// enough for that. Compilation took 600 ms for the look-up of one row, on every poll of a follower and before every takeover.
///
/// A statement and not a parameter of the connection: PgBouncer refuses parameters that it does not know.
const SETTINGS: &str = "SET jit = off";

/// A session with the settings of every session.
pub async fn open_session(options: &PgConnectOptions) -> sqlx::Result<PgConnection> {
    let mut connection = PgConnection::connect_with(options).await?;
    sqlx::raw_sql(SETTINGS).execute(&mut connection).await?;
    Ok(connection)
}

/// A pool of at most `size` such sessions.
pub fn pool(size: u32) -> PgPoolOptions {
    PgPoolOptions::new().max_connections(size).after_connect(|connection, _| {
        Box::pin(async move {
            sqlx::raw_sql(SETTINGS).execute(connection).await?;
            Ok(())
        })
    })
}

/// Connects for the journal. Acknowledged commits must be durable, so this session waits for the disk even if the server's default does not.
pub async fn connect_session(options: &PgConnectOptions) -> sqlx::Result<PgConnection> {
    let options = options.clone().application_name("exchange journal").disable_statement_logging();
    let connecting = async {
        let mut connection = open_session(&options).await?;
        refuse_transaction_pooling(&mut connection, &options).await?;
        sqlx::query(
            "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') IN ('off', 'local')",
        )
        .execute(&mut connection)
        .await?;
        // The warning of a commit that did not wait for a standby must reach this client, whatever the role's or the database's default.
        sqlx::raw_sql("SET client_min_messages = warning").execute(&mut connection).await?;
        super::readers::state_level(&mut connection, exchange_core::event::FEATURE_LEVEL).await?;
        Ok(connection)
    };
    bounded(CONNECT_TIMEOUT, connecting).await
}

/// Rejects a pooler that assigns each transaction to another session: leadership belongs to one session, and so does each
/// prepared statement.
///
/// While a second client holds a transaction, the first client must still have its session.
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
    // Cannot probe a pool without room for a second session.
    match bounded(CONNECT_TIMEOUT, probe).await {
        Ok(true) => Err(sqlx::Error::Configuration(POOLED.into())),
        Ok(false) | Err(_) => Ok(()),
    }
}

const POOLED: &str = "a pooler assigns each transaction to another PostgreSQL session: set pool_mode = session for this \
 database (PgBouncer), or point EXCHANGE_DATABASE_URL at PostgreSQL itself";

/// When the server's process started, µs since the Unix epoch: identifies one run of one server.
pub async fn server_started(connection: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar("SELECT (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint").fetch_one(connection).await
}

/// Not prepared: such a pooler may not know the statement.
async fn backend(connection: &mut PgConnection) -> sqlx::Result<i32> {
    sqlx::raw_sql("SELECT pg_backend_pid()").fetch_one(connection).await?.try_get(0)
}

/// A short statement that fails after a time limit.
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
