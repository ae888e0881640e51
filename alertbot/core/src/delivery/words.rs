//! This module defines ready texts. The outbox stores them as JSON, so a new field must have a default.

use serde::{Deserialize, Serialize};

/// Ready text for a chat or a phone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Words {
    /// Telegram's HTML; plain text for a phone.
    pub text: String,
    #[serde(default)]
    pub buttons: Vec<Vec<Button>>,
    #[serde(default)]
    pub reply_to: Option<i32>,
    #[serde(default)]
    pub silent: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Button {
    pub text: String,
    pub action: ButtonAction,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ButtonAction {
    /// Returned to the bot: at most 64 bytes.
    Press(String),
    Open(String),
}
