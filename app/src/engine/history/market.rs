//! This module reads the history of one market: trades, aggregate trades, candles. It must not reveal the owner of a trade.

use exchange_core::{
    market_data::{AggregateTrade, Candle, CandleRange, Grid, Interval, PublicTrade, Stretch, ZonedInterval, sum_of},
    money::Time,
    order::MarketId,
};

use super::{History, HistoryError, Laid, cut};
use crate::db::history::{self as tables, HistoryPart, TradeQuery};
use crate::engine::committed::{Committed, public};

impl History {
    /// A market's trades by rising id.
    ///
    /// # Errors
    /// As [`Self::order`].
    pub async fn trades(&self, market: MarketId, part: HistoryPart) -> Result<Vec<PublicTrade>, HistoryError> {
        Self::complete(&self.committed.read())?;
        if let Some(trades) = recent_trades(&self.committed.read(), market, &part) {
            return Ok(trades);
        }
        let query = TradeQuery { market, part };
        let read = |pool| async move { tables::trades(&pool, &query).await };
        self.laid_over(read, |committed, rows| {
            let mut trades: Vec<PublicTrade> = rows.rows.iter().map(public).collect();
            let newer = committed.tail.trades(market, rows.at.sequence).map(public);
            trades.extend(newer.filter(|trade| part.holds(trade.trade, trade.time)));
            Laid::Done(cut(trades, &part))
        })
        .await
    }

    /// A market's aggregate trades by rising id.
    ///
    /// # Errors
    /// As [`Self::order`].
    pub async fn aggregates(&self, market: MarketId, part: HistoryPart) -> Result<Vec<AggregateTrade>, HistoryError> {
        Self::complete(&self.committed.read())?;
        if let Some(aggregates) = recent_aggregates(&self.committed.read(), market, &part) {
            return Ok(aggregates);
        }
        let query = TradeQuery { market, part };
        let read = |pool| async move { tables::aggregates(&pool, &query).await };
        self.laid_over(read, |committed, rows| {
            let mut aggregates = rows.rows;
            let newer = committed.tail.trades(market, rows.at.sequence).map(public);
            for trade in newer.filter(|trade| part.holds(trade.aggregate, trade.time)) {
                if !aggregates.last_mut().is_some_and(|last| last.append(&trade)) {
                    aggregates.push(AggregateTrade::of(&trade));
                }
            }
            Laid::Done(cut(aggregates, &part))
        })
        .await
    }

    /// A market's candles, including candles without trades.
    ///
    /// # Errors
    ///
    /// As [`Self::order`].
    pub async fn candles(&self, market: MarketId, interval: Interval, range: CandleRange) -> Result<Vec<Candle>, HistoryError> {
        let grid = {
            let committed = self.committed.read();
            Self::complete(&committed)?;
            if let Some(candles) = committed.market_data.candles(market, interval, &range) {
                return Ok(candles);
            }
            Grid::new(ZonedInterval::utc(interval), &range, committed.market_data.now())
        };
        let read = |pool| async move { tables::candles(&pool, market, interval, (grid.from, grid.to), range.limit).await };
        self.laid_over(read, |committed, rows| {
            let held = committed.market_data.stored_candles(market, interval);
            let oldest = held.first().map_or(i64::MAX, |candle| candle.open_time);
            if rows.at.time < oldest && !held.is_empty() {
                return Laid::Behind;
            }
            let mut candles = rows.rows;
            candles.retain(|candle| candle.open_time < oldest);
            // Rows cut at the limit leave a gap before later ones, but then the answer is full before the gap.
            candles.extend(held);
            Laid::Done(grid.fill(&candles))
        })
        .await
    }
}

impl History {
    /// As [`Self::candles`], by the calendar of a time zone. Each candle is a sum of candles of UTC, from memory where it holds them.
    ///
    /// # Errors
    /// As [`Self::order`].
    pub async fn zoned_candles(
        &self,
        market: MarketId,
        zoned: ZonedInterval,
        range: CandleRange,
    ) -> Result<Vec<Candle>, HistoryError> {
        if zoned.is_utc() {
            return self.candles(market, zoned.interval(), range).await;
        }
        let grid = {
            let committed = self.committed.read();
            Self::complete(&committed)?;
            if let Some(candles) = committed.market_data.zoned_candles(market, zoned, &range) {
                return Ok(candles);
            }
            Grid::new(zoned, &range, committed.market_data.now())
        };
        let minute = async |start, end| {
            let found = self.candles(market, Interval::Minutes1, CandleRange { start, end, limit: 1 }).await;
            found.map(|minutes| minutes.first().copied())
        };
        let before = minute(None, Some(grid.from - 1)).await?;
        let first = match before {
            Some(_) => grid.from,
            None => match minute(Some(grid.from), Some(zoned.close(grid.to))).await? {
                Some(minute) => zoned.open(minute.open_time),
                None => return Ok(Vec::new()),
            },
        };
        let ZonedParts { held, stored, needed } = self.parts(market, zoned, grid.opens(first));
        let read = |pool| {
            let stored = stored.clone();
            async move { tables::candle_sums(&pool, market, &stored).await }
        };
        self.laid_over(read, |_, rows| {
            if rows.at.time < needed {
                return Laid::Behind;
            }
            let mut parts = rows.rows;
            parts.extend(&held);
            parts.sort_unstable_by_key(|part| part.first_trade);
            let mut candles: Vec<Candle> = before.into_iter().collect();
            let sums = parts.chunk_by(|one, other| one.open_time == other.open_time);
            candles.extend(sums.filter_map(|parts| sum_of(parts.first()?.open_time, parts.iter().copied())));
            Laid::Done(grid.fill(&candles))
        })
        .await
    }

