//! This module is one market's resting orders in price-time priority, and the orders that wait for a price. It must not use
//! balances or decide which order may rest.

use crate::money::{Amount, Price, Quantity, Time};
use crate::order::{Order, OrderId, OrderType, Side};
use crate::orders::{ChainLink, NONE, OrderChain, Orders, Slot};
use crate::trailing::Trailing;
use crate::visits::visit;
use crate::waiting::WaitingOrders;
use std::collections::{BTreeMap, VecDeque};

/// All orders at one price, in order of arrival. Aligned to eight bytes: half as much to move as with sixteen.
#[derive(Debug, Clone, Copy)]
#[repr(Rust, packed(8))]
pub(crate) struct BookLevel {
    pub chain: OrderChain,
    /// Sum of the visible quantities; wide, because many orders of the largest size may be at one price.
    pub quantity: Amount,
}

/// Trades of one minute, for the average price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MinuteVolume {
    pub minute: i64,
    pub quote: Amount,
    pub base: Amount,
}

/// The levels of one side by their rank (see [`rank`]), the best last.
///
/// Nearly all activity is near the best level. There a level is found by a scan of a few neighbours and added by moving a few,
/// which is faster than a tree. Far from the best, an insertion moves all better levels: 32 bytes each, 0.1 ms for fifty
/// thousand. This is the only cost here that grows with levels that an order does not touch. The open orders of the side bound
/// the number of levels.
///
/// An emptied level remains for the next order at its price, unless it is the best: prices return, and removing it would move its
/// neighbours twice. At most half of the levels are empty, and the best never is.
#[derive(Debug, Clone, Default)]
struct Levels {
    all: Vec<(Rank, BookLevel)>,
    empty: usize,
}

/// Levels next to the best that a linear scan covers.
const NEAR: usize = 8;
/// Empty levels that are always allowed, even if few levels are in use.
const SPARE: usize = 64;

impl Levels {
    /// The position of `rank`, or its insertion point.
    #[inline]
    fn position(&self, rank: Rank) -> usize {
        let near = self.all.len().saturating_sub(NEAR);
        if near > 0 && self.all[near].0 > rank {
            return self.all[..near].partition_point(|level| level.0 < rank);
        }
        near + self.all[near..].iter().map(|level| usize::from(level.0 < rank)).sum::<usize>()
    }

    /// The level of `rank` and its position.
    #[inline]
    fn find(&mut self, rank: Rank) -> Option<(usize, &mut BookLevel)> {
        let at = self.position(rank);
        self.all.get_mut(at).filter(|level| level.0 == rank).map(|level| (at, &mut level.1))
    }

    /// The level of `rank`, created if necessary.
    #[inline]
    fn prepare(&mut self, rank: Rank) -> &mut BookLevel {
        let at = self.position(rank);
        match self.all.get(at) {
            Some((standing, level)) if *standing == rank => self.empty -= usize::from(level.chain == OrderChain::EMPTY),
            _ => self.all.insert(at, (rank, BookLevel { chain: OrderChain::EMPTY, quantity: 0 })),
        }
        &mut self.all[at].1
    }

    /// The level at `at` has lost its last order.
    #[inline]
    fn emptied(&mut self, at: usize) {
        self.empty += 1;
        if at + 1 == self.all.len() {
            while self.all.pop_if(|(_, level)| level.chain == OrderChain::EMPTY).is_some() {
                self.empty -= 1;
            }
        } else if self.empty > SPARE && self.empty * 2 > self.all.len() {
            self.all.retain(|(_, level)| level.chain != OrderChain::EMPTY);
            self.empty = 0;
        }
    }
}

/// A price as its side sorts it, rising towards the best: the price itself for bids, negated for asks.
type Rank = i64;

/// Converts a price to its rank on a side, and back. Branch-free: sides are random, and half of the branch predictions would
/// fail.
#[inline]
const fn rank(side: Side, price: Price) -> Rank {
    let mask = -(side as i64);
    (price ^ mask) - mask
}

