//! This module ships the leader's confirmed batches to object storage, so that the loss of the whole database costs seconds.
//!
//! - The leader ships, because it alone has the batches in memory: it can ship what it acknowledged after its database is gone.
//! - One object a second while there is something to ship. A longer backlog leaves at once, in objects of bounded size.
//! - Ticks of an idle exchange wait for the next other event. The worker ships them together with a snapshot.
//! - It must not delay an answer: it reads the leader's broadcast, and fills gaps from the journal.

mod buffer;

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use anyhow::Context;
use sqlx::PgPool;
use tokio::{
    sync::{broadcast, watch},
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};

use super::{push::Push, shared::Shared};
use crate::{
    db::{archives, head},
    media::Media,
    metrics::ShipMetrics,
    shipped::{self, ListedObject, OBJECT_BYTES},
    survey::{ShippedThrough, record_fork, shipped_through},
};
use buffer::Buffer;

/// Between the starts of two objects.
const EVERY: Duration = Duration::from_secs(1);
/// Pause after a failure.
const RETRY: Duration = Duration::from_secs(1);
/// Time limit for one object, and for one read of the journal.
const DEADLINE: Duration = Duration::from_secs(10);
/// Between refreshes of the lag.
const REFRESH: Duration = Duration::from_millis(250);

/// The parts of the task.
pub(super) struct ShipParts {
    pub pool: PgPool,
    pub media: Media,
    pub metrics: ShipMetrics,
}

/// Ships while the engine has an owner and this replica leads. What a deposed leader has in memory is still shipped.
pub(super) async fn run(shared: Weak<Shared>, parts: ShipParts) {
    let Some((mut leads, mut pushes)) = shared.upgrade().map(|shared| (shared.leads.subscribe(), shared.pushes.subscribe()))
    else {
        return;
    };
    loop {
        // Fails when the engine is dropped.
        if leads.wait_for(|leads| *leads).await.is_err() {
            return;
        }
        // Batches of an earlier term: the journal has them.
        pushes = pushes.resubscribe();
        let Some(through) = begin(&shared, &parts, &leads).await else { continue };
        let mut term = Term { parts: &parts, buffer: Buffer::new(through), running: None, begun: None, failing: false };
        if term.run(&mut leads, &mut pushes).await.is_err() {
            return;
        }
        parts.metrics.lag_events.set(0);
        parts.metrics.lag_seconds.set(0.0);
    }
}

/// The position at which shipping continues. `None`: this replica does not lead any more.
async fn begin(shared: &Weak<Shared>, parts: &ShipParts, leads: &watch::Receiver<bool>) -> Option<ShippedThrough> {
    let (since, mut told) = (Instant::now(), String::new());
    while *leads.borrow() {
        match locate(shared, parts).await {
            Ok(through) => {
                tracing::info!(sequence = through.sequence, generation = through.generation, "shipping the journal");
                parts.metrics.sequence.set(through.sequence);
                return Some(through);
            }
            Err(error) => {
                let error = format!("{error:#}");
                parts.metrics.failures.inc();
                parts.metrics.lag_seconds.set(since.elapsed().as_secs_f64());
                if told != error {
                    tracing::warn!(error, "failed to find the end of the shipped journal; retrying");
                    told = error;
                }
                sleep(RETRY).await;
            }
        }
    }
    parts.metrics.lag_seconds.set(0.0);
    None
}

async fn locate(shared: &Weak<Shared>, parts: &ShipParts) -> anyhow::Result<ShippedThrough> {
    // The bucket may prove that this database lost events: its history must not mix with the one in the bucket.
    let unchecked = shared.upgrade().is_none_or(|shared| shared.unchecked_since.lock().is_some());
    anyhow::ensure!(!unchecked, "the bucket has not been checked since the start");
    let mut connection = parts.pool.acquire().await?;
    let through = shipped_through(&parts.media, &mut connection).await?;
    record_fork(&parts.media, &mut connection, through.generation).await?;
    Ok(through)
}

/// The engine was dropped.
struct Dropped;

type RunningShipment = JoinHandle<anyhow::Result<ListedObject>>;

struct Term<'a> {
    parts: &'a ShipParts,
    buffer: Buffer,
    running: Option<RunningShipment>,
    /// When the last object was begun.
    begun: Option<Instant>,
    failing: bool,
}

