//! This module reads the people to notify and their roles.

use alertbot_core::message::Language;
use jiff::tz::TimeZone;

use super::{
    document::{Section, Value},
    names::Names,
    quiet::QuietHours,
    telegram::bot_of,
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    pub name: String,
    pub role: Role,
    /// Numeric user id, which is also the id of the private chat. It authorizes commands and buttons.
    pub telegram: Option<i64>,
    /// Name of the bot that writes to the private chat. The person must have started it once.
    pub bot: Option<String>,
    pub phone: Option<PhoneNumber>,
    /// Name of the SMS provider.
    pub sms: Option<String>,
    /// Name of the call provider.
    pub voice: Option<String>,
    pub language: Language,
    pub time_zone: TimeZone,
    pub quiet_hours: Vec<QuietHours>,
}

impl Person {
    /// Whether the person can be notified by this means.
    pub fn can_be_reached(&self, means: Means) -> bool {
        match means {
            Means::Telegram => self.telegram.is_some() && self.bot.is_some(),
            Means::Sms => self.phone.is_some() && self.sms.is_some(),
            Means::Voice => self.phone.is_some() && self.voice.is_some(),
        }
    }
}

/// Permissions of a person. Each role includes the previous ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Queries: /alerts /silences /oncall, and the chart button.
    Viewer,
    /// Acknowledge, silence, escalate.
    Responder,
    /// Also for others: reassign, end their silences.
    Admin,
}

impl Value for Role {
    const SHAPE: &'static str = "viewer, responder or admin";

    fn parse(text: &str) -> Option<Self> {
        match text {
            "viewer" => Some(Self::Viewer),
            "responder" => Some(Self::Responder),
            "admin" => Some(Self::Admin),
            _ => None,
        }
    }

    fn stand_in() -> Self {
        Self::Viewer
    }
}

/// A means to notify a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Means {
    Telegram,
    Sms,
    Voice,
}

impl Means {
    pub const ALL: [Self; 3] = [Self::Telegram, Self::Sms, Self::Voice];

    pub fn name(self) -> &'static str {
        match self {
            Self::Telegram => "telegram",
            Self::Sms => "sms",
            Self::Voice => "voice",
        }
    }
}

impl Value for Means {
    const SHAPE: &'static str = "telegram, sms or voice";

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|means| means.name() == text)
    }

    fn stand_in() -> Self {
        Self::Telegram
    }
}

/// In E.164 format: a plus and up to fifteen digits. Personal data: must not appear in a log or a fault.
#[derive(Clone, PartialEq, Eq)]
pub struct PhoneNumber(String);

impl PhoneNumber {
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for PhoneNumber {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("(number)")
    }
}

/// Minimum and maximum number of digits (the maximum is from E.164).
const DIGITS: std::ops::RangeInclusive<usize> = 7..=15;

impl Value for PhoneNumber {
    const SHAPE: &'static str = "\"+\" and 7 to 15 digits, as \"+989120000000\"";
    const SHOWN: bool = false;

    fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('+')?;
        let well_formed =
            DIGITS.contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
        well_formed.then(|| Self(text.to_owned()))
    }

    fn stand_in() -> Self {
        Self(String::new())
    }
}

pub(super) fn people(
    root: &Section,
    bots: &Names,
    providers: &Names,
    language: Language,
    time_zone: &TimeZone,
) -> (Vec<Person>, Names) {
    let sections = root.sections("people");
    let names = Names::of("person", "people", &sections);
    let mut people: Vec<Person> = Vec::new();
    for (index, section) in sections.iter().enumerate() {
        let telegram: Option<i64> = section.optional("telegram");
        if telegram.is_some_and(|id| id <= 0) {
            section.fault("telegram", "is not a user id", "users have positive ids; a bot such as @userinfobot shows yours");
        }
        let sms = providers.optional(section, "sms");
        let person = Person {
            name: names.at(index),
            role: section.or("role", Role::Responder),
            telegram,
            bot: telegram.map(|_| bot_of(section, bots)),
            phone: section.optional("phone"),
            sms,
            voice: providers.optional(section, "voice"),
            language: section.or("language", language),
            time_zone: section.or("time_zone", time_zone.clone()),
            quiet_hours: QuietHours::read_all(section),
        };
        if !section.has("telegram") && !section.has("phone") {
            section.fault("", "cannot be reached", "add `telegram`, or `phone` with `sms` or `voice`");
        }
        if section.has("phone") && !section.has("sms") && !section.has("voice") {
            section.fault("phone", "is not used by any provider", "set a provider in `sms` or `voice`");
        }
        for way in ["sms", "voice"] {
            if section.has(way) && !section.has("phone") {
                section.fault(way, "needs a phone number", "add `phone`");
            }
        }
        if let Some(other) = people.iter().find(|other| other.telegram.is_some() && other.telegram == person.telegram) {
            let wrong = format!("is already the id of {}", other.name);
            section.fault("telegram", &wrong, "use one id per person, because it identifies who presses a button");
        }
        people.push(person);
    }
    (people, names)
}
