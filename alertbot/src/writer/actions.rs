//! This module performs actions of people: acknowledge, reassign, escalate, silence. The caller must check authorization first.

use alertbot_core::{
    delivery::{Address, DeliveryReport, Words},
    incident::{Incident, IncidentId, Silence},
    schedule::{MessageKind, Urgency},
};

use super::{Work, WriterCommand};
use crate::store::{incidents, outbox};

/// An action on an incident.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    Acknowledge,
    /// Ends an acknowledgement.
    Release,
    Reassign {
        to: String,
    },
    Escalate,
    /// Already created in Alertmanager.
    Silence(Silence),
    /// Already ended in Alertmanager.
    Unsilence {
        ids: Vec<String>,
    },
}

pub struct Perform {
    pub incident: IncidentId,
    /// Name for people.
    pub by: String,
    pub act: Act,
}

/// Result of an action.
#[derive(Debug, Clone, PartialEq)]
pub enum Performed {
    Done(Box<Incident>),
    /// The incident is closed, or already in this state.
    Nothing(Box<Incident>),
    /// No such incident.
    Unknown,
}

impl WriterCommand for Perform {
    type Answer = Performed;

    async fn perform(&mut self, work: &mut Work) -> anyhow::Result<Performed> {
        let Some(mut incident) = incidents::by_id(&mut work.connection, self.incident).await? else {
            return Ok(Performed::Unknown);
        };
        let rules = work.routing.rules(&incident);
        let effects = match &self.act {
            Act::Acknowledge => incident.acknowledge(&self.by, work.now, &rules),
            Act::Release => incident.release(&self.by, work.now, &rules),
            Act::Reassign { to } => incident.reassign(to, &self.by, work.now, &rules),
            Act::Escalate => incident.escalate(&self.by, work.now, &rules),
            Act::Silence(silence) => Some(incident.silence(silence.clone())),
            Act::Unsilence { ids } => {
                let ended: Vec<_> = ids.iter().filter_map(|id| incident.unsilence(id, &self.by)).collect();
                (!ended.is_empty()).then(|| ended.into_iter().flatten().take(1).collect())
            }
        };
        let Some(effects) = effects else { return Ok(Performed::Nothing(Box::new(incident))) };
        work.carry_out(&incident, effects).await?;
        if matches!(self.act, Act::Acknowledge | Act::Reassign { .. }) {
            stop_calls(work, incident.id).await?;
        }
        Ok(Performed::Done(Box::new(incident)))
    }
}

/// The incident has an owner now: SMS and calls that have not left the queue are removed.
async fn stop_calls(work: &mut Work, incident: IncidentId) -> anyhow::Result<()> {
    for message in outbox::all_queued_of_incident(&mut work.connection, incident).await? {
        if message.kind == MessageKind::Phone && !message.under_way {
            work.drop_message(message.id).await?;
        }
    }
    Ok(())
}

/// An action that no incident records: rejected, requested, confirmed.
pub struct Note {
    pub actor: String,
    pub action: String,
    pub incident: Option<IncidentId>,
    pub detail: String,
}

impl WriterCommand for Note {
    type Answer = ();

    async fn perform(&mut self, work: &mut Work) -> anyhow::Result<()> {
        work.note(&self.actor, &self.action, self.incident, self.detail.clone()).await
    }
}

/// Ready text for a person.
pub struct Say {
    pub address: Address,
    pub urgency: Urgency,
    pub words: Words,
}

impl WriterCommand for Say {
    type Answer = ();

    async fn perform(&mut self, work: &mut Work) -> anyhow::Result<()> {
        work.say(&self.address, self.urgency, self.words.clone()).await
    }
}

/// A chart of an expression for a chat.
pub struct Draw {
    pub incident: Option<IncidentId>,
    pub address: Address,
    pub expression: String,
    pub source: String,
    pub caption: String,
    pub reply_to: Option<i32>,
}

impl WriterCommand for Draw {
    type Answer = ();

    async fn perform(&mut self, work: &mut Work) -> anyhow::Result<()> {
        let body = outbox::MessageBody::Picture {
            expression: self.expression.clone(),
            source: self.source.clone(),
            caption: self.caption.clone(),
            reply_to: self.reply_to,
        };
        let urgency = Urgency::Picture;
        let message = work.message(self.incident, &self.address, MessageKind::Picture, urgency, body);
        work.put(message).await?;
        Ok(())
    }
}

/// A provider's delivery report.
pub struct ReportedDelivery {
    pub provider: String,
    pub reference: String,
    pub report: DeliveryReport,
}

impl WriterCommand for ReportedDelivery {
    /// Whether the message is known and the report is news.
    type Answer = bool;

    async fn perform(&mut self, work: &mut Work) -> anyhow::Result<bool> {
        let (word, reason) = match &self.report {
            DeliveryReport::Underway => ("underway", None),
            DeliveryReport::Arrived => ("arrived", None),
            DeliveryReport::Failed { reason } => ("failed", Some(reason)),
        };
        let mut news = false;
        for (id, incident, address) in outbox::by_reference(&mut work.connection, &self.provider, &self.reference).await? {
            if !outbox::report(&mut work.connection, id, word).await? {
                continue;
            }
            news = true;
            let detail = format!("{address}{}", reason.map(|reason| format!(": {reason}")).unwrap_or_default());
            work.note(&self.provider, word, incident, detail).await?;
            if let (Some(_), Some(incident)) = (reason, incident) {
                super::timers::undelivered(work, incident).await?;
            }
        }
        Ok(news)
    }
}
