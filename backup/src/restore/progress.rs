//! This module shows the progress of a restore: a bar on a terminal, and otherwise log lines at intervals.

use std::{
    io::IsTerminal,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Interval between log lines.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Counts raw bytes. Clones share the count.
#[derive(Clone)]
pub struct RestoreProgress {
    bar: ProgressBar,
    database: Arc<str>,
    lines: bool,
    begun: Instant,
    total: u64,
    done: Arc<AtomicU64>,
    /// Time of the last line, in milliseconds after `begun`.
    last_line: Arc<AtomicU64>,
}

impl RestoreProgress {
    /// Progress of `total` raw bytes into a database with this final name.
    pub fn new(database: &str, total: u64) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let style = ProgressStyle::with_template("{prefix} {msg:<12} {bar:32} {bytes}/{total_bytes} {bytes_per_sec} {eta}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        Self {
            bar: ProgressBar::with_draw_target(Some(total), target).with_style(style).with_prefix(database.to_owned()),
            database: database.into(),
            lines: !terminal,
            begun: Instant::now(),
            total,
            done: Arc::default(),
            last_line: Arc::default(),
        }
    }

    /// Shows the current stage, in one or two words.
    pub fn stage(&self, name: &'static str) {
        self.bar.set_message(name);
        if self.lines {
            tracing::info!(database = &*self.database, stage = name, seconds = self.begun.elapsed().as_secs_f64(), "restoring");
        }
    }

    pub fn add(&self, bytes: u64) {
        self.bar.inc(bytes);
        let done = self.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let now = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let last = self.last_line.load(Ordering::Relaxed);
        let due = self.lines && now.saturating_sub(last) >= LINE_EVERY.as_millis() as u64;
        if due && self.last_line.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            tracing::info!(database = &*self.database, bytes = done, of = self.total, "restoring rows");
        }
    }

    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
