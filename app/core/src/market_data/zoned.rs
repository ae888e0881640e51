//! This module sums the held candles of UTC to candles of a time zone. It must not guess: what memory does not hold is `None`.

use super::zone::TILES;
use super::{Candle, CandleRange, Grid, Interval, MarketData, MarketHistory, Stretch, ZonedInterval, sum_of};
use crate::money::Time;
use crate::order::MarketId;

impl MarketData {
    /// As [`MarketData::candles`], by the calendar of a time zone.
    pub fn zoned_candles(&self, market: MarketId, zoned: ZonedInterval, range: &CandleRange) -> Option<Vec<Candle>> {
        if zoned.is_utc() {
            return self.candles(market, zoned.interval(), range);
        }
        match self.market(market) {
            Some(history) => history.zoned(zoned, &Grid::new(zoned, range, self.now)),
            None => Some(Vec::new()),
        }
    }
}

impl MarketHistory {
    /// Candles of this interval are held from this time on.
    pub fn held_since(&self, interval: Interval) -> Time {
        self.series(interval).held_since()
    }

    /// The sum of the held candles of a stretch; `None` without a trade.
    pub fn sum(&self, stretch: &Stretch) -> Option<Candle> {
        self.series(stretch.interval).sum(self.pending_of(stretch.interval), stretch.from, stretch.to)
    }

    fn zoned(&self, zoned: ZonedInterval, grid: &Grid) -> Option<Vec<Candle>> {
        let before = self.last_before(grid.from)?;
        let first = match before {
            Some(_) => grid.from,
            None if self.held_since(Interval::Minutes1) > Time::MIN => return None,
            None => match self.first_minute() {
                Some(minute) => zoned.open(minute).max(grid.from),
                None => return Some(Vec::new()),
            },
        };
        let mut rows: Vec<Candle> = before.into_iter().collect();
        for open_time in grid.opens(first) {
            let stretches = zoned.stretches(open_time);
            if stretches.iter().any(|stretch| stretch.from < self.held_since(stretch.interval)) {
                return None;
            }
            rows.extend(sum_of(open_time, stretches.iter().filter_map(|stretch| self.sum(stretch))));
        }
        Some(grid.fill(&rows))
    }

    /// The candle with the last trade before `time`, a whole minute, if there is one; `None` if that is not known.
    fn last_before(&self, time: Time) -> Option<Option<Candle>> {
        if let Some(minute) = self.pending.filter(|minute| minute.open_time < time) {
            return Some(Some(minute));
        }
        // A longer interval is exact only if one of its candles begins at `time`.
        let exact = |tile: &&Interval| tile.open(time) == time && self.held_since(**tile) < time;
        TILES.iter().rev().find(exact).map(|tile| self.series(*tile).last_before(time))
    }

    fn first_minute(&self) -> Option<Time> {
        let stored = self.series(Interval::Minutes1).stored().next().map(|minute| minute.open_time);
        stored.or(self.pending.map(|minute| minute.open_time))
    }
}
