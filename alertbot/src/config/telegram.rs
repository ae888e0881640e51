//! This module reads the Telegram bots and chats.

use std::time::Duration;

use alertbot_core::message::Language;
use jiff::tz::TimeZone;
use service_kit::config::Secret;

use super::{
    document::{HttpAddress, Section},
    names::Names,
    quiet::QuietHours,
};

/// A bot created with @BotFather.
#[derive(Debug, Clone)]
pub struct Bot {
    pub name: String,
    /// Line in the file.
    pub line: usize,
    pub token: Secret,
    /// The Bot API, or another server with the same API.
    pub api_url: String,
    /// `http://`, `https://` or `socks5://`. A secret, because it may contain a password.
    pub proxy: Option<Secret>,
    pub timeout: Duration,
    /// Whether this bot receives buttons and commands. Only one program per token may do so.
    pub listens: bool,
    pub budget: Budget,
}

/// Telegram's limits (<https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Calls per second over all chats.
    pub overall_per_second: u32,
    /// Calls per minute to one private chat.
    pub chat_per_minute: u32,
    /// Calls per minute to one group.
    pub group_per_minute: u32,
}

impl Default for Budget {
    fn default() -> Self {
        Self { overall_per_second: 30, chat_per_minute: 60, group_per_minute: 20 }
    }
}

/// A group, channel or private chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chat {
    pub name: String,
    /// Name of the bot that sends there.
    pub bot: String,
    /// Negative for groups and channels.
    pub id: i64,
    /// `message_thread_id` of a forum topic.
    pub topic: Option<i32>,
    pub language: Language,
    /// Zone of times in its messages, and of its quiet hours.
    pub time_zone: TimeZone,
    pub quiet_hours: Vec<QuietHours>,
}

pub(super) fn bots(root: &Section) -> (Vec<Bot>, Names) {
    let sections = root.sections("bots");
    let names = Names::of("bot", "bots", &sections);
    (sections.iter().enumerate().map(|(index, section)| Bot::read(section, names.at(index))).collect(), names)
}

impl Bot {
    fn read(section: &Section, name: String) -> Self {
        let limits = Budget::default();
        let per_minute = |key, default| section.or_within(key, default, 1..=6000);
        Self {
            name,
            line: section.line(),
            token: section.secret("token", "the bot's token from @BotFather"),
            api_url: section.or("api_url", HttpAddress("https://api.telegram.org".into())).0,
            proxy: section.optional_secret("proxy", "proxy to Telegram, as socks5://host:port"),
            timeout: section.or_within("timeout", Duration::from_secs(10), Duration::from_secs(1)..=Duration::from_secs(60)),
            listens: section.or("listens", true),
            budget: Budget {
                overall_per_second: section.or_within("overall_per_second", limits.overall_per_second, 1..=1000),
                chat_per_minute: per_minute("chat_per_minute", limits.chat_per_minute),
                group_per_minute: per_minute("group_per_minute", limits.group_per_minute),
            },
        }
    }
}

pub(super) fn chats(root: &Section, bots: &Names, language: Language, time_zone: &TimeZone) -> (Vec<Chat>, Names) {
    let sections = root.sections("chats");
    let names = Names::of("chat", "chats", &sections);
    let mut chats: Vec<Chat> = Vec::new();
    for (index, section) in sections.iter().enumerate() {
        let chat = Chat {
            name: names.at(index),
            bot: bot_of(section, bots),
            id: section.required("id", "the chat's numeric id; groups have negative ones"),
            topic: section.optional("topic"),
            language: section.or("language", language),
            time_zone: section.or("time_zone", time_zone.clone()),
            quiet_hours: QuietHours::read_all(section),
        };
        if let Some(same) = chats.iter().find(|other| (&other.bot, other.id, other.topic) == (&chat.bot, chat.id, chat.topic)) {
            let wrong = format!("is already the id of the chat {}", same.name);
            section.fault("id", &wrong, "define each chat once, so that it gets each message once");
        }
        chats.push(chat);
    }
    (chats, names)
}

/// The named bot, or the first one.
pub(super) fn bot_of(section: &Section, bots: &Names) -> String {
    match (bots.optional(section, "bot"), bots.first()) {
        (Some(bot), _) => bot,
        (None, Some(first)) => first.to_owned(),
        (None, None) => {
            section.fault("", "needs a bot, but `bots` is empty", "add one to `bots`, with its token");
            String::new()
        }
    }
}
