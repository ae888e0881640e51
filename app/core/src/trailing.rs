//! This module tracks the extreme prices of trailing stop orders of one market. It must not trigger an order (see `decide::triggers`).
//!
//! - A sell tracks the highest price since its tracking began and triggers at a fall by its delta; a buy tracks the lowest one and
//!   triggers at a rise. Both are one ladder over a ranked price: the price of a sell, the negated price of a buy.
//! - Orders whose tracking began at different times may have the same extreme: then they have it for ever. A group is such a set, and
//!   the extremes of groups fall from the oldest to the newest one. A trade merges the newest groups that it reaches.
//! - A trade that moves past no trigger and no extreme costs one look at the newest group and the nearest trigger of each side, for any
//!   number of orders.
//! - A trade that moves past triggers costs a logarithm per order reached.
//! - A trade that moves past extremes costs a logarithm per group merged. Each group was made by a placement, so placements bound the
//!   merges. A merge moves the smaller set, so an order is moved at most log2(n) times in its life.

use crate::codec::{ByteDecoder, ByteEncoder, DecodeError, Sink};
use crate::money::{Amount, Price};
use crate::order::{Order, OrderId, Side};
use crate::orders::{Orders, Slot};
use crate::visits::visit;
use crate::waiting::WaitingOrders;
use smallvec::SmallVec;
use std::collections::{BTreeMap, BTreeSet};

/// Basis points of the whole.
const WHOLE: Amount = 10_000;

/// Of one order that tracks: its delta and the sequence of the event with which its tracking began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TrackedOrder {
    pub delta: u32,
    pub since: u64,
    pub slot: Slot,
}

#[derive(Debug, Clone)]
struct Group {
    /// Rank of the extreme price.
    extreme: Price,
    orders: BTreeSet<(u32, OrderId)>,
}

/// The orders of one side that track the price.
#[derive(Debug, Clone)]
struct Ladder {
    side: Side,
    /// By the least `since` of its orders when it was made. The extremes fall.
    groups: BTreeMap<u64, Group>,
    /// Nearest trigger of each group: its rank in 10⁻⁴, and the group.
    nearest: BTreeSet<(Amount, u64)>,
    tracked: BTreeMap<OrderId, TrackedOrder>,
}

impl Ladder {
    fn new(side: Side) -> Self {
        Self { side, groups: BTreeMap::new(), nearest: BTreeSet::new(), tracked: BTreeMap::new() }
    }

    const fn rank(&self, price: Price) -> Price {
        match self.side {
            Side::Sell => price,
            Side::Buy => -price,
        }
    }

    /// The order triggers at a rank at or below this, in 10⁻⁴.
    fn trigger(&self, extreme: Price, delta: u32) -> Amount {
        let delta = Amount::from(delta);
        Amount::from(extreme) * if self.side == Side::Sell { WHOLE - delta } else { WHOLE + delta }
    }

    fn nearest_of(&self, group: &Group) -> Option<Amount> {
        group.orders.first().map(|(delta, _)| self.trigger(group.extreme, *delta))
    }

    fn forget_nearest(&mut self, key: u64) {
        if let Some(nearest) = self.groups.get(&key).and_then(|group| self.nearest_of(group)) {
            self.nearest.remove(&(nearest, key));
        }
    }

    fn note_nearest(&mut self, key: u64) {
        match self.groups.get(&key).map(|group| self.nearest_of(group)) {
            Some(Some(nearest)) => _ = self.nearest.insert((nearest, key)),
            Some(None) => _ = self.groups.remove(&key),
            None => {}
        }
    }

    fn key_of(&self, since: u64) -> Option<u64> {
        self.groups.range(..=since).next_back().map(|(key, _)| *key)
    }

