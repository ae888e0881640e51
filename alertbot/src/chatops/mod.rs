//! What people do with the bot: buttons and commands in Telegram, replies by SMS. Who may do what is decided here, and every
//! action, and every refused one, is in the audit trail.

pub mod authority;
mod buttons;
mod command;
mod duty_override;
mod lists;
pub mod reply;
mod silences;
pub mod updates;

use std::sync::Arc;

use teloxide::prelude::{Request, Requester};

use crate::{
    alertmanager::Alertmanager,
    clock::Clock,
    incident::IncidentId,
    metrics::PeopleMetrics,
    notify::{Address, telegram::Telegram},
    schedule::Urgency,
    store::outbox::Words,
    writer::{Unavailable, Writer, actions::Note, actions::Say},
};

pub use buttons::{Press, data as button_data};

/// What acts on behalf of people.
#[derive(Clone)]
pub struct BotContext {
    pub writer: Writer,
    pub clock: Clock,
    pub alertmanagers: Arc<Vec<Alertmanager>>,
    pub metrics: PeopleMetrics,
    /// Woken when what was done shows in Alertmanager and should be read there.
    pub compare: tokio::sync::watch::Sender<()>,
    /// The name of the bot in the configuration, and the way to it.
    pub bot: String,
    pub telegram: Telegram,
    /// As Telegram names it; asked for once.
    pub username: Arc<tokio::sync::OnceCell<String>>,
}

impl BotContext {
    fn alertmanager(&self, name: &str) -> Option<&Alertmanager> {
        self.alertmanagers.iter().find(|alertmanager| alertmanager.name == name)
    }

    async fn note(&self, actor: &str, action: &str, incident: Option<IncidentId>, detail: String) -> Result<(), Unavailable> {
        self.writer.perform(Note { actor: actor.to_owned(), action: action.to_owned(), incident, detail }).await
    }

    /// An answer into the chat where it was asked.
    async fn answer(&self, address: &Address, words: Words) -> Result<(), Unavailable> {
        self.writer.perform(Say { address: address.clone(), urgency: Urgency::Answer, words }).await
    }

    /// Empty while Telegram does not say: then every command counts as one to this bot.
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
