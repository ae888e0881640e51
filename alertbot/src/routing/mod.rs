//! This module is the view of the configuration by incident and address: rules, recipients, quiet hours, people on duty.

mod duty;

use std::{
    collections::{BTreeSet, HashMap},
    sync::{PoisonError, RwLock},
};

use alertbot_core::{
    alert::{Alert, Labels, Payload, Severity, Status},
    delivery::{Address, ChatPlace, Medium},
    incident::{Flapping, Incident, Rules, Tracked},
    message::{Calendar, Language, Messages, Reader},
    oncall::CalendarShift,
};
use jiff::{SignedDuration, Timestamp};

use crate::{
    config::{Chat, Config, Means, Person, Quiet, QuietHours, Route},
    store::lanes::LostTopic,
};

pub use duty::DutyOverride;

/// Wait before a closed or deleted topic is tried again. Until then its messages go to the General topic.
const TOPIC_AGAIN: SignedDuration = SignedDuration::from_mins(15);

/// The configuration, and facts about chats discovered at run time.
pub struct Routing {
    pub config: Config,
    pub messages: Messages,
    discovered: RwLock<Discovered>,
}

/// Chats keep their configured id as their name. The present id is looked up at the time of a call.
#[derive(Debug, Default)]
struct Discovered {
    /// By schedule.
    duty_overrides: HashMap<String, DutyOverride>,
    /// Shifts of calendars, by schedule.
    calendars: HashMap<String, Vec<CalendarShift>>,
    chat_migrations: HashMap<(String, i64), i64>,
    lost_topics: HashMap<(String, i64, i32), Timestamp>,
}

/// Quiet hours at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuietMode {
    Loud,
    /// Send without a sound.
    Mute,
    /// Hold until this time.
    Hold(Timestamp),
}

impl Routing {
    pub fn new(config: Config, chat_migrations: Vec<(String, i64, i64)>, lost_topics: Vec<LostTopic>) -> Self {
        let chat_migrations = chat_migrations.into_iter().map(|(bot, from, to)| ((bot, from), to)).collect();
        // `check` and the start report faults. Here the built-in template is used instead.
        let (messages, _) = Messages::new(&config.templates);
        Self {
            config,
            messages,
            discovered: RwLock::new(Discovered {
                chat_migrations,
                lost_topics: lost_topics.into_iter().collect(),
                duty_overrides: HashMap::new(),
                calendars: HashMap::new(),
            }),
        }
    }

    /// The routes that a group takes, from the top. Its severity is that of its worst firing alert, because alerts of several
    /// severities have no common one.
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

    /// The routes that an open incident takes with the present configuration.
    pub fn routes_now(&self, incident: &Incident) -> Vec<String> {
        let severities = &self.config.severities;
        let worst = incident.speaking().map(|alert| alert.labels.get(&severities.label));
        let worst = worst.max_by_key(|label| severities.of(*label)).flatten();
        let common = incident.common_labels();
        self.taken(&incident.source, &incident.receiver, &common, worst).into_iter().map(|route| route.name.clone()).collect()
    }

    /// The same routes without duplicates, in the order of the configuration.
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

