//! This module reads and writes the custom archive format of `pg_dump -Fc`: the header and table of contents, byte for byte, and
//! the blocks of rows and large objects after them.
//!
//! It must not compress, encrypt, use a database, or decide which entries matter. `src/bin/pg_dump/pg_backup_archiver.c` and
//! `pg_backup_custom.c` of PostgreSQL define the format. Supported archive versions: 1.14 (PostgreSQL 12 to 15), 1.15 (16) and
//! 1.16 (17 and newer).
//!
//! ```text
//! header   "PGDMP" major minor revision, sizes of integers and offsets, format, compression, time, names
//! contents count, then entries: statements to create, drop and copy, owner, dependencies, where the rows are
//! blocks   1 <entry> (<length> bytes)* 0            rows of a table, as COPY text
//!          3 <entry> (<oid> (<length> bytes)* 0)* 0 large objects
//! ```
//! An integer is a sign byte and a little-endian magnitude. A text is its length (-1: null) and its bytes.

mod block;
mod contents;
mod copy;
mod read;
mod write;

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;

pub use block::{END_OF_COPY, block_end, chunk, large_object_start, large_objects_start, rows_start};
pub use contents::{Contents, DataOffset, DumpSection, DumpText, Entry, Header, Version};
pub use copy::CopyTarget;

/// Reason why bytes are rejected as an archive.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("not a custom archive of pg_dump: it does not begin with PGDMP")]
    NoArchive,
    #[error("archive version {0} is not supported; supported are 1.14 to 1.16 (pg_dump of PostgreSQL 12 and newer)")]
    Version(Version),
    #[error("the archive has format {0}, not custom (1); run pg_dump with --format=custom")]
    Format(u8),
    #[error("the archive is compressed ({0}); run pg_dump with --compress=0")]
    Compressed(String),
    #[error("the archive ends inside its table of contents: pg_dump failed, or the object was truncated")]
    CutOff,
    #[error("the table of contents is malformed: {0}")]
    Malformed(String),
    #[error("failed to read the archive: {0}")]
    Read(#[source] std::io::Error),
}

impl From<std::io::Error> for ArchiveError {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::UnexpectedEof { Self::CutOff } else { Self::Read(error) }
    }
}
