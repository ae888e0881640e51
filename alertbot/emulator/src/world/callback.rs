//! Pressed buttons and what the bot answered to them.

use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use super::{Author, World, message::Draft};
use crate::reply::MethodError;

/// How long a press waits for `answerCallbackQuery`; the phone shows a running circle all the while.
const LIFETIME: Duration = Duration::from_secs(30);
const CALLBACKS_KEPT: usize = 1000;

#[derive(Debug, Clone, Serialize)]
pub struct CallbackQuery {
    pub id: String,
    pub chat: i64,
    pub message: i64,
    pub user: i64,
    pub data: String,
    #[serde(skip)]
    pressed: Duration,
    /// What the bot showed in answer; `None` until it answers, and an empty text when it showed nothing.
    pub answer: Option<String>,
    pub is_alert: bool,
}

impl World {
    /// Presses a button, given by its data or its text. Returns the number of the press.
    pub fn press(&mut self, user: i64, chat: i64, message: i64, button: &str) -> Result<String, MethodError> {
        let there = self.chat_mut(chat)?.message(message).ok_or_else(|| MethodError::bad_request("message not found"))?.clone();
        let buttons = there.buttons();
        let pressed = buttons.iter().find(|(text, data)| data == button || text == button);
        let (_, data) =
            pressed.ok_or_else(|| MethodError::bad_request(format!("the message has no button {button:?}, only {buttons:?}")))?;
        let Author::Bot(bot) = there.author else { return Err(MethodError::bad_request("the message is no bot's")) };
        let id = format!("{}", 4_000_000_000_000_000_000_i64 + self.number());
        let shown = match self.inaccessible.contains(&(chat, message)) {
            true => json!({"chat": self.json(&there)["chat"], "message_id": message, "date": 0}),
            false => self.json(&there),
        };
        let mut query = json!({"id": id, "from": self.person(user), "chat_instance": chat.to_string(), "data": data});
        if !self.unnamed.contains(&(chat, message)) {
            query["message"] = shown;
        }
        if self.callbacks.len() >= CALLBACKS_KEPT {
            self.callbacks.remove(0);
        }
        let pressed = self.now();
        let callback =
            CallbackQuery { id: id.clone(), chat, message, user, data: data.clone(), pressed, answer: None, is_alert: false };
        self.callbacks.push(callback);
        self.update_one(bot, "callback_query", query);
        Ok(id)
    }

    /// Presses on this message carry only its place, as for old messages.
    pub fn age(&mut self, chat: i64, message: i64) -> Result<(), MethodError> {
        self.chat_mut(chat)?.message(message).ok_or_else(|| MethodError::bad_request("message not found"))?;
        self.inaccessible.insert((chat, message));
        Ok(())
    }

    /// Presses on this message do not name it.
    pub fn unname(&mut self, chat: i64, message: i64) -> Result<(), MethodError> {
        self.chat_mut(chat)?.message(message).ok_or_else(|| MethodError::bad_request("message not found"))?;
        self.unnamed.insert((chat, message));
        Ok(())
    }

    pub fn answer_callback(&mut self, id: &str, text: String, is_alert: bool) -> Result<(), MethodError> {
        let now = self.now();
        let waiting = self.callbacks.iter_mut().find(|callback| callback.id == id && callback.answer.is_none());
        let waiting = waiting.filter(|callback| now.saturating_sub(callback.pressed) <= LIFETIME);
        let callback = waiting
            .ok_or_else(|| MethodError::bad_request("query is too old and response timeout expired or query ID is invalid"))?;
        (callback.answer, callback.is_alert) = (Some(text), is_alert);
        Ok(())
    }

    /// A person writes into a chat. Returns the message's number.
    pub fn say(
        &mut self,
        user: i64,
        chat: i64,
        text: &str,
        topic: Option<i64>,
        reply_to: Option<i64>,
    ) -> Result<i64, MethodError> {
        let topic = self.chat_mut(chat)?.topic(topic)?;
        let mut draft = Draft { topic, reply_to, ..Draft::text(Author::User(user), text) };
        if let Some(command) = text.split_whitespace().next().filter(|word| word.starts_with('/') && text.starts_with('/')) {
            draft.entities.push(crate::text::Entity::new("bot_command", 0, crate::text::utf16_units(command)));
        }
        let message = self.post(chat, draft)?;
        let id = message["message_id"].as_i64().unwrap_or_default();
        self.update_all("message", message);
        Ok(id)
    }
}
