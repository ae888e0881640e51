//! This module counts an account's unfilled orders in fixed UTC windows of 10 seconds and 1 day. It must not decide a limit.
//!
//! - Every placed order counts. The first fill of an order subtracts from the count, for the maker more than its own order.
//! - The windows follow journal time, so every replica has the same counts at the same sequence.

use crate::money::Time;

const SECOND: Time = 1_000_000;
pub const TEN_SECONDS: Time = 10 * SECOND;
pub const DAY: Time = 86_400 * SECOND;
/// Unfilled orders that a maker order's first fill subtracts (faqs/order_count_decrement.md).
pub const MAKER_FIRST_FILL: u32 = 5;
/// Unfilled orders that a taker order's first fill subtracts.
pub const TAKER_FIRST_FILL: u32 = 1;

/// Unfilled orders of one account.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct OrderCount {
    /// Start of the 10 s window.
    pub(crate) window: Time,
    /// Start of the day.
    pub(crate) day: Time,
    pub ten_seconds: u32,
    pub one_day: u32,
}

impl OrderCount {
    /// The count at `now` (µs).
    #[must_use]
    pub const fn at(mut self, now: Time) -> Self {
        let (window, day) = (now - now.rem_euclid(TEN_SECONDS), now - now.rem_euclid(DAY));
        if self.window != window {
            (self.window, self.ten_seconds) = (window, 0);
        }
        if self.day != day {
            (self.day, self.one_day) = (day, 0);
        }
        self
    }

    pub fn add(&mut self, orders: u32, now: Time) {
        *self = self.at(now);
        self.ten_seconds = self.ten_seconds.saturating_add(orders);
        self.one_day = self.one_day.saturating_add(orders);
    }

    /// The count does not go below zero.
    pub fn subtract(&mut self, orders: u32, now: Time) {
        *self = self.at(now);
        self.ten_seconds = self.ten_seconds.saturating_sub(orders);
        self.one_day = self.one_day.saturating_sub(orders);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_window_starts_at_a_fixed_time_and_the_count_stays_at_zero() {
        let noon = 1_700_000_040 * SECOND;
        let mut count = OrderCount::default();
        count.add(5, noon + 9 * SECOND);
        count.add(2, noon + 10 * SECOND);
        assert_eq!((count.ten_seconds, count.one_day), (2, 7));
        count.subtract(MAKER_FIRST_FILL, noon + 10 * SECOND);
        assert_eq!((count.ten_seconds, count.one_day), (0, 2));
        let tomorrow = count.at(noon + DAY);
        assert_eq!((tomorrow.ten_seconds, tomorrow.one_day), (0, 0));
        assert_eq!(count.at(noon + 20 * SECOND).one_day, 2);
    }
}
