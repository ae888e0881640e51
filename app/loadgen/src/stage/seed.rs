//! This module writes the foundation and the API keys of the workload into a migrated, empty database. It must not touch a
//! database in use.

use super::program::StagedExchange;
use crate::foundation::{FIRST_ACCOUNT, add_accounts, lay};
use crate::workload::{ACCOUNTS, key};
use anyhow::{Result, ensure};
use exchange::api_key::{Permissions, Vault};
use exchange::db::api_keys::{self, Material, NewApiKey};
use exchange::db::{head, journal};
use exchange_core::batch;
use sqlx::{Connection, PgConnection, PgPool};
use std::time::{SystemTime, UNIX_EPOCH};

/// Open orders of one account on one market: sufficient for any run.
const MAX_ORDERS: u32 = 1_000_000;

/// Writes the foundation as the journal's first batch, and the keys of [`key`].
///
/// # Errors
///
/// Returns an error if the database is not empty.
pub async fn seed(exchange: &StagedExchange, url: &str) -> Result<()> {
    seed_with(exchange, url, 0).await
}

/// Does the same as [`seed`], with `idle` accounts more that never trade.
///
/// # Errors
///
/// Returns the errors of [`seed`].
pub async fn seed_with(exchange: &StagedExchange, url: &str, idle: u32) -> Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros() as i64;
    let (mut events, mut payload) = (Vec::new(), Vec::new());
    let mut state = lay(MAX_ORDERS, now, &mut events)?;
    add_accounts(&mut state, idle, now, &mut events)?;
    batch::encode(&events, &mut payload);
    let mut connection = PgConnection::connect(url).await?;
    let head = head::read_head(&mut connection).await?;
    ensure!(head.last_seq == 0, "the journal already has events");
    let append = journal::Append {
        epoch: head.epoch,
        previous_sequence: 0,
        last_sequence: events.len() as i64,
        checksum: batch::checksum(&payload),
        payload: &payload,
    };
    ensure!(journal::append_batch(&mut connection, append).await?, "another process writes the journal");
    connection.close().await?;

    let pool = PgPool::connect(url).await?;
    let vault = Vault::new(&exchange.encryption_key.into(), &[]);
    for account in 0..ACCOUNTS {
        let (api_key, secret) = key(account);
        let material = Material::Hmac(vault.seal(&api_key, &secret.into())?);
        let new = NewApiKey {
            api_key: &api_key,
            account: FIRST_ACCOUNT + account,
            label: "load",
            material: &material,
            permissions: Permissions { read: true, trade: true, withdraw: false },
            networks: &[],
        };
        api_keys::insert_api_key(&pool, &new).await?;
    }
    pool.close().await;
    Ok(())
}
