//! This module holds an operator's protections of a market: the PRICE_RANGE execution rule and the circuit breaker.
//!
//! - Rates are multiples of 10⁻⁸; times are µs.
//! - A rule bounds the prices at which orders execute. It must not refuse an order.

use crate::money::{Amount, Price, Rate, SCALE, Time};
use crate::order::{AccountId, MarketId, Side};

/// Binance's PRICE_RANGE execution rule: multipliers of the reference price. 0: this bound is not set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PriceRange {
    pub bid_up: Rate,
    pub bid_down: Rate,
    pub ask_up: Rate,
    pub ask_down: Rate,
}

/// Largest multiplier: 1,000 times the reference price.
pub const MULTIPLIER_MAX: Rate = 1_000 * SCALE;

/// Prices at which a taker may execute, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    pub low: Price,
    pub high: Price,
}

impl Bounds {
    pub const ANY: Self = Self { low: 0, high: Price::MAX };

    #[inline]
    pub const fn contain(&self, price: Price) -> bool {
        self.low <= price && price <= self.high
    }
}

impl PriceRange {
    /// Every invalid value, with its field and the remedy.
    pub fn check(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (name, up, down) in [("bid", self.bid_up, self.bid_down), ("ask", self.ask_up, self.ask_down)] {
            if !(0..=MULTIPLIER_MAX).contains(&up) || !(0..=MULTIPLIER_MAX).contains(&down) {
                faults.push(format!("{name}LimitMultUp and {name}LimitMultDown must be 0 to 1000"));
            } else if up != 0 && up < SCALE {
                faults.push(format!(
                    "{name}LimitMultUp must be 0 (not set) or at least 1: below it nothing executes at the reference price"
                ));
            } else if down > SCALE {
                faults.push(format!("{name}LimitMultDown must not be above 1: above it nothing executes at the reference price"));
            }
        }
        faults
    }

    /// Prices at which a taker of `side` may execute at this reference price.
    pub fn bounds(&self, side: Side, reference: Price) -> Bounds {
        let (up, down) = match side {
            Side::Buy => (self.bid_up, self.bid_down),
            Side::Sell => (self.ask_up, self.ask_down),
        };
        let (scale, reference) = (Amount::from(SCALE), Amount::from(reference));
        // Rounded inwards: a price at the bound satisfies the rule exactly.
        let low = (reference * Amount::from(down) + scale - 1) / scale;
        let high = if up == 0 { Amount::from(Price::MAX) } else { reference * Amount::from(up) / scale };
        let price = |value: Amount| Price::try_from(value).unwrap_or(Price::MAX);
        Bounds { low: price(low), high: price(high) }
    }
}

/// A circuit breaker: pauses the market after trades at a price too far from the earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Breaker {
    /// Trips above this distance from the earlier price, as a fraction of it.
    pub deviation: Rate,
    /// Length of the pause, µs; 0: until an operator resumes it.
    pub pause: Time,
}

/// Longest pause: one day.
pub const PAUSE_MAX: Time = 86_400_000_000;

impl Breaker {
    /// Every invalid value, with its field and the remedy.
    pub fn check(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if !(1..=100 * SCALE).contains(&self.deviation) {
            faults.push("deviation must be above 0 and at most 100".to_owned());
        }
        if !(0..=PAUSE_MAX).contains(&self.pause) {
            faults.push("pause must be 0 (until an operator resumes the market) to 86400 seconds".to_owned());
        }
        faults
    }

    /// Whether a trade at `price` trips it after an earlier price of `before`.
    pub fn trips(&self, before: Price, price: Price) -> bool {
        let distance = Amount::from(price.abs_diff(before));
        distance * Amount::from(SCALE) > Amount::from(before) * Amount::from(self.deviation)
    }
}

/// An operator's protections of one market; all off at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Protection {
    pub price_range: Option<PriceRange>,
    /// Reference price until the first trade; 0: none.
    pub reference_price: Price,
    pub breaker: Option<Breaker>,
}

/// Scope of an operator's cancels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CancelScope {
    Market(MarketId),
    Account(AccountId),
}
