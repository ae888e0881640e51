//! This module has the candles of a time zone: their calendar, and the stored candles of UTC that each of them is a sum of. It must not
//! read a candle.
//!
//! - A zone is an offset from UTC of whole minutes, without daylight saving time.
//! - A candle is a sum of at most 111 stored candles: days inside it, then hours, quarters and minutes at its edges.

use super::Interval;
use crate::money::Time;

/// An interval whose candles open by the calendar of a time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ZonedInterval {
    interval: Interval,
    /// Microseconds from UTC; 0 if the zone's candles open at the same times as those of UTC.
    offset: Time,
}

/// Stored candles of one interval: from the one that opens at `from` to the one before `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    pub interval: Interval,
    pub from: Time,
    pub to: Time,
}

/// Stored intervals that a candle of another zone is a sum of, longest first.
pub(super) const TILES: [Interval; 4] = [Interval::Days1, Interval::Hours1, Interval::Minutes15, Interval::Minutes1];

impl ZonedInterval {
    pub const fn utc(interval: Interval) -> Self {
        Self { interval, offset: 0 }
    }

    /// `offset` from UTC in microseconds, of whole minutes.
    pub const fn new(interval: Interval, offset: Time) -> Self {
        let same = match interval.length() {
            Some(length) => offset.rem_euclid(length) == 0,
            None => offset == 0,
        };
        Self { interval, offset: if same { 0 } else { offset } }
    }

    pub const fn interval(self) -> Interval {
        self.interval
    }

    /// Whether its candles are those of UTC.
    pub const fn is_utc(self) -> bool {
        self.offset == 0
    }

    /// As [`Interval::open`].
    pub const fn open(self, time: Time) -> Time {
        self.interval.open(time + self.offset) - self.offset
    }

    /// As [`Interval::step`].
    pub const fn step(self, open: Time, count: i64) -> Time {
        self.interval.step(open + self.offset, count) - self.offset
    }

    /// As [`Interval::close`].
    pub const fn close(self, open: Time) -> Time {
        self.step(open, 1) - 1
    }

    /// The stored candles whose sum is the candle that opens at `open`, in order of time.
    pub fn stretches(self, open: Time) -> Vec<Stretch> {
        let mut found = Vec::new();
        cover(open, self.step(open, 1), &TILES, &mut found);
        found
    }
}

fn cover(from: Time, to: Time, tiles: &[Interval], found: &mut Vec<Stretch>) {
    let Some((tile, finer)) = tiles.split_first() else { return };
    let first = match tile.open(from) {
        open if open == from => open,
        open => tile.step(open, 1),
    };
    let last = tile.open(to);
    if first >= last {
        return cover(from, to, finer, found);
    }
    cover(from, first, finer, found);
    found.push(Stretch { interval: *tile, from: first, to: last });
    cover(last, to, finer, found);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market_data::{DAY, MINUTE};
    use proptest::prelude::*;

    const HOUR: Time = 60 * MINUTE;
    /// The days of a month, and the hours, quarters and minutes of both edges.
    const SUMMED_MAX: i64 = 31 + 2 * (23 + 3 + 14);

    #[test]
    fn days_of_a_zone_begin_at_its_midnight() {
        let midnight = 20_000 * DAY;
        let east = ZonedInterval::new(Interval::Days1, 8 * HOUR);
        assert_eq!(east.open(midnight + 15 * HOUR), midnight - 8 * HOUR);
        assert_eq!(east.open(midnight + 16 * HOUR), midnight + 16 * HOUR);
        assert_eq!(east.close(midnight - 8 * HOUR), midnight + 16 * HOUR - 1);
        let parts = |zoned: ZonedInterval, open| {
            zoned.stretches(open).into_iter().map(|s| (s.interval, (s.to - s.from) / MINUTE)).collect::<Vec<_>>()
        };
        assert_eq!(parts(east, midnight - 8 * HOUR), [(Interval::Hours1, 1_440)]);
        let odd = ZonedInterval::new(Interval::Days3, -(5 * HOUR + 44 * MINUTE));
        let (minutes, quarters) = (Interval::Minutes1, Interval::Minutes15);
        let expected = [(minutes, 1), (quarters, 15), (Interval::Hours1, 1_080), (Interval::Days1, 2_880)];
        let after = [(Interval::Hours1, 300), (quarters, 30), (minutes, 14)];
        assert_eq!(parts(odd, odd.open(midnight)), [&expected[..], &after[..]].concat());
    }

    #[test]
    fn an_offset_of_whole_intervals_is_utc() {
        for (interval, offset, utc) in [
            (Interval::Seconds1, 345 * MINUTE, true),
            (Interval::Minutes15, 345 * MINUTE, true),
            (Interval::Minutes30, 345 * MINUTE, false),
            (Interval::Hours4, 8 * HOUR, true),
            (Interval::Hours6, 8 * HOUR, false),
            (Interval::Hours12, -12 * HOUR, true),
            (Interval::Days1, -12 * HOUR, false),
            (Interval::Month1, 8 * HOUR, false),
        ] {
            assert_eq!(ZonedInterval::new(interval, offset).is_utc(), utc, "{interval} {offset}");
        }
    }

    proptest! {
        #[test]
        fn stretches_cover_a_candle_once(time in 0..60_000 * DAY, minutes in -720i64..=840, code in 0u8..15) {
            let zoned = ZonedInterval::new(Interval::from_code(code).unwrap_or(Interval::Month1), minutes * MINUTE);
            let open = zoned.open(time);
            prop_assert!(open <= time && time <= zoned.close(open) && zoned.open(open) == open);
            let stretches = zoned.stretches(open);
            let (mut at, mut candles) = (open, 0);
            for Stretch { interval, from, to } in stretches {
                prop_assert_eq!((from, interval.open(from), interval.open(to)), (at, from, to));
                candles += (to - from) / interval.length().unwrap_or(DAY);
                at = to;
            }
            prop_assert_eq!(at, zoned.close(open) + 1);
            prop_assert!(candles <= SUMMED_MAX, "{}", candles);
        }
    }
}
