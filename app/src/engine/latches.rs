//! What readiness waits for, each with its reason, told in the log once per change. Never: a decision.

use service_kit::health::{Health, Latch};

pub(super) struct Latches {
    database: Told,
    journal: Told,
    lead: Told,
}

/// A latch that logs when its reason changes.
struct Told {
    name: &'static str,
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
        self.database.open("PostgreSQL is there");
    }

    /// PostgreSQL is lost, or is not the database that it should be.
    pub fn database_lost(&mut self, reason: String) {
        self.database.close(reason);
    }

    pub fn journal_ready(&mut self) {
        self.journal.open("the journal is followed");
    }

    pub fn journal_waits(&mut self, reason: String) {
        self.journal.close(reason);
    }

    pub fn leads(&mut self) {
        self.lead.open("leading");
    }

    pub fn stands_by(&mut self, reason: String) {
        self.lead.close(reason);
    }
}

impl Told {
    fn new(health: &Health, name: &'static str, reason: &str) -> Self {
        Self { name, latch: health.latch(name, reason), reason: Some(String::new()) }
    }

    fn open(&mut self, message: &str) {
        if self.reason.take().is_some() {
            tracing::info!(latch = self.name, "{message}");
            self.latch.open();
        }
    }

    fn close(&mut self, reason: String) {
        if self.reason.as_ref() != Some(&reason) {
            tracing::warn!(latch = self.name, "{reason}");
            self.latch.close(reason.clone());
            self.reason = Some(reason);
        }
    }
}
