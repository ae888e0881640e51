//! The configuration as the desk asks it: which rules an incident follows, who is told, and by which address.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{PoisonError, RwLock},
};

use jiff::{SignedDuration, Timestamp};

use crate::{
    config::{Calendar, Chat, Config, Language, Means, Person, Quiet, QuietHours, Route},
    incident::{Flapping, Incident, Rules, Severity, Tracked},
    message::{Messages, Reader},
    notify::{Address, Medium, telegram::Place},
    store::lanes::LostTopic,
    webhook::{Labels, Payload, Status},
};

/// How long after a topic was closed or gone it is tried again. Until then its messages go to the General topic.
const TOPIC_AGAIN: SignedDuration = SignedDuration::from_mins(15);

/// The configuration, and what was learnt about chats since.
pub struct Book {
    pub config: Config,
    pub messages: Messages,
    pub(super) learnt: RwLock<Learnt>,
}

/// Chats keep their configured id as their name; where they are today is looked up at the moment of a call.
#[derive(Debug, Default)]
pub(super) struct Learnt {
    /// By schedule.
    pub(super) duty_overrides: HashMap<String, super::duty_override::DutyOverride>,
    moved: HashMap<(String, i64), i64>,
    lost_topics: HashMap<(String, i64, i32), Timestamp>,
}

/// What an address is to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hush {
    Loud,
    /// Sent without a sound.
    Mute,
    /// Kept until then.
    Hold(Timestamp),
}

impl Book {
    pub fn new(config: Config, moved: Vec<(String, i64, i64)>, lost_topics: Vec<LostTopic>) -> Self {
        let moved = moved.into_iter().map(|(bot, from, to)| ((bot, from), to)).collect();
        // Faults are told by `check` and at the start; here the built-in template stands in.
        let (messages, _) = Messages::new(&config.templates);
        Self {
            config,
            messages,
            learnt: RwLock::new(Learnt { moved, lost_topics: lost_topics.into_iter().collect(), duty_overrides: HashMap::new() }),
        }
    }

    /// The routes that a group takes, from the top. Its severity is that of its worst firing alert: alerts of several severities
    /// have none in common.
    pub fn routes(&self, source: &str, payload: &Payload) -> Vec<&Route> {
        let severities = &self.config.severities;
        let firing = payload.alerts.iter().filter(|alert| alert.status == Status::Firing);
        let worst = firing.map(|alert| alert.labels.get(&severities.label)).max_by_key(|label| severities.of(*label)).flatten();
        let common = match payload.common_labels.is_empty() {
            true => payload.alerts.first().map(|alert| alert.labels.clone()).unwrap_or_default(),
            false => payload.common_labels.clone(),
        };
        self.taken(source, &payload.receiver, &common, worst)
    }

    fn taken(&self, source: &str, receiver: &str, common: &Labels, worst: Option<&str>) -> Vec<&Route> {
        let severities = &self.config.severities;
        let mut taken = Vec::new();
        for route in &self.config.routes {
            let label = |name: &str| match name {
                "alertmanager" => Some(source),
                "receiver" => Some(receiver),
                _ if name == severities.label => worst.or_else(|| common.get(name)),
                _ => common.get(name),
            };
            if route.matches(label) {
                taken.push(route);
                if !route.goes_on {
                    break;
                }
            }
        }
        taken
    }

    /// The routes that an open incident takes today.
    pub fn routes_now(&self, incident: &Incident) -> Vec<String> {
        let severities = &self.config.severities;
        let worst = incident.speaking().map(|alert| alert.labels.get(&severities.label));
        let worst = worst.max_by_key(|label| severities.of(*label)).flatten();
        let common = incident.common_labels();
        self.taken(&incident.source, &incident.receiver, &common, worst).into_iter().map(|route| route.name.clone()).collect()
    }

    /// The same routes, once each, in the order of the configuration.
    pub fn in_order(&self, names: &[String], more: &[String]) -> Vec<String> {
        let listed = self.config.routes.iter().map(|route| &route.name);
        listed.filter(|name| names.contains(name) || more.contains(name)).cloned().collect()
    }

    fn routes_of(&self, incident: &Incident) -> impl Iterator<Item = &Route> {
        incident.routes.iter().filter_map(|name| self.config.route(name))
    }

    /// Severity of one alert on its routes.
    pub fn severity(&self, labels: &Labels, routes: &[&Route]) -> Severity {
        let labelled = self.config.severities.of(labels.get(&self.config.severities.label));
        routes.iter().find_map(|route| route.severity).unwrap_or(labelled)
    }

