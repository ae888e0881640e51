//! This module defines the archive's header and table of contents as data.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    fmt,
};

/// Version of the archive format: major, minor, revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u8, pub u8, pub u8);

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// A text of the archive: bytes in the encoding that the entry `ENCODING` names, or null, which differs from empty.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct DumpText(pub Option<Box<[u8]>>);

impl DumpText {
    pub const NULL: Self = Self(None);

    /// The bytes; empty if null.
    pub fn bytes(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }

    pub fn is_empty(&self) -> bool {
        self.bytes().is_empty()
    }

    /// The text for messages and for comparison with ASCII. Bytes that are not UTF-8 are replaced.
    pub fn lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.bytes())
    }

    /// The text as a name for the server; `None` if it is not UTF-8.
    pub fn utf8(&self) -> Option<&str> {
        std::str::from_utf8(self.bytes()).ok()
    }
}

impl From<&str> for DumpText {
    fn from(text: &str) -> Self {
        Self(Some(text.as_bytes().into()))
    }
}

impl PartialEq<str> for DumpText {
    fn eq(&self, other: &str) -> bool {
        self.bytes() == other.as_bytes()
    }
}

impl PartialEq<&str> for DumpText {
    fn eq(&self, other: &&str) -> bool {
        self == *other
    }
}

impl fmt::Debug for DumpText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_some() { write!(formatter, "{:?}", self.lossy()) } else { formatter.write_str("null") }
    }
}

impl fmt::Display for DumpText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.lossy())
    }
}

/// The part before the table of contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    pub version: Version,
    /// Bytes of an integer's magnitude (4 everywhere that PostgreSQL runs).
    pub integer_size: u8,
    /// Bytes of an offset (8).
    pub offset_size: u8,
    /// Local time of pg_dump's machine at its start: second, minute, hour, day of month, month from 0, year since 1900, is summer
    /// time.
    pub created: [i32; 7],
    pub database: DumpText,
    /// Version of the server, such as `15.14 (Debian 15.14-0+deb12u1)`.
    pub server_version: DumpText,
    pub pg_dump_version: DumpText,
}

/// Decodes bytes for messages. Bytes without a character in the encoding are replaced.
fn decode(encoding: &str, bytes: &[u8]) -> String {
    // Maps PostgreSQL's names of encodings to the web's.
    let label = match encoding {
        "LATIN1" => "iso-8859-1".to_owned(),
        "LATIN5" => "iso-8859-9".to_owned(),
        "LATIN6" => "iso-8859-10".to_owned(),
        "LATIN7" => "iso-8859-13".to_owned(),
        "LATIN8" => "iso-8859-14".to_owned(),
        "LATIN9" => "iso-8859-15".to_owned(),
        "LATIN10" => "iso-8859-16".to_owned(),
        "WIN866" => "ibm866".to_owned(),
        "WIN874" => "windows-874".to_owned(),
        "KOI8R" => "koi8-r".to_owned(),
        "KOI8U" => "koi8-u".to_owned(),
        "EUC_JIS_2004" | "EUC_JP" => "euc-jp".to_owned(),
        "EUC_CN" => "gbk".to_owned(),
        "EUC_KR" => "euc-kr".to_owned(),
        other => match other.strip_prefix("WIN").or(other.strip_prefix("LATIN")) {
            Some(number) if other.starts_with("WIN") => format!("windows-{number}"),
            Some(number) => format!("iso-8859-{number}"),
            None => other.to_ascii_lowercase().replace('_', "-"),
        },
    };
    match encoding_rs::Encoding::for_label(label.as_bytes()) {
        Some(known) => known.decode_without_bom_handling(bytes).0.into_owned(),
        None => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// The section of pg_restore that an entry belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DumpSection {
    /// Comments, privileges and other entries that accompany another entry.
    None,
    PreData,
    Data,
    PostData,
}

/// Location of an entry's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataOffset {
    /// In a block somewhere after the contents: pg_dump could not seek.
    NotSet,
    At(u64),
    NoData,
}

/// One object, or the rows of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Unique within the archive; dependencies refer to it.
    pub dump_id: i32,
    /// Whether a block of rows or large objects belongs to the entry.
    pub has_data: bool,
    /// Oid of the object's catalogue, decimal.
    pub catalogue_oid: DumpText,
    /// Oid of the object, decimal.
    pub oid: DumpText,
    /// The name, such as `accounts` or `transfer accounts_fkey`.
    pub tag: DumpText,
    /// The kind, such as `TABLE`, `TABLE DATA`, `FK CONSTRAINT`.
    pub kind: DumpText,
    pub section: DumpSection,
    /// SQL that creates it.
    pub definition: DumpText,
    pub drop_statement: DumpText,
    /// `COPY … FROM stdin;` for the rows of a table.
    pub copy_statement: DumpText,
    /// Schema.
    pub namespace: DumpText,
    pub tablespace: DumpText,
    pub access_method: DumpText,
    /// Since archive version 1.16: `pg_class.relkind`.
    pub relation_kind: Option<i32>,
    pub owner: DumpText,
    /// `false` since tables no longer have oids.
    pub with_oids: DumpText,
    pub dependencies: Vec<i32>,
    pub offset: DataOffset,
}

