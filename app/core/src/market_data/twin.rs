//! Test twin: a slow and simple model that stores every trade and recomputes each answer. The fold must agree with it.

use super::*;
use crate::money::{Amount, notional};
use proptest::prelude::*;

#[derive(Default)]
struct Twin {
    trades: Vec<PublicTrade>,
    now: Time,
}

impl Twin {
    fn candle(&self, interval: ZonedInterval, open_time: Time) -> Option<Candle> {
        let inside: Vec<&PublicTrade> = self.trades.iter().filter(|t| interval.open(t.time) == open_time).collect();
        let taker: Vec<&&PublicTrade> = inside.iter().filter(|t| !t.buyer_is_maker).collect();
        let Some((first, last)) = inside.first().zip(inside.last()) else {
            return self.trades.iter().rev().find(|t| t.time < open_time).map(|before| Candle::empty(open_time, before.price));
        };
        Some(Candle {
            open_time,
            open: first.price,
            high: inside.iter().map(|t| t.price).max()?,
            low: inside.iter().map(|t| t.price).min()?,
            close: last.price,
            volume: inside.iter().map(|t| Amount::from(t.quantity)).sum(),
            quote_volume: inside.iter().map(|t| t.quote).sum(),
            taker_volume: taker.iter().map(|t| Amount::from(t.quantity)).sum(),
            taker_quote_volume: taker.iter().map(|t| t.quote).sum(),
            trades: inside.len() as u64,
            first_trade: first.trade,
            last_trade: last.trade,
        })
    }

    fn candles(&self, interval: ZonedInterval, range: &CandleRange) -> Vec<Candle> {
        let Some(first) = self.trades.first() else { return Vec::new() };
        let mut all = Vec::new();
        let mut open_time = interval.open(first.time);
        while open_time <= self.now {
            if range.start.is_none_or(|start| open_time >= start) && range.end.is_none_or(|end| open_time <= end) {
                all.extend(self.candle(interval, open_time));
            }
            open_time = interval.close(open_time) + 1;
        }
        if range.start.is_some() {
            all.into_iter().take(range.limit).collect()
        } else {
            all.split_off(all.len().saturating_sub(range.limit))
        }
    }

    fn aggregates(&self) -> Vec<AggregateTrade> {
        let mut ids: Vec<u64> = self.trades.iter().map(|t| t.aggregate).collect();
        ids.dedup();
        let of = |id: u64| self.trades.iter().filter(move |t| t.aggregate == id);
        ids.into_iter()
            .filter_map(|id| {
                let (first, last) = of(id).next().zip(of(id).next_back())?;
                let quantity = of(id).map(|t| Amount::from(t.quantity)).sum();
                Some(AggregateTrade { quantity, last_trade: last.trade, ..AggregateTrade::of(first) })
            })
            .collect()
    }

    fn statistics(&self) -> Statistics {
        let start = window_start(self.now);
        let inside: Vec<PublicTrade> = self.trades.iter().filter(|t| t.time >= start).copied().collect();
        let last = self.trades.last().map_or((0, 0), |t| (t.price, t.quantity));
        Statistics {
            open_time: self.now - DAY,
            close_time: self.now,
            open: inside.first().map_or(last.0, |t| t.price),
            high: inside.iter().map(|t| t.price).max().unwrap_or(last.0),
            low: inside.iter().map(|t| t.price).min().unwrap_or(last.0),
            last: last.0,
            last_quantity: last.1,
            previous_close: self.trades.iter().rev().find(|t| t.time < start).map_or(0, |t| t.price),
            volume: inside.iter().map(|t| Amount::from(t.quantity)).sum(),
            quote_volume: inside.iter().map(|t| t.quote).sum(),
            trades: inside.len() as u64,
            trade_ids: inside.first().zip(inside.last()).map(|(first, last)| (first.trade, last.trade)),
        }
    }
}