    /// An alert with its severity, without copying its content.
    pub fn tracked(&self, alert: Alert, routes: &[&Route]) -> (Box<str>, Tracked) {
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

    pub fn escalation(&self, incident: &Incident) -> Option<&crate::config::EscalationPolicy> {
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

    /// How long a resolution reported by one of several replicas waits for a read of all: until the next read has finished.
    pub fn confirm_within(&self, source: &str) -> Option<SignedDuration> {
        let has_replicas = self.config.alertmanager(source).is_some_and(|alertmanager| alertmanager.urls.len() > 1);
        let within = self.config.incidents.reconcile_every.saturating_add(crate::alertmanager::TIMEOUT);
        has_replicas.then(|| SignedDuration::try_from(within).unwrap_or(SignedDuration::MAX))
    }

    /// Chats that receive every notification of the incident.
    pub fn chats(&self, incident: &Incident) -> Vec<Address> {
        let names: BTreeSet<&String> = self.routes_of(incident).flat_map(|route| &route.chats).collect();
        names.into_iter().filter_map(|name| self.config.chat(name)).map(Self::chat_address).collect()
    }

    pub fn chat_address(chat: &Chat) -> Address {
        Address::Telegram { bot: chat.bot.clone(), chat: chat.id, topic: chat.topic }
    }

    /// Address of a person by this means; `None` if the person does not have it.
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

    /// The configured chat of an address, if any.
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

    /// Language, time zone and calendar of the readers at an address.
    pub fn reader(&self, address: &Address, now: Timestamp) -> Reader {
        let language = self.language(address);
        let calendar = if language == Language::Persian { self.config.calendar } else { Calendar::Gregorian };
        Reader { language, zone: self.time_zone(address), now, calendar, links: std::sync::Arc::clone(&self.config.links) }
    }

    /// Most parts in an SMS of this provider, and whether replies to it arrive.
    pub fn line(&self, provider: &str) -> (usize, bool) {
        let provider = self.config.provider(provider);
        provider.map_or((1, false), |provider| (provider.parts as usize, provider.callback_token.is_some()))
    }

    /// Whether a message of this severity may sound there now. A phone cannot be silent, so its message waits.
    pub fn quiet_mode(&self, address: &Address, severity: Severity, now: Timestamp) -> QuietMode {
        let zone = self.time_zone(address);
        let hours: &[QuietHours] = match (self.chat_of(address), self.person_of(address)) {
            (Some(chat), _) => &chat.quiet_hours,
            (None, Some(person)) => &person.quiet_hours,
            (None, None) => &[],
        };
        let mut quiet_mode = QuietMode::Loud;
        for quiet in hours.iter().filter(|quiet| quiet.severities.contains(&severity)) {
            let Some(end) = quiet.window.end_of(now, quiet.zone.as_ref().unwrap_or(&zone)) else { continue };
            let holds = quiet.manner == Quiet::Hold || matches!(address, Address::Phone { .. });
            quiet_mode = match (holds, quiet_mode) {
                (true, QuietMode::Hold(other)) => QuietMode::Hold(end.max(other)),
                (true, _) => QuietMode::Hold(end),
                (false, QuietMode::Loud) => QuietMode::Mute,
                (false, other) => other,
            };
        }
        quiet_mode
    }

    /// The present id of a chat. A closed topic is retried from time to time, because it may be open again.
    pub fn place(&self, bot: &str, chat: i64, topic: Option<i32>, now: Timestamp) -> ChatPlace {
        let discovered = self.discovered.read().unwrap_or_else(PoisonError::into_inner);
        let topic = topic.filter(|topic| {
            let lost = discovered.lost_topics.get(&(bot.to_owned(), chat, *topic));
            lost.is_none_or(|since| now < *since || now.duration_since(*since) >= TOPIC_AGAIN)
        });
        ChatPlace { chat: discovered.chat_migrations.get(&(bot.to_owned(), chat)).copied().unwrap_or(chat), topic }
    }

    /// The configured id of a chat that writes to the bot.
    pub fn configured_chat(&self, bot: &str, chat: i64) -> i64 {
        let discovered = self.discovered.read().unwrap_or_else(PoisonError::into_inner);
        let migration = discovered.chat_migrations.iter().find(|((of, _), to)| of == bot && **to == chat);
        migration.map_or(chat, |((_, from), _)| *from)
    }

    pub fn add_chat_migration(&self, bot: &str, from: i64, to: i64) {
        let mut discovered = self.discovered.write().unwrap_or_else(PoisonError::into_inner);
        discovered.chat_migrations.insert((bot.to_owned(), from), to);
    }

    pub fn add_lost_topic(&self, bot: &str, chat: i64, topic: i32, at: Timestamp) {
        let mut discovered = self.discovered.write().unwrap_or_else(PoisonError::into_inner);
        discovered.lost_topics.insert((bot.to_owned(), chat, topic), at);
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
        let routing = Routing::new(config, Vec::new(), vec![(("main".to_owned(), -1, 5), at(0))]);
        let topic = |second: i64| routing.place("main", -1, Some(5), at(second)).topic;
        assert_eq!((topic(1), topic(899), topic(900)), (None, None, Some(5)));
        routing.add_lost_topic("main", -1, 5, at(900));
        assert_eq!((topic(901), topic(1_800)), (None, Some(5)));
        assert_eq!(routing.place("main", -1, Some(6), at(1)).topic, Some(6));
    }
}
