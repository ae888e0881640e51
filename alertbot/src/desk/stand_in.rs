//! Overrides that people set by command: somebody stands in for whoever a schedule has on duty, until a time.
//!
//! - One a schedule: a new one takes the place of the one before.
//! - An ended one stays recorded, since its end is a handover that is still to be announced.
//! - A person who is not in the configuration any more stands in for nobody.

use std::sync::PoisonError;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Book, Job, Work};
use crate::{
    config::{Override, Schedule},
    store::facts,
};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandIn {
    pub person: String,
    pub from: Timestamp,
    pub to: Timestamp,
}

/// The facts that hold them, by schedule.
const FACT: &str = "override ";

/// Every override of the store, with the name of its schedule. One that cannot be read is left out: its schedule counts.
pub async fn all(readers: &sqlx::SqlitePool) -> sqlx::Result<Vec<(String, StandIn)>> {
    let facts = facts::beginning_with(readers, FACT).await?;
    let read = |(name, value): (String, String)| Some((name[FACT.len()..].to_owned(), serde_json::from_str(&value).ok()?));
    Ok(facts.into_iter().filter_map(read).collect())
}

/// A person sets or ends an override.
pub struct SetStandIn {
    pub schedule: String,
    /// Who stands in, and until when. `None` ends the one that is in force.
    pub stand_in: Option<(String, Timestamp)>,
    pub by: String,
}

impl Job for SetStandIn {
    /// Whether anything changed.
    type Answer = bool;

    async fn perform(&mut self, work: &mut Work) -> anyhow::Result<bool> {
        let stand_in = match &self.stand_in {
            Some((person, to)) => StandIn { person: person.clone(), from: work.now, to: *to },
            None => match work.book.stand_in(&self.schedule, work.now) {
                Some(known) => StandIn { to: work.now, ..known },
                None => return Ok(false),
            },
        };
        let detail = format!("{}: {} until {}", self.schedule, stand_in.person, stand_in.to);
        facts::set(&mut work.connection, &format!("{FACT}{}", self.schedule), &serde_json::to_string(&stand_in)?).await?;
        work.note(&self.by, "override", None, detail).await?;
        work.book.learn_stand_in(self.schedule.clone(), stand_in);
        Ok(true)
    }
}

impl Book {
    /// A schedule with the override that a person set for it.
    pub fn schedule(&self, name: &str) -> Option<Schedule> {
        let mut schedule = self.config.schedule(name)?.clone();
        let learnt = self.learnt.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = learnt.stand_ins.get(name).filter(|known| self.config.person(&known.person).is_some()) {
            let local = |at| schedule.time_zone.to_datetime(at);
            let entry = Override { person: known.person.clone(), from: local(known.from), to: local(known.to) };
            schedule.overrides.push(entry);
        }
        Some(schedule)
    }

    /// All of them.
    pub fn schedules(&self) -> impl Iterator<Item = Schedule> {
        self.config.schedules.iter().filter_map(|schedule| self.schedule(&schedule.name))
    }

    /// The override of a schedule that is in force.
    pub fn stand_in(&self, schedule: &str, now: Timestamp) -> Option<StandIn> {
        let learnt = self.learnt.read().unwrap_or_else(PoisonError::into_inner);
        learnt.stand_ins.get(schedule).filter(|known| known.from <= now && now < known.to).cloned()
    }

    pub fn learn_stand_in(&self, schedule: String, stand_in: StandIn) {
        self.learnt.write().unwrap_or_else(PoisonError::into_inner).stand_ins.insert(schedule, stand_in);
    }
}
