//! This module is `logship relay`, a lossless proxy in front of `_bulk`. A shipper treats `_bulk`'s 200 as success although
//! items in it failed, and aborts or loops on errors it does not understand. The relay stores each chunk completely or
//! requests it again.
//!
//! ```text
//! connections ─► server ─► inflate ─► ndjson (pure) ─► forwarder ─► Elasticsearch
//!                                                         │  ▲
//!                    chunk, verdict, dead_letter, backoff (pure)
//! ```
//!
//! - It must not parse or change documents.
//! - It must not store chunks on disk. It is stateless: the shipper retains unacknowledged chunks.

mod answer;
mod backoff;
mod chunk;
mod connections;
mod dead_letter;
mod forwarder;
#[cfg(test)]
mod fuzz;
mod inflate;
mod memory;
mod ndjson;
mod server;
mod streams;
mod tls;
mod verdict;
mod write_limit;

use std::{net::SocketAddr, sync::Arc};

use anyhow::Context;
use tokio::net::TcpListener;

use crate::{
    client::Client,
    config::{ClusterSettings, RelaySettings},
    daemon::Daemon,
    exit::{CommandFailure, Exit},
    metrics::{ClientMetrics, RelayMetrics},
};

use self::{
    connections::Connections, forwarder::Forwarder, memory::RelayMemory, ndjson::Streams, server::Intake, tls::MountedTls,
};

/// Checks the files of the listener.
///
/// # Errors
/// Returns a failure that names the setting of the invalid file.
pub fn check_settings(settings: &RelaySettings) -> Result<(), CommandFailure> {
    let read = settings.tls.as_ref().map_or(Ok(()), tls::check_files);
    read.map_err(|error| CommandFailure::new(Exit::Configuration, format!("{error:#}")))
}

/// Runs the relay until the shutdown begins and all pending requests are answered.
pub async fn run(cluster: ClusterSettings, settings: RelaySettings, daemon: Daemon) -> anyhow::Result<()> {
    let listener = bind(settings.listen).await?;
    run_on(listener, cluster, settings, daemon).await
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("LOGSHIP_RELAY_LISTEN: {address} cannot be bound"))
}

/// Runs the relay on an existing listener.
pub async fn run_on(
    listener: TcpListener,
    cluster: ClusterSettings,
    settings: RelaySettings,
    daemon: Daemon,
) -> anyhow::Result<()> {
    let metrics = RelayMetrics::register(&daemon.metrics)?;
    begin_counting(&metrics);
    metrics.places.set(i64::try_from(settings.chunks_at_once).unwrap_or(i64::MAX));
    metrics.memory_limit.set(i64::try_from(settings.memory).unwrap_or(i64::MAX));
    let memory = RelayMemory::new(settings.memory, settings.chunks_at_once, settings.wait, &metrics.memory);
    let connections = Connections::new(settings.connections, settings.client_timeout, &metrics);
    let client = Client::new(cluster, Some(ClientMetrics::register(&daemon.metrics)?))?;
    let forwarder = Arc::new(Forwarder { client, dead_letters: settings.dead_letters.clone(), metrics });
    let latch = daemon.health.latch("streams", "not checked yet");
    daemon.serve_admin().await?;

    let stop = daemon.shutdown.token();
    let watching = {
        let (forwarder, mut names, stop) = (Arc::clone(&forwarder), settings.streams.clone(), stop.clone());
        names.push(settings.dead_letters);
        async move { streams::watch(&forwarder, &names, &latch, &forwarder.metrics, stop).await }
    };
    tokio::spawn(watching);
    let intake = Intake {
        forwarder,
        streams: Arc::new(Streams::new(settings.streams)),
        health: daemon.health.clone(),
        token: settings.token,
        body_limit: settings.body_limit,
        body_timeout: settings.client_timeout.min(server::BODY_TIMEOUT),
        deadline: settings.deadline,
        memory,
        stop: stop.clone(),
    };
    tracing::info!(address = %listener.local_addr()?, tls = settings.tls.is_some(), "the relay started listening");
    let _part = daemon.shutdown.part("relay");
    let tls = settings.tls.map(MountedTls::read).transpose()?;
    connections::serve(listener, tls, server::router(intake), connections, stop).await?;
    Ok(())
}

/// `rate()` needs a value before the first event.
fn begin_counting(metrics: &RelayMetrics) {
    for cause in verdict::RetryCause::ALL {
        metrics.put_off.with_label_values(&[cause.name()]);
    }
    for outcome in ["stored", "already_there", "failure_store", "dead_letter", "dead_letter_already_there"] {
        metrics.documents.with_label_values(&[outcome]);
    }
    for outcome in ["stored", "refused", "too_large", "busy", "not_ready", "unauthorised", "broken", "unstored", "abandoned"] {
        metrics.chunks.with_label_values(&[outcome]);
    }
    for reason in ["malformed", "not_create", "unknown_stream", "no_id", "encoding", "parameters"] {
        metrics.refused.with_label_values(&[reason]);
    }
    for reason in connections::CLOSED {
        metrics.closed_connections.with_label_values(&[reason]);
    }
}
