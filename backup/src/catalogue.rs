//! What is in the bucket: attempts, backups, verifications, read with three listings and the records themselves. Every record
//! that is believed was signed by a trusted key; the others are told, never silently left out.
//!
//! Never: a deletion, or an opinion on what may go (that is [`crate::retention`]'s).

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use futures::{StreamExt, stream};
use serde::Serialize;

use crate::{
    failure::{Exit, Failure, Outcome, Stage},
    layout::{BackupId, Layout},
    manifest::{
        self, Manifest, Start, Verification,
        sign::{Kind, LARGEST_RECORD_BYTES, RecordFault, Trusted},
    },
    store::{Store, StoreError},
};

/// Records read at the same time.
const READ_AT_ONCE: usize = 16;

/// One attempt and what became of it.
#[derive(Debug, Clone, Default)]
pub struct Attempt {
    pub start: Option<Start>,
    pub outcome: Option<manifest::Outcome>,
    /// Oldest first.
    pub verifications: Vec<Verification>,
}

impl Attempt {
    /// The backup, when there is one.
    pub fn manifest(&self) -> Option<&Manifest> {
        match &self.outcome {
            Some(manifest::Outcome::Committed(manifest)) => Some(manifest),
            _ => None,
        }
    }

    /// Its number; `None` when no record that is left says it.
    pub fn sequence(&self) -> Option<u64> {
        let started = self.start.as_ref().map(|start| start.sequence);
        started.or_else(|| match self.outcome.as_ref()? {
            manifest::Outcome::Committed(manifest) => Some(manifest.sequence),
            manifest::Outcome::Abandoned(abandoned) => abandoned.sequence,
        })
    }

    /// Neither committed nor given up: it runs, or it vanished.
    pub fn is_open(&self) -> bool {
        self.outcome.is_none()
    }

    /// The last drill, when it passed: what failed since is no longer known to be good.
    pub fn verified(&self) -> Option<&Verification> {
        self.verifications.last().filter(|verification| verification.passed)
    }
}

/// A record that is not believed.
#[derive(Debug, Clone)]
pub struct Doubtful {
    pub kind: Kind,
    pub key: String,
    pub id: Option<BackupId>,
    pub fault: RecordFault,
}

/// An attempt that is newer than the backup that is taken for the newest, and why it is not that one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PassedOver {
    /// The backup that is taken.
    pub taken: BackupId,
    /// The newest of the attempts that were passed over, and its record.
    pub newer: BackupId,
    pub record: String,
    pub fault: String,
    pub remedy: &'static str,
    /// How many were, this one included.
    pub attempts: usize,
}

impl fmt::Display for PassedOver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { taken, newer, record, fault, remedy, attempts } = self;
        let among = if *attempts > 1 { format!(", the newest of {attempts}") } else { String::new() };
        write!(formatter, "{taken} is taken, and {newer} is newer{among}: the record {record} is not believed, since {fault}; ")?;
        write!(formatter, "{remedy}; to take {taken} all the same, name it")
    }
}

/// Everything of one job.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    pub attempts: BTreeMap<BackupId, Attempt>,
    pub doubtful: Vec<Doubtful>,
}

