//! This module is public market data: a pure fold of trades into recent trades, aggregate trades, candles and 24-hour statistics.
//!
//! - Time comes from the trades and from [`MarketData::advance`].
//! - No decision may depend on this data, and none of it is a balance.
//! - A minute's trades are collected in one candle and added to the longer intervals at the end of the minute, so the cost of a
//!   trade does not depend on the number of intervals. A trade is added to its second at once.

mod candle;
mod interval;
mod series;
mod set_back;
mod statistics;
mod trades;
#[cfg(test)]
mod twin;
mod zone;
mod zoned;

pub use candle::{Candle, sum_of};
pub use interval::{DAY, Interval, MINUTE, SECOND};
pub use series::{CandleRange, Grid, Series};
pub use set_back::finer;
pub use statistics::{Statistics, WINDOW, window_start};
pub use trades::{AggregateTrade, PublicTrade};
pub use zone::{Stretch, ZonedInterval};

use crate::money::Time;
use crate::order::MarketId;
use std::collections::VecDeque;

/// Trades held per market; the same number of aggregate trades.
pub const RECENT_TRADES: usize = 1000;
/// Candles with trades held per market and interval.
pub const CANDLES: usize = 1000;
/// One-minute candles held: the statistics' whole window, and one before it.
pub const MINUTE_CANDLES: usize = 1500;

/// One-second candles are stored for this time; every other candle for ever.
pub const SECONDS_RETENTION: Time = DAY;

/// Number of candles held per interval.
pub const fn candle_capacity(interval: Interval) -> usize {
    match interval {
        Interval::Minutes1 => MINUTE_CANDLES,
        _ => CANDLES,
    }
}

/// Market data of every market at one time.
#[derive(Debug, Clone, Default)]
pub struct MarketData {
    now: Time,
    markets: Vec<MarketHistory>,
}

impl MarketData {
    pub const fn new() -> Self {
        Self { now: 0, markets: Vec::new() }
    }

    /// Time of the latest trade or [`Self::advance`], microseconds.
    pub const fn now(&self) -> Time {
        self.now
    }

    /// Advances time: minutes close, windows move. An earlier time changes nothing.
    pub fn advance(&mut self, time: Time) {
        if time <= self.now {
            return;
        }
        let new_minute = Interval::Minutes1.open(time) != Interval::Minutes1.open(self.now);
        self.now = time;
        if new_minute {
            for market in &mut self.markets {
                market.roll(time);
            }
        }
    }

    /// Adds the next trade of a market. Trades must have rising ids and times.
    pub fn record(&mut self, market: MarketId, trade: &PublicTrade) {
        self.advance(trade.time);
        self.market_mut(market).record(trade);
    }

    /// `None`: the market never traded.
    pub fn market(&self, market: MarketId) -> Option<&MarketHistory> {
        self.markets.get(usize::from(market))
    }

    /// The requested candles of a market, including empty ones; `None` if older ones are needed than are held.
    pub fn candles(&self, market: MarketId, interval: Interval, range: &CandleRange) -> Option<Vec<Candle>> {
        match self.market(market) {
            Some(history) => history.series(interval).range(history.pending_of(interval), range, self.now),
            None => Some(Vec::new()),
        }
    }

    /// Every held candle with trades of a market, including the current one; rising.
    pub fn stored_candles(&self, market: MarketId, interval: Interval) -> Vec<Candle> {
        self.market(market).map_or_else(Vec::new, |history| history.series(interval).with(history.pending_of(interval), 0))
    }

    /// The last 24 hours of a market.
    pub fn statistics(&self, market: MarketId) -> Statistics {
        let Some(history) = self.market(market) else { return Statistics::new(self.now, None, 0, 0, 0) };
        let (last, last_quantity) = history.trades.back().map_or((0, 0), |trade| (trade.price, trade.quantity));
        let window = match (history.window, &history.pending) {
            (Some(mut window), Some(pending)) => {
                window.append(pending);
                Some(window)
            }
            (window, pending) => window.or(*pending),
        };
        Statistics::new(self.now, window.as_ref(), last, last_quantity, history.previous_close)
    }

