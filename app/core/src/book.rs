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

/// The book and the counters of one market.
#[derive(Debug, Clone, Default)]
pub(crate) struct Book {
    pub bids: BTreeMap<Price, Level>,
    pub asks: BTreeMap<Price, Level>,
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
}

/// Best first: (price, quantity).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Depth {
    pub bids: Vec<(Price, Amount)>,
    pub asks: Vec<(Price, Amount)>,
}

impl Book {
    fn side_mut(&mut self, side: Side) -> &mut BTreeMap<Price, Level> {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }

    /// The best level of `side`.
    #[inline]
    pub fn best(&self, side: Side) -> Option<(Price, &Level)> {
        let entry = match side {
            Side::Buy => self.bids.last_key_value(),
            Side::Sell => self.asks.first_key_value(),
        };
        entry.map(|(price, level)| (*price, level))
    }

    /// Levels of `side`, best first.
    pub fn levels(&self, side: Side) -> Box<dyn Iterator<Item = (Price, &Level)> + '_> {
        match side {
            Side::Buy => Box::new(self.bids.iter().rev().map(|(p, l)| (*p, l))),
            Side::Sell => Box::new(self.asks.iter().map(|(p, l)| (*p, l))),
        }
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
        let level = self.side_mut(side).entry(price).or_insert(Level { chain: Chain::EMPTY, quantity: 0 });
        level.quantity += remaining;
        orders.push_back(&mut level.chain, slot, Link::Level);
        orders.set_resting(slot, true);
    }

    /// A resting order's remainder shrank by `quantity`.
    #[inline]
    pub fn reduce(&mut self, side: Side, price: Price, quantity: Quantity) {
        if let Some(level) = self.side_mut(side).get_mut(&price) {
            level.quantity -= Amount::from(quantity);
        }
    }

    /// Takes an order, with its `remaining` quantity, off the book.
    pub fn remove(&mut self, orders: &mut Orders, slot: Slot) {
        let order = orders.get(slot);
        let (side, price, remaining) = (order.side, order.price, Amount::from(order.remaining()));
        let levels = self.side_mut(side);
        let Some(level) = levels.get_mut(&price) else { return };
        level.quantity -= remaining;
        orders.unlink(&mut level.chain, slot, Link::Level);
        orders.set_resting(slot, false);
        if level.chain == Chain::EMPTY {
            levels.remove(&price);
        }
    }

    /// The map in which a waiting order of this type and side waits.
    pub fn waiting_mut(&mut self, kind: OrderType, side: Side) -> &mut BTreeMap<(Price, OrderId), Slot> {
        if kind.triggers_above(side) { &mut self.above } else { &mut self.below }
    }

    /// Notes a trade for the last and the average price.
    pub fn traded(&mut self, price: Price, quantity: Quantity, quote: Amount, now: Time) {
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
    }

    /// Volume-weighted average over the current and the `minutes - 1` minutes before; the last price when nothing traded in
    /// them; `None` before the first trade. Rounded down to 10⁻⁸.
    pub fn average_price(&self, minutes: u8, now: Time) -> Option<Price> {
        let oldest = now.div_euclid(MINUTE) - i64::from(minutes);
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
