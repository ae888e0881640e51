//! This module holds what a connection of the WebSocket API has: its key, and its subscriptions to accounts. It must not check a
//! signature.

use crate::http::edge::raw_now;
use crate::http::endpoint::{EndpointResult, Reply};
use crate::http::error::ApiError;
use crate::http::parameters::Parameters;
use crate::json::Json;
use crate::streams::outlet::Outlet;
use crate::streams::{AccountForm, Hub, account, text};
use exchange_core::money::Time;
use exchange_core::order::AccountId;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio_tungstenite::tungstenite::Utf8Bytes;

/// Active subscriptions of one connection.
const ACTIVE_MAX: usize = 1_000;

/// The key of the session.
pub struct Logon {
    pub api_key: Box<str>,
    pub account: AccountId,
    pub since: Time,
}

struct Subscription {
    account: AccountId,
    api_key: Box<str>,
    /// Ends with the logon.
    by_logon: bool,
}

/// The subscriptions of one connection.
pub struct Accounts {
    hub: Hub,
    outlet: Arc<Outlet>,
    active: BTreeMap<u16, Subscription>,
    /// `None`: all ids were used.
    next: Option<u16>,
}

impl Accounts {
    pub const fn new(hub: Hub, outlet: Arc<Outlet>) -> Self {
        Self { hub, outlet, active: BTreeMap::new(), next: Some(0) }
    }

    pub fn any(&self) -> bool {
        !self.active.is_empty()
    }

    /// The id of the next subscription.
    ///
    /// # Errors
    ///
    /// Returns -2035 if the account has one, -1191 for too many, -2042 if all ids were used.
    pub fn next(&self, account: AccountId) -> Result<u16, ApiError> {
        if self.active.values().any(|subscription| subscription.account == account) {
            return Err(ApiError::SUBSCRIPTION_ACTIVE);
        }
        if self.active.len() >= ACTIVE_MAX {
            return Err(ApiError::SUBSCRIPTIONS);
        }
        self.next.ok_or(ApiError::SUBSCRIPTION_IDS)
    }

    /// Starts a subscription; `reply` is sent before its first event.
    pub fn subscribe(&mut self, id: u16, account: AccountId, api_key: Box<str>, by_logon: bool, reply: Utf8Bytes) {
        // 65,535 subscriptions over the life of a connection.
        self.next = id.checked_add(1).filter(|next| *next < u16::MAX);
        self.active.insert(id, Subscription { account, api_key, by_logon });
        self.hub.subscribe_account(&self.outlet, account, AccountForm::Subscription(id), Some(reply));
    }

    /// Ends one subscription or all.
    ///
    /// # Errors
    ///
    /// Returns -2036 if there is no such subscription.
    pub fn unsubscribe(&mut self, parameters: &Parameters<'_>, now: Time) -> EndpointResult {
        match parameters.integer("subscriptionId")? {
            Some(id) => {
                let id = u16::try_from(id).ok().filter(|id| self.active.contains_key(id));
                self.end(id.ok_or(ApiError::SUBSCRIPTION_INACTIVE)?, now);
            }
            None => self.end_where(now, |_| true),
        }
        Ok(Reply::bytes(&b"{}"[..]))
    }

    /// Ends the subscription of the session's key.
    pub fn end_logon(&mut self, now: Time) {
        self.end_where(now, |subscription| subscription.by_logon);
    }

    /// Ends the subscriptions whose key may no longer be used.
    pub fn end_revoked(&mut self, is_usable: impl Fn(&str) -> bool) {
        self.end_where(raw_now(), |subscription| !is_usable(&subscription.api_key));
    }

    /// The connection ends.
    pub fn end_all(&mut self) {
        for (id, subscription) in std::mem::take(&mut self.active) {
            self.hub.unsubscribe_account(&self.outlet, subscription.account, &AccountForm::Subscription(id), None);
        }
    }

    pub fn list(&self) -> Reply {
        Reply::written(16 + 24 * self.active.len(), |json| {
            json.array(self.active.keys(), |json, id| json.object(|json| json.key("subscriptionId").integer(*id)));
        })
    }

    fn end_where(&mut self, now: Time, ends: impl Fn(&Subscription) -> bool) {
        let ids: Vec<u16> = self.active.iter().filter(|(_, subscription)| ends(subscription)).map(|(id, _)| *id).collect();
        ids.into_iter().for_each(|id| self.end(id, now));
    }

    fn end(&mut self, id: u16, now: Time) {
        let Some(subscription) = self.active.remove(&id) else { return };
        let mut json = Json::with_capacity(64);
        account::terminated(&mut json, self.outlet.unit, now);
        let last = text(account::for_subscription(id, &json.into_bytes()));
        self.hub.unsubscribe_account(&self.outlet, subscription.account, &AccountForm::Subscription(id), Some(last));
    }
}
