//! What is written about a backup: the start record, the manifest, the contents of a database, a verification.
//! Shapes only; signing is in [`sign`]. Never a secret, never a row.
//!
//! Three kinds of bytes:
//! - **A record** (start, manifest, verification) is two lines: a JSON object, and the signature over that line. Readable
//!   with `head -1 … | jq`, without any key.
//! - **A blob** (table of contents, globals, [`Contents`]) is one zstd frame, inside one age file when the backup is encrypted.
//! - **A lane** is what one worker wrote: pieces one after the other, cut into objects of [`Manifest::object_bytes`] whatever
//!   the pieces' borders. Byte `offset` of a lane is byte `offset % object_bytes` of its object `offset / object_bytes`.
//!
//! The chain of trust: the manifest's signature covers the hashes of blobs and lane objects; [`Contents`] covers each
//! piece's. The names in the signed bytes (backup, database, position) keep objects from being swapped or replayed.

pub mod sign;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::layout::BackupId;

/// The format of everything here. A reader refuses a larger one.
pub const FORMAT: u32 = 1;

/// Written once when an attempt begins, before its first object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Start {
    pub format: u32,
    pub id: BackupId,
    pub job: String,
    pub started_at: Timestamp,
    /// One more than the highest before it: a missing number is a record that somebody removed.
    pub sequence: u64,
    /// The lease's epoch under which the attempt runs.
    pub epoch: u64,
    /// Host name and process id, for a person.
    pub host: String,
}

/// What stands at a manifest's key: whoever writes it first decides what the attempt was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Outcome {
    Committed(Box<Manifest>),
    /// The attempt ended without a backup, or vanished and its lease ran out: it can no longer commit, and its objects
    /// may be removed.
    Abandoned(Abandoned),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Abandoned {
    pub format: u32,
    pub id: BackupId,
    /// The attempt's number, since one that failed early has no start record; `None` when it was not known.
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
    pub server: Server,
    pub compression: Compression,
    pub encryption: Option<Encryption>,
    /// Every object of a lane but its last has exactly this size: a whole number of parts.
    pub object_bytes: u64,
    pub databases: Vec<Database>,
    pub globals: Option<Globals>,
    /// By lane number, its objects in order.
    #[serde(deserialize_with = "by_number")]
    pub lanes: BTreeMap<u32, Vec<LaneObject>>,
    pub totals: Totals,
    /// Databases that should be in it and could not be read: it is a backup of the others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<LeftOut>,
    /// What else of the server is not in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
    /// What the operator should know: what could not be read, what was left out.
    pub warnings: Vec<String>,
}

/// What is not in a backup, and why.
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
    /// Whether every database that should be in it is.
    pub fn is_complete(&self) -> bool {
        self.failed.is_empty()
    }

    /// Everything that is not in it, a line each.
    pub fn not_in_it(&self) -> Vec<String> {
        let failed = self.failed.iter().map(|failed| format!("the database {} FAILED: {}", failed.database, failed.reason));
        failed.chain(self.left_out.iter().map(ToString::to_string)).collect()
    }
}

/// JSON's keys are texts, and inside [`Outcome`] serde no longer takes a text for a number by itself.
fn by_number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<u32, Vec<LaneObject>>, D::Error> {
    let texts = BTreeMap::<String, Vec<LaneObject>>::deserialize(deserializer)?;
    let numbered = |(number, objects): (String, _)| Ok((number.parse().map_err(serde::de::Error::custom)?, objects));
    texts.into_iter().map(numbered).collect()
}

/// The server that was backed up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// `server_version_num`: 150006.
    pub version_number: u32,
    /// `server_version`: `15.6 (Debian 15.6-0+deb12u1)`.
    pub version: String,
    /// From the control file; `None` when the role may not read it.
    pub system_identifier: Option<String>,
    /// Whether it was a standby.
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
    /// Public keys (`age1…`): each can read the backup alone.
    pub recipients: Vec<String>,
}

/// One database as the manifest shows it, without any key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Database {
    pub name: String,
    /// When its snapshot was taken: the state that a restore brings back.
    pub snapshot_at: Timestamp,
    /// Write-ahead log position at the snapshot; `None` where the server does not tell.
    pub wal_position: Option<String>,
    pub tables: u64,
    pub rows: u64,
    pub large_objects: u64,
    /// Bytes of COPY text and of large objects.
    pub raw_bytes: u64,
    /// What pg_dump says there is: the head and the table of contents of a custom-format archive, verbatim.
    pub toc: Blob,
    /// [`Contents`] as JSON.
    pub contents: Blob,
}

