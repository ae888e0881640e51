//! This module reads and writes archive objects: batches of the journal that left the database. It must not decide when a batch
//! leaves.
//!
//! An object is compressed with zstd. It starts with a magic (8 bytes) and the format (u32). Each batch follows as: first and
//! last sequence (i64 each), epoch (i64), CRC-32 of the payload (u32), its length (u32), the payload. Integers are little-endian.
//! The row in `journal_archives` holds the CRC-32 of the whole uncompressed content.

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use exchange_core::batch;

use crate::chain::Chain;
use crate::media::{self, Media, MediaError, Replace};

const MAGIC: &[u8; 8] = b"EXCHJRNL";
const FORMAT: u32 = 1;
const BATCH_HEADER_BYTES: usize = 8 + 8 + 8 + 4 + 4;
const COMPRESSION_LEVEL: i32 = 3;
/// This release writes no larger object. The limit bounds the memory that a damaged or forged object can allocate.
const CONTENT_BYTES_MAX: usize = 1 << 30;

/// One batch as the journal holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivedBatch {
    pub first_sequence: i64,
    pub last_sequence: i64,
    pub epoch: i64,
    pub checksum: u32,
    pub payload: Vec<u8>,
}

impl ArchivedBatch {
    /// Whether the payload matches the checksum that the leader wrote.
    pub fn verify(&self) -> anyhow::Result<()> {
        let found = batch::checksum(&self.payload);
        ensure!(
            found == self.checksum,
            "journal batch {}..={}: checksum mismatch, found {found:08x}, expected {:08x}: restore this batch from a backup or \
             an archive",
            self.first_sequence,
            self.last_sequence,
            self.checksum
        );
        Ok(())
    }
}

/// Identifies a written object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    pub key: String,
    pub size_bytes: u64,
    /// CRC-32 of the uncompressed content.
    pub checksum: u32,
}

const PREFIX: &str = "journal/";
const SUFFIX: &str = ".journal.zst";

/// The name of the object for these batches. `chain` is the journal's chain after them, so that two histories never share a name.
/// Earlier releases omit the chain.
pub fn archive_key(first_sequence: i64, last_sequence: i64, chain: Option<Chain>) -> String {
    let chain = chain.map(|chain| format!("-{chain}")).unwrap_or_default();
    format!("{PREFIX}{first_sequence:020}-{last_sequence:020}{chain}{SUFFIX}")
}

/// The parts of a name: first and last sequence, and the chain if present.
pub fn parse(key: &str) -> Option<(i64, i64, Option<Chain>)> {
    let mut parts = key.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.split('-');
    let (first, last) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let chain = parts.next().map(str::parse).transpose().ok()?;
    Some((first, last, chain))
}

/// Names of all archive objects in the bucket, of any history.
pub async fn list_archives(media: &Media) -> Result<Vec<String>, MediaError> {
    Ok(media.list(PREFIX).await?.into_iter().map(|object| object.key).collect())
}

/// Stores consecutive batches as one object, reads it back and compares. `chain` is the journal's chain after the last batch.
pub async fn write_archive(media: &Media, batches: Vec<ArchivedBatch>, chain: Chain) -> anyhow::Result<Written> {
    let (Some(first), Some(last)) = (batches.first(), batches.last()) else { bail!("nothing to archive") };
    let key = archive_key(first.first_sequence, last.last_sequence, Some(chain));
    let (object, checksum) = tokio::task::spawn_blocking(move || pack(&batches)).await??;
    let size_bytes = object.len() as u64;
    // The same name means the same batches: an object left by an interrupted run contains them or is damaged.
    match media.put(&key, object.clone(), media::ZSTD, Replace::No).await {
        Ok(()) => {}
        Err(MediaError::Exists { .. }) => {
            let stored = media.get(&key).await?;
            if tokio::task::spawn_blocking(move || unpack(&stored, checksum)).await?.is_err() {
                tracing::warn!(key, "replacing a damaged archive object");
                media.put(&key, object.clone(), media::ZSTD, Replace::Yes).await?;
            }
        }
        Err(error) => return Err(error.into()),
    }
    let stored = media.get(&key).await?;
    tokio::task::spawn_blocking(move || unpack(&stored, checksum))
        .await?
        .with_context(|| format!("{key}: the content read back differs from the content written"))?;
    Ok(Written { key, size_bytes, checksum })
}

/// The batches of one object, each verified.
pub async fn read_archive(media: &Media, key: &str, checksum: u32) -> anyhow::Result<Vec<ArchivedBatch>> {
    let object = media.get(key).await?;
    let batches = tokio::task::spawn_blocking(move || unpack(&object, checksum)).await?;
    batches.with_context(|| format!("the archive object {key} is damaged: restore it from a backup of the bucket"))
}

