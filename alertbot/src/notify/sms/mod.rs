//! This module contains the SMS and call providers. Each sends one message with one request and parses its callbacks. A provider
//! must not retry, wait or shorten a text.

mod fields;
mod generic;
mod kannel;
mod kavenegar;
mod preset;
mod twilio;
mod wire;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::Phone;
use crate::config::{Provider, ProviderKind};
use wire::Wire;

/// Builds a provider. `callback_url` is the address for its reports: `<public_url>/phone/<name>/<token>`.
///
/// # Errors Returns an error if a template of a generic provider does not parse, or if the client cannot be built.
pub fn build(provider: &Provider, callback_url: Option<String>) -> anyhow::Result<Arc<dyn Phone>> {
    let wire = Wire::new(provider.timeout)?;
    Ok(match &provider.kind {
        ProviderKind::Twilio { api_url, account_sid, auth_token, from } => Arc::new(twilio::Twilio {
            wire,
            api_url: without_end(api_url),
            account_sid: account_sid.clone(),
            auth_token: auth_token.clone(),
            from: from.clone(),
            callback_url,
        }),
        ProviderKind::Kavenegar { api_url, api_key, from, template } => Arc::new(kavenegar::Kavenegar {
            wire,
            api_url: without_end(api_url),
            api_key: api_key.clone(),
            from: from.clone(),
            template: template.clone(),
        }),
        ProviderKind::Kannel { url, username, password, from, smsc } => Arc::new(kannel::Kannel {
            wire,
            url: url.parse()?,
            username: username.clone(),
            password: password.clone(),
            from: from.clone(),
            smsc: smsc.clone(),
            callback_url,
        }),
        ProviderKind::Generic(settings) => Arc::new(generic::GenericProvider::new(wire, settings, callback_url)?),
    })
}

fn without_end(url: &str) -> String {
    url.trim_end_matches('/').to_owned()
}