    /// Restores one market's stored history up to `now`: everything in rising order, at most the held number.
    pub fn restore(&mut self, market: MarketId, now: Time, stored: Stored) {
        self.advance(now);
        let now = self.now;
        let history = self.market_mut(market);
        history.older_trades = stored.trades.len() >= RECENT_TRADES;
        history.older_aggregates = stored.aggregates.len() >= RECENT_TRADES;
        history.trades = stored.trades.into();
        history.aggregates = stored.aggregates.into();
        for (interval, candles) in stored.candles {
            history.series[interval as usize].restore(candles);
        }
        history.roll(now);
    }

    fn market_mut(&mut self, market: MarketId) -> &mut MarketHistory {
        let index = usize::from(market);
        while self.markets.len() <= index {
            self.markets.push(MarketHistory::new());
        }
        &mut self.markets[index]
    }
}

/// A store's data of one market; see [`MarketData::restore`].
#[derive(Debug, Clone, Default)]
pub struct Stored {
    pub trades: Vec<PublicTrade>,
    pub aggregates: Vec<AggregateTrade>,
    /// With trades only.
    pub candles: Vec<(Interval, Vec<Candle>)>,
}

/// One market's trades and candles.
#[derive(Debug, Clone)]
pub struct MarketHistory {
    trades: VecDeque<PublicTrade>,
    older_trades: bool,
    aggregates: VecDeque<AggregateTrade>,
    older_aggregates: bool,
    series: [Series; Interval::ALL.len()],
    /// The current minute's trades that are not in a series yet.
    pending: Option<Candle>,
    /// The sum of the one-minute series over the statistics' window; `None` if nothing traded in it.
    window: Option<Candle>,
    /// Close of the last minute before the window; 0 if there was none.
    previous_close: i64,
}

impl MarketHistory {
    fn new() -> Self {
        Self {
            trades: VecDeque::new(),
            older_trades: false,
            aggregates: VecDeque::new(),
            older_aggregates: false,
            series: std::array::from_fn(|index| {
                let interval = Interval::ALL[index];
                Series::new(interval, candle_capacity(interval))
            }),
            pending: None,
            window: None,
            previous_close: 0,
        }
    }

    /// The latest trades, oldest first.
    pub const fn trades(&self) -> &VecDeque<PublicTrade> {
        &self.trades
    }

    /// Older trades exist that are not held.
    pub const fn has_older_trades(&self) -> bool {
        self.older_trades
    }

    /// The latest aggregate trades, oldest first.
    pub const fn aggregates(&self) -> &VecDeque<AggregateTrade> {
        &self.aggregates
    }

    /// Older aggregate trades exist that are not held.
    pub const fn has_older_aggregates(&self) -> bool {
        self.older_aggregates
    }

    pub const fn series(&self, interval: Interval) -> &Series {
        &self.series[interval as usize]
    }

    /// What a series of the interval does not contain yet.
    const fn pending_of(&self, interval: Interval) -> Option<&Candle> {
        match interval {
            Interval::Seconds1 => None,
            _ => self.pending.as_ref(),
        }
    }

    fn record(&mut self, trade: &PublicTrade) {
        self.trades.push_back(*trade);
        if self.trades.len() > RECENT_TRADES {
            self.trades.pop_front();
            self.older_trades = true;
        }
        if !self.aggregates.back_mut().is_some_and(|last| last.append(trade)) {
            self.aggregates.push_back(AggregateTrade::of(trade));
            if self.aggregates.len() > RECENT_TRADES {
                self.aggregates.pop_front();
                self.older_aggregates = true;
            }
        }
        self.series[Interval::Seconds1 as usize].append(&Candle::of(Interval::Seconds1, trade));
        let single = Candle::of(Interval::Minutes1, trade);
        match &mut self.pending {
            Some(pending) => pending.append(&single),
            None => self.pending = Some(single),
        }
    }

    fn append_minute(&mut self, minute: &Candle) {
        for series in self.series.iter_mut().filter(|series| series.interval() != Interval::Seconds1) {
            series.append(minute);
        }
    }

    /// Ends a minute: its trades are added to every series, and the window moves.
    fn roll(&mut self, now: Time) {
        if let Some(minute) = self.pending.take() {
            self.append_minute(&minute);
        }
        let start = window_start(now);
        self.window = None;
        self.previous_close = 0;
        for minute in self.series[Interval::Minutes1 as usize].stored() {
            if minute.open_time < start {
                self.previous_close = minute.close;
                continue;
            }
            match &mut self.window {
                Some(window) => window.append(minute),
                None => self.window = Some(*minute),
            }
        }
    }
}
