//! Chats: kinds, topics, and what can befall them.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{ChatMessage, World, kind::ChatKind, seed::ChatSeed};
use crate::reply::MethodError;

/// Messages that a chat remembers; the oldest goes first.
const MESSAGES_KEPT: usize = 20_000;
/// A forum's General topic: it has this number and must not be named.
pub const GENERAL_TOPIC: i64 = 1;

/// Whether a bot may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum ChatState {
    Open,
    /// Kicked from a group, blocked by a person.
    Kicked,
    Deleted,
    /// A group that became a supergroup.
    Migrated {
        to: i64,
    },
}

#[derive(Debug, Serialize)]
pub struct Chat {
    pub id: i64,
    pub kind: ChatKind,
    pub title: String,
    /// Of a forum.
    pub topics: BTreeMap<i64, String>,
    pub is_forum: bool,
    pub administrators: Vec<i64>,
    pub state: ChatState,
    #[serde(skip)]
    pub(super) messages: VecDeque<ChatMessage>,
    #[serde(skip)]
    pub(super) next_message: i64,
}

impl Chat {
    pub fn json(&self) -> Value {
        let mut chat = json!({"id": self.id, "type": self.kind.words()});
        let name = if self.kind == ChatKind::Private { "first_name" } else { "title" };
        chat[name] = self.title.clone().into();
        if self.is_forum {
            chat["is_forum"] = true.into();
        }
        chat
    }

    pub fn messages(&self) -> impl DoubleEndedIterator<Item = &ChatMessage> {
        self.messages.iter()
    }

    /// A message that is still there.
    pub fn message(&self, id: i64) -> Option<&ChatMessage> {
        self.messages.iter().rev().find(|message| message.id == id && !message.deleted)
    }

    pub fn message_mut(&mut self, id: i64) -> Option<&mut ChatMessage> {
        self.messages.iter_mut().rev().find(|message| message.id == id && !message.deleted)
    }

    /// The topic that a call named, if it is one.
    pub fn topic(&self, named: Option<i64>) -> Result<Option<i64>, MethodError> {
        match named {
            // In a chat without topics a thread says nothing.
            Some(topic) if self.is_forum && topic != 0 => {
                let there = topic != GENERAL_TOPIC && self.topics.contains_key(&topic);
                if there { Ok(Some(topic)) } else { Err(MethodError::bad_request("message thread not found")) }
            }
            _ => Ok(None),
        }
    }

    pub(super) fn next_message_id(&mut self) -> i64 {
        self.next_message += 1;
        self.next_message
    }

    pub(super) fn keep(&mut self, message: ChatMessage) {
        if self.messages.len() >= MESSAGES_KEPT {
            self.messages.pop_front();
        }
        self.messages.push_back(message);
    }
}

impl World {
    /// # Errors
    /// When the number does not fit the kind, or is taken.
    pub fn add_chat(&mut self, seed: ChatSeed) -> Result<(), MethodError> {
        const SUPERGROUPS_BELOW: i64 = -1_000_000_000_000;
        let fits = match seed.kind {
            ChatKind::Private => seed.id > 0,
            ChatKind::Group => seed.id < 0 && seed.id > SUPERGROUPS_BELOW,
            ChatKind::Supergroup | ChatKind::Channel => seed.id < SUPERGROUPS_BELOW,
        };
        if !fits || self.chats.contains_key(&seed.id) {
            return Err(MethodError::bad_request(format!("{} is no free number of a {} chat", seed.id, seed.kind.words())));
        }
        let chat = Chat {
            id: seed.id,
            kind: seed.kind,
            title: seed.title,
            is_forum: !seed.topics.is_empty(),
            topics: seed.topics.into_iter().collect(),
            administrators: seed.administrators,
            state: ChatState::Open,
            messages: VecDeque::new(),
            next_message: 0,
        };
        self.chats.insert(chat.id, chat);
        Ok(())
    }

    /// A group becomes a supergroup with another number; old messages stay where they were.
    pub fn migrate(&mut self, from: i64, to: i64) -> Result<(), MethodError> {
        let chat = self.chat_mut(from)?;
        if chat.kind != ChatKind::Group || chat.state != ChatState::Open {
            return Err(MethodError::bad_request("only an open plain group becomes a supergroup"));
        }
        let (title, administrators) = (chat.title.clone(), chat.administrators.clone());
        self.add_chat(ChatSeed { administrators, ..ChatSeed::new(to, ChatKind::Supergroup, &title) })?;
        self.chat_mut(from)?.state = ChatState::Migrated { to };
        for (chat, name, other) in [(from, "migrate_to_chat_id", to), (to, "migrate_from_chat_id", from)] {
            let chat = self.chat_mut(chat)?;
            let message = json!({"message_id": chat.next_message_id(), "date": Self::date(), "chat": chat.json(), name: other});
            self.update_all("message", message);
        }
        Ok(())
    }
}
