//! This module ingests a webhook: it finds or opens the incident of the group, and applies the news to it.

use std::collections::{BTreeMap, HashMap, HashSet};

use alertbot_core::{
    alert::{Labels, Payload, Status},
    incident::{Incident, IncidentId, Observation, Rules},
};
use jiff::Timestamp;

use super::{Change, Work, WriterCommand, watchdogs::watchdog_fact};
use crate::{
    routing::Routing,
    store::{facts, incidents, owners},
};

/// One group of one Alertmanager.
pub struct Ingest {
    /// Name of the Alertmanager in the configuration.
    pub source: String,
    pub group: GroupIdentity,
    pub observation: Observation,
}

/// Identity of the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupIdentity {
    pub receiver: String,
    pub key: String,
    pub labels: Labels,
    pub external_url: String,
    /// Names of the routes that the incident takes.
    pub routes: Vec<String>,
}

/// Result of the ingestion. If alerts of the group belong to several incidents, the highest result applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ingested {
    /// A resolution without a known alert.
    NothingFires,
    /// The webhook contained no news.
    Repeated(IncidentId),
    Changed(IncidentId),
    Opened(IncidentId),
}

impl Ingested {
    /// Label of metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Opened(_) => "opened",
            Self::Changed(_) => "changed",
            Self::Repeated(_) => "repeated",
            Self::NothingFires => "nothing_fires",
        }
    }
}

/// A group read from API v2 has no key. The key of the next webhook replaces its stand-in.
pub const KEY_FROM_API: &str = "api:";

impl Ingest {
    /// Splits a payload into its group and its alerts without copying them.
    pub fn new(routing: &Routing, source: &str, payload: Payload) -> Self {
        let routes = routing.routes(source, &payload);
        let names = routes.iter().map(|route| route.name.clone()).collect();
        let alerts = payload.alerts.into_iter().map(|alert| routing.tracked(alert, &routes)).collect();
        Self {
            source: source.to_owned(),
            observation: Observation { alerts, truncated: payload.truncated_alerts },
            group: GroupIdentity {
                receiver: payload.receiver,
                key: payload.group_key,
                labels: payload.group_labels,
                external_url: payload.external_url,
                routes: names,
            },
        }
    }
}

impl WriterCommand for Ingest {
    type Answer = Ingested;

    async fn perform(&mut self, work: &mut Work) -> anyhow::Result<Ingested> {
        let blind = super::blind::blind_since(work, &self.source).await?;
        let split = self.split(work).await?;
        let mut outcome = None;
        for (mut incident, observation) in split.elsewhere {
            let heard = self.tell_one(work, &mut incident, &observation, blind).await?;
            outcome = outcome.max(Some(heard));
        }
        let observation = split.observation.as_ref().unwrap_or(&self.observation);
        if observation.alerts.is_empty() && split.home.is_none() {
            return Ok(outcome.unwrap_or(Ingested::NothingFires));
        }
        let heard = self.tell_home(work, split.home, observation, blind).await?;
        Ok(outcome.max(Some(heard)).unwrap_or(heard))
    }
}

/// The alerts of a group, by the incidents to which they belong.
struct Split {
    /// The incident of the group.
    home: Option<Incident>,
    /// Alerts that belong to other open incidents.
    elsewhere: Vec<(Incident, Observation)>,
    /// The remaining alerts for `home`; `None` if all are.
    observation: Option<Observation>,
}

