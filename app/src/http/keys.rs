//! This module holds the API keys in memory, so that no request waits for PostgreSQL. It must not contain SQL or decide about one
//! request.
//!
//! A follower reads changed keys every [`POLL`], and refuses a revoked key within that time. While PostgreSQL is unreachable, the
//! known keys remain usable.

use super::verifier::Verifier;
use crate::api_key::{KeyFault, Permissions, Vault};
use crate::db::api_keys::{self, ApiKey, Material};
use exchange_core::order::AccountId;
use ipnet::IpNet;
use parking_lot::RwLock;
use rustc_hash::FxHashMap;
use service_kit::health::Latch;
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Interval between polls for changed keys: well below the documented second.
const POLL: Duration = Duration::from_millis(250);

/// Bytes of a print.
pub const PRINT_LENGTH: usize = 8;

/// Identifies an API key in a listen key.
pub type Print = [u8; PRINT_LENGTH];

/// The print of an API key.
pub fn print(api_key: &str) -> Print {
    let digest = Sha256::digest(api_key.as_bytes());
    std::array::from_fn(|index| digest[index])
}

/// A usable key.
#[derive(Debug)]
pub struct Key {
    pub account: AccountId,
    pub permissions: Permissions,
    pub verifier: Verifier,
    networks: Vec<IpNet>,
}

impl Key {
    pub const fn new(account: AccountId, permissions: Permissions, verifier: Verifier, networks: Vec<IpNet>) -> Self {
        Self { account, permissions, verifier, networks }
    }

    /// Whether it may be used from `address`.
    pub fn allows(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.is_empty() || self.networks.iter().any(|network| network.contains(&address))
    }
}

/// Every usable key. Clones share the keys.
#[derive(Clone)]
pub struct Keys {
    shared: Arc<SharedKeys>,
}

struct SharedKeys {
    keys: RwLock<FxHashMap<Box<str>, Arc<Key>>>,
    /// The same keys by their print in a listen key.
    prints: RwLock<FxHashMap<Print, Arc<Key>>>,
    vault: Vault,
    loaded: AtomicBool,
    revision: AtomicI64,
}

impl Keys {
    pub fn new(vault: Vault) -> Self {
        let shared = SharedKeys {
            keys: RwLock::default(),
            prints: RwLock::default(),
            vault,
            loaded: AtomicBool::new(false),
            revision: AtomicI64::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    pub fn get(&self, api_key: &str) -> Option<Arc<Key>> {
        self.shared.keys.read().get(api_key).cloned()
    }

    /// The usable key with this print.
    pub fn by_print(&self, print: &Print) -> Option<Arc<Key>> {
        self.shared.prints.read().get(print).cloned()
    }

    pub fn vault(&self) -> &Vault {
        &self.shared.vault
    }

    /// A store as after reading a table that contains this key.
    #[cfg(test)]
    pub fn insert(&self, api_key: &str, key: Key) {
        self.shared.loaded.store(true, Ordering::Release);
        let key = Arc::new(key);
        self.shared.prints.write().insert(print(api_key), Arc::clone(&key));
        self.shared.keys.write().insert(api_key.into(), key);
    }

    /// False until the first read of the table: before it an unknown key is not evidence.
    pub fn is_loaded(&self) -> bool {
        self.shared.loaded.load(Ordering::Acquire)
    }

    /// Applies the changes since the last read.
    ///
    /// # Errors
    ///
    /// Returns PostgreSQL's error; the known keys remain.
    pub async fn refresh(&self, pool: &PgPool) -> sqlx::Result<()> {
        let rows = api_keys::changed_since(pool, self.shared.revision.load(Ordering::Acquire)).await?;
        if let Some(last) = rows.last() {
            let revision = last.revision;
            self.apply(rows);
            self.shared.revision.store(revision, Ordering::Release);
        }
        self.shared.loaded.store(true, Ordering::Release);
        Ok(())
    }

    /// Refreshes the keys until `shutdown`; opens `latch` after the first read.
    pub async fn follow(self, pool: PgPool, latch: Latch, shutdown: CancellationToken) {
        let mut away = false;
        let mut ticks = tokio::time::interval(POLL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let refreshed = self.refresh(&pool).await;
            if refreshed.is_ok() {
                latch.open();
            }
            match refreshed {
                Ok(()) if away => {
                    away = false;
                    tracing::info!("reading API keys succeeds again");
                }
                Ok(()) => {}
                Err(_) if away => {}
                Err(error) => {
                    away = true;
                    tracing::warn!(%error, "failed to read API keys; new and revoked keys take effect when PostgreSQL is \
                     reachable again");
                }
            }
        }
    }

    fn apply(&self, rows: Vec<ApiKey>) {
        let usable: Vec<(Box<str>, Option<Arc<Key>>)> = rows
            .into_iter()
            .map(|row| {
                let name: Box<str> = row.api_key.as_str().into();
                let key = if row.revoked_at.is_some() { None } else { self.open(row) };
                (name, key)
            })
            .collect();
        let (mut keys, mut prints) = (self.shared.keys.write(), self.shared.prints.write());
        for (name, key) in usable {
            let key_print = print(&name);
            match key {
                Some(key) => {
                    prints.insert(key_print, Arc::clone(&key));
                    keys.insert(name, key);
                }
                None => {
                    prints.remove(&key_print);
                    keys.remove(&name);
                }
            }
        }
    }

    fn open(&self, row: ApiKey) -> Option<Arc<Key>> {
        let verifier = match &row.material {
            Material::Hmac(sealed) => self.shared.vault.open(&row.api_key, sealed).map(|secret| Verifier::hmac(&secret)),
            Material::Ed25519(public_key) => Verifier::ed25519(public_key),
            Material::Gone => Err(KeyFault::Incomplete),
        };
        match verifier {
            Ok(verifier) => Some(Arc::new(Key::new(row.account, row.permissions, verifier, row.networks))),
            Err(fault) => {
                tracing::error!(account = row.account, label = row.label, %fault, "ignoring an API key that cannot be used");
                None
            }
        }
    }
}
