//! This module measures how far this replica is behind the confirmed journal. It must not apply anything.
//!
//! - The lag in seconds is the age of the oldest confirmed sequence that this replica has seen announced and not applied.
//! - Without news from PostgreSQL and the leader the lag is unknown. It then grows with the silence.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, Instant},
};

use parking_lot::Mutex;

/// Announcements that are remembered; beyond them the newest replaces the one before.
const ANNOUNCEMENTS: usize = 512;
/// Silence that is normal between two polls.
const SILENCE: Duration = Duration::from_secs(1);

/// What this replica knows about the journal's end.
#[derive(Debug)]
pub(super) struct Lag {
    /// Highest confirmed sequence that was announced.
    known: AtomicI64,
    last_news: Mutex<Instant>,
    announced: Mutex<VecDeque<(i64, Instant)>>,
}

/// One measurement.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Behind {
    pub sequences: i64,
    pub seconds: f64,
}

impl Default for Lag {
    fn default() -> Self {
        Self { known: AtomicI64::new(0), last_news: Mutex::new(Instant::now()), announced: Mutex::default() }
    }
}

impl Lag {
    /// PostgreSQL or the leader announces that the journal is confirmed up to `sequence`.
    pub fn announce(&self, sequence: i64) {
        *self.last_news.lock() = Instant::now();
        if self.known.fetch_max(sequence, Ordering::AcqRel) < sequence {
            let mut announced = self.announced.lock();
            if announced.len() == ANNOUNCEMENTS {
                announced.pop_back();
            }
            announced.push_back((sequence, Instant::now()));
        }
    }

    /// The highest confirmed sequence that was announced.
    pub fn known(&self) -> i64 {
        self.known.load(Ordering::Acquire)
    }

    /// Starts again: the journal may end at an earlier sequence now.
    pub fn forget(&self) {
        self.known.store(0, Ordering::Release);
        self.announced.lock().clear();
    }

    /// The lag of a replica that has applied everything up to `applied`.
    pub fn measure(&self, applied: i64) -> Behind {
        let mut announced = self.announced.lock();
        while announced.front().is_some_and(|(sequence, _)| *sequence <= applied) {
            announced.pop_front();
        }
        let waiting = announced.front().map_or(Duration::ZERO, |(_, at)| at.elapsed());
        let silent = self.last_news.lock().elapsed();
        let silent = if silent > SILENCE { silent } else { Duration::ZERO };
        let sequences = (self.known.load(Ordering::Acquire) - applied).max(0);
        Behind { sequences, seconds: waiting.max(silent).as_secs_f64() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lag_is_the_age_of_the_oldest_sequence_not_applied() {
        let lag = Lag::default();
        lag.announce(10);
        assert_eq!(lag.measure(10), Behind { sequences: 0, seconds: 0.0 });
        lag.announce(20);
        lag.announce(15);
        let behind = lag.measure(12);
        assert!(behind.sequences == 8 && behind.seconds < 1.0, "{behind:?}");
        lag.announced.lock()[0].1 = Instant::now().checked_sub(Duration::from_secs(7)).unwrap();
        lag.announce(30);
        let behind = lag.measure(12);
        assert!(behind.sequences == 18 && (7.0..8.0).contains(&behind.seconds), "{behind:?}");
        let behind = lag.measure(20);
        assert!(behind.sequences == 10 && behind.seconds < 1.0, "only the newer announcement is left: {behind:?}");
        *lag.last_news.lock() = Instant::now().checked_sub(Duration::from_secs(9)).unwrap();
        assert!(lag.measure(30).seconds >= 9.0, "silence");
        lag.forget();
        assert_eq!(lag.measure(5).sequences, 0);
    }

    #[test]
    fn the_memory_of_announcements_is_bounded() {
        let lag = Lag::default();
        for sequence in 1..2000 {
            lag.announce(sequence);
        }
        assert_eq!(lag.announced.lock().len(), ANNOUNCEMENTS);
        assert_eq!(lag.measure(0).sequences, 1999);
    }
}
