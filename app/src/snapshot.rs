//! Snapshot objects: the state at one sequence in object storage, so that a recovery reads a snapshot and a tail. Never: when to
//! take one.
//!
//! An object is a header, then the core's snapshot bytes compressed with zstd:
//! magic (8 bytes), format (u32), sequence (u64), journal time (i64, µs), length of the uncompressed bytes (u64), their SHA-256;
//! integers little-endian. The name carries the sequence, so that a listing is in order.

use std::io::Read;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use exchange_core::{State, money::Time};
use sha2::{Digest, Sha256};

use crate::media::{self, Media, MediaError, Replace};

const PREFIX: &str = "snapshots/";
const SUFFIX: &str = ".snapshot.zst";
const MAGIC: &[u8; 8] = b"EXCHSNAP";
const FORMAT: u32 = 1;
const HEADER_BYTES: usize = 8 + 4 + 8 + 8 + 8 + 32;
/// zstd's default: most of the gain at a fraction of the time of higher levels.
const COMPRESSION_LEVEL: i32 = 3;

/// The state at one sequence as bytes of the core's format.
#[derive(Debug, Clone)]
pub struct Encoded {
    pub sequence: u64,
    pub time: Time,
    pub bytes: Vec<u8>,
}

impl Encoded {
    pub fn of(state: &State) -> Self {
        let mut bytes = Vec::new();
        state.encode(&mut bytes);
        Self { sequence: state.sequence(), time: state.now(), bytes }
    }
}

/// The object's name.
pub fn key(sequence: u64) -> String {
    format!("{PREFIX}{sequence:020}{SUFFIX}")
}

fn sequence_of(key: &str) -> Option<u64> {
    key.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.parse().ok()
}

/// Sequences of all snapshots there are, damaged ones included, rising.
pub async fn list(media: &Media) -> Result<Vec<u64>, MediaError> {
    Ok(media.list(PREFIX).await?.iter().filter_map(|object| sequence_of(&object.key)).collect())
}

/// Stores a snapshot and reads it back. One that is there already and whole is left alone: the same sequence is the same state.
pub async fn write(media: &Media, snapshot: Encoded) -> anyhow::Result<()> {
    let key = key(snapshot.sequence);
    let sequence = snapshot.sequence;
    let object = tokio::task::spawn_blocking(move || pack(&snapshot)).await?.context("the snapshot cannot be compressed")?;
    match media.put(&key, object.clone(), media::ZSTD, Replace::No).await {
        Ok(()) => {}
        Err(MediaError::Exists { .. }) => match read(media, sequence).await {
            Ok(_) => return Ok(()),
            Err(error) if error.is::<MediaError>() => return Err(error),
            Err(error) => {
                tracing::warn!(key, error = format!("{error:#}"), "a damaged snapshot is replaced");
                media.put(&key, object, media::ZSTD, Replace::Yes).await?;
            }
        },
        Err(error) => return Err(error.into()),
    }
    read(media, sequence).await.context("the snapshot was written and cannot be read back")?;
    Ok(())
}

/// The state of one snapshot. An error that is a [`MediaError`] is the store's, any other the object's.
pub async fn read(media: &Media, sequence: u64) -> anyhow::Result<State> {
    let object = media.get(&key(sequence)).await?;
    let state = tokio::task::spawn_blocking(move || unpack(&object)).await??;
    ensure!(state.sequence() == sequence, "the object named {sequence} holds sequence {}", state.sequence());
    Ok(state)
}

/// The newest snapshot at or below `at_most` that is whole. A damaged one is logged and passed over.
pub async fn newest(media: &Media, at_most: Option<u64>) -> anyhow::Result<Option<(u64, State)>> {
    for sequence in list(media).await?.into_iter().rev().filter(|sequence| at_most.is_none_or(|limit| *sequence <= limit)) {
        match read(media, sequence).await {
            Ok(state) => return Ok(Some((sequence, state))),
            // Deleted since it was listed.
            Err(error) if matches!(error.downcast_ref(), Some(MediaError::NotFound { .. })) => {}
            Err(error) if error.is::<MediaError>() => return Err(error),
            Err(error) => {
                tracing::error!(
                    key = key(sequence),
                    error = format!("{error:#}"),
                    "a snapshot is damaged; taking the one before it"
                );
            }
        }
    }
    Ok(None)
}