/// The book and the counters of one market.
#[derive(Debug, Clone)]
pub(crate) struct Book {
    /// Bids and asks, by [`Side`].
    levels: [Levels; 2],
    /// Waiting orders by stop price: triggered by a trade at or above it, or at or below it.
    pub above: WaitingOrders,
    pub below: WaitingOrders,
    /// Sum of the parts of iceberg orders that a level does not show; only levels that have such parts.
    hidden: BTreeMap<(Side, Price), Amount>,
    /// Trailing stop orders; the maps above do not contain them.
    pub trailing: Trailing,
    /// Orders that wait for the working order of their list.
    pub pending: BTreeMap<OrderId, Slot>,
    /// Triggered orders, and pending orders whose working order is filled, that wait for their turn, in order of arrival.
    queue: OrderChain,
    pub queued: usize,
    /// 0 before the first trade.
    pub last_price: Price,
    pub last_trade: u64,
    pub last_aggregate: u64,
    /// Taker and price of the last trade: the next trade with both joins its aggregate.
    pub aggregate_of: (OrderId, Price),
    pub last_prevented_match: u64,
    /// Sequence of the last event that touched the book.
    pub sequence: u64,
    pub minutes: VecDeque<MinuteVolume>,
    /// The cached average of [`Self::remember_average`], valid until the next trade: saves a division per order.
    average: Option<Average>,
}

/// The minute and window for which an average price is valid.
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

impl Default for Book {
    fn default() -> Self {
        Self {
            levels: Default::default(),
            above: WaitingOrders::default(),
            below: WaitingOrders::default(),
            hidden: BTreeMap::new(),
            trailing: Trailing::default(),
            pending: BTreeMap::new(),
            queue: OrderChain::EMPTY,
            queued: 0,
            last_price: 0,
            last_trade: 0,
            last_aggregate: 0,
            aggregate_of: (0, 0),
            last_prevented_match: 0,
            sequence: 0,
            minutes: VecDeque::new(),
            average: None,
        }
    }
}

impl Book {
    /// The best level of `side`.
    #[inline]
    pub fn best(&self, side: Side) -> Option<(Price, &BookLevel)> {
        self.levels[side as usize].all.last().map(|(of, level)| (rank(side, *of), level))
    }

