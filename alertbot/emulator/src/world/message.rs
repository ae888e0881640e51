//! This module defines messages as chats store them.

use serde::Serialize;
use serde_json::Value;

use crate::text::Entity;

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
pub struct ChatMessage {
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
    /// The inline keyboard of the call.
    pub keyboard: Option<Value>,
    /// Arrived without a sound.
    pub silent: bool,
    pub deleted: bool,
    pub pinned: bool,
    /// Earlier texts, oldest first.
    pub earlier: Vec<String>,
}

impl ChatMessage {
    /// Text and data of every callback button.
    pub fn buttons(&self) -> Vec<(String, String)> {
        let rows =
            self.keyboard.as_ref().and_then(|keyboard| keyboard["inline_keyboard"].as_array()).cloned().unwrap_or_default();
        let buttons = rows.iter().filter_map(Value::as_array).flatten();
        let named = |button: &Value| Some((button["text"].as_str()?.to_owned(), button["callback_data"].as_str()?.to_owned()));
        buttons.filter_map(named).collect()
    }
}

/// A new message without the fields that the chat sets.
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
