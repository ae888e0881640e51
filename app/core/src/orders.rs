//! This module stores open orders: pages of slots that never move, with one index by id and one by client id. It must not contain
//! books or balances.
//!
//! Links between orders (queue of a price level, orders of an account on a market) are slot numbers inside the nodes. An order
//! therefore needs no separate allocation, and a cancel needs no search.

use crate::order::{
    AccountId, ClientId, ExpiryReason, MarketId, Order, OrderId, OrderStatus, OrderType, Side, StpMode, TimeInForce,
};
use crate::visits::visit;
use hashbrown::HashTable;
use rustc_hash::FxHasher;
use std::hash::Hasher;

/// A slot in the store. [`NONE`] ends a chain.
pub(crate) type Slot = u32;
pub(crate) const NONE: Slot = Slot::MAX;

/// Orders of one page: growth copies nothing and wastes at most one page.
const PAGE: usize = 1024;

/// A doubly linked chain through the store, by its first and last slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OrderChain {
    pub first: Slot,
    pub last: Slot,
}

impl OrderChain {
    pub const EMPTY: Self = Self { first: NONE, last: NONE };
}

/// One of an order's two chains.
#[derive(Clone, Copy)]
pub(crate) enum ChainLink {
    /// The queue of its price level, or its market's queue of triggered orders: an order is in at most one of them.
    Level,
    /// The account's orders on the market.
    Account,
}

#[derive(Debug, Clone, Copy)]
struct Node {
    order: Order,
    /// `[Level, Account]`
    previous: [Slot; 2],
    next: [Slot; 2],
    /// In a price level's queue.
    resting: bool,
    /// In its market's queue of triggered orders, which uses the link of a price level's queue.
    queued: bool,
}

impl Node {
    /// Initial content of a new page.
    const VACANT: Self = Self {
        order: Order {
            id: 0,
            account: 0,
            market: 0,
            side: Side::Buy,
            kind: OrderType::Limit,
            time_in_force: TimeInForce::Gtc,
            stp: StpMode::None,
            status: OrderStatus::New,
            expiry_reason: ExpiryReason::None,
            working: false,
            price: 0,
            stop_price: 0,
            quantity: 0,
            executed: 0,
            prevented: 0,
            prevented_match: 0,
            quote_order_quantity: 0,
            iceberg: 0,
            shown: 0,
            trailing_delta: 0,
            tracking_since: 0,
            executed_quote: 0,
            hold: 0,
            list: 0,
            client_id: ClientId::NONE,
            created: 0,
            updated: 0,
            working_since: 0,
        },
        previous: [NONE; 2],
        next: [NONE; 2],
        resting: false,
        queued: false,
    };
}

#[derive(Debug, Clone)]
pub(crate) struct Orders {
    /// Of fixed length, so that an index within a page needs no check.
    pages: Vec<Box<[Node; PAGE]>>,
    /// Slots that were never used: from here to the end of the last page.
    fresh: Slot,
    free: Vec<Slot>,
    by_id: HashTable<Slot>,
    by_client_id: HashTable<Slot>,
    /// Cache of the current order, which later steps look up repeatedly. Open, or `NONE`.
    recent: Slot,
}

impl Default for Orders {
    fn default() -> Self {
        Self {
            pages: Vec::new(),
            fresh: 0,
            free: Vec::new(),
            by_id: HashTable::new(),
            by_client_id: HashTable::new(),
            recent: NONE,
        }
    }
}

#[inline]
fn hash_id(id: OrderId) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write_u64(id);
    hasher.finish()
}

#[inline]
fn hash_client_id(account: AccountId, market: MarketId, client_id: &ClientId) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write_u64(u64::from(account) << 16 | u64::from(market));
    hasher.write(client_id.as_bytes());
    hasher.finish()
}

#[inline]
fn node(pages: &[Box<[Node; PAGE]>], slot: Slot) -> &Node {
    visit();
    &pages[slot as usize / PAGE][slot as usize % PAGE]
}

impl Orders {
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    #[inline]
    pub fn get(&self, slot: Slot) -> &Order {
        &node(&self.pages, slot).order
    }

    #[inline]
    pub fn get_mut(&mut self, slot: Slot) -> &mut Order {
        &mut self.node_mut(slot).order
    }

    #[inline]
    pub fn next(&self, slot: Slot, link: ChainLink) -> Slot {
        node(&self.pages, slot).next[link as usize]
    }

    #[inline]
    pub fn slot(&self, id: OrderId) -> Option<Slot> {
        if self.recent != NONE && self.get(self.recent).id == id {
            return Some(self.recent);
        }
        self.by_id.find(hash_id(id), |slot| self.get(*slot).id == id).copied()
    }

