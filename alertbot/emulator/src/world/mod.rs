//! Everything that the emulator knows: bots, people, chats, messages, updates, faults and the calls that were made.
//! Never: HTTP.

mod account;
mod callback;
mod chat;
mod kind;
mod message;
mod post;
mod seed;
mod transcript;
mod update;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;

pub use account::{ANONYMOUS_ADMIN, Bot, User};
pub use callback::CallbackQuery;
pub use chat::{Chat, ChatState};
pub use kind::ChatKind;
pub use message::{Author, ChatMessage, Draft, Photo};
pub use seed::{BotSeed, ChatSeed, Seed, UserSeed};
pub use transcript::RecordedCall;

use crate::{fault::InjectedFaults, limits::TelegramLimits, limits::Usage, reply::MethodError};

/// Files that can still be downloaded; the oldest goes first.
const FILES_KEPT: usize = 500;

#[derive(Debug)]
pub struct World {
    begun: Instant,
    pub bots: Vec<Bot>,
    pub users: BTreeMap<i64, User>,
    pub chats: BTreeMap<i64, Chat>,
    pub callbacks: Vec<CallbackQuery>,
    files: Vec<(String, Bytes)>,
    /// Messages of which Telegram says nothing but where they are (`InaccessibleMessage`): chat and number.
    inaccessible: std::collections::BTreeSet<(i64, i64)>,
    /// Messages that a press does not name at all: the field is optional.
    unnamed: std::collections::BTreeSet<(i64, i64)>,
    pub faults: InjectedFaults,
    pub limits: TelegramLimits,
    pub usage: Usage,
    calls: transcript::Transcript,
    next_number: i64,
}

impl World {
    pub fn new(seed: Seed) -> Result<Self, MethodError> {
        let mut world = Self {
            begun: Instant::now(),
            bots: Vec::new(),
            users: BTreeMap::new(),
            chats: BTreeMap::new(),
            callbacks: Vec::new(),
            files: Vec::new(),
            inaccessible: std::collections::BTreeSet::new(),
            unnamed: std::collections::BTreeSet::new(),
            faults: InjectedFaults::default(),
            limits: seed.limits,
            usage: Usage::default(),
            calls: transcript::Transcript::default(),
            next_number: 1,
        };
        for bot in seed.bots {
            world.add_bot(bot)?;
        }
        for user in seed.users {
            world.add_user(user);
        }
        for chat in seed.chats {
            world.add_chat(chat)?;
        }
        Ok(world)
    }

    /// Since the emulator began.
    pub fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Seconds since 1970, as messages carry them.
    pub fn date() -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    }

    /// A number that nothing else of this run has.
    pub(crate) fn number(&mut self) -> i64 {
        self.next_number += 1;
        self.next_number
    }

    pub fn bot_with(&self, token: &str) -> Option<usize> {
        self.bots.iter().position(|bot| bot.token == token)
    }

    /// The chat that a bot named, if the bot may write there.
    ///
    /// # Errors
    /// As Telegram refuses: unknown, upgraded, kicked, blocked.
    pub fn writable(&self, chat: i64) -> Result<&Chat, MethodError> {
        let chat = self.chats.get(&chat).ok_or_else(|| MethodError::bad_request("chat not found"))?;
        match chat.state {
            ChatState::Open => Ok(chat),
            ChatState::Migrated { to } => Err(MethodError::migrated(to)),
            ChatState::Kicked if chat.kind == ChatKind::Private => Err(MethodError::forbidden("bot was blocked by the user")),
            ChatState::Kicked => Err(MethodError::forbidden(format!("bot was kicked from the {} chat", chat.kind.words()))),
            ChatState::Deleted if chat.kind == ChatKind::Private => Err(MethodError::forbidden("user is deactivated")),
            ChatState::Deleted => Err(MethodError::forbidden("the group chat was deleted")),
        }
    }

    pub fn chat_mut(&mut self, chat: i64) -> Result<&mut Chat, MethodError> {
        self.chats.get_mut(&chat).ok_or_else(|| MethodError::bad_request("chat not found"))
    }

    pub fn keep_file(&mut self, id: &str, content: Bytes) {
        if self.files.len() >= FILES_KEPT {
            self.files.remove(0);
        }
        self.files.push((id.to_owned(), content));
    }

    pub fn file(&self, id: &str) -> Option<&Bytes> {
        self.files.iter().find(|(kept, _)| kept == id).map(|(_, content)| content)
    }

    pub fn calls(&self) -> impl DoubleEndedIterator<Item = &RecordedCall> {
        self.calls.iter()
    }

    pub fn forget_calls(&mut self) {
        self.calls.clear();
    }

    pub(crate) fn record(&mut self, call: RecordedCall) {
        self.calls.push(call);
    }
}
