//! This module defines the initial world: a JSON file for the program, a value in tests.

use serde::{Deserialize, Serialize};

use super::kind::ChatKind;
use crate::limits::TelegramLimits;

/// Bots, people and chats.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seed {
    pub bots: Vec<BotSeed>,
    pub users: Vec<UserSeed>,
    pub chats: Vec<ChatSeed>,
    #[serde(default)]
    pub limits: TelegramLimits,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BotSeed {
    /// `<number>:<secret>`; the number is the bot's.
    pub token: String,
    pub name: String,
    pub username: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserSeed {
    pub id: i64,
    pub name: String,
    #[serde(default)]
    pub username: Option<String>,
    #[serde(default)]
    pub language: Option<String>,
}

/// A private chat has the number of its person; groups have negative ones, supergroups and channels below -10¹².
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChatSeed {
    pub id: i64,
    pub kind: ChatKind,
    pub title: String,
    /// Makes it a forum: the numbers and names of its topics except General.
    #[serde(default)]
    pub topics: Vec<(i64, String)>,
    /// Its administrators. Not needed for a private chat.
    #[serde(default)]
    pub administrators: Vec<i64>,
}

impl ChatSeed {
    pub fn new(id: i64, kind: ChatKind, title: &str) -> Self {
        Self { id, kind, title: title.to_owned(), topics: Vec::new(), administrators: Vec::new() }
    }
}

impl Seed {
    /// Two bots (the second for Alertmanager's own notifier), three people with private chats, a supergroup, a forum, a plain group and a
    /// second supergroup.
    pub fn demo() -> Self {
        let bot = |number: i64, name: &str, username: &str| BotSeed {
            token: format!("{number}:emulated-token-that-opens-nothing-{number}"),
            name: name.to_owned(),
            username: username.to_owned(),
        };
        let user = |id, name: &str, language: Option<&str>| UserSeed {
            id,
            name: name.to_owned(),
            username: Some(name.to_lowercase()),
            language: language.map(str::to_owned),
        };
        Self {
            bots: vec![bot(7_000_001, "Alerts", "alerts_demo_bot"), bot(7_000_002, "Second way", "second_way_demo_bot")],
            users: vec![user(11, "Ada", Some("en")), user(12, "Behrang", Some("fa")), user(13, "Chioma", Some("en"))],
            chats: vec![
                ChatSeed::new(11, ChatKind::Private, "Ada"),
                ChatSeed::new(12, ChatKind::Private, "Behrang"),
                ChatSeed::new(13, ChatKind::Private, "Chioma"),
                ChatSeed { administrators: vec![11], ..ChatSeed::new(-1_001_000_000_001, ChatKind::Supergroup, "Operations") },
                ChatSeed {
                    administrators: vec![11],
                    topics: vec![(2, "Database".to_owned()), (3, "API".to_owned())],
                    ..ChatSeed::new(-1_001_000_000_002, ChatKind::Supergroup, "Operations by topic")
                },
                ChatSeed { administrators: vec![11], ..ChatSeed::new(-4_001, ChatKind::Group, "Night shift") },
                ChatSeed {
                    administrators: vec![11],
                    ..ChatSeed::new(-1_001_000_000_003, ChatKind::Supergroup, "When the bot is down")
                },
            ],
            limits: TelegramLimits::default(),
        }
    }
}
