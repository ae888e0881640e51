//! This module holds ended orders and lists, trades and amendments since the last update of the tables. Tail and tables form the whole
//! history. It must not hold an open order (the state does) or read a table.

use std::collections::VecDeque;
use std::hash::Hash;

use exchange_core::{
    AmendmentRecord, OrderList, PreventedRecord, TradeRecord,
    order::{AccountId, ClientId, MarketId, Order, OrderId},
};
use rustc_hash::FxHashMap;

/// Maximum number of closed orders, and of trades: about 100 MB together. Beyond it the oldest are dropped, and history waits for
/// the tables.
pub const TAIL_MAX: usize = 200_000;

/// Everything that ended above [`Self::floor`].
#[derive(Debug, Default)]
pub struct HistoryTail {
    floor: u64,
    orders: Ring<AccountId, Order>,
    lists: Ring<AccountId, OrderList>,
    trades: Ring<MarketId, TradeRecord>,
    amendments: Ring<AccountId, AmendmentRecord>,
    prevented: Ring<AccountId, PreventedRecord>,
}

impl HistoryTail {
    /// A tail that starts after event `floor`.
    pub fn from(floor: u64) -> Self {
        Self { floor, ..Self::default() }
    }

    /// Events up to this sequence are not in the tail: tables that do not reach it leave a gap.
    pub const fn floor(&self) -> u64 {
        self.floor
    }

    pub(super) fn push_order(&mut self, sequence: u64, order: &Order) {
        self.orders.push(sequence, order.account, *order);
        if self.orders.len() > TAIL_MAX {
            self.orders.pop(&mut self.floor);
        }
    }

    pub(super) fn push_list(&mut self, sequence: u64, list: &OrderList) {
        self.lists.push(sequence, list.account, list.clone());
        if self.lists.len() > TAIL_MAX {
            self.lists.pop(&mut self.floor);
        }
    }

    pub(super) fn push_trade(&mut self, sequence: u64, trade: &TradeRecord) {
        self.trades.push(sequence, trade.market, trade.clone());
        if self.trades.len() > TAIL_MAX {
            self.trades.pop(&mut self.floor);
        }
    }

    pub(super) fn push_amendment(&mut self, amendment: &AmendmentRecord) {
        self.amendments.push(amendment.execution, amendment.account, amendment.clone());
        if self.amendments.len() > TAIL_MAX {
            self.amendments.pop(&mut self.floor);
        }
    }

    pub(super) fn push_prevented(&mut self, prevented: &PreventedRecord) {
        self.prevented.push(prevented.sequence, prevented.account, prevented.clone());
        if self.prevented.len() > TAIL_MAX {
            self.prevented.pop(&mut self.floor);
        }
    }

    /// Drops events up to `through`, which the tables contain.
    pub fn prune(&mut self, through: u64) {
        self.orders.prune(through);
        self.lists.prune(through);
        self.trades.prune(through);
        self.amendments.prune(through);
        self.prevented.prune(through);
        self.floor = self.floor.max(through);
    }

    /// The account's orders that ended after event `after`, in that order.
    pub fn orders(&self, account: AccountId, market: MarketId, after: u64) -> impl Iterator<Item = &Order> {
        self.orders.of(account, after).filter(move |order| order.market == market)
    }

    /// A closed order, if it ended above the floor.
    pub fn order(&self, account: AccountId, market: MarketId, id: OrderId) -> Option<&Order> {
        self.orders(account, market, 0).find(|order| order.id == id)
    }

    /// The last order with that client id, if it ended above the floor.
    pub fn order_by_client_id(&self, account: AccountId, market: MarketId, client_id: &ClientId) -> Option<&Order> {
        self.orders(account, market, 0).filter(|order| order.client_id == *client_id).max_by_key(|order| order.id)
    }

    /// The account's lists that ended after event `after`, in that order.
    pub fn lists(&self, account: AccountId, after: u64) -> impl Iterator<Item = &OrderList> {
        self.lists.of(account, after)
    }