    pub fn slot_by_client_id(&self, account: AccountId, market: MarketId, client_id: &ClientId) -> Option<Slot> {
        let hash = hash_client_id(account, market, client_id);
        let same = |slot: &Slot| {
            let order = self.get(*slot);
            order.account == account && order.market == market && order.client_id == *client_id
        };
        self.by_client_id.find(hash, same).copied()
    }

    pub fn insert(&mut self, order: Order) -> Slot {
        let (id, client_hash) = (order.id, hash_client_id(order.account, order.market, &order.client_id));
        let fresh = Node { order, previous: [NONE; 2], next: [NONE; 2], resting: false, queued: false };
        let slot = self.free.pop().unwrap_or_else(|| self.fresh_slot());
        *self.node_mut(slot) = fresh;
        self.recent = slot;
        let pages = &self.pages;
        self.by_id.insert_unique(hash_id(id), slot, |s| hash_id(node(pages, *s).order.id));
        self.by_client_id.insert_unique(client_hash, slot, |s| {
            let order = &node(pages, *s).order;
            hash_client_id(order.account, order.market, &order.client_id)
        });
        slot
    }

    fn fresh_slot(&mut self) -> Slot {
        let slot = self.fresh;
        if slot as usize == self.pages.len() * PAGE {
            let page = vec![Node::VACANT; PAGE].into_boxed_slice();
            #[expect(clippy::expect_used, reason = "made one line above")]
            self.pages.push(page.try_into().expect("a page has PAGE nodes"));
        }
        self.fresh += 1;
        slot
    }

    /// Slot of the last insertion.
    pub fn recent(&self) -> Slot {
        self.recent
    }

    /// Caches this open order for the next look-ups.
    #[inline]
    pub fn expect(&mut self, slot: Slot) {
        self.recent = slot;
    }

    /// Gives an open order another client id.
    pub fn rename(&mut self, slot: Slot, client_id: ClientId) {
        let hash = |order: &Order| hash_client_id(order.account, order.market, &order.client_id);
        if let Ok(entry) = self.by_client_id.find_entry(hash(self.get(slot)), |s| *s == slot) {
            entry.remove();
        }
        self.get_mut(slot).client_id = client_id;
        let (pages, hashed) = (&self.pages, hash(self.get(slot)));
        self.by_client_id.insert_unique(hashed, slot, |s| hash(&node(pages, *s).order));
    }

    /// Frees the slot of an order that is in no chain. Its content remains readable until the next insertion.
    pub fn remove(&mut self, slot: Slot) {
        let order = self.get(slot);
        let (id_hash, client_hash) = (hash_id(order.id), hash_client_id(order.account, order.market, &order.client_id));
        if let Ok(entry) = self.by_id.find_entry(id_hash, |s| *s == slot) {
            entry.remove();
        }
        if let Ok(entry) = self.by_client_id.find_entry(client_hash, |s| *s == slot) {
            entry.remove();
        }
        if self.recent == slot {
            self.recent = NONE;
        }
        self.free.push(slot);
    }

    #[inline]
    pub fn push_back(&mut self, chain: &mut OrderChain, slot: Slot, link: ChainLink) {
        let last = chain.last;
        if last == NONE {
            chain.first = slot;
        } else {
            self.node_mut(last).next[link as usize] = slot;
        }
        let node = self.node_mut(slot);
        node.previous[link as usize] = last;
        node.next[link as usize] = NONE;
        chain.last = slot;
    }

    #[inline]
    pub fn unlink(&mut self, chain: &mut OrderChain, slot: Slot, link: ChainLink) {
        let (previous, next) = {
            let node = node(&self.pages, slot);
            (node.previous[link as usize], node.next[link as usize])
        };
        match previous {
            NONE => chain.first = next,
            p => self.node_mut(p).next[link as usize] = next,
        }
        match next {
            NONE => chain.last = previous,
            n => self.node_mut(n).previous[link as usize] = previous,
        }
    }

    /// On the book. A mark is needed because a taker is not in a level's queue.
    #[inline]
    pub fn is_resting(&self, slot: Slot) -> bool {
        node(&self.pages, slot).resting
    }

    #[inline]
    pub fn set_resting(&mut self, slot: Slot, resting: bool) {
        self.node_mut(slot).resting = resting;
    }

    /// Its stop price was reached, and it waits for its turn.
    #[inline]
    pub fn is_queued(&self, slot: Slot) -> bool {
        node(&self.pages, slot).queued
    }

    #[inline]
    pub fn set_queued(&mut self, slot: Slot, queued: bool) {
        self.node_mut(slot).queued = queued;
    }

    #[inline]
    fn node_mut(&mut self, slot: Slot) -> &mut Node {
        visit();
        &mut self.pages[slot as usize / PAGE][slot as usize % PAGE]
    }
}
