//! This module reads and writes the table of API keys. It must not check a signature or see a decrypted secret.
//!
//! Every change takes the table's lock and the next revision, so that revisions become visible in their order. A reader that
//! requests all changes after the last revision it saw therefore misses nothing.

use crate::api_key::{Permissions, SealedSecret};
use exchange_core::money::Time;
use exchange_core::order::AccountId;
use ipnet::IpNet;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgExecutor, PgPool, Row};

/// The material that verifies a key's signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Material {
    Hmac(SealedSecret),
    Ed25519([u8; 32]),
    /// The material of a revoked key is deleted.
    Gone,
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    pub api_key: String,
    pub account: AccountId,
    /// Label chosen by the owner.
    pub label: String,
    pub material: Material,
    pub permissions: Permissions,
    /// Addresses that may use the key; empty: any.
    pub networks: Vec<IpNet>,
    /// Microseconds since the epoch, by the database's clock.
    pub created_at: Time,
    pub revoked_at: Option<Time>,
    pub revision: i64,
}

/// A key to store.
#[derive(Debug, Clone)]
pub struct NewApiKey<'a> {
    pub api_key: &'a str,
    pub account: AccountId,
    pub label: &'a str,
    pub material: &'a Material,
    pub permissions: Permissions,
    pub networks: &'a [IpNet],
}

const COLUMNS: &str = "api_key, account, label, kind, sealed_secret, encryption_key, public_key, can_read, can_trade, can_withdraw, \
                       networks, (extract(epoch FROM created_at) * 1000000)::bigint AS created_at, \
                       (extract(epoch FROM revoked_at) * 1000000)::bigint AS revoked_at, revision";
const LOCK: &str = "LOCK TABLE api_keys IN SHARE ROW EXCLUSIVE MODE";

