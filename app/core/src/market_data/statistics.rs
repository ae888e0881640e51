//! This module computes the rolling statistics of 24 hours (`ticker/24hr`): their window and every rounding rule.

use super::Candle;
use super::interval::{DAY, MINUTE};
use crate::money::{Amount, Price, Quantity, SCALE, Time};
use crate::order::TradeId;

/// Length of the window.
pub const WINDOW: Time = DAY;

/// The opening time of the oldest minute that counts at `now`.
///
/// The window has whole minutes: it starts with the minute that contains `now - 24 h`, so that a trade counts for at least 24
/// hours and for less than 24 hours and one minute.
pub const fn window_start(now: Time) -> Time {
    (now - WINDOW).div_euclid(MINUTE) * MINUTE
}

/// Prices, quantities and volumes in 10⁻⁸.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statistics {
    /// `close_time` minus 24 hours. Microseconds.
    pub open_time: Time,
    /// Now.
    pub close_time: Time,
    /// Price of the window's first trade; the last price if there was none; 0 if the market never traded. High and low likewise.
    pub open: Price,
    pub high: Price,
    pub low: Price,
    pub last: Price,
    pub last_quantity: Quantity,
    /// Price of the last trade before the window, 0 if there was none.
    pub previous_close: Price,
    pub volume: Amount,
    pub quote_volume: Amount,
    pub trades: u64,
    /// First and last trade of the window; `None` if there was none.
    pub trade_ids: Option<(TradeId, TradeId)>,
}

impl Statistics {
    pub(super) fn new(now: Time, window: Option<&Candle>, last: Price, last_quantity: Quantity, previous_close: Price) -> Self {
        let quiet = Candle::empty(now, last);
        let sum = window.unwrap_or(&quiet);
        Self {
            open_time: now - WINDOW,
            close_time: now,
            open: sum.open,
            high: sum.high,
            low: sum.low,
            last,
            last_quantity,
            previous_close,
            volume: sum.volume,
            quote_volume: sum.quote_volume,
            trades: sum.trades,
            trade_ids: window.map(|sum| (sum.first_trade, sum.last_trade)),
        }
    }

    /// Of any window: `window` is the sum of its trades, and `last` the last price before its end.
    pub fn of_window(open_time: Time, close_time: Time, window: Option<&Candle>, last: Price) -> Self {
        Self { open_time, ..Self::new(close_time, window, window.map_or(last, |sum| sum.close), 0, 0) }
    }

    /// Last price minus open price.
    pub fn change(&self) -> Amount {
        Amount::from(self.last) - Amount::from(self.open)
    }

    /// The change in thousandths of a percent of the open price, rounded half away from zero; 0 if nothing ever traded.
    pub fn change_thousandths_of_percent(&self) -> Amount {
        divide_rounded(self.change() * 100_000, self.open.into())
    }

    /// Quote volume over volume, in 10⁻⁸, rounded half up; 0 without a trade.
    pub fn weighted_average(&self) -> Amount {
        divide_rounded(self.quote_volume * Amount::from(SCALE), self.volume)
    }
}

/// `numerator / denominator`, rounded half away from zero; 0 for a denominator of 0 or less.
fn divide_rounded(numerator: Amount, denominator: Amount) -> Amount {
    if denominator <= 0 {
        return 0;
    }
    let doubled = 2 * numerator.abs() + denominator;
    doubled / (2 * denominator) * numerator.signum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_half_away_from_zero() {
        for (numerator, denominator, expected) in
            [(1, 2, 1), (-1, 2, -1), (1, 3, 0), (-2, 3, -1), (5, 10, 1), (4, 10, 0), (7, 0, 0)]
        {
            assert_eq!(divide_rounded(numerator, denominator), expected, "{numerator}/{denominator}");
        }
    }

    #[test]
    fn the_documented_example() {
        let mut window = Candle::empty(0, 0);
        window.open = 9_900_000_000;
        window.volume = 891_330_000_000;
        window.quote_volume = 1_530_000_000;
        let statistics = Statistics::new(0, Some(&window), 400_000_200, 1, 1);
        assert_eq!(statistics.change(), -9_499_999_800);
        assert_eq!(statistics.change_thousandths_of_percent(), -95_960);
        assert_eq!(statistics.weighted_average(), 171_654);
    }

    #[test]
    fn the_window_begins_with_the_minute_of_24_hours_ago() {
        assert_eq!(window_start(DAY), 0);
        assert_eq!(window_start(DAY + MINUTE - 1), 0);
        assert_eq!(window_start(DAY + MINUTE), MINUTE);
    }
}
