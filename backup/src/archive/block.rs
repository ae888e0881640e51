//! This module encodes the blocks that follow the table of contents. It handles them in pieces and never holds a whole block in
//! memory.

use super::Header;

/// `BLK_DATA`.
const ROWS: u8 = 1;
/// `BLK_BLOBS`.
const LARGE_OBJECTS: u8 = 3;

/// Follows a table's last row, as pg_dump writes it. A script made from the archive needs it.
pub const END_OF_COPY: &[u8] = b"\\.\n\n\n";

/// A sign byte, then the magnitude, little-endian.
pub(super) fn integer(header: &Header, value: i64) -> impl Iterator<Item = u8> + use<> {
    let magnitude = value.unsigned_abs().to_le_bytes();
    std::iter::once(u8::from(value < 0)).chain(magnitude.into_iter().take(usize::from(header.integer_size)))
}

/// Begins the rows of a table. [`chunk`]s follow, the last one ends with [`END_OF_COPY`], then [`block_end`].
pub fn rows_start(header: &Header, dump_id: i32) -> Vec<u8> {
    std::iter::once(ROWS).chain(integer(header, i64::from(dump_id))).collect()
}

/// Begins large objects. For each [`large_object_start`], [`chunk`]s and [`block_end`] follow, then [`block_end`].
pub fn large_objects_start(header: &Header, dump_id: i32) -> Vec<u8> {
    std::iter::once(LARGE_OBJECTS).chain(integer(header, i64::from(dump_id))).collect()
}

/// Begins a large object. Its oid is not 0.
pub fn large_object_start(header: &Header, oid: u32) -> Vec<u8> {
    integer(header, i64::from(oid)).collect()
}

/// Header of a chunk of `length` bytes. The length is not 0, which would end the block, and fits in 31 bits.
pub fn chunk(header: &Header, length: usize) -> Vec<u8> {
    debug_assert!(length > 0 && i32::try_from(length).is_ok(), "a chunk of {length} bytes");
    integer(header, length as i64).collect()
}

/// Ends a block, or a large object.
pub fn block_end(header: &Header) -> Vec<u8> {
    integer(header, 0).collect()
}
