//! This module turns effects of the state machine into rows of the outbox.
//!
//! At most one message of each kind waits for one incident in one chat, and it includes later changes. The sender renders the
//! text when it sends. So a storm lengthens queues by the number of incidents, not of changes.

use alertbot_core::{
    alert::Severity,
    delivery::{Address, Words},
    incident::{Effect, Happening, Incident, IncidentId},
    schedule::{MessageKind, Urgency},
};

use super::{Change, Work, work::Reached};
use crate::{
    routing::QuietMode,
    store::{
        audit, incidents,
        outbox::{self, Message, MessageBody},
        threads,
    },
};

impl Work {
    /// Stores the incident's new state and all of its effects.
    pub async fn carry_out(&mut self, incident: &Incident, effects: Vec<Effect>) -> anyhow::Result<()> {
        incidents::update(&mut self.connection, incident).await?;
        self.follow(incident, effects).await
    }

    /// Performs the effects of an incident's state that is already stored.
    pub async fn follow(&mut self, incident: &Incident, effects: Vec<Effect>) -> anyhow::Result<()> {
        self.change(Change::Timers);
        for effect in effects {
            match effect {
                Effect::Tell(happening) => self.notify(incident, &happening).await?,
                Effect::Call { step, round, everyone, by } => self.escalate(incident, step, round, everyone, by).await?,
                Effect::EndSilence { id } => {
                    let name = silence_to_end(&incident.source, &id);
                    crate::store::facts::set(&mut self.connection, &name, &incident.id.0.to_string()).await?;
                    self.change(Change::EndSilence);
                }
            }
        }
        Ok(())
    }

    /// Notifies every chat that follows the incident: the chats of its routes and those notified by an escalation step.
    pub async fn notify(&mut self, incident: &Incident, happening: &Happening) -> anyhow::Result<()> {
        self.note(actor(incident, happening), action(happening), Some(incident.id), detail(happening)).await?;
        match happening {
            // A reassignment says nothing about the time to acknowledge.
            Happening::Acknowledged { by } if incident.taken_by.as_ref() == Some(by) => {
                self.reached(Reached::Acknowledged, incident);
            }
            Happening::Resolved => self.reached(Reached::Resolved, incident),
            _ => {}
        }
        let mut addresses = self.routing.chats(incident);
        for told in threads::addresses(&mut self.connection, incident.id).await? {
            if !addresses.contains(&told) {
                addresses.push(told);
            }
        }
        for address in addresses {
            self.tell_address(incident, &address, happening).await?;
        }
        Ok(())
    }