    fn parts(&self, market: MarketId, zoned: ZonedInterval, opens: impl Iterator<Item = Time>) -> ZonedParts {
        let mut parts = ZonedParts::default();
        let committed = self.committed.read();
        let Some(history) = committed.market_data.market(market) else { return parts };
        let now = committed.market_data.now();
        for open_time in opens {
            for stretch in zoned.stretches(open_time) {
                let since = history.held_since(stretch.interval);
                if stretch.from < since {
                    let to = stretch.to.min(since);
                    parts.needed = parts.needed.max(to.min(now));
                    parts.stored.push((open_time, Stretch { to, ..stretch }));
                }
                let rest = Stretch { from: stretch.from.max(since), ..stretch };
                if rest.from < rest.to {
                    parts.held.extend(history.sum(&rest).map(|sum| Candle { open_time, ..sum }));
                }
            }
        }
        parts
    }
}

/// What the candles of a time zone are sums of.
#[derive(Debug, Default)]
struct ZonedParts {
    /// Sums from memory, each with the opening time of its candle.
    held: Vec<Candle>,
    /// Stretches to read from the tables, with the opening times of their candles.
    stored: Vec<(Time, Stretch)>,
    /// Journal time that the tables must have reached.
    needed: Time,
}

/// Hours that a window may span: seven days, and the current hour.
const WINDOW_HOURS: usize = 7 * 24 + 1;
const HOUR_MINUTES: usize = 60;

impl History {
    /// The sum of a market's trades since `start`, which is a whole minute at most seven days ago: minutes up to the first whole
    /// hour, then hours. `None`: nothing traded.
    ///
    /// # Errors
    /// As [`Self::order`].
    pub async fn window(&self, market: MarketId, start: Time) -> Result<Option<Candle>, HistoryError> {
        let hour = match Interval::Hours1.open(start) {
            open if open == start => open,
            open => Interval::Hours1.step(open, 1),
        };
        let mut parts = Vec::new();
        if hour > start {
            let range = CandleRange { start: Some(start), end: Some(hour - 1), limit: HOUR_MINUTES };
            parts = self.candles(market, Interval::Minutes1, range).await?;
        }
        let range = CandleRange { start: Some(hour), end: None, limit: WINDOW_HOURS };
        parts.extend(self.candles(market, Interval::Hours1, range).await?);
        Ok(parts.into_iter().filter(|part| part.trades > 0).reduce(|mut sum, part| {
            sum.append(&part);
            sum
        }))
    }
}

/// The requested trades if memory contains all of them.
fn recent_trades(committed: &Committed, market: MarketId, part: &HistoryPart) -> Option<Vec<PublicTrade>> {
    let Some(history) = committed.market_data.market(market) else { return Some(Vec::new()) };
    let key = |trade: &PublicTrade| (trade.trade, trade.time);
    held(history.trades().iter(), history.has_older_trades(), part, key)
}

/// The requested aggregate trades if memory contains all of them.
fn recent_aggregates(committed: &Committed, market: MarketId, part: &HistoryPart) -> Option<Vec<AggregateTrade>> {
    let Some(history) = committed.market_data.market(market) else { return Some(Vec::new()) };
    let key = |trade: &AggregateTrade| (trade.aggregate, trade.time);
    held(history.aggregates().iter(), history.has_older_aggregates(), part, key)
}

fn held<'a, T: Copy + 'a>(
    things: impl DoubleEndedIterator<Item = &'a T> + ExactSizeIterator + Clone,
    older: bool,
    part: &HistoryPart,
    key: impl Fn(&T) -> (u64, i64),
) -> Option<Vec<T>> {
    let fits = |thing: &&T| {
        let (id, time) = key(thing);
        part.holds(id, time)
    };
    if part.is_newest() {
        let mut newest: Vec<T> = things.rev().filter(fits).take(part.limit).copied().collect();
        newest.reverse();
        return (!older || newest.len() == part.limit).then_some(newest);
    }
    let reaches_back = match things.clone().next().map(&key) {
        Some((id, time)) => part.from.is_some_and(|from| from >= id) || part.start.is_some_and(|start| start > time),
        None => true,
    };
    (!older || reaches_back).then(|| things.filter(fits).take(part.limit).copied().collect())
}
