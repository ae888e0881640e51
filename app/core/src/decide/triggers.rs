//! This module runs waiting orders whose stop price was reached. It must not match a triggered order.
//!
//! - At feature level 2 one event moves the reached orders to their market's queue, and each runs as a separate decision: see
//!   [`crate::State::work`].
//! - At level 1 they run in the decision that reached them: events of that level cannot name a queue.
//! - The sequence is the same at both levels: the orders that one taker reached, oldest first, then the orders that their trades
//!   reach.

use super::matching::{End, Enough, MatchingTaker, Want, fills, walk};
use super::{Decision, Traded};
use crate::event::Event;
use crate::market::MarketStatus;
use crate::money::{Amount, Price, notional};
use crate::order::{ExpiryReason, MarketId, Order, OrderId, OrderStatus, Side, TimeInForce};
use crate::orders::Slot;
use std::collections::VecDeque;

/// Price range that the index of waiting orders was searched for. Orders inside it were found then, and the decision adds no
/// order.
struct Searched {
    low: Price,
    high: Price,
}

impl Decision<'_> {
    /// Handles the consequences of one taker's trades.
    pub(super) fn after_trades(&mut self, market: MarketId, range: Traded) {
        if self.state.feature_level < 2 {
            return self.run_at_once(market, range);
        }
        let Traded { low, high } = range;
        if high == 0 {
            return;
        }
        let before = self.price_before(market);
        let entry = &self.state.markets[usize::from(market)];
        let reaches = entry.book.reaches(low, high);
        let breaker = entry.market.protection.breaker.filter(|_| entry.market.status == MarketStatus::Trading);
        if reaches {
            self.emit(Event::StopsReached { market, low, high });
        }
        if let (Some(breaker), Some(before)) = (breaker, before)
            && [low, high].iter().any(|price| breaker.trips(before, *price))
        {
            let until = if breaker.pause == 0 { 0 } else { self.time.saturating_add(breaker.pause) };
            self.emit(Event::MarketPaused { market, until });
        }
    }

    /// Reference of the circuit breaker: see [`crate::book::Book::price_before`].
    fn price_before(&self, market: MarketId) -> Option<Price> {
        let entry = &self.state.markets[usize::from(market)];
        entry.market.protection.breaker?;
        let set = entry.market.protection.reference_price;
        let traded = entry.book.price_before(entry.market.filters.average_minutes, self.time);
        traded.or((set > 0).then_some(set))
    }

    /// Runs the reached orders, and the orders reached by their trades, in this decision. Each waiting order is visited once,
    /// when it is reached.
    fn run_at_once(&mut self, market: MarketId, mut range: Traded) {
        let mut reached: VecDeque<OrderId> = VecDeque::new();
        let mut searched = Searched { low: Price::MAX, high: 0 };
        loop {
            self.collect_reached(market, range, &mut searched, &mut reached);
            let Some(id) = reached.pop_front() else { return };
            range = Traded::NOTHING;
            if let Some(slot) = self.state.orders.slot(id)
                && !self.state.orders.get(slot).working
            {
                self.trigger(slot, &mut range);
            }
        }
    }

    fn collect_reached(&self, market: MarketId, range: Traded, searched: &mut Searched, reached: &mut VecDeque<OrderId>) {
        let book = &self.state.markets[usize::from(market)].book;
        let mut found: Vec<OrderId> = Vec::new();
        if range.high > searched.high {
            found.extend(book.above.ids((searched.high + 1, 0)..=(range.high, OrderId::MAX)));
            searched.high = range.high;
        }
        if range.low < searched.low {
            found.extend(book.below.ids((range.low, 0)..(searched.low, 0)));
            searched.low = range.low;
        }
        found.sort_unstable();
        reached.extend(found);
    }

    /// Triggers an order: locks the rest of its need, then matches or rests it.
    pub(super) fn trigger(&mut self, slot: Slot, range: &mut Traded) {
        self.close_siblings(slot);
        let order = *self.state.orders.get(slot);
        let entry = &self.state.markets[usize::from(order.market)];
        let asset = crate::evolve::hold_asset(&self.state.markets, &order);
        let free = self.state.balance(order.account, asset).free;
        let fok = order.time_in_force == TimeInForce::Fok && order.kind.has_price();
        let crosses = !order.kind.has_price() || entry.book.crosses(order.side, order.price);
        let Order { market, account, side, stp, price: limit, .. } = order;
        let taker = MatchingTaker { market, account, side, stp, limit, bounds: self.state.bounds(market, side, self.time) };
        // Locked already, except for an OCO's second leg and a market buy that costs more than its stop price.
        let need = match (order.side, order.kind.has_price()) {
            (Side::Sell, _) => Amount::from(order.quantity),
            (Side::Buy, true) => notional(order.price, order.quantity),
            (Side::Buy, false) => {
                let want = Want { quantity: order.quantity, quote: order.hold.saturating_add(free.max(0)) };
                walk(self.state, &taker, want, Enough::NEVER).quote
            }
        };
        let hold = (need - order.hold).clamp(0, free.max(0));
        let unfillable = fok && !fills(self.state, &taker, order.quantity);
        let rests = !crosses && order.time_in_force == TimeInForce::Gtc;
        // Not by id: the search would cause a cache miss for each order of a long queue.
        self.state.orders.expect(slot);
        self.emit(Event::OrderTriggered { order: order.id, hold, rests });
        if unfillable {
            self.close(slot, OrderStatus::Expired, ExpiryReason::UnfilledFok);
        } else if !rests {
            self.take(slot, End::Book, range);
        }
    }
}
