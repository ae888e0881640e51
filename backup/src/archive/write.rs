//! This module writes the header and table of contents. An archive that was read is written back byte for byte.

use super::{
    Contents, DataOffset, DumpSection, DumpText, Entry,
    block::integer,
    read::{FORMAT_CUSTOM, MAGIC, NAMED_COMPRESSION, OFFSET_NO_DATA, OFFSET_NOT_SET, OFFSET_SET, RELATION_KIND},
};

impl Contents {
    /// The archive up to its first block.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer { bytes: Vec::new(), contents: self };
        writer.header();
        writer.count(self.entries.len());
        for entry in &self.entries {
            writer.entry(entry);
        }
        writer.bytes
    }
}

struct Writer<'a> {
    bytes: Vec<u8>,
    contents: &'a Contents,
}

impl Writer<'_> {
    fn header(&mut self) {
        let header = &self.contents.header;
        self.bytes.extend(MAGIC);
        self.bytes.extend([header.version.0, header.version.1, header.version.2]);
        self.bytes.extend([header.integer_size, header.offset_size, FORMAT_CUSTOM]);
        // No compression, stored as the name of an algorithm or as a level.
        if header.version >= NAMED_COMPRESSION {
            self.bytes.push(0)
        } else {
            self.integer(0)
        }
        header.created.iter().for_each(|part| self.integer(i64::from(*part)));
        [&header.database, &header.server_version, &header.pg_dump_version].into_iter().for_each(|text| self.text(text));
    }

    fn entry(&mut self, entry: &Entry) {
        self.integer(i64::from(entry.dump_id));
        self.integer(i64::from(entry.has_data));
        [&entry.catalogue_oid, &entry.oid, &entry.tag, &entry.kind].into_iter().for_each(|text| self.text(text));
        self.integer(match entry.section {
            DumpSection::None => 1,
            DumpSection::PreData => 2,
            DumpSection::Data => 3,
            DumpSection::PostData => 4,
        });
        [&entry.definition, &entry.drop_statement, &entry.copy_statement].into_iter().for_each(|text| self.text(text));
        [&entry.namespace, &entry.tablespace, &entry.access_method].into_iter().for_each(|text| self.text(text));
        if self.contents.header.version >= RELATION_KIND {
            self.integer(i64::from(entry.relation_kind.unwrap_or_default()));
        }
        self.text(&entry.owner);
        self.text(&entry.with_oids);
        entry.dependencies.iter().for_each(|id| self.text(&DumpText::from(id.to_string().as_str())));
        self.text(&DumpText::NULL);
        self.offset(entry.offset);
    }

    fn offset(&mut self, offset: DataOffset) {
        let (state, position) = match offset {
            DataOffset::NotSet => (OFFSET_NOT_SET, 0),
            DataOffset::At(position) => (OFFSET_SET, position),
            DataOffset::NoData => (OFFSET_NO_DATA, 0),
        };
        self.bytes.push(state);
        self.bytes.extend(&position.to_le_bytes()[..usize::from(self.contents.header.offset_size)]);
    }

    fn text(&mut self, text: &DumpText) {
        match &text.0 {
            None => self.integer(-1),
            Some(bytes) => {
                self.count(bytes.len());
                self.bytes.extend_from_slice(bytes);
            }
        }
    }

    fn count(&mut self, count: usize) {
        self.integer(i64::try_from(count).expect("lengths in memory fit an integer"));
    }

    fn integer(&mut self, value: i64) {
        self.bytes.extend(integer(&self.contents.header, value));
    }
}
