//! This module defines the keys of a backup's objects in the bucket. It is pure and makes no requests.
//!
//! ```text
//! <prefix>/<job>/starts/<id>.json             written once, first: the attempt began
//! <prefix>/<job>/data/<id>/globals            roles, memberships, tablespaces (zstd, then age)
//! <prefix>/<job>/data/<id>/<database>-toc     pg_dump's table of contents, verbatim (zstd, then age)
//! <prefix>/<job>/data/<id>/<database>-contents  tables, row counts, checksums, pieces (zstd, then age)
//! <prefix>/<job>/data/<id>/<lane>-<number>    rows: consecutive objects of one worker's stream
//! <prefix>/<job>/manifests/<id>.json          written once, last: committed, or abandoned
//! <prefix>/<job>/verified/<id>/<time>-<random>.json  result of a drill of this backup
//! <lock bucket>/<prefix>/<job>/lease/<epoch>  holder of the right to write and prune
//! ```
//!
//! Starts, manifests and verifications have separate prefixes. The catalogue is therefore read with three listings that do not
//! include data.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Name of an attempt: its start in UTC and eight random hexadecimal digits, `20260131T235959Z-0a1b2c3d`. Names sort by time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BackupId(String);

const TIME_FORMAT: &str = "%Y%m%dT%H%M%SZ";
const TIME_LENGTH: usize = 16;
const RANDOM_DIGITS: usize = 8;

impl BackupId {
    pub fn new(started_at: Timestamp, random: u32) -> Self {
        Self(format!("{}-{random:08x}", started_at.strftime(TIME_FORMAT)))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text that is not a backup's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a backup's name; a valid name is like 20260131T235959Z-0a1b2c3d")]
pub struct NoBackupId(String);

impl FromStr for BackupId {
    type Err = NoBackupId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || NoBackupId(text.to_owned());
        let (time, random) = text.split_once('-').ok_or_else(refused)?;
        let parsed = jiff::civil::DateTime::strptime(TIME_FORMAT, time);
        let hexadecimal = random.len() == RANDOM_DIGITS && random.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if time.len() != TIME_LENGTH || parsed.is_err() || !hexadecimal {
            return Err(refused());
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for BackupId {
    type Error = NoBackupId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<BackupId> for String {
    fn from(id: BackupId) -> Self {
        id.0
    }
}

impl fmt::Display for BackupId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The keys of one job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    root: String,
}

impl Layout {
    /// `prefix` may be empty; slashes at its ends are ignored.
    pub fn new(prefix: &str, job: &str) -> Self {
        let prefix = prefix.trim_matches('/');
        let root = if prefix.is_empty() { job.to_owned() } else { format!("{prefix}/{job}") };
        Self { root }
    }

    pub fn starts(&self) -> String {
        format!("{}/starts/", self.root)
    }

    pub fn start(&self, id: &BackupId) -> String {
        format!("{}/starts/{id}.json", self.root)
    }

    pub fn manifests(&self) -> String {
        format!("{}/manifests/", self.root)
    }

    pub fn manifest(&self, id: &BackupId) -> String {
        format!("{}/manifests/{id}.json", self.root)
    }

    /// Prefix of everything that is useless without a manifest.
    pub fn all_data(&self) -> String {
        format!("{}/data/", self.root)
    }

    pub fn data(&self, id: &BackupId) -> String {
        format!("{}/data/{id}/", self.root)
    }

    pub fn globals(&self, id: &BackupId) -> String {
        format!("{}/data/{id}/globals", self.root)
    }

    /// `database` is the index of the database in the backup, starting at 0, since names may contain any character.
    pub fn toc(&self, id: &BackupId, database: usize) -> String {
        format!("{}/data/{id}/{database:04}-toc", self.root)
    }

    pub fn contents(&self, id: &BackupId, database: usize) -> String {
        format!("{}/data/{id}/{database:04}-contents", self.root)
    }

    /// Key of the `number`th object of a stream. Streams are numbered across all databases of the backup.
    pub fn lane_object(&self, id: &BackupId, lane: u32, number: u32) -> String {
        format!("{}/data/{id}/lane-{lane:04}-{number:05}", self.root)
    }

    /// Whether a key belongs to an object of this stream.
    pub fn is_of_lane(&self, key: &str, id: &BackupId, lane: u32) -> bool {
        key.strip_prefix(&self.root).is_some_and(|rest| rest.starts_with(&format!("/data/{id}/lane-{lane:04}-")))
    }

    pub fn all_verifications(&self) -> String {
        format!("{}/verified/", self.root)
    }

    pub fn verifications(&self, id: &BackupId) -> String {
        format!("{}/verified/{id}/", self.root)
    }

    /// `random` distinguishes drills that end within one second.
    pub fn verification(&self, id: &BackupId, finished_at: Timestamp, random: u32) -> String {
        format!("{}/verified/{id}/{}-{random:08x}.json", self.root, finished_at.strftime(TIME_FORMAT))
    }

    pub fn leases(&self) -> String {
        format!("{}/lease/", self.root)
    }

    pub fn lease(&self, epoch: u64) -> String {
        format!("{}/lease/{epoch:020}", self.root)
    }

    /// The backup of a key below [`Self::starts`], [`Self::manifests`], [`Self::all_data`] or [`Self::all_verifications`]; `None`
    /// for other keys.
    pub fn backup_of(&self, key: &str) -> Option<BackupId> {
        let rest = key.strip_prefix(&self.root)?.strip_prefix('/')?;
        let (kind, rest) = rest.split_once('/')?;
        let name = match kind {
            "starts" | "manifests" => rest.strip_suffix(".json")?,
            "data" | "verified" => rest.split_once('/')?.0,
            _ => return None,
        };
        name.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_name_of_a_backup_is_accepted() {
        let id = BackupId::new("2026-01-31T23:59:59.9Z".parse().unwrap(), 0x0a1b_2c3d);
        assert_eq!(id.as_str(), "20260131T235959Z-0a1b2c3d");
        assert_eq!(id.as_str().parse(), Ok(id));
        for wrong in [
            "",
            "x",
            "20260131T235959Z",
            "20260131T235959Z-",
            "20260131T235959Z-0A1B2C3D",
            "20261331T235959Z-0a1b2c3d",
            "20260131T235959Z-0a1b2c3d/..",
            "../../../lease-0a1b2c3d",
        ] {
            assert!(wrong.parse::<BackupId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_key_contains_its_backup() {
        let layout = Layout::new("/a/b/", "nightly");
        let id = BackupId::new("2026-01-31T23:59:59Z".parse().unwrap(), 7);
        let keys =
            [layout.start(&id), layout.manifest(&id), layout.globals(&id), layout.lane_object(&id, 1, 2), layout.toc(&id, 0)];
        for key in &keys {
            assert!(key.starts_with("a/b/nightly/"), "{key}");
            assert_eq!(layout.backup_of(key).as_ref(), Some(&id), "{key}");
        }
        assert_eq!(layout.backup_of(&layout.lease(1)), None);
        assert_eq!(Layout::new("a", "other").backup_of(&keys[0]), None);
    }
}
