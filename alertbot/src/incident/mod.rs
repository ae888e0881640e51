//! An incident: one group of one Alertmanager from its first firing alert to its end, as a pure state machine. Never a
//! clock, a database, a chat: what must be done comes out as [`Effect`]s. Kept as JSON in the store, so a field that is
//! added has a default.

pub mod happening;
pub mod machine;
pub mod rules;
pub mod severity;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::webhook::{Labels, Status};

pub use happening::Happening;
pub use machine::{Effect, Observation};
pub use rules::{Flapping, Rules};
pub use severity::Severity;

/// Counts up from 1 in one store; people see it as `#12`.
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
    /// What a person writes in an SMS to acknowledge: `ACK 1234`. Unique among open incidents.
    pub code: u32,
    /// Name of the Alertmanager (or pair of them) in the configuration.
    pub source: String,
    /// The receiver in Alertmanager's configuration.
    pub receiver: String,
    pub group_key: String,
    pub group_labels: Labels,
    /// Alertmanager's address for people.
    pub external_url: String,
    /// Names of the routes in the bot's configuration that it came by; the first one that has an escalation sets the rules.
    pub routes: Vec<String>,
    /// The worst of the alerts that fire; after the end, the worst that there was.
    pub severity: Severity,
    pub phase: Phase,
    /// When the first alert began to fire, by its own word.
    pub started_at: Timestamp,
    /// When the bot heard of it.
    pub opened_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    /// By fingerprint.
    pub alerts: BTreeMap<Box<str>, Tracked>,
    /// Alerts that Alertmanager cut off its list.
    #[serde(default)]
    pub truncated: u64,
    #[serde(default)]
    pub acknowledgement: Option<Acknowledgement>,
    /// The first to have acknowledged, kept for the message at the end.
    #[serde(default)]
    pub taken_by: Option<String>,
    /// Set through the bot, still in force.
    #[serde(default)]
    pub silences: Vec<Silence>,
    /// Every alert that fires is silenced or inhibited in Alertmanager, by whomever.
    #[serde(default)]
    pub suppressed: bool,
    #[serde(default)]
    pub escalation: Escalation,
    /// When it was resolved and fired again, newest last, as far back as flapping is looked for.
    #[serde(default)]
    pub reopened: Vec<Timestamp>,
    /// Changes are told by edits only until then, unless the severity rises.
    #[serde(default)]
    pub damped_until: Option<Timestamp>,
    /// When people were last told with sound.
    #[serde(default)]
    pub sounded_at: Option<Timestamp>,
    /// Webhooks that said what was known already.
    #[serde(default)]
    pub repeats: u64,
    /// An alert fires that the silences above do not cover: Alertmanager notified of it while they were in force.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub uncovered: bool,
    /// The Watchdog of the source is missing since then. Until it is back, no alert of this incident ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blind_since: Option<Timestamp>,
    /// The Watchdog is back. Ends that were reported in its absence count from this time on, unless the alert fires again.
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
    /// When its previous firing ended. A notification of that end may arrive a second time, from the other replica of a pair.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_end: Option<Timestamp>,
    /// An end that was reported while the Watchdog was missing. An expired alert looks the same as a resolved one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unconfirmed_end: Option<Timestamp>,
    /// The unconfirmed end was reported by one replica of several, and counts from this time on unless another replica has the
    /// alert.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirms_at: Option<Timestamp>,
}

/// Who took an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledgement {
    /// As people read it.
    pub by: String,
    pub at: Timestamp,
    /// It ends by itself then.
    pub until: Option<Timestamp>,
}

/// A silence in Alertmanager that a person set through the bot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// Alertmanager's id.
    pub id: String,
    pub by: String,
    pub until: Timestamp,
    /// The bot ends it when the incident ends.
    pub ends_with_incident: bool,
}

/// How far the calls for somebody have come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Escalation {
    /// Steps taken in this round.
    pub taken: usize,
    /// Rounds completed.
    pub rounds: usize,
    /// When the last step was taken.
    #[serde(default)]
    pub stepped_at: Option<Timestamp>,
    /// When the next step is due; `None` when nobody will be called (acknowledged, resolved, no policy).
    pub next_at: Option<Timestamp>,
    /// Name of the policy that these steps belong to. The configuration may have another one after a reload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// The configuration had a policy for the incident, and has none now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lost: bool,
}

impl Incident {
    pub fn is_open(&self) -> bool {
        self.phase != Phase::Resolved
    }

    /// The alerts that fire, by fingerprint.
    pub fn firing(&self) -> impl Iterator<Item = &Tracked> {
        self.alerts.values().filter(|alert| alert.status == Status::Firing)
    }

    /// What the alerts that fire have in common; of an ended incident, what all had.
    pub fn common_labels(&self) -> Labels {
        shared(self.speaking().map(|alert| &alert.labels))
    }

    /// As [`Self::common_labels`].
    pub fn common_annotations(&self) -> Labels {
        shared(self.speaking().map(|alert| &alert.annotations))
    }

    /// `alertname` where the alerts agree on it, and how many there are otherwise.
    pub fn title(&self) -> String {
        match self.common_labels().get("alertname").or(self.group_labels.get("alertname")) {
            Some(name) => name.to_owned(),
            None if self.alerts.len() == 1 => "an alert without a name".into(),
            None => format!("{} alerts", self.alerts.len()),
        }
    }

    /// The expression of the first alert that names one, from Prometheus's page (`g0.expr`).
    pub fn expression(&self) -> Option<String> {
        self.speaking().find_map(|alert| {
            let url = reqwest::Url::parse(&alert.generator_url).ok()?;
            let named = url.query_pairs().find(|(name, _)| name == "g0.expr")?;
            (!named.1.trim().is_empty()).then(|| named.1.into_owned())
        })
    }

    /// Those that the incident is about now: firing ones, or all when none fires.
    pub fn speaking(&self) -> impl Iterator<Item = &Tracked> {
        let any_fires = self.firing().next().is_some();
        self.alerts.values().filter(move |alert| !any_fires || alert.status == Status::Firing)
    }
}

fn shared<'a>(mut all: impl Iterator<Item = &'a Labels>) -> Labels {
    let Some(first) = all.next() else { return Labels::default() };
    all.fold(first.clone(), |common, labels| if common == *labels { common } else { common.shared_with(labels) })
}
