//! What every test here needs: a bucket of its own, a server to back up and one to restore on, keys.

use std::time::Duration;

use backup::{
    config::{Checksums, Source, StoreSettings},
    manifest::sign::Signing,
    metrics::StoreMetrics,
    store::Store,
};
use local_parts::{Postgres, SharedPostgres, shared_object_store, shared_postgres};
use service_kit::metrics::Metrics;
use sqlx::{Connection, PgConnection};
use tokio::sync::OnceCell;

/// Everything wrong is told at once: nothing here waits for a store that does not answer.
const ATTEMPTS: u32 = 2;
/// A signing key of no use but here.
pub const SIGNING_SEED: &str = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";

pub fn signing() -> Signing {
    Signing::parse(SIGNING_SEED).unwrap()
}

/// A bucket of its own, and a store in it.
pub async fn store() -> Store {
    let settings = store_settings().await;
    Store::new(&settings, StoreMetrics::register(&Metrics::new("backup", "0", None)).unwrap())
}

pub async fn store_settings() -> StoreSettings {
    let access = shared_object_store().await.unwrap();
    let bucket = format!("backup-{}-{:08x}", std::process::id(), random());
    access.create_bucket(&bucket).await.unwrap();
    StoreSettings {
        endpoint: Some(access.endpoint.clone()),
        region: access.region.clone(),
        bucket,
        prefix: "backups".into(),
        access_key: access.access_key.clone(),
        secret_key: access.secret_key.clone().into(),
        session_token: None,
        checksums: Checksums::default(),
        path_style: true,
        lock_bucket: None,
        object_lock: None,
        part_bytes: 5 << 20,
        parts_per_object: 900,
        attempts: ATTEMPTS,
        connect_timeout: Duration::from_secs(5),
        request_timeout: Duration::from_secs(60),
    }
}

pub fn random() -> u32 {
    uuid::Uuid::new_v4().as_u128() as u32
}

pub fn source(url: &str) -> Source {
    Source::parse(&url.to_owned().into()).unwrap()
}

/// A database of its own on the shared server.
pub async fn database() -> (Source, PgConnection) {
    let url = shared_postgres().await.unwrap().create_database().await.unwrap();
    (source(&url), PgConnection::connect(&url).await.unwrap())
}

/// Another server, so that names of databases are free and roles are missing; shared by the tests of one process.
pub async fn other_server() -> Source {
    static SERVER: OnceCell<Postgres> = OnceCell::const_new();
    let server = SERVER.get_or_init(|| async { Postgres::start(SharedPostgres::options()).await.unwrap() }).await;
    source(&server.url())
}

pub async fn connect(source: &Source) -> PgConnection {
    PgConnection::connect_with(&source.options()).await.unwrap()
}
