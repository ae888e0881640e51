//! This module queues the updates of a bot (<https://core.telegram.org/bots/api#update>).

use std::collections::VecDeque;

use serde_json::{Value, json};

use super::World;

/// Most waiting updates; the oldest is removed first. Telegram stores them for a day.
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

/// The updates that wait for one bot.
#[derive(Debug)]
pub struct Updates {
    waiting: VecDeque<Update>,
    next: i64,
    /// Kinds that the bot asked for; empty: every kind.
    allowed: Vec<String>,
}

impl Default for Updates {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), next: 1, allowed: Vec::new() }
    }
}

impl Updates {
    /// Adds an update, unless the bot asked for other kinds only.
    pub(super) fn push(&mut self, kind: &'static str, content: Value) {
        if !self.allowed.is_empty() && !self.allowed.iter().any(|allowed| allowed == kind) {
            return;
        }
        if self.waiting.len() >= UPDATES_KEPT {
            self.waiting.pop_front();
        }
        self.waiting.push_back(Update { id: self.next, kind, content });
        self.next += 1;
    }

    /// Restricts later updates to these kinds.
    pub fn allow(&mut self, kinds: Vec<String>) {
        self.allowed = kinds;
    }

    /// Updates from `offset` on. Removes earlier ones. A negative offset counts from the end.
    pub fn starting_at(&mut self, offset: i64, limit: usize) -> Vec<Value> {
        let first = if offset < 0 {
            let skip = self.waiting.len().saturating_sub(usize::try_from(-offset).unwrap_or(usize::MAX));
            self.waiting.get(skip).map_or(0, |update| update.id)
        } else {
            offset
        };
        self.waiting.retain(|update| update.id >= first);
        self.waiting.iter().take(limit).map(Update::json).collect()
    }

    pub fn count(&self) -> usize {
        self.waiting.len()
    }

    pub fn clear(&mut self) {
        self.waiting.clear();
    }
}

impl World {
    /// For every bot: all of them are in all chats.
    pub fn update_all(&mut self, kind: &'static str, content: Value) {
        for bot in &mut self.bots {
            bot.updates.push(kind, content.clone());
        }
    }

    pub fn update_one(&mut self, bot: usize, kind: &'static str, content: Value) {
        self.bots[bot].updates.push(kind, content);
    }
}