/// (gap before it in microseconds, price, quantity, continues the aggregate, buyer is maker)
type Step = (Time, i64, i64, bool, bool);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let gap =
        prop_oneof![4 => 0..1_000_000i64, 4 => 0..3 * MINUTE, 2 => 0..90 * MINUTE, 1 => 0..30 * 60 * MINUTE, 1 => 0..40 * DAY];
    prop::collection::vec((gap, 1..500i64, 1..900i64, any::<bool>(), any::<bool>()), 1..120)
}

fn trade(index: usize, (_, price, quantity, _, buyer_is_maker): Step, aggregate: u64, time: Time) -> PublicTrade {
    let (price, quantity) = (price * 1_000_000, quantity * 1_000_000);
    PublicTrade { trade: index as u64 + 1, aggregate, price, quantity, quote: notional(price, quantity), time, buyer_is_maker }
}

/// Both, fed with `steps`, with `idle` microseconds after the last trade.
fn fed(steps: &[Step], begin: Time, idle: Time) -> (Twin, MarketData) {
    let (mut twin, mut data, mut aggregate) = (Twin { now: begin, ..Twin::default() }, MarketData::new(), 0);
    for (index, step) in steps.iter().enumerate() {
        let continues = step.3 && step.0 == 0 && index > 0;
        aggregate += u64::from(!continues);
        twin.now += step.0;
        let trade = trade(index, *step, aggregate, twin.now);
        twin.trades.push(trade);
        data.record(3, &trade);
    }
    twin.now += idle;
    data.advance(twin.now);
    (twin, data)
}