    /// Levels of `side`, best first.
    pub fn levels(&self, side: Side) -> impl Iterator<Item = (Price, &BookLevel)> + '_ {
        let all = self.levels[side as usize].all.iter().rev().inspect(|_| visit());
        let used = all.filter(|(_, level)| level.chain != OrderChain::EMPTY);
        used.map(move |(of, level)| (rank(side, *of), level))
    }

    /// Quantity at one price; 0 without an order there.
    pub fn quantity_at(&self, side: Side, price: Price) -> Amount {
        let (levels, rank) = (&self.levels[side as usize], rank(side, price));
        levels.all.get(levels.position(rank)).filter(|level| level.0 == rank).map_or(0, |level| level.1.quantity)
    }

    pub fn depth(&self, limit: usize) -> Depth {
        let side = |side| self.levels(side).take(limit).map(|(price, level)| (price, level.quantity)).collect();
        Depth { bids: side(Side::Buy), asks: side(Side::Sell) }
    }

    /// Whether an order of `side` at `price` would match the other side.
    #[inline]
    pub fn crosses(&self, side: Side, price: Price) -> bool {
        // From the order's side, matching levels rank at or below it.
        self.best(side.opposite()).is_some_and(|(best, _)| rank(side, best) <= rank(side, price))
    }

    /// Quantity at one price that iceberg orders do not show.
    #[inline]
    pub fn hidden_at(&self, side: Side, price: Price) -> Amount {
        if self.hidden.is_empty() { 0 } else { self.hidden.get(&(side, price)).copied().unwrap_or(0) }
    }

    fn add_hidden(&mut self, side: Side, price: Price, change: Amount) {
        if change == 0 {
            return;
        }
        let sum = self.hidden.entry((side, price)).or_default();
        *sum += change;
        if *sum == 0 {
            self.hidden.remove(&(side, price));
        }
    }

    /// An iceberg order shows its first part; one that was read from a snapshot shows the same rest of a part as before.
    pub fn rest(&mut self, orders: &mut Orders, slot: Slot) {
        let order = orders.get_mut(slot);
        if order.iceberg > 0 {
            if order.shown == 0 {
                order.shown = order.iceberg.min(order.remaining());
            }
            let Order { side, price, .. } = *order;
            let hidden = Amount::from(order.remaining() - order.shown);
            self.add_hidden(side, price, hidden);
        }
        let order = orders.get(slot);
        let (side, price, visible) = (order.side, order.price, Amount::from(order.visible()));
        let level = self.levels[side as usize].prepare(rank(side, price));
        level.quantity += visible;
        orders.push_back(&mut level.chain, slot, ChainLink::Level);
        orders.set_resting(slot, true);
    }

    /// The remainder of a resting order decreased by `quantity`.
    #[inline]
    pub fn reduce(&mut self, side: Side, price: Price, quantity: Quantity) {
        if let Some((_, level)) = self.levels[side as usize].find(rank(side, price)) {
            level.quantity -= Amount::from(quantity);
        }
    }

    /// The remainder of a resting order decreased, and of an iceberg order `visible` is still shown. An iceberg order that shows
    /// nothing any longer shows its next part, behind the other orders at its price. `lost` is the decrease.
    pub fn shrink(&mut self, orders: &mut Orders, slot: Slot, lost: Quantity, visible: Quantity) {
        let order = orders.get_mut(slot);
        let Order { side, price, iceberg, shown, .. } = *order;
        if iceberg == 0 {
            return self.reduce(side, price, lost);
        }
        order.shown = visible;
        let left = order.remaining();
        self.add_hidden(side, price, Amount::from(shown - visible - lost));
        self.reduce(side, price, shown - visible);
        if visible == 0 && left > 0 {
            self.refill(orders, slot);
        }
    }

    /// An iceberg order shows its next part. Constant cost, apart from the search of its level.
    fn refill(&mut self, orders: &mut Orders, slot: Slot) {
        let order = orders.get_mut(slot);
        order.shown = order.iceberg.min(order.remaining());
        let Order { side, price, shown, .. } = *order;
        self.add_hidden(side, price, -Amount::from(shown));
        if let Some((_, level)) = self.levels[side as usize].find(rank(side, price)) {
            level.quantity += Amount::from(shown);
            let mut chain = level.chain;
            orders.unlink(&mut chain, slot, ChainLink::Level);
            orders.push_back(&mut chain, slot, ChainLink::Level);
            level.chain = chain;
        }
    }

    /// Removes an order with its remaining quantity from the book.
    pub fn remove(&mut self, orders: &mut Orders, slot: Slot) {
        let order = orders.get(slot);
        let (side, price, visible) = (order.side, order.price, Amount::from(order.visible()));
        let hidden = Amount::from(order.remaining()) - visible;
        self.add_hidden(side, price, -hidden);
        let levels = &mut self.levels[side as usize];
        let Some((at, level)) = levels.find(rank(side, price)) else { return };
        level.quantity -= visible;
        orders.unlink(&mut level.chain, slot, ChainLink::Level);
        orders.set_resting(slot, false);
        if level.chain == OrderChain::EMPTY {
            levels.emptied(at);
        }
    }

    /// The order waits for its price from now on. `sequence` of the event and its time are when a trailing stop order without a stop
    /// price begins to track.
    pub fn start_waiting(&mut self, orders: &mut Orders, slot: Slot, sequence: u64, now: Time) {
        let order = *orders.get(slot);
        if order.trailing_delta == 0 {
            self.waiting_mut(order.kind, order.side).insert(order.stop_price, order.id, slot);
        } else if self.trailing.add(&order, slot, self.last_price, sequence) {
            orders.get_mut(slot).tracking_since = now;
        }
    }

    /// The map for a waiting order of this type and side.
    pub fn waiting_mut(&mut self, kind: OrderType, side: Side) -> &mut WaitingOrders {
        if kind.triggers_above(side) { &mut self.above } else { &mut self.below }
    }

    /// Moves every waiting order whose stop price is in the traded range to the queue, oldest first. Costs n log n for n reached
    /// orders, independent of the orders that wait at other prices.
    pub fn queue_reached(&mut self, orders: &mut Orders, low: Price, high: Price) {
        let mut reached: Vec<(OrderId, Slot)> = self.trailing.take_reached().into_iter().collect();
        while let Some(order) = self.above.pop_to(high) {
            reached.push(order);
        }
        while let Some(order) = self.below.pop_from(low) {
            reached.push(order);
        }
        reached.sort_unstable();
        for (_, slot) in reached {
            self.push_queued(orders, slot);
        }
    }

    /// Whether trades in this range reach a waiting order.
    pub fn reaches(&self, low: Price, high: Price) -> bool {
        let above = self.above.lowest().is_some_and(|price| price <= high);
        above || self.trailing.has_reached() || self.below.highest().is_some_and(|price| price >= low)
    }

    pub fn push_queued(&mut self, orders: &mut Orders, slot: Slot) {
        orders.push_back(&mut self.queue, slot, ChainLink::Level);
        orders.set_queued(slot, true);
        self.queued += 1;
    }

    /// Moves a pending order to the queue.
    pub fn queue_pending(&mut self, orders: &mut Orders, slot: Slot) {
        if self.pending.remove(&{ orders.get(slot).id }).is_some() {
            self.push_queued(orders, slot);
        }
    }

    /// Removes an order that waits from its index, or one that waits for its turn from the queue.
    pub fn stop_waiting(&mut self, orders: &mut Orders, slot: Slot) {
        if orders.is_queued(slot) {
            orders.unlink(&mut self.queue, slot, ChainLink::Level);
            orders.set_queued(slot, false);
            self.queued -= 1;
            return;
        }
        let order = orders.get(slot);
        if self.pending.remove(&{ order.id }).is_none() {
            let Order { kind, side, stop_price, id, trailing_delta, .. } = *order;
            if trailing_delta > 0 {
                return self.trailing.remove(order);
            }
            _ = self.waiting_mut(kind, side).remove(stop_price, id);
        }
    }

    /// The next order of the queue.
    pub const fn next_queued(&self) -> Option<Slot> {
        if self.queue.first == NONE { None } else { Some(self.queue.first) }
    }

    /// Any order that rests, waits or is queued here.
    pub fn any_order(&self) -> Option<Slot> {
        let resting = || Side::ALL.iter().find_map(|side| self.best(*side)).map(|(_, level)| level.chain.first);
        let waiting = || self.above.slots().chain(self.below.slots()).chain(self.pending.values().copied()).next();
        self.next_queued().or_else(resting).or_else(waiting).or_else(|| self.trailing.any())
    }

    /// Drops the minutes that start after `time`.
    pub fn forget_minutes_after(&mut self, time: Time) {
        let minute = time.div_euclid(MINUTE);
        self.minutes.retain(|held| held.minute <= minute);
    }

    /// The market's price before the current minute: the volume-weighted average of the previous `minutes`. If nothing traded in
    /// them, it is the average of the last minute with a trade. At most [`crate::market::AVERAGE_MINUTES_MAX`] + 1 minutes are
    /// held.
    pub fn price_before(&self, minutes: u8, now: Time) -> Option<Price> {
        let minute = now.div_euclid(MINUTE);
        let oldest = minute - i64::from(minutes);
        let before = || self.minutes.iter().rev().filter(|m| m.minute < minute && m.base > 0);
        let recent = before().take_while(|m| m.minute >= oldest);
        let (quote, base) = recent.fold((0, 0), |(quote, base), m| (quote + m.quote, base + m.base));
        let (quote, base) = if base > 0 { (quote, base) } else { before().next().map(|m| (m.quote, m.base))? };
        Price::try_from(quote * Amount::from(crate::money::SCALE) / base).ok()
    }

    /// Records a trade for the last and the average price.
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
        self.average = None;
    }

    /// Caches the average price until the next trade.
    #[inline]
    pub fn remember_average(&mut self, minutes: u8, now: Time) {
        let minute = now.div_euclid(MINUTE);
        if self.average.is_none_or(|known| known.minute != minute || known.minutes != minutes) {
            self.average = Some(Average { minute, minutes, price: self.average_of(minutes, minute) });
        }
    }

    /// Volume-weighted average over the current and the previous `minutes - 1` minutes, rounded down to 10⁻⁸. The last price if
    /// nothing traded in them; `None` before the first trade.
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
