//! This module reads the wall clock and knows how far it is off the database's. It must not move journal time.
//!
//! - Between two measurements the database's clock is extrapolated by the monotonic clock, so that a step of the wall clock is
//!   seen at once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use exchange_core::money::Time;
use parking_lot::Mutex;

/// One machine's wall clock. Clones share everything.
#[derive(Debug, Clone)]
pub struct Clock {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// µs added to the machine's clock.
    step: AtomicI64,
    /// Largest allowed difference from the database's clock, µs.
    bound: Time,
    reference: Mutex<Option<(Instant, Time)>>,
}

impl Clock {
    /// `bound`: largest difference from the database's clock with which this replica may lead.
    pub fn new(bound: Duration) -> Self {
        let bound = Time::try_from(bound.as_micros()).unwrap_or(Time::MAX);
        Self { inner: Arc::new(Inner { step: AtomicI64::new(0), bound, reference: Mutex::new(None) }) }
    }

    /// Microseconds since the Unix epoch, UTC.
    pub fn now(&self) -> Time {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Time::try_from(since.as_micros()).unwrap_or(Time::MAX).saturating_add(self.inner.step.load(Ordering::Relaxed))
    }

    /// Offsets this clock by `by` µs from the machine's: simulates a wrong clock.
    pub fn step(&self, by: Time) {
        self.inner.step.store(by, Ordering::Relaxed);
    }

    /// Records the database's time, requested at `sent` and just received. Ignores an answer that took longer than the bound,
    /// because it is too inexact.
    pub fn measured(&self, sent: Instant, database: Time) {
        let took = sent.elapsed();
        if took.as_micros() <= self.inner.bound.unsigned_abs().into() || self.inner.reference.lock().is_none() {
            *self.inner.reference.lock() = Some((sent + took / 2, database));
        }
    }

    /// This clock minus the database's, µs; `None` before the first measurement.
    pub fn offset(&self) -> Option<Time> {
        let (at, database) = (*self.inner.reference.lock())?;
        let elapsed = Time::try_from(at.elapsed().as_micros()).unwrap_or(Time::MAX);
        Some(self.now() - database - elapsed)
    }

    /// Time to compare clients' timestamps with, µs: this clock's, or the database's while this one deviates. A server with a wrong
    /// clock does not lead, and what it forwards or reads must not be refused for the server's own fault.
    pub fn time(&self) -> Time {
        let now = self.now();
        self.offset().filter(|offset| offset.abs() > self.inner.bound).map_or(now, |offset| now - offset)
    }

    /// Whether this clock may write journal time. The text tells an operator the fix.
    pub fn check(&self) -> Result<(), String> {
        match self.offset() {
            Some(offset) if offset.abs() > self.inner.bound => {
                let (by, side) = (offset.abs() / 1000, if offset > 0 { "ahead of" } else { "behind" });
                Err(format!(
                    "this machine's clock is {by} ms {side} the database's, more than EXCHANGE_CLOCK_BOUND ({} ms): this \
                     server does not lead; set the clock",
                    self.inner.bound / 1000
                ))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_beyond_the_bound_is_seen_at_once() {
        let clock = Clock::new(Duration::from_millis(500));
        assert_eq!((clock.offset(), clock.check()), (None, Ok(())));
        clock.measured(Instant::now(), clock.now());
        assert!(clock.offset().is_some_and(|offset| offset.abs() < 200_000) && clock.check().is_ok());
        for (step, text) in [(86_400_000_000, "ahead of"), (3_000_000, "ahead of"), (-3_000_000, "behind")] {
            clock.step(step);
            let reason = clock.check().unwrap_err();
            assert!(reason.contains(text) && reason.contains("EXCHANGE_CLOCK_BOUND"), "{step}: {reason}");
            assert!((clock.time() - (clock.now() - step)).abs() < 200_000, "{step}: clients see the database's time");
        }
        clock.step(0);
        assert!(clock.check().is_ok());
    }
}
