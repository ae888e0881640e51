//! This module is the clock of periodic streams: which classes are due at a tick. It must not publish.

use super::name::Class;

/// Ticks per second.
pub const TICKS_PER_SECOND: u64 = 10;

/// The periodic classes that are due at a tick, counted from the start.
pub fn due(tick: u64) -> impl Iterator<Item = Class> {
    let rows = [(Class::Fast, 1), (Class::Slow, TICKS_PER_SECOND), (Class::Candles, 2 * TICKS_PER_SECOND)];
    rows.into_iter().filter(move |(_, period)| tick.is_multiple_of(*period)).map(|(class, _)| class)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_have_their_documented_periods() {
        let count = |class| (1..=200).flat_map(due).filter(|due| *due == class).count();
        assert_eq!((count(Class::Fast), count(Class::Slow), count(Class::Candles), count(Class::Live)), (200, 20, 10, 0));
    }
}
