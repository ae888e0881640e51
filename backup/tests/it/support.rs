//! Common parts of the tests: a separate bucket, a server to back up and one to restore to, keys.

use std::time::Duration;

use backup::{
    config::{Checksums, Credentials, ObjectStoreSettings, SourceSettings},
    manifest::sign::Signing,
    metrics::ObjectStoreMetrics,
    store::Store,
};
use local_parts::{Postgres, SharedPostgres, shared_object_store, shared_postgres};
use service_kit::metrics::Metrics;
use sqlx::{Connection, PgConnection};
use tokio::sync::OnceCell;

/// Errors are reported quickly: the tests must not wait for a store that does not answer.
const ATTEMPTS: u32 = 2;
/// A signing key for tests only.
pub const SIGNING_SEED: &str = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";

pub fn signing() -> Signing {
    Signing::parse(SIGNING_SEED).unwrap()
}

/// A separate bucket, and a store in it.
pub async fn store() -> Store {
    let settings = store_settings().await;
    Store::new(&settings, ObjectStoreMetrics::register(&Metrics::new("backup", "0", None)).unwrap())
}

pub async fn store_settings() -> ObjectStoreSettings {
    let access = shared_object_store().await.unwrap();
    let bucket = format!("backup-{}-{:08x}", std::process::id(), random());
    access.create_bucket(&bucket).await.unwrap();
    ObjectStoreSettings {
        endpoint: Some(access.endpoint.clone()),
        region: access.region.clone(),
        bucket,
        prefix: "backups".into(),
        credentials: Credentials::Keys {
            access: access.access_key.clone(),
            secret: access.secret_key.clone().into(),
            session_token: None,
        },
        checksums: Checksums::default(),
        path_style: true,
        lock_bucket: None,
        object_lock: None,
        storage_class: None,
        encryption: None,
        part_bytes: 5 << 20,
        parts_per_object: 900,
        attempts: ATTEMPTS,
        connect_timeout: Duration::from_secs(5),
        request_timeout: Duration::from_secs(60),
    }
}

/// Access key and secret key of the store.
pub fn keys(store: &ObjectStoreSettings) -> (&str, &str) {
    match &store.credentials {
        Credentials::Keys { access, secret, .. } => (access, secret.expose()),
        Credentials::Aws { .. } => panic!("the tests' store has keys"),
    }
}

pub fn random() -> u32 {
    uuid::Uuid::new_v4().as_u128() as u32
}

pub fn source(url: &str) -> SourceSettings {
    SourceSettings::parse(&url.to_owned().into()).unwrap()
}

/// A separate database on the shared server.
pub async fn database() -> (SourceSettings, PgConnection) {
    let url = shared_postgres().await.unwrap().create_database().await.unwrap();
    (source(&url), PgConnection::connect(&url).await.unwrap())
}

/// Another server, with free names of databases and without the roles. The tests of one process share it.
pub async fn other_server() -> SourceSettings {
    static SERVER: OnceCell<Postgres> = OnceCell::const_new();
    let server = SERVER.get_or_init(|| async { Postgres::start(SharedPostgres::options()).await.unwrap() }).await;
    source(&server.url())
}

pub async fn connect(source: &SourceSettings) -> PgConnection {
    PgConnection::connect_with(&source.options()).await.unwrap()
}