impl Entry {
    /// Whether the entry contains the rows of a table, in a separate block.
    pub fn is_table_data(&self) -> bool {
        self.has_data && self.kind == "TABLE DATA"
    }

    /// Whether the entry contains large objects. PostgreSQL writes one entry for all up to version 16, and one for each group
    /// since 17.
    pub fn is_large_objects(&self) -> bool {
        self.has_data && self.kind == "BLOBS"
    }

    /// The last value of a sequence.
    pub fn is_sequence_value(&self) -> bool {
        self.kind == "SEQUENCE SET"
    }

    /// An event trigger, or its comment or security label.
    pub fn is_about_event_trigger(&self) -> bool {
        let of_it = self.kind == "COMMENT" || self.kind == "SECURITY LABEL";
        self.kind == "EVENT TRIGGER" || of_it && self.namespace.is_empty() && self.tag.bytes().starts_with(b"EVENT TRIGGER ")
    }

    /// Name for messages: `schema.name`, unquoted.
    pub fn display_name(&self) -> String {
        if self.namespace.is_empty() { self.tag.to_string() } else { format!("{}.{}", self.namespace, self.tag) }
    }
}

/// Header and entries: the archive without its blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    pub header: Header,
    /// In pg_dump's order, in which every object can be created.
    pub entries: Vec<Entry>,
}

impl Contents {
    /// The encoding of the archive's texts, such as `UTF8` or `LATIN1`.
    pub fn encoding(&self) -> &str {
        let entry = self.entries.iter().find(|entry| entry.kind == "ENCODING");
        let statement = entry.and_then(|entry| entry.definition.utf8());
        statement.and_then(|statement| statement.split('\'').nth(1)).unwrap_or("UTF8")
    }

    /// Decodes a name for messages.
    pub fn decode(&self, text: &DumpText) -> String {
        self.decode_bytes(text.bytes())
    }

    /// Decodes bytes for messages.
    pub fn decode_bytes(&self, bytes: &[u8]) -> String {
        match std::str::from_utf8(bytes) {
            // Names of roles and databases belong to the server, not to the database. In most clusters they are UTF-8.
            Ok(text) => text.to_owned(),
            Err(_) => decode(self.encoding(), bytes),
        }
    }

    pub fn entry(&self, dump_id: i32) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.dump_id == dump_id)
    }

    /// Index of the entries by id.
    pub fn by_id(&self) -> HashMap<i32, &Entry> {
        self.entries.iter().map(|entry| (entry.dump_id, entry)).collect()
    }

    /// Entries with a block, in the order in which a reader that cannot seek needs the blocks.
    pub fn with_data(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.has_data)
    }

    /// The same archive with a subset of the entries and without blocks. pg_restore treats dependencies on absent entries as met.
    pub fn only(&self, keep: impl Fn(&Entry) -> bool) -> Self {
        Self { header: self.header.clone(), entries: self.entries.iter().filter(|entry| keep(entry)).cloned().collect() }
    }

    /// The same entries with event triggers at the end. pg_restore creates them in the pass of the refreshes of materialised views,
    /// in the order of the archive or, with several jobs, of the dependencies. An event trigger may refuse a refresh.
    #[must_use]
    pub fn event_triggers_last(mut self) -> Self {
        let (mut triggers, others): (Vec<_>, Vec<_>) = self.entries.into_iter().partition(Entry::is_about_event_trigger);
        let refreshes = others.iter().filter(|entry| entry.kind == "MATERIALIZED VIEW DATA").map(|entry| entry.dump_id);
        let refreshes: Vec<i32> = refreshes.collect();
        triggers.iter_mut().for_each(|trigger| trigger.dependencies.extend(&refreshes));
        self.entries = others;
        self.entries.append(&mut triggers);
        self
    }

    /// Dump ids of the entries and of everything that they depend on.
    pub fn closure(&self, of: impl IntoIterator<Item = i32>) -> HashSet<i32> {
        let by_id = self.by_id();
        let (mut found, mut ahead) = (HashSet::new(), of.into_iter().collect::<Vec<_>>());
        while let Some(id) = ahead.pop() {
            if found.insert(id) {
                ahead.extend(by_id.get(&id).iter().flat_map(|entry| entry.dependencies.iter().copied()));
            }
        }
        found
    }
}
