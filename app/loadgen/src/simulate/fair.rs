//! This module has fair prices: random walks that are pulled back to their start. It must not know the participants' reaction to
//! them.

use crate::random::Random;
use std::time::{Duration, Instant};

/// Standard deviation of a step of one second, relative to the price.
const VOLATILITY: f64 = 0.000_08;
/// Pull towards the opening price, per second.
const REVERSION: f64 = 0.000_02;
/// The walk's time step.
const STEP: Duration = Duration::from_millis(100);

/// All markets' fair prices, in units of 10⁻⁸.
pub(super) struct Fair {
    random: Random,
    opening: Vec<f64>,
    prices: Vec<f64>,
    walked: Instant,
}

impl Fair {
    pub fn new(opening: Vec<f64>, random: Random) -> Self {
        Self { random, prices: opening.clone(), opening, walked: Instant::now() }
    }

    /// The current fair price of a market.
    pub fn price(&mut self, market: usize, now: Instant) -> f64 {
        while self.walked + STEP <= now {
            self.walked += STEP;
            self.step();
        }
        self.prices[market]
    }

    fn step(&mut self) {
        let seconds = STEP.as_secs_f64();
        for (price, opening) in self.prices.iter_mut().zip(&self.opening) {
            // Twelve uniform numbers minus six: a good approximation of a normal one.
            let normal = (0..12).map(|_| self.random.below(1 << 32) as f64 / (1u64 << 32) as f64).sum::<f64>() - 6.0;
            let pull = (opening / *price - 1.0) * REVERSION * seconds;
            *price *= 1.0 + normal * VOLATILITY * seconds.sqrt() + pull;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_moves_prices_but_not_away() {
        let mut fair = Fair::new(vec![1e12], Random::new(7));
        let start = fair.walked;
        let prices: Vec<f64> = (1..=24).map(|hour| fair.price(0, start + Duration::from_secs(hour * 3600))).collect();
        assert!(prices.iter().all(|price| (0.7e12..1.4e12).contains(price)), "{prices:?}");
        assert!(prices.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
