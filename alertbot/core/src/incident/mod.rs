//! This module is the state machine of an incident: one group of one Alertmanager, from its first firing alert to its end.
//!
//! - It is pure: it must not use a clock, a database or a chat. [`Effect`]s state the work to do.
//! - The store holds an incident as JSON, so a new field must have a default.

mod doubt;
pub mod happening;
pub mod machine;
pub mod rules;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::alert::{Labels, Severity, Status};

pub use happening::Happening;
pub use machine::{Effect, Observation};
pub use rules::{Flapping, Rules};

/// Counts up from 1 in one store. People see it as `#12`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IncidentId(pub i64);

impl fmt::Display for IncidentId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "#{}", self.0)
    }
}

/// One group of one Alertmanager, from its first firing alert on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    pub id: IncidentId,
    /// The number that a person sends by SMS to acknowledge: `ACK 1234`. Unique among open incidents.
    pub code: u32,
    /// Name of the Alertmanager (or pair of them) in the configuration.
    pub source: String,
    /// The receiver in Alertmanager's configuration.
    pub receiver: String,
    pub group_key: String,
    pub group_labels: Labels,
    /// Alertmanager's address for people.
    pub external_url: String,
    /// Names of the bot's routes that match the incident. The first one with an escalation sets the rules.
    pub routes: Vec<String>,
    /// The highest severity of the firing alerts. After the end, the highest that the incident had.
    pub severity: Severity,
    pub phase: Phase,
    /// When the first alert of the present fault began to fire, as the alert states. A reopening begins another fault.
    pub started_at: Timestamp,
    /// When the bot received the first alert.
    pub opened_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    /// By fingerprint.
    pub alerts: BTreeMap<Box<str>, Tracked>,
    /// Number of alerts that Alertmanager cut off the list.
    #[serde(default)]
    pub truncated: u64,
    #[serde(default)]
    pub acknowledgement: Option<Acknowledgement>,
    /// The first acknowledgement, kept for the message at the end.
    #[serde(default)]
    pub taken_by: Option<String>,
    /// Silences set through the bot that are active.
    #[serde(default)]
    pub silences: Vec<Silence>,
    /// Whether every firing alert is silenced or inhibited in Alertmanager, by any person or rule.
    #[serde(default)]
    pub suppressed: bool,
    /// The alerts that inhibit the firing ones in Alertmanager: the cause of this incident.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
    #[serde(default)]
    pub escalation: Escalation,
    /// Times of reopening, newest last, within the window for flapping.
    #[serde(default)]
    pub reopened: Vec<Timestamp>,
    /// Until then changes only edit messages, unless the severity rises.
    #[serde(default)]
    pub damped_until: Option<Timestamp>,
    /// When people last got a message with sound.
    #[serde(default)]
    pub sounded_at: Option<Timestamp>,
    /// Number of webhooks without news.
    #[serde(default)]
    pub repeats: u64,
    /// A firing alert is not covered by the silences above: Alertmanager notified of it while they were active.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub uncovered: bool,
    /// The Watchdog of the source is missing since this time. Until it returns, no alert of this incident ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blind_since: Option<Timestamp>,
    /// The Watchdog is back. Ends reported in its absence apply from this time on, unless the alert fires again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settles_at: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    Firing,
    Acknowledged,
    Resolved,
}

/// An alert that inhibits alerts of another incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    pub fingerprint: Box<str>,
    pub incident: IncidentId,
    /// Title of its incident.
    pub title: String,
}

/// One alert of an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tracked {
    pub status: Status,
    pub severity: Severity,
    pub labels: Labels,
    pub annotations: Labels,
    pub starts_at: Timestamp,
    pub ends_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub generator_url: Box<str>,
    /// When its previous firing ended. The other replica of a pair may report that end a second time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_end: Option<Timestamp>,
    /// An end reported while the Watchdog was missing. An expired alert looks like a resolved one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unconfirmed_end: Option<Timestamp>,
    /// One replica of several reported the unconfirmed end. The end applies from this time on, unless another replica has the
    /// alert.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirms_at: Option<Timestamp>,
}

