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
    note: Option<String>,
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

    /// Another replica leads, and this one forwards commands to it.
    pub fn follows(&mut self, leader: &str) {
        if self.lead.note(leader) {
            tracing::info!("{leader}");
        }
    }

    pub fn stands_by(&mut self, reason: String) {
        if self.lead.close(&reason) {
            tracing::info!("{reason}");
        }
    }
}

impl Told {
    fn new(health: &Health, name: &str, reason: &str) -> Self {
        Self { latch: health.latch(name, reason), reason: Some(reason.to_owned()), note: None }
    }

    /// True if the latch was closed.
    fn open(&mut self) -> bool {
        let closed = self.reason.take().is_some();
        if closed || self.note.take().is_some() {
            self.latch.open();
        }
        closed
    }

    /// Opens the latch with a note. True if it was closed, or had another note.
    fn note(&mut self, note: &str) -> bool {
        let changes = self.reason.take().is_some() || self.note.as_deref() != Some(note);
        if changes {
            self.latch.open_with(note);
            self.note = Some(note.to_owned());
        }
        changes
    }

    /// True if the latch was open, or closed for another reason.
    fn close(&mut self, reason: &str) -> bool {
        let changes = self.reason.as_deref() != Some(reason);
        if changes {
            self.latch.close(reason);
            self.note = None;
            self.reason = Some(reason.to_owned());
        }
        changes
    }
}
