//! This module defines the records of a backup: the start record, the manifest, the contents of a database, a verification.
//! [`sign`] signs them. They must not contain secrets or rows.
//!
//! There are three kinds of bytes:
//! - **A record** (start, manifest, verification) has two lines: a JSON object, and the signature over that line. `head -1 … |
//!   jq` shows it without any key.
//! - **A blob** (table of contents, globals, [`DatabaseContents`]) is one zstd frame, inside one age file if the backup is encrypted.
//! - **A stream** (`lane` in the records) is the output of one worker: consecutive pieces, split into objects of
//!   [`Manifest::object_bytes`] regardless of the pieces' borders. Byte `offset` of a stream is byte `offset % object_bytes` of
//!   its object `offset / object_bytes`.
//!
//! The chain of trust: the manifest's signature covers the hashes of blobs and stream objects. [`DatabaseContents`] covers the hash of
//! each piece. The names in the signed bytes (backup, database, position) prevent swapped or replayed objects.

pub mod sign;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::layout::BackupId;

/// The format of all records. A reader rejects a higher one.
pub const FORMAT: u32 = 1;

/// Written once when an attempt begins, before its first object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Start {
    pub format: u32,
    pub id: BackupId,
    pub job: String,
    pub started_at: Timestamp,
    /// The highest number before it, plus one. A missing number means that a record was removed.
    pub sequence: u64,
    /// The lease's epoch under which the attempt runs.
    pub epoch: u64,
    /// Host name and process id, for a person.
    pub host: String,
    /// Number of newest backups that retention always retained by the settings of this attempt; `None` in older records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_newest: Option<u32>,
}

/// The record at a manifest's key. Its first writer decides the outcome of the attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum AttemptEnd {
    Committed(Box<Manifest>),
    /// The attempt ended without a backup, or vanished and its lease expired. It can no longer commit, and its objects may be
    /// removed.
    Abandoned(Abandoned),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Abandoned {
    pub format: u32,
    pub id: BackupId,
    /// The attempt's number, since an attempt that failed early has no start record; `None` if it was unknown.
    #[serde(default)]
    pub sequence: Option<u64>,
    pub at: Timestamp,
    pub reason: String,
}

/// A backup.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    pub format: u32,
    pub id: BackupId,
    pub job: String,
    pub sequence: u64,
    /// Version of the program that wrote it.
    pub program_version: String,
    pub started_at: Timestamp,
    pub finished_at: Timestamp,
    pub server: ManifestServer,
    pub compression: Compression,
    pub encryption: Option<Encryption>,
    /// Size of every object of a stream except its last one: a whole number of parts.
    pub object_bytes: u64,
    pub databases: Vec<ManifestDatabase>,
    pub globals: Option<Globals>,
    /// The objects of each stream in order, by the stream's number.
    #[serde(deserialize_with = "by_number")]
    pub lanes: BTreeMap<u32, Vec<LaneObject>>,
    pub totals: Totals,
    /// Databases that could not be read, although they should be in the backup. The backup contains the others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<LeftOut>,
    /// Other databases of the server that are not in the backup.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
    /// Warnings for the operator: unreadable or omitted objects.
    pub warnings: Vec<String>,
}

/// A database that is not in a backup, and the reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    pub database: String,
    pub reason: String,
}

impl std::fmt::Display for LeftOut {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}: {}", self.database, self.reason)
    }
}

impl Manifest {
    /// Whether the backup contains every expected database.
    pub fn is_complete(&self) -> bool {
        self.failed.is_empty()
    }

    /// Everything that is not in the backup, one line each.
    pub fn not_in_it(&self) -> Vec<String> {
        let failed = self.failed.iter().map(|failed| format!("the database {} FAILED: {}", failed.database, failed.reason));
        failed.chain(self.left_out.iter().map(ToString::to_string)).collect()
    }
}

/// JSON keys are strings, and inside [`AttemptEnd`] serde does not convert a string to a number.
fn by_number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<u32, Vec<LaneObject>>, D::Error> {
    let texts = BTreeMap::<String, Vec<LaneObject>>::deserialize(deserializer)?;
    let numbered = |(number, objects): (String, _)| Ok((number.parse().map_err(serde::de::Error::custom)?, objects));
    texts.into_iter().map(numbered).collect()
}

