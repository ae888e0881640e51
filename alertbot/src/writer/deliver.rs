//! This module serves the sender: it claims a message before it is sent, and records the result.
//!
//! The claim is durable before the call begins. So after a kill, the bot knows which messages may have left. It sends such a
//! message at most once more, and marks it.

use alertbot_core::{
    delivery::{Address, DeliveryOutcome, Words},
    incident::{Incident, Phase},
    moment::timestamp,
    schedule::{MessageKind, Urgency, Verdict},
};
use jiff::Timestamp;

use super::{Change, Work, WriterCommand, parts};
use crate::store::{
    audit, continuations, incidents, lanes,
    outbox::{self, DigestEntry, Message, MessageBody, MessageState},
    threads,
};

/// Claims messages of the outbox to be sent in one call.
pub struct Claim {
    pub ids: Vec<i64>,
    pub digest: bool,
}

/// A claimed call.
#[derive(Debug, Clone)]
pub struct Dispatch {
    /// The messages of the call. For a digest, only the digest.
    pub messages: Vec<Message>,
    /// Their incidents now, in the same order. For a digest, the incidents that it lists.
    pub incidents: Vec<Incident>,
    /// The incident's first message in the chat, to reply to or to edit.
    pub thread: Option<i32>,
    /// For a part of a card: its text, and the message to edit if it was sent before.
    pub part: Option<(Words, Option<i32>)>,
    /// The edit becomes a new first message, because the original one was deleted.
    pub anew: bool,
}

impl WriterCommand for Claim {
    /// `None` if nothing is left to send.
    type Answer = Option<Dispatch>;

    async fn perform(&mut self, work: &mut Work) -> anyhow::Result<Option<Dispatch>> {
        if self.digest { claim_digest(work, &self.ids).await } else { claim(work, &self.ids).await }
    }
}

async fn claim(work: &mut Work, ids: &[i64]) -> anyhow::Result<Option<Dispatch>> {
    let mut dispatch = Dispatch { messages: Vec::new(), incidents: Vec::new(), thread: None, part: None, anew: false };
    for id in ids {
        let Some(mut message) = outbox::queued(&mut work.connection, *id).await? else {
            work.change(Change::Remove(*id));
            continue;
        };
        let incident = match (message.incident, &message.body) {
            (Some(incident), MessageBody::Incident { .. }) => incidents::by_id(&mut work.connection, incident).await?,
            _ => None,
        };
        if let Some(incident) = incident {
            let thread = threads::message_of(&mut work.connection, incident.id, &message.address).await?;
            let connection = &mut work.connection;
            let is_unsure = thread.is_none() && outbox::card_may_have_arrived(connection, incident.id, &message.address).await?;
            if !is_needed(&message, &incident, thread.is_some() || is_unsure) {
                work.drop_message(*id).await?;
                continue;
            }
            dispatch.thread = thread;
            dispatch.anew = message.kind == MessageKind::Edit && thread.is_none();
            dispatch.incidents.push(incident);
        } else if let (Some(incident), MessageBody::Picture { .. }) = (message.incident, &message.body) {
            dispatch.thread = threads::message_of(&mut work.connection, incident, &message.address).await?;
        } else if let MessageBody::Part { part } = message.body {
            dispatch.part = parts::claim(work, &message, part).await?;
            if dispatch.part.is_none() {
                work.drop_message(*id).await?;
                continue;
            }
        } else if let MessageBody::Digest { named } = &message.body {
            for named in named.clone() {
                dispatch.incidents.extend(incidents::by_id(&mut work.connection, named.incident).await?);
            }
        }
        message.under_way = true;
        outbox::save(&mut work.connection, &message).await?;
        dispatch.messages.push(message);
    }
    Ok((!dispatch.messages.is_empty()).then_some(dispatch))
}

/// Whether the message is still useful to a recipient.
fn is_needed(message: &Message, incident: &Incident, stands_there: bool) -> bool {
    match message.kind {
        // Checked again right before sending: a closed or acknowledged incident must wake no one.
        MessageKind::Phone => incident.phase == Phase::Firing || (incident.is_open() && message.maybe_sent),
        MessageKind::Notice => incident.is_open(),
        // Without a first message there is nothing to edit, and a closed incident needs no new one.
        MessageKind::Edit => stands_there || incident.is_open(),
        _ => true,
    }
}

async fn claim_digest(work: &mut Work, ids: &[i64]) -> anyhow::Result<Option<Dispatch>> {
    let (mut named, mut told, mut address, mut maybe_sent) = (Vec::new(), Vec::new(), None, false);
    for id in ids {
        let Some(mut message) = outbox::queued(&mut work.connection, *id).await? else {
            work.change(Change::Remove(*id));
            continue;
        };
        let Some(incident) = message.incident else { continue };
        let Some(incident) = incidents::by_id(&mut work.connection, incident).await? else { continue };
        named.push(DigestEntry { outbox: *id, incident: incident.id, ended: !incident.is_open() });
        told.push(incident);
        message.listed = true;
        maybe_sent |= message.maybe_sent;
        outbox::save(&mut work.connection, &message).await?;
        address.get_or_insert(message.address);
    }
    let Some(address) = address else { return Ok(None) };
    let mut digest = work.message(None, &address, MessageKind::Digest, Urgency::Ordinary, MessageBody::Digest { named });
    digest.under_way = true;
    // An earlier digest that may have arrived listed it, so this digest is marked as a possible duplicate.
    digest.maybe_sent = maybe_sent;
    outbox::insert(&mut work.connection, &mut digest).await?;
    Ok(Some(Dispatch { messages: vec![digest], incidents: told, thread: None, part: None, anew: false }))
}

