//! Messages, as they stand in a chat and as the Bot API shows them.

use serde::Serialize;
use serde_json::{Value, json};

use super::{ANONYMOUS_ADMIN, World};
use crate::{reply::Refusal, text::Entity};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Author {
    /// Its place among the bots.
    Bot(usize),
    User(i64),
}

/// An uploaded picture or document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Photo {
    pub file_id: String,
    /// `None` for a document.
    pub size: Option<(u32, u32)>,
    pub bytes: usize,
    pub name: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Message {
    pub chat: i64,
    pub id: i64,
    pub topic: Option<i64>,
    pub author: Author,
    pub date: i64,
    pub edited: Option<i64>,
    /// The text, or the caption of a picture.
    pub text: String,
    pub entities: Vec<Entity>,
    pub photo: Option<Photo>,
    pub reply_to: Option<i64>,
    /// An inline keyboard as it was given.
    pub keyboard: Option<Value>,
    /// Arrived without a sound.
    pub silent: bool,
    pub deleted: bool,
    pub pinned: bool,
    /// Every text that stood here before, oldest first.
    pub earlier: Vec<String>,
}

impl Message {
    /// Text and data of every callback button.
    pub fn buttons(&self) -> Vec<(String, String)> {
        let rows =
            self.keyboard.as_ref().and_then(|keyboard| keyboard["inline_keyboard"].as_array()).cloned().unwrap_or_default();
        let buttons = rows.iter().filter_map(Value::as_array).flatten();
        let named = |button: &Value| Some((button["text"].as_str()?.to_owned(), button["callback_data"].as_str()?.to_owned()));
        buttons.filter_map(named).collect()
    }
}

/// What a new message needs; the rest is the chat's to give.
#[derive(Debug, Clone)]
pub struct Draft {
    pub author: Author,
    pub topic: Option<i64>,
    pub text: String,
    pub entities: Vec<Entity>,
    pub photo: Option<Photo>,
    pub reply_to: Option<i64>,
    pub keyboard: Option<Value>,
    pub silent: bool,
}

impl Draft {
    pub fn text(author: Author, text: &str) -> Self {
        Self {
            author,
            topic: None,
            text: text.to_owned(),
            entities: Vec::new(),
            photo: None,
            reply_to: None,
            keyboard: None,
            silent: false,
        }
    }
}

impl World {
    /// Puts a message into a chat and returns it as the Bot API shows it.
    pub fn post(&mut self, chat: i64, draft: Draft) -> Result<Value, Refusal> {
        let chat = self.chat_mut(chat)?;
        let Draft { author, topic, text, entities, photo, reply_to, keyboard, silent } = draft;
        let message = Message {
            chat: chat.id,
            id: chat.next_message_id(),
            topic,
            author,
            date: Self::date(),
            edited: None,
            text,
            entities,
            photo,
            reply_to,
            keyboard,
            silent,
            deleted: false,
            pinned: false,
            earlier: Vec::new(),
        };
        chat.keep(message.clone());
        Ok(self.json(&message))
    }

    /// A message as the Bot API shows it, with the one that it answers.
    pub fn json(&self, message: &Message) -> Value {
        let mut shown = self.json_alone(message);
        let answered = message.reply_to.and_then(|id| self.chats.get(&message.chat)?.message(id));
        if let Some(answered) = answered {
            shown["reply_to_message"] = self.json_alone(answered);
        }
        shown
    }

    fn json_alone(&self, message: &Message) -> Value {
        let chat = self.chats.get(&message.chat).map(super::Chat::json).unwrap_or_default();
        let mut shown = json!({"message_id": message.id, "date": message.date, "chat": chat});
        match message.author {
            Author::Bot(place) => shown["from"] = self.bots[place].json(),
            Author::User(ANONYMOUS_ADMIN) => {
                shown["from"] = self.person(ANONYMOUS_ADMIN);
                shown["sender_chat"] = shown["chat"].clone();
            }
            Author::User(id) => shown["from"] = self.person(id),
        }
        if let Some(topic) = message.topic {
            shown["message_thread_id"] = topic.into();
            shown["is_topic_message"] = true.into();
        }
        if let Some(edited) = message.edited {
            shown["edit_date"] = edited.into();
        }
        let (text, entities) = if message.photo.is_some() { ("caption", "caption_entities") } else { ("text", "entities") };
        if !message.text.is_empty() {
            shown[text] = message.text.clone().into();
        }
        if !message.entities.is_empty() {
            shown[entities] = json!(message.entities);
        }
        if let Some(photo) = &message.photo {
            let mut file = json!({"file_id": photo.file_id, "file_unique_id": photo.file_id, "file_size": photo.bytes});
            match photo.size {
                Some((width, height)) => {
                    file["width"] = width.into();
                    file["height"] = height.into();
                    shown["photo"] = json!([file]);
                }
                None => {
                    file["file_name"] = photo.name.clone().into();
                    shown["document"] = file;
                }
            }
        }
        if let Some(keyboard) = &message.keyboard {
            shown["reply_markup"] = keyboard.clone();
        }
        shown
    }
}
