//! This module handles a step back of journal time: it drops candles after the new time and rebuilds those that contain it from
//! earlier data. Trades remain: they happened, and their ids continue to rise.

use super::{Candle, Interval, MarketData, MarketHistory, sum_of};
use crate::money::Time;

impl MarketData {
    /// Sets time back to `to`; a later time changes nothing.
    pub fn set_back(&mut self, to: Time) {
        if to >= self.now {
            return;
        }
        self.now = to;
        for market in &mut self.markets {
            market.set_back(to);
        }
    }
}

/// The interval whose candles sum to a candle of `interval`; `None`: its trades do.
pub const fn finer(interval: Interval) -> Option<Interval> {
    match interval {
        Interval::Seconds1 | Interval::Minutes1 => None,
        Interval::Minutes3 | Interval::Minutes5 | Interval::Minutes15 | Interval::Minutes30 | Interval::Hours1 => {
            Some(Interval::Minutes1)
        }
        Interval::Hours2 | Interval::Hours4 | Interval::Hours6 | Interval::Hours8 | Interval::Hours12 | Interval::Days1 => {
            Some(Interval::Hours1)
        }
        Interval::Days3 | Interval::Week1 | Interval::Month1 => Some(Interval::Days1),
    }
}

impl MarketHistory {
    fn set_back(&mut self, to: Time) {
        if let Some(minute) = self.pending.take() {
            self.append_minute(&minute);
        }
        for interval in Interval::ALL {
            let open = interval.open(to);
            let rebuilt = match finer(*interval) {
                Some(finer) => sum_of(open, self.series(finer).stored().filter(|candle| candle.open_time >= open).copied()),
                // Limited to the trades held; a minute that started before them is not changed.
                None if self.trades.front().is_some_and(|first| self.older_trades && first.time > open) => {
                    self.series(*interval).stored().find(|candle| candle.open_time == open).copied()
                }
                None => {
                    let trades = self.trades.iter().filter(|trade| trade.time >= open && trade.time <= to);
                    sum_of(open, trades.map(|trade| Candle::of(*interval, trade)))
                }
            };
            self.series[*interval as usize].truncate(open, rebuilt);
        }
        self.roll(to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market_data::{CandleRange, DAY, MINUTE, PublicTrade};
    use crate::money::SCALE;

    const START: Time = 1_700_000_000_000_000;

    fn trade(number: u64, time: Time) -> PublicTrade {
        PublicTrade {
            trade: number,
            aggregate: number,
            price: (100 + number as i64 % 9) * SCALE,
            quantity: SCALE,
            quote: (100 + i128::from(number % 9)) * i128::from(SCALE),
            time,
            buyer_is_maker: number.is_multiple_of(2),
        }
    }

    /// Time runs a day ahead for some trades, is set back, and continues. The candles equal those of a clock that never ran
    /// ahead, without the voided trades.
    #[test]
    fn candles_are_those_of_a_clock_that_was_right() {
        for ahead in [3_000_000, 30 * MINUTE, DAY, 40 * DAY] {
            let (mut wrong, mut right) = (MarketData::new(), MarketData::new());
            let before = (0..500).map(|n| trade(n, START + n as i64 * MINUTE / 3));
            for trade in before {
                wrong.record(0, &trade);
                right.record(0, &trade);
            }
            let to = START + 500 * MINUTE / 3;
            for n in 500..520 {
                wrong.record(0, &trade(n, to + ahead + n as i64 * MINUTE / 7));
            }
            wrong.set_back(to);
            right.advance(to);
            for n in 520..600 {
                let trade = trade(n, to + (n as i64 - 519) * MINUTE / 4);
                wrong.record(0, &trade);
                right.record(0, &trade);
            }
            let range = CandleRange { start: None, end: None, limit: 1000 };
            for interval in Interval::ALL {
                assert_eq!(wrong.candles(0, *interval, &range), right.candles(0, *interval, &range), "{ahead} {interval:?}");
            }
            assert_eq!(wrong.statistics(0), right.statistics(0), "{ahead}");
        }
    }
}