/// Records the result of a call.
pub struct Finish {
    /// The planner's verdicts, by message.
    pub verdicts: Vec<(i64, Verdict)>,
    pub outcome: DeliveryOutcome,
    /// Text that exceeded the message. It follows without a sound, as replies.
    pub rest: Vec<String>,
    pub ended_at: Timestamp,
    /// The message was sent as a first one although it was planned as an edit.
    pub anew: bool,
}

impl WriterCommand for Finish {
    type Answer = ();

    async fn perform(&mut self, work: &mut Work) -> anyhow::Result<()> {
        for (id, verdict) in self.verdicts.clone() {
            let Some(message) = outbox::queued(&mut work.connection, id).await? else { continue };
            learn(work, &message, &self.outcome, self.ended_at).await?;
            match verdict {
                Verdict::Done { reference } => self.done(work, &message, &reference).await?,
                Verdict::Again { not_before, attempts, maybe_sent } => {
                    let again = Message { not_before: timestamp(not_before), attempts, maybe_sent, ..message };
                    self.again(work, again).await?;
                }
                Verdict::GivenUp { reason, dead } => given_up(work, &message, &reason, dead, self.ended_at).await?,
            }
        }
        Ok(())
    }
}

impl Finish {
    async fn done(&self, work: &mut Work, message: &Message, reference: &str) -> anyhow::Result<()> {
        let connection = &mut work.connection;
        outbox::finish(connection, message.id, MessageState::Delivered, Some(self.ended_at), Some(reference), None).await?;
        if let (Some(incident), Ok(id), true) =
            (message.incident, reference.parse(), message.kind == MessageKind::Card || self.anew)
        {
            threads::record_card(&mut work.connection, incident, &message.address, id).await?;
        }
        if let MessageBody::Digest { named } = &message.body {
            for named in named.iter().filter(|named| named.ended) {
                let Some(message) = outbox::queued(&mut work.connection, named.outbox).await? else { continue };
                // The incident may have reopened since.
                if message.listed && !message.under_way {
                    outbox::finish(&mut work.connection, message.id, MessageState::Delivered, None, None, None).await?;
                    work.change(Change::Remove(message.id));
                }
            }
        }
        if let MessageBody::Part { part } = message.body {
            // An edit returns the id of the edited message.
            if let (Some(incident), Ok(id)) = (message.incident, reference.parse()) {
                continuations::sent(&mut work.connection, incident, &message.address, part, Some(id)).await?;
            }
        } else if let (Some(incident), MessageKind::Card | MessageKind::Edit) = (message.incident, message.kind) {
            let first = message.kind == MessageKind::Card || self.anew;
            parts::follow(work, incident, &message.address, &self.rest, first).await?;
            let detail = format!("{} to {}", message.kind.name(), message.address);
            return work.note(audit::SELF, "delivered", Some(incident), detail).await;
        }
        for text in &self.rest {
            let words = Words { text: text.clone(), buttons: Vec::new(), reply_to: reference.parse().ok(), silent: true };
            work.say(&message.address, Urgency::Quiet, words).await?;
        }
        let detail = format!("{} to {}", message.kind.name(), message.address);
        work.note(audit::SELF, "delivered", message.incident, detail).await
    }

    async fn again(&self, work: &mut Work, mut message: Message) -> anyhow::Result<()> {
        message.under_way = false;
        match &self.outcome {
            DeliveryOutcome::Unparsable { .. } => message.plain = true,
            DeliveryOutcome::MessageGone => {
                message.bare = true;
                if let (Some(incident), MessageBody::Part { part }) = (message.incident, &message.body) {
                    continuations::sent(&mut work.connection, incident, &message.address, *part, None).await?;
                } else if let Some(incident) = message.incident {
                    threads::delete(&mut work.connection, incident, &message.address).await?;
                }
            }
            _ => {}
        }
        outbox::save(&mut work.connection, &message).await?;
        Ok(outbox::called(&mut work.connection, message.id, self.ended_at).await?)
    }
}

pub(super) async fn given_up(work: &mut Work, message: &Message, reason: &str, dead: bool, at: Timestamp) -> anyhow::Result<()> {
    let connection = &mut work.connection;
    outbox::finish(connection, message.id, MessageState::GivenUp, Some(at), None, Some(reason)).await?;
    let detail = format!("{} to {}: {reason}", message.kind.name(), message.address);
    work.note(audit::SELF, "given up", message.incident, detail).await?;
    if let MessageBody::Digest { named } = &message.body {
        return release_named(work, named, message.maybe_sent).await;
    }
    let sounded = matches!(message.kind, MessageKind::Card | MessageKind::Notice | MessageKind::Phone);
    if let (Some(incident), true) = (message.incident, sounded && (dead || message.urgency == Urgency::Critical)) {
        super::timers::undelivered(work, incident).await?;
    }
    Ok(())
}

