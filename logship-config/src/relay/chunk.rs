//! This module tracks the delivery of one chunk (pure): the items that remain to be sent, and their split into requests. A
//! refused document remains until its dead letter is stored. A chunk is done when no item remains, so nothing is
//! acknowledged before it is stored.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::AddAssign,
    sync::Arc,
};

use jiff::Timestamp;

use super::{
    answer::ItemAnswer,
    dead_letter::Letter,
    ndjson::{BulkItem, Streams},
    verdict::{ItemVerdict, RetryCause, of_item},
};

/// The stream of dead letters, and the time of refusal.
#[derive(Debug, Clone, Copy)]
pub struct DeadLetterTarget<'a> {
    pub stream: &'a str,
    pub now: Timestamp,
}

/// The items of a chunk and their progress.
#[derive(Debug)]
pub struct BulkChunk {
    body: Vec<u8>,
    items: Vec<BulkItem>,
    streams: Arc<Streams>,
    /// The dead-letter lines that replace a refused item, by its position.
    letters: BTreeMap<u32, Vec<u8>>,
    /// Positions to send now.
    ready: VecDeque<u32>,
    /// Positions to send again after a wait, and why.
    later: Vec<(u32, RetryCause)>,
    /// Largest size of one request in bytes; smaller after each 413.
    part_limit: usize,
}

/// The items of one request.
#[derive(Debug, PartialEq, Eq)]
pub struct ChunkPart {
    positions: Vec<u32>,
    bytes: usize,
}

impl ChunkPart {
    pub fn len(&self) -> usize {
        self.positions.len()
    }
}

/// The results of the items of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    pub stored: u64,
    pub already_there: u64,
    pub in_failure_store: u64,
    /// Letters stored by this request.
    pub dead_letters: u64,
    /// Letters stored by an earlier attempt.
    pub dead_letters_already_there: u64,
    /// Letters that contain only the beginning of their document.
    pub cut: u64,
    later: [u64; RetryCause::ALL.len()],
}

impl Tally {
    /// Returns the number of items to send again for this reason.
    pub fn later(&self, cause: RetryCause) -> u64 {
        self.later[cause as usize]
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.stored += other.stored;
        self.already_there += other.already_there;
        self.in_failure_store += other.in_failure_store;
        self.dead_letters += other.dead_letters;
        self.dead_letters_already_there += other.dead_letters_already_there;
        self.cut += other.cut;
        self.later.iter_mut().zip(other.later).for_each(|(sum, more)| *sum += more);
    }
}

impl BulkChunk {
    /// `items` belong to `body`.
    pub fn new(body: Vec<u8>, items: Vec<BulkItem>, streams: Arc<Streams>) -> Self {
        let count = u32::try_from(items.len()).expect("an item has at least one byte, and a body less than 4 GiB");
        Self {
            body,
            items,
            streams,
            letters: BTreeMap::new(),
            ready: (0..count).collect(),
            later: Vec::new(),
            part_limit: usize::MAX,
        }
    }

    /// Returns the number of items that are neither stored nor stored as a dead letter.
    pub fn remaining(&self) -> usize {
        self.ready.len() + self.later.len()
    }

    /// Returns the most frequent reason of the waiting items.
    pub fn cause(&self) -> Option<RetryCause> {
        let count = |cause| self.later.iter().filter(|(_, of)| *of == cause).count();
        RetryCause::ALL.into_iter().filter(|cause| count(*cause) > 0).max_by_key(|cause| count(*cause))
    }

    /// Returns the items of the next request. `None` if no item can be sent before a wait, or none remains.
    pub fn next_part(&mut self) -> Option<ChunkPart> {
        let mut part = ChunkPart { positions: Vec::new(), bytes: 0 };
        while let Some(position) = self.ready.front() {
            let bytes = self.item(*position).len();
            if !part.positions.is_empty() && part.bytes.saturating_add(bytes) > self.part_limit {
                break;
            }
            part.positions.push(*position);
            part.bytes += bytes;
            self.ready.pop_front();
        }
        (!part.positions.is_empty()).then_some(part)
    }

