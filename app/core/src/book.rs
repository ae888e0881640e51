//! One market's resting orders, price-time priority, and the orders that wait for a price. Never: balances, or what may rest.

use crate::money::{Amount, Price, Quantity, Time};
use crate::order::{OrderId, OrderType, Side};
use crate::orders::{Chain, Link, Orders, Slot};
use std::collections::{BTreeMap, VecDeque};

/// All orders at one price, first come first served.
#[derive(Debug, Clone)]
pub(crate) struct Level {
    pub chain: Chain,
    /// Sum of what remains; wide, since many orders of the largest size may meet here.
    pub quantity: Amount,
}

/// What traded in one minute, for the average price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MinuteVolume {
    pub minute: i64,
    pub quote: Amount,
    pub base: Amount,
}

/// The levels of one side, the best last. Nearly all that happens, happens near the best: there a level is found by looking at a few
/// neighbours and added by moving a few, which a tree cannot beat. Far from the best an addition moves all that is better: 32 bytes a
/// level, 0.1 ms for fifty thousand.
#[derive(Debug, Clone, Default)]
struct Levels(Vec<(Price, Level)>);

/// Levels next to the best that are looked at one by one.
const NEAR: usize = 8;

impl Levels {
    /// Where `price` is, or belongs. `rank` rises towards the best.
    #[inline]
    fn position(&self, rank: impl Fn(Price) -> Price, price: Price) -> usize {
        let wanted = rank(price);
        let near = self.0.len().saturating_sub(NEAR);
        if near > 0 && rank(self.0[near].0) > wanted {
            return self.0[..near].partition_point(|level| rank(level.0) < wanted);
        }
        near + self.0[near..].iter().map(|level| usize::from(rank(level.0) < wanted)).sum::<usize>()
    }
}

/// The book and the counters of one market.
#[derive(Debug, Clone, Default)]
pub(crate) struct Book {
    bids: Levels,
    asks: Levels,
    /// Waiting orders by stop price: triggered by a trade at or above, or at or below it.
    pub above: BTreeMap<(Price, OrderId), Slot>,
    pub below: BTreeMap<(Price, OrderId), Slot>,
    /// 0 before the first trade.
    pub last_price: Price,
    pub last_trade: u64,
    pub last_aggregate: u64,
    /// Taker and price of the last trade: the next trade of both joins its aggregate.
    pub aggregate_of: (OrderId, Price),
    pub last_prevented_match: u64,
    /// Sequence of the last event that touched the book.
    pub sequence: u64,
    pub minutes: VecDeque<MinuteVolume>,
    /// What [`Self::average_price`] gave after the last trade, while its minute lasts: a division less for every order.
    average: Option<Average>,
}

/// For which minute and window an average price holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Average {
    minute: i64,
    minutes: u8,
    price: Option<Price>,
}

/// Best first: (price, quantity).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Depth {
    pub bids: Vec<(Price, Amount)>,
    pub asks: Vec<(Price, Amount)>,
}

impl Book {
    /// The side's levels and where `price` is or belongs among them.
    #[inline]
    fn locate(&mut self, side: Side, price: Price) -> (&mut Vec<(Price, Level)>, usize) {
        match side {
            Side::Buy => {
                let at = self.bids.position(|price| price, price);
                (&mut self.bids.0, at)
            }
            Side::Sell => {
                let at = self.asks.position(|price| -price, price);
                (&mut self.asks.0, at)
            }
        }
    }

    /// The best level of `side`.
    #[inline]
    pub fn best(&self, side: Side) -> Option<(Price, &Level)> {
        let levels = match side {
            Side::Buy => &self.bids.0,
            Side::Sell => &self.asks.0,
        };
        levels.last().map(|(price, level)| (*price, level))
    }

