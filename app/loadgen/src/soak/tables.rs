//! This module compares the worker's tables with the fold of the journal, row by row. Every difference must be an error.

use super::fold::Fold;
use super::site::Site;
use anyhow::{Context, Result, ensure};
use exchange_core::money::Amount;
use sqlx::{Connection, PgConnection, Row};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Time limit for the projector to catch up.
const PROJECTED: Duration = Duration::from_secs(120);

/// Waits until the tables contain everything that was folded, then compares.
pub async fn agree(site: &Site, fold: &Fold) -> Result<()> {
    let mut connection = PgConnection::connect(&site.database).await?;
    let end = Instant::now() + PROJECTED;
    loop {
        let done: i64 = sqlx::query_scalar("SELECT projected_seq FROM projection").fetch_one(&mut connection).await?;
        if done >= fold.sequence() as i64 {
            break;
        }
        ensure!(Instant::now() < end, "the tables contain {done} of {} events", fold.sequence());
        sleep(Duration::from_millis(20)).await;
    }
    // Clients have stopped, so only clock events can be projected beyond the fold.
    orders(&mut connection, fold).await?;
    trades(&mut connection, fold).await?;
    balances(&mut connection, fold).await?;
    connection.close().await?;
    Ok(())
}

async fn orders(connection: &mut PgConnection, fold: &Fold) -> Result<()> {
    let rows = sqlx::query("SELECT id, account, market, status, executed, quantity, price, client_id FROM orders ORDER BY id");
    let rows = rows.fetch_all(connection).await?;
    ensure!(rows.len() == fold.orders.len(), "{} orders in the table, {} in the journal", rows.len(), fold.orders.len());
    for (row, order) in rows.iter().zip(fold.orders.values()) {
        let same = row.try_get::<i64, _>("id")? as u64 == order.id
            && row.try_get::<i32, _>("account")? as u32 == order.account
            && row.try_get::<i16, _>("market")? as u16 == order.market
            && row.try_get::<i16, _>("status")? == order.status as i16
            && row.try_get::<i64, _>("executed")? == order.executed
            && row.try_get::<i64, _>("quantity")? == order.quantity
            && row.try_get::<i64, _>("price")? == order.price
            && row.try_get::<&str, _>("client_id")? == order.client_id.as_str();
        ensure!(same, "order {} in the table differs from the journal's: {order:?}", order.id);
    }
    Ok(())
}

async fn trades(connection: &mut PgConnection, fold: &Fold) -> Result<()> {
    let rows = sqlx::query("SELECT market, id, price, quantity, buyer_order, seller_order FROM trades ORDER BY market, id");
    let rows = rows.fetch_all(connection).await?;
    ensure!(rows.len() == fold.trades.len(), "{} trades in the table, {} in the journal", rows.len(), fold.trades.len());
    for (row, trade) in rows.iter().zip(fold.trades.values()) {
        let same = row.try_get::<i16, _>("market")? as u16 == trade.market
            && row.try_get::<i64, _>("id")? as u64 == trade.trade
            && row.try_get::<i64, _>("price")? == trade.price
            && row.try_get::<i64, _>("quantity")? == trade.quantity
            && row.try_get::<i64, _>("buyer_order")? as u64 == trade.buyer_order
            && row.try_get::<i64, _>("seller_order")? as u64 == trade.seller_order;
        ensure!(same, "trade {} of market {} in the table differs from the journal's: {trade:?}", trade.trade, trade.market);
    }
    Ok(())
}

async fn balances(connection: &mut PgConnection, fold: &Fold) -> Result<()> {
    let rows = sqlx::query("SELECT account, asset, free::text, locked::text FROM balances ORDER BY account, asset");
    let (mut sums, mut held) = (vec![0; fold.state.assets().len()], 0);
    for row in rows.fetch_all(connection).await? {
        let (account, asset) = (row.try_get::<i32, _>("account")? as u32, row.try_get::<i16, _>("asset")? as u16);
        let amount = |name: &str| -> Result<Amount> { row.try_get::<&str, _>(name)?.parse().context("an amount of the table") };
        let (free, locked) = (amount("free")?, amount("locked")?);
        let balance = fold.state.balance(account, asset);
        let same = balance.free == free && balance.locked == locked;
        ensure!(same, "account {account}, asset {asset}: {free} and {locked} in the table, {balance:?} in the journal");
        sums[usize::from(asset)] += free + locked;
        held += 1;
    }
    let expected: usize = fold.state.accounts().map(|account| fold.state.balances(account.id).count()).sum();
    ensure!(held == expected, "{held} balances in the table, {expected} in the journal");
    ensure!(sums.iter().all(|sum| *sum == 0), "the table's assets sum to {sums:?}");
    Ok(())
}
