//! This module reads the journal's events in order, from its tables or from archive objects below them. It must not use them.

use std::collections::VecDeque;

use anyhow::{Context, bail};
use exchange_core::{batch, event::Event};
use sqlx::PgConnection;

use crate::{
    chain::Chain,
    db::{archives, head},
    journal_archive::{self, ArchivedBatch},
    media::Media,
    shipped,
};

/// Batches read from the tables at a time.
const PAGE_BATCHES: i64 = 512;

/// Reads from one sequence to the next. Positions are ends of batches: a batch is committed, projected and snapshotted as a
/// whole.
#[derive(Debug)]
pub struct EventSource {
    media: Option<Media>,
    pending: VecDeque<ArchivedBatch>,
    /// The last read returned less than it asked for: the journal ended there.
    at_end: bool,
}

/// The events of one batch.
#[derive(Debug)]
pub struct Events {
    pub last_sequence: u64,
    pub events: Vec<Event>,
    batch: ArchivedBatch,
}

impl Events {
    /// The journal's chain after this batch; `chain` is the one before it.
    pub fn link(&self, chain: Chain) -> Chain {
        let ArchivedBatch { first_sequence, last_sequence, epoch, payload, .. } = &self.batch;
        chain.next(*first_sequence, *last_sequence, *epoch, payload)
    }

    /// Whether an operator set journal time back in this batch.
    pub fn sets_time_back(&self) -> bool {
        self.events.iter().any(|event| matches!(event, Event::TimeSetBack(_)))
    }
}

impl EventSource {
    /// `media`: location of archives; without it only the tables can be read.
    pub const fn new(media: Option<Media>) -> Self {
        Self { media, pending: VecDeque::new(), at_end: false }
    }

    /// The batch that follows sequence `after`, or `None` at the end of the journal.
    pub async fn next(&mut self, connection: &mut PgConnection, after: u64) -> anyhow::Result<Option<Events>> {
        if self.pending.front().is_none_or(|batch| batch.first_sequence != after as i64 + 1) {
            self.pending = self.load(connection, after as i64).await?;
        }
        let Some(batch) = self.pending.pop_front() else { return Ok(None) };
        batch.verify()?;
        let name = || format!("journal batch {}..={}", batch.first_sequence, batch.last_sequence);
        if let Some(needs) = batch::beyond_this_release(&batch.payload) {
            bail!("{} needs {needs}: a newer release wrote it and the data is intact; run that release here", name());
        }
        let events = batch::decode(&batch.payload).with_context(name)?;
        if events.len() as i64 != batch.last_sequence - batch.first_sequence + 1 {
            bail!("{} has {} events: its row or its payload is damaged", name(), events.len());
        }
        Ok(Some(Events { last_sequence: batch.last_sequence as u64, events, batch }))
    }

    /// Whether [`EventSource::next`] answers without a database query.
    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Whether every batch up to the journal's end at the last read has been returned.
    pub fn at_end(&self) -> bool {
        self.at_end && self.pending.is_empty()
    }

    async fn load(&mut self, connection: &mut PgConnection, after: i64) -> anyhow::Result<VecDeque<ArchivedBatch>> {
        // Later batches may exist only on this server and be lost in a failover.
        let end = head::confirmed(connection).await?;
        let page = archives::next_batches(connection, after, end, PAGE_BATCHES).await?;
        self.at_end = (page.len() as i64) < PAGE_BATCHES;
        match page.first() {
            Some(first) if first.first_sequence == after + 1 => {
                let whole =
                    page.iter().zip(page.iter().skip(1)).take_while(|(a, b)| a.last_sequence + 1 == b.first_sequence).count() + 1;
                return Ok(page.into_iter().take(whole).collect());
            }
            None if end <= after => return Ok(VecDeque::new()),
            _ => {}
        }
        let Some(archive) = archives::covering(connection, after + 1).await? else {
            let Some(first) = page.first() else {
                // Committed between the two reads, or dropped between them: the next read shows which.
                return Ok(VecDeque::new());
            };
            bail!(
                "the journal lacks sequences {}..={}: neither its tables nor an archive contain them; restore them from a backup",
                after + 1,
                first.first_sequence - 1
            );
        };
        self.at_end = false;
        let Some(media) = &self.media else {
            bail!("sequence {} is in the archive {}: set EXCHANGE_S3_* to read it", after + 1, archive.object_key);
        };
        let batches = match shipped::ShippedName::parse(&archive.object_key) {
            Some(name) => shipped::read_shipped(media, name).await?.batches,
            None if archive.checksum == archives::UNKNOWN_CHECKSUM => {
                journal_archive::read_unchecked(media, &archive.object_key).await?
            }
            None => journal_archive::read_archive(media, &archive.object_key, u32::try_from(archive.checksum)?).await?,
        };
        // Batches outside the row are in the journal's tables, or belong to a history that was lost.
        let batches: VecDeque<_> = batches
            .into_iter()
            .skip_while(|batch| batch.first_sequence <= after)
            .take_while(|batch| batch.last_sequence <= archive.last_seq)
            .collect();
        if batches.front().is_none_or(|batch| batch.first_sequence != after + 1) {
            bail!("the archive {} has no batch that starts at sequence {}", archive.object_key, after + 1);
        }
        Ok(batches)
    }
}
