//! Agents as the program creates them: from settings, in separate buckets.

use std::ffi::OsString;

use backup::{
    config::{self, Job, Needs, ObjectStoreSettings, SourceSettings},
    failure::Result,
    manifest::Manifest,
    metrics::{AgentMetrics, ObjectStoreMetrics},
    progress::Progress,
    run::{self, Agent},
};
use local_parts::find_program;
use service_kit::metrics::Metrics;
use tokio_util::sync::CancellationToken;

use crate::support::{SIGNING_SEED, keys, store_settings};

/// The settings of a job that backs up `source` to `store`, as environment variables; `changes` override them.
pub fn settings(source: &SourceSettings, store: &ObjectStoreSettings, changes: &[(&str, &str)]) -> Vec<(String, String)> {
    let password = source.password.as_ref().map(|password| password.expose().to_owned()).unwrap_or_default();
    let host = percent_encoding::utf8_percent_encode(&source.host, percent_encoding::NON_ALPHANUMERIC);
    let url = format!("postgres://{}:{password}@{host}:{}/{}?sslmode=disable", source.user, source.port, source.database);
    let tools = find_program("pg_dump").unwrap().parent().unwrap().display().to_string();
    let fixed = [
        ("BACKUP_SOURCE_URL", url.as_str()),
        ("BACKUP_DATABASES", &source.database),
        ("BACKUP_STORE_ENDPOINT", store.endpoint.as_deref().unwrap_or_default()),
        ("BACKUP_STORE_BUCKET", &store.bucket),
        ("BACKUP_STORE_PREFIX", &store.prefix),
        ("BACKUP_STORE_ACCESS_KEY", keys(store).0),
        ("BACKUP_STORE_SECRET_KEY", keys(store).1),
        ("BACKUP_STORE_ATTEMPTS", "2"),
        ("BACKUP_SIGNING_KEY", SIGNING_SEED),
        ("BACKUP_CLIENT_FOLDER", &tools),
    ];
    let changed = |name: &str| changes.iter().any(|(changed, _)| *changed == name);
    let kept = fixed.iter().filter(|(name, _)| !changed(name)).chain(changes).filter(|(_, value)| !value.is_empty());
    kept.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

pub fn job(source: &SourceSettings, store: &ObjectStoreSettings, changes: &[(&str, &str)]) -> Job {
    let variables = settings(source, store, changes);
    let variables = variables.into_iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect();
    config::load_from(variables, None, &[], Needs { source: true, signing: true }).unwrap().remove(0)
}

/// An agent in a bucket of its own.
pub async fn agent(source: &SourceSettings, changes: &[(&str, &str)]) -> Agent {
    agent_in(source, &store_settings().await, changes)
}

/// An agent in a shared bucket.
pub fn agent_in(source: &SourceSettings, store: &ObjectStoreSettings, changes: &[(&str, &str)]) -> Agent {
    let metrics = Metrics::new("backup", "0", None);
    let (agent, kept) = (AgentMetrics::register(&metrics).unwrap(), ObjectStoreMetrics::register(&metrics).unwrap());
    Agent::new(job(source, store, changes), agent, kept)
}

/// Takes a backup.
pub async fn take(agent: &Agent) -> Result<Manifest> {
    run::run(agent, CancellationToken::new(), Progress::default).await
}
