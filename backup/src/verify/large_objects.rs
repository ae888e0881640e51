//! This module reads restored large objects in the same chunks as the backup, so that their checksums can be compared.

use crate::{
    checksum::RowChecksum,
    dump::LARGE_OBJECT_CHUNK_BYTES,
    wire::{Connection, WireError},
};

/// The chunks of every object: object, offset, bytes. An object ends where its last page ends.
pub(super) fn query() -> String {
    format!(
        "COPY (SELECT o.oid, p, pg_catalog.lo_get(o.oid, p, {LARGE_OBJECT_CHUNK_BYTES}) \
         FROM pg_catalog.pg_largeobject_metadata o LEFT JOIN LATERAL (SELECT l.pageno::int8 * 2048 + pg_catalog.octet_length(l.data) AS length \
         FROM pg_catalog.pg_largeobject l WHERE l.loid = o.oid ORDER BY l.pageno DESC LIMIT 1) AS s ON true, \
         LATERAL pg_catalog.generate_series(0::int8, greatest(coalesce(s.length, 0) - 1, 0), {LARGE_OBJECT_CHUNK_BYTES}) AS p) TO STDOUT"
    )
}

/// The checksum of the chunks from [`query`], computed as in the backup.
pub(super) fn checksum(connection: &mut Connection, query: &[u8]) -> Result<RowChecksum, WireError> {
    let (mut checksum, mut line) = (RowChecksum::default(), Vec::new());
    connection.copy_out::<WireError>(query, &[], &mut |mut bytes| {
        // A row arrives complete, unless it is larger than the connection's buffer.
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            line.extend_from_slice(&bytes[..end]);
            bytes = &bytes[end + 1..];
            let chunk =
                chunk(&line).ok_or_else(|| WireError::Protocol("a large object's row has an unexpected format".into()))?;
            checksum.add(&chunk);
            line.clear();
        }
        line.extend_from_slice(bytes);
        Ok(())
    })?;
    Ok(checksum)
}

/// Header and bytes of a chunk, from object, offset and `\\x` with hexadecimal digits, separated by tabs.
fn chunk(line: &[u8]) -> Option<Vec<u8>> {
    let mut fields = line.split(|byte| *byte == b'\t');
    let object: u32 = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
    let offset: u64 = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
    let bytes = hex::decode(fields.next()?.strip_prefix(b"\\\\x")?).ok()?;
    let mut chunk = Vec::with_capacity(bytes.len() + 16);
    chunk.extend(object.to_be_bytes());
    chunk.extend(offset.to_be_bytes());
    chunk.extend(u32::try_from(bytes.len()).ok()?.to_be_bytes());
    chunk.extend(bytes);
    Some(chunk)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_becomes_the_chunk_that_was_stored() {
        assert_eq!(chunk(b"258\t65536\t\\\\x00ff").unwrap(), [0, 0, 1, 2, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 2, 0, 255]);
        assert_eq!(chunk(b"1\t0\t\\\\x").unwrap().len(), 16);
        for wrong in ["", "1\t0", "x\t0\t\\\\x", "1\t0\tx"] {
            assert_eq!(chunk(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