/// Deletes all but the newest `count`.
pub async fn keep_newest(media: &Media, count: usize) -> Result<(), MediaError> {
    let mut sequences = list(media).await?;
    sequences.truncate(sequences.len().saturating_sub(count));
    for sequence in sequences {
        media.delete(&key(sequence)).await?;
    }
    Ok(())
}

fn pack(snapshot: &Encoded) -> std::io::Result<Bytes> {
    let mut object = Vec::with_capacity(HEADER_BYTES + snapshot.bytes.len() / 4);
    object.extend_from_slice(MAGIC);
    object.extend_from_slice(&FORMAT.to_le_bytes());
    object.extend_from_slice(&snapshot.sequence.to_le_bytes());
    object.extend_from_slice(&snapshot.time.to_le_bytes());
    object.extend_from_slice(&(snapshot.bytes.len() as u64).to_le_bytes());
    object.extend_from_slice(&Sha256::digest(&snapshot.bytes));
    zstd::stream::copy_encode(snapshot.bytes.as_slice(), &mut object, COMPRESSION_LEVEL)?;
    Ok(object.into())
}

fn unpack(object: &[u8]) -> anyhow::Result<State> {
    let Some((header, compressed)) = object.split_at_checked(HEADER_BYTES) else {
        bail!("the object is shorter than its header")
    };
    let word = |at: usize| header[at..at + 8].try_into().map(u64::from_le_bytes);
    ensure!(header[..8] == *MAGIC, "the object does not begin as a snapshot does");
    let format = u32::from_le_bytes(header[8..12].try_into()?);
    ensure!(format == FORMAT, "the snapshot has format {format}, this release reads {FORMAT}: run the release that wrote it");
    let (sequence, length) = (word(12)?, word(28)?);
    let mut bytes = Vec::new();
    // One byte more than promised is enough to see that there is more.
    zstd::stream::Decoder::new(compressed)?.take(length.saturating_add(1)).read_to_end(&mut bytes).context("zstd")?;
    ensure!(bytes.len() as u64 == length, "the content has {} bytes, its header says {length}", bytes.len());
    ensure!(Sha256::digest(&bytes)[..] == header[36..HEADER_BYTES], "the checksum does not match");
    let state = State::decode(&bytes)?;
    ensure!(state.sequence() == sequence, "the header says sequence {sequence}, the content {}", state.sequence());
    Ok(state)
}

#[cfg(test)]
mod tests {
    use super::*;
    use exchange_core::event::Event;

    fn packed() -> Vec<u8> {
        let mut state = State::new();
        state.evolve(&Event::Clock(1_700_000_000_000_000));
        state.evolve(&Event::AssetCreated { asset: 0, code: "BTC".into() });
        pack(&Encoded::of(&state)).unwrap().to_vec()
    }

    #[test]
    fn a_snapshot_reads_back_as_the_same_state() {
        let state = unpack(&packed()).unwrap();
        assert_eq!((state.sequence(), state.now()), (2, 1_700_000_000_000_000));
        assert_eq!(&*state.assets()[0].code, "BTC");
    }

    #[test]
    fn one_changed_byte_anywhere_is_found() {
        let whole = packed();
        // The journal time in the header is for people: the state carries its own.
        for at in (0..whole.len()).filter(|at| !(20..28).contains(at)) {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x40;
            assert!(unpack(&damaged).is_err(), "byte {at} of {}", whole.len());
        }
        for length in 0..whole.len() {
            assert!(unpack(&whole[..length]).is_err(), "{length} of {} bytes", whole.len());
        }
    }

    #[test]
    fn names_sort_as_sequences_do() {
        assert!(key(9) < key(10) && key(999_999) < key(1_000_000));
        assert_eq!(sequence_of(&key(42)), Some(42));
        assert_eq!(sequence_of("snapshots/other"), None);
    }
}