    /// An alert with its severity, without copying what it holds.
    pub fn tracked(&self, alert: crate::webhook::Alert, routes: &[&Route]) -> (Box<str>, Tracked) {
        let identity = alert.identity();
        let severity = self.severity(&alert.labels, routes);
        let tracked = Tracked {
            status: alert.status,
            severity,
            labels: alert.labels,
            annotations: alert.annotations,
            starts_at: alert.starts_at,
            ends_at: alert.ends_at,
            generator_url: alert.generator_url.into(),
            previous_end: None,
            unconfirmed_end: None,
            confirms_at: None,
        };
        (identity, tracked)
    }

    pub fn escalation(&self, incident: &Incident) -> Option<&crate::config::Escalation> {
        self.routes_of(incident).find_map(|route| self.config.escalation(route.escalation.as_deref()?))
    }

    pub fn rules(&self, incident: &Incident) -> Rules {
        let signed = |duration| SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
        let policy = self.escalation(incident);
        let settings = &self.config.incidents;
        Rules {
            policy: policy.map(|policy| policy.name.clone()),
            waits: policy.map(|policy| policy.steps.iter().map(|step| signed(step.after)).collect()).unwrap_or_default(),
            rounds: policy.map_or(1, |policy| policy.rounds as usize),
            then_everyone: policy.is_some_and(|policy| policy.then_everyone),
            acknowledgement_lasts: policy.and_then(|policy| policy.acknowledge_timeout).map(signed),
            remind: self.routes_of(incident).any(|route| route.remind),
            reopen_within: signed(settings.reopen_within),
            flapping: Flapping {
                reopenings: settings.flapping.reopenings as usize,
                within: signed(settings.flapping.within),
                calm: signed(settings.flapping.calm),
            },
            confirm_within: self.confirm_within(&incident.source),
        }
    }

    /// How long an end that one replica of several reports may wait for a read of all of them: until the next one is over.
    pub fn confirm_within(&self, source: &str) -> Option<SignedDuration> {
        let has_replicas = self.config.alertmanager(source).is_some_and(|alertmanager| alertmanager.urls.len() > 1);
        let within = self.config.incidents.reconcile_every.saturating_add(crate::alertmanager::TIMEOUT);
        has_replicas.then(|| SignedDuration::try_from(within).unwrap_or(SignedDuration::MAX))
    }

    /// Chats that every word about the incident goes to.
    pub fn chats(&self, incident: &Incident) -> Vec<Address> {
        let names: BTreeSet<&String> = self.routes_of(incident).flat_map(|route| &route.chats).collect();
        names.into_iter().filter_map(|name| self.config.chat(name)).map(Self::chat_address).collect()
    }

    pub fn chat_address(chat: &Chat) -> Address {
        Address::Telegram { bot: chat.bot.clone(), chat: chat.id, topic: chat.topic }
    }

    /// How a person is reached by this means; `None` when not at all.
    pub fn person_address(person: &Person, means: Means) -> Option<Address> {
        let phone = |provider: &Option<String>, medium| {
            person.phone.as_ref()?;
            Some(Address::Phone { provider: provider.clone()?, person: person.name.clone(), medium })
        };
        match means {
            Means::Telegram => Some(Address::Telegram { bot: person.bot.clone()?, chat: person.telegram?, topic: None }),
            Means::Sms => phone(&person.sms, Medium::Sms),
            Means::Voice => phone(&person.voice, Medium::Voice),
        }
    }

    pub fn wants_picture(&self, incident: &Incident) -> bool {
        self.routes_of(incident).any(|route| route.picture)
    }

    pub fn ends_silences(&self, incident: &Incident) -> bool {
        self.routes_of(incident).any(|route| route.end_silences)
    }

    /// The chat that an address is, when the configuration names it.
    fn chat_of(&self, address: &Address) -> Option<&Chat> {
        self.config.chats.iter().find(|chat| Self::chat_address(chat) == *address)
    }

    fn person_of(&self, address: &Address) -> Option<&Person> {
        match address {
            Address::Telegram { chat, .. } => self.config.person_of_telegram(*chat),
            Address::Phone { person, .. } => self.config.person(person),
        }
    }

    pub fn language(&self, address: &Address) -> Language {
        let chat = self.chat_of(address).map(|chat| chat.language);
        chat.or_else(|| self.person_of(address).map(|person| person.language)).unwrap_or(self.config.language)
    }

    pub fn time_zone(&self, address: &Address) -> jiff::tz::TimeZone {
        let chat = self.chat_of(address).map(|chat| &chat.time_zone);
        let zone = chat.or_else(|| self.person_of(address).map(|person| &person.time_zone));
        zone.unwrap_or(&self.config.time_zone).clone()
    }

