//! This module reads and writes stream names, such as `btcusdt@depth@100ms`. It must not know who subscribes.

use exchange_core::{
    State,
    market_data::{Interval, MINUTE, ZonedInterval},
    money::Time,
    order::MarketId,
};

use crate::engine::feed::Speed;

/// Levels of a partial book.
const PARTIAL_LEVELS: [u8; 3] = [5, 10, 20];

/// The only time zone of candle streams other than UTC, and its offset.
const ZONE: (&str, Time) = ("+08:00", 8 * 60 * MINUTE);

/// One stream, without the aliases of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Topic {
    Trade(MarketId),
    AggregateTrade(MarketId),
    BookTicker(MarketId),
    Depth(MarketId, Speed),
    PartialDepth(MarketId, u8, Speed),
    Candle(MarketId, ZonedInterval),
    MiniTicker(MarketId),
    Ticker(MarketId),
    AveragePrice(MarketId),
    MiniTickers,
    Tickers,
}

/// When the events of a stream are produced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Class {
    /// With each batch.
    Live = 0,
    /// Every 100 ms.
    Fast = 1,
    /// Every second.
    Slow = 2,
    /// Every two seconds; those of one second every second.
    Candles = 3,
}

pub const CLASSES: usize = 4;

/// Why a name is not a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAStream;

impl Topic {
    /// # Errors
    ///
    /// Returns an error for an unknown form, or if the market does not exist.
    pub fn parse(name: &str, state: &State) -> Result<Self, NotAStream> {
        match name {
            "!miniTicker@arr" => return Ok(Self::MiniTickers),
            "!ticker@arr" => return Ok(Self::Tickers),
            _ => {}
        }
        let (symbol, kind) = name.split_once('@').ok_or(NotAStream)?;
        // Names of streams are lower case.
        if symbol.is_empty() || symbol.chars().any(char::is_uppercase) {
            return Err(NotAStream);
        }
        let market = state.market_by_symbol(&symbol.to_uppercase()).ok_or(NotAStream)?.id;
        Ok(match kind {
            "trade" => Self::Trade(market),
            "aggTrade" => Self::AggregateTrade(market),
            "bookTicker" => Self::BookTicker(market),
            "miniTicker" => Self::MiniTicker(market),
            "ticker" => Self::Ticker(market),
            "avgPrice" => Self::AveragePrice(market),
            kind => {
                if let Some(interval) = kind.strip_prefix("kline_") {
                    let (interval, offset) = match interval.split_once('@') {
                        None => (interval, 0),
                        Some((interval, zone)) if zone == ZONE.0 => (interval, ZONE.1),
                        Some(_) => return Err(NotAStream),
                    };
                    let interval = Interval::from_text(interval).ok_or(NotAStream)?;
                    return Ok(Self::Candle(market, ZonedInterval::new(interval, offset)));
                }
                let rest = kind.strip_prefix("depth").ok_or(NotAStream)?;
                let (levels, speed) = match rest.split_once('@') {
                    None => (rest, Speed::Slow),
                    Some((levels, "100ms")) => (levels, Speed::Fast),
                    Some((levels, "1000ms")) => (levels, Speed::Slow),
                    Some(_) => return Err(NotAStream),
                };
                match levels {
                    "" => Self::Depth(market, speed),
                    levels => {
                        let levels = PARTIAL_LEVELS.into_iter().find(|known| known.to_string() == levels).ok_or(NotAStream)?;
                        Self::PartialDepth(market, levels, speed)
                    }
                }
            }
        })
    }

    /// The market; `None` for a stream of all markets.
    pub const fn market(self) -> Option<MarketId> {
        match self {
            Self::Trade(market)
            | Self::AggregateTrade(market)
            | Self::BookTicker(market)
            | Self::Depth(market, _)
            | Self::PartialDepth(market, ..)
            | Self::Candle(market, _)
            | Self::MiniTicker(market)
            | Self::Ticker(market)
            | Self::AveragePrice(market) => Some(market),
            Self::MiniTickers | Self::Tickers => None,
        }
    }

