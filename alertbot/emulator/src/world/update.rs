//! Updates that wait for a bot (<https://core.telegram.org/bots/api#update>).

use serde_json::{Value, json};

use super::{Bot, World};

/// Updates that wait; the oldest goes first. Telegram keeps them for a day.
const UPDATES_KEPT: usize = 100_000;

#[derive(Debug, Clone)]
pub struct Update {
    pub id: i64,
    pub kind: &'static str,
    pub content: Value,
}

impl Update {
    pub fn json(&self) -> Value {
        json!({"update_id": self.id, self.kind: self.content})
    }
}

impl Bot {
    /// Adds an update, unless the bot said that it does not want the kind.
    pub(super) fn enqueue(&mut self, kind: &'static str, content: Value) {
        if !self.allowed_updates.is_empty() && !self.allowed_updates.iter().any(|allowed| allowed == kind) {
            return;
        }
        if self.updates.len() >= UPDATES_KEPT {
            self.updates.pop_front();
        }
        self.updates.push_back(Update { id: self.next_update, kind, content });
        self.next_update += 1;
    }

    /// Those from `offset` on, and forgets those before it. A negative offset counts from the end.
    pub fn updates_from(&mut self, offset: i64, limit: usize) -> Vec<Value> {
        let first = if offset < 0 {
            let skip = self.updates.len().saturating_sub(usize::try_from(-offset).unwrap_or(usize::MAX));
            self.updates.get(skip).map_or(0, |update| update.id)
        } else {
            offset
        };
        self.updates.retain(|update| update.id >= first);
        self.updates.iter().take(limit).map(Update::json).collect()
    }

    pub fn waiting(&self) -> usize {
        self.updates.len()
    }

    pub fn drop_updates(&mut self) {
        self.updates.clear();
    }
}

impl World {
    /// For every bot: all of them are in all chats.
    pub fn update_all(&mut self, kind: &'static str, content: Value) {
        for bot in &mut self.bots {
            bot.enqueue(kind, content.clone());
        }
    }

    pub fn update_one(&mut self, bot: usize, kind: &'static str, content: Value) {
        self.bots[bot].enqueue(kind, content);
    }
}
