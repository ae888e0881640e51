//! This module writes the projection's small tables: `assets`, `markets`, `accounts`, `credits`, `operator_actions`. It must not
//! write orders or trades.

use crate::db::numeric::Numeric;
use exchange_core::{
    Account,
    market::{Asset, Market},
    money::{Amount, Time},
    order::{AccountId, AssetId},
};
use sqlx::PgConnection;

/// A deposit (above 0) or a withdrawal (below 0).
#[derive(Debug)]
pub struct Credit {
    pub sequence: u64,
    pub time: Time,
    pub account: AccountId,
    pub asset: AssetId,
    pub amount: Amount,
    pub reference: Box<str>,
}

/// An operator action and its reason.
#[derive(Debug)]
pub struct OperatorAction {
    pub sequence: u64,
    pub time: Time,
    pub actor: Box<str>,
    pub reason: Box<str>,
    pub action: Box<str>,
}

pub async fn upsert_asset(connection: &mut PgConnection, asset: &Asset) -> sqlx::Result<()> {
    sqlx::query("INSERT INTO assets (id, code) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET code = excluded.code")
        .bind(asset.id as i16)
        .bind(&*asset.code)
        .execute(connection)
        .await?;
    Ok(())
}

pub async fn upsert_market(connection: &mut PgConnection, market: &Market) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO markets (id, base, quote, status, symbol) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (id) DO UPDATE SET status = excluded.status",
    )
    .bind(market.id as i16)
    .bind(market.base as i16)
    .bind(market.quote as i16)
    .bind(i16::from(market.status as u8))
    .bind(&*market.symbol)
    .execute(connection)
    .await?;
    Ok(())
}

pub async fn upsert_account(connection: &mut PgConnection, account: &Account) -> sqlx::Result<()> {
    let rights = account.rights;
    let bits = i16::from(rights.trade) | i16::from(rights.withdraw) << 1 | i16::from(rights.deposit) << 2;
    sqlx::query(
        "INSERT INTO accounts (id, created, updated, rights, reference) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (id) DO UPDATE SET updated = excluded.updated, rights = excluded.rights",
    )
    .bind(account.id as i32)
    .bind(account.created)
    .bind(account.updated)
    .bind(bits)
    .bind(&*account.reference)
    .execute(connection)
    .await?;
    Ok(())
}

pub async fn insert_credit(connection: &mut PgConnection, credit: &Credit) -> sqlx::Result<()> {
    sqlx::query("INSERT INTO credits (sequence, time, account, asset, amount, reference) VALUES ($1, $2, $3, $4, $5, $6)")
        .bind(credit.sequence as i64)
        .bind(credit.time)
        .bind(credit.account as i32)
        .bind(credit.asset as i16)
        .bind(Numeric(credit.amount))
        .bind(&*credit.reference)
        .execute(connection)
        .await?;
    Ok(())
}

pub async fn insert_action(connection: &mut PgConnection, action: &OperatorAction) -> sqlx::Result<()> {
    sqlx::query("INSERT INTO operator_actions (sequence, time, actor, reason, action) VALUES ($1, $2, $3, $4, $5)")
        .bind(action.sequence as i64)
        .bind(action.time)
        .bind(&*action.actor)
        .bind(&*action.reason)
        .bind(&*action.action)
        .execute(connection)
        .await?;
    Ok(())
}