    pub const fn class(self) -> Class {
        match self {
            Self::Trade(_) | Self::AggregateTrade(_) | Self::BookTicker(_) => Class::Live,
            Self::Depth(_, Speed::Fast) | Self::PartialDepth(_, _, Speed::Fast) => Class::Fast,
            Self::Candle(_, zoned) if matches!(zoned.interval(), Interval::Seconds1) => Class::Slow,
            Self::Candle(..) => Class::Candles,
            _ => Class::Slow,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use exchange_core::command::{AdminAction, Command, Operator};
    use exchange_core::market::{Commission, Filters};

    fn state() -> State {
        let (mut state, mut events) = (State::new(), Vec::new());
        let operator = Operator { actor: "test".into(), reason: "test".into() };
        let (filters, commission) = (Filters::default(), Commission::default());
        for action in [
            AdminAction::CreateAsset { code: "BTC".into() },
            AdminAction::CreateAsset { code: "USDT".into() },
            AdminAction::CreateMarket { symbol: "BTCUSDT".into(), base: 0, quote: 1, filters, commission },
        ] {
            state.decide(&Command::Admin { operator: operator.clone(), action }, 1, &mut events).unwrap();
        }
        state
    }

    #[test]
    fn names_have_their_documented_forms() {
        let state = state();
        let rows = [
            ("btcusdt@trade", Topic::Trade(0)),
            ("btcusdt@aggTrade", Topic::AggregateTrade(0)),
            ("btcusdt@bookTicker", Topic::BookTicker(0)),
            ("btcusdt@depth", Topic::Depth(0, Speed::Slow)),
            ("btcusdt@depth@1000ms", Topic::Depth(0, Speed::Slow)),
            ("btcusdt@depth@100ms", Topic::Depth(0, Speed::Fast)),
            ("btcusdt@depth5", Topic::PartialDepth(0, 5, Speed::Slow)),
            ("btcusdt@depth10@100ms", Topic::PartialDepth(0, 10, Speed::Fast)),
            ("btcusdt@depth20@1000ms", Topic::PartialDepth(0, 20, Speed::Slow)),
            ("btcusdt@kline_1s", Topic::Candle(0, ZonedInterval::utc(Interval::Seconds1))),
            ("btcusdt@kline_1m", Topic::Candle(0, ZonedInterval::utc(Interval::Minutes1))),
            ("btcusdt@kline_1M", Topic::Candle(0, ZonedInterval::utc(Interval::Month1))),
            ("btcusdt@kline_1m@+08:00", Topic::Candle(0, ZonedInterval::utc(Interval::Minutes1))),
            ("btcusdt@kline_1d@+08:00", Topic::Candle(0, ZonedInterval::new(Interval::Days1, 480 * MINUTE))),
            ("btcusdt@miniTicker", Topic::MiniTicker(0)),
            ("btcusdt@ticker", Topic::Ticker(0)),
            ("btcusdt@avgPrice", Topic::AveragePrice(0)),
            ("!miniTicker@arr", Topic::MiniTickers),
            ("!ticker@arr", Topic::Tickers),
        ];
        for (name, topic) in rows {
            assert_eq!(Topic::parse(name, &state), Ok(topic), "{name}");
        }
        for name in [
            "",
            "@",
            "btcusdt",
            "btcusdt@",
            "@trade",
            "BTCUSDT@trade",
            "btcusdt@Trade",
            "btcusdt@trade@100ms",
            "ethusdt@trade",
            "btcusdt@depth7",
            "btcusdt@depth05",
            "btcusdt@depth@10ms",
            "btcusdt@depth@",
            "btcusdt@depth5@",
            "btcusdt@kline_",
            "btcusdt@kline_7m",
            "btcusdt@kline_1d@+09:00",
            "btcusdt@kline_1d@08:00",
            "btcusdt@kline_1d@",
            "!bookTicker@arr",
            "btcusdt@trade ",
            "btcusdt@@trade",
        ] {
            assert_eq!(Topic::parse(name, &state), Err(NotAStream), "{name}");
        }
    }
}
