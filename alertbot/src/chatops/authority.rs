//! This module authorizes actions by the numeric user id and the chat. Names and titles prove nothing. An administrator who
//! writes as the group cannot be identified.

use alertbot_core::delivery::Address;

use crate::{
    config::{Config, Person, Role},
    routing::Routing,
};

/// Why an action is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAuthorized {
    /// An anonymous administrator, or a person who writes in the name of a channel.
    Anonymous,
    /// The user is not a person of the configuration.
    Stranger,
    /// The chat is not in the configuration.
    WrongChat,
    /// The person's role does not allow it.
    Role(Role),
}

impl NotAuthorized {
    /// For the audit trail.
    pub fn name(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous administrator",
            Self::Stranger => "stranger",
            Self::WrongChat => "chat not in the configuration",
            Self::Role(_) => "role",
        }
    }
}

/// Telegram's user for anonymous administrators (`GroupAnonymousBot`).
const ANONYMOUS_ADMINISTRATOR: u64 = 1_087_968_824;

/// The sender and the chat.
#[derive(Debug, Clone, Copy)]
pub struct Asker {
    pub user: Option<u64>,
    /// The message was written in the name of a chat.
    pub in_the_name_of_a_chat: bool,
    /// Configured id of the chat.
    pub chat: i64,
}

/// The person, if authorized for an action of this role in this chat.
pub fn authorise<'a>(config: &'a Config, bot: &str, asker: Asker, needed: Role) -> Result<&'a Person, NotAuthorized> {
    if asker.in_the_name_of_a_chat || asker.user == Some(ANONYMOUS_ADMINISTRATOR) {
        return Err(NotAuthorized::Anonymous);
    }
    let user = asker.user.and_then(|user| i64::try_from(user).ok()).ok_or(NotAuthorized::Anonymous)?;
    let person = config.person_of_telegram(user).ok_or(NotAuthorized::Stranger)?;
    let private = asker.chat == user;
    let known = config.chats.iter().any(|chat| chat.bot == bot && chat.id == asker.chat);
    if !private && !known {
        return Err(NotAuthorized::WrongChat);
    }
    if person.role < needed {
        return Err(NotAuthorized::Role(needed));
    }
    Ok(person)
}

/// The chat as an address. A topic that is not in the configuration gets answers too.
pub fn address(routing: &Routing, bot: &str, chat: i64, topic: Option<i32>) -> Address {
    Address::Telegram { bot: bot.to_owned(), chat: routing.configured_chat(bot, chat), topic }
}
