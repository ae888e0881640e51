//! This module holds the candles of one interval, newest last, bounded. It stores only intervals with trades; reads create the
//! empty ones.

use super::{Candle, Interval, ZonedInterval, sum_of};
use crate::money::Time;
use std::collections::VecDeque;

/// Range of requested candles, as in the API's `startTime`, `endTime` and `limit`. Times in microseconds, both inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CandleRange {
    /// With it the answer has the oldest candles that open at or after it; without it the newest.
    pub start: Option<Time>,
    pub end: Option<Time>,
    pub limit: usize,
}

/// Stored candles of one interval.
#[derive(Debug, Clone)]
pub struct Series {
    interval: Interval,
    capacity: usize,
    candles: VecDeque<Candle>,
    /// Older candles exist that are not held.
    older: bool,
}

impl Series {
    pub(super) const fn new(interval: Interval, capacity: usize) -> Self {
        Self { interval, capacity, candles: VecDeque::new(), older: false }
    }

    pub(super) const fn interval(&self) -> Interval {
        self.interval
    }

    /// Fills the series with candles in rising order; a full series means that older ones may exist.
    pub(super) fn restore(&mut self, candles: impl IntoIterator<Item = Candle>) {
        self.candles = candles.into_iter().collect();
        self.older = self.candles.len() >= self.capacity;
        self.trim();
    }

    /// Adds consecutive trades of one minute, or of one second, which follow all candles of the series.
    pub(super) fn append(&mut self, stretch: &Candle) {
        let open_time = self.interval.open(stretch.open_time);
        match self.candles.back_mut() {
            Some(last) if last.open_time == open_time => last.append(stretch),
            _ => self.candles.push_back(Candle { open_time, ..*stretch }),
        }
        self.trim();
    }

    /// Drops every candle from `open_time` on, and replaces the one that opens then by `rebuilt`.
    pub(super) fn truncate(&mut self, open_time: Time, rebuilt: Option<Candle>) {
        while self.candles.back().is_some_and(|candle| candle.open_time >= open_time) {
            self.candles.pop_back();
        }
        self.candles.extend(rebuilt);
    }

    fn trim(&mut self) {
        while self.candles.len() > self.capacity {
            self.candles.pop_front();
            self.older = true;
        }
    }

    /// Candles with trades, oldest first.
    pub fn stored(&self) -> impl DoubleEndedIterator<Item = &Candle> + ExactSizeIterator {
        self.candles.iter()
    }

    /// The candles of `range`, including those without trades; `None` if older ones are needed than are held.
    ///
    /// `pending` is the minute that is not in the series yet, `now` the journal's time.
    pub(super) fn range(&self, pending: Option<&Candle>, range: &CandleRange, now: Time) -> Option<Vec<Candle>> {
        let grid = Grid::new(ZonedInterval::utc(self.interval), range, now);
        if self.older && self.candles.front().is_none_or(|oldest| grid.from < oldest.open_time) {
            return None;
        }
        // The row before the first requested one has the close that empty intervals repeat.
        let first = self.candles.partition_point(|candle| candle.open_time < grid.from).saturating_sub(1);
        Some(grid.fill(&self.with(pending, first)))
    }

    /// Candles are held from this time on.
    pub(super) fn held_since(&self) -> Time {
        let oldest = self.candles.front().map_or(Time::MAX, |oldest| oldest.open_time);
        if self.older { oldest } else { Time::MIN }
    }

    /// The sum of the candles that open from `from` on, and before `to`; `None` without a trade.
    pub(super) fn sum(&self, pending: Option<&Candle>, from: Time, to: Time) -> Option<Candle> {
        let first = self.candles.partition_point(|candle| candle.open_time < from);
        let stored = self.candles.range(first..).take_while(|candle| candle.open_time < to).copied();
        let pending = pending.filter(|minute| (from..to).contains(&minute.open_time)).copied();
        sum_of(from, stored.chain(pending))
    }

    /// The last candle that ends before `time`.
    pub(super) fn last_before(&self, time: Time) -> Option<Candle> {
        let end = self.candles.partition_point(|candle| self.interval.close(candle.open_time) < time);
        self.candles.get(end.checked_sub(1)?).copied()
    }

    /// The stored candles from index `first` on, with `pending` added.
    pub(super) fn with(&self, pending: Option<&Candle>, first: usize) -> Vec<Candle> {
        let mut rows: Vec<Candle> = self.candles.range(first..).copied().collect();
        if let Some(pending) = pending {
            let open_time = self.interval.open(pending.open_time);
            match rows.last_mut() {
                Some(last) if last.open_time == open_time => last.append(pending),
                _ => rows.push(Candle { open_time, ..*pending }),
            }
        }
        rows
    }
}

/// The opening times of a requested range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    interval: ZonedInterval,
    /// First opening time of the answer.
    pub from: Time,
    /// Last opening time of the answer.
    pub to: Time,
    limit: usize,
    newest: bool,
}

impl Grid {
    /// No candle opens after `now`.
    pub fn new(interval: ZonedInterval, range: &CandleRange, now: Time) -> Self {
        let to = interval.open(range.end.map_or(now, |end| end.min(now)));
        let steps = i64::try_from(range.limit).unwrap_or(i64::MAX).saturating_sub(1);
        let from = match range.start {
            Some(start) => match interval.open(start) {
                open if open == start => open,
                open => interval.step(open, 1),
            },
            None => interval.step(to, -steps),
        };
        Self { interval, from, to, limit: range.limit, newest: range.start.is_none() }
    }

    /// The opening times from `first` on, up to the limit.
    pub fn opens(&self, first: Time) -> impl Iterator<Item = Time> {
        let (interval, to) = (self.interval, self.to);
        let next = move |open: &Time| Some(interval.step(*open, 1));
        std::iter::successors(Some(first), next).take_while(move |open| *open <= to).take(self.limit)
    }

    /// Selects the requested candles from `rows` and creates the empty ones between. `rows` has only candles with trades, rising,
    /// including at least the last one before `from` if it exists. No candle precedes the market's first trade.
    pub fn fill(&self, rows: &[Candle]) -> Vec<Candle> {
        let mut out = Vec::new();
        let Some(oldest) = rows.first() else { return out };
        let mut open_time = self.from.max(oldest.open_time);
        let mut next = rows.partition_point(|row| row.open_time < open_time);
        let mut close = rows[next.saturating_sub(1)].close;
        while open_time <= self.to && out.len() < self.limit {
            match rows.get(next) {
                Some(row) if row.open_time == open_time => {
                    out.push(*row);
                    close = row.close;
                    next += 1;
                }
                _ => out.push(Candle::empty(open_time, close)),
            }
            open_time = self.interval.step(open_time, 1);
        }
        debug_assert!(!self.newest || open_time > self.to, "the newest candles end at the end of the range");
        out
    }
}
