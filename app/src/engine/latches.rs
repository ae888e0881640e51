//! This module holds the latches of readiness, each with its reason, and logs each change once. It must not make a decision.

use service_kit::health::{Health, Latch};

pub(super) struct Latches {
    database: Told,
    journal: Told,
    lead: Told,
}

/// A latch that detects its own changes.
struct Told {
    latch: Latch,
    reason: Option<String>,
}

impl Latches {
    pub fn new(health: &Health) -> Self {
        Self {
            database: Told::new(health, "database", "connecting to PostgreSQL"),
            journal: Told::new(health, "journal", "not read yet"),
            lead: Told::new(health, "lead", "not claimed yet"),
        }
    }

    pub fn database_ready(&mut self) {
        if self.database.open() {
            tracing::info!("PostgreSQL serves");
        }
    }

    /// PostgreSQL is unreachable, or is not the expected database.
    pub fn database_lost(&mut self, reason: String) {
        if self.database.close(&reason) {
            tracing::warn!("{reason}");
        }
    }

    pub fn journal_ready(&mut self) {
        self.journal.open();
    }

    pub fn journal_waits(&mut self, reason: String) {
        if self.journal.close(&reason) {
            tracing::info!("{reason}");
        }
    }

    pub fn leads(&mut self) {
        self.lead.open();
    }

    pub fn stands_by(&mut self, reason: String) {
        if self.lead.close(&reason) {
            tracing::info!("{reason}");
        }
    }
}

impl Told {
    fn new(health: &Health, name: &str, reason: &str) -> Self {
        Self { latch: health.latch(name, reason), reason: Some(reason.to_owned()) }
    }

    /// True if the latch was closed.
    fn open(&mut self) -> bool {
        let closed = self.reason.take().is_some();
        if closed {
            self.latch.open();
        }
        closed
    }

    /// True if the latch was open, or closed for another reason.
    fn close(&mut self, reason: &str) -> bool {
        let changes = self.reason.as_deref() != Some(reason);
        if changes {
            self.latch.close(reason);
            self.reason = Some(reason.to_owned());
        }
        changes
    }
}
