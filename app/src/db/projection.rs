//! This module is the projector's own row: the position of the tables, and the session that may move it. It must not know the
//! content of a chunk.

use exchange_core::money::Time;
use sqlx::{Connection, PgConnection, PgPool, Postgres, Transaction, postgres::PgConnectOptions};

use super::session;

/// Lock of the session that projects, held for its lifetime: a second worker is a standby. Any number that nothing else uses.
const LOCK: i64 = 0x6578_6368_7072_6f6a;

/// Every table that the projector derives, and that a rebuild empties. Statements and archives are not derived.
const DERIVED: &str =
    "assets, markets, accounts, orders, order_minutes, order_lists, order_amendments, prevented_matches, trades, candles, tickers, ledger_transfers, ledger_spans,
    balances, credits, operator_actions";

/// Settings of the projector's session.
///
/// - `synchronous_commit = off`: a crash of PostgreSQL may lose the last chunks, rows and position together, and the projector
///   writes them again from the journal. No answer depends on these commits. A later step that must not outlive them (dropping a
///   journal partition) commits synchronously, and WAL is flushed in order.
/// - The planner: every statement is a look-up by key, planned once. It must use the index while the tables are small and
///   unanalysed.
/// - Keepalives: the session of a dead worker, and its lock, ends within half a minute.
const SESSION: &str = "SET synchronous_commit = off; SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off;
    SET enable_hashjoin = off; SET enable_mergejoin = off; SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5;
    SET tcp_keepalives_count = 3; SET idle_in_transaction_session_timeout = '60s'";

/// Position of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct Position {
    /// Events 1..=projected_seq are in the tables.
    pub projected_seq: i64,
    /// Time of the last of them.
    pub journal_time: Time,
}

/// A session for the projector.
pub async fn connect_projector(options: &PgConnectOptions) -> sqlx::Result<PgConnection> {
    let mut connection = session::open_session(&options.clone().application_name("exchange-projector")).await?;
    session::refuse_transaction_pooling(&mut connection, options).await?;
    sqlx::raw_sql(SESSION).execute(&mut connection).await?;
    super::readers::state_level(&mut connection, exchange_core::event::FEATURE_LEVEL).await?;
    Ok(connection)
}

/// Tries to become the projector: takes the lock and increments the epoch. Returns the epoch, or `None` while another session has
/// the lock.
pub async fn claim_projection(connection: &mut PgConnection, holder: &str) -> sqlx::Result<Option<i64>> {
    let held: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)").bind(LOCK).fetch_one(&mut *connection).await?;
    if !held {
        return Ok(None);
    }
    // The lock separates live workers; the epoch also stops a session that a pooler or a failover left open.
    sqlx::query_scalar("UPDATE projection SET epoch = epoch + 1, holder = $1, claimed_at = now() RETURNING epoch")
        .bind(holder)
        .fetch_one(connection)
        .await
        .map(Some)
}

pub async fn position(connection: &mut PgConnection) -> sqlx::Result<Position> {
    sqlx::query_as("SELECT projected_seq, journal_time FROM projection").fetch_one(connection).await
}

/// A transaction with a snapshot of the tables, unaffected by later writes.
pub async fn as_of_now(pool: &PgPool) -> sqlx::Result<Transaction<'static, Postgres>> {
    let mut tables = pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    // The first statement fixes the snapshot.
    sqlx::query("SELECT FROM projection").execute(&mut *tables).await?;
    Ok(tables)
}

/// The epoch that may project.
pub async fn epoch(connection: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar("SELECT epoch FROM projection").fetch_one(connection).await
}

/// Name of the projecting process, for operators.
pub async fn holder(connection: &mut PgConnection) -> sqlx::Result<String> {
    sqlx::query_scalar("SELECT holder FROM projection").fetch_one(connection).await
}

/// Advances the position, as the first statement of a chunk's transaction. False: this session is deposed, or the position is not
/// the expected one.
pub async fn advance(transaction: &mut Transaction<'_, Postgres>, epoch: i64, from: i64, to: Position) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "UPDATE projection SET projected_seq = $3, journal_time = $4, updated_at = now() WHERE epoch = $1 AND projected_seq = $2",
    )
    .bind(epoch)
    .bind(from)
    .bind(to.projected_seq)
    .bind(to.journal_time)
    .execute(&mut **transaction)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Empties every derived table and resets the position to 0. The running projector sees the new epoch and restarts.
pub async fn reset(connection: &mut PgConnection) -> sqlx::Result<()> {
    let mut transaction = connection.begin().await?;
    sqlx::query("UPDATE projection SET projected_seq = 0, journal_time = 0, epoch = epoch + 1, updated_at = now()")
        .execute(&mut *transaction)
        .await?;
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("TRUNCATE {DERIVED}"))).execute(&mut *transaction).await?;
    transaction.commit().await
}
