//! This module reads the attempts, backups and verifications of a job from the bucket, with three listings and the records
//! themselves. It trusts a record only if a trusted key signed it, and reports every other record.
//!
//! It must not delete anything, or decide which backups may be deleted: [`crate::retention`] does.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use futures::{StreamExt, stream};
use serde::Serialize;

use crate::{
    failure::{Exit, Failure, Result, Stage},
    layout::{BackupId, Layout},
    manifest::{
        self, Manifest, Start, Verification,
        sign::{LARGEST_RECORD_BYTES, RecordError, SignedKind, Trusted},
    },
    store::{Store, StoreError},
};

/// Number of records read concurrently.
const READ_AT_ONCE: usize = 16;

/// One attempt and its result.
#[derive(Debug, Clone, Default)]
pub struct Attempt {
    pub start: Option<Start>,
    pub outcome: Option<manifest::AttemptEnd>,
    /// Oldest first.
    pub verifications: Vec<Verification>,
}

impl Attempt {
    /// The backup, if the attempt committed.
    pub fn manifest(&self) -> Option<&Manifest> {
        match &self.outcome {
            Some(manifest::AttemptEnd::Committed(manifest)) => Some(manifest),
            _ => None,
        }
    }

    /// The attempt's number; `None` if no remaining record states it.
    pub fn sequence(&self) -> Option<u64> {
        let started = self.start.as_ref().map(|start| start.sequence);
        started.or_else(|| match self.outcome.as_ref()? {
            manifest::AttemptEnd::Committed(manifest) => Some(manifest.sequence),
            manifest::AttemptEnd::Abandoned(abandoned) => abandoned.sequence,
        })
    }

    /// Whether the attempt is neither committed nor abandoned: it runs, or its process vanished.
    pub fn is_open(&self) -> bool {
        self.outcome.is_none()
    }

    /// The last drill, if it passed. A backup whose last drill failed is no longer verified.
    pub fn verified(&self) -> Option<&Verification> {
        self.verifications.last().filter(|verification| verification.passed)
    }
}

/// A record that is not trusted.
#[derive(Debug, Clone)]
pub struct Doubtful {
    pub kind: SignedKind,
    pub key: String,
    pub id: Option<BackupId>,
    pub fault: RecordError,
}

/// An attempt newer than the backup selected as the newest, and the reason for passing it over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PassedOver {
    /// The selected backup.
    pub taken: BackupId,
    /// The newest attempt that was passed over, and its record.
    pub newer: BackupId,
    pub record: String,
    pub fault: String,
    pub remedy: &'static str,
    /// Number of attempts passed over, including this one.
    pub attempts: usize,
}

impl fmt::Display for PassedOver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { taken, newer, record, fault, remedy, attempts } = self;
        let among = if *attempts > 1 { format!(", the newest of {attempts}") } else { String::new() };
        write!(formatter, "{taken} is used although {newer} is newer{among}: the record {record} is not trusted: {fault}; ")?;
        write!(formatter, "{remedy}; to take {taken} all the same, name it")
    }
}

/// All records of one job.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    pub attempts: BTreeMap<BackupId, Attempt>,
    pub doubtful: Vec<Doubtful>,
}

