//! This module counts unfilled orders around a command and shows the count. It must not contain the counters.
//!
//! - From feature level 3 on the counts are in the state, and the leader checks the limits.
//! - Below it each server counts before the command and subtracts if the command placed no order (see `limits`).

use super::App;
use super::edge::raw_now;
use super::endpoint::{Call, Reply};
use super::error::ApiError;
use crate::engine::{self, SubmitError};
use axum::http::{HeaderName, HeaderValue};
use exchange_core::money::Time;
use exchange_core::order::AccountId;

const TEN_SECONDS: HeaderName = HeaderName::from_static("x-mbx-order-count-10s");
const ONE_DAY: HeaderName = HeaderName::from_static("x-mbx-order-count-1d");

/// Unfilled orders of the account now: in 10 seconds, and in 1 day.
pub fn unfilled(app: &App, account: AccountId, now: Time) -> (u32, u32) {
    if app.engine.counts_orders() {
        let count = app.engine.committed().read().state.order_count(account, now);
        return (count.ten_seconds, count.one_day);
    }
    let count = app.limits.orders(account, now);
    (count.ten_seconds, count.one_day)
}

/// Orders counted for a command in progress.
pub struct Counted<'a> {
    app: &'a App,
    account: AccountId,
    orders: u32,
    /// Counts of this server: in 10 seconds, and in 1 day. `None`: the leader counts.
    here: Option<(u32, u32)>,
}

impl<'a> Counted<'a> {
    /// # Errors
    ///
    /// Returns -1015 if this server counts and the account has no room for them.
    pub fn take(app: &'a App, call: &Call<'_>, orders: u32) -> Result<Self, ApiError> {
        let account = call.account()?;
        let here = if app.engine.counts_orders() {
            None
        } else {
            let count = app.limits.take_orders(account, orders, raw_now()).inspect_err(|_| refused(app))?;
            Some((count.ten_seconds, count.one_day))
        };
        Ok(Self { app, account, orders, here })
    }

    /// Subtracts the orders if the command certainly placed none.
    pub fn settle(&self, reply: Result<engine::CommandReply, SubmitError>) -> Result<engine::CommandReply, ApiError> {
        reply.map_err(|error| {
            if error != SubmitError::Unknown {
                self.give_back();
            }
            if matches!(error, SubmitError::TooManyOrders(_)) {
                refused(self.app);
            }
            error.into()
        })
    }

    pub fn give_back(&self) {
        if self.here.is_some() {
            self.app.limits.give_back(self.account, self.orders, raw_now());
        }
    }

    /// Adds the headers of an accepted order. `unfilled`: the leader's count.
    pub fn show(&self, mut reply: Reply, unfilled: exchange_core::order_count::OrderCount) -> Reply {
        let (ten_seconds, one_day) = self.here.unwrap_or((unfilled.ten_seconds, unfilled.one_day));
        reply.headers.push((TEN_SECONDS, HeaderValue::from(ten_seconds)));
        reply.headers.push((ONE_DAY, HeaderValue::from(one_day)));
        reply
    }
}

fn refused(app: &App) {
    app.metrics.rate_limited.with_label_values(&["orders"]).inc();
}
