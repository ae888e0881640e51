//! Bots and people.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::{
    World,
    seed::{BotSeed, UserSeed},
    update::Updates,
};
use crate::reply::MethodError;

/// The name under which Telegram shows administrators who write anonymously.
pub const ANONYMOUS_ADMIN: i64 = 1_087_968_824;

#[derive(Debug, Serialize)]
pub struct Bot {
    pub id: i64,
    #[serde(skip)]
    pub token: String,
    pub name: String,
    pub username: String,
    /// Commands by scope and language, as they were set.
    #[serde(skip)]
    pub commands: BTreeMap<String, Value>,
    #[serde(skip)]
    pub updates: Updates,
    /// Counts its long polls: a newer one ends an older one.
    #[serde(skip)]
    pub polls: u64,
}

impl Bot {
    pub fn json(&self) -> Value {
        json!({"id": self.id, "is_bot": true, "first_name": self.name, "username": self.username})
    }
}

#[derive(Debug, Clone, Serialize)]
pub struct User {
    pub id: i64,
    pub name: String,
    pub username: Option<String>,
    pub language: Option<String>,
}

impl User {
    pub fn json(&self) -> Value {
        let mut user = json!({"id": self.id, "is_bot": false, "first_name": self.name});
        if let Some(username) = &self.username {
            user["username"] = username.clone().into();
        }
        if let Some(language) = &self.language {
            user["language_code"] = language.clone().into();
        }
        user
    }
}

impl World {
    pub(super) fn add_bot(&mut self, seed: BotSeed) -> Result<(), MethodError> {
        const SECRET_CHARACTERS: usize = 30;
        let shape = seed.token.split_once(':').filter(|(_, secret)| secret.len() >= SECRET_CHARACTERS);
        let id = shape.and_then(|(id, _)| id.parse().ok()).ok_or_else(|| {
            MethodError::bad_request(format!("a bot's token is its number, a colon and at least {SECRET_CHARACTERS} characters"))
        })?;
        if self.bots.iter().any(|bot| bot.id == id) {
            return Err(MethodError::bad_request(format!("two bots have the number {id}")));
        }
        self.bots.push(Bot {
            id,
            token: seed.token,
            name: seed.name,
            username: seed.username,
            commands: BTreeMap::new(),
            updates: Updates::default(),
            polls: 0,
        });
        Ok(())
    }

    pub fn add_user(&mut self, seed: UserSeed) {
        let UserSeed { id, name, username, language } = seed;
        self.users.insert(id, User { id, name, username, language });
    }

    /// Who it is, as messages and updates carry it.
    pub fn person(&self, id: i64) -> Value {
        if id == ANONYMOUS_ADMIN {
            return json!({"id": id, "is_bot": true, "first_name": "Group", "username": "GroupAnonymousBot"});
        }
        self.users.get(&id).map_or_else(|| json!({"id": id, "is_bot": false, "first_name": "Somebody"}), User::json)
    }
}