const BEGIN: Time = 1_709_164_799_000_000; // the last second of 2024-02-28

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn the_fold_agrees_with_the_twin(steps in steps(), idle in prop_oneof![0..2 * MINUTE, 0..3 * DAY]) {
        let (twin, data) = fed(&steps, BEGIN, idle);
        prop_assert_eq!(data.statistics(3), twin.statistics());
        let history = data.market(3).ok_or(TestCaseError::fail("the market traded"))?;
        prop_assert_eq!(Vec::from(history.trades().clone()), twin.trades.clone());
        prop_assert_eq!(Vec::from(history.aggregates().clone()), twin.aggregates());
        prop_assert_eq!(data.statistics(2), Statistics::new(twin.now, None, 0, 0, 0));
    }

    #[test]
    fn candles_agree_with_the_twin(steps in steps(), idle in 0..3 * DAY, code in 5u8..15, limit in 1usize..40,
                                   start in prop::option::of(-DAY..60 * DAY), end in prop::option::of(-DAY..60 * DAY)) {
        let (twin, data) = fed(&steps, BEGIN, idle);
        let interval = Interval::from_code(code).ok_or(TestCaseError::fail("a code"))?;
        let range = CandleRange { start: start.map(|t| BEGIN + t), end: end.map(|t| BEGIN + t), limit };
        prop_assert_eq!(data.candles(3, interval, &range), Some(twin.candles(ZonedInterval::utc(interval), &range)), "{} {:?}", interval, range);
    }

    #[test]
    fn minutes_agree_with_the_twin(steps in prop::collection::vec((0..4 * MINUTE, 1..500i64, 1..900i64, any::<bool>(), any::<bool>()), 1..120),
                                   idle in 0..20 * MINUTE, code in 0u8..5, limit in 1usize..40, start in prop::option::of(0..240 * MINUTE)) {
        let (twin, data) = fed(&steps, BEGIN, idle);
        let interval = Interval::from_code(code).ok_or(TestCaseError::fail("a code"))?;
        let range = CandleRange { start: start.map(|t| BEGIN + t), end: None, limit };
        prop_assert_eq!(data.candles(3, interval, &range), Some(twin.candles(ZonedInterval::utc(interval), &range)));
    }

    #[test]
    fn seconds_agree_with_the_twin(steps in prop::collection::vec((0..3 * SECOND, 1..500i64, 1..900i64, any::<bool>(), any::<bool>()), 1..120),
                                   idle in 0..20 * SECOND, limit in 1usize..40, start in prop::option::of(0..240 * SECOND)) {
        let (twin, data) = fed(&steps, BEGIN, idle);
        let range = CandleRange { start: start.map(|t| BEGIN + t), end: None, limit };
        let seconds = Interval::Seconds1;
        prop_assert_eq!(data.candles(3, seconds, &range), Some(twin.candles(ZonedInterval::utc(seconds), &range)));
    }

    #[test]
    fn candles_of_a_zone_agree_with_the_twin(steps in steps(), idle in 0..3 * DAY, code in 0u8..15, minutes in -720i64..=840, limit in 1usize..40,
                                             start in prop::option::of(-DAY..60 * DAY), end in prop::option::of(-DAY..60 * DAY)) {
        let (twin, data) = fed(&steps, BEGIN, idle);
        // The twin visits every interval since the first trade.
        let code = if code < 5 && twin.now > BEGIN + 2 * DAY { code + 5 } else { code };
        let zoned = ZonedInterval::new(Interval::from_code(code).ok_or(TestCaseError::fail("a code"))?, minutes * MINUTE);
        let range = CandleRange { start: start.map(|t| BEGIN + t), end: end.map(|t| BEGIN + t), limit };
        prop_assert_eq!(data.zoned_candles(3, zoned, &range), Some(twin.candles(zoned, &range)), "{:?} {:?}", zoned, range);
    }

    /// Stored at any trade and restored, the fold continues as without the restore.
    #[test]
    fn restored_from_a_store_it_goes_on(steps in steps(), cut in any::<prop::sample::Index>()) {
        let (twin, whole) = fed(&steps, BEGIN, 0);
        let cut = cut.index(steps.len());
        let (first, _) = fed(&steps[..=cut], BEGIN, 0);
        let mut restored = MarketData::new();
        restored.restore(3, first.now, Stored {
            trades: first.trades.clone(),
            aggregates: first.aggregates(),
            candles: Interval::ALL.iter().map(|&interval| {
                let mut opens: Vec<Time> = first.trades.iter().map(|t| interval.open(t.time)).collect();
                opens.dedup();
                (interval, opens.into_iter().filter_map(|open| first.candle(ZonedInterval::utc(interval), open)).collect())
            }).collect(),
        });
        for trade in &twin.trades[cut + 1..] {
            restored.record(3, trade);
        }
        prop_assert_eq!(restored.statistics(3), whole.statistics(3));
        for interval in Interval::ALL {
            let range = CandleRange { start: None, end: None, limit: 50 };
            prop_assert_eq!(restored.candles(3, *interval, &range), whole.candles(3, *interval, &range));
        }
        let (restored, whole) = (restored.market(3).map(|m| m.aggregates().clone()), whole.market(3).map(|m| m.aggregates().clone()));
        prop_assert_eq!(restored, whole);
    }
}

#[test]
fn what_is_no_longer_held_is_said() {
    let mut data = MarketData::new();
    for index in 0..MINUTE_CANDLES + 5 {
        let time = BEGIN + index as Time * MINUTE;
        data.record(0, &trade(index, (0, 1, 1, false, false), index as u64, time));
    }
    data.advance(data.now() + MINUTE);
    let Some(history) = data.market(0) else { panic!("the market traded") };
    assert!(history.has_older_trades() && history.has_older_aggregates());
    assert_eq!((history.trades().len(), history.aggregates().len()), (RECENT_TRADES, RECENT_TRADES));
    let newest = |limit| data.candles(0, Interval::Minutes1, &CandleRange { start: None, end: None, limit });
    assert_eq!(newest(1000).map(|candles| candles.len()), Some(1000));
    assert_eq!(newest(MINUTE_CANDLES + 5), None);
    let from_the_beginning = CandleRange { start: Some(BEGIN), end: None, limit: 1 };
    assert_eq!(data.candles(0, Interval::Minutes1, &from_the_beginning), None);
    assert_eq!(data.candles(0, Interval::Hours1, &from_the_beginning).map(|candles| candles.len()), Some(1));
}
