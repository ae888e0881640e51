//! This module loads the queue after a restart. Messages in flight may have arrived. The wall clock may have been set back.
//!
//! - An interrupted edit is repeated without a limit, because a repeated edit leads to the same message.
//! - Another interrupted message is sent once more, marked, after `CALM`. A program that is killed again and again would
//!   otherwise use up both attempts before either of them left.

use alertbot_core::{
    incident::IncidentId,
    schedule::{Item, MessageKind},
};
use jiff::SignedDuration;

use super::{Work, WriterCommand, deliver::given_up, work::item};
use crate::store::{
    audit, continuations, facts, incidents,
    outbox::{self, Message, MessageBody},
    threads,
};

pub struct Resume;

#[derive(Debug, Default)]
pub struct Resumed {
    pub queue: Vec<Item>,
    /// Channel of each dropped message.
    pub given_up: Vec<&'static str>,
}

impl WriterCommand for Resume {
    type Answer = Resumed;

    async fn perform(&mut self, work: &mut Work) -> anyhow::Result<Self::Answer> {
        catch_up_with_clock(work).await?;
        let (mut resumed, mut after) = (Resumed::default(), 0);
        loop {
            let batch = outbox::queued_after(&mut work.connection, after, AT_ONCE).await?;
            let Some(last) = batch.last() else { return Ok(resumed) };
            after = last.id;
            for mut message in batch {
                if message.under_way && is_edit(work, &message).await? {
                    message.under_way = false;
                    message.maybe_sent = false;
                    message.attempts += 1;
                    outbox::save(&mut work.connection, &message).await?;
                } else if message.under_way && message.maybe_sent {
                    // Both attempts may have arrived. No third attempt follows, as after a lost answer.
                    let reason = "the program ended during its second attempt";
                    given_up(work, &message, reason, false, work.now).await?;
                    resumed.given_up.push(message.address.channel());
                    continue;
                } else if message.under_way {
                    message.under_way = false;
                    message.maybe_sent = true;
                    message.attempts += 1;
                    message.not_before = message.not_before.max(work.now.checked_add(CALM)?);
                    outbox::save(&mut work.connection, &message).await?;
                }
                resumed.queue.push(item(&message));
            }
        }
    }
}

/// Time that the program must run before it repeats a message that its end interrupted.
const CALM: SignedDuration = SignedDuration::from_secs(5);

/// Whether the interrupted call edited a message that is in the chat.
async fn is_edit(work: &mut Work, message: &Message) -> anyhow::Result<bool> {
    let Some(incident) = message.incident else { return Ok(false) };
    let connection = &mut work.connection;
    Ok(match message.body {
        MessageBody::Part { part } => {
            let parts = continuations::parts_of(connection, incident, &message.address).await?;
            parts.into_iter().any(|known| known.part == part && known.message.is_some())
        }
        _ => message.kind == MessageKind::Edit && threads::message_of(connection, incident, &message.address).await?.is_some(),
    })
}

/// Name of the fact that stores the audit line up to which a set-back clock is compensated.
const MADE_UP_FOR: &str = "clock made up for until audit";
/// Clocks of one machine can differ by this much without being set.
const TOLERATED: SignedDuration = SignedDuration::from_secs(2);
/// Messages or incidents read into memory at a time. A storm makes the queue long and its texts longer.
const AT_ONCE: usize = 200;

/// If the newest stored time is in the future, the clock was set back by at least that much while the program was stopped.
/// Waiting messages and incidents would wait longer, so their times are moved by the same amount.
async fn catch_up_with_clock(work: &mut Work) -> anyhow::Result<()> {
    let known = facts::get(&mut work.connection, MADE_UP_FOR).await?.and_then(|text| text.parse().ok()).unwrap_or(0);
    let Some((line, newest)) = audit::newest_after(&mut work.connection, known).await? else { return Ok(()) };
    let ahead = newest.duration_since(work.now);
    if ahead <= TOLERATED {
        return Ok(());
    }
    tracing::warn!(
        seconds = ahead.as_secs(),
        "the clock was set back while the program was stopped: moving the times of waiting messages and incidents"
    );
    outbox::move_back(&mut work.connection, ahead).await?;
    let mut after = IncidentId(0);
    loop {
        let batch = incidents::open_after(&mut work.connection, after, AT_ONCE).await?;
        let Some(last) = batch.last() else { break };
        after = last.id;
        for mut incident in batch {
            incident.move_back(ahead);
            incidents::update(&mut work.connection, &incident).await?;
        }
    }
    facts::set(&mut work.connection, MADE_UP_FOR, &line.to_string()).await?;
    Ok(())
}
