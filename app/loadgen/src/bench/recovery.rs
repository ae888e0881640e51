//! This module measures how fast a starting server replays its journal from PostgreSQL, from the server's own metrics. It must
//! not replay itself.

use super::BenchSettings;
use super::arm::postgres_options;
use crate::core_bench::stream::{CommandStream, START};
use crate::core_bench::{BATCH, WARM};
use crate::foundation::lay;
use crate::stage::{StagedExchange, exchange_binary};
use anyhow::{Result, ensure};
use exchange::db::{head, journal};
use exchange_core::batch;
use exchange_core::event::Event;
use local_parts::Postgres;
use sqlx::{Connection, Executor, PgConnection};
use std::path::Path;

/// Events per second of a server's start, and their number.
pub async fn measure_recovery(settings: &BenchSettings, folder: &Path) -> Result<(f64, f64)> {
    let postgres = Postgres::start(postgres_options()).await?;
    let database = postgres.create_database("recovery").await?;
    let exchange = StagedExchange::new(exchange_binary()?, folder, &database, None);
    exchange.migrate().await?;
    fill(&database, settings.seed, settings.recovery_events).await?;
    let server = exchange.serve("recovery").await?;
    let seconds = server.metric("exchange_engine_recovery_seconds").await?;
    let events = server.metric("exchange_engine_recovery_events").await?;
    ensure!(events >= settings.recovery_events as f64, "the server replayed only {events} events");
    server.stop().await?;
    Ok((events / seconds, events))
}

/// Writes a journal of the core benchmark's commands, in batches of a busy leader's size. At least `events` events are confirmed: a
/// batch confirms the one before it, so the last batch is not.
pub(super) async fn fill(database: &str, seed: u64, events: u64) -> Result<()> {
    let mut connection = PgConnection::connect(database).await?;
    // This setting only accelerates writing the test data; nothing is measured here.
    connection.execute("SET synchronous_commit = off").await?;
    let head = head::read_head(&mut connection).await?;
    let (mut pending, mut payload, mut written, mut confirmed) = (Vec::new(), Vec::new(), head.last_seq, 0);
    let mut stream = CommandStream::new(lay(u32::MAX, START, &mut pending)?, seed);
    let mut commands = 0;
    while confirmed < events as i64 {
        for _ in 0..BATCH {
            commands += 1;
            if commands <= WARM {
                let command = stream.resting(1_000)?;
                stream.apply(&command)?;
            } else {
                stream.draw()?;
            }
            pending.extend_from_slice(stream.events());
        }
        confirmed = written;
        written = append(&mut connection, head.epoch, written, &pending, &mut payload).await?;
        pending.clear();
    }
    connection.close().await?;
    Ok(())
}

async fn append(connection: &mut PgConnection, epoch: i64, written: i64, events: &[Event], payload: &mut Vec<u8>) -> Result<i64> {
    payload.clear();
    batch::encode(events, payload);
    let last_sequence = written + events.len() as i64;
    let checksum = batch::checksum(payload);
    let append = journal::Append { epoch, previous_sequence: written, last_sequence, checksum, payload };
    ensure!(journal::append_batch(connection, append).await?, "another process writes the journal");
    Ok(last_sequence)
}
