//! This module holds the context of a command: connection, time of the batch, rules, and the changes made.

use std::sync::Arc;

use alertbot_core::{
    alert::Severity,
    incident::{Incident, IncidentId},
    moment::moment,
    schedule::{Item, MessageKind},
};
use jiff::{SignedDuration, Timestamp};
use service_kit::trace::Sampled;
use sqlx::SqliteConnection;

use super::Change;
use crate::{
    clock::Clock,
    routing::Routing,
    store::{
        Store,
        audit::{self, AuditEntry},
        outbox::{self, Message, MessageState},
    },
};

/// A state that people have reached with an incident.
#[derive(Debug, Clone, Copy)]
pub enum Reached {
    Acknowledged,
    Resolved,
}

/// Measured in the histograms of incident durations.
#[derive(Debug, Clone, Copy)]
pub struct Milestone {
    pub reached: Reached,
    pub severity: Severity,
    /// Time since the incident's first alert.
    pub after: SignedDuration,
}

pub struct Work {
    pub connection: SqliteConnection,
    pub routing: Arc<Routing>,
    /// The same for every command of a batch.
    pub now: Timestamp,
    /// The span of the command's caller, if it is exported.
    pub(super) cause: Option<Sampled>,
    clock: Clock,
    changes: Vec<Change>,
    milestones: Vec<Milestone>,
    /// Held until the writer ends.
    _lock: crate::store::Lock,
}

impl Work {
    pub(super) fn new(store: Store, routing: Arc<Routing>, clock: Clock) -> Self {
        Self {
            connection: store.writer,
            routing,
            now: clock.now(),
            cause: None,
            clock,
            changes: Vec::new(),
            milestones: Vec::new(),
            _lock: store.lock,
        }
    }

    pub(super) fn begin(&mut self) {
        self.now = self.clock.now();
        self.forget();
    }

    pub(super) fn forget(&mut self) {
        self.changes.clear();
        self.milestones.clear();
    }

    pub(super) fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    pub(super) fn take_milestones(&mut self) -> Vec<Milestone> {
        std::mem::take(&mut self.milestones)
    }

    pub(super) fn reached(&mut self, reached: Reached, incident: &Incident) {
        // Alertmanager's clock may be ahead of this one.
        let after = self.now.duration_since(incident.started_at).max(SignedDuration::ZERO);
        self.milestones.push(Milestone { reached, severity: incident.severity, after });
    }

    pub fn change(&mut self, change: Change) {
        self.changes.push(change);
    }

    pub async fn note(&mut self, actor: &str, action: &str, incident: Option<IncidentId>, detail: String) -> anyhow::Result<()> {
        let entry = AuditEntry { at: self.now, actor: actor.to_owned(), action: action.to_owned(), incident, detail };
        Ok(audit::append(&mut self.connection, &entry).await?)
    }

    /// Writes a new or changed message into the database and the sender's queue.
    pub async fn put(&mut self, mut message: Message) -> anyhow::Result<i64> {
        if message.id == 0 {
            outbox::insert(&mut self.connection, &mut message).await?;
        } else {
            outbox::save(&mut self.connection, &message).await?;
        }
        let id = message.id;
        self.change(Change::Put(Box::new(item(&message))));
        if let Some(cause) = self.cause.clone() {
            self.change(Change::Caused(id, cause));
        }
        Ok(id)
    }

    /// Removes a message that is no longer needed.
    pub async fn drop_message(&mut self, id: i64) -> anyhow::Result<()> {
        outbox::finish(&mut self.connection, id, MessageState::NotNeeded, None, None, None).await?;
        self.change(Change::Remove(id));
        Ok(())
    }
}

/// Converts a row to the planner's item.
pub fn item(message: &Message) -> Item {
    Item {
        id: message.id,
        address: message.address.lane(),
        kind: message.kind,
        urgency: message.urgency,
        since: moment(message.since),
        not_before: moment(message.not_before),
        overdue_at: message.overdue_at.map(moment),
        digestible: message.digestible && matches!(message.kind, MessageKind::Card | MessageKind::Notice),
        listed: message.listed,
        attempts: message.attempts,
        detours: 0,
        maybe_sent: message.maybe_sent,
    }
}
