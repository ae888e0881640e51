//! This module reads and writes account statements: their rows and the data of one statement. It must not format a statement.

use exchange_core::{money::Time, order::AccountId};
use futures::{StreamExt, stream::BoxStream};
use sqlx::{FromRow, PgConnection, PgPool, postgres::PgRow};
use uuid::Uuid;

use crate::db::numeric::Numeric;

/// A requested statement.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Statement {
    #[sqlx(try_from = "String")]
    pub id: Uuid,
    pub account: i32,
    /// Microseconds, inclusive.
    pub period_start: Time,
    /// Microseconds, exclusive.
    pub period_end: Time,
    /// `pending`, `ready` or `failed`.
    pub status: String,
    /// Set once ready.
    pub object_key: Option<String>,
}

/// One order of the account, with names.
#[derive(Debug, FromRow)]
pub struct OrderLine {
    pub created: Time,
    pub id: i64,
    pub symbol: String,
    pub side: i16,
    pub kind: i16,
    pub status: i16,
    pub price: i64,
    pub quantity: i64,
    pub executed: i64,
    pub executed_quote: Numeric,
    pub client_id: String,
}

/// One side of one trade.
#[derive(Debug, FromRow)]
pub struct TradeLine {
    pub time: Time,
    pub id: i64,
    pub symbol: String,
    pub order_id: i64,
    pub is_buyer: bool,
    pub is_maker: bool,
    pub price: i64,
    pub quantity: i64,
    pub quote: Numeric,
    pub commission: Numeric,
    pub commission_asset: String,
}

/// One movement of the account's money.
#[derive(Debug, FromRow)]
pub struct TransferLine {
    pub time: Time,
    pub sequence: i64,
    pub line: i16,
    pub asset: String,
    pub amount: Numeric,
    pub debit_account: i32,
    pub debit_bucket: i16,
    pub credit_account: i32,
    pub credit_bucket: i16,
}

pub async fn insert_statement(
    connection: &mut PgConnection,
    id: Uuid,
    account: AccountId,
    start: Time,
    end: Time,
) -> sqlx::Result<()> {
    sqlx::query("INSERT INTO statements (id, account, period_start, period_end) VALUES ($1::text::uuid, $2, $3, $4)")
        .bind(id.to_string())
        .bind(account as i32)
        .bind(start)
        .bind(end)
        .execute(connection)
        .await?;
    Ok(())
}

pub async fn find_statement(connection: &mut PgConnection, id: Uuid) -> sqlx::Result<Option<Statement>> {
    sqlx::query_as(
        "SELECT id::text, account, period_start, period_end, status, object_key FROM statements WHERE id = $1::text::uuid",
    )
    .bind(id.to_string())
    .fetch_optional(connection)
    .await
}

/// Statements of the account that are not written yet.
pub async fn pending_statements(connection: &mut PgConnection, account: AccountId) -> sqlx::Result<i64> {
    sqlx::query_scalar("SELECT count(*) FROM statements WHERE account = $1 AND status = 'pending'")
        .bind(account as i32)
        .fetch_one(connection)
        .await
}

pub async fn account_exists(pool: &PgPool, account: AccountId) -> sqlx::Result<bool> {
    let account = i32::try_from(account).unwrap_or(i32::MAX);
    sqlx::query_scalar("SELECT EXISTS (SELECT FROM accounts WHERE id = $1)").bind(account).fetch_one(pool).await
}

/// The account's statements, newest first.
pub async fn of_account(connection: &mut PgConnection, account: AccountId, limit: i64) -> sqlx::Result<Vec<Statement>> {
    sqlx::query_as(
        "SELECT id::text, account, period_start, period_end, status, object_key FROM statements
         WHERE account = $1 ORDER BY requested_at DESC LIMIT $2",
    )
    .bind(account as i32)
    .bind(limit)
    .fetch_all(connection)
    .await
}

