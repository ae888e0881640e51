//! This module measures the progress of an attempt. Workers count; the bar, the log, the metrics and the stall limit read.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// Clones share the counters.
#[derive(Debug, Clone)]
pub struct Progress(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    began: Instant,
    raw_bytes: AtomicU64,
    sent_bytes: AtomicU64,
    rows: AtomicU64,
    /// Size of the tables on the server's disk. Progress compares the raw bytes with it.
    expected_bytes: AtomicU64,
    tables: AtomicU64,
    tables_done: AtomicU64,
    /// Time when a byte was last moved, in milliseconds after `began`.
    moved: AtomicU64,
    /// Time of the present snapshot, in milliseconds after `began`, plus one; 0: no snapshot.
    snapshot: AtomicU64,
}

/// Values of the counters at one moment.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct CounterValues {
    pub raw_bytes: u64,
    pub sent_bytes: u64,
    pub rows: u64,
    pub expected_bytes: u64,
    pub tables: u64,
    pub tables_done: u64,
    pub seconds: f64,
}

impl Default for Progress {
    fn default() -> Self {
        let zero = || AtomicU64::new(0);
        Self(Arc::new(Inner {
            began: Instant::now(),
            raw_bytes: zero(),
            sent_bytes: zero(),
            rows: zero(),
            expected_bytes: zero(),
            tables: zero(),
            tables_done: zero(),
            moved: zero(),
            snapshot: zero(),
        }))
    }
}

impl Progress {
    pub fn expect(&self, tables: u64, bytes: u64) {
        self.0.tables.fetch_add(tables, Relaxed);
        self.0.expected_bytes.fetch_add(bytes, Relaxed);
        self.moved();
    }

    pub fn read(&self, bytes: u64) {
        self.0.raw_bytes.fetch_add(bytes, Relaxed);
        self.moved();
    }

    pub fn rows(&self, rows: u64) {
        self.0.rows.fetch_add(rows, Relaxed);
    }

    pub fn table_done(&self) {
        self.0.tables_done.fetch_add(1, Relaxed);
        self.moved();
    }

    pub fn sent(&self, bytes: u64) {
        self.0.sent_bytes.fetch_add(bytes, Relaxed);
        self.moved();
    }

    pub fn moved(&self) {
        self.0.moved.store(self.milliseconds(), Relaxed);
    }

    pub fn snapshot_taken(&self) {
        self.0.snapshot.store(self.milliseconds() + 1, Relaxed);
    }

    pub fn snapshot_released(&self) {
        self.0.snapshot.store(0, Relaxed);
    }

    /// Time since a byte was last moved.
    pub fn idle(&self) -> Duration {
        Duration::from_millis(self.milliseconds().saturating_sub(self.0.moved.load(Relaxed)))
    }

    /// Age of the held snapshot; zero without one.
    pub fn snapshot_age(&self) -> Duration {
        match self.0.snapshot.load(Relaxed) {
            0 => Duration::ZERO,
            taken => Duration::from_millis((self.milliseconds() + 1).saturating_sub(taken)),
        }
    }

    /// Whether no other handle exists: the attempt is over.
    pub fn is_alone(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    pub fn elapsed(&self) -> Duration {
        self.0.began.elapsed()
    }

    pub fn seen(&self) -> CounterValues {
        let inner = &self.0;
        CounterValues {
            raw_bytes: inner.raw_bytes.load(Relaxed),
            sent_bytes: inner.sent_bytes.load(Relaxed),
            rows: inner.rows.load(Relaxed),
            expected_bytes: inner.expected_bytes.load(Relaxed),
            tables: inner.tables.load(Relaxed),
            tables_done: inner.tables_done.load(Relaxed),
            seconds: self.elapsed().as_secs_f64(),
        }
    }

    fn milliseconds(&self) -> u64 {
        u64::try_from(self.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
