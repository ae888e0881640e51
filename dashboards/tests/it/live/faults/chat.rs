//! What people see: the incidents in the chats of the emulator.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde_json::Value;

/// The chats that the alert bot and Alertmanager's own receiver write to.
pub struct Chat {
    telegram: String,
    ids: Vec<i64>,
}

/// A message that begins an incident.
#[derive(Clone)]
pub struct Incident {
    pub alert: String,
    /// Chat and message.
    pub key: (i64, i64),
    pub is_over: bool,
    pub text: String,
    pub message: Value,
}

pub type Known = BTreeSet<(i64, i64)>;

impl Chat {
    pub fn new(endpoints: &Value) -> Result<Self> {
        let telegram = endpoints["telegram"].as_str().context("endpoints.json names no Telegram")?.to_owned();
        let chats = endpoints["alerts"]["chats"].as_array().context("endpoints.json names no chats")?;
        Ok(Self { telegram, ids: chats.iter().filter_map(|chat| chat["id"].as_i64()).collect() })
    }

    /// Every incident of the chats, oldest first.
    pub async fn incidents(&self) -> Result<Vec<Incident>> {
        let world: Value = reqwest::get(format!("{}/control/world", self.telegram)).await?.json().await?;
        let mut incidents = Vec::new();
        for chat in world["chats"].as_array().into_iter().flatten() {
            let Some(id) = chat["id"].as_i64().filter(|id| self.ids.contains(id)) else { continue };
            let messages = chat["messages"].as_array().into_iter().flatten();
            incidents.extend(messages.filter_map(|message| incident(id, message)));
        }
        Ok(incidents)
    }

    /// Alertmanager's receiver has reported the end of `alert`, after the newest of `begun`.
    pub async fn reports_end(&self, alert: &str, begun: &[Incident]) -> Result<bool> {
        let world: Value = reqwest::get(format!("{}/control/world", self.telegram)).await?.json().await?;
        let Some(newest) = begun.iter().map(|incident| incident.key).max() else { return Ok(true) };
        let chats = world["chats"].as_array().into_iter().flatten().filter(|chat| chat["id"] == newest.0);
        let messages = chats.filter_map(|chat| chat["messages"].as_array()).flatten();
        let text = format!("RESOLVED: {alert}");
        let mut later = messages.filter(|message| message["id"].as_i64() > Some(newest.1));
        Ok(later.any(|message| message["text"].as_str().is_some_and(|found| found.starts_with(&text))))
    }

    pub async fn known(&self) -> Result<Known> {
        Ok(self.incidents().await?.into_iter().map(|incident| incident.key).collect())
    }
}

/// The alert bot's card has "<severity> · <state> · <alert> #<number>" in its second line. Alertmanager's receiver begins with
/// "FIRING: <alert>", and reports the end in a message of its own.
fn incident(chat: i64, message: &Value) -> Option<Incident> {
    let text = message["text"].as_str().or(message["caption"].as_str())?;
    let mut lines = text.lines();
    let (first, second) = (lines.next()?, lines.next().unwrap_or_default());
    let alert = match (first.split_once("FIRING: "), second.split(" · ").nth(2)) {
        (Some((_, alert)), _) => alert,
        (None, Some(alert)) => alert,
        (None, None) => return None,
    };
    let alert = alert.split(' ').next()?.to_owned();
    Some(Incident {
        alert,
        text: text.to_owned(),
        key: (chat, message["id"].as_i64()?),
        is_over: first.contains('🟢'),
        message: message.clone(),
    })
}