/// Roles, memberships, settings of roles, tablespaces: what `pg_dumpall --globals-only` prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Globals {
    pub script: Blob,
    /// Whether password verifiers are in it.
    pub role_passwords: bool,
}

/// A whole object: one zstd frame, inside one age file when the backup is encrypted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blob {
    pub key: String,
    /// Bytes as stored.
    pub bytes: u64,
    /// Of the bytes as stored, 64 hexadecimal digits.
    pub sha256: String,
    /// Bytes before compression.
    pub raw_bytes: u64,
}

/// An object of a lane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneObject {
    pub key: String,
    pub bytes: u64,
    /// Of the whole object, 64 hexadecimal digits.
    pub sha256: String,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    pub rows: u64,
    pub raw_bytes: u64,
    /// Of every object, records excepted.
    pub stored_bytes: u64,
    pub duration_seconds: f64,
}

/// What one database holds: encrypted with it, since names of tables and columns may be nobody else's business.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contents {
    pub format: u32,
    /// Of which backup, so that contents cannot be swapped.
    pub backup: BackupId,
    pub database: String,
    pub tables: Vec<Table>,
    pub large_objects: Option<LargeObjects>,
}

/// A table's rows. What it looks like is in the table of contents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// The dump id of its `TABLE DATA` entry.
    pub dump_id: i32,
    pub oid: u32,
    pub schema: String,
    pub name: String,
    /// Columns in the order of the rows, as they stand in the entry's COPY statement, unquoted; empty: all.
    pub columns: Vec<String>,
    /// Relation and columns of the statement that restores the rows, in the database's encoding and hexadecimal, where they do
    /// not follow from the names above: a name outside ASCII, or a partition that is loaded through the root of its tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copied_to: Option<String>,
    pub rows: u64,
    pub raw_bytes: u64,
    /// Of its rows under the snapshot, whatever their order ([`crate::checksum`]).
    pub checksum: String,
    /// In any order: a set of rows. Each is a whole number of lines of COPY text, without `\.`.
    pub pieces: Vec<Piece>,
}

/// A stretch of a lane that can be read by itself: one zstd frame, inside one age file when the backup is encrypted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    pub lane: u32,
    /// Where it begins in the lane. A piece may run over the border of two objects.
    pub offset: u64,
    /// Bytes as stored.
    pub bytes: u64,
    /// Of the bytes as stored, 64 hexadecimal digits.
    pub sha256: String,
    pub raw_bytes: u64,
    /// Rows of the table, or large objects' chunks.
    pub rows: u64,
}

/// The bytes of large objects. Which there are, their owners and grants are in the table of contents.
///
/// Uncompressed, a piece is a sequence of chunks: object id (4 bytes), offset in the object (8), length (4), all big endian,
/// and the bytes, at most 64 KiB of them: every chunk of an object but its last has as many. An object lies in one piece, its chunks in order, not always one behind the other; one without bytes has one
/// chunk of length 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LargeObjects {
    pub objects: u64,
    pub raw_bytes: u64,
    /// Of its chunks as stored in pieces, head included, whatever their order ([`crate::checksum`]).
    pub checksum: String,
    pub pieces: Vec<Piece>,
}

/// What a drill found. A backup is a verified one when the last of its drills `passed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verification {
    pub format: u32,
    pub id: BackupId,
    pub started_at: Timestamp,
    pub finished_at: Timestamp,
    pub passed: bool,
    pub program_version: String,
    /// Where it was restored: `server_version` of the scratch server.
    pub server_version: String,
    pub restore_seconds: f64,
    pub rows_compared: u64,
    pub tables_compared: u64,
    pub assertions: Vec<Assertion>,
    /// Why not, a line each; empty when passed.
    pub faults: Vec<String>,
    /// What the backup does not hold, so that no drill can say anything of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assertion {
    pub database: String,
    pub name: String,
    pub passed: bool,
    /// What it answered, when it did not pass.
    pub detail: Option<String>,
}
