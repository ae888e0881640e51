//! This module limits the bytes a second of all senders together.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Clones share the limit.
#[derive(Debug, Clone)]
pub struct Bandwidth(Option<Arc<Limited>>);

#[derive(Debug)]
struct Limited {
    bytes_per_second: u64,
    /// When all bytes admitted so far have been sent at this rate.
    free_at: Mutex<Instant>,
}

impl Bandwidth {
    /// `None`: no limit.
    pub fn new(bytes_per_second: Option<u64>) -> Self {
        let limited = |bytes_per_second| Limited { bytes_per_second, free_at: Mutex::new(Instant::now()) };
        Self(bytes_per_second.filter(|limit| *limit > 0).map(|limit| Arc::new(limited(limit))))
    }

    /// Waits until `bytes` may be sent, in the order of the calls.
    pub async fn pass(&self, bytes: u64) {
        let Some(limited) = &self.0 else { return };
        let from = limited.reserve(bytes, Instant::now());
        tokio::time::sleep_until(from.into()).await;
    }
}

impl Limited {
    /// Returns when the bytes may be sent: after those admitted earlier.
    fn reserve(&self, bytes: u64, now: Instant) -> Instant {
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        let from = (*free_at).max(now);
        *free_at = from + Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64);
        from
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_wait_in_order_and_unused_time_is_not_saved() {
        let Bandwidth(Some(limited)) = Bandwidth::new(Some(100)) else { unreachable!() };
        let now = *limited.free_at.lock().unwrap();
        let second = Duration::from_secs(1);
        assert_eq!(limited.reserve(200, now), now);
        assert_eq!(limited.reserve(100, now), now + 2 * second);
        assert_eq!(limited.reserve(100, now + 60 * second), now + 60 * second);
        assert!(Bandwidth::new(None).0.is_none());
    }
}
