//! This module checks the limits of unfilled orders before a decision. It must not count (see `exchange_core::order_count`).
//!
//! - The leader checks against its deciding state, which includes every order decided before. The limits are those of its settings.

use exchange_core::{
    State,
    command::Command,
    event::FORWARDING_LEVEL,
    money::Time,
    order_count::{DAY, OrderCount, TEN_SECONDS},
};

/// Unfilled orders per account and window.
#[derive(Debug, Clone, Copy)]
pub struct OrderLimits {
    pub ten_seconds: u32,
    pub one_day: u32,
}

/// A command would exceed a limit; nothing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyOrders {
    pub limit: u32,
    /// The window: 1 day, or 10 seconds.
    pub of_day: bool,
    /// Seconds until the window ends.
    pub retry_after: u32,
}

impl OrderLimits {
    pub const NONE: Self = Self { ten_seconds: u32::MAX, one_day: u32::MAX };

    /// The account's count with the orders that `command` may place.
    pub fn counted(state: &State, command: &Command, now: Time) -> OrderCount {
        let Some((account, orders)) = command.places() else { return OrderCount::default() };
        let mut count = state.order_count(account, now);
        count.add(orders, now.max(state.now()));
        count
    }

    /// # Errors
    ///
    /// Returns the limit that the command's orders would exceed. Below feature level 3 each server counts separately, and this
    /// check passes.
    pub fn check(&self, state: &State, command: &Command, now: Time) -> Result<(), TooManyOrders> {
        let Some((account, orders)) = command.places().filter(|_| state.feature_level() >= FORWARDING_LEVEL) else {
            return Ok(());
        };
        let count = state.order_count(account, now);
        for (used, limit, of_day, window) in
            [(count.ten_seconds, self.ten_seconds, false, TEN_SECONDS), (count.one_day, self.one_day, true, DAY)]
        {
            if used.saturating_add(orders) > limit {
                let left = window - now.rem_euclid(window);
                return Err(TooManyOrders { limit, of_day, retry_after: (left as u64).div_ceil(1_000_000) as u32 });
            }
        }
        Ok(())
    }
}
