//! This module reads and writes the ledger's tables `ledger_transfers` and `balances`, and computes the sums that must be zero.
//! It must not create a movement.

use crate::db::{copy::CopyRows, numeric::Numeric};
use exchange_core::{
    Balance, Transfer,
    money::{Amount, Time},
    order::{AccountId, AssetId},
};
use sqlx::PgConnection;

const COPY: &str =
    "COPY ledger_transfers (sequence, time, debit_account, credit_account, line, asset, debit_bucket, credit_bucket, amount)
    FROM STDIN WITH (FORMAT binary)";
const COLUMNS: i16 = 9;

/// Transfers of one chunk, encoded in order.
#[derive(Debug, Default)]
pub struct TransferRows(CopyRows);

impl TransferRows {
    /// `line` counts the transfers of one event from 0.
    pub fn push(&mut self, sequence: u64, line: i16, time: Time, transfer: &Transfer) {
        let ((debit, debit_bucket), (credit, credit_bucket)) = (transfer.debit, transfer.credit);
        let rows = &mut self.0;
        rows.row(COLUMNS);
        rows.id(sequence);
        rows.i64(time);
        rows.i32(debit as i32);
        rows.i32(credit as i32);
        rows.i16(line);
        rows.i16(transfer.asset as i16);
        rows.i16(i16::from(debit_bucket as u8));
        rows.i16(i16::from(credit_bucket as u8));
        rows.numeric(transfer.amount);
    }

    pub async fn send(self, connection: &mut PgConnection) -> sqlx::Result<()> {
        self.0.send(connection, COPY).await
    }
}

/// Where an account's transfers of one chunk are in the ledger: the sequences of the first and the last.
pub type LedgerSpan = (AccountId, u64, u64);

/// The spans of one chunk.
pub async fn insert_spans(connection: &mut PgConnection, spans: &[LedgerSpan]) -> sqlx::Result<()> {
    if spans.is_empty() {
        return Ok(());
    }
    let account: Vec<i32> = spans.iter().map(|(account, ..)| *account as i32).collect();
    let first: Vec<i64> = spans.iter().map(|(_, first, _)| *first as i64).collect();
    let last: Vec<i64> = spans.iter().map(|(.., last)| *last as i64).collect();
    // Not by COPY: its small end message waits for the server's acknowledgement of its small data. TCP's Nagle algorithm against
    // delayed acknowledgements costs 40 ms: sqlx 0.9.0 does not set TCP_NODELAY, https://github.com/transact-rs/sqlx/issues/4335.
    sqlx::query(
        "INSERT INTO ledger_spans (account, first_sequence, last_sequence) SELECT * FROM unnest($1::int[], $2::bigint[], $3::bigint[])",
    )
    .bind(account)
    .bind(first)
    .bind(last)
    .execute(connection)
    .await?;
    Ok(())
}

/// One account's balance of one asset.
pub type BalanceRow = (AccountId, AssetId, Balance);

/// Writes current balances.
pub async fn upsert_balances(connection: &mut PgConnection, balances: &[BalanceRow]) -> sqlx::Result<()> {
    if balances.is_empty() {
        return Ok(());
    }
    let account: Vec<i32> = balances.iter().map(|(account, ..)| *account as i32).collect();
    let asset: Vec<i16> = balances.iter().map(|(_, asset, _)| *asset as i16).collect();
    let free: Vec<Numeric> = balances.iter().map(|(.., balance)| Numeric(balance.free)).collect();
    let locked: Vec<Numeric> = balances.iter().map(|(.., balance)| Numeric(balance.locked)).collect();
    sqlx::query(
        "INSERT INTO balances (account, asset, free, locked) SELECT * FROM unnest($1::int[], $2::smallint[], $3::numeric[], $4::numeric[])
         ON CONFLICT (account, asset) DO UPDATE SET free = excluded.free, locked = excluded.locked",
    )
    .bind(account)
    .bind(asset)
    .bind(free)
    .bind(locked)
    .execute(connection)
    .await?;
    Ok(())
}

/// Every balance in the table, by account and asset.
pub async fn balances(connection: &mut PgConnection) -> sqlx::Result<Vec<BalanceRow>> {
    let rows: Vec<(i32, i16, Numeric, Numeric)> =
        sqlx::query_as("SELECT account, asset, free, locked FROM balances ORDER BY account, asset").fetch_all(connection).await?;
    Ok(rows
        .into_iter()
        .map(|(account, asset, free, locked)| {
            (account as AccountId, asset as AssetId, Balance { free: free.0, locked: locked.0 })
        })
        .collect())
}

/// The balance of every account according to the transfers. Reads the whole ledger: for the daily check, not for the one each
/// minute.
pub async fn balances_by_transfers(connection: &mut PgConnection) -> sqlx::Result<Vec<BalanceRow>> {
    let rows: Vec<(i32, i16, Numeric, Numeric)> = sqlx::query_as(
        "SELECT account, asset, coalesce(sum(amount) FILTER (WHERE bucket = 0), 0), coalesce(sum(amount) FILTER (WHERE bucket = 1), 0)
         FROM (SELECT credit_account AS account, asset, credit_bucket AS bucket, amount FROM ledger_transfers
               UNION ALL SELECT debit_account, asset, debit_bucket, -amount FROM ledger_transfers) AS postings
         GROUP BY account, asset ORDER BY account, asset",
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|(account, asset, free, locked)| {
            (account as AccountId, asset as AssetId, Balance { free: free.0, locked: locked.0 })
        })
        .collect())
}

/// Sum of all balances of each asset, custody included. Anything but 0 means that the tables are wrong.
pub async fn sums(connection: &mut PgConnection) -> sqlx::Result<Vec<(AssetId, Amount)>> {
    let rows: Vec<(i16, Numeric)> =
        sqlx::query_as("SELECT asset, sum(free + locked) FROM balances GROUP BY asset ORDER BY asset")
            .fetch_all(connection)
            .await?;
    Ok(rows.into_iter().map(|(asset, sum)| (asset as AssetId, sum.0)).collect())
}
