//! This module holds the confirmed batches that are not shipped yet, in order and without gaps. It must not use a database or a
//! store.

use std::{collections::VecDeque, sync::Arc};

use exchange_core::{batch, event::Event};
use tokio::time::Instant;

use crate::{
    chain::Chain,
    engine::push::Push,
    journal_archive::ArchivedBatch,
    shipped::{OBJECT_BYTES, Run},
    survey::ShippedThrough,
};

/// Memory of the batches that wait, overhead included. Later batches are read from the journal.
const BUFFER_BYTES: usize = 64 * 1024 * 1024;
/// Memory of a batch in addition to its payload.
const BATCH_OVERHEAD: usize = 160;
/// A longer batch is more than a tick.
const TICK_BYTES: usize = 64;

pub(super) struct Buffer {
    generation: i64,
    /// Chain before the first waiting batch.
    chain: Chain,
    waiting: VecDeque<WaitingBatch>,
    bytes: usize,
    /// First sequence of the batch that may be appended.
    next: i64,
    /// Last confirmed sequence known; above `next`, batches are missing here.
    seen: i64,
    /// Batches may be missing although none is known.
    unsure: bool,
    /// Last sequence that must leave without waiting for another event.
    due: i64,
    /// Since when a batch that is due has been missing here.
    missing: Option<Instant>,
}

struct WaitingBatch {
    batch: ArchivedBatch,
    at: Instant,
    /// Only ticks.
    idle: bool,
}

impl Buffer {
    pub const fn new(through: ShippedThrough) -> Self {
        let ShippedThrough { generation, sequence, chain } = through;
        let next = sequence + 1;
        Self { generation, chain, waiting: VecDeque::new(), bytes: 0, next, seen: sequence, unsure: true, due: 0, missing: None }
    }

    /// First sequence that is missing.
    pub const fn next(&self) -> i64 {
        self.next
    }

    /// A batch that the leader confirmed.
    pub fn push(&mut self, push: Arc<Push>) {
        self.seen = self.seen.max(push.last_sequence);
        if push.first_sequence == self.next && self.bytes < BUFFER_BYTES {
            let Push { first_sequence, last_sequence, epoch, checksum, payload, .. } = &*push;
            self.append(ArchivedBatch {
                first_sequence: *first_sequence,
                last_sequence: *last_sequence,
                epoch: *epoch,
                checksum: *checksum,
                payload: payload.to_vec(),
            });
        } else if push.first_sequence >= self.next {
            self.missing.get_or_insert_with(Instant::now);
        }
    }

    /// Batches were confirmed and not received.
    pub fn missed(&mut self) {
        self.unsure = true;
        self.missing.get_or_insert_with(Instant::now);
    }

    /// Whether batches must be read from the journal, and memory has room for them.
    pub const fn has_gap(&self) -> bool {
        (self.unsure || self.seen >= self.next) && self.bytes < OBJECT_BYTES
    }

    /// Batches of the journal from [`Self::next`] on; it is confirmed up to `confirmed`.
    pub fn fill(&mut self, confirmed: i64, batches: Vec<ArchivedBatch>) {
        self.seen = self.seen.max(confirmed);
        for batch in batches {
            if batch.first_sequence == self.next {
                self.append(batch);
            }
        }
        if self.next > self.seen {
            (self.unsure, self.missing) = (false, None);
        } else {
            self.missing.get_or_insert_with(Instant::now);
        }
    }

    fn append(&mut self, batch: ArchivedBatch) {
        self.next = batch.last_sequence + 1;
        self.bytes += batch.payload.len() + BATCH_OVERHEAD;
        let idle = is_idle(&batch.payload);
        if !idle {
            self.due = batch.last_sequence;
        }
        self.waiting.push_back(WaitingBatch { batch, at: Instant::now(), idle });
    }

    /// Whether something must be shipped and is here.
    pub fn is_due(&self) -> bool {
        let known = self.waiting.front().is_some_and(|first| first.batch.first_sequence <= self.due);
        // Memory is full of ticks: they leave, so that it never overflows.
        known || self.bytes >= BUFFER_BYTES
    }

    /// Whether a whole object is waiting.
    pub const fn is_full(&self) -> bool {
        self.bytes >= OBJECT_BYTES
    }

    /// The batches of the next object.
    pub fn run(&self) -> Run {
        let mut bytes = 0;
        let fits = |waiting: &&WaitingBatch| {
            bytes += waiting.batch.payload.len() + BATCH_OVERHEAD;
            bytes <= OBJECT_BYTES
        };
        let mut batches: Vec<_> = self.waiting.iter().take_while(fits).map(|waiting| waiting.batch.clone()).collect();
        if let (true, Some(first)) = (batches.is_empty(), self.waiting.front()) {
            batches.push(first.batch.clone());
        }
        Run { generation: self.generation, before: self.chain, batches }
    }

