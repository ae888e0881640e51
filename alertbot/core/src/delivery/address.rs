//! This module defines the address of a message. The outbox stores it as JSON, so a new form must still read the old one.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The medium of a message to a phone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Medium {
    Sms,
    Voice,
}

/// Where a chat is now: its present id, and the topic if it is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChatPlace {
    pub chat: i64,
    pub topic: Option<i32>,
}

/// One destination of messages.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "channel", rename_all = "snake_case")]
pub enum Address {
    /// A chat or a topic of it, through one of the configured bots.
    Telegram {
        /// Name of the bot in the configuration.
        bot: String,
        chat: i64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        topic: Option<i32>,
    },
    /// A phone, through one of the configured providers.
    Phone {
        /// Name of the provider in the configuration.
        provider: String,
        /// The person in the configuration who owns the phone.
        person: String,
        medium: Medium,
    },
}

impl Address {
    /// Addresses that share one budget: a chat with all its topics, or one person's phone.
    pub fn lane(&self) -> Self {
        match self {
            Self::Telegram { bot, chat, .. } => Self::Telegram { bot: bot.clone(), chat: *chat, topic: None },
            phone @ Self::Phone { .. } => phone.clone(),
        }
    }

    /// The bot or the provider.
    pub fn carrier(&self) -> &str {
        match self {
            Self::Telegram { bot, .. } => bot,
            Self::Phone { provider, .. } => provider,
        }
    }

    /// `telegram`, `sms` or `voice`, as in the label of metrics.
    pub fn channel(&self) -> &'static str {
        match self {
            Self::Telegram { .. } => "telegram",
            Self::Phone { medium: Medium::Sms, .. } => "sms",
            Self::Phone { medium: Medium::Voice, .. } => "voice",
        }
    }
}

/// For logs and the audit trail. Must not show a person's number.
impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Telegram { bot, chat, topic: None } => write!(formatter, "telegram:{bot}:{chat}"),
            Self::Telegram { bot, chat, topic: Some(topic) } => write!(formatter, "telegram:{bot}:{chat}:{topic}"),
            Self::Phone { provider, person, .. } => write!(formatter, "{}:{provider}:{person}", self.channel()),
        }
    }
}
