//! This module bounds the memory of chunks. A shipper waits up to half a minute after a refusal, so a chunk waits here first.
//!
//! - The beginning of a body is charged as it arrives, in a part of the memory for beginnings: a slow client uses the bytes
//!   that it sent and no place, and large bodies do not hold up the usual small ones.
//! - A body that is longer is charged whole: of two bodies that hold a half each, none could arrive.
//! - A whole body is charged before it is inflated: for its plain form, and for a copy of the resent documents.
//! - Charges are granted in the order of their requests. A charge must not exceed its share: the settings ensure it.

use std::{sync::Arc, time::Duration};

use service_kit::metrics::{IntGauge, IntGaugeVec};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::{BODIES_IN_MEMORY as ARRIVING_PART, RELAY_CHUNKS_AT_ONCE, RELAY_MEMORY};

/// Charges are counted in units of so many bytes.
const UNIT_BYTES: usize = 1 << 10;
/// Longest beginning of a body. A chunk of one pod and second is shorter.
const BEGINNING_UNITS: usize = 64;
/// Share of the memory for beginnings.
const BEGINNINGS_PART: usize = 16;
/// At least so many beginnings have room.
const BEGINNINGS: usize = 4;
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
pub struct RelayMemory {
    beginnings: Part,
    beginning_units: usize,
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
        Self { units: Arc::new(Semaphore::new(units(bytes))), charged }
    }
}

/// Charged units. The gauge contains them until this is dropped.
#[derive(Debug)]
struct ChargedMemory {
    permit: OwnedSemaphorePermit,
    charged: IntGauge,
}

impl ChargedMemory {
    fn new(permit: OwnedSemaphorePermit, charged: &IntGauge) -> Self {
        charged.add(bytes_of(&permit));
        Self { permit, charged: charged.clone() }
    }

    fn merge(&mut self, more: OwnedSemaphorePermit) {
        self.charged.add(bytes_of(&more));
        self.permit.merge(more);
    }
}

impl Drop for ChargedMemory {
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
    beginning: Option<ChargedMemory>,
    whole: Option<ChargedMemory>,
}

/// A chunk in progress: its plain form and its place.
#[derive(Debug)]
pub struct InWork {
    _plain: ChargedMemory,
    _place: OwnedSemaphorePermit,
}

impl RelayMemory {
    /// `charged` has the label `part` (arriving, plain).
    pub fn new(bytes: usize, chunks: usize, wait: Duration, charged: &IntGaugeVec) -> Self {
        // Two parts are for bodies as they arrive, the rest for their plain forms.
        let (arriving, beginnings) = (bytes / ARRIVING_PART, bytes / BEGINNINGS_PART);
        let part = |name: &str, bytes: usize| Part::new(bytes, charged.with_label_values(&[name]));
        Self {
            beginnings: part("arriving", beginnings),
            beginning_units: BEGINNING_UNITS.min(units(beginnings) / BEGINNINGS),
            arriving: part("arriving", arriving),
            plain: part("plain", bytes - arriving - beginnings),
            places: Arc::new(Semaphore::new(chunks)),
            wait,
        }
    }

