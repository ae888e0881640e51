//! This module writes the bytes of large objects. pg_restore has created the objects and set their owners before.

use std::fmt::Write;

use super::{RestoreError, progress::RestoreProgress, sessions::RestoreSession};
use crate::{
    manifest::{LargeObjects, Piece},
    reading::BackupReader,
    wire::WireError,
};

/// Header of a chunk: object id, offset, length.
const HEAD_BYTES: usize = 16;
/// Maximum number of bytes in one statement.
const BATCH_BYTES: usize = 1 << 20;
/// Maximum number of small chunks in one statement.
const BATCH_CHUNKS: usize = 1000;
/// A chunk is not larger than one statement of the agent writes. A larger length means damage.
const LARGEST_CHUNK_BYTES: usize = 64 << 20;

/// Writes every chunk, with one transaction for each piece: no piece is committed before its hash is verified.
pub async fn fill(
    session: &mut RestoreSession,
    reader: &BackupReader,
    objects: &LargeObjects,
    progress: &RestoreProgress,
) -> Result<u64, RestoreError> {
    let mut chunks = 0;
    for piece in &objects.pieces {
        session.query("BEGIN").await.map_err(failed)?;
        chunks += fill_piece(session, reader, piece, progress).await?;
        session.query("COMMIT").await.map_err(failed)?;
    }
    Ok(chunks)
}

async fn fill_piece(
    session: &mut RestoreSession,
    reader: &BackupReader,
    piece: &Piece,
    progress: &RestoreProgress,
) -> Result<u64, RestoreError> {
    let (mut bytes, mut pending, mut batch, mut chunks) = (reader.piece(piece), Vec::new(), Batch::default(), 0);
    while let Some(more) = bytes.next().await? {
        progress.add(more.len() as u64);
        pending.extend_from_slice(&more);
        let mut used = 0;
        while let Some((chunk, length)) = ObjectChunk::parse(&pending[used..])? {
            used += length;
            chunks += 1;
            batch.add(&chunk);
            if batch.is_full() {
                batch.write(session).await?;
            }
        }
        pending.drain(..used);
    }
    if !pending.is_empty() {
        return Err(RestoreError::Contents("a piece of large objects ends inside a chunk".into()));
    }
    batch.write(session).await?;
    Ok(chunks)
}

fn failed(error: WireError) -> RestoreError {
    RestoreError::writing("large objects")(error)
}

/// A part of a large object, as stored in a piece.
pub struct ObjectChunk<'a> {
    pub object: u32,
    pub offset: u64,
    pub bytes: &'a [u8],
}

impl<'a> ObjectChunk<'a> {
    /// Parses a chunk, and returns it with its length including the header; `None` if it is incomplete.
    ///
    /// # Errors
    /// Returns an error if its length is invalid.
    pub fn parse(text: &'a [u8]) -> Result<Option<(Self, usize)>, RestoreError> {
        let Some((head, rest)) = text.split_first_chunk::<HEAD_BYTES>() else { return Ok(None) };
        let (object, more) = head.split_first_chunk::<4>().expect("16 bytes hold 4");
        let (offset, length) = more.split_first_chunk::<8>().expect("12 bytes hold 8");
        let length = u32::from_be_bytes(length.try_into().expect("4 bytes are left")) as usize;
        if length > LARGEST_CHUNK_BYTES {
            return Err(RestoreError::Contents(format!("a chunk of a large object has {length} bytes")));
        }
        let (object, offset) = (u32::from_be_bytes(*object), u64::from_be_bytes(*offset));
        Ok(rest.get(..length).map(|bytes| (Self { object, offset, bytes }, HEAD_BYTES + length)))
    }
}

#[derive(Default)]
struct Batch {
    objects: Vec<i64>,
    offsets: Vec<i64>,
    bytes: Vec<Vec<u8>>,
    size: usize,
}

impl Batch {
    fn add(&mut self, chunk: &ObjectChunk<'_>) {
        // An object without bytes already exists.
        if chunk.bytes.is_empty() {
            return;
        }
        self.objects.push(i64::from(chunk.object));
        self.offsets.push(i64::try_from(chunk.offset).unwrap_or(i64::MAX));
        self.bytes.push(chunk.bytes.to_vec());
        self.size += chunk.bytes.len();
    }

    fn is_full(&self) -> bool {
        self.size >= BATCH_BYTES || self.objects.len() >= BATCH_CHUNKS
    }

    async fn write(&mut self, session: &mut RestoreSession) -> Result<(), RestoreError> {
        if self.objects.is_empty() {
            return Ok(());
        }
        let batch = std::mem::take(self);
        session.query(batch.statement()).await.map(drop).map_err(failed)
    }

    /// The bytes are hexadecimal digits. Only the backslash of an array's element needs an escape.
    fn statement(&self) -> String {
        let mut statement = String::with_capacity(2 * self.size + 64 * self.objects.len() + 256);
        statement.push_str("SELECT pg_catalog.lo_put(object::oid, place, bytes) FROM ROWS FROM (pg_catalog.unnest('{");
        let list = |numbers: &[i64]| numbers.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
        statement.push_str(&list(&self.objects));
        statement.push_str("}'::int8[]), pg_catalog.unnest('{");
        statement.push_str(&list(&self.offsets));
        statement.push_str("}'::int8[]), pg_catalog.unnest('{");
        for (number, bytes) in self.bytes.iter().enumerate() {
            let _ = write!(statement, "{}\"\\\\x{}\"", if number == 0 { "" } else { "," }, hex::encode(bytes));
        }
        statement.push_str("}'::bytea[])) AS chunk (object, place, bytes)");
        statement
    }
}
