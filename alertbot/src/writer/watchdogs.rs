//! This module remembers when the Watchdog of each Alertmanager arrived last.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use alertbot_core::{incident::Incident, moment::Moment};
use jiff::Timestamp;
use sqlx::SqlitePool;

use crate::{clock::Clock, config::Alertmanager, store::facts};

/// When each Watchdog arrived last, before any deduplication. Clones share the times.
#[derive(Debug, Clone)]
pub struct Watchdogs {
    at: Arc<Mutex<HashMap<String, Moment>>>,
    pub clock: Clock,
}

impl Watchdogs {
    /// Restores the times of before the restart. A Watchdog that never arrived gets the whole time from now on.
    pub async fn restore(readers: &SqlitePool, alertmanagers: &[Alertmanager], clock: Clock) -> sqlx::Result<Self> {
        let mut at = HashMap::new();
        for alertmanager in alertmanagers {
            if alertmanager.watchdog.is_none() {
                continue;
            }
            let known = facts::get(readers, &watchdog_fact(&alertmanager.name)).await?;
            let known = known.and_then(|text| text.parse().ok()).map(Duration::from_millis);
            // The clock was set back if the time is in the future.
            let arrived = known.filter(|arrived| *arrived <= clock.moment()).unwrap_or_else(|| clock.moment());
            at.insert(alertmanager.name.clone(), arrived);
        }
        Ok(Self { at: Arc::new(Mutex::new(at)), clock })
    }

    pub fn arrived(&self, alertmanager: &str) {
        self.at.lock().unwrap_or_else(PoisonError::into_inner).insert(alertmanager.to_owned(), self.clock.moment());
    }

    /// When it arrived last; now, if it is not expected.
    pub fn last(&self, alertmanager: &str) -> Timestamp {
        let now = self.clock.now();
        self.age(alertmanager).and_then(|age| now.checked_sub(age).ok()).unwrap_or(now)
    }

    /// Time since it arrived last; `None` if it is not expected.
    pub fn age(&self, alertmanager: &str) -> Option<Duration> {
        let at = self.at.lock().unwrap_or_else(PoisonError::into_inner).get(alertmanager).copied();
        at.map(|at| self.clock.moment().saturating_sub(at))
    }
}

/// Name of the alert that the bot opens if a Watchdog is missing; routes may match it.
pub const ALERT: &str = "AlertmanagerSilent";
/// Receiver of that alert. A receiver of an Alertmanager may have the same name: use [`is_own`].
pub const RECEIVER: &str = "alertbot";

/// Whether the bot opened the incident. Then no Alertmanager has its alert. Group keys of Alertmanager begin with a brace.
pub fn is_own(incident: &Incident) -> bool {
    incident.receiver == RECEIVER && incident.group_key.starts_with(ALERT)
}

/// Name of the fact that holds the last arrival of a Watchdog, in Unix milliseconds.
pub(super) fn watchdog_fact(source: &str) -> String {
    format!("watchdog heard {source}")
}
