//! A webhook, written down: the group's incident is found or opened, and told what is news.

use jiff::Timestamp;

use super::{Job, Work};
use crate::{
    incident::{Escalation, Incident, IncidentId, Observation, Phase, Rules, Severity},
    store::{facts, incidents},
    webhook::{Labels, Payload, Status},
};

/// One group of one Alertmanager.
pub struct Hear {
    /// Name of the Alertmanager in the configuration.
    pub source: String,
    pub group: Group,
    pub observation: Observation,
}

/// Which group it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub receiver: String,
    pub key: String,
    pub labels: Labels,
    pub external_url: String,
    /// Names of the routes that it takes.
    pub routes: Vec<String>,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    Opened(IncidentId),
    Changed(IncidentId),
    /// Everything was known.
    Repeated(IncidentId),
    /// An end whose beginning nobody had heard of.
    NothingFires,
}

impl Heard {
    /// The label of metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Opened(_) => "opened",
            Self::Changed(_) => "changed",
            Self::Repeated(_) => "repeated",
            Self::NothingFires => "nothing_fires",
        }
    }
}

/// A group that API v2 told of has no key there: the webhook's key takes its place when it comes.
pub const KEY_FROM_API: &str = "api:";

impl Job for Hear {
    type Answer = Heard;

    async fn perform(&mut self, work: &mut Work) -> anyhow::Result<Heard> {
        let known = self.find(work).await?;
        let Some(mut incident) = known else { return self.open(work).await };
        let mut rules = work.book.rules(&incident);
        let forgotten = incident.ended_at.is_some_and(|ended| work.now.duration_since(ended) > rules.reopen_within);
        if !incident.is_open() && forgotten && self.brings_news_to(&incident) {
            return self.open(work).await;
        }
        if !self.group.key.starts_with(KEY_FROM_API) {
            incident.group_key.clone_from(&self.group.key);
        }
        if incident.rises_with(&self.observation) {
            rules = self.widen(work, &mut incident);
        }
        // Only Alertmanager's own repetition reminds.
        rules.remind &= !self.group.key.starts_with(KEY_FROM_API);
        let repeats = incident.repeats;
        let effects = incident.observe(&self.observation, work.now, &rules);
        let news = !effects.is_empty();
        if news {
            work.carry_out(&incident, effects).await?;
        } else if incident.repeats != repeats {
            incidents::save(&mut work.connection, &incident).await?;
        }
        Ok(if news { Heard::Changed(incident.id) } else { Heard::Repeated(incident.id) })
    }
}

impl Hear {
    async fn find(&self, work: &mut Work) -> anyhow::Result<Option<Incident>> {
        let Group { receiver, key, labels, .. } = &self.group;
        if let Some(known) = incidents::latest_of_group(&mut work.connection, &self.source, receiver, key).await? {
            return Ok(Some(known));
        }
        if key.starts_with(KEY_FROM_API) {
            return Ok(incidents::open_with_labels(&mut work.connection, &self.source, receiver, labels).await?);
        }
        let other = key_from_api(labels)?;
        Ok(incidents::latest_of_group(&mut work.connection, &self.source, receiver, &other).await?)
    }

    /// It is worse than before: routes that it did not take by its severity count for it too. Another escalation than before
    /// begins with its first step.
    fn widen(&self, work: &Work, incident: &mut Incident) -> Rules {
        let book = &work.book;
        let policy = |incident: &Incident| book.escalation(incident).map(|policy| policy.name.clone());
        let before = policy(incident);
        incident.routes = book.in_order(&incident.routes, &self.group.routes);
        let rules = book.rules(incident);
        if policy(incident) != before {
            incident.call_anew(work.now, &rules);
        }
        rules
    }

    /// Whether a firing alert of the list is none that the ended incident knows the end of.
    fn brings_news_to(&self, incident: &Incident) -> bool {
        let mut probe = incident.clone();
        let rules = Rules::default();
        probe.observe(&self.observation, Timestamp::MAX, &rules);
        probe.is_open()
    }

    async fn open(&self, work: &mut Work) -> anyhow::Result<Heard> {
        if !self.observation.alerts.iter().any(|(_, alert)| alert.status == Status::Firing) {
            return Ok(Heard::NothingFires);
        }
        let code = free_code(work).await?;
        let mut incident = self.blank(code, work.now);
        let rules = work.book.rules(&incident);
        let effects = incident.begin(&self.observation, work.now, &rules);
        incidents::insert(&mut work.connection, &mut incident).await?;
        work.follow(&incident, effects).await?;
        // A first step without a wait is taken now, with the same commit.
        if incident.next_due().is_some_and(|at| at <= work.now) {
            let effects = incident.due(work.now, &rules);
            work.carry_out(&incident, effects).await?;
        }
        Ok(Heard::Opened(incident.id))
    }

    /// An incident of this group that has not begun yet.
    pub fn blank(&self, code: u32, now: Timestamp) -> Incident {
        Incident {
            id: IncidentId(0),
            code,
            source: self.source.clone(),
            receiver: self.group.receiver.clone(),
            group_key: self.group.key.clone(),
            group_labels: self.group.labels.clone(),
            external_url: self.group.external_url.clone(),
            routes: self.group.routes.clone(),
            severity: Severity::Info,
            phase: Phase::Firing,
            started_at: now,
            opened_at: now,
            ended_at: None,
            alerts: Default::default(),
            truncated: 0,
            acknowledgement: None,
            taken_by: None,
            silences: Vec::new(),
            suppressed: false,
            escalation: Escalation::default(),
            reopened: Vec::new(),
            damped_until: None,
            sounded_at: None,
            repeats: 0,
        }
    }
}

/// The group's stand-in for a key.
pub fn key_from_api(labels: &Labels) -> anyhow::Result<String> {
    Ok(format!("{KEY_FROM_API}{}", serde_json::to_string(labels)?))
}

/// Four digits are easily typed; a storm that uses them up takes more.
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
    anyhow::bail!("no code is free")
}

/// The Watchdog of an Alertmanager arrived.
pub struct HearWatchdog {
    pub source: String,
}

impl Job for HearWatchdog {
    type Answer = ();

    async fn perform(&mut self, work: &mut Work) -> anyhow::Result<()> {
        let at = work.now.as_millisecond().to_string();
        Ok(facts::set(&mut work.connection, &watchdog_heard(&self.source), &at).await?)
    }
}

/// The fact when a Watchdog was last heard, Unix milliseconds.
pub fn watchdog_heard(source: &str) -> String {
    format!("watchdog heard {source}")
}

/// A payload's group, and its alerts without a copy.
pub fn take(book: &super::Book, source: &str, payload: Payload) -> Hear {
    let routes = book.routes(source, &payload);
    let names = routes.iter().map(|route| route.name.clone()).collect();
    let alerts = payload.alerts.into_iter().map(|alert| book.tracked(alert, &routes)).collect();
    Hear {
        source: source.to_owned(),
        observation: Observation { alerts, truncated: payload.truncated_alerts },
        group: Group {
            receiver: payload.receiver,
            key: payload.group_key,
            labels: payload.group_labels,
            external_url: payload.external_url,
            routes: names,
        },
    }
}
