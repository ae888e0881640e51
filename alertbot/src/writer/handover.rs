//! This module announces each handover once: the new and the former person on duty. It catches up after downtime.

use alertbot_core::{
    delivery::{Address, Words},
    message::{
        Reader,
        catalogue::{Text, Word, say, word},
        notice::plain_words,
    },
    oncall::{self, Handover, Schedule},
    schedule::Urgency,
};
use jiff::{SignedDuration, Timestamp};

use super::{Work, WriterCommand};
use crate::{
    config::{Means, Person},
    routing::Routing,
    store::{audit, facts},
};

/// A handover missed by more than this is not announced, because a later one has replaced it.
const OLDEST: SignedDuration = SignedDuration::from_hours(12);

/// Announces every handover since the last check.
pub struct HandOver;

impl WriterCommand for HandOver {
    type Answer = ();

    async fn perform(&mut self, work: &mut Work) -> anyhow::Result<()> {
        let routing = std::sync::Arc::clone(&work.routing);
        for schedule in &routing.schedules().collect::<Vec<_>>() {
            let fact = format!("handovers said {}", schedule.name);
            let said = facts::get(&mut work.connection, &fact).await?.and_then(|text| text.parse::<Timestamp>().ok());
            // A new schedule starts without an announcement: no one's duty has changed.
            let since = said.unwrap_or(work.now).max(work.now.checked_sub(OLDEST).unwrap_or(work.now));
            let handovers = oncall::handovers(schedule, since, work.now);
            if said.is_some() && handovers.is_empty() {
                continue;
            }
            for handover in &handovers {
                notify(work, &routing, schedule, handover).await?;
            }
            facts::set(&mut work.connection, &fact, &work.now.to_string()).await?;
        }
        Ok(())
    }
}

async fn notify(work: &mut Work, routing: &Routing, schedule: &Schedule, handover: &Handover<'_>) -> anyhow::Result<()> {
    let detail = format!("{}: {} after {}", schedule.name, handover.to.unwrap_or("no one"), handover.from.unwrap_or("no one"));
    work.note(audit::SELF, "handover", None, detail).await?;
    for chat in schedule.handover_chats.iter().filter_map(|name| routing.config.chat(name)) {
        let address = Routing::chat_address(chat);
        let reader = routing.reader(&address, work.now);
        let named = |person: Option<&str>| person.unwrap_or(word(reader.language, Word::Nobody)).to_owned();
        let (from, to) = (named(handover.from), named(handover.to));
        let words = say(reader.language, Text::Handover { schedule: &schedule.name, from: &from, to: &to });
        work.say(&address, Urgency::Ordinary, ready(&address, &words, &reader)).await?;
    }
    if !schedule.handover_notice {
        return Ok(());
    }
    let person = |name: Option<&str>| name.and_then(|name| routing.config.person(name));
    if let Some((address, reader)) = person(handover.to).and_then(|person| reach(routing, person, work.now)) {
        let until = oncall::next_change_of_person(schedule, handover.at).map_or_else(
            || "…".to_owned(),
            // A shift of days needs its date.
            |until| reader.clock(until),
        );
        let words = say(reader.language, Text::YouBegin { schedule: &schedule.name, until: &until });
        work.say(&address, Urgency::Ordinary, ready(&address, &words, &reader)).await?;
    }
    if let Some((address, reader)) = person(handover.from).and_then(|person| reach(routing, person, work.now)) {
        let to = handover.to.unwrap_or(word(reader.language, Word::Nobody));
        let words = say(reader.language, Text::YouEnd { schedule: &schedule.name, to });
        work.say(&address, Urgency::Ordinary, ready(&address, &words, &reader)).await?;
    }
    Ok(())
}

/// The least disturbing means for a person: a call would be too much for a notice.
fn reach(routing: &Routing, person: &Person, now: Timestamp) -> Option<(Address, Reader)> {
    let address = [Means::Telegram, Means::Sms].into_iter().find_map(|means| Routing::person_address(person, means))?;
    let reader = routing.reader(&address, now);
    Some((address, reader))
}

fn ready(address: &Address, words: &str, reader: &Reader) -> Words {
    let text = match address {
        Address::Telegram { .. } => plain_words(words, reader),
        Address::Phone { .. } => words.to_owned(),
    };
    Words { text, ..Words::default() }
}
