//! This module reads the ledger of an account from the projected tables. No decision must depend on these balances.

use exchange_core::order::AccountId;
use sqlx::PgPool;

/// One movement, from the tables.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct LedgerLine {
    pub sequence: i64,
    /// Microseconds since the epoch, journal time.
    pub time: i64,
    pub asset: String,
    /// Decimal text, in units of the asset.
    pub amount: String,
    pub debit_account: i32,
    pub debit_bucket: String,
    pub credit_account: i32,
    pub credit_bucket: String,
}

/// Movements of `account`, newest first, before a sequence.
pub async fn of_account(pool: &PgPool, account: AccountId, before: Option<u64>, limit: u32) -> sqlx::Result<Vec<LedgerLine>> {
    let before = before.map_or(i64::MAX, |before| i64::try_from(before).unwrap_or(i64::MAX));
    sqlx::query_as(
        "SELECT l.sequence, l.time, assets.code AS asset, trim_scale(l.amount / 100000000)::text AS amount,
                l.debit_account, CASE l.debit_bucket WHEN 0 THEN 'free' ELSE 'locked' END AS debit_bucket,
                l.credit_account, CASE l.credit_bucket WHEN 0 THEN 'free' ELSE 'locked' END AS credit_bucket
         FROM (SELECT * FROM ledger_spans WHERE account = $1 AND first_sequence < $2 ORDER BY first_sequence DESC LIMIT $3) AS s
              JOIN ledger_transfers AS l ON l.sequence BETWEEN s.first_sequence AND s.last_sequence
              JOIN assets ON assets.id = l.asset
         WHERE l.sequence < $2 AND (l.debit_account = $1 OR l.credit_account = $1)
         ORDER BY l.sequence DESC, l.line DESC LIMIT $3",
    )
    .bind(i32::try_from(account).unwrap_or(i32::MAX))
    .bind(before)
    .bind(i64::from(limit))
    .fetch_all(pool)
    .await
}
