//! What the sender asks of the desk: to claim a message before it is sent, and to write down what came of it.
//!
//! The claim is durable before the call begins. So after a kill a message that may have left is known: it is sent at most once
//! more, and marked.

use jiff::Timestamp;

use super::{Change, Job, Work, parts};
use crate::{
    clock::timestamp,
    incident::{Incident, Phase},
    notify::{Address, Outcome},
    schedule::{Kind, Urgency, Verdict},
    store::{
        audit, continuations, incidents, lanes,
        outbox::{self, Body, Message, Named, State, Words},
        threads,
    },
};

/// Takes messages out of the outbox to be sent as one call.
pub struct Claim {
    pub ids: Vec<i64>,
    pub digest: bool,
}

/// What to send.
#[derive(Debug, Clone)]
pub struct Dispatch {
    /// The messages of the call; of a digest, the digest alone.
    pub messages: Vec<Message>,
    /// Their incidents as they are now, in the same order; a digest's are those that it names.
    pub incidents: Vec<Incident>,
    /// The incident's first message in the chat, to reply to or to edit.
    pub thread: Option<i32>,
    /// Of a part of a card: what it says, and the message to edit if it was sent before.
    pub part: Option<(Words, Option<i32>)>,
    /// What was to be an edit becomes a first message: the one to be edited is gone.
    pub anew: bool,
}