    /// Charges a body of which `bytes` have arrived so far. It has `whole` bytes, or at most so many if its length is unknown.
    ///
    /// # Errors
    /// Returns [`Busy`] if the memory is not free within the wait.
    pub async fn arrived(&self, charge: &mut Charge, bytes: usize, whole: usize) -> Result<(), Busy> {
        let needed = units(bytes);
        if needed > self.beginning_units {
            if charge.whole.is_none() {
                let permit = self.acquire(&self.arriving.units, units(whole.max(bytes)), RELAY_MEMORY).await?;
                *charge = Charge { beginning: None, whole: Some(ChargedMemory::new(permit, &self.arriving.charged)) };
            }
            return Ok(());
        }
        let held = charge.beginning.as_ref().map_or(0, |held| held.permit.num_permits());
        let more = needed.saturating_sub(held);
        if more == 0 {
            return Ok(());
        }
        let permit = self.acquire(&self.beginnings.units, more, RELAY_MEMORY).await?;
        match &mut charge.beginning {
            Some(held) => held.merge(permit),
            held => *held = Some(ChargedMemory::new(permit, &self.beginnings.charged)),
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
        let plain = ChargedMemory::new(permit, &self.plain.charged);
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

    fn memory(bytes: usize, chunks: usize) -> (RelayMemory, IntGaugeVec) {
        let metrics = service_kit::metrics::Metrics::new("logship", "0", None);
        let charged = crate::metrics::RelayMetrics::register(&metrics).unwrap().memory;
        (RelayMemory::new(bytes, chunks, WAIT, &charged), charged)
    }

    fn charged(gauge: &IntGaugeVec, part: &str) -> i64 {
        gauge.with_label_values(&[part]).get()
    }

    const BUSY: Busy = Busy { setting: "LOGSHIP_RELAY_MEMORY" };

    #[tokio::test]
    async fn memory_is_charged_by_bytes_and_released() {
        // 256 KiB: 64 for bodies, 16 for beginnings of at most 4, and 176 for plain forms.
        let (memory, gauge) = memory(64 << 12, 64);
        let mut first = Charge::default();
        memory.arrived(&mut first, 1, 64 << 10).await.unwrap();
        assert_eq!(charged(&gauge, "arriving"), 1 << 10, "the beginning is charged as it arrives");
        memory.arrived(&mut first, 5 << 10, 64 << 10).await.unwrap();
        assert_eq!(charged(&gauge, "arriving"), 64 << 10, "a longer body is charged whole");
        let mut second = Charge::default();
        memory.arrived(&mut second, 4 << 10, 8 << 10).await.unwrap();
        assert_eq!(memory.arrived(&mut second, 5 << 10, 8 << 10).await, Err(BUSY));
        drop(first);
        assert_eq!(charged(&gauge, "arriving"), 4 << 10);
        memory.arrived(&mut second, 5 << 10, 8 << 10).await.unwrap();
        let work = memory.begin(64 << 10).await.unwrap();
        memory.begin(24 << 10).await.unwrap();
        assert!(memory.begin(25 << 10).await.is_err());
        assert_eq!(charged(&gauge, "plain"), 128 << 10, "dropped charges are not counted");
        drop(work);
        assert_eq!(charged(&gauge, "plain"), 0);
        memory.begin(25 << 10).await.unwrap();
    }

    /// Slow clients hold large bodies half sent, and small chunks still arrive.
    #[tokio::test]
    async fn large_bodies_do_not_hold_up_small_ones() {
        let (memory, _gauge) = memory(64 << 12, 64);
        let mut large = Charge::default();
        memory.arrived(&mut large, 32 << 10, 64 << 10).await.unwrap();
        let mut other = Charge::default();
        assert_eq!(memory.arrived(&mut other, 32 << 10, 64 << 10).await, Err(BUSY));
        for _ in 0..8 {
            memory.arrived(&mut Charge::default(), 3 << 10, 3 << 10).await.unwrap();
        }
    }

    /// The smallest memory has room for a body of the largest size.
    #[tokio::test]
    async fn the_smallest_memory_holds_the_largest_body() {
        for limit in [1 << 10, 1_500, 1 << 20] {
            let (memory, _gauge) = memory(limit * ARRIVING_PART, 1);
            memory.arrived(&mut Charge::default(), limit, limit).await.unwrap();
            memory.begin(limit).await.unwrap();
        }
    }

    #[tokio::test]
    async fn places_limit_chunks_in_progress() {
        let (memory, gauge) = memory(64 << 12, 1);
        let work = memory.begin(1).await.unwrap();
        assert_eq!(memory.begin(1).await.unwrap_err(), Busy { setting: "LOGSHIP_RELAY_CHUNKS_AT_ONCE" });
        assert_eq!(charged(&gauge, "plain"), 1 << 10, "a chunk that found no place is not charged");
        drop(work);
        memory.begin(1).await.unwrap();
    }
}
