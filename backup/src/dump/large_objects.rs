//! This module reads large objects under the snapshot of the rows: many in one query, long ones in several chunks.

use std::sync::PoisonError;

use super::{
    Shared,
    piece::{CopyError, Writing},
};
use crate::{
    checksum::RowChecksum,
    encode::StreamEncoder,
    failure::{Exit, Result, Stage},
    upload::UploadStream,
    wire::{Connection, WireError},
};

/// Bytes of an object in one row. As hexadecimal digits, twice that size, they fit the connection's buffer. A drill splits
/// objects in the same way.
pub const CHUNK_BYTES: usize = 64 << 10;
/// Chunks of one long object in one query.
const CHUNKS_AT_ONCE: usize = 64;

/// An object whose chunks so far were full.
struct Long {
    oid: u32,
    offset: u64,
}

/// Receives rows of object, offset and bytes, and writes chunks.
struct Chunks<'a, 'b> {
    writing: &'a mut Writing<'b>,
    /// Parsed part of an incomplete row.
    line: Vec<u8>,
    chunk: Vec<u8>,
    checksum: RowChecksum,
    raw_bytes: u64,
    /// Objects whose last chunk was full, and their next offset.
    long: Vec<Long>,
    ended: Option<u32>,
}

pub(super) fn read_large_objects(
    shared: &Shared,
    connection: &mut Connection,
    from: usize,
    encoder: &mut StreamEncoder,
    lane: &mut UploadStream,
) -> Result<()> {
    let failed = |fault: CopyError| {
        let failure = fault.failure(Stage::LargeObjects);
        if failure.exit == Exit::Forbidden {
            failure.context("the role may not read every large object; grant SELECT on them, or run as a superuser")
        } else {
            failure
        }
    };
    let objects = shared.plan.large_objects_of(from);
    let mut writing = Writing::new(encoder, lane);
    let mut chunks = Chunks {
        writing: &mut writing,
        line: Vec::new(),
        chunk: Vec::new(),
        checksum: RowChecksum::default(),
        raw_bytes: 0,
        long: Vec::new(),
        ended: None,
    };
    let oids = objects.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    let first = format!(
        "COPY (SELECT o, 0, pg_catalog.lo_get(o, 0, {CHUNK_BYTES}) FROM pg_catalog.unnest('{{{oids}}}'::pg_catalog.oid[]) o) TO STDOUT"
    );
    copy(shared, connection, &first, &mut chunks).map_err(failed)?;
    while let Some(Long { oid, offset }) = chunks.long.pop() {
        let next = format!(
            "COPY (SELECT {oid}, p, pg_catalog.lo_get({oid}, p, {CHUNK_BYTES}) FROM pg_catalog.generate_series({offset}::bigint, \
             {offset}::bigint + {}, {CHUNK_BYTES}) p ORDER BY p) TO STDOUT",
            CHUNK_BYTES * (CHUNKS_AT_ONCE - 1)
        );
        chunks.ended = None;
        copy(shared, connection, &next, &mut chunks).map_err(failed)?;
    }
    let (checksum, raw_bytes) = (chunks.checksum, chunks.raw_bytes);
    let piece = writing.finish(checksum.rows).map_err(|error| failed(error.into()))?;
    shared.large_objects.lock().unwrap_or_else(PoisonError::into_inner).add(checksum, raw_bytes, piece);
    Ok(())
}

fn copy(shared: &Shared, connection: &mut Connection, statement: &str, chunks: &mut Chunks<'_, '_>) -> Result<(), CopyError> {
    let mut take = |bytes: &[u8]| -> Result<(), CopyError> {
        shared.go_on()?;
        shared.reading.progress.read(bytes.len() as u64 / 2);
        chunks.take(bytes)
    };
    connection.copy_out(statement.as_bytes(), &[], &mut take).map(drop)
}

impl Chunks<'_, '_> {
    fn take(&mut self, mut bytes: &[u8]) -> Result<(), CopyError> {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.line.extend_from_slice(&bytes[..end]);
            bytes = &bytes[end + 1..];
            let line = std::mem::take(&mut self.line);
            self.row(&line)?;
            self.line = line;
            self.line.clear();
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    /// Object, offset and `\\x` with hexadecimal digits, separated by tabs.
    fn row(&mut self, line: &[u8]) -> Result<(), CopyError> {
        let malformed = || WireError::Protocol("a large object's row has an unexpected format".into());
        let mut fields = line.split(|byte| *byte == b'\t');
        let mut number = || std::str::from_utf8(fields.next()?).ok()?.parse::<u64>().ok();
        let oid = number().and_then(|oid| u32::try_from(oid).ok()).ok_or_else(malformed)?;
        let offset = number().ok_or_else(malformed)?;
        let digits = fields.next().and_then(|field| field.strip_prefix(b"\\\\x")).ok_or_else(malformed)?;
        if self.ended == Some(oid) {
            return Ok(()); // beyond the object's end
        }
        let length = digits.len() / 2;
        // A long object's end can be between two chunks. Only an object without bytes has an empty chunk.
        if length > 0 || offset == 0 {
            self.chunk.clear();
            self.chunk.extend_from_slice(&oid.to_be_bytes());
            self.chunk.extend_from_slice(&offset.to_be_bytes());
            self.chunk.extend_from_slice(&u32::try_from(length).map_err(|_| malformed())?.to_be_bytes());
            let head = self.chunk.len();
            self.chunk.resize(head + length, 0);
            hex::decode_to_slice(digits, &mut self.chunk[head..]).map_err(|_| malformed())?;
            self.checksum.add(&self.chunk);
            self.raw_bytes += self.chunk.len() as u64;
            self.writing.write(&self.chunk)?;
        }
        self.long.retain(|long| long.oid != oid);
        if length == CHUNK_BYTES {
            self.long.push(Long { oid, offset: offset + length as u64 });
        } else {
            self.ended = Some(oid);
        }
        Ok(())
    }
}