impl Ingest {
    /// An alert stays with its open incident, even if its group has another key now.
    async fn split(&self, work: &mut Work) -> anyhow::Result<Split> {
        let keyed = self.find(work).await?;
        let fingerprints: Vec<&str> = self.observation.alerts.iter().map(|(fingerprint, _)| fingerprint.as_ref()).collect();
        let mut owners = owners::owners_of(&mut work.connection, &self.source, &fingerprints).await?;
        owners.retain(|owner| keyed.as_ref().is_none_or(|keyed| keyed.id != owner.incident));
        let keyed_is_open = keyed.as_ref().is_some_and(Incident::is_open);
        let mut others: BTreeMap<IncidentId, Incident> = BTreeMap::new();
        let mut refused: HashSet<IncidentId> = HashSet::new();
        for owner in &owners {
            // A closed incident matters only if the group has no open one.
            let matters = owner.is_open || keyed.is_none();
            if !matters || others.contains_key(&owner.incident) || refused.contains(&owner.incident) {
                continue;
            }
            match incidents::by_id(&mut work.connection, owner.incident).await? {
                // A receiver with other chats is another incident.
                Some(other) if owner.receiver == self.group.receiver || other.routes == self.group.routes => {
                    others.insert(owner.incident, other);
                }
                _ => {
                    refused.insert(owner.incident);
                }
            }
        }
        let oldest_open = others.values().find(|other| other.is_open()).map(|other| other.id);
        let newest_ended = others.values().rev().find(|other| !other.is_open()).map(|other| other.id);
        let home = match (keyed, oldest_open) {
            (Some(keyed), _) if keyed_is_open => Some(keyed),
            (_, Some(open)) => others.remove(&open),
            (Some(keyed), None) => Some(keyed),
            (None, None) => newest_ended.and_then(|ended| others.remove(&ended)),
        };
        others.retain(|_, other| other.is_open());
        if others.is_empty() {
            return Ok(Split { home, elsewhere: Vec::new(), observation: None });
        }
        let theirs: HashMap<&str, IncidentId> = owners
            .iter()
            .filter(|owner| others.contains_key(&owner.incident))
            .map(|owner| (owner.fingerprint.as_ref(), owner.incident))
            .collect();
        let mut parts: BTreeMap<IncidentId, Observation> = BTreeMap::new();
        let mut left = Observation { alerts: Vec::new(), truncated: self.observation.truncated };
        for alert in &self.observation.alerts {
            match theirs.get(alert.0.as_ref()) {
                Some(id) => parts.entry(*id).or_default().alerts.push(alert.clone()),
                None => left.alerts.push(alert.clone()),
            }
        }
        let elsewhere = parts.into_iter().filter_map(|(id, part)| Some((others.remove(&id)?, part))).collect();
        Ok(Split { home, elsewhere, observation: Some(left) })
    }

    /// Returns the group's own incident under the group's present key, or a new one.
    async fn tell_home(
        &self,
        work: &mut Work,
        home: Option<Incident>,
        observation: &Observation,
        blind: Option<Timestamp>,
    ) -> anyhow::Result<Ingested> {
        let Some(mut incident) = home else { return self.open(work, observation, blind).await };
        let reopen_within = work.routing.rules(&incident).reopen_within;
        let forgotten = incident.ended_at.is_some_and(|ended| work.now.duration_since(ended) > reopen_within);
        if !incident.is_open() && forgotten && brings_news_to(&incident, observation) {
            return self.open(work, observation, blind).await;
        }
        let of = |incident: &Incident| (incident.group_key.clone(), incident.receiver.clone(), incident.external_url.clone());
        let before = of(&incident);
        if !self.group.key.starts_with(KEY_FROM_API) {
            if !self.group.external_url.is_empty() {
                // Links in messages lead there.
                incident.external_url.clone_from(&self.group.external_url);
            }
            incident.group_key.clone_from(&self.group.key);
            incident.group_labels.clone_from(&self.group.labels);
            incident.receiver.clone_from(&self.group.receiver);
        }
        let renamed = before != of(&incident);
        let heard = self.tell_one(work, &mut incident, observation, blind).await?;
        if renamed && matches!(heard, Ingested::Repeated(_)) {
            incidents::update(&mut work.connection, &incident).await?;
        }
        Ok(heard)
    }

    async fn tell_one(
        &self,
        work: &mut Work,
        incident: &mut Incident,
        observation: &Observation,
        blind: Option<Timestamp>,
    ) -> anyhow::Result<Ingested> {
        let mut rules = work.routing.rules(incident);
        if incident.rises_with(observation) {
            rules = self.widen(work, incident);
        }
        if blind.is_some() && incident.is_open() {
            incident.blind_since = incident.blind_since.or(blind);
        }
        // Only a repetition by Alertmanager reminds.
        rules.remind &= !self.group.key.starts_with(KEY_FROM_API);
        let (repeats, unconfirmed) = (incident.repeats, unconfirmed(incident));
        let effects = incident.observe(observation, work.now, &rules);
        let news = !effects.is_empty();
        if news {
            work.carry_out(incident, effects).await?;
        } else if incident.repeats != repeats || unconfirmed != self::unconfirmed(incident) {
            incidents::update(&mut work.connection, incident).await?;
        }
        if !news && incident.is_open() {
            work.restore_lost_cards(incident).await?;
        }
        if incident.alerts.values().any(|alert| alert.confirms_at.is_some()) {
            work.change(Change::Compare);
            work.change(Change::Timers);
        }
        self.own(work, incident, observation).await?;
        Ok(if news { Ingested::Changed(incident.id) } else { Ingested::Repeated(incident.id) })
    }