/// The owner of an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledgement {
    /// Name for people.
    pub by: String,
    pub at: Timestamp,
    /// The time at which it expires.
    pub until: Option<Timestamp>,
}

/// A silence in Alertmanager that a person set through the bot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// Alertmanager's id.
    pub id: String,
    pub by: String,
    pub until: Timestamp,
    /// The bot ends the silence when the incident ends.
    pub ends_with_incident: bool,
}

/// Progress of the escalation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Escalation {
    /// Steps performed in this round.
    pub taken: usize,
    /// Rounds completed.
    pub rounds: usize,
    /// When the last step was performed.
    #[serde(default)]
    pub stepped_at: Option<Timestamp>,
    /// When the next step is due; `None` if no one will be notified (acknowledged, resolved, no policy).
    pub next_at: Option<Timestamp>,
    /// The wait from which `next_at` was computed. After a reload the policy may have another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<SignedDuration>,
    /// Name of the policy of these steps. After a reload the configuration may have another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// The configuration had a policy for the incident and no longer has one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lost: bool,
}

impl Incident {
    /// An incident without an alert that opens now. Its source and its group are empty.
    pub fn blank(now: Timestamp) -> Self {
        Self {
            id: IncidentId(0),
            code: 0,
            source: String::new(),
            receiver: String::new(),
            group_key: String::new(),
            group_labels: Labels::default(),
            external_url: String::new(),
            routes: Vec::new(),
            severity: Severity::Info,
            phase: Phase::Firing,
            started_at: now,
            opened_at: now,
            ended_at: None,
            alerts: BTreeMap::new(),
            truncated: 0,
            acknowledgement: None,
            taken_by: None,
            silences: Vec::new(),
            suppressed: false,
            causes: Vec::new(),
            escalation: Escalation::default(),
            reopened: Vec::new(),
            damped_until: None,
            sounded_at: None,
            repeats: 0,
            uncovered: false,
            blind_since: None,
            settles_at: None,
        }
    }

    pub fn is_open(&self) -> bool {
        self.phase != Phase::Resolved
    }

    /// Firing alerts, by fingerprint.
    pub fn firing(&self) -> impl Iterator<Item = &Tracked> {
        self.alerts.values().filter(|alert| alert.status == Status::Firing)
    }

    /// Labels that the firing alerts have in common. For a closed incident, those of all alerts.
    pub fn common_labels(&self) -> Labels {
        shared(self.speaking().map(|alert| &alert.labels))
    }

    /// As [`Self::common_labels`].
    pub fn common_annotations(&self) -> Labels {
        shared(self.speaking().map(|alert| &alert.annotations))
    }

    /// `alertname` if the alerts have the same one, otherwise their number.
    pub fn title(&self) -> String {
        match self.common_labels().get("alertname").or(self.group_labels.get("alertname")) {
            Some(name) if !name.is_empty() => name.to_owned(),
            _ if self.alerts.len() == 1 => "an alert without a name".into(),
            _ => format!("{} alerts", self.alerts.len()),
        }
    }

    /// The expression of the first alert that has one, from Prometheus's page (`g0.expr`).
    pub fn expression(&self) -> Option<String> {
        self.speaking().find_map(|alert| {
            let url = url::Url::parse(&alert.generator_url).ok()?;
            let named = url.query_pairs().find(|(name, _)| name == "g0.expr")?;
            (!named.1.trim().is_empty()).then(|| named.1.into_owned())
        })
    }

    /// The alerts that the incident is about now: the firing ones, or all if none fires.
    pub fn speaking(&self) -> impl Iterator<Item = &Tracked> {
        let any_fires = self.firing().next().is_some();
        self.alerts.values().filter(move |alert| !any_fires || alert.status == Status::Firing)
    }
}

fn shared<'a>(mut all: impl Iterator<Item = &'a Labels>) -> Labels {
    let Some(first) = all.next() else { return Labels::default() };
    all.fold(first.clone(), |common, labels| if common == *labels { common } else { common.shared_with(labels) })
}