    /// Begins to track at `price`, which is the market's last price.
    fn add(&mut self, id: OrderId, tracked: TrackedOrder, price: Price) {
        let extreme = self.rank(price);
        let newest = self.groups.last_key_value().filter(|(_, group)| group.extreme == extreme).map(|(key, _)| *key);
        let key = newest.unwrap_or(tracked.since);
        self.forget_nearest(key);
        let group = self.groups.entry(key).or_insert_with(|| Group { extreme, orders: BTreeSet::new() });
        group.orders.insert((tracked.delta, id));
        self.tracked.insert(id, tracked);
        self.note_nearest(key);
    }

    fn remove(&mut self, id: OrderId) -> bool {
        let Some(TrackedOrder { delta, since, .. }) = self.tracked.remove(&id) else { return false };
        if let Some(key) = self.key_of(since) {
            self.forget_nearest(key);
            if let Some(group) = self.groups.get_mut(&key) {
                group.orders.remove(&(delta, id));
            }
            self.note_nearest(key);
        }
        true
    }

    /// Removes the orders that a trade at `price` triggers, then moves the extremes that it exceeds.
    fn traded(&mut self, price: Price, reached: &mut BTreeMap<OrderId, Slot>) {
        let rank = self.rank(price);
        while let Some((_, key)) = self.nearest.last().filter(|(at, _)| *at >= Amount::from(rank) * WHOLE).copied() {
            visit();
            self.forget_nearest(key);
            let first = self.groups.get_mut(&key).and_then(|group| group.orders.pop_first());
            self.note_nearest(key);
            if let Some((_, id)) = first
                && let Some(tracked) = self.tracked.remove(&id)
            {
                reached.insert(id, tracked.slot);
            }
        }
        self.raise(rank);
    }

    /// Each group at or below `rank` becomes part of one at `rank`.
    fn raise(&mut self, rank: Price) {
        let newest = self.groups.last_key_value().map(|(_, group)| group.extreme);
        if newest.is_none_or(|extreme| extreme >= rank) {
            return;
        }
        let mut merged = BTreeSet::new();
        let mut oldest = 0;
        while let Some(key) = self.groups.last_key_value().filter(|(_, group)| group.extreme <= rank).map(|(key, _)| *key) {
            visit();
            self.forget_nearest(key);
            oldest = key;
            let Some(mut group) = self.groups.remove(&key) else { break };
            if group.orders.len() > merged.len() {
                std::mem::swap(&mut group.orders, &mut merged);
            }
            merged.extend(group.orders.into_iter().inspect(|_| visit()));
        }
        self.groups.insert(oldest, Group { extreme: rank, orders: merged });
        self.note_nearest(oldest);
    }
}

/// The trailing stop orders of one market.
#[derive(Debug, Clone)]
pub(crate) struct Trailing {
    /// Orders whose stop price no trade has reached yet, by it: reached by a trade at or above it, or at or below it. 0: by the first
    /// trade of the market.
    above: WaitingOrders,
    below: WaitingOrders,
    /// By [`Side`].
    ladders: [Ladder; 2],
    /// Triggered by the trades of the decision in progress; the next [`crate::event::Event::StopsReached`] moves them to the queue.
    reached: BTreeMap<OrderId, Slot>,
    count: usize,
}

impl Default for Trailing {
    fn default() -> Self {
        Self {
            above: WaitingOrders::default(),
            below: WaitingOrders::default(),
            ladders: [Ladder::new(Side::Buy), Ladder::new(Side::Sell)],
            reached: BTreeMap::new(),
            count: 0,
        }
    }
}

impl Trailing {
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Takes an order that was placed. True: it tracks from now on, at the market's last price, because it has no stop price.
    pub fn add(&mut self, order: &Order, slot: Slot, last: Price, sequence: u64) -> bool {
        self.count += 1;
        let Order { id, side, kind, stop_price, trailing_delta: delta, .. } = *order;
        if stop_price == 0 && last > 0 {
            self.ladders[side as usize].add(id, TrackedOrder { delta, since: sequence, slot }, last);
            return true;
        }
        let waiting = if stop_price == 0 || kind.triggers_above(side) { &mut self.above } else { &mut self.below };
        waiting.insert(stop_price, id, slot);
        false
    }

