//! `logship relay`: a front of `_bulk` that loses nothing. A shipper takes `_bulk`'s 200 for success although items inside it
//! failed, and gives up or loops on what it does not understand; here each chunk is either wholly kept or asked for again.
//!
//! ```text
//! server ─► inflate ─► ndjson (pure) ─► courier ─► Elasticsearch
//!                                         │  ▲
//!                    chunk, verdict, dead_letter, backoff (pure)
//! ```
//!
//! Never: a document parsed or changed, a chunk on disk (it is stateless: what it has not acknowledged, the shipper still has).

mod answer;
mod backoff;
mod chunk;
mod courier;
mod dead_letter;
#[cfg(test)]
mod fuzz;
mod inflate;
mod memory;
mod ndjson;
mod server;
mod streams;
mod tls;
mod verdict;

use std::{net::SocketAddr, sync::Arc};

use anyhow::Context;
use tokio::net::TcpListener;

use crate::{
    client::Client,
    config::{ClusterSettings, RelaySettings},
    daemon::Daemon,
    exit::{Exit, Failure},
    metrics::{ClientMetrics, RelayMetrics},
};

use self::{courier::Courier, memory::Memory, ndjson::Streams, server::Intake, tls::TlsListener};

/// Whether the files that the listener needs are as they must be.
///
/// # Errors
/// With the setting that names the file at fault.
pub fn check(settings: &RelaySettings) -> Result<(), Failure> {
    let read = settings.tls.as_ref().map_or(Ok(()), tls::check);
    read.map_err(|error| Failure::new(Exit::Configuration, format!("{error:#}")))
}

/// Runs the relay until the shutdown begins and what is under way has been answered.
pub async fn run(cluster: ClusterSettings, settings: RelaySettings, daemon: Daemon) -> anyhow::Result<()> {
    let listener = bind(settings.listen).await?;
    run_on(listener, cluster, settings, daemon).await
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("LOGSHIP_RELAY_LISTEN: {address} cannot be bound"))
}

/// The same on a given listener.
pub async fn run_on(
    listener: TcpListener,
    cluster: ClusterSettings,
    settings: RelaySettings,
    daemon: Daemon,
) -> anyhow::Result<()> {
    let metrics = RelayMetrics::register(&daemon.metrics)?;
    begin_counting(&metrics);
    metrics.places.set(i64::try_from(settings.chunks_at_once).unwrap_or(i64::MAX));
    let client = Client::new(cluster, Some(ClientMetrics::register(&daemon.metrics)?))?;
    let courier = Arc::new(Courier { client, dead_letters: settings.dead_letters.clone(), metrics });
    let latch = daemon.health.latch("streams", "not looked at yet");
    daemon.serve_admin().await?;

    let stop = daemon.shutdown.token();
    let watching = {
        let (courier, mut names, stop) = (Arc::clone(&courier), settings.streams.clone(), stop.clone());
        names.push(settings.dead_letters);
        async move { streams::watch(&courier, &names, &latch, &courier.metrics, stop).await }
    };
    tokio::spawn(watching);
    let intake = Intake {
        courier,
        streams: Arc::new(Streams::new(settings.streams)),
        health: daemon.health.clone(),
        token: settings.token,
        body_limit: settings.body_limit,
        deadline: settings.deadline,
        memory: Memory::new(settings.memory, settings.chunks_at_once, settings.wait),
        stop,
    };
    tracing::info!(address = %listener.local_addr()?, tls = settings.tls.is_some(), "the relay listens");
    let _part = daemon.shutdown.part("relay");
    match settings.tls {
        Some(files) => server::serve(TlsListener::start(listener, files)?, intake).await?,
        None => server::serve(listener, intake).await?,
    }
    Ok(())
}

/// A rate needs a value before the first event.
fn begin_counting(metrics: &RelayMetrics) {
    for cause in verdict::Cause::ALL {
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
}