/// The server that was backed up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestServer {
    /// `server_version_num`: 150006.
    pub version_number: u32,
    /// `server_version`: `15.6 (Debian 15.6-0+deb12u1)`.
    pub version: String,
    /// From the control file; `None` when the role may not read it.
    pub system_identifier: Option<String>,
    /// Whether the server was a standby.
    pub standby: bool,
    /// `pg_dump --version`.
    pub client: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compression {
    /// `zstd`.
    pub algorithm: String,
    pub level: i32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encryption {
    /// `age`.
    pub algorithm: String,
    /// Public keys (`age1…`), each sufficient to read the backup.
    pub recipients: Vec<String>,
}

/// One database in the manifest, readable without any key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ManifestDatabase {
    pub name: String,
    /// Time of the snapshot: a restore returns to this state.
    pub snapshot_at: Timestamp,
    /// Write-ahead log position at the snapshot; `None` if the server does not report it.
    pub wal_position: Option<String>,
    pub tables: u64,
    pub rows: u64,
    pub large_objects: u64,
    /// Bytes of COPY text and of large objects.
    pub raw_bytes: u64,
    /// The header and the table of contents of pg_dump's custom-format archive, verbatim.
    pub toc: Blob,
    /// [`DatabaseContents`] as JSON.
    pub contents: Blob,
}

/// Roles, memberships, settings of roles, tablespaces: the output of `pg_dumpall --globals-only`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Globals {
    pub script: Blob,
    /// Whether it includes password verifiers.
    pub role_passwords: bool,
}

/// A whole object: one zstd frame, inside one age file if the backup is encrypted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blob {
    pub key: String,
    /// Stored size in bytes.
    pub bytes: u64,
    /// SHA-256 of the stored bytes, 64 hexadecimal digits.
    pub sha256: String,
    /// Bytes before compression.
    pub raw_bytes: u64,
}

/// An object of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneObject {
    pub key: String,
    pub bytes: u64,
    /// SHA-256 of the whole object, 64 hexadecimal digits.
    pub sha256: String,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    pub rows: u64,
    pub raw_bytes: u64,
    /// Size of all objects except records.
    pub stored_bytes: u64,
    pub duration_seconds: f64,
}

/// Contents of one database. They are encrypted with it, since names of tables and columns can be confidential.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatabaseContents {
    pub format: u32,
    /// Name of the backup, so that contents cannot be swapped.
    pub backup: BackupId,
    pub database: String,
    pub tables: Vec<Table>,
    pub large_objects: Option<LargeObjects>,
}

/// A table's rows. The table of contents describes the table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// The dump id of its `TABLE DATA` entry.
    pub dump_id: i32,
    pub oid: u32,
    pub schema: String,
    pub name: String,
    /// Columns in the order of the rows, as in the entry's COPY statement, unquoted; empty: all.
    pub columns: Vec<String>,
    /// Relation and columns of the statement that restores the rows, in the database's encoding and hexadecimal. Set if the names
    /// above do not imply them: a name outside ASCII, or a partition that is loaded through the root of its tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copied_to: Option<String>,
    pub rows: u64,
    pub raw_bytes: u64,
    /// Checksum of the rows under the snapshot, independent of their order ([`crate::checksum`]).
    pub checksum: String,
    /// In any order, since rows are a set. Each contains whole lines of COPY text, without `\.`.
    pub pieces: Vec<Piece>,
}

/// A part of a stream that can be read separately: one zstd frame, inside one age file if the backup is encrypted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    pub lane: u32,
    /// Start of the piece in the stream. A piece can span two objects.
    pub offset: u64,
    /// Stored size in bytes.
    pub bytes: u64,
    /// SHA-256 of the stored bytes, 64 hexadecimal digits.
    pub sha256: String,
    pub raw_bytes: u64,
    /// Rows of the table, or chunks of large objects.
    pub rows: u64,
}

/// The bytes of large objects. The table of contents lists the objects with their owners and grants.
///
/// An uncompressed piece is a sequence of chunks: object id (4 bytes), offset in the object (8), length (4), all big endian, and
/// at most 64 KiB of bytes. Every chunk of an object except its last one has that many. An object is in one piece with its chunks
/// in order, but not always contiguous. An object without bytes has one chunk of length 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LargeObjects {
    pub objects: u64,
    pub raw_bytes: u64,
    /// Checksum of the chunks as stored in pieces, including their headers, independent of their order ([`crate::checksum`]).
    pub checksum: String,
    pub pieces: Vec<Piece>,
}

/// Result of a drill. A backup is verified if its last drill `passed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verification {
    pub format: u32,
    pub id: BackupId,
    pub started_at: Timestamp,
    pub finished_at: Timestamp,
    pub passed: bool,
    pub program_version: String,
    /// `server_version` of the scratch server.
    pub server_version: String,
    pub restore_seconds: f64,
    pub rows_compared: u64,
    pub tables_compared: u64,
    pub assertions: Vec<Assertion>,
    /// Reasons of a failure, one line each; empty if passed.
    pub faults: Vec<String>,
    /// Objects that are not in the backup, so that the drill cannot check them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assertion {
    pub database: String,
    pub name: String,
    pub passed: bool,
    /// Result rows or error, if the assertion failed.
    pub detail: Option<String>,
}
