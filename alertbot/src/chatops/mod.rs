//! This module handles input of people: buttons and commands in Telegram, replies by SMS. It authorizes every action. The audit
//! trail records every action, also the refused ones.

pub mod authority;
mod buttons;
mod command;
mod duty_override;
mod lists;
pub mod reply;
mod silences;
pub mod updates;

use std::sync::Arc;

use alertbot_core::{
    delivery::{Address, Words},
    incident::IncidentId,
    schedule::Urgency,
};
use teloxide::prelude::{Request, Requester};

use crate::{
    alertmanager::AlertmanagerClient,
    clock::Clock,
    metrics::PeopleMetrics,
    notify::telegram::Telegram,
    writer::{
        Unavailable, Writer,
        actions::{Note, Say},
    },
};

/// Context of an action by a person.
#[derive(Clone)]
pub struct BotContext {
    pub writer: Writer,
    pub clock: Clock,
    pub alertmanagers: Arc<Vec<AlertmanagerClient>>,
    pub metrics: PeopleMetrics,
    /// Notified if an action changed Alertmanager, so that a reconciliation must run.
    pub compare: tokio::sync::watch::Sender<()>,
    /// Name of the bot in the configuration, and its client.
    pub bot: String,
    pub telegram: Telegram,
    /// User name of the bot, requested from Telegram once.
    pub username: Arc<tokio::sync::OnceCell<String>>,
}

impl BotContext {
    fn alertmanager(&self, name: &str) -> Option<&AlertmanagerClient> {
        self.alertmanagers.iter().find(|alertmanager| alertmanager.name == name)
    }

    async fn note(&self, actor: &str, action: &str, incident: Option<IncidentId>, detail: String) -> Result<(), Unavailable> {
        self.writer.perform(Note { actor: actor.to_owned(), action: action.to_owned(), incident, detail }).await
    }

    /// Answers in the chat of the request.
    async fn answer(&self, address: &Address, words: Words) -> Result<(), Unavailable> {
        self.writer.perform(Say { address: address.clone(), urgency: Urgency::Answer, words }).await
    }

    /// Empty while Telegram has not sent it. Then every command counts as one for this bot.
    async fn username(&self) -> String {
        let asked = self.username.get_or_try_init(async || {
            let me = self.telegram.bot().get_me().send().await.map_err(drop)?;
            me.user.username.ok_or(())
        });
        asked.await.cloned().unwrap_or_default()
    }

    fn count(&self, action: &str, outcome: &str) {
        self.metrics.actions.with_label_values(&[action, outcome]).inc();
    }
}
