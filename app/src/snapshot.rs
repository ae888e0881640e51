//! This module reads and writes snapshot objects: the state at one sequence in object storage, so that a recovery reads a
//! snapshot and a tail. It must not decide when to take one.
//!
//! - An object is a header and the core's snapshot bytes, compressed with zstd.
//! - The header holds magic (8 bytes), format (u32), sequence (u64), journal time (i64, µs), length of the uncompressed bytes
//!   (u64) and their SHA-256. Format 2 adds the chain of the journal (32 bytes). Integers are little-endian.
//! - The name contains the sequence, so that a listing is in order, and the chain, so that two histories never share a name.
//! - Objects of format 1, of earlier releases, have no chain. They count only after a replay that leads to the same bytes.

use std::io::Read;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use exchange_core::{State, money::Time};
use sha2::{Digest, Sha256};

use crate::chain::Chain;
use crate::media::{self, Media, MediaError, Replace};

const PREFIX: &str = "snapshots/";
const SUFFIX: &str = ".snapshot.zst";
const MAGIC: &[u8; 8] = b"EXCHSNAP";
const FORMAT: u32 = 2;
/// Earlier releases write it, without a chain.
const FIRST_FORMAT: u32 = 1;
const FIRST_HEADER_BYTES: usize = 8 + 4 + 8 + 8 + 8 + 32;
const HEADER_BYTES: usize = FIRST_HEADER_BYTES + Chain::BYTES;
/// zstd's default: most of the gain at a fraction of the time of higher levels.
const COMPRESSION_LEVEL: i32 = 3;

/// The state at one sequence as bytes of the core's format.
#[derive(Debug, Clone)]
pub struct Encoded {
    pub sequence: u64,
    pub time: Time,
    /// Chain of the journal that led to the state.
    pub chain: Chain,
    pub bytes: Vec<u8>,
}

impl Encoded {
    pub fn of(state: &State, chain: Chain) -> Self {
        let mut bytes = Vec::new();
        state.encode(&mut bytes);
        Self { sequence: state.sequence(), time: state.now(), chain, bytes }
    }
}

/// The parts of a snapshot's name. Sorted by sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotName {
    pub sequence: u64,
    /// `None`: of format 1.
    pub chain: Option<Chain>,
}

impl SnapshotName {
    /// The object's name.
    pub fn key(&self) -> String {
        match self.chain {
            Some(chain) => format!("{PREFIX}{:020}-{chain}{SUFFIX}", self.sequence),
            None => format!("{PREFIX}{:020}{SUFFIX}", self.sequence),
        }
    }

    fn parse(key: &str) -> Option<Self> {
        let name = key.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
        match name.split_once('-') {
            Some((sequence, chain)) => Some(Self { sequence: sequence.parse().ok()?, chain: Some(chain.parse().ok()?) }),
            None => Some(Self { sequence: name.parse().ok()?, chain: None }),
        }
    }
}

/// All snapshots in the bucket by rising sequence, of any history, damaged ones included.
pub async fn list_snapshots(media: &Media) -> Result<Vec<SnapshotName>, MediaError> {
    let mut names: Vec<_> = media.list(PREFIX).await?.iter().filter_map(|object| SnapshotName::parse(&object.key)).collect();
    names.sort_by_key(|name| name.sequence);
    Ok(names)
}

/// Stores a snapshot and reads it back. An intact object with the same name is not replaced: the same sequence and chain mean the
/// same state.
pub async fn write_snapshot(media: &Media, snapshot: Encoded) -> anyhow::Result<SnapshotName> {
    let name = SnapshotName { sequence: snapshot.sequence, chain: Some(snapshot.chain) };
    let key = name.key();
    let object = tokio::task::spawn_blocking(move || pack(&snapshot)).await?.context("the snapshot cannot be compressed")?;
    match media.put(&key, object.clone(), media::ZSTD, Replace::No).await {
        Ok(()) => {}
        Err(MediaError::Exists { .. }) => match read_snapshot(media, name).await {
            Ok(_) => return Ok(name),
            Err(error) if error.is::<MediaError>() => return Err(error),
            Err(error) => {
                tracing::warn!(key, error = format!("{error:#}"), "replacing a damaged snapshot");
                media.put(&key, object, media::ZSTD, Replace::Yes).await?;
            }
        },
        Err(error) => return Err(error.into()),
    }
    read_snapshot(media, name).await.context("the snapshot was written but cannot be read back")?;
    Ok(name)
}

/// The state of one snapshot. A [`MediaError`] is an error of the store; any other error means that the object is bad.
pub async fn read_snapshot(media: &Media, name: SnapshotName) -> anyhow::Result<State> {
    let object = media.get(&name.key()).await?;
    let (state, chain) = tokio::task::spawn_blocking(move || unpack(&object)).await??;
    ensure!(state.sequence() == name.sequence, "the object named {} contains sequence {}", name.sequence, state.sequence());
    ensure!(chain == name.chain, "the history in the object differs from the one in its name");
    Ok(state)
}

/// The first intact snapshot of `names`. Logs and skips a damaged one.
pub async fn first_whole(
    media: &Media,
    names: impl IntoIterator<Item = SnapshotName>,
) -> anyhow::Result<Option<(SnapshotName, State)>> {
    for name in names {
        match read_snapshot(media, name).await {
            Ok(state) => return Ok(Some((name, state))),
            // Deleted since it was listed.
            Err(error) if matches!(error.downcast_ref(), Some(MediaError::NotFound { .. })) => {}
            Err(error) if error.is::<MediaError>() => return Err(error),
            Err(error) => {
                tracing::error!(
                    key = name.key(),
                    error = format!("{error:#}"),
                    "a snapshot is damaged; trying the one before it"
                );
            }
        }
    }
    Ok(None)
}

