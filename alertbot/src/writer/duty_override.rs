//! This module holds overrides that people set by command: one person is on duty in a schedule until a time.
//!
//! - Each schedule has at most one override; a new one replaces it.
//! - An ended override stays stored, because its end is a handover that must still be announced.
//! - An override of a person who is no longer in the configuration is ignored.

use jiff::Timestamp;

use super::{Work, WriterCommand};
use crate::{routing::DutyOverride, store::facts};

/// Name prefix of the facts that store overrides, by schedule.
const FACT: &str = "override ";

/// Every stored override with the name of its schedule. An unreadable one is skipped, so its schedule applies.
pub async fn all(readers: &sqlx::SqlitePool) -> sqlx::Result<Vec<(String, DutyOverride)>> {
    let facts = facts::beginning_with(readers, FACT).await?;
    let read = |(name, value): (String, String)| Some((name[FACT.len()..].to_owned(), serde_json::from_str(&value).ok()?));
    Ok(facts.into_iter().filter_map(read).collect())
}

/// A person sets or ends an override.
pub struct SetDutyOverride {
    pub schedule: String,
    /// The person on duty, and until when. `None` ends the active override.
    pub duty_override: Option<(String, Timestamp)>,
    pub by: String,
}

impl WriterCommand for SetDutyOverride {
    /// Whether anything changed.
    type Answer = bool;

    async fn perform(&mut self, work: &mut Work) -> anyhow::Result<bool> {
        let duty_override = match &self.duty_override {
            Some((person, to)) => DutyOverride { person: person.clone(), from: work.now, to: *to },
            None => match work.routing.duty_override(&self.schedule, work.now) {
                Some(known) => DutyOverride { to: work.now, ..known },
                None => return Ok(false),
            },
        };
        let detail = format!("{}: {} until {}", self.schedule, duty_override.person, duty_override.to);
        facts::set(&mut work.connection, &format!("{FACT}{}", self.schedule), &serde_json::to_string(&duty_override)?).await?;
        work.note(&self.by, "override", None, detail).await?;
        work.routing.add_duty_override(self.schedule.clone(), duty_override);
        Ok(true)
    }
}