impl Catalogue {
    /// # Errors
    /// Returns an error if the store cannot be read. A record that is not trusted is not an error.
    pub async fn read(store: &Store, layout: &Layout, trusted: &Trusted) -> Result<Self> {
        let failed = |error| Failure::store(Stage::Catalogue, error);
        let (starts, manifests, verified) = (layout.starts(), layout.manifests(), layout.all_verifications());
        let (starts, manifests, verified) =
            futures::try_join!(store.list(&starts), store.list(&manifests), store.list(&verified)).map_err(failed)?;
        let keys = starts.into_iter().map(|object| (SignedKind::Start, object.key));
        let keys = keys.chain(manifests.into_iter().map(|object| (SignedKind::Outcome, object.key)));
        let keys = keys.chain(verified.into_iter().map(|object| (SignedKind::Verification, object.key)));
        let mut records = stream::iter(keys)
            .map(|(kind, key)| async move {
                let bytes = store.get(&key, LARGEST_RECORD_BYTES).await;
                (kind, key, bytes)
            })
            .buffer_unordered(READ_AT_ONCE);
        let mut catalogue = Self::default();
        while let Some((kind, key, bytes)) = records.next().await {
            match bytes {
                Ok(bytes) => catalogue.add(layout, trusted, kind, key, &bytes),
                // Retention removed it between listing and reading.
                Err(StoreError::NotFound { .. }) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        for attempt in catalogue.attempts.values_mut() {
            attempt.verifications.sort_by_key(|verification| verification.finished_at);
        }
        Ok(catalogue)
    }

    fn add(&mut self, layout: &Layout, trusted: &Trusted, kind: SignedKind, key: String, bytes: &[u8]) {
        let Some(id) = layout.backup_of(&key) else {
            let fault = RecordError::Malformed("its key does not contain the name of a backup".into());
            return self.doubtful.push(Doubtful { kind, key, id: None, fault });
        };
        let added = match kind {
            SignedKind::Start => trusted.open::<Start>(kind, bytes).and_then(|start| {
                belongs(&start.id, &id)?;
                self.attempts.entry(id.clone()).or_default().start = Some(start);
                Ok(())
            }),
            SignedKind::Outcome => trusted.open::<manifest::AttemptEnd>(kind, bytes).and_then(|outcome| {
                let named = match &outcome {
                    manifest::AttemptEnd::Committed(manifest) => &manifest.id,
                    manifest::AttemptEnd::Abandoned(abandoned) => &abandoned.id,
                };
                belongs(named, &id)?;
                self.attempts.entry(id.clone()).or_default().outcome = Some(outcome);
                Ok(())
            }),
            SignedKind::Verification => trusted.open::<Verification>(kind, bytes).and_then(|verification| {
                belongs(&verification.id, &id)?;
                self.attempts.entry(id.clone()).or_default().verifications.push(verification);
                Ok(())
            }),
        };
        if let Err(fault) = added {
            self.doubtful.push(Doubtful { kind, key, id: Some(id), fault });
        }
    }

    /// Attempts, oldest first, by their numbers. Their names contain a time, but the clock may have been set back, and two
    /// attempts can begin within one second.
    pub fn in_order(&self) -> impl DoubleEndedIterator<Item = (&BackupId, &Attempt)> {
        let mut attempts: Vec<_> = self.attempts.iter().collect();
        attempts.sort_by_key(|(id, attempt)| (attempt.sequence(), *id));
        attempts.into_iter()
    }

    /// Backups, oldest first.
    pub fn backups(&self) -> impl DoubleEndedIterator<Item = (&Manifest, &Attempt)> {
        self.in_order().filter_map(|(_, attempt)| Some((attempt.manifest()?, attempt)))
    }

    pub fn newest(&self) -> Option<(&Manifest, &Attempt)> {
        self.backups().next_back()
    }

    /// The newest backup that contains every expected database.
    pub fn newest_complete(&self) -> Option<(&Manifest, &Attempt)> {
        self.backups().rfind(|(manifest, _)| manifest.is_complete())
    }

    pub fn newest_verified(&self) -> Option<(&Manifest, &Attempt)> {
        self.backups().rfind(|(manifest, attempt)| manifest.is_complete() && attempt.verified().is_some())
    }

    /// The backup with this name, or the newest one.
    ///
    /// # Errors
    /// Returns an error if it does not exist, or if its manifest is not trusted.
    pub fn find(&self, id: Option<&BackupId>) -> Result<(&Manifest, &Attempt)> {
        let Some(id) = id else {
            return self.newest().ok_or_else(|| match self.doubtful.first() {
                // A backup exists but is not trusted, most likely because another key signed it.
                Some(doubtful) => not_believed(doubtful),
                None => Failure::told(
                    Stage::Catalogue,
                    Exit::NoBackup,
                    "no backup exists with this name and prefix; take one with `backup run`, or correct BACKUP_NAME and BACKUP_STORE_PREFIX",
                ),
            });
        };
        if let Some(doubt) = self.doubtful.iter().find(|doubtful| doubtful.id.as_ref() == Some(id)) {
            return Err(not_believed(doubt));
        }
        let attempt = self.attempts.get(id);
        let found = attempt.and_then(|attempt| Some((attempt.manifest()?, attempt)));
        found.ok_or_else(|| {
            let told = match attempt {
                Some(attempt) if attempt.is_open() => format!("{id} has not committed: it is running, or it failed"),
                Some(_) => format!("{id} failed and was abandoned"),
                None => format!("backup {id} does not exist; list the backups with `backup list`"),
            };
            Failure::told(Stage::Catalogue, Exit::NoBackup, told)
        })
    }

    /// The reason if `taken` is the newest backup, or with `verified` the newest verified one, only because a record is not
    /// trusted.
    pub fn passed_over(&self, taken: &Manifest, verified: bool) -> Option<PassedOver> {
        let newer = |id: &BackupId| match self.attempts.get(id).and_then(Attempt::sequence) {
            Some(number) => number > taken.sequence,
            // No trusted record states its number. Its name contains its start time.
            None => *id > taken.id,
        };
        // A drill's record does not make a backup, but it can make a backup verified.
        let counts =
            |doubtful: &&Doubtful| doubtful.kind == SignedKind::Outcome || verified && doubtful.kind == SignedKind::Verification;
        let doubtful = self.doubtful.iter().filter(counts).filter_map(|doubtful| Some((doubtful.id.as_ref()?, doubtful)));
        let newer: BTreeMap<_, _> = doubtful.filter(|(id, _)| newer(id)).collect();
        let (id, doubtful) = newer.last_key_value()?;
        Some(PassedOver {
            taken: taken.id.clone(),
            newer: (*id).clone(),
            record: doubtful.key.clone(),
            fault: doubtful.fault.to_string(),
            remedy: match doubtful.fault {
                RecordError::UnknownKey(_) => {
                    "if that key is yours, add its public key (`backup check` prints it on the machine that takes the backups)"
                }
                RecordError::Newer { .. } => "a newer release of this program reads it",
                RecordError::Malformed(_) | RecordError::Forged => "find out what changed it",
            },
            attempts: newer.len(),
        })
    }

    /// The highest number of an attempt, plus one.
    pub fn next_sequence(&self) -> u64 {
        self.attempts.values().filter_map(Attempt::sequence).max().unwrap_or(0) + 1
    }

    /// Missing numbers below the highest one: their records were removed by someone else. Retention also removes from the middle,
    /// but never one of the `kept` newest backups, nor an attempt newer than the oldest of those. If later attempts recorded a
    /// smaller number, it counts: retention may have removed the backup before the setting was raised.
    pub fn gaps(&self, kept: u32) -> Vec<u64> {
        let numbers: BTreeSet<u64> = self.attempts.values().filter_map(Attempt::sequence).collect();
        let newest = self.backups().rev().take(kept as usize);
        let first = newest.last().map_or_else(|| numbers.first().copied(), |(manifest, _)| Some(manifest.sequence));
        let (Some(first), Some(last)) = (first, numbers.last()) else { return Vec::new() };
        let mut newer: Vec<(u64, &Attempt)> =
            self.attempts.values().filter_map(|attempt| Some((attempt.sequence()?, attempt))).collect();
        newer.sort_unstable_by_key(|(number, _)| std::cmp::Reverse(*number));
        let (mut newer, mut backups, mut kept) = (newer.into_iter().peekable(), 0, kept);
        let mut gaps = Vec::new();
        for missing in (first..*last).rev().filter(|number| !numbers.contains(number)) {
            while let Some((_, attempt)) = newer.next_if(|(number, _)| *number > missing) {
                backups += u32::from(attempt.manifest().is_some());
                kept = attempt.start.as_ref().and_then(|start| start.keep_newest).map_or(kept, |recorded| recorded.min(kept));
            }
            if backups < kept {
                gaps.push(missing);
            }
        }
        gaps.reverse();
        gaps
    }
}

/// Detects a replay: a record of one backup at the key of another.
fn belongs(named: &BackupId, key: &BackupId) -> Result<(), RecordError> {
    if named == key { Ok(()) } else { Err(RecordError::Forged) }
}

pub(crate) fn not_believed(doubtful: &Doubtful) -> Failure {
    let failure = Failure::new(Stage::Catalogue, Exit::Damaged, doubtful.fault.clone());
    failure.context(format!("the record {} is not trusted", doubtful.key))
}
