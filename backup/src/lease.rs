//! One writer at a time: a lease in the lock bucket, as a row of numbered objects that are each written once.
//!
//! The holder is who wrote the highest number. Taking the lease and keeping it are the same act: writing the next number on
//! the condition that it is not there (`If-None-Match`), which stores can do that cannot replace conditionally. Whoever
//! slept and finds a higher number has lost it. A pause between that look and an act remains, so the acts themselves are
//! conditional too: a manifest's key is written once, by the attempt or by who gave it up.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    failure::{Exit, Failure, Outcome, Stage},
    layout::{BackupId, Layout},
    store::{Replace, Store, StoreError},
};

const LARGEST_BYTES: usize = 4096;
/// How often one that another writer was faster with is tried again.
const RACES: usize = 5;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Written {
    /// Unique for each taking: a process that was restarted is another holder.
    holder: String,
    /// For people.
    host: String,
    until: Timestamp,
    released: bool,
}

/// A lease that we hold, or held.
#[derive(Debug)]
pub struct Lease {
    store: Store,
    layout: Layout,
    holder: String,
    host: String,
    span: Duration,
    epoch: u64,
}

/// What a look at the lease shows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LeaseState {
    pub epoch: u64,
    pub host: String,
    pub until: Timestamp,
    pub held: bool,
}

impl Lease {
    /// # Errors
    /// [`Exit::Busy`] while another holds it.
    pub async fn take(store: &Store, layout: &Layout, holder: &BackupId, host: &str, span: Duration) -> Outcome<Self> {
        let mut lease = Self {
            store: store.clone(),
            layout: layout.clone(),
            holder: format!("{holder}/{:08x}", rand::random::<u32>()),
            host: host.to_owned(),
            span,
            epoch: 0,
        };
        for _ in 0..RACES {
            let (epoch, standing) = highest(store, layout).await?;
            if let Some(standing) = standing.filter(|standing| !standing.released && standing.until > Timestamp::now()) {
                let told = format!(
                    "another run on {} holds the lease until {}; wait for it to end, or, if it is gone, for that time",
                    standing.host, standing.until
                );
                return Err(Failure::told(Stage::Lease, Exit::Busy, told));
            }
            lease.epoch = epoch;
            if lease.write_next(false).await? {
                return Ok(lease);
            }
        }
        Err(Failure::told(Stage::Lease, Exit::Busy, "other runs were faster to take the lease; run again"))
    }

    /// Number of the taking: rises with every run.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Holds it for another span, and proves that nobody has taken it in between.
    ///
    /// # Errors
    /// [`Exit::Busy`] when somebody has: then nothing may be committed or removed any more.
    pub async fn renew(&mut self) -> Outcome<()> {
        if self.write_next(false).await? { Ok(()) } else { Err(lost()) }
    }

    /// Lets the next run begin at once.
    pub async fn release(mut self) -> Outcome<()> {
        self.write_next(true).await.map(drop)
    }

    /// `false` when another writer has that number, or a higher one.
    async fn write_next(&mut self, released: bool) -> Outcome<bool> {
        let failed = |error| Failure::store(Stage::Lease, error);
        let until = Timestamp::now() + self.span;
        let written = Written { holder: self.holder.clone(), host: self.host.clone(), until, released };
        let bytes = serde_json::to_vec(&written).map_err(|error| Failure::new(Stage::Lease, Exit::Failed, error))?;
        let next = self.epoch + 1;
        match self.store.put(&self.layout.lease(next), Bytes::from(bytes), Replace::No).await {
            Ok(()) => {}
            Err(StoreError::Exists { .. }) => {
                // A retry of a request whose answer was lost meets its own object.
                let (epoch, standing) = highest(&self.store, &self.layout).await?;
                if epoch != next || standing.is_none_or(|standing| standing.holder != self.holder) {
                    return Ok(false);
                }
            }
            Err(error) => return Err(failed(error)),
        }
        // Numbers below the highest are removed, so that one that was free may have been taken and removed already.
        let keys = self.store.list(&self.layout.leases()).await.map_err(failed)?;
        if keys.last().is_some_and(|highest| highest.key > self.layout.lease(next)) {
            return Ok(false);
        }
        self.epoch = next;
        let older: Vec<_> =
            keys.into_iter().map(|object| (object.key, None)).filter(|(key, _)| *key < self.layout.lease(next)).collect();
        self.store.delete(&older).await.map_err(failed)?;
        if released {
            self.remove_versions(next).await;
        }
        Ok(true)
    }
}

impl Lease {
    /// What a bucket with versions keeps of leases before `next`: nobody reads it, and every renewal leaves two. Where the store
    /// does not let us, it stays, which harms no backup.
    async fn remove_versions(&self, next: u64) {
        let newest = self.layout.lease(next);
        let Ok(versions) = self.store.list_versions(&self.layout.leases()).await else { return };
        let old = versions
            .into_iter()
            .filter(|version| version.key < newest && !version.version.is_empty() && version.version != "null");
        let old: Vec<_> = old.map(|version| (version.key, Some(version.version))).collect();
        match self.store.delete(&old).await {
            Ok(kept) if kept.is_empty() => {}
            Ok(kept) => tracing::info!(versions = kept.len(), reason = kept[0].1, "versions of old leases stay"),
            Err(error) => tracing::info!(error = %error, "versions of old leases stay"),
        }
    }
}

/// Who holds it; `None` when nobody ever did.
///
/// # Errors
/// When the store cannot be read.
pub async fn look(store: &Store, layout: &Layout) -> Outcome<Option<LeaseState>> {
    let (epoch, standing) = highest(store, layout).await?;
    Ok(standing.map(|standing| LeaseState {
        epoch,
        held: !standing.released && standing.until > Timestamp::now(),
        host: standing.host,
        until: standing.until,
    }))
}

async fn highest(store: &Store, layout: &Layout) -> Outcome<(u64, Option<Written>)> {
    let failed = |error| Failure::store(Stage::Lease, error);
    for _ in 0..RACES {
        let keys = store.list(&layout.leases()).await.map_err(failed)?;
        let Some(last) = keys.last() else { return Ok((0, None)) };
        let epoch = last.key.rsplit('/').next().and_then(|number| number.parse().ok()).unwrap_or(0);
        match store.get(&last.key, LARGEST_BYTES).await {
            // What is not ours to read is nobody's lease.
            Ok(bytes) => return Ok((epoch, serde_json::from_slice(&bytes).ok())),
            Err(StoreError::NotFound { .. }) => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Err(Failure::told(Stage::Lease, Exit::Busy, "the lease changes hands faster than it can be read; run again"))
}

fn lost() -> Failure {
    let told = "another run has taken the lease: this one was stopped for too long (a suspended machine, a store out of reach); \
                its backup was not committed";
    Failure::told(Stage::Lease, Exit::Busy, told)
}