    /// Levels of `side`, best first.
    pub fn levels(&self, side: Side) -> impl Iterator<Item = (Price, &Level)> + '_ {
        let levels = match side {
            Side::Buy => &self.bids.0,
            Side::Sell => &self.asks.0,
        };
        levels.iter().rev().map(|(price, level)| (*price, level))
    }

    pub fn depth(&self, limit: usize) -> Depth {
        let side = |side| self.levels(side).take(limit).map(|(price, level)| (price, level.quantity)).collect();
        Depth { bids: side(Side::Buy), asks: side(Side::Sell) }
    }

    /// Whether an order of `side` at `price` would meet the other side.
    #[inline]
    pub fn crosses(&self, side: Side, price: Price) -> bool {
        match (side, self.best(side.opposite())) {
            (_, None) => false,
            (Side::Buy, Some((best, _))) => best <= price,
            (Side::Sell, Some((best, _))) => best >= price,
        }
    }

    pub fn rest(&mut self, orders: &mut Orders, slot: Slot) {
        let order = orders.get(slot);
        let (side, price, remaining) = (order.side, order.price, Amount::from(order.remaining()));
        let (levels, at) = self.locate(side, price);
        if levels.get(at).is_none_or(|level| level.0 != price) {
            levels.insert(at, (price, Level { chain: Chain::EMPTY, quantity: 0 }));
        }
        let level = &mut levels[at].1;
        level.quantity += remaining;
        orders.push_back(&mut level.chain, slot, Link::Level);
        orders.set_resting(slot, true);
    }

    /// A resting order's remainder shrank by `quantity`.
    #[inline]
    pub fn reduce(&mut self, side: Side, price: Price, quantity: Quantity) {
        let (levels, at) = self.locate(side, price);
        if let Some((_, level)) = levels.get_mut(at).filter(|level| level.0 == price) {
            level.quantity -= Amount::from(quantity);
        }
    }

    /// Takes an order, with its `remaining` quantity, off the book.
    pub fn remove(&mut self, orders: &mut Orders, slot: Slot) {
        let order = orders.get(slot);
        let (side, price, remaining) = (order.side, order.price, Amount::from(order.remaining()));
        let (levels, at) = self.locate(side, price);
        let Some((_, level)) = levels.get_mut(at).filter(|level| level.0 == price) else { return };
        level.quantity -= remaining;
        orders.unlink(&mut level.chain, slot, Link::Level);
        orders.set_resting(slot, false);
        if level.chain == Chain::EMPTY {
            levels.remove(at);
        }
    }

    /// The map in which a waiting order of this type and side waits.
    pub fn waiting_mut(&mut self, kind: OrderType, side: Side) -> &mut BTreeMap<(Price, OrderId), Slot> {
        if kind.triggers_above(side) { &mut self.above } else { &mut self.below }
    }

    /// Notes a trade for the last and the average price, that of the market's own window of `minutes`.
    pub fn traded(&mut self, price: Price, quantity: Quantity, quote: Amount, minutes: u8, now: Time) {
        self.last_price = price;
        let minute = now.div_euclid(MINUTE);
        match self.minutes.back_mut() {
            Some(last) if last.minute == minute => {
                last.quote += quote;
                last.base += Amount::from(quantity);
            }
            _ => {
                if self.minutes.len() > usize::from(crate::market::AVERAGE_MINUTES_MAX) {
                    self.minutes.pop_front();
                }
                self.minutes.push_back(MinuteVolume { minute, quote, base: Amount::from(quantity) });
            }
        }
        self.average = Some(Average { minute, minutes, price: self.average_of(minutes, minute) });
    }

    /// Volume-weighted average over the current and the `minutes - 1` minutes before; the last price when nothing traded in
    /// them; `None` before the first trade. Rounded down to 10⁻⁸.
    #[inline]
    pub fn average_price(&self, minutes: u8, now: Time) -> Option<Price> {
        let minute = now.div_euclid(MINUTE);
        match self.average {
            Some(known) if known.minute == minute && known.minutes == minutes => known.price,
            _ => self.average_of(minutes, minute),
        }
    }

    fn average_of(&self, minutes: u8, minute: i64) -> Option<Price> {
        let oldest = minute - i64::from(minutes);
        let recent = self.minutes.iter().rev().take_while(|m| m.minute > oldest);
        let (quote, base) = recent.fold((0, 0), |(quote, base), m| (quote + m.quote, base + m.base));
        if base > 0 {
            return Price::try_from(quote * Amount::from(crate::money::SCALE) / base).ok();
        }
        (self.last_price > 0).then_some(self.last_price)
    }
}

/// Microseconds.
const MINUTE: Time = 60_000_000;