    /// The amendments of an account's order after event `after`, oldest first.
    pub fn amendments(&self, account: AccountId, order: OrderId, after: u64) -> impl Iterator<Item = &AmendmentRecord> {
        self.amendments.of(account, after).filter(move |amendment| amendment.order == order)
    }

    /// The account's prevented matches after event `after`, oldest first.
    pub fn prevented(&self, account: AccountId, after: u64) -> impl Iterator<Item = &PreventedRecord> {
        self.prevented.of(account, after)
    }

    /// The market's trades after event `after`, oldest first.
    pub fn trades(&self, market: MarketId, after: u64) -> impl DoubleEndedIterator<Item = &TradeRecord> {
        self.trades.of(market, after)
    }
}

/// Items by key, each with its sequence, rising.
#[derive(Debug)]
struct Ring<K, T> {
    by_key: FxHashMap<K, VecDeque<(u64, T)>>,
    arrival: VecDeque<(u64, K)>,
}

impl<K, T> Default for Ring<K, T> {
    fn default() -> Self {
        Self { by_key: FxHashMap::default(), arrival: VecDeque::new() }
    }
}

impl<K: Copy + Eq + Hash, T> Ring<K, T> {
    fn len(&self) -> usize {
        self.arrival.len()
    }

    fn push(&mut self, sequence: u64, key: K, thing: T) {
        self.by_key.entry(key).or_default().push_back((sequence, thing));
        self.arrival.push_back((sequence, key));
    }

    /// Drops the oldest item and returns it.
    fn pop(&mut self, floor: &mut u64) {
        let Some((sequence, key)) = self.arrival.pop_front() else { return };
        if let Some(things) = self.by_key.get_mut(&key) {
            things.pop_front();
            if things.is_empty() {
                self.by_key.remove(&key);
            }
        }
        *floor = (*floor).max(sequence);
    }

    fn prune(&mut self, through: u64) {
        while self.arrival.front().is_some_and(|(sequence, _)| *sequence <= through) {
            self.pop(&mut 0);
        }
    }

    fn of(&self, key: K, after: u64) -> impl DoubleEndedIterator<Item = &T> {
        let things = self.by_key.get(&key);
        let first = things.map_or(0, |things| things.partition_point(|(sequence, _)| *sequence <= after));
        things.into_iter().flat_map(move |things| things.range(first..)).map(|(_, thing)| thing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trade(market: MarketId, trade: u64) -> TradeRecord {
        TradeRecord {
            market,
            trade,
            aggregate: trade,
            price: 1,
            quantity: 1,
            quote: 1,
            time: 1,
            buyer_is_maker: false,
            buyer_order: 1,
            seller_order: 2,
            buyer: 3,
            seller: 4,
            buyer_commission: 0,
            seller_commission: 0,
        }
    }

    fn ids(tail: &HistoryTail, market: MarketId, after: u64) -> Vec<u64> {
        tail.trades(market, after).map(|trade| trade.trade).collect()
    }

    #[test]
    fn it_answers_above_a_sequence_and_forgets_what_was_projected() {
        let mut tail = HistoryTail::from(10);
        for sequence in 11..20 {
            tail.push_trade(sequence, &trade((sequence % 2) as MarketId, sequence));
        }
        assert_eq!(ids(&tail, 1, 0), [11, 13, 15, 17, 19]);
        assert_eq!(ids(&tail, 1, 15), [17, 19]);
        assert_eq!(ids(&tail, 0, 15), [16, 18]);
        assert_eq!(ids(&tail, 7, 0), [0; 0]);
        tail.prune(17);
        assert_eq!((tail.floor(), ids(&tail, 1, 0), ids(&tail, 0, 0)), (17, vec![19], vec![18]));
        tail.prune(5);
        assert_eq!(tail.floor(), 17);
    }

    #[test]
    fn when_it_is_full_the_oldest_go_and_the_floor_says_so() {
        let mut tail = HistoryTail::from(0);
        for sequence in 1..=TAIL_MAX as u64 + 3 {
            tail.push_trade(sequence, &trade(0, sequence));
        }
        assert_eq!(tail.floor(), 3);
        assert_eq!(ids(&tail, 0, 0).len(), TAIL_MAX);
    }
}