    /// Who reads what arrives there.
    pub fn reader(&self, address: &Address, now: Timestamp) -> Reader {
        let language = self.language(address);
        let calendar = if language == Language::Persian { self.config.calendar } else { Calendar::Gregorian };
        Reader { language, zone: self.time_zone(address), now, calendar }
    }

    /// Parts that an SMS of this provider has at most, and whether answers to it arrive.
    pub fn line(&self, provider: &str) -> (usize, bool) {
        let provider = self.config.provider(provider);
        provider.map_or((1, false), |provider| (provider.parts as usize, provider.callback_token.is_some()))
    }

    /// Whether a message of this severity may sound there now. A telephone cannot be silent: it waits.
    pub fn hush(&self, address: &Address, severity: Severity, now: Timestamp) -> Hush {
        let zone = self.time_zone(address);
        let hours: &[QuietHours] = match (self.chat_of(address), self.person_of(address)) {
            (Some(chat), _) => &chat.quiet_hours,
            (None, Some(person)) => &person.quiet_hours,
            (None, None) => &[],
        };
        let mut hush = Hush::Loud;
        for quiet in hours.iter().filter(|quiet| quiet.severities.contains(&severity)) {
            let Some(end) = quiet.window.end_of(now, quiet.zone.as_ref().unwrap_or(&zone)) else { continue };
            let holds = quiet.manner == Quiet::Hold || matches!(address, Address::Phone { .. });
            hush = match (holds, hush) {
                (true, Hush::Hold(other)) => Hush::Hold(end.max(other)),
                (true, _) => Hush::Hold(end),
                (false, Hush::Loud) => Hush::Mute,
                (false, other) => other,
            };
        }
        hush
    }

    /// Where a chat is today. A topic that was closed is tried again from time to time: it may be open again.
    pub fn place(&self, bot: &str, chat: i64, topic: Option<i32>, now: Timestamp) -> Place {
        let learnt = self.learnt.read().unwrap_or_else(PoisonError::into_inner);
        let topic = topic.filter(|topic| {
            let lost = learnt.lost_topics.get(&(bot.to_owned(), chat, *topic));
            lost.is_none_or(|since| now < *since || now.duration_since(*since) >= TOPIC_AGAIN)
        });
        Place { chat: learnt.moved.get(&(bot.to_owned(), chat)).copied().unwrap_or(chat), topic }
    }

    /// The configured id of a chat that writes to the bot.
    pub fn configured_chat(&self, bot: &str, chat: i64) -> i64 {
        let learnt = self.learnt.read().unwrap_or_else(PoisonError::into_inner);
        let moved = learnt.moved.iter().find(|((of, _), to)| of == bot && **to == chat);
        moved.map_or(chat, |((_, from), _)| *from)
    }

    pub fn learn_moved(&self, bot: &str, from: i64, to: i64) {
        let mut learnt = self.learnt.write().unwrap_or_else(PoisonError::into_inner);
        learnt.moved.insert((bot.to_owned(), from), to);
    }

    pub fn learn_lost_topic(&self, bot: &str, chat: i64, topic: i32, at: Timestamp) {
        let mut learnt = self.learnt.write().unwrap_or_else(PoisonError::into_inner);
        learnt.lost_topics.insert((bot.to_owned(), chat, topic), at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_that_was_closed_is_tried_again() {
        let variables = [
            ("ALERTBOT_WEBHOOK_TOKEN", "a"),
            ("ALERTBOT_TELEGRAM_TOKEN", "1:b"),
            ("ALERTBOT_KANNEL_PASSWORD", "c"),
            ("ALERTBOT_KANNEL_CALLBACK", "d"),
        ];
        let config = crate::config::parse("alertbot.yaml", include_str!("../../alertbot.example.yaml"), variables).unwrap();
        let at = |seconds: i64| Timestamp::from_second(1_800_000_000 + seconds).unwrap();
        let book = Book::new(config, Vec::new(), vec![(("main".to_owned(), -1, 5), at(0))]);
        let topic = |second: i64| book.place("main", -1, Some(5), at(second)).topic;
        assert_eq!((topic(1), topic(899), topic(900)), (None, None, Some(5)));
        book.learn_lost_topic("main", -1, 5, at(900));
        assert_eq!((topic(901), topic(1_800)), (None, Some(5)));
        assert_eq!(book.place("main", -1, Some(6), at(1)).topic, Some(6));
    }
}