    /// Whether the part is the chunk as the shipper sent it.
    pub fn is_as_received(&self, part: &ChunkPart) -> bool {
        part.positions.len() == self.items.len() && self.letters.is_empty()
    }

    /// Returns the body of the request for a part.
    pub fn lines(&self, part: &ChunkPart) -> Vec<u8> {
        let mut lines = Vec::with_capacity(part.bytes);
        part.positions.iter().for_each(|position| lines.extend_from_slice(self.item(*position)));
        lines
    }

    /// Records Elasticsearch's answer for each item of a part.
    ///
    /// # Panics
    /// Panics if there are fewer answers than items: the reader of the answers compares the numbers.
    pub fn settle(&mut self, part: &ChunkPart, answers: &[ItemAnswer], target: DeadLetterTarget<'_>) -> Tally {
        assert_eq!(part.len(), answers.len(), "one answer per item");
        let mut tally = Tally::default();
        for (&position, answer) in part.positions.iter().zip(answers) {
            let is_letter = self.letters.contains_key(&position);
            match of_item(answer) {
                ItemVerdict::Stored | ItemVerdict::InFailureStore if is_letter => tally.dead_letters += 1,
                ItemVerdict::AlreadyThere if is_letter => tally.dead_letters_already_there += 1,
                ItemVerdict::Refused if is_letter => self.put_off(position, RetryCause::LetterRefused, &mut tally),
                ItemVerdict::Stored => tally.stored += 1,
                ItemVerdict::AlreadyThere => tally.already_there += 1,
                ItemVerdict::InFailureStore => tally.in_failure_store += 1,
                ItemVerdict::Later(cause) => self.put_off(position, cause, &mut tally),
                ItemVerdict::Refused => {
                    let error = answer.error.clone().unwrap_or_default();
                    self.write_letter(position, answer.status, &error.kind, &error.reason, false, target);
                }
            }
        }
        tally
    }

    /// The request was too large. Its items go in smaller requests, and a single item that is too large becomes a dead
    /// letter.
    pub fn too_large(&mut self, part: ChunkPart, target: DeadLetterTarget<'_>) -> Tally {
        let mut tally = Tally::default();
        self.part_limit = self.part_limit.min(part.bytes / 2);
        if let [position] = part.positions[..] {
            if self.letters.contains_key(&position) {
                // A letter cannot become smaller.
                self.put_off(position, RetryCause::LetterRefused, &mut tally);
            } else {
                self.write_letter(position, 413, "request_too_large", "no request can carry this document", true, target);
                tally.cut += 1;
            }
        } else {
            part.positions.into_iter().rev().for_each(|position| self.ready.push_front(position));
        }
        tally
    }

    /// No item is known to be stored: the whole part must be sent again.
    pub fn put_back(&mut self, part: &ChunkPart, cause: RetryCause) -> Tally {
        let mut tally = Tally::default();
        part.positions.iter().for_each(|position| self.put_off(*position, cause, &mut tally));
        tally
    }

    /// Moves waiting items back to the queue after the wait.
    pub fn retry(&mut self) {
        self.later.sort_unstable();
        self.ready.extend(self.later.drain(..).map(|(position, _)| position));
    }

    fn item(&self, position: u32) -> &[u8] {
        self.letters.get(&position).map_or_else(|| self.items[position as usize].lines(&self.body), Vec::as_slice)
    }

    fn put_off(&mut self, position: u32, cause: RetryCause, tally: &mut Tally) {
        tally.later[cause as usize] += 1;
        self.later.push((position, cause));
    }

    fn write_letter(&mut self, position: u32, status: u16, kind: &str, reason: &str, cut: bool, target: DeadLetterTarget<'_>) {
        let item = &self.items[position as usize];
        let letter = Letter {
            stream: item.stream(&self.streams),
            id: &item.id(&self.body),
            document: item.document(&self.body),
            status,
            kind,
            reason,
        };
        let lines = letter.lines(target.stream, target.now, cut);
        self.letters.insert(position, lines);
        self.ready.push_back(position);
    }
}

#[cfg(test)]
mod tests;
