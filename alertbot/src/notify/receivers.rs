//! This module builds every receiver of the configuration, by name.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::Context;

use super::{phone::Phone, sms, telegram::Telegram};
use crate::config::{Bot, Config, Provider};

/// Builds a bot from its settings.
pub fn build_telegram(bot: &Bot) -> anyhow::Result<Telegram> {
    Telegram::new(&bot.token, &bot.api_url, bot.proxy.as_ref(), bot.timeout)
}

/// Builds a provider from its settings.
pub fn build_phone(config: &Config, provider: &Provider) -> anyhow::Result<Arc<dyn Phone>> {
    let callback_url = config
        .public_url
        .as_ref()
        .zip(provider.callback_token.as_ref())
        .map(|(public, token)| format!("{}/phone/{}/{}", public.trim_end_matches('/'), provider.name, token.expose()));
    sms::build(provider, callback_url)
}

/// Bots and providers.
#[derive(Clone, Default)]
pub struct Receivers {
    pub bots: BTreeMap<String, Telegram>,
    pub phones: BTreeMap<String, Arc<dyn Phone>>,
}

impl Receivers {
    /// # Errors
    /// Returns an error if the settings of a receiver are invalid.
    pub fn new(config: &Config) -> anyhow::Result<Self> {
        let mut receivers = Self::default();
        for bot in &config.bots {
            receivers.bots.insert(bot.name.clone(), build_telegram(bot).with_context(|| format!("bot {}", bot.name))?);
        }
        for provider in &config.providers {
            let phone = build_phone(config, provider).with_context(|| format!("provider {}", provider.name))?;
            receivers.phones.insert(provider.name.clone(), phone);
        }
        Ok(receivers)
    }

    pub fn carriers(&self) -> impl Iterator<Item = &str> {
        self.bots.keys().chain(self.phones.keys()).map(String::as_str)
    }

    /// Probes whether a carrier answers.
    pub async fn probe(&self, carrier: &str) -> bool {
        if let Some(bot) = self.bots.get(carrier) {
            return bot.probe().await;
        }
        match self.phones.get(carrier) {
            Some(phone) => phone.probe().await,
            None => false,
        }
    }
}
