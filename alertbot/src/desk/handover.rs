//! Handovers: who comes on duty and who goes is said when it happens, once, also when the bot was down at that moment.

use jiff::{SignedDuration, Timestamp};

use super::{Book, Job, Work};
use crate::{
    config::{Means, Person, Schedule},
    message::{
        Reader,
        catalogue::{Saying, Word, say, word},
        notice::plain_words,
    },
    notify::Address,
    oncall::{self, Handover},
    schedule::Urgency,
    store::{audit, facts, outbox::Words},
};

/// Handovers that were missed by more than this are not said: a later one has taken their place.
const OLDEST: SignedDuration = SignedDuration::from_hours(12);

/// Says every handover since the last asking.
pub struct HandOver;

impl Job for HandOver {
    type Answer = ();

    async fn perform(&mut self, work: &mut Work) -> anyhow::Result<()> {
        let book = std::sync::Arc::clone(&work.book);
        for schedule in &book.schedules().collect::<Vec<_>>() {
            let fact = format!("handovers said {}", schedule.name);
            let said = facts::get(&mut work.connection, &fact).await?.and_then(|text| text.parse::<Timestamp>().ok());
            // A new schedule begins with silence: nothing has changed for anybody.
            let since = said.unwrap_or(work.now).max(work.now.checked_sub(OLDEST).unwrap_or(work.now));
            let handovers = oncall::handovers(schedule, since, work.now);
            if said.is_some() && handovers.is_empty() {
                continue;
            }
            for handover in &handovers {
                tell(work, &book, schedule, handover).await?;
            }
            facts::set(&mut work.connection, &fact, &work.now.to_string()).await?;
        }
        Ok(())
    }
}

async fn tell(work: &mut Work, book: &Book, schedule: &Schedule, handover: &Handover<'_>) -> anyhow::Result<()> {
    let detail = format!("{}: {} after {}", schedule.name, handover.to.unwrap_or("nobody"), handover.from.unwrap_or("nobody"));
    work.note(audit::SELF, "handover", None, detail).await?;
    for chat in schedule.handover_chats.iter().filter_map(|name| book.config.chat(name)) {
        let address = Book::chat_address(chat);
        let reader = book.reader(&address, work.now);
        let named = |person: Option<&str>| person.unwrap_or(word(reader.language, Word::Nobody)).to_owned();
        let (from, to) = (named(handover.from), named(handover.to));
        let words = say(reader.language, Saying::Handover { schedule: &schedule.name, from: &from, to: &to });
        work.say(&address, Urgency::Ordinary, ready(&address, &words, &reader)).await?;
    }
    if !schedule.handover_notice {
        return Ok(());
    }
    let person = |name: Option<&str>| name.and_then(|name| book.config.person(name));
    if let Some((address, reader)) = person(handover.to).and_then(|person| reach(book, person, work.now)) {
        let until = oncall::next_change_of_person(schedule, handover.at).map_or_else(
            || "…".to_owned(),
            // A shift of days needs its date.
            |until| reader.clock(until),
        );
        let words = say(reader.language, Saying::YouBegin { schedule: &schedule.name, until: &until });
        work.say(&address, Urgency::Ordinary, ready(&address, &words, &reader)).await?;
    }
    if let Some((address, reader)) = person(handover.from).and_then(|person| reach(book, person, work.now)) {
        let to = handover.to.unwrap_or(word(reader.language, Word::Nobody));
        let words = say(reader.language, Saying::YouEnd { schedule: &schedule.name, to });
        work.say(&address, Urgency::Ordinary, ready(&address, &words, &reader)).await?;
    }
    Ok(())
}

/// The quietest way to a person: a call would be too much for a notice.
fn reach(book: &Book, person: &Person, now: Timestamp) -> Option<(Address, Reader)> {
    let address = [Means::Telegram, Means::Sms].into_iter().find_map(|means| Book::person_address(person, means))?;
    let reader = book.reader(&address, now);
    Some((address, reader))
}

fn ready(address: &Address, words: &str, reader: &Reader) -> Words {
    let text = match address {
        Address::Telegram { .. } => plain_words(words, reader),
        Address::Phone { .. } => words.to_owned(),
    };
    Words { text, ..Words::default() }
}
