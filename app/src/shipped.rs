//! This module reads and writes shipped objects: confirmed batches of the journal in object storage, at most seconds after their
//! commit. It must not decide which batches to ship.
//!
//! - An object is a header and an archive object (see `journal_archive`). Integers are little-endian.
//! - The header holds magic (8 bytes), format (u32), generation (i64), the chain before the first batch and after the last one
//!   (32 bytes each), and the CRC-32 of the uncompressed archive. So an object verifies itself without a database.
//! - The name contains the generation, both sequences and the chain after the last batch.
//! - Objects of one generation may overlap: two writers can ship the same batches. They never disagree.
//! - A generation begins at a fork: the end of the history that a declared loss left. A fork is an object with an empty body.

use anyhow::{Context, ensure};
use bytes::Bytes;

use crate::chain::Chain;
use crate::journal_archive::{self, ArchivedBatch};
use crate::media::{self, Media, MediaError, ObjectInfo, Replace};

const PREFIX: &str = "shipped/";
const SUFFIX: &str = ".journal.zst";
const FORKS: &str = "forks/";
const MAGIC: &[u8; 8] = b"EXCHSHIP";
const FORMAT: u32 = 1;
const HEADER_BYTES: usize = 8 + 4 + 8 + 2 * Chain::BYTES + 4;
/// Payload bytes of one object before compression. A reader needs this much memory, and more than one batch's limit fits.
pub const OBJECT_BYTES: usize = 8 * 1024 * 1024;

/// The parts of a name. Sorted by generation, then by sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShippedName {
    pub generation: i64,
    pub first_sequence: i64,
    pub last_sequence: i64,
    /// The journal's chain after the last batch.
    pub chain: Chain,
}

impl ShippedName {
    pub fn key(&self) -> String {
        let Self { generation, first_sequence, last_sequence, chain } = self;
        format!("{PREFIX}{generation:06}-{first_sequence:020}-{last_sequence:020}-{chain}{SUFFIX}")
    }

    pub fn parse(key: &str) -> Option<Self> {
        let mut parts = key.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.split('-');
        let mut number = || parts.next()?.parse::<i64>().ok();
        let (generation, first_sequence, last_sequence) = (number()?, number()?, number()?);
        let chain = parts.next()?.parse().ok()?;
        (parts.next().is_none() && first_sequence <= last_sequence).then_some(Self {
            generation,
            first_sequence,
            last_sequence,
            chain,
        })
    }
}

/// An object in the bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedObject {
    pub name: ShippedName,
    pub size_bytes: u64,
}

/// The start of a generation: its history continues from `sequence`, where the chain is `chain`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fork {
    pub generation: i64,
    pub sequence: i64,
    pub chain: Chain,
}

impl Fork {
    pub fn key(&self) -> String {
        format!("{FORKS}{:06}-{:020}-{}", self.generation, self.sequence, self.chain)
    }

    fn parse(key: &str) -> Option<Self> {
        let mut parts = key.strip_prefix(FORKS)?.split('-');
        let (generation, sequence) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let chain = parts.next()?.parse().ok()?;
        parts.next().is_none().then_some(Self { generation, sequence, chain })
    }
}

/// Consecutive batches with the chain before them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    pub generation: i64,
    pub before: Chain,
    pub batches: Vec<ArchivedBatch>,
}

impl Run {
    /// The name of the object for these batches; `None`: there are none.
    pub fn name(&self) -> Option<ShippedName> {
        let (first, last) = (self.batches.first()?, self.batches.last()?);
        Some(ShippedName {
            generation: self.generation,
            first_sequence: first.first_sequence,
            last_sequence: last.last_sequence,
            chain: fold(self.before, &self.batches),
        })
    }
}

/// The chain after `batches`, which follow `before`.
pub fn fold<'a>(before: Chain, batches: impl IntoIterator<Item = &'a ArchivedBatch>) -> Chain {
    batches
        .into_iter()
        .fold(before, |chain, batch| chain.next(batch.first_sequence, batch.last_sequence, batch.epoch, &batch.payload))
}

/// All shipped objects in the bucket, of any generation, in the order of their names.
pub async fn list_shipped(media: &Media) -> Result<Vec<ListedObject>, MediaError> {
    let listed =
        |object: ObjectInfo| Some(ListedObject { name: ShippedName::parse(&object.key)?, size_bytes: object.size_bytes });
    Ok(media.list(PREFIX).await?.into_iter().filter_map(listed).collect())
}

/// Every fork in the bucket, by rising generation.
pub async fn forks(media: &Media) -> Result<Vec<Fork>, MediaError> {
    Ok(media.list(FORKS).await?.iter().filter_map(|object| Fork::parse(&object.key)).collect())
}

/// Records a fork. Safe to repeat.
pub async fn write_fork(media: &Media, fork: Fork) -> Result<(), MediaError> {
    media.put(&fork.key(), Bytes::new(), "text/plain; charset=utf-8", Replace::Yes).await
}

