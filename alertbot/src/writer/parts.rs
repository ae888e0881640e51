//! This module handles the parts of a card that is longer than one message. They follow the card as silent replies and are edited
//! with it. An unedited part would show a resolved alert as firing.

use alertbot_core::{
    delivery::{Address, Words},
    incident::{Incident, IncidentId},
    message::mark,
    schedule::{MessageKind, Urgency},
};

use super::Work;
use crate::store::{
    continuations::{self, Continuation},
    incidents,
    outbox::{self, Message, MessageBody},
    threads,
};

/// The texts after the card's first message. `anew`: the first message was replaced.
pub(super) async fn follow(
    work: &mut Work,
    incident: IncidentId,
    address: &Address,
    texts: &[String],
    anew: bool,
) -> anyhow::Result<()> {
    if anew {
        continuations::forget(&mut work.connection, incident, address).await?;
    }
    let known = continuations::parts_of(&mut work.connection, incident, address).await?;
    if known.is_empty() && texts.is_empty() {
        return Ok(());
    }
    let waiting: Vec<(u32, Message)> = outbox::queued_of_incident(&mut work.connection, incident, address)
        .await?
        .into_iter()
        .filter_map(|message| match message.body {
            MessageBody::Part { part } if !message.under_way => Some((part, message)),
            _ => None,
        })
        .collect();
    let is_waiting = |part: u32| waiting.iter().find(|(known, _)| *known == part).map(|(_, message)| message.id);
    for (part, text) in (0_u32..).zip(texts) {
        if known.iter().any(|known| known.part == part && known.text == *text) {
            continue;
        }
        continuations::set_text(&mut work.connection, incident, address, part, text).await?;
        if is_waiting(part).is_none() {
            queue(work, incident, address, part).await?;
        }
    }
    let surplus = known.into_iter().filter(|known| known.part as usize >= texts.len());
    let Some(now) = incidents::by_id(&mut work.connection, incident).await? else { return Ok(()) };
    for Continuation { part, text, message } in surplus {
        match (message, is_waiting(part)) {
            (None, Some(waiting)) => {
                work.drop_message(waiting).await?;
                continuations::remove_part(&mut work.connection, incident, address, part).await?;
            }
            _ if text == nothing(&now) => {}
            (_, waiting) => {
                continuations::set_text(&mut work.connection, incident, address, part, &nothing(&now)).await?;
                if waiting.is_none() {
                    queue(work, incident, address, part).await?;
                }
            }
        }
    }
    Ok(())
}

/// Text of a part that the card no longer needs. Telegram does not let a bot delete old messages.
fn nothing(incident: &Incident) -> String {
    format!("{} {}", mark(incident), incident.id)
}

async fn queue(work: &mut Work, incident: IncidentId, address: &Address, part: u32) -> anyhow::Result<()> {
    let message = work.message(Some(incident), address, MessageKind::Text, Urgency::Quiet, MessageBody::Part { part });
    work.put(message).await?;
    Ok(())
}

/// Text of a part at the time of sending, and its message if it was sent. `None` if the part is not needed.
pub(super) async fn claim(work: &mut Work, message: &Message, part: u32) -> anyhow::Result<Option<(Words, Option<i32>)>> {
    let Some(incident) = message.incident else { return Ok(None) };
    let known = continuations::parts_of(&mut work.connection, incident, &message.address).await?;
    let Some(known) = known.into_iter().find(|known| known.part == part) else { return Ok(None) };
    let reply_to = threads::message_of(&mut work.connection, incident, &message.address).await?;
    Ok(Some((Words { text: known.text, buttons: Vec::new(), reply_to, silent: true }, known.message)))
}