    pub fn remove(&mut self, order: &Order) {
        let Order { id, side, stop_price, .. } = *order;
        let waited = self.above.remove(stop_price, id) || self.below.remove(stop_price, id) || self.reached.remove(&id).is_some();
        if waited || self.ladders[side as usize].remove(id) {
            self.count -= 1;
        }
    }

    /// A trade: orders that it triggers wait for [`Self::take_reached`]; those whose stop price it reaches begin to track at its price.
    /// Returns the latter. Costs the orders that it reaches, see the head of the module.
    pub fn traded(&mut self, price: Price, sequence: u64, orders: &Orders) -> SmallVec<[Slot; 4]> {
        for ladder in &mut self.ladders {
            ladder.traded(price, &mut self.reached);
        }
        let mut begin: SmallVec<[Slot; 4]> = SmallVec::new();
        while let Some((_, slot)) = self.above.pop_to(price).or_else(|| self.below.pop_from(price)) {
            begin.push(slot);
        }
        for slot in &begin {
            let Order { id, side, trailing_delta: delta, .. } = *orders.get(*slot);
            self.ladders[side as usize].add(id, TrackedOrder { delta, since: sequence, slot: *slot }, price);
        }
        begin
    }

    pub fn has_reached(&self) -> bool {
        !self.reached.is_empty()
    }

    pub fn take_reached(&mut self) -> BTreeMap<OrderId, Slot> {
        self.count -= self.reached.len();
        std::mem::take(&mut self.reached)
    }

    /// Any order.
    pub fn any(&self) -> Option<Slot> {
        let waiting = self.above.slots().chain(self.below.slots()).chain(self.reached.values().copied()).next();
        let tracked = || self.ladders.iter().find_map(|ladder| ladder.tracked.values().next()).map(|tracked| tracked.slot);
        waiting.or_else(tracked)
    }

    /// `order` writes one order.
    pub fn encode<S: Sink>(&self, w: &mut ByteEncoder<S>, order: impl Fn(Slot, &mut ByteEncoder<S>)) {
        for map in [&self.above, &self.below] {
            w.u64(map.len() as u64);
            map.slots().for_each(|slot| order(slot, w));
        }
        w.u64(self.reached.len() as u64);
        self.reached.values().for_each(|slot| order(*slot, w));
        for ladder in &self.ladders {
            w.u64(ladder.groups.len() as u64);
            for (key, group) in &ladder.groups {
                w.u64(*key);
                w.i64(group.extreme);
                w.u64(group.orders.len() as u64);
                for tracked in group.orders.iter().filter_map(|(_, id)| ladder.tracked.get(id)) {
                    w.u64(tracked.since);
                    order(tracked.slot, w);
                }
            }
        }
    }

    /// `order` reads one order and stores it.
    pub fn decode(
        r: &mut ByteDecoder<'_>,
        mut order: impl FnMut(&mut ByteDecoder<'_>) -> Result<(Order, Slot), DecodeError>,
    ) -> Result<Self, DecodeError> {
        let mut read = Self::default();
        for map in [&mut read.above, &mut read.below] {
            for _ in 0..r.u64()? {
                let (order, slot) = order(r)?;
                map.insert(order.stop_price, order.id, slot);
            }
        }
        for _ in 0..r.u64()? {
            let (order, slot) = order(r)?;
            read.reached.insert(order.id, slot);
        }
        read.count = read.above.len() + read.below.len() + read.reached.len();
        for ladder in &mut read.ladders {
            for _ in 0..r.u64()? {
                let (key, extreme) = (r.u64()?, r.i64()?);
                let mut group = Group { extreme, orders: BTreeSet::new() };
                for _ in 0..r.u64()? {
                    let since = r.u64()?;
                    let (order, slot) = order(r)?;
                    let delta = order.trailing_delta;
                    group.orders.insert((delta, order.id));
                    ladder.tracked.insert(order.id, TrackedOrder { delta, since, slot });
                }
                read.count += group.orders.len();
                ladder.groups.insert(key, group);
                ladder.note_nearest(key);
            }
        }
        Ok(read)
    }
}
