//! This module probes the cost of one commit of the journal and one fdatasync on an idle machine: the lower bound of every
//! acknowledgement. It runs the same statement on the same PostgreSQL from one client. It must not run under load.

use super::arm::ArmPlace;
use crate::stage::{StagedExchange, exchange_binary};
use anyhow::{Result, ensure};
use exchange::db::{head, journal};
use exchange_core::batch;
use exchange_core::event::Event;
use hdrhistogram::Histogram;
use sqlx::{Connection, PgConnection};
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Instant;

/// Number of commits and fdatasyncs of one probe.
const COMMITS: usize = 300;
const SYNCS: usize = 300;
/// Bytes written before each fdatasync: one page of PostgreSQL's log.
const PAGE: [u8; 8192] = [0; 8192];
/// Events of the probe's batch: about as many as one order produces.
const EVENTS: usize = 2;

pub struct CommitProbe {
    connection: PgConnection,
    epoch: i64,
    sequence: i64,
    payload: Vec<u8>,
    file: File,
}

impl CommitProbe {
    /// Prepares a journal in a separate database on the exchange's server.
    pub async fn new(ours: &ArmPlace, folder: &Path) -> Result<Self> {
        let database = ours.create_database("probe").await?;
        StagedExchange::new(exchange_binary()?, folder, &database, None).migrate().await?;
        let mut connection = PgConnection::connect(&database).await?;
        let head = head::read_head(&mut connection).await?;
        let mut payload = Vec::new();
        batch::encode(&vec![Event::Clock(1_700_000_000_000_000); EVENTS], &mut payload);
        let file = File::create(folder.join("fdatasync"))?;
        Ok(Self { connection, epoch: head.epoch, sequence: head.last_seq, payload, file })
    }

    /// Median of a commit, in seconds.
    pub async fn commit(&mut self) -> Result<f64> {
        let mut latency = Histogram::<u64>::new(3)?;
        for _ in 0..COMMITS {
            let last = self.sequence + EVENTS as i64;
            let append = journal::Append {
                epoch: self.epoch,
                previous_sequence: self.sequence,
                last_sequence: last,
                checksum: batch::checksum(&self.payload),
                payload: &self.payload,
            };
            let begun = Instant::now();
            ensure!(journal::append_batch(&mut self.connection, append).await?, "the probe lost its journal");
            latency.record(begun.elapsed().as_nanos() as u64)?;
            self.sequence = last;
        }
        Ok(latency.value_at_quantile(0.5) as f64 / 1e9)
    }

    /// Median of writing a page and fdatasync, in seconds.
    pub fn fdatasync(&mut self) -> Result<f64> {
        let mut latency = Histogram::<u64>::new(3)?;
        for _ in 0..SYNCS {
            let begun = Instant::now();
            // Overwrite in place: a growing file also pays for its length, which PostgreSQL's log does not.
            self.file.seek(SeekFrom::Start(0))?;
            self.file.write_all(&PAGE)?;
            self.file.sync_data()?;
            latency.record(begun.elapsed().as_nanos() as u64)?;
        }
        Ok(latency.value_at_quantile(0.5) as f64 / 1e9)
    }

    pub async fn stop(self) -> Result<()> {
        Ok(self.connection.close().await?)
    }
}