    /// Everything up to `sequence` is shipped, where the chain is `chain`.
    pub fn shipped(&mut self, sequence: i64, chain: Chain) {
        while let Some(first) = self.waiting.pop_front_if(|first| first.batch.last_sequence <= sequence) {
            self.bytes -= first.batch.payload.len() + BATCH_OVERHEAD;
        }
        self.chain = chain;
    }

    /// Events that are due and not shipped, and the age of the oldest in seconds.
    pub fn lag(&self) -> (i64, f64) {
        let since = self.waiting.iter().find(|waiting| !waiting.idle).map(|waiting| waiting.at).or(self.missing);
        let Some(since) = since else { return (0, 0.0) };
        let first = self.waiting.front().map_or(self.next, |first| first.batch.first_sequence);
        let due = if self.missing.is_some() { self.seen } else { self.due };
        ((due + 1 - first).max(0), since.elapsed().as_secs_f64())
    }
}

/// Whether a batch contains only ticks of the clock.
fn is_idle(payload: &[u8]) -> bool {
    payload.len() <= TICK_BYTES
        && batch::decode(payload).is_ok_and(|events| events.iter().all(|event| matches!(event, Event::Clock(_))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer() -> Buffer {
        let mut buffer = Buffer::new(ShippedThrough { generation: 1, sequence: 10, chain: Chain::GENESIS });
        assert!(buffer.has_gap(), "the journal must be asked first");
        buffer.fill(10, Vec::new());
        assert!(!buffer.has_gap());
        buffer
    }

    fn push(first_sequence: i64, events: &[Event]) -> Arc<Push> {
        let mut payload = Vec::new();
        batch::encode(events, &mut payload);
        Arc::new(Push {
            first_sequence,
            last_sequence: first_sequence + events.len() as i64 - 1,
            epoch: 1,
            checksum: batch::checksum(&payload),
            before: None,
            payload: payload.into(),
        })
    }

    fn event() -> Event {
        Event::AssetCreated { asset: 0, code: "BTC".into() }
    }

    #[test]
    fn ticks_wait_for_another_event_and_leave_with_it() {
        let mut buffer = buffer();
        for sequence in 11..14 {
            buffer.push(push(sequence, &[Event::Clock(sequence)]));
        }
        assert!(!buffer.is_due());
        assert_eq!(buffer.lag().0, 0);
        buffer.push(push(14, &[Event::Clock(14), event()]));
        assert!(buffer.is_due());
        assert_eq!(buffer.lag().0, 5);
        let run = buffer.run();
        let name = run.name().unwrap();
        assert_eq!((run.before, name.generation, name.first_sequence, name.last_sequence), (Chain::GENESIS, 1, 11, 15));
        buffer.push(push(16, &[Event::Clock(16)]));
        buffer.shipped(name.last_sequence, name.chain);
        assert!(!buffer.is_due() && buffer.lag() == (0, 0.0));
        assert_eq!(buffer.run().before, name.chain);
    }

    #[test]
    fn a_gap_is_filled_from_the_journal() {
        let mut buffer = buffer();
        buffer.push(push(13, &[event()]));
        assert!(buffer.has_gap() && !buffer.is_due());
        assert_eq!(buffer.lag().0, 3);
        let rows = [push(11, &[event()]), push(12, &[event()]), push(13, &[event()])].map(|push| ArchivedBatch {
            first_sequence: push.first_sequence,
            last_sequence: push.last_sequence,
            epoch: push.epoch,
            checksum: push.checksum,
            payload: push.payload.to_vec(),
        });
        buffer.fill(13, rows.into());
        assert!(!buffer.has_gap() && buffer.is_due());
        let name = buffer.run().name().unwrap();
        assert_eq!((name.first_sequence, name.last_sequence), (11, 13));
        buffer.missed();
        assert!(buffer.has_gap());
    }

    #[test]
    fn an_object_is_bounded_and_a_large_batch_leaves_alone() {
        let mut buffer = buffer();
        for sequence in 11..14 {
            let mut large = push(sequence, &[event()]);
            Arc::get_mut(&mut large).unwrap().payload = vec![0; OBJECT_BYTES * 2 / 3].into();
            buffer.push(large);
        }
        assert!(buffer.is_full());
        let name = buffer.run().name().unwrap();
        assert_eq!((name.first_sequence, name.last_sequence), (11, 11));
        buffer.shipped(11, name.chain);
        assert_eq!(buffer.run().name().unwrap().first_sequence, 12);
    }
}
