//! This module posts messages to chats and renders them as the Bot API does.

use serde_json::{Value, json};

use super::{
    World,
    account::ANONYMOUS_ADMIN,
    chat::Chat,
    message::{Author, ChatMessage, Draft},
};
use crate::reply::MethodError;

impl World {
    /// Puts a message into a chat and returns it as the Bot API shows it.
    pub fn post(&mut self, chat: i64, draft: Draft) -> Result<Value, MethodError> {
        let chat = self.chat_mut(chat)?;
        let Draft { author, topic, text, entities, photo, reply_to, keyboard, silent } = draft;
        let message = ChatMessage {
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
    pub fn json(&self, message: &ChatMessage) -> Value {
        let mut shown = self.json_alone(message);
        let answered = message.reply_to.and_then(|id| self.chats.get(&message.chat)?.message(id));
        if let Some(answered) = answered {
            shown["reply_to_message"] = self.json_alone(answered);
        }
        shown
    }

    fn json_alone(&self, message: &ChatMessage) -> Value {
        let chat = self.chats.get(&message.chat).map(Chat::json).unwrap_or_default();
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
