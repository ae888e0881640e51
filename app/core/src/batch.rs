//! This module is the frame of one journal batch: the events that one commit makes durable. It must not store the batch.
//!
//! Bytes: format version (1), the feature level that the events need, count of events, events. The row also stores the CRC-32 of
//! these bytes.

use crate::codec::{ByteDecoder, ByteEncoder, DecodeError};
use crate::event::{Event, FEATURE_LEVEL, FIRST_FEATURE_LEVEL};

/// Version of the frame and of every event kind's field order.
pub const FORMAT: u8 = 1;

/// Encodes `events` as one batch.
pub fn encode(events: &[Event], out: &mut Vec<u8>) {
    header(level(events), events.len(), out);
    for event in events {
        event.encode(out);
    }
}

/// The lowest feature level that reads `events`. Until an operator raises the level, the previous release reads every batch.
pub fn level(events: &[Event]) -> u32 {
    events.iter().map(Event::level).max().unwrap_or(FIRST_FEATURE_LEVEL)
}

/// Bytes before the `count` events of this feature level, for a writer that encodes each event immediately.
pub fn header(level: u32, count: usize, out: &mut Vec<u8>) {
    let mut w = ByteEncoder(out);
    w.u8(FORMAT);
    w.u64(level.into());
    w.u64(count as u64);
}

/// The frame or feature level that an intact batch needs and this release does not have. `None`: this release reads it.
pub fn beyond_this_release(bytes: &[u8]) -> Option<String> {
    let mut r = ByteDecoder::new(bytes);
    let format = r.u8().ok()?;
    if format > FORMAT {
        return Some(format!("journal format {format} (this release reads {FORMAT}): run the release that wrote it"));
    }
    let level = r.u32().ok()?;
    (level > FEATURE_LEVEL).then(|| format!("feature level {level} (this release reads {FEATURE_LEVEL})"))
}

/// Decodes a whole batch; trailing bytes are an error.
pub fn decode(bytes: &[u8]) -> Result<Vec<Event>, DecodeError> {
    let mut r = ByteDecoder::new(bytes);
    if r.u8()? != FORMAT {
        return Err(DecodeError { at: 0, expected: "journal format 1: run the release that wrote it" });
    }
    if r.u32()? > FEATURE_LEVEL {
        return Err(r.error("a feature level that this release knows: run the newer release"));
    }
    let count = r.u64()?;
    // An event has at least two bytes: a forged count cannot reserve excessive memory.
    let mut events = Vec::with_capacity((count as usize).min(bytes.len() / 2));
    for _ in 0..count {
        events.push(Event::decode(&mut r)?);
    }
    if r.is_empty() { Ok(events) } else { Err(r.error("the end of the batch")) }
}

/// CRC-32 (IEEE) of a batch's bytes.
pub fn checksum(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}