/// Stores a key. Every replica accepts it within the second.
///
/// # Errors
///
/// Returns a unique violation if the id exists.
pub async fn insert_api_key(pool: &PgPool, key: &NewApiKey<'_>) -> sqlx::Result<()> {
    let (kind, sealed, encryption_key, public_key) = match key.material {
        Material::Hmac(sealed) => ("HMAC", Some(&sealed.bytes[..]), Some(&sealed.encryption_key[..]), None),
        Material::Ed25519(public_key) => ("ED25519", None, None, Some(&public_key[..])),
        Material::Gone => return Err(sqlx::Error::Encode("a key without material cannot be stored".into())),
    };
    let networks: Vec<String> = key.networks.iter().map(IpNet::to_string).collect();
    let mut transaction = pool.begin().await?;
    sqlx::query(LOCK).execute(&mut *transaction).await?;
    sqlx::query(
        "INSERT INTO api_keys (api_key, account, label, kind, sealed_secret, encryption_key, public_key, \
                               can_read, can_trade, can_withdraw, networks) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(key.api_key)
    .bind(i64::from(key.account))
    .bind(key.label)
    .bind(kind)
    .bind(sealed)
    .bind(encryption_key)
    .bind(public_key)
    .bind(key.permissions.read)
    .bind(key.permissions.trade)
    .bind(key.permissions.withdraw)
    .bind(networks)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await
}

/// Every key, or one account's, oldest first, revoked ones included.
pub async fn list_api_keys(pool: &PgPool, account: Option<AccountId>) -> sqlx::Result<Vec<ApiKey>> {
    let text = format!("SELECT {COLUMNS} FROM api_keys WHERE $1 IS NULL OR account = $1 ORDER BY api_keys.created_at, api_key");
    let rows = sqlx::query(sqlx::AssertSqlSafe(text)).bind(account.map(i64::from)).fetch_all(pool).await?;
    rows.iter().map(read).collect()
}

/// Revokes a key permanently and deletes its material; every replica refuses it within the second. False if the key does not
/// exist or was already revoked.
pub async fn revoke(pool: &PgPool, api_key: &str) -> sqlx::Result<bool> {
    let mut transaction = pool.begin().await?;
    sqlx::query(LOCK).execute(&mut *transaction).await?;
    let done = sqlx::query(
        "UPDATE api_keys SET revoked_at = now(), revision = nextval('api_keys_revision'), \
                             sealed_secret = NULL, encryption_key = NULL, public_key = NULL \
         WHERE api_key = $1 AND revoked_at IS NULL",
    )
    .bind(api_key)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(done.rows_affected() == 1)
}

/// Whether a key was ever created; a revoked key counts.
pub async fn exists(executor: impl PgExecutor<'_>, api_key: &str) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT EXISTS (SELECT FROM api_keys WHERE api_key = $1)").bind(api_key).fetch_one(executor).await
}

/// Keys created or revoked after `revision`, in that order. From 0: all keys.
pub async fn changed_since(executor: impl PgExecutor<'_>, revision: i64) -> sqlx::Result<Vec<ApiKey>> {
    let text = format!("SELECT {COLUMNS} FROM api_keys WHERE revision > $1 ORDER BY revision");
    let rows = sqlx::query(sqlx::AssertSqlSafe(text)).bind(revision).fetch_all(executor).await?;
    rows.iter().map(read).collect()
}

/// The newest revision; 0: no key was ever stored.
pub async fn newest_revision(executor: impl PgExecutor<'_>) -> sqlx::Result<i64> {
    sqlx::query_scalar("SELECT coalesce(max(revision), 0) FROM api_keys").fetch_one(executor).await
}

/// Stores a row as it was in another database, its revision included. For an empty table.
pub async fn restore(connection: &mut PgConnection, key: &ApiKey) -> sqlx::Result<()> {
    let (kind, sealed, encryption_key, public_key) = match &key.material {
        Material::Hmac(sealed) => ("HMAC", Some(&sealed.bytes[..]), Some(&sealed.encryption_key[..]), None),
        Material::Ed25519(public_key) => ("ED25519", None, None, Some(&public_key[..])),
        // The kind of a revoked key is not needed any more.
        Material::Gone => ("HMAC", None, None, None),
    };
    let networks: Vec<String> = key.networks.iter().map(IpNet::to_string).collect();
    let text = "INSERT INTO api_keys (api_key, account, label, kind, sealed_secret, encryption_key, public_key, can_read, can_trade, \
                can_withdraw, networks, created_at, revoked_at, revision) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, \
                'epoch'::timestamptz + $12 * interval '1 microsecond', 'epoch'::timestamptz + $13 * interval '1 microsecond', $14)";
    sqlx::query(text)
        .bind(&key.api_key)
        .bind(i64::from(key.account))
        .bind(&key.label)
        .bind(kind)
        .bind(sealed)
        .bind(encryption_key)
        .bind(public_key)
        .bind(key.permissions.read)
        .bind(key.permissions.trade)
        .bind(key.permissions.withdraw)
        .bind(networks)
        .bind(key.created_at)
        .bind(key.revoked_at)
        .bind(key.revision)
        .execute(connection)
        .await?;
    Ok(())
}

/// Later changes get revisions above `revision`.
pub async fn continue_revisions(connection: &mut PgConnection, revision: i64) -> sqlx::Result<()> {
    sqlx::query("SELECT setval('api_keys_revision', $1)").bind(revision).execute(connection).await?;
    Ok(())
}

fn read(row: &PgRow) -> sqlx::Result<ApiKey> {
    let sealed: Option<Vec<u8>> = row.try_get("sealed_secret")?;
    let encryption_key: Option<String> = row.try_get("encryption_key")?;
    let public_key: Option<Vec<u8>> = row.try_get("public_key")?;
    let material = match (sealed, encryption_key, public_key) {
        (Some(bytes), Some(encryption_key), None) => Material::Hmac(SealedSecret { encryption_key, bytes }),
        (None, None, Some(bytes)) => Material::Ed25519(bytes.try_into().map_err(|_| wrong("public_key", "is not 32 bytes"))?),
        _ => Material::Gone,
    };
    let networks: Vec<String> = row.try_get("networks")?;
    let networks: Result<Vec<IpNet>, _> = networks.iter().map(|text| text.parse()).collect();
    let account: i64 = row.try_get("account")?;
    Ok(ApiKey {
        api_key: row.try_get("api_key")?,
        account: account.try_into().map_err(|_| wrong("account", "is out of range"))?,
        label: row.try_get("label")?,
        material,
        permissions: Permissions {
            read: row.try_get("can_read")?,
            trade: row.try_get("can_trade")?,
            withdraw: row.try_get("can_withdraw")?,
        },
        networks: networks.map_err(|_| wrong("networks", "is not a list of networks"))?,
        created_at: row.try_get("created_at")?,
        revoked_at: row.try_get("revoked_at")?,
        revision: row.try_get("revision")?,
    })
}

fn wrong(column: &str, fault: &str) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_owned(), source: fault.into() }
}