impl Job for Claim {
    /// `None` when nothing is left to be sent.
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
            (Some(incident), Body::Incident { .. }) => incidents::by_id(&mut work.connection, incident).await?,
            _ => None,
        };
        if let Some(incident) = incident {
            let thread = threads::get(&mut work.connection, incident.id, &message.address).await?;
            let connection = &mut work.connection;
            let is_unsure = thread.is_none() && outbox::card_may_have_arrived(connection, incident.id, &message.address).await?;
            if !is_needed(&message, &incident, thread.is_some() || is_unsure) {
                work.drop_message(*id).await?;
                continue;
            }
            dispatch.thread = thread;
            dispatch.anew = message.kind == Kind::Edit && thread.is_none();
            dispatch.incidents.push(incident);
        } else if let (Some(incident), Body::Picture { .. }) = (message.incident, &message.body) {
            dispatch.thread = threads::get(&mut work.connection, incident, &message.address).await?;
        } else if let Body::Part { part } = message.body {
            dispatch.part = parts::claim(work, &message, part).await?;
            if dispatch.part.is_none() {
                work.drop_message(*id).await?;
                continue;
            }
        } else if let Body::Digest { named } = &message.body {
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

/// Whether the message still says something to somebody.
fn is_needed(message: &Message, incident: &Incident, stands_there: bool) -> bool {
    match message.kind {
        // Rechecked at the last moment: nobody is woken for what has ended or was taken.
        Kind::Phone => incident.phase == Phase::Firing || (incident.is_open() && message.doubtful),
        Kind::Notice => incident.is_open(),
        // Where no first message stands there is nothing to edit, and an incident that has ended needs no new one.
        Kind::Edit => stands_there || incident.is_open(),
        _ => true,
    }
}

async fn claim_digest(work: &mut Work, ids: &[i64]) -> anyhow::Result<Option<Dispatch>> {
    let (mut named, mut told, mut address, mut doubtful) = (Vec::new(), Vec::new(), None, false);
    for id in ids {
        let Some(mut message) = outbox::queued(&mut work.connection, *id).await? else {
            work.change(Change::Remove(*id));
            continue;
        };
        let Some(incident) = message.incident else { continue };
        let Some(incident) = incidents::by_id(&mut work.connection, incident).await? else { continue };
        named.push(Named { outbox: *id, incident: incident.id, ended: !incident.is_open() });
        told.push(incident);
        message.told = true;
        doubtful |= message.doubtful;
        outbox::save(&mut work.connection, &message).await?;
        address.get_or_insert(message.address);
    }
    let Some(address) = address else { return Ok(None) };
    let mut digest = work.message(None, &address, Kind::Digest, Urgency::Ordinary, Body::Digest { named });
    digest.under_way = true;
    // A digest that may have arrived named it before: this one says so.
    digest.doubtful = doubtful;
    outbox::insert(&mut work.connection, &mut digest).await?;
    Ok(Some(Dispatch { messages: vec![digest], incidents: told, thread: None, part: None, anew: false }))
}

/// What came of a call.
pub struct Finish {
    /// The planner's verdicts: by message.
    pub verdicts: Vec<(i64, Verdict)>,
    pub outcome: Outcome,
    /// What did not fit into the message: follows without a sound, as replies to it.
    pub rest: Vec<String>,
    pub ended_at: Timestamp,
    /// A message that was sent as a first one although it was to be an edit.
    pub anew: bool,
}

impl Job for Finish {
    type Answer = ();

    async fn perform(&mut self, work: &mut Work) -> anyhow::Result<()> {
        for (id, verdict) in self.verdicts.clone() {
            let Some(message) = outbox::queued(&mut work.connection, id).await? else { continue };
            learn(work, &message, &self.outcome, self.ended_at).await?;
            match verdict {
                Verdict::Done { reference } => self.done(work, &message, &reference).await?,
                Verdict::Again { not_before, attempts, doubtful } => {
                    let again = Message { not_before: timestamp(not_before), attempts, doubtful, ..message };
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
        outbox::finish(connection, message.id, State::Delivered, Some(self.ended_at), Some(reference), None).await?;
        if let (Some(incident), Ok(id), true) = (message.incident, reference.parse(), message.kind == Kind::Card || self.anew) {
            threads::set(&mut work.connection, incident, &message.address, id).await?;
        }
        if let Body::Digest { named } = &message.body {
            for named in named.iter().filter(|named| named.ended) {
                let Some(told) = outbox::queued(&mut work.connection, named.outbox).await? else { continue };
                // It may have begun again since.
                if told.told && !told.under_way {
                    outbox::finish(&mut work.connection, told.id, State::Delivered, None, None, None).await?;
                    work.change(Change::Remove(told.id));
                }
            }
        }
        if let Body::Part { part } = message.body {
            // An edit answers the number of the message that it edited.
            if let (Some(incident), Ok(id)) = (message.incident, reference.parse()) {
                continuations::sent(&mut work.connection, incident, &message.address, part, Some(id)).await?;
            }
        } else if let (Some(incident), Kind::Card | Kind::Edit) = (message.incident, message.kind) {
            let first = message.kind == Kind::Card || self.anew;
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
            Outcome::Unparsable { .. } => message.plain = true,
            Outcome::MessageGone => {
                message.bare = true;
                if let (Some(incident), Body::Part { part }) = (message.incident, &message.body) {
                    continuations::sent(&mut work.connection, incident, &message.address, *part, None).await?;
                } else if let Some(incident) = message.incident {
                    threads::forget(&mut work.connection, incident, &message.address).await?;
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
    outbox::finish(connection, message.id, State::GivenUp, Some(at), None, Some(reason)).await?;
    let detail = format!("{} to {}: {reason}", message.kind.name(), message.address);
    work.note(audit::SELF, "given up", message.incident, detail).await?;
    if let Body::Digest { named } = &message.body {
        return release_named(work, named, message.doubtful).await;
    }
    let sounded = matches!(message.kind, Kind::Card | Kind::Notice | Kind::Phone);
    if let (Some(incident), true) = (message.incident, sounded && (dead || message.urgency == Urgency::Critical)) {
        super::timers::undelivered(work, incident).await?;
    }
    Ok(())
}

/// What a digest should have told was not told. `doubtful`: the digest may have arrived, so what is sent now may be a repetition.
async fn release_named(work: &mut Work, named: &[Named], doubtful: bool) -> anyhow::Result<()> {
    for named in named {
        if let Some(mut message) = outbox::queued(&mut work.connection, named.outbox).await? {
            message.told = false;
            message.doubtful |= doubtful;
            work.put(message).await?;
        }
    }
    Ok(())
}

/// What an outcome says about the chat rather than about the message.
async fn learn(work: &mut Work, message: &Message, outcome: &Outcome, at: Timestamp) -> anyhow::Result<()> {
    match (outcome, &message.address) {
        (Outcome::RateLimited { retry_after }, address) => {
            let until = at.checked_add(*retry_after).unwrap_or(at);
            lanes::block(&mut work.connection, &address.lane(), at, until).await?;
        }
        (Outcome::Moved { chat: to }, Address::Telegram { bot, chat, .. }) => {
            lanes::set_moved(&mut work.connection, bot, *chat, *to).await?;
            threads::forget_all(&mut work.connection, &message.address).await?;
            continuations::forget_all(&mut work.connection, &message.address).await?;
            work.book.learn_moved(bot, *chat, *to);
            work.note(audit::SELF, "chat moved", message.incident, format!("{} is now {to}", message.address)).await?;
        }
        (Outcome::TopicGone, Address::Telegram { bot, chat, topic: Some(topic) }) => {
            lanes::set_topic_lost(&mut work.connection, bot, *chat, *topic, at).await?;
            work.book.learn_lost_topic(bot, *chat, *topic, at);
            work.note(audit::SELF, "topic gone", message.incident, message.address.to_string()).await?;
        }
        _ => {}
    }
    Ok(())
}

/// A picture could not be drawn. Who asked for it is told; of one that a route attaches nobody misses anything.
pub struct NotDrawn {
    pub id: i64,
    pub reason: String,
    /// What who asked is told.
    pub told: String,
}

impl Job for NotDrawn {
    type Answer = ();

    async fn perform(&mut self, work: &mut Work) -> anyhow::Result<()> {
        let Some(message) = outbox::queued(&mut work.connection, self.id).await? else { return Ok(()) };
        let reason = Some(self.reason.as_str());
        outbox::finish(&mut work.connection, message.id, State::NotNeeded, Some(work.now), None, reason).await?;
        work.note(audit::SELF, "picture failed", message.incident, self.reason.clone()).await?;
        let Body::Picture { reply_to: asked @ Some(_), .. } = message.body else { return Ok(()) };
        let words = Words { text: self.told.clone(), reply_to: asked, silent: true, ..Words::default() };
        work.say(&message.address, Urgency::Answer, words).await
    }
}

/// What came of a digest's first call. One that may have arrived, or must go as plain text, stays as a message of its own.
pub struct FinishDigest {
    pub digest: i64,
    pub outcome: Outcome,
    /// As in [`Finish`].
    pub rest: Vec<String>,
    pub ended_at: Timestamp,
}

impl Job for FinishDigest {
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
            Outcome::Delivered { reference } => finish.done(work, &message, reference).await,
            Outcome::Unknown { .. } | Outcome::Unparsable { .. } => {
                message.under_way = false;
                message.doubtful = matches!(self.outcome, Outcome::Unknown { .. });
                message.plain = !message.doubtful;
                message.attempts = 1;
                work.put(message.clone()).await?;
                Ok(outbox::called(&mut work.connection, message.id, self.ended_at).await?)
            }
            _ => {
                let Body::Digest { named } = message.body.clone() else { return Ok(()) };
                let connection = &mut work.connection;
                outbox::finish(connection, message.id, State::NotNeeded, Some(self.ended_at), None, None).await?;
                for named in named {
                    outbox::set_told(&mut work.connection, named.outbox, false).await?;
                }
                Ok(())
            }
        }
    }
}
