//! This module bounds the memory of chunks. A shipper waits up to half a minute after a refusal, so a chunk waits here first.
//!
//! - Bytes of a body are charged as they arrive: a request that has partly arrived uses those bytes and no place.
//! - A whole body is charged before it is inflated: for its plain form, and for a copy of the resent documents.
//! - Charges are granted in the order of their requests. A charge must not exceed its share: the settings ensure it.

use std::{sync::Arc, time::Duration};

use service_kit::metrics::{IntGauge, IntGaugeVec};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::{BODIES_IN_MEMORY as ARRIVING_PART, RELAY_CHUNKS_AT_ONCE, RELAY_MEMORY};

/// Charges are counted in units of so many bytes.
const UNIT_BYTES: usize = 1 << 10;
/// The plain form, and a copy of the resent documents.
const PLAIN_FORMS: usize = 2;

/// Memory, or a place, was not free within the wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy {
    /// The setting of the limit.
    pub setting: &'static str,
}

/// The limits of a relay. Clones share them.
#[derive(Debug, Clone)]
pub struct Memory {
    arriving: Part,
    plain: Part,
    places: Arc<Semaphore>,
    wait: Duration,
}

/// A part of the memory, and the gauge of its charges.
#[derive(Debug, Clone)]
struct Part {
    units: Arc<Semaphore>,
    charged: IntGauge,
}

impl Part {
    fn new(bytes: usize, charged: IntGauge) -> Self {
        Self { units: Arc::new(Semaphore::new((bytes / UNIT_BYTES).max(1))), charged }
    }
}

/// Charged units. The gauge contains them until this is dropped.
#[derive(Debug)]
struct Held {
    permit: OwnedSemaphorePermit,
    charged: IntGauge,
}

impl Held {
    fn new(permit: OwnedSemaphorePermit, charged: &IntGauge) -> Self {
        charged.add(bytes_of(&permit));
        Self { permit, charged: charged.clone() }
    }

    fn merge(&mut self, more: OwnedSemaphorePermit) {
        self.charged.add(bytes_of(&more));
        self.permit.merge(more);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.charged.sub(bytes_of(&self.permit));
    }
}

fn bytes_of(permit: &OwnedSemaphorePermit) -> i64 {
    i64::try_from(permit.num_permits() * UNIT_BYTES).unwrap_or(i64::MAX)
}

/// A charge; dropping it releases the memory.
#[derive(Debug, Default)]
pub struct Charge {
    held: Option<Held>,
}

/// A chunk in progress: its plain form and its place.
#[derive(Debug)]
pub struct InWork {
    _plain: Held,
    _place: OwnedSemaphorePermit,
}

impl Memory {
    /// `charged` has the label `part` (arriving, plain).
    pub fn new(bytes: usize, chunks: usize, wait: Duration, charged: &IntGaugeVec) -> Self {
        // One part is for bodies as they arrive, the rest for their plain forms.
        let arriving = bytes / ARRIVING_PART;
        let part = |name: &str, bytes: usize| Part::new(bytes, charged.with_label_values(&[name]));
        Self {
            arriving: part("arriving", arriving),
            plain: part("plain", bytes - arriving),
            places: Arc::new(Semaphore::new(chunks)),
            wait,
        }
    }

    /// Charges a body of which `bytes` have arrived so far.
    ///
    /// # Errors
    /// Returns [`Busy`] if the memory is not free within the wait.
    pub async fn arrived(&self, charge: &mut Charge, bytes: usize) -> Result<(), Busy> {
        let held = charge.held.as_ref().map_or(0, |held| held.permit.num_permits());
        let more = units(bytes).saturating_sub(held);
        if more == 0 {
            return Ok(());
        }
        let permit = self.acquire(&self.arriving.units, more, RELAY_MEMORY).await?;
        match &mut charge.held {
            Some(held) => held.merge(permit),
            held => *held = Some(Held::new(permit, &self.arriving.charged)),
        }
        Ok(())
    }

    /// Charges the plain form of a body that has arrived whole, and takes a place.
    ///
    /// # Errors
    /// Returns [`Busy`] if either is not free within the wait.
    pub async fn begin(&self, plain_bytes: usize) -> Result<InWork, Busy> {
        let began = tokio::time::Instant::now();
        let permit = self.acquire(&self.plain.units, units(plain_bytes * PLAIN_FORMS), RELAY_MEMORY).await?;
        let plain = Held::new(permit, &self.plain.charged);
        let left = self.wait.saturating_sub(began.elapsed());
        let rest = Self { wait: left, ..self.clone() };
        let place = rest.acquire(&self.places, 1, RELAY_CHUNKS_AT_ONCE).await?;
        Ok(InWork { _plain: plain, _place: place })
    }

    async fn acquire(&self, of: &Arc<Semaphore>, count: usize, setting: &'static str) -> Result<OwnedSemaphorePermit, Busy> {
        let count = u32::try_from(count).map_err(|_| Busy { setting })?;
        match tokio::time::timeout(self.wait, Arc::clone(of).acquire_many_owned(count)).await {
            Ok(Ok(permit)) => Ok(permit),
            // The semaphore is never closed.
            Ok(Err(_)) | Err(_) => Err(Busy { setting }),
        }
    }
}

fn units(bytes: usize) -> usize {
    bytes.div_ceil(UNIT_BYTES).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_millis(20);

    fn memory(bytes: usize, chunks: usize) -> (Memory, IntGaugeVec) {
        let metrics = service_kit::metrics::Metrics::new("logship", "0", None);
        let charged = crate::metrics::RelayMetrics::register(&metrics).unwrap().memory;
        (Memory::new(bytes, chunks, WAIT, &charged), charged)
    }

    fn charged(gauge: &IntGaugeVec, part: &str) -> i64 {
        gauge.with_label_values(&[part]).get()
    }

    #[tokio::test]
    async fn memory_is_charged_by_bytes_and_released() {
        let (memory, gauge) = memory(64 << 12, 64);
        let mut first = Charge::default();
        memory.arrived(&mut first, 1).await.unwrap();
        memory.arrived(&mut first, 64 << 10).await.unwrap();
        let mut second = Charge::default();
        assert_eq!(memory.arrived(&mut second, 1).await, Err(Busy { setting: "LOGSHIP_RELAY_MEMORY" }));
        assert_eq!(charged(&gauge, "arriving"), 64 << 10);
        drop(first);
        assert_eq!(charged(&gauge, "arriving"), 0);
        memory.arrived(&mut second, 1).await.unwrap();
        // Three quarters of 256 KiB hold a body of 64 KiB twice over, and half of another.
        let work = memory.begin(64 << 10).await.unwrap();
        memory.begin(32 << 10).await.unwrap();
        assert!(memory.begin(33 << 10).await.is_err());
        assert_eq!(charged(&gauge, "plain"), 128 << 10, "dropped charges are not counted");
        drop(work);
        assert_eq!(charged(&gauge, "plain"), 0);
        memory.begin(33 << 10).await.unwrap();
    }

    #[tokio::test]
    async fn places_limit_chunks_in_progress() {
        let (memory, gauge) = memory(64 << 12, 1);
        let work = memory.begin(1).await.unwrap();
        assert_eq!(memory.begin(1).await.unwrap_err(), Busy { setting: "LOGSHIP_RELAY_CHUNKS_AT_ONCE" });
        assert_eq!(charged(&gauge, "plain"), 2 << 10, "a chunk that found no place is not charged");
        drop(work);
        memory.begin(1).await.unwrap();
    }
}