pub async fn set_ready(connection: &mut PgConnection, id: Uuid, key: &str, size_bytes: u64) -> sqlx::Result<()> {
    sqlx::query("UPDATE statements SET status = 'ready', object_key = $2, size_bytes = $3, completed_at = now() WHERE id = $1::text::uuid")
    .bind(id.to_string())
    .bind(key)
    .bind(size_bytes as i64)
    .execute(connection)
    .await?;
    Ok(())
}

pub async fn set_failed(connection: &mut PgConnection, id: Uuid) -> sqlx::Result<()> {
    sqlx::query("UPDATE statements SET status = 'failed', completed_at = now() WHERE id = $1::text::uuid AND status = 'pending'")
        .bind(id.to_string())
        .execute(connection)
        .await?;
    Ok(())
}

/// Orders that the account placed in the period.
pub fn orders<'c>(connection: &'c mut PgConnection, statement: &Statement) -> BoxStream<'c, sqlx::Result<OrderLine>> {
    lines(
        connection,
        statement,
        "SELECT o.created, o.id, m.symbol, o.side, o.kind, o.status, o.price, o.quantity, o.executed, o.executed_quote, o.client_id
         FROM markets AS m JOIN orders AS o ON o.account = $1 AND o.market = m.id AND o.id >= order_id_floor($2)
         WHERE o.created >= $2 AND o.created < $3 ORDER BY o.id",
    )
}

/// Trades of the account in the period; a trade with itself has two lines.
pub fn trades<'c>(connection: &'c mut PgConnection, statement: &Statement) -> BoxStream<'c, sqlx::Result<TradeLine>> {
    lines(
        connection,
        statement,
        "SELECT t.time, t.id, m.symbol, t.buyer_order AS order_id, true AS is_buyer, t.buyer_is_maker AS is_maker, t.price, t.quantity,
                t.quote, t.buyer_commission AS commission, b.code AS commission_asset
         FROM markets AS m JOIN trades AS t ON t.buyer = $1 AND t.market = m.id AND t.id >= trade_id_floor(m.id, $2)
              JOIN assets AS b ON b.id = m.base WHERE t.time >= $2 AND t.time < $3
         UNION ALL
         SELECT t.time, t.id, m.symbol, t.seller_order, false, NOT t.buyer_is_maker, t.price, t.quantity, t.quote, t.seller_commission, q.code
         FROM markets AS m JOIN trades AS t ON t.seller = $1 AND t.market = m.id AND t.id >= trade_id_floor(m.id, $2)
              JOIN assets AS q ON q.id = m.quote WHERE t.time >= $2 AND t.time < $3
         ORDER BY 1, 3, 2, 5",
    )
}

/// Movements of the account's money in the period.
pub fn transfers<'c>(connection: &'c mut PgConnection, statement: &Statement) -> BoxStream<'c, sqlx::Result<TransferLine>> {
    lines(
        connection,
        statement,
        "SELECT t.time, t.sequence, t.line, a.code AS asset, t.amount, t.debit_account, t.debit_bucket, t.credit_account, t.credit_bucket
         FROM ledger_spans AS s
              JOIN ledger_transfers AS t ON t.sequence BETWEEN s.first_sequence AND s.last_sequence
              JOIN assets AS a ON a.id = t.asset
         WHERE s.account = $1 AND s.last_sequence >= sequence_floor($2) AND (t.debit_account = $1 OR t.credit_account = $1)
             AND t.time >= $2 AND t.time < $3
         ORDER BY t.sequence, t.line",
    )
}

fn lines<'c, Line>(
    connection: &'c mut PgConnection,
    statement: &Statement,
    sql: &'static str,
) -> BoxStream<'c, sqlx::Result<Line>>
where
    Line: for<'r> FromRow<'r, PgRow> + Send + Unpin + 'c,
{
    sqlx::query_as(sql).bind(statement.account).bind(statement.period_start).bind(statement.period_end).fetch(connection).boxed()
}