/// Stores batches as one object. The store checks the request's checksum, so the object is not read back. The same name means the
/// same batches.
pub async fn write_shipped(media: &Media, run: Run) -> anyhow::Result<ListedObject> {
    let name = run.name().context("nothing to ship")?;
    let object = tokio::task::spawn_blocking(move || pack(&run)).await??;
    let size_bytes = object.len() as u64;
    media.put(&name.key(), object, media::ZSTD, Replace::Yes).await?;
    Ok(ListedObject { name, size_bytes })
}

/// The verified batches of one object. A [`MediaError`] is an error of the store; any other error means that the object is bad.
pub async fn read_shipped(media: &Media, name: ShippedName) -> anyhow::Result<Run> {
    let object = media.get(&name.key()).await?;
    let unpacked = tokio::task::spawn_blocking(move || unpack(&object)).await?;
    let run = unpacked
        .with_context(|| format!("the shipped object {} is damaged: restore it from a copy of the bucket", name.key()))?;
    ensure!(run.name() == Some(name), "the shipped object {} contains other batches than its name states", name.key());
    Ok(run)
}

fn pack(run: &Run) -> anyhow::Result<Bytes> {
    let (body, checksum) = journal_archive::pack(&run.batches)?;
    let mut object = Vec::with_capacity(HEADER_BYTES + body.len());
    object.extend_from_slice(MAGIC);
    object.extend_from_slice(&FORMAT.to_le_bytes());
    object.extend_from_slice(&run.generation.to_le_bytes());
    object.extend_from_slice(run.before.bytes());
    object.extend_from_slice(fold(run.before, &run.batches).bytes());
    object.extend_from_slice(&checksum.to_le_bytes());
    object.extend_from_slice(&body);
    Ok(object.into())
}

fn unpack(object: &[u8]) -> anyhow::Result<Run> {
    let (header, body) = object.split_at_checked(HEADER_BYTES).context("the object is shorter than its header")?;
    ensure!(header[..8] == *MAGIC, "the object does not start with the magic of a shipped object");
    let format = u32::from_le_bytes(header[8..12].try_into()?);
    ensure!(format == FORMAT, "format {format} is not supported, this release reads {FORMAT}: run the release that wrote it");
    let generation = i64::from_le_bytes(header[12..20].try_into()?);
    let chain = |at: usize| Chain::from_slice(&header[at..at + Chain::BYTES]).context("a chain has 32 bytes");
    let (before, after) = (chain(20)?, chain(20 + Chain::BYTES)?);
    let checksum = u32::from_le_bytes(header[HEADER_BYTES - 4..].try_into()?);
    let batches = journal_archive::unpack(body, checksum)?;
    ensure!(fold(before, &batches) == after, "the batches do not lead to the chain in the header");
    Ok(Run { generation, before, batches })
}

#[cfg(test)]
mod tests {
    use super::*;
    use exchange_core::batch;

    fn run() -> Run {
        let batch = |first, last, payload: &[u8]| ArchivedBatch {
            first_sequence: first,
            last_sequence: last,
            epoch: 3,
            checksum: batch::checksum(payload),
            payload: payload.to_vec(),
        };
        Run { generation: 2, before: Chain::GENESIS.next(1, 4, 1, b""), batches: vec![batch(5, 8, b"a"), batch(9, 9, b"bc")] }
    }

    #[test]
    fn an_object_reads_back_as_the_same_batches() {
        assert_eq!(unpack(&pack(&run()).unwrap()).unwrap(), run());
    }

    #[test]
    fn one_changed_byte_anywhere_is_found() {
        let whole = pack(&run()).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.to_vec();
            damaged[at] ^= 0x40;
            // The generation is compared with the name.
            let same = unpack(&damaged).is_ok_and(|found| found.name() == run().name());
            assert!(!same, "byte {at} of {}", whole.len());
        }
        for length in 0..whole.len() {
            assert!(unpack(&whole[..length]).is_err(), "{length} of {} bytes", whole.len());
        }
    }

    #[test]
    fn names_sort_by_generation_and_sequence() {
        let name = run().name().unwrap();
        assert_eq!(ShippedName::parse(&name.key()), Some(name));
        let later = ShippedName { first_sequence: 10, last_sequence: 20, ..name };
        let forked = ShippedName { generation: 3, first_sequence: 6, last_sequence: 7, ..name };
        assert!(name.key() < later.key() && later.key() < forked.key());
        assert_eq!(ShippedName::parse("shipped/other"), None);
        assert_eq!(ShippedName::parse(&ShippedName { last_sequence: 4, ..name }.key()), None);
        let fork = Fork { generation: 1, sequence: 8, chain: name.chain };
        assert_eq!(Fork::parse(&fork.key()), Some(fork));
    }
}