    /// Alertmanager repeats a notification. A chat whose first message was dropped after lost answers gets it again, because it may
    /// never have arrived.
    pub async fn restore_lost_cards(&mut self, incident: &Incident) -> anyhow::Result<()> {
        let Ok(horizon) = self.now.checked_sub(RESTORED_AFTER) else { return Ok(()) };
        for address in self.routing.chats(incident) {
            if threads::message_of(&mut self.connection, incident.id, &address).await?.is_none()
                && outbox::card_is_missing(&mut self.connection, incident.id, &address, horizon).await?
            {
                self.tell_address(incident, &address, &Happening::Reminded).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn tell_address(
        &mut self,
        incident: &Incident,
        address: &Address,
        happening: &Happening,
    ) -> anyhow::Result<()> {
        let queued = outbox::queued_of_incident(&mut self.connection, incident.id, address).await?;
        let waiting = |kind| queued.iter().find(|message| message.kind == kind && !message.under_way).cloned();
        if let Some(card) = waiting(MessageKind::Card) {
            // The first message is still in the queue and will include this change.
            return self.append(incident, card, happening).await;
        }
        let has_card = queued.iter().any(|message| message.kind == MessageKind::Card)
            || threads::message_of(&mut self.connection, incident.id, address).await?.is_some();
        if !has_card {
            if happening.sounds() {
                self.add(incident, address, MessageKind::Card, happening).await?;
                self.attach_picture(incident, address).await?;
            } else if outbox::card_may_have_arrived(&mut self.connection, incident.id, address).await? {
                // The first message cannot be edited, so the result gets its own message.
                match waiting(MessageKind::Edit) {
                    Some(edit) => self.append(incident, edit, happening).await?,
                    None => self.add(incident, address, MessageKind::Edit, happening).await?,
                }
            }
            return Ok(());
        }
        if happening.sounds() {
            match waiting(MessageKind::Notice) {
                Some(notice) => self.append(incident, notice, happening).await?,
                None => self.add(incident, address, MessageKind::Notice, happening).await?,
            }
        }
        match waiting(MessageKind::Edit) {
            Some(edit) => self.append(incident, edit, happening).await,
            None => self.add(incident, address, MessageKind::Edit, happening).await,
        }
    }

    async fn add(
        &mut self,
        incident: &Incident,
        address: &Address,
        kind: MessageKind,
        happening: &Happening,
    ) -> anyhow::Result<()> {
        let body = MessageBody::Incident { happenings: vec![happening.clone()] };
        let mut message = self.message(Some(incident.id), address, kind, Urgency::Quiet, body);
        self.weigh(incident, &mut message, happening);
        self.put(message).await?;
        Ok(())
    }

    /// Adds the chart that a route requests, as a silent reply to the card. It is rendered and sent after the card.
    async fn attach_picture(&mut self, incident: &Incident, address: &Address) -> anyhow::Result<()> {
        let Some(expression) = incident.expression().filter(|_| self.routing.wants_picture(incident)) else { return Ok(()) };
        let body =
            MessageBody::Picture { expression, source: incident.source.clone(), caption: incident.title(), reply_to: None };
        let picture = self.message(Some(incident.id), address, MessageKind::Picture, Urgency::Picture, body);
        self.put(picture).await?;
        Ok(())
    }

    async fn append(&mut self, incident: &Incident, mut message: Message, happening: &Happening) -> anyhow::Result<()> {
        if let MessageBody::Incident { happenings } = &mut message.body {
            happenings.push(happening.clone());
            let surplus = happenings.len().saturating_sub(MOST_HAPPENINGS);
            happenings.drain(..surplus);
        }
        // The change makes the digest's line for this incident out of date.
        message.listed = false;
        self.weigh(incident, &mut message, happening);
        self.put(message).await?;
        Ok(())
    }

    /// Urgency of a message, when it is overdue, and whether quiet hours hold it.
    fn weigh(&self, incident: &Incident, message: &mut Message, happening: &Happening) {
        let critical = incident.severity == Severity::Critical && incident.is_open();
        let sounds = matches!(message.kind, MessageKind::Card | MessageKind::Notice);
        let urgency = match (sounds, critical) {
            (true, true) => Urgency::Critical,
            (true, false) => Urgency::Ordinary,
            (false, _) if was_pressed(happening) => Urgency::Answer,
            (false, _) => Urgency::Quiet,
        };
        // A card whose incident closed before the first notification is sent without a sound.
        let ended = sounds && !incident.is_open();
        message.urgency = if ended { Urgency::Ordinary } else { message.urgency.min(urgency) };
        message.digestible = sounds && message.urgency == Urgency::Ordinary;
        if !sounds {
            return;
        }
        match self.routing.quiet_mode(&message.address, incident.severity, self.now) {
            QuietMode::Hold(until) => message.not_before = message.not_before.max(until),
            // A rise in severity releases a message held for the lower one.
            QuietMode::Loud | QuietMode::Mute => message.not_before = message.since,
        }
        if message.urgency == Urgency::Critical && message.overdue_at.is_none() && !message.listed {
            let within = self.routing.config.incidents.critical_within;
            message.overdue_at = message.not_before.max(self.now).checked_add(within).ok();
        } else if message.urgency != Urgency::Critical {
            message.overdue_at = None;
        }
    }

    /// A message with default properties.
    pub fn message(
        &self,
        incident: Option<IncidentId>,
        address: &Address,
        kind: MessageKind,
        urgency: Urgency,
        body: MessageBody,
    ) -> Message {
        Message {
            id: 0,
            incident,
            address: address.clone(),
            kind,
            urgency,
            body,
            since: self.now,
            not_before: self.now,
            overdue_at: None,
            digestible: false,
            listed: false,
            attempts: 0,
            maybe_sent: false,
            plain: false,
            bare: false,
            under_way: false,
        }
    }

    /// Queues ready text for a chat or a phone.
    pub async fn say(&mut self, address: &Address, urgency: Urgency, words: Words) -> anyhow::Result<()> {
        let kind = if matches!(address, Address::Phone { .. }) { MessageKind::Phone } else { MessageKind::Text };
        let message = self.message(None, address, kind, urgency, MessageBody::Text(words));
        self.put(message).await?;
        Ok(())
    }
}

/// A repetition by Alertmanager within this time of a lost message is one of its own attempts, not news.
const RESTORED_AFTER: jiff::SignedDuration = jiff::SignedDuration::from_mins(1);
/// Most happenings in one waiting message. The state itself is read when the message is sent.
const MOST_HAPPENINGS: usize = 20;

/// Name of the fact that a silence must be ended. It is deleted when the silence has ended.
pub fn silence_to_end(source: &str, id: &str) -> String {
    format!("end silence {source}/{id}")
}

/// A person is looking at the message and waits for it to change.
fn was_pressed(happening: &Happening) -> bool {
    matches!(
        happening,
        Happening::Acknowledged { .. } | Happening::Silenced { .. } | Happening::Unsilenced { .. } | Happening::Reassigned { .. }
    )
}

fn actor<'a>(incident: &'a Incident, happening: &'a Happening) -> &'a str {
    match happening {
        Happening::Acknowledged { by }
        | Happening::AcknowledgementEnded { by }
        | Happening::Reassigned { by, .. }
        | Happening::Silenced { by }
        | Happening::Unsilenced { by } => by,
        Happening::Escalated { by, .. } => by.as_deref().unwrap_or(audit::SELF),
        _ => &incident.source,
    }
}

fn action(happening: &Happening) -> &'static str {
    match happening {
        Happening::Fired => "fired",
        Happening::Reopened { .. } => "reopened",
        Happening::SeverityRaised { .. } => "severity raised",
        Happening::Joined { .. } => "joined",
        Happening::Escalated { .. } => "escalated",
        Happening::Reminded => "reminded",
        Happening::Acknowledged { .. } => "acknowledged",
        Happening::AcknowledgementEnded { .. } => "acknowledgement ended",
        Happening::Reassigned { .. } => "reassigned",
        Happening::Silenced { .. } => "silenced",
        Happening::Unsilenced { .. } => "unsilenced",
        Happening::Resolved => "resolved",
        Happening::EscalationLost => "escalation lost",
        Happening::Changed => "changed",
    }
}

fn detail(happening: &Happening) -> String {
    match happening {
        Happening::Joined { count } => format!("{count} alerts"),
        Happening::SeverityRaised { from } => format!("from {}", from.name()),
        Happening::Escalated { step, round, to, .. } => format!("round {round}, step {step}: {}", to.join(", ")),
        Happening::Reassigned { to, .. } => format!("to {to}"),
        Happening::Reopened { flapping: true } => "flapping".into(),
        _ => String::new(),
    }
}