/// A digest was not delivered. `maybe_sent`: it may have arrived, so its messages may be duplicates.
async fn release_named(work: &mut Work, named: &[DigestEntry], maybe_sent: bool) -> anyhow::Result<()> {
    for named in named {
        if let Some(mut message) = outbox::queued(&mut work.connection, named.outbox).await? {
            message.listed = false;
            message.maybe_sent |= maybe_sent;
            work.put(message).await?;
        }
    }
    Ok(())
}

/// Applies the facts that an outcome reveals about the chat.
async fn learn(work: &mut Work, message: &Message, outcome: &DeliveryOutcome, at: Timestamp) -> anyhow::Result<()> {
    match (outcome, &message.address) {
        (DeliveryOutcome::RateLimited { retry_after }, address) => {
            let until = at.checked_add(*retry_after).unwrap_or(at);
            lanes::block(&mut work.connection, &address.lane(), at, until).await?;
        }
        (DeliveryOutcome::Moved { chat: to }, Address::Telegram { bot, chat, .. }) => {
            lanes::set_chat_migration(&mut work.connection, bot, *chat, *to).await?;
            threads::delete_all(&mut work.connection, &message.address).await?;
            continuations::forget_all(&mut work.connection, &message.address).await?;
            work.routing.add_chat_migration(bot, *chat, *to);
            work.note(audit::SELF, "chat moved", message.incident, format!("{} is now {to}", message.address)).await?;
        }
        (DeliveryOutcome::TopicGone, Address::Telegram { bot, chat, topic: Some(topic) }) => {
            lanes::set_topic_lost(&mut work.connection, bot, *chat, *topic, at).await?;
            work.routing.add_lost_topic(bot, *chat, *topic, at);
            work.note(audit::SELF, "topic gone", message.incident, message.address.to_string()).await?;
        }
        _ => {}
    }
    Ok(())
}

/// Records that a chart could not be rendered. A person who requested it gets the reason. A chart attached by a route is dropped.
pub struct NotDrawn {
    pub id: i64,
    pub reason: String,
    /// Answer to the person who requested the chart.
    pub text: String,
}

impl WriterCommand for NotDrawn {
    type Answer = ();

    async fn perform(&mut self, work: &mut Work) -> anyhow::Result<()> {
        let Some(message) = outbox::queued(&mut work.connection, self.id).await? else { return Ok(()) };
        let reason = Some(self.reason.as_str());
        outbox::finish(&mut work.connection, message.id, MessageState::NotNeeded, Some(work.now), None, reason).await?;
        work.note(audit::SELF, "picture failed", message.incident, self.reason.clone()).await?;
        let MessageBody::Picture { reply_to: asked @ Some(_), .. } = message.body else { return Ok(()) };
        let words = Words { text: self.text.clone(), reply_to: asked, silent: true, ..Words::default() };
        work.say(&message.address, Urgency::Answer, words).await
    }
}

/// Records the result of a digest's first call. A digest that may have arrived, or must be sent as plain text, becomes a message
/// of its own.
pub struct FinishDigest {
    pub digest: i64,
    pub outcome: DeliveryOutcome,
    /// As in [`Finish`].
    pub rest: Vec<String>,
    pub ended_at: Timestamp,
}

impl WriterCommand for FinishDigest {
    type Answer = ();

    async fn perform(&mut self, work: &mut Work) -> anyhow::Result<()> {
        let Some(mut message) = outbox::queued(&mut work.connection, self.digest).await? else { return Ok(()) };
        learn(work, &message, &self.outcome, self.ended_at).await?;
        let finish = Finish {
            verdicts: Vec::new(),
            outcome: self.outcome.clone(),
            rest: self.rest.clone(),
            ended_at: self.ended_at,
            anew: false,
        };
        match &self.outcome {
            DeliveryOutcome::Delivered { reference } => finish.done(work, &message, reference).await,
            DeliveryOutcome::Unknown { .. } | DeliveryOutcome::Unparsable { .. } => {
                message.under_way = false;
                message.maybe_sent = matches!(self.outcome, DeliveryOutcome::Unknown { .. });
                message.plain = !message.maybe_sent;
                message.attempts = 1;
                work.put(message.clone()).await?;
                Ok(outbox::called(&mut work.connection, message.id, self.ended_at).await?)
            }
            _ => {
                let MessageBody::Digest { named } = message.body.clone() else { return Ok(()) };
                let connection = &mut work.connection;
                outbox::finish(connection, message.id, MessageState::NotNeeded, Some(self.ended_at), None, None).await?;
                for named in named {
                    outbox::set_listed(&mut work.connection, named.outbox, false).await?;
                }
                Ok(())
            }
        }
    }
}