impl Term<'_> {
    /// Until this replica does not lead and its memory is shipped.
    async fn run(
        &mut self,
        leads: &mut watch::Receiver<bool>,
        pushes: &mut broadcast::Receiver<Arc<Push>>,
    ) -> Result<(), Dropped> {
        let mut refresh = interval(REFRESH);
        refresh.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut deposed = false;
        loop {
            let leading = *leads.borrow_and_update();
            // A new term may continue another history: it starts again from the bucket and the journal.
            if (leading && deposed) || (!leading && self.running.is_none() && !self.buffer.is_due()) {
                return Ok(());
            }
            deposed |= !leading;
            if leading && self.buffer.has_gap() {
                self.fill().await;
            }
            self.start();
            tokio::select! {
                biased;
                done = ended(&mut self.running) => self.ended(done),
                received = pushes.recv() => match received {
                    Ok(push) => self.buffer.push(push),
                    Err(broadcast::error::RecvError::Lagged(_)) => self.buffer.missed(),
                    Err(broadcast::error::RecvError::Closed) => return Err(Dropped),
                },
                changed = leads.changed() => changed.map_err(|_| Dropped)?,
                _ = refresh.tick() => self.report(),
            }
        }
    }

    /// Begins the next object if it is due.
    fn start(&mut self) {
        let waits = self.begun.is_some_and(|begun| begun.elapsed() < EVERY) && !self.buffer.is_full();
        if self.running.is_some() || !self.buffer.is_due() || (waits && !self.failing) {
            return;
        }
        if self.failing && self.begun.is_some_and(|begun| begun.elapsed() < RETRY) {
            return;
        }
        self.begun = Some(Instant::now());
        let (media, run, put) = (self.parts.media.clone(), self.buffer.run(), self.parts.metrics.put.clone());
        self.running = Some(tokio::spawn(async move {
            let begun = Instant::now();
            let written = timeout(DEADLINE, shipped::write_shipped(&media, run)).await;
            put.observe(begun.elapsed().as_secs_f64());
            written.with_context(|| format!("the store did not answer within {} s", DEADLINE.as_secs()))?
        }));
    }

    fn ended(&mut self, done: anyhow::Result<ListedObject>) {
        let metrics = &self.parts.metrics;
        match done {
            Ok(ListedObject { name, size_bytes }) => {
                self.buffer.shipped(name.last_sequence, name.chain);
                metrics.objects.inc();
                metrics.bytes.inc_by(size_bytes);
                metrics.sequence.set(name.last_sequence);
                if std::mem::take(&mut self.failing) {
                    tracing::info!(sequence = name.last_sequence, "the journal is shipped again");
                }
            }
            Err(error) => {
                metrics.failures.inc();
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::warn!(error = format!("{error:#}"), "failed to ship the journal; retrying");
                }
            }
        }
        self.report();
    }

    fn report(&self) {
        let (events, seconds) = self.buffer.lag();
        self.parts.metrics.lag_events.set(events);
        self.parts.metrics.lag_seconds.set(seconds);
    }

    /// Reads batches that were not received from the journal.
    async fn fill(&mut self) {
        let read = async {
            let mut connection = self.parts.pool.acquire().await?;
            let confirmed = head::confirmed(&mut connection).await?;
            let (after, bytes) = (self.buffer.next() - 1, OBJECT_BYTES as i64);
            Ok::<_, sqlx::Error>((confirmed, archives::page(&mut connection, after, confirmed + 1, bytes).await?))
        };
        match timeout(DEADLINE, read).await {
            Ok(Ok((confirmed, batches))) => self.buffer.fill(confirmed, batches),
            Ok(Err(error)) => {
                tracing::debug!(%error, "failed to read batches that must be shipped; retrying");
                sleep(REFRESH).await;
            }
            Err(_) => tracing::debug!("the database did not answer; retrying"),
        }
    }
}

/// The result of the object in progress; pending without one.
async fn ended(running: &mut Option<RunningShipment>) -> anyhow::Result<ListedObject> {
    let Some(task) = running else { return std::future::pending().await };
    let done = task.await;
    *running = None;
    done.context("the task that ships was cancelled").flatten()
}
