//! This module detects warnings that PostgreSQL sends with a successful result. Errors are not its subject: the driver returns
//! them.
//!
//! The driver writes notices as `tracing` events and offers no other access to them. One matters: a commit whose wait for a
//! synchronous standby was cancelled succeeds with a WARNING ("canceling wait for synchronous replication"), and a failover may
//! lose it.

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

/// Collects warnings of one connection's statements. Create it once: each statement then costs only the copy of a pointer.
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
    /// Runs a statement; true next to its result if the server warned.
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
