//! This module is one candle (kline): the trades of one interval. Statistics use it as the sum of any consecutive trades.

use super::{Interval, PublicTrade};
use crate::money::{Amount, Price, Time};
use crate::order::TradeId;

/// Prices in quote units per base unit, volumes in base units, quote volumes in quote units; all in 10⁻⁸.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candle {
    /// Microseconds.
    pub open_time: Time,
    pub open: Price,
    pub high: Price,
    pub low: Price,
    pub close: Price,
    pub volume: Amount,
    pub quote_volume: Amount,
    /// Volume of trades whose taker bought.
    pub taker_volume: Amount,
    pub taker_quote_volume: Amount,
    pub trades: u64,
    /// Meaningful while `trades > 0`.
    pub first_trade: TradeId,
    pub last_trade: TradeId,
}

impl Candle {
    /// The candle of one trade.
    pub fn of(interval: Interval, trade: &PublicTrade) -> Self {
        let quantity = Amount::from(trade.quantity);
        let (taker_volume, taker_quote_volume) = if trade.buyer_is_maker { (0, 0) } else { (quantity, trade.quote) };
        Self {
            open_time: interval.open(trade.time),
            open: trade.price,
            high: trade.price,
            low: trade.price,
            close: trade.price,
            volume: quantity,
            quote_volume: trade.quote,
            taker_volume,
            taker_quote_volume,
            trades: 1,
            first_trade: trade.trade,
            last_trade: trade.trade,
        }
    }

    /// An interval without a trade: it repeats the last close.
    pub const fn empty(open_time: Time, last_close: Price) -> Self {
        Self {
            open_time,
            open: last_close,
            high: last_close,
            low: last_close,
            close: last_close,
            volume: 0,
            quote_volume: 0,
            taker_volume: 0,
            taker_quote_volume: 0,
            trades: 0,
            first_trade: 0,
            last_trade: 0,
        }
    }

    /// Adds consecutive trades that follow this candle; both must have at least one trade.
    pub fn append(&mut self, later: &Self) {
        self.high = self.high.max(later.high);
        self.low = self.low.min(later.low);
        self.close = later.close;
        self.volume += later.volume;
        self.quote_volume += later.quote_volume;
        self.taker_volume += later.taker_volume;
        self.taker_quote_volume += later.taker_quote_volume;
        self.trades += later.trades;
        self.last_trade = later.last_trade;
    }
}

/// The sum of consecutive candles, as one that opens at `open_time`.
pub fn sum_of(open_time: Time, stretches: impl Iterator<Item = Candle>) -> Option<Candle> {
    stretches.fold(None, |sum: Option<Candle>, stretch| match sum {
        Some(mut sum) => {
            sum.append(&stretch);
            Some(sum)
        }
        None => Some(Candle { open_time, ..stretch }),
    })
}
