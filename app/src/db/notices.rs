//! What PostgreSQL warns of while it reports success. Never: an error, which the driver returns.
//!
//! The driver writes notices as `tracing` events and gives no other access to them. One matters: a commit whose wait for a
//! synchronous standby was cancelled is reported as a success with a WARNING ("canceling wait for synchronous replication"),
//! and may be lost in a failover.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tracing::{
    Dispatch, Event, Level, Metadata, Subscriber,
    instrument::WithSubscriber,
    span::{Attributes, Id, Record},
};

const DRIVER_TARGET: &str = "sqlx::postgres::notice";

/// Watches for warnings on one connection's statements. Made once: a statement then costs no more than a pointer's copy.
#[derive(Clone)]
pub struct Warnings {
    seen: Arc<AtomicBool>,
    dispatch: Dispatch,
}

impl Default for Warnings {
    fn default() -> Self {
        let seen = Arc::new(AtomicBool::new(false));
        Self { dispatch: Dispatch::new(Watcher(Arc::clone(&seen))), seen }
    }
}

impl Warnings {
    /// Runs a statement; true beside its result when the server warned.
    pub async fn watch<Output>(&self, statement: impl Future<Output = Output>) -> (Output, bool) {
        self.seen.store(false, Ordering::Relaxed);
        let output = statement.with_subscriber(self.dispatch.clone()).await;
        (output, self.seen.load(Ordering::Relaxed))
    }
}

struct Watcher(Arc<AtomicBool>);

impl Subscriber for Watcher {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == DRIVER_TARGET && *metadata.level() <= Level::WARN
    }

    fn event(&self, _event: &Event<'_>) {
        self.0.store(true, Ordering::Relaxed);
    }

    // Spans are never enabled here.
    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _span: &Id, _values: &Record<'_>) {}
    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}
    fn enter(&self, _span: &Id) {}
    fn exit(&self, _span: &Id) {}
}