/// The batches of an object whose checksum is not known: each batch is verified, the whole by the caller's chain.
pub async fn read_unchecked(media: &Media, key: &str) -> anyhow::Result<Vec<ArchivedBatch>> {
    let object = media.get(key).await?;
    let batches = tokio::task::spawn_blocking(move || parse_content(&decompress(&object)?)).await?;
    batches.with_context(|| format!("the archive object {key} is damaged: restore it from a copy of the bucket"))
}

/// The object for `batches`, and the CRC-32 of its uncompressed content.
pub fn pack(batches: &[ArchivedBatch]) -> anyhow::Result<(Bytes, u32)> {
    let length: usize = batches.iter().map(|batch| BATCH_HEADER_BYTES + batch.payload.len()).sum();
    let mut content = Vec::with_capacity(MAGIC.len() + 4 + length);
    content.extend_from_slice(MAGIC);
    content.extend_from_slice(&FORMAT.to_le_bytes());
    for batch in batches {
        batch.verify()?;
        for number in [batch.first_sequence, batch.last_sequence, batch.epoch] {
            content.extend_from_slice(&number.to_le_bytes());
        }
        content.extend_from_slice(&batch.checksum.to_le_bytes());
        content.extend_from_slice(&u32::try_from(batch.payload.len())?.to_le_bytes());
        content.extend_from_slice(&batch.payload);
    }
    ensure!(content.len() <= CONTENT_BYTES_MAX, "{} bytes exceed the size limit of an archive object", content.len());
    let checksum = batch::checksum(&content);
    Ok((zstd::encode_all(content.as_slice(), COMPRESSION_LEVEL)?.into(), checksum))
}

/// The verified batches of an object whose uncompressed content has the CRC-32 `checksum`.
pub fn unpack(object: &[u8], checksum: u32) -> anyhow::Result<Vec<ArchivedBatch>> {
    let content = decompress(object)?;
    ensure!(batch::checksum(&content) == checksum, "the content's checksum does not match the recorded one");
    parse_content(&content)
}

fn decompress(object: &[u8]) -> anyhow::Result<Vec<u8>> {
    use std::io::Read;
    let mut content = Vec::new();
    zstd::stream::Decoder::new(object)?.take(CONTENT_BYTES_MAX as u64 + 1).read_to_end(&mut content).context("zstd")?;
    Ok(content)
}

fn parse_content(content: &[u8]) -> anyhow::Result<Vec<ArchivedBatch>> {
    let mut rest = content.strip_prefix(MAGIC).context("the object does not start with the magic of an archive")?;
    let format = u32::from_le_bytes(take(&mut rest)?);
    ensure!(
        format == FORMAT,
        "archive format {format} is not supported, this release reads {FORMAT}: run the release that \
     wrote it"
    );
    let mut batches: Vec<ArchivedBatch> = Vec::new();
    while !rest.is_empty() {
        let [first_sequence, last_sequence, epoch] =
            [i64::from_le_bytes(take(&mut rest)?), i64::from_le_bytes(take(&mut rest)?), i64::from_le_bytes(take(&mut rest)?)];
        let (checksum, length) = (u32::from_le_bytes(take(&mut rest)?), u32::from_le_bytes(take(&mut rest)?));
        let (payload, after) = rest.split_at_checked(length as usize).context("the last batch is truncated")?;
        rest = after;
        let batch = ArchivedBatch { first_sequence, last_sequence, epoch, checksum, payload: payload.to_vec() };
        batch.verify()?;
        let follows = batches.last().is_none_or(|before| before.last_sequence + 1 == first_sequence);
        ensure!(follows && first_sequence <= last_sequence, "batch {first_sequence} does not follow the previous batch");
        batches.push(batch);
    }
    Ok(batches)
}

fn take<const N: usize>(rest: &mut &[u8]) -> anyhow::Result<[u8; N]> {
    let (taken, after) = rest.split_first_chunk::<N>().context("the content is truncated")?;
    *rest = after;
    Ok(*taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batches() -> Vec<ArchivedBatch> {
        let batch = |first, last, payload: &[u8]| ArchivedBatch {
            first_sequence: first,
            last_sequence: last,
            epoch: 3,
            checksum: batch::checksum(payload),
            payload: payload.to_vec(),
        };
        vec![batch(1, 4, b"first"), batch(5, 5, b""), batch(6, 90, &[7; 1000])]
    }

    #[test]
    fn batches_read_back_as_they_were() {
        let (object, checksum) = pack(&batches()).unwrap();
        assert_eq!(unpack(&object, checksum).unwrap(), batches());
    }

    #[test]
    fn damage_and_gaps_are_found() {
        let (object, checksum) = pack(&batches()).unwrap();
        assert!(unpack(&object[..object.len() - 5], checksum).is_err());
        assert!(unpack(&object, checksum ^ 1).is_err());
        let mut gap = batches();
        gap.remove(1);
        let (object, checksum) = pack(&gap).unwrap();
        assert!(unpack(&object, checksum).unwrap_err().to_string().contains("does not follow"));
        let mut forged = batches();
        forged[0].payload[0] ^= 1;
        assert!(pack(&forged).is_err());
    }
}