    /// Records which alerts belong to the incident.
    async fn own(&self, work: &mut Work, incident: &Incident, observation: &Observation) -> anyhow::Result<()> {
        let known = |fingerprint: &&str| incident.alerts.contains_key(*fingerprint);
        let fingerprints: Vec<&str> =
            observation.alerts.iter().map(|(fingerprint, _)| fingerprint.as_ref()).filter(known).collect();
        let owned: HashSet<Box<str>> = owners::owners_of(&mut work.connection, &self.source, &fingerprints)
            .await?
            .into_iter()
            .filter(|owner| owner.incident == incident.id && owner.receiver == incident.receiver)
            .map(|owner| owner.fingerprint)
            .collect();
        let new: Vec<&str> = fingerprints.into_iter().filter(|fingerprint| !owned.contains(*fingerprint)).collect();
        if new.is_empty() {
            return Ok(());
        }
        Ok(owners::assign(&mut work.connection, &self.source, &incident.receiver, incident.id, &new).await?)
    }

    async fn find(&self, work: &mut Work) -> anyhow::Result<Option<Incident>> {
        let GroupIdentity { receiver, key, labels, .. } = &self.group;
        if let Some(known) = incidents::latest_of_group(&mut work.connection, &self.source, receiver, key).await? {
            return Ok(Some(known));
        }
        if key.starts_with(KEY_FROM_API) {
            return Ok(incidents::open_with_labels(&mut work.connection, &self.source, receiver, labels).await?);
        }
        let other = key_from_api(labels)?;
        Ok(incidents::latest_of_group(&mut work.connection, &self.source, receiver, &other).await?)
    }

    /// The severity rose: routes that did not match its former severity apply too. A different escalation starts with its first
    /// step.
    fn widen(&self, work: &Work, incident: &mut Incident) -> Rules {
        let routing = &work.routing;
        let policy = |incident: &Incident| routing.escalation(incident).map(|policy| policy.name.clone());
        let before = policy(incident);
        incident.routes = routing.in_order(&incident.routes, &self.group.routes);
        let rules = routing.rules(incident);
        if policy(incident) != before {
            incident.follow_policy(work.now, &rules);
        }
        rules
    }

    async fn open(&self, work: &mut Work, observation: &Observation, blind: Option<Timestamp>) -> anyhow::Result<Ingested> {
        if !observation.alerts.iter().any(|(_, alert)| alert.status == Status::Firing) {
            return Ok(Ingested::NothingFires);
        }
        let code = free_code(work).await?;
        let mut incident = self.blank(code, work.now);
        incident.blind_since = blind;
        let rules = work.routing.rules(&incident);
        let effects = incident.begin(observation, work.now, &rules);
        incidents::create(&mut work.connection, &mut incident).await?;
        self.own(work, &incident, observation).await?;
        work.follow(&incident, effects).await?;
        // The same commit runs a first step without a wait.
        if incident.next_due().is_some_and(|at| at <= work.now) {
            let effects = incident.due(work.now, &rules);
            work.carry_out(&incident, effects).await?;
        }
        Ok(Ingested::Opened(incident.id))
    }

    /// A new incident of this group.
    pub fn blank(&self, code: u32, now: Timestamp) -> Incident {
        Incident {
            code,
            source: self.source.clone(),
            receiver: self.group.receiver.clone(),
            group_key: self.group.key.clone(),
            group_labels: self.group.labels.clone(),
            external_url: self.group.external_url.clone(),
            routes: self.group.routes.clone(),
            ..Incident::blank(now)
        }
    }
}

/// Alerts whose resolution waits for confirmation.
fn unconfirmed(incident: &Incident) -> usize {
    incident.alerts.values().filter(|alert| alert.unconfirmed_end.is_some()).count()
}

/// Whether the list has a firing alert whose resolution the incident does not know.
fn brings_news_to(incident: &Incident, observation: &Observation) -> bool {
    let mut probe = incident.clone();
    let rules = Rules::default();
    probe.observe(observation, Timestamp::MAX, &rules);
    probe.is_open()
}

/// A stand-in for the group's key.
pub fn key_from_api(labels: &Labels) -> anyhow::Result<String> {
    Ok(format!("{KEY_FROM_API}{}", serde_json::to_string(labels)?))
}

/// Four digits are easy to type. A storm that uses all of them gets longer codes.
async fn free_code(work: &mut Work) -> anyhow::Result<u32> {
    const TRIES: usize = 20;
    for range in [1_000..10_000_u32, 100_000..1_000_000, 10_000_000..100_000_000] {
        for _ in 0..TRIES {
            let code = rand::random_range(range.clone());
            if !incidents::code_is_taken(&mut work.connection, code).await? {
                return Ok(code);
            }
        }
    }
    anyhow::bail!("no SMS code is available")
}

/// The Watchdog of an Alertmanager arrived.
pub struct IngestWatchdog {
    pub source: String,
}

impl WriterCommand for IngestWatchdog {
    type Answer = ();

    async fn perform(&mut self, work: &mut Work) -> anyhow::Result<()> {
        let at = work.now.as_millisecond().to_string();
        facts::set(&mut work.connection, &watchdog_fact(&self.source), &at).await?;
        super::blind::thaw(work, &self.source).await
    }
}
