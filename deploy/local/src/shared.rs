//! One server of each kind for many tests.
//!
//! `make test` starts the servers once and names them in the environment of every test process. A plain `cargo test`
//! finds nothing there: then each test process starts its own on first use, and they end with it.

use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};
use tokio::sync::OnceCell;

use crate::{
    object_store::{ObjectStore, S3Access},
    postgres::{self, Postgres, PostgresOptions},
};

/// Names the server that `make test` started.
pub const TEST_POSTGRES_URL: &str = "TEST_POSTGRES_URL";
/// Names the S3 server that `make test` started: [`S3Access`] as JSON.
pub const TEST_S3: &str = "TEST_S3";

/// Enough for every test of one process and of other processes at the same time.
const MAX_CONNECTIONS: &str = "400";

static POSTGRES: OnceCell<SharedPostgres> = OnceCell::const_new();
static OBJECT_STORE: OnceCell<SharedObjectStore> = OnceCell::const_new();

/// A server that other tests use too: never stop it, never touch a database that is not yours.
#[derive(Debug)]
pub struct SharedPostgres {
    server_url: String,
    /// Holds the server if this process started it.
    _own: Option<Postgres>,
}

#[derive(Debug)]
struct SharedObjectStore {
    access: S3Access,
    _own: Option<ObjectStore>,
}

impl SharedPostgres {
    /// The options of a server for tests: its data may be lost with the machine.
    pub fn options() -> PostgresOptions {
        PostgresOptions::throwaway().set("max_connections", MAX_CONNECTIONS)
    }

    /// Creates an empty database with a unique name and returns its address.
    pub async fn create_database(&self) -> Result<String> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{}_{number}_{:08x}", std::process::id(), rand::random::<u32>());
        postgres::create_database(&self.server_url, &name).await?;
        let (server, _) = self.server_url.rsplit_once('/').context("the server's address names a database")?;
        Ok(format!("{server}/{name}"))
    }

    /// The address of the server's own database.
    pub fn server_url(&self) -> &str {
        &self.server_url
    }
}

/// The server for tests. A failure is the test's: it says what to install.
pub async fn shared_postgres() -> Result<&'static SharedPostgres> {
    POSTGRES
        .get_or_try_init(async || match variable(TEST_POSTGRES_URL) {
            Some(server_url) => Ok(SharedPostgres { server_url, _own: None }),
            None => {
                let own = Postgres::start(SharedPostgres::options()).await?;
                Ok(SharedPostgres { server_url: own.url(), _own: Some(own) })
            }
        })
        .await
}

/// The S3 server for tests. Use a bucket of your own.
pub async fn shared_object_store() -> Result<&'static S3Access> {
    let store = OBJECT_STORE
        .get_or_try_init(async || match variable(TEST_S3) {
            Some(text) => {
                let access = serde_json::from_str(&text).with_context(|| format!("reading {TEST_S3}"))?;
                anyhow::Ok(SharedObjectStore { access, _own: None })
            }
            None => {
                let own = ObjectStore::start().await?;
                Ok(SharedObjectStore { access: own.access().clone(), _own: Some(own) })
            }
        })
        .await?;
    Ok(&store.access)
}

#[expect(clippy::disallowed_methods, reason = "a test process has no configuration but this")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use sqlx::{Connection, PgConnection};

    use super::*;

    /// Two runtimes, one after the other, as two tests of one process have them.
    #[test]
    fn a_server_started_by_one_test_serves_the_next() {
        let in_own_runtime = || {
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
                let url = shared_postgres().await.unwrap().create_database().await.unwrap();
                PgConnection::connect(&url).await.unwrap().close().await.unwrap();
                shared_object_store().await.unwrap().create_bucket("shared").await.unwrap();
                url
            })
        };
        let first = std::thread::spawn(in_own_runtime).join().unwrap();
        let second = std::thread::spawn(in_own_runtime).join().unwrap();
        let server = |url: &str| url.rsplit_once('/').unwrap().0.to_owned();
        assert!(first != second && server(&first) == server(&second));
    }
}
