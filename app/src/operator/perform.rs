//! This module performs one operator request on the leader. It must not know the command line's text form.

use super::failure::OperatorFailure;
use super::journal::{self, JournalNames};
use super::request::{OperatorCommand, OperatorRequest};
use super::show;
use crate::api_key::{self, Permissions, Vault};
use crate::db::api_keys::{self, Material, NewApiKey};
use crate::db::readers;
use crate::engine::Engine;
use crate::http::Keys;
use exchange_core::TEXT_MAX;
use exchange_core::command::{AdminAction, Command, Operator, Outcome};
use exchange_core::event::FEATURE_LEVEL;
use exchange_core::order::AccountId;
use ipnet::IpNet;
use serde_json::{Value, json};
use sqlx::PgPool;

/// The parts of the server that an operator request may use.
pub(super) struct OperatorContext {
    pub engine: Engine,
    pub pool: PgPool,
    pub vault: Vault,
    /// The parts of this server that answer clients.
    pub keys: Keys,
}

pub(super) async fn perform_request(desk: &OperatorContext, request: &OperatorRequest) -> Result<Value, OperatorFailure> {
    let submit = |action: AdminAction| submit(desk, request, action);
    let names = || JournalNames(desk.engine.committed().read());
    match &request.action {
        OperatorCommand::ListMarkets => Ok(show::markets(&names().0.state)),
        OperatorCommand::ShowAccount { account } => {
            let names = names();
            Ok(show::show_account(&names.0.state, names.account(account)?))
        }
        OperatorCommand::Ledger { account, before, limit } => {
            let account = names().account(account)?;
            show::ledger(&desk.pool, account, *before, *limit).await
        }
        OperatorCommand::ListApiKeys { account } => {
            let account = account.as_deref().map(|account| names().account(account)).transpose()?;
            Ok(show::api_keys(&api_keys::list_api_keys(&desk.pool, account).await?))
        }
        OperatorCommand::CreateApiKey { account, label, permissions, networks, public_key } => {
            let account = names().account(account)?;
            if account <= exchange_core::FEES {
                // Validate before anything is journalled.
                return Err(OperatorFailure::Refused(
                    "account: the house accounts (0 and 1) cannot have API keys; name a customer's account".to_owned(),
                ));
            }
            create_api_key(desk, request, account, label, permissions, networks, public_key.as_deref()).await
        }
        OperatorCommand::RevokeApiKey { api_key } => {
            // A misspelt key must not look revoked while the other one still trades.
            if !api_keys::exists(&desk.pool, api_key).await? {
                return Err(OperatorFailure::Refused(format!(
                    "api-key: {api_key} does not exist; list the keys with `exchange admin api-key list`"
                )));
            }
            submit(AdminAction::Note { text: format!("revoke API key {api_key}").into() }).await?;
            let revoked = api_keys::revoke(&desk.pool, api_key).await?;
            desk.keys.refresh(&desk.pool).await?;
            Ok(json!({ "apiKey": api_key, "revoked": revoked }))
        }
        OperatorCommand::SetTrading { account, allowed, cancel_orders } => {
            let (id, mut rights) = {
                let names = names();
                let id = names.account(account)?;
                (id, names.0.state.account(id).map(|account| account.rights))
            };
            // Freeze first, so that no new order can be placed between the two steps.
            let canceled = if let Some(rights) = rights.as_mut() {
                rights.trade = *allowed;
                submit(AdminAction::SetAccountRights { account: id, rights: *rights }).await?;
                if *cancel_orders {
                    show::canceled_orders(&submit(AdminAction::CancelAccountOrders { account: id }).await?)
                } else {
                    Some(0)
                }
            } else {
                Some(0)
            };
            Ok(json!({ "account": account, "trading": allowed, "canceledOrders": canceled }))
        }
        OperatorCommand::ShowFeatureLevel => {
            let level = names().0.state.feature_level();
            Ok(json!({ "level": level, "newest": FEATURE_LEVEL, "behind": readers::behind(&desk.pool, FEATURE_LEVEL).await? }))
        }
        OperatorCommand::SetFeatureLevel { level } => {
            let behind = readers::behind(&desk.pool, *level).await?;
            if !behind.is_empty() {
                return Err(OperatorFailure::Refused(format!(
                    "feature level {level} is not read by: {}; upgrade or stop them, then repeat the command",
                    behind.join("; ")
                )));
            }
            let outcome = submit(AdminAction::SetFeatureLevel { level: *level }).await?;
            Ok(show::show_outcome(&names().0.state, &outcome))
        }
        action => {
            let action = journal::admin_action(&names(), action)?;
            let outcome = submit(action).await?;
            Ok(show::show_outcome(&names().0.state, &outcome))
        }
    }
}

async fn submit(desk: &OperatorContext, request: &OperatorRequest, action: AdminAction) -> Result<Outcome, OperatorFailure> {
    let operator = Operator { actor: request.actor.as_str().into(), reason: request.reason.as_str().into() };
    Ok(desk.engine.submit(Command::Admin { operator, action }, None).await?.outcome)
}

#[allow(clippy::too_many_arguments)] // the fields of one request
async fn create_api_key(
    desk: &OperatorContext,
    request: &OperatorRequest,
    account: AccountId,
    label: &str,
    permissions: &[String],
    networks: &[IpNet],
    public_key: Option<&str>,
) -> Result<Value, OperatorFailure> {
    let mut granted = Permissions::default();
    for permission in permissions {
        match permission.as_str() {
            "read" => granted.read = true,
            "trade" => granted.trade = true,
            "withdraw" => granted.withdraw = true,
            other => return Err(OperatorFailure::Refused(format!("permissions: expected read, trade or withdraw, got {other}"))),
        }
    }
    if label.len() > TEXT_MAX || label.chars().any(char::is_control) {
        return Err(OperatorFailure::Refused(format!("label: must be at most {TEXT_MAX} bytes without control characters")));
    }
    let id = api_key::new_id();
    let refuse = |fault: api_key::KeyFault| OperatorFailure::Refused(fault.to_string());
    let (material, secret) = match public_key {
        Some(text) => (Material::Ed25519(api_key::public_key(text).map_err(refuse)?), None),
        None => {
            let secret = api_key::new_secret();
            (Material::Hmac(desk.vault.seal(&id, &secret).map_err(refuse)?), Some(secret))
        }
    };
    // Journal first: a note of a key that was not created afterwards is harmless, an active key without a note is not.
    let text = format!("create API key {id} of account {account}: {}", permissions.join(","));
    submit(desk, request, AdminAction::Note { text: text.into() }).await?;
    let key = NewApiKey { api_key: &id, account, label, material: &material, permissions: granted, networks };
    api_keys::insert_api_key(&desk.pool, &key).await?;
    // This replica accepts the key now; the others accept it after their next poll.
    desk.keys.refresh(&desk.pool).await?;
    Ok(json!({
        "account": account, "apiKey": id, "secretKey": secret.as_ref().map(|secret| secret.expose()),
        "permissions": permissions, "networks": networks,
    }))
}
