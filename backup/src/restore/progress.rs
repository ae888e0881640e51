//! How far a restore is: a bar on a terminal, a log line now and then otherwise.

use std::{
    io::IsTerminal,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Between two log lines.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Counts raw bytes. Clones count together.
#[derive(Clone)]
pub struct Progress {
    bar: ProgressBar,
    database: Arc<str>,
    lines: bool,
    begun: Instant,
    total: u64,
    done: Arc<AtomicU64>,
    /// Milliseconds after `begun` of the last line.
    last_line: Arc<AtomicU64>,
}

impl Progress {
    /// Of `total` raw bytes into a database that will have this name.
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

    /// What is being done now, in a word or two.
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
