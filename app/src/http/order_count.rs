//! This module counts unfilled orders around a command: it counts them before and subtracts them if the command placed none. It
//! must not contain the counters (see `limits`).

use super::App;
use super::edge::now;
use super::endpoint::{Call, Reply};
use super::error::ApiError;
use super::limits::OrderCount;
use crate::engine::{self, SubmitError};
use axum::http::{HeaderName, HeaderValue};
use exchange_core::money::Time;
use exchange_core::order::AccountId;

const TEN_SECONDS: HeaderName = HeaderName::from_static("x-mbx-order-count-10s");
const ONE_DAY: HeaderName = HeaderName::from_static("x-mbx-order-count-1d");

/// Unfilled orders of the account now: in 10 seconds, and in 1 day.
pub fn unfilled(app: &App, account: AccountId, now: Time) -> (u32, u32) {
    let count = app.limits.orders(account, now);
    (count.ten_seconds, count.one_day)
}

/// Orders counted for a command in progress.
pub struct Counted<'a> {
    app: &'a App,
    account: AccountId,
    orders: u32,
    count: OrderCount,
}

impl<'a> Counted<'a> {
    /// # Errors
    ///
    /// Returns -1015 if the account has no room for them.
    pub fn take(app: &'a App, call: &Call<'_>, orders: u32) -> Result<Self, ApiError> {
        let account = call.account()?;
        let count = app.limits.take_orders(account, orders, now()).inspect_err(|_| {
            app.metrics.rate_limited.with_label_values(&["orders"]).inc();
        })?;
        Ok(Self { app, account, orders, count })
    }

    /// Subtracts the orders if the command certainly placed none.
    pub fn settle(&self, reply: Result<engine::Reply, SubmitError>) -> Result<engine::Reply, ApiError> {
        reply.map_err(|error| {
            if error != SubmitError::Unknown {
                self.give_back();
            }
            error.into()
        })
    }

    pub fn give_back(&self) {
        self.app.limits.give_back(self.account, self.orders, now());
    }

    /// Adds the headers of an accepted order.
    pub fn show(&self, mut reply: Reply) -> Reply {
        reply.headers.push((TEN_SECONDS, HeaderValue::from(self.count.ten_seconds)));
        reply.headers.push((ONE_DAY, HeaderValue::from(self.count.one_day)));
        reply
    }
}