fn pack(snapshot: &Encoded) -> std::io::Result<Bytes> {
    let mut object = Vec::with_capacity(HEADER_BYTES + snapshot.bytes.len() / 4);
    object.extend_from_slice(MAGIC);
    object.extend_from_slice(&FORMAT.to_le_bytes());
    object.extend_from_slice(&snapshot.sequence.to_le_bytes());
    object.extend_from_slice(&snapshot.time.to_le_bytes());
    object.extend_from_slice(&(snapshot.bytes.len() as u64).to_le_bytes());
    object.extend_from_slice(&Sha256::digest(&snapshot.bytes));
    object.extend_from_slice(snapshot.chain.bytes());
    zstd::stream::copy_encode(snapshot.bytes.as_slice(), &mut object, COMPRESSION_LEVEL)?;
    Ok(object.into())
}

fn unpack(object: &[u8]) -> anyhow::Result<(State, Option<Chain>)> {
    let Some((header, rest)) = object.split_at_checked(FIRST_HEADER_BYTES) else {
        bail!("the object is shorter than its header")
    };
    let word = |at: usize| header[at..at + 8].try_into().map(u64::from_le_bytes);
    ensure!(header[..8] == *MAGIC, "the object does not start with the magic of a snapshot");
    let format = u32::from_le_bytes(header[8..12].try_into()?);
    let (chain, compressed) = match format {
        FIRST_FORMAT => (None, rest),
        FORMAT => {
            let (chain, compressed) = rest.split_at_checked(Chain::BYTES).context("the object is shorter than its header")?;
            (Chain::from_slice(chain), compressed)
        }
        _ => bail!("snapshot format {format} is not supported, this release reads up to {FORMAT}: run the release that wrote it"),
    };
    let (sequence, length) = (word(12)?, word(28)?);
    let mut bytes = Vec::new();
    // Reading one byte more than promised detects excess content.
    zstd::stream::Decoder::new(compressed)?.take(length.saturating_add(1)).read_to_end(&mut bytes).context("zstd")?;
    ensure!(bytes.len() as u64 == length, "the content has {} bytes, the header states {length}", bytes.len());
    ensure!(Sha256::digest(&bytes)[..] == header[36..FIRST_HEADER_BYTES], "the checksum does not match");
    let state = State::decode(&bytes)?;
    ensure!(state.sequence() == sequence, "the header states sequence {sequence}, the content {}", state.sequence());
    Ok((state, chain))
}

/// SHA-256 of the state's bytes: equal for equal states.
pub fn state_hash(state: &State) -> [u8; 32] {
    let mut bytes = Vec::new();
    state.encode(&mut bytes);
    Sha256::digest(&bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use exchange_core::event::Event;

    const CHAIN: Chain = Chain::GENESIS;

    fn packed() -> Vec<u8> {
        let mut state = State::new();
        state.evolve(&Event::Clock(1_700_000_000_000_000));
        state.evolve(&Event::AssetCreated { asset: 0, code: "BTC".into() });
        pack(&Encoded::of(&state, CHAIN)).unwrap().to_vec()
    }

    #[test]
    fn a_snapshot_reads_back_as_the_same_state() {
        let (state, chain) = unpack(&packed()).unwrap();
        assert_eq!(chain, Some(CHAIN));
        assert_eq!((state.sequence(), state.now()), (2, 1_700_000_000_000_000));
        assert_eq!(&*state.assets()[0].code, "BTC");
    }

    #[test]
    fn one_changed_byte_anywhere_is_found() {
        let whole = packed();
        // The journal time in the header is informative: the state has its own.
        for at in (0..whole.len()).filter(|at| !(20..28).contains(at)) {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x40;
            // The chain is compared with the name.
            assert!(unpack(&damaged).map_or(true, |(_, chain)| chain != Some(CHAIN)), "byte {at} of {}", whole.len());
        }
        for length in 0..whole.len() {
            assert!(unpack(&whole[..length]).is_err(), "{length} of {} bytes", whole.len());
        }
    }

    #[test]
    fn names_sort_as_sequences_do_and_tell_histories_apart() {
        let name = |sequence| SnapshotName { sequence, chain: Some(CHAIN) };
        assert!(name(9).key() < name(10).key() && name(999_999).key() < name(1_000_000).key());
        assert_eq!(SnapshotName::parse(&name(42).key()), Some(name(42)));
        let other = SnapshotName { sequence: 42, chain: Some(CHAIN.next(1, 42, 1, b"")) };
        assert_ne!(other.key(), name(42).key());
        let first_format = SnapshotName { sequence: 42, chain: None };
        assert_eq!(first_format.key(), "snapshots/00000000000000000042.snapshot.zst");
        assert_eq!(SnapshotName::parse(&first_format.key()), Some(first_format));
        assert_eq!(SnapshotName::parse("snapshots/other"), None);
    }

    #[test]
    fn an_object_of_the_first_format_is_read_without_a_chain() {
        let mut object = packed();
        object[8] = 1;
        object.drain(FIRST_HEADER_BYTES..HEADER_BYTES);
        let (state, chain) = unpack(&object).unwrap();
        assert_eq!((state.sequence(), chain), (2, None));
    }
}