impl Catalogue {
    /// # Errors
    /// When the store cannot be read; not for a record that is not believed.
    pub async fn read(store: &Store, layout: &Layout, trusted: &Trusted) -> Outcome<Self> {
        let failed = |error| Failure::store(Stage::Catalogue, error);
        let (starts, manifests, verified) = (layout.starts(), layout.manifests(), layout.all_verifications());
        let (starts, manifests, verified) =
            futures::try_join!(store.list(&starts), store.list(&manifests), store.list(&verified)).map_err(failed)?;
        let keys = starts.into_iter().map(|object| (Kind::Start, object.key));
        let keys = keys.chain(manifests.into_iter().map(|object| (Kind::Outcome, object.key)));
        let keys = keys.chain(verified.into_iter().map(|object| (Kind::Verification, object.key)));
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

    fn add(&mut self, layout: &Layout, trusted: &Trusted, kind: Kind, key: String, bytes: &[u8]) {
        let Some(id) = layout.backup_of(&key) else {
            let fault = RecordFault::Malformed("its key names no backup".into());
            return self.doubtful.push(Doubtful { kind, key, id: None, fault });
        };
        let added = match kind {
            Kind::Start => trusted.open::<Start>(kind, bytes).and_then(|start| {
                belongs(&start.id, &id)?;
                self.attempts.entry(id.clone()).or_default().start = Some(start);
                Ok(())
            }),
            Kind::Outcome => trusted.open::<manifest::Outcome>(kind, bytes).and_then(|outcome| {
                let named = match &outcome {
                    manifest::Outcome::Committed(manifest) => &manifest.id,
                    manifest::Outcome::Abandoned(abandoned) => &abandoned.id,
                };
                belongs(named, &id)?;
                self.attempts.entry(id.clone()).or_default().outcome = Some(outcome);
                Ok(())
            }),
            Kind::Verification => trusted.open::<Verification>(kind, bytes).and_then(|verification| {
                belongs(&verification.id, &id)?;
                self.attempts.entry(id.clone()).or_default().verifications.push(verification);
                Ok(())
            }),
        };
        if let Err(fault) = added {
            self.doubtful.push(Doubtful { kind, key, id: Some(id), fault });
        }
    }

    /// Attempts, oldest first: by their numbers, since the clock that their names come from may have been set back, and two
    /// may begin within one of its seconds.
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

    /// The newest that holds every database that it should.
    pub fn newest_complete(&self) -> Option<(&Manifest, &Attempt)> {
        self.backups().rfind(|(manifest, _)| manifest.is_complete())
    }

    pub fn newest_verified(&self) -> Option<(&Manifest, &Attempt)> {
        self.backups().rfind(|(manifest, attempt)| manifest.is_complete() && attempt.verified().is_some())
    }

    /// The backup of this name, or the newest of all.
    ///
    /// # Errors
    /// When there is none, or its manifest is not believed.
    pub fn find(&self, id: Option<&BackupId>) -> Outcome<(&Manifest, &Attempt)> {
        let Some(id) = id else {
            return self.newest().ok_or_else(|| match self.doubtful.first() {
                // There is something, and it is not believed: another key, most likely.
                Some(doubtful) => not_believed(doubtful),
                None => Failure::told(
                    Stage::Catalogue,
                    Exit::NoBackup,
                    "there is no backup of this name and prefix yet; take one with `backup run`, or correct BACKUP_NAME and BACKUP_STORE_PREFIX",
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
                Some(attempt) if attempt.is_open() => format!("{id} has not committed: it runs, or it failed"),
                Some(_) => format!("{id} failed and was given up"),
                None => format!("there is no backup {id}; `backup list` shows those that there are"),
            };
            Failure::told(Stage::Catalogue, Exit::NoBackup, told)
        })
    }

    /// What makes `taken` the newest, or with `verified` the newest verified one, only because a record is not believed.
    pub fn passed_over(&self, taken: &Manifest, verified: bool) -> Option<PassedOver> {
        let newer = |id: &BackupId| match self.attempts.get(id).and_then(Attempt::sequence) {
            Some(number) => number > taken.sequence,
            // Nothing that is believed says its number: its name says when it began.
            None => *id > taken.id,
        };
        // A drill's record makes no backup, and makes one a verified one.
        let counts = |doubtful: &&Doubtful| doubtful.kind == Kind::Outcome || verified && doubtful.kind == Kind::Verification;
        let doubtful = self.doubtful.iter().filter(counts).filter_map(|doubtful| Some((doubtful.id.as_ref()?, doubtful)));
        let newer: BTreeMap<_, _> = doubtful.filter(|(id, _)| newer(id)).collect();
        let (id, doubtful) = newer.last_key_value()?;
        Some(PassedOver {
            taken: taken.id.clone(),
            newer: (*id).clone(),
            record: doubtful.key.clone(),
            fault: doubtful.fault.to_string(),
            remedy: match doubtful.fault {
                RecordFault::UnknownKey(_) => {
                    "when that key is yours, add its public key (`backup check` on the machine that takes the backups prints it)"
                }
                RecordFault::Newer { .. } => "a newer release of this program reads it",
                RecordFault::Malformed(_) | RecordFault::Forged => "find out who or what changed it",
            },
            attempts: newer.len(),
        })
    }

    /// One more than the highest number that an attempt has.
    pub fn next_sequence(&self) -> u64 {
        self.attempts.values().filter_map(Attempt::sequence).max().unwrap_or(0) + 1
    }

    /// Numbers that no record has although a higher one does: records that somebody removed. Retention removes from the
    /// middle too, but never one of the `kept` newest backups, nor an attempt that is newer than the oldest of those.
    pub fn gaps(&self, kept: u32) -> Vec<u64> {
        let numbers: BTreeSet<u64> = self.attempts.values().filter_map(Attempt::sequence).collect();
        let newest = self.backups().rev().take(kept as usize);
        let first = newest.last().map_or_else(|| numbers.first().copied(), |(manifest, _)| Some(manifest.sequence));
        let (Some(first), Some(last)) = (first, numbers.last()) else { return Vec::new() };
        (first..*last).filter(|number| !numbers.contains(number)).collect()
    }
}

/// A record of one backup at the key of another is a replay.
fn belongs(named: &BackupId, key: &BackupId) -> Result<(), RecordFault> {
    if named == key { Ok(()) } else { Err(RecordFault::Forged) }
}

pub(crate) fn not_believed(doubtful: &Doubtful) -> Failure {
    let failure = Failure::new(Stage::Catalogue, Exit::Damaged, doubtful.fault.clone());
    failure.context(format!("the record {} is not believed", doubtful.key))
}
