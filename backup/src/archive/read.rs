//! This module reads the header and table of contents from a stream. It must not read a byte beyond the end of the contents.

use std::io::Read;

use super::{ArchiveError, Contents, DataOffset, DumpSection, DumpText, Entry, Header, Version};

pub(super) const MAGIC: &[u8; 5] = b"PGDMP";
/// `archCustom`.
pub(super) const FORMAT_CUSTOM: u8 = 1;
/// Access methods were added in 1.14. Supported releases do not write older versions.
const OLDEST: Version = Version(1, 14, 0);
/// First version that stores the name of the compression instead of its level.
pub(super) const NAMED_COMPRESSION: Version = Version(1, 15, 0);
/// First version that stores the kind of relation in each entry.
pub(super) const RELATION_KIND: Version = Version(1, 16, 0);
/// All revisions of this minor version are supported.
const NEWEST_MINOR: u8 = 16;
/// Maximum length of a text: PostgreSQL's own limit of a value.
const TEXT_LIMIT: i64 = 1 << 30;
/// Maximum number of entries to reserve memory for in advance. More entries are read as they arrive.
const RESERVED_ENTRIES: usize = 1 << 16;
/// Offset states (`K_OFFSET_*`).
pub(super) const OFFSET_NOT_SET: u8 = 1;
pub(super) const OFFSET_SET: u8 = 2;
pub(super) const OFFSET_NO_DATA: u8 = 3;

impl Contents {
    /// Reads the output of `pg_dump --format=custom --compress=0` up to its first block.
    ///
    /// # Errors
    /// Returns an error if the input is not such an archive, has an unsupported version, or is compressed, malformed or
    /// truncated.
    pub fn read(input: &mut impl Read) -> Result<Self, ArchiveError> {
        let mut reader = Reader { input, version: OLDEST, integer_size: 0, offset_size: 0 };
        let header = reader.header()?;
        let count = reader.integer()?;
        let count = usize::try_from(count).map_err(|_| malformed("a negative count of entries"))?;
        let mut entries = Vec::with_capacity(count.min(RESERVED_ENTRIES));
        for _ in 0..count {
            entries.push(reader.entry()?);
        }
        Ok(Self { header, entries })
    }
}

fn malformed(what: impl Into<String>) -> ArchiveError {
    ArchiveError::Malformed(what.into())
}

struct Reader<'a, Input> {
    input: &'a mut Input,
    version: Version,
    integer_size: u8,
    offset_size: u8,
}

