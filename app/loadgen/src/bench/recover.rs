//! This module measures `exchange recover`: a journal is shipped to object storage, then built into a new database. It must not read
//! the bucket itself.

use super::BenchSettings;
use super::arm::postgres_options;
use super::recovery::fill;
use crate::stage::{StagedExchange, exchange_binary};
use anyhow::{Result, ensure};
use local_parts::{ObjectStore, Postgres};
use std::path::Path;
use std::time::{Duration, Instant};

const BUCKET: &str = "recover";
/// Time limit for shipping the journal.
const SHIPPED: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(100);

/// Seconds from the start of the command to its end, for a million events: list, download, verify, fold and write all of them,
/// because the bucket has no snapshot.
pub async fn measure_recover(settings: &BenchSettings, folder: &Path) -> Result<f64> {
    let (postgres, store) = (Postgres::start(postgres_options()).await?, ObjectStore::start().await?);
    store.create_bucket(BUCKET).await?;
    let storage = Some((store.access(), BUCKET));
    let lost = postgres.create_database("lost").await?;
    let exchange = StagedExchange::new(exchange_binary()?, folder, &lost, storage);
    exchange.migrate().await?;
    fill(&lost, settings.seed, settings.recovery_events).await?;
    let server = exchange.serve("shipping").await?;
    let (begun, events) = (Instant::now(), settings.recovery_events as f64);
    while server.metric("exchange_ship_sequence").await? < events {
        ensure!(begun.elapsed() < SHIPPED, "the journal was not shipped within {} s", SHIPPED.as_secs());
        tokio::time::sleep(POLL).await;
    }
    let shipped = server.metric("exchange_ship_sequence").await?;
    server.stop().await?;
    let found = postgres.create_database("found").await?;
    let exchange = StagedExchange::new(exchange_binary()?, folder, &found, storage);
    let begun = Instant::now();
    exchange.recover().await?;
    Ok(begun.elapsed().as_secs_f64() * 1e6 / shipped)
}
