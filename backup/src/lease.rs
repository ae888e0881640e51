//! This module ensures one writer at a time with a lease in the lock bucket. The lease is a series of numbered objects, each
//! written once.
//!
//! The writer of the highest number is the holder. Taking and renewing the lease are the same operation: write the next number on
//! the condition that it does not exist (`If-None-Match`). This works on stores without conditional replacement. A process that
//! slept and finds a higher number has lost the lease. It can still pause between that check and an action, so the actions are
//! conditional too: a manifest's key is written once, either by the attempt or by the run that abandoned it.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    failure::{Exit, Failure, Result, Stage},
    layout::{BackupId, Layout},
    store::{Replace, Store, StoreError},
};

const LARGEST_BYTES: usize = 4096;
/// Number of retries after another writer was faster.
const RACES: usize = 5;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Written {
    /// Unique for each time the lease is taken. A restarted process is another holder.
    holder: String,
    /// For messages.
    host: String,
    until: Timestamp,
    released: bool,
}

/// A lease that this process holds or held.
#[derive(Debug)]
pub struct Lease {
    store: Store,
    layout: Layout,
    holder: String,
    host: String,
    span: Duration,
    epoch: u64,
}

/// State of the lease as read.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LeaseState {
    pub epoch: u64,
    pub host: String,
    pub until: Timestamp,
    pub held: bool,
}

impl Lease {
    /// # Errors
    /// Returns [`Exit::Busy`] while another process holds it.
    pub async fn take(store: &Store, layout: &Layout, holder: &BackupId, host: &str, span: Duration) -> Result<Self> {
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
                    "another run on {} holds the lease until {}; wait for it to end, or for that time if it crashed",
                    standing.host, standing.until
                );
                return Err(Failure::told(Stage::Lease, Exit::Busy, told));
            }
            lease.epoch = epoch;
            if lease.write_next(false).await? {
                return Ok(lease);
            }
        }
        Err(Failure::told(Stage::Lease, Exit::Busy, "other runs took the lease first; run again"))
    }

    /// Number that rises with every run that takes the lease.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Extends the lease, and proves that no other process has taken it in between.
    ///
    /// # Errors
    /// Returns [`Exit::Busy`] if another process has taken it. This process must then not commit or remove anything.
    pub async fn renew(&mut self) -> Result<()> {
        if self.write_next(false).await? { Ok(()) } else { Err(lost()) }
    }

    /// Releases the lease, so that the next run can begin at once.
    pub async fn release(mut self) -> Result<()> {
        self.write_next(true).await.map(drop)
    }

    /// Returns `false` if another writer has that number or a higher one.
    async fn write_next(&mut self, released: bool) -> Result<bool> {
        let failed = |error| Failure::store(Stage::Lease, error);
        let until = Timestamp::now() + self.span;
        let written = Written { holder: self.holder.clone(), host: self.host.clone(), until, released };
        let bytes = serde_json::to_vec(&written).map_err(|error| Failure::new(Stage::Lease, Exit::Failed, error))?;
        let next = self.epoch + 1;
        match self.store.put(&self.layout.lease(next), Bytes::from(bytes), Replace::No).await {
            Ok(()) => {}
            Err(StoreError::Exists { .. }) => {
                // A retry after a lost response finds its own object.
                let (epoch, standing) = highest(&self.store, &self.layout).await?;
                if epoch != next || standing.is_none_or(|standing| standing.holder != self.holder) {
                    return Ok(false);
                }
            }
            Err(error) => return Err(failed(error)),
        }
        // Numbers below the highest are removed. A free number may therefore have been taken and removed already.
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
    /// Removes the versions of leases before `next` from a bucket with versioning: they are useless, and every renewal leaves
    /// two. If the store refuses, they remain, which harms no backup.
    async fn remove_versions(&self, next: u64) {
        let newest = self.layout.lease(next);
        let Ok(versions) = self.store.list_versions(&self.layout.leases()).await else { return };
        let old = versions
            .into_iter()
            .filter(|version| version.key < newest && !version.version.is_empty() && version.version != "null");
        let old: Vec<_> = old.map(|version| (version.key, Some(version.version))).collect();
        match self.store.delete(&old).await {
            Ok(kept) if kept.is_empty() => {}
            Ok(kept) => tracing::info!(
                versions = kept.len(),
                reason = kept[0].1,
                "failed to remove some versions of old leases; they remain"
            ),
            Err(error) => tracing::info!(error = %error, "failed to remove versions of old leases; they remain"),
        }
    }
}

/// State of the lease; `None` if it was never taken.
///
/// # Errors
/// Returns an error if the store cannot be read.
pub async fn look(store: &Store, layout: &Layout) -> Result<Option<LeaseState>> {
    let (epoch, standing) = highest(store, layout).await?;
    Ok(standing.map(|standing| LeaseState {
        epoch,
        held: !standing.released && standing.until > Timestamp::now(),
        host: standing.host,
        until: standing.until,
    }))
}

async fn highest(store: &Store, layout: &Layout) -> Result<(u64, Option<Written>)> {
    let failed = |error| Failure::store(Stage::Lease, error);
    for _ in 0..RACES {
        let keys = store.list(&layout.leases()).await.map_err(failed)?;
        let Some(last) = keys.last() else { return Ok((0, None)) };
        let epoch = last.key.rsplit('/').next().and_then(|number| number.parse().ok()).unwrap_or(0);
        match store.get(&last.key, LARGEST_BYTES).await {
            // An unreadable object is not a valid lease.
            Ok(bytes) => return Ok((epoch, serde_json::from_slice(&bytes).ok())),
            Err(StoreError::NotFound { .. }) => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Err(Failure::told(Stage::Lease, Exit::Busy, "the lease changes faster than it can be read; run again"))
}

fn lost() -> Failure {
    let told = "another run has taken the lease: this run was stopped for too long (suspended machine, unreachable store); \
                its backup was not committed";
    Failure::told(Stage::Lease, Exit::Busy, told)
}