impl<Input: Read> Reader<'_, Input> {
    fn header(&mut self) -> Result<Header, ArchiveError> {
        let mut magic = [0; MAGIC.len()];
        self.input.read_exact(&mut magic)?;
        if &magic != MAGIC {
            return Err(ArchiveError::NoArchive);
        }
        self.version = Version(self.byte()?, self.byte()?, self.byte()?);
        if self.version < OLDEST || (self.version.0, self.version.1) > (OLDEST.0, NEWEST_MINOR) {
            return Err(ArchiveError::Version(self.version));
        }
        self.integer_size = self.size("integers")?;
        self.offset_size = self.size("offsets")?;
        let format = self.byte()?;
        if format != FORMAT_CUSTOM {
            return Err(ArchiveError::Format(format));
        }
        let compression = if self.version >= NAMED_COMPRESSION { i64::from(self.byte()?) } else { self.integer()? };
        if compression != 0 {
            let how = if self.version >= NAMED_COMPRESSION { "algorithm" } else { "level" };
            return Err(ArchiveError::Compressed(format!("{how} {compression}")));
        }
        let mut created = [0; 7];
        for part in &mut created {
            *part = self.small_integer()?;
        }
        Ok(Header {
            version: self.version,
            integer_size: self.integer_size,
            offset_size: self.offset_size,
            created,
            database: self.text()?,
            server_version: self.text()?,
            pg_dump_version: self.text()?,
        })
    }

    fn entry(&mut self) -> Result<Entry, ArchiveError> {
        Ok(Entry {
            dump_id: self.small_integer()?,
            has_data: self.integer()? != 0,
            catalogue_oid: self.text()?,
            oid: self.text()?,
            tag: self.text()?,
            kind: self.text()?,
            section: self.section()?,
            definition: self.text()?,
            drop_statement: self.text()?,
            copy_statement: self.text()?,
            namespace: self.text()?,
            tablespace: self.text()?,
            access_method: self.text()?,
            relation_kind: if self.version >= RELATION_KIND { Some(self.small_integer()?) } else { None },
            owner: self.text()?,
            with_oids: self.text()?,
            dependencies: self.dependencies()?,
            offset: self.offset()?,
        })
    }

    fn section(&mut self) -> Result<DumpSection, ArchiveError> {
        match self.integer()? {
            1 => Ok(DumpSection::None),
            2 => Ok(DumpSection::PreData),
            3 => Ok(DumpSection::Data),
            4 => Ok(DumpSection::PostData),
            other => Err(malformed(format!("unknown section {other}"))),
        }
    }

    /// Reads decimal texts up to a null.
    fn dependencies(&mut self) -> Result<Vec<i32>, ArchiveError> {
        let mut dependencies = Vec::new();
        loop {
            let text = self.text()?;
            if text.0.is_none() {
                return Ok(dependencies);
            }
            let id = text.utf8().and_then(|text| text.parse().ok());
            dependencies.push(id.ok_or_else(|| malformed(format!("dependency {text:?} is not the id of an entry")))?);
        }
    }

    fn offset(&mut self) -> Result<DataOffset, ArchiveError> {
        let state = self.byte()?;
        let mut bytes = [0; 8];
        self.input.read_exact(&mut bytes[..usize::from(self.offset_size)])?;
        match state {
            OFFSET_NOT_SET => Ok(DataOffset::NotSet),
            OFFSET_SET => Ok(DataOffset::At(u64::from_le_bytes(bytes))),
            OFFSET_NO_DATA => Ok(DataOffset::NoData),
            other => Err(malformed(format!("unknown offset state {other}"))),
        }
    }

    fn byte(&mut self) -> Result<u8, ArchiveError> {
        let mut byte = [0];
        self.input.read_exact(&mut byte)?;
        Ok(byte[0])
    }

    fn size(&mut self, what: &str) -> Result<u8, ArchiveError> {
        match self.byte()? {
            size @ 1..=8 => Ok(size),
            other => Err(malformed(format!("{what} of {other} bytes"))),
        }
    }

    fn integer(&mut self) -> Result<i64, ArchiveError> {
        let negative = self.byte()? != 0;
        let mut bytes = [0; 8];
        self.input.read_exact(&mut bytes[..usize::from(self.integer_size)])?;
        let magnitude = i64::try_from(u64::from_le_bytes(bytes)).map_err(|_| malformed("an integer beyond 63 bits"))?;
        Ok(if negative { -magnitude } else { magnitude })
    }

    fn small_integer(&mut self) -> Result<i32, ArchiveError> {
        i32::try_from(self.integer()?).map_err(|_| malformed("an integer beyond 32 bits"))
    }

    fn text(&mut self) -> Result<DumpText, ArchiveError> {
        let length = self.integer()?;
        if length < 0 {
            return Ok(DumpText::NULL);
        }
        if length > TEXT_LIMIT {
            return Err(malformed(format!("a text of {length} bytes")));
        }
        // Read in pieces: a forged length must not reserve memory.
        let mut bytes = Vec::new();
        let read = self.input.by_ref().take(length.unsigned_abs()).read_to_end(&mut bytes)?;
        if read as u64 != length.unsigned_abs() {
            return Err(ArchiveError::CutOff);
        }
        Ok(DumpText(Some(bytes.into_boxed_slice())))
    }
}
