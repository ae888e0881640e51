//! This module is the whole state of the exchange between two events, with the reads over it. It must not decide or change
//! anything (see `evolve`).

use crate::book::{Book, Depth};
use crate::command::AccountRights;
use crate::event::FIRST_FEATURE_LEVEL;
use crate::ledger::{Balance, Balances, CUSTODY, FEES};
use crate::limits::ExchangeLimits;
use crate::market::{Asset, Commission, Market};
use crate::money::{Amount, Price, Time};
use crate::order::{AccountId, AssetId, ClientId, Contingency, MarketId, Order, OrderId, OrderListId, Side};
use crate::order_count::OrderCount;
use crate::orders::{ChainLink, NONE, OrderChain, Orders, Slot};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::collections::{BTreeMap, BTreeSet};

/// An account, apart from its money and orders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub id: AccountId,
    /// The operator's name for the account, without personal data.
    pub reference: Box<str>,
    pub rights: AccountRights,
    /// The account's own rates on every market, or the market's.
    pub commission: Option<Commission>,
    pub created: Time,
    pub updated: Time,
}

/// Orders that depend on each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderList {
    pub id: OrderListId,
    pub account: AccountId,
    pub market: MarketId,
    pub client_id: ClientId,
    pub contingency: Contingency,
    pub orders: SmallVec<[OrderId; 2]>,
    /// None of its orders is open any longer.
    pub done: bool,
    pub created: Time,
    pub updated: Time,
}

/// One account's open orders on one market.
#[derive(Debug, Clone)]
pub(crate) struct AccountOrders {
    pub market: MarketId,
    pub chain: OrderChain,
    pub open: u32,
    pub algo: u32,
    pub icebergs: u32,
    pub lists: u32,
    /// Sum of the remainders of the open buy orders, for MAX_POSITION. Derived from the orders.
    pub buying: Amount,
}

/// Numbers of one account's open orders.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct OpenOrders {
    pub all: u32,
    pub algo: u32,
    pub icebergs: u32,
}

/// Number of an account's markets up to which a linear scan is used.
const NEAR: usize = 16;

/// What an open order may still buy of its base asset.
#[inline]
fn buying(order: &Order) -> Amount {
    match order.side {
        Side::Buy => order.remaining().into(),
        Side::Sell => 0,
    }
}

#[derive(Debug, Clone)]
pub(crate) struct AccountEntry {
    pub account: Account,
    pub balances: Balances,
    /// By market.
    pub orders: Vec<AccountOrders>,
    /// Open order lists, by id.
    pub lists: BTreeSet<OrderListId>,
    /// From feature level 3 on.
    pub count: OrderCount,
    /// On all markets.
    pub open_everywhere: OpenOrders,
}

impl AccountEntry {
    /// The position of the market's orders, or its insertion point. A linear scan for few, a binary search for many: at most
    /// logarithmic cost.
    #[inline]
    fn place_of(&self, market: MarketId) -> Result<usize, usize> {
        if self.orders.len() > NEAR {
            return self.orders.binary_search_by_key(&market, |o| o.market);
        }
        let at = self.orders.iter().position(|o| o.market >= market).unwrap_or(self.orders.len());
        if self.orders.get(at).is_some_and(|o| o.market == market) { Ok(at) } else { Err(at) }
    }

    #[inline]
    pub fn orders_on(&self, market: MarketId) -> Option<&AccountOrders> {
        self.place_of(market).ok().map(|index| &self.orders[index])
    }

    /// Counts an order that opened, and appends it to the account's chain.
    pub fn add_open(&mut self, orders: &mut Orders, slot: Slot) {
        let Order { market, kind, iceberg, .. } = *orders.get(slot);
        let (algo, iceberg) = (u32::from(kind.is_algo()), u32::from(iceberg > 0));
        self.open_everywhere.all += 1;
        self.open_everywhere.algo += algo;
        self.open_everywhere.icebergs += iceberg;
        let on_market = self.orders_on_mut(market);
        on_market.open += 1;
        on_market.algo += algo;
        on_market.icebergs += iceberg;
        on_market.buying += buying(orders.get(slot));
        orders.push_back(&mut on_market.chain, slot, ChainLink::Account);
    }

    /// Counts an order that ended, and removes it from the account's chain.
    pub fn remove_open(&mut self, orders: &mut Orders, slot: Slot) {
        let Order { market, kind, iceberg, .. } = *orders.get(slot);
        let (algo, iceberg) = (u32::from(kind.is_algo()), u32::from(iceberg > 0));
        self.open_everywhere.all -= 1;
        self.open_everywhere.algo -= algo;
        self.open_everywhere.icebergs -= iceberg;
        let on_market = self.orders_on_mut(market);
        on_market.open -= 1;
        on_market.algo -= algo;
        on_market.icebergs -= iceberg;
        on_market.buying -= buying(orders.get(slot));
        orders.unlink(&mut on_market.chain, slot, ChainLink::Account);
    }

    #[inline]
    pub fn orders_on_mut(&mut self, market: MarketId) -> &mut AccountOrders {
        let index = self.place_of(market).unwrap_or_else(|index| {
            // Once per market of the account.
            let none = AccountOrders { market, chain: OrderChain::EMPTY, open: 0, algo: 0, icebergs: 0, lists: 0, buying: 0 };
            self.orders.insert(index, none);
            index
        });
        &mut self.orders[index]
    }
}

#[derive(Debug, Clone)]
pub(crate) struct MarketEntry {
    pub market: Market,
    pub book: Book,
    /// The circuit breaker tripped, and neither time nor an operator has set another status since.
    pub tripped: bool,
    /// Time at which the market resumes without an operator. 0: an operator resumes it.
    pub paused_until: Time,
    /// An operator's cancel-all is running: it cancels orders up to this one. 0: none is running.
    pub clearing: OrderId,
}

impl MarketEntry {
    pub fn new(market: Market) -> Self {
        Self { market, book: Book::default(), tripped: false, paused_until: 0, clearing: 0 }
    }
}

/// Key of an order list by its client id.
pub(crate) type ListKey = (AccountId, MarketId, ClientId);

/// An executed credit: repeating its reference must mean the same credit.
pub(crate) type CreditKey = (AccountId, AssetId, Amount);

#[derive(Debug, Clone)]
pub struct State {
    pub(crate) sequence: u64,
    pub(crate) now: Time,
    pub(crate) feature_level: u32,
    pub(crate) assets: Vec<Asset>,
    pub(crate) markets: Vec<MarketEntry>,
    pub(crate) accounts: Vec<AccountEntry>,
    pub(crate) orders: Orders,
    pub(crate) lists: BTreeMap<OrderListId, OrderList>,
    /// Every order of an open list, in order of placement, including ended orders.
    pub(crate) list_legs: FxHashMap<OrderListId, SmallVec<[(OrderId, ClientId); 2]>>,
    pub(crate) list_by_client_id: FxHashMap<ListKey, OrderListId>,
    /// How often each open order was amended; only amended ones. From feature level 4 on.
    pub(crate) amendments: BTreeMap<OrderId, u32>,
    pub(crate) last_order: OrderId,
    pub(crate) last_list: OrderListId,
    pub(crate) asset_by_code: FxHashMap<Box<str>, AssetId>,
    pub(crate) market_by_symbol: FxHashMap<Box<str>, MarketId>,
    pub(crate) account_by_reference: FxHashMap<Box<str>, AccountId>,
    /// Filters of one account over all markets.
    pub(crate) limits: ExchangeLimits,
    /// Ordered, because snapshots are.
    pub(crate) credits: BTreeMap<Box<str>, CreditKey>,
    /// Accounts with an operator's cancel-all in progress, each with the last order that existed when it started.
    pub(crate) clearing_accounts: BTreeMap<AccountId, OrderId>,
    /// Markets with reached stops in their queue, or with a cancel-all. Derived from the markets.
    pub(crate) busy_markets: BTreeSet<MarketId>,
    /// When paused markets resume. Derived from the markets.
    pub(crate) pauses: BTreeSet<(Time, MarketId)>,
    /// The market whose queued work ran last, for the round-robin. Not part of the replicated state.
    pub(crate) last_busy: MarketId,
}

impl Default for State {
    fn default() -> Self {
        Self::new()
    }
}

impl State {
    /// The state before the first event: no assets, no markets, the two house accounts.
    pub fn new() -> Self {
        let mut state = Self {
            sequence: 0,
            now: 0,
            feature_level: FIRST_FEATURE_LEVEL,
            assets: Vec::new(),
            markets: Vec::new(),
            accounts: Vec::new(),
            orders: Orders::default(),
            lists: BTreeMap::new(),
            list_legs: FxHashMap::default(),
            list_by_client_id: FxHashMap::default(),
            amendments: BTreeMap::new(),
            last_order: 0,
            last_list: 0,
            asset_by_code: FxHashMap::default(),
            market_by_symbol: FxHashMap::default(),
            account_by_reference: FxHashMap::default(),
            limits: ExchangeLimits::default(),
            credits: BTreeMap::new(),
            clearing_accounts: BTreeMap::new(),
            busy_markets: BTreeSet::new(),
            pauses: BTreeSet::new(),
            last_busy: 0,
        };
        for (id, reference) in [(CUSTODY, "custody"), (FEES, "fees")] {
            state.add_account(id, reference.into(), AccountRights { trade: false, withdraw: false, deposit: false });
        }
        state
    }

    pub(crate) fn add_account(&mut self, id: AccountId, reference: Box<str>, rights: AccountRights) {
        let account =
            Account { id, reference: reference.clone(), rights, commission: None, created: self.now, updated: self.now };
        let lists = BTreeSet::new();
        self.accounts.push(AccountEntry {
            account,
            balances: Balances::default(),
            orders: Vec::new(),
            lists,
            count: OrderCount::default(),
            open_everywhere: OpenOrders::default(),
        });
        self.account_by_reference.insert(reference, id);
    }

    pub(crate) fn add_asset(&mut self, asset: Asset) {
        self.asset_by_code.insert(asset.code.clone(), asset.id);
        self.assets.push(asset);
    }

    pub(crate) fn add_list(&mut self, list: OrderList) {
        self.list_by_client_id.insert((list.account, list.market, list.client_id), list.id);
        if let Some(entry) = self.accounts.get_mut(list.account as usize) {
            entry.lists.insert(list.id);
            entry.orders_on_mut(list.market).lists += 1;
        }
        self.lists.insert(list.id, list);
    }

    pub(crate) fn remove_list(&mut self, id: OrderListId) -> Option<OrderList> {
        let list = self.lists.remove(&id)?;
        self.list_legs.remove(&id);
        self.list_by_client_id.remove(&(list.account, list.market, list.client_id));
        if let Some(entry) = self.accounts.get_mut(list.account as usize) {
            entry.lists.remove(&id);
            entry.orders_on_mut(list.market).lists -= 1;
        }
        Some(list)
    }

    /// Events applied so far; the first event has sequence 1.
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Journal time.
    pub const fn now(&self) -> Time {
        self.now
    }

    /// Permitted feature level of new events: see [`crate::event::FEATURE_LEVEL`].
    pub const fn feature_level(&self) -> u32 {
        self.feature_level
    }

    /// Filters of one account over all markets.
    pub const fn limits(&self) -> ExchangeLimits {
        self.limits
    }

    pub fn markets(&self) -> impl ExactSizeIterator<Item = &Market> {
        self.markets.iter().map(|entry| &entry.market)
    }

    pub fn market(&self, id: MarketId) -> Option<&Market> {
        self.markets.get(usize::from(id)).map(|entry| &entry.market)
    }

    pub fn market_by_symbol(&self, symbol: &str) -> Option<&Market> {
        self.market(*self.market_by_symbol.get(symbol)?)
    }

    pub fn assets(&self) -> &[Asset] {
        &self.assets
    }

    pub fn asset(&self, id: AssetId) -> Option<&Asset> {
        self.assets.get(usize::from(id))
    }

    pub fn asset_by_code(&self, code: &str) -> Option<&Asset> {
        self.asset(*self.asset_by_code.get(code)?)
    }

    pub fn account(&self, id: AccountId) -> Option<&Account> {
        self.accounts.get(id as usize).map(|entry| &entry.account)
    }

    /// Customers and the two house accounts, in order of id.
    pub fn accounts(&self) -> impl ExactSizeIterator<Item = &Account> {
        self.accounts.iter().map(|entry| &entry.account)
    }

    pub fn account_by_reference(&self, reference: &str) -> Option<&Account> {
        self.account(*self.account_by_reference.get(reference)?)
    }

    /// Every asset that the account ever held, in order of asset.
    pub fn balances(&self, account: AccountId) -> impl Iterator<Item = (AssetId, Balance)> + '_ {
        self.accounts.get(account as usize).into_iter().flat_map(|entry| entry.balances.iter())
    }

    pub fn balance(&self, account: AccountId, asset: AssetId) -> Balance {
        self.accounts.get(account as usize).map_or(Balance::default(), |entry| entry.balances.get(asset))
    }

    /// An open order.
    pub fn order(&self, id: OrderId) -> Option<&Order> {
        self.orders.slot(id).map(|slot| self.orders.get(slot))
    }

    /// An open order.
    pub fn order_by_client_id(&self, account: AccountId, market: MarketId, client_id: &ClientId) -> Option<&Order> {
        self.orders.slot_by_client_id(account, market, client_id).map(|slot| self.orders.get(slot))
    }

    /// The account's open orders on one market or on all, by rising id. Costs the account's open orders there, at most
    /// MAX_NUM_ORDERS on each of its markets.
    pub fn open_orders(&self, account: AccountId, market: Option<MarketId>) -> Vec<&Order> {
        let mut found = Vec::new();
        let entries = self.accounts.get(account as usize).map_or(&[][..], |entry| &entry.orders);
        for on_market in entries.iter().filter(|o| market.is_none_or(|m| m == o.market)) {
            let mut slot = on_market.chain.first;
            while slot != NONE {
                found.push(self.orders.get(slot));
                slot = self.orders.next(slot, ChainLink::Account);
            }
        }
        found.sort_unstable_by_key(|order| order.id);
        found
    }

    /// Sum of the remainders of the account's open buy orders on the market, without a walk over them.
    pub fn buying(&self, account: AccountId, market: MarketId) -> Amount {
        let entry = self.accounts.get(account as usize);
        entry.and_then(|entry| entry.orders_on(market)).map_or(0, |orders| orders.buying)
    }

    /// Open orders of all accounts.
    pub fn open_order_count(&self) -> usize {
        self.orders.len()
    }

    /// How often an open order was amended.
    pub fn amendments(&self, id: OrderId) -> u32 {
        self.amendments.get(&id).copied().unwrap_or(0)
    }

    /// An open order list.
    pub fn list(&self, id: OrderListId) -> Option<&OrderList> {
        self.lists.get(&id)
    }

    /// The account's unfilled orders at `now` (µs), or at journal time if that is later. Zero below feature level 3.
    pub fn order_count(&self, account: AccountId, now: Time) -> OrderCount {
        let count = self.accounts.get(account as usize).map(|entry| entry.count).unwrap_or_default();
        count.at(now.max(self.now))
    }

    /// An open order list.
    pub fn list_by_client_id(&self, account: AccountId, market: MarketId, client_id: &ClientId) -> Option<&OrderList> {
        self.lists.get(self.list_by_client_id.get(&(account, market, *client_id))?)
    }

    /// Every order of an open list with its client id, including ended orders. After a restart from a snapshot of feature level 1
    /// the ended ones are missing.
    pub fn list_legs(&self, id: OrderListId) -> &[(OrderId, ClientId)] {
        self.list_legs.get(&id).map_or(&[], |legs| legs)
    }

    /// The account's open order lists, by rising id. Costs only the account's own lists.
    pub fn open_lists(&self, account: AccountId) -> Vec<&OrderList> {
        let own = self.accounts.get(account as usize).into_iter().flat_map(|entry| &entry.lists);
        own.filter_map(|id| self.lists.get(id)).collect()
    }

    /// At most `limit` levels per side.
    pub fn depth(&self, market: MarketId, limit: usize) -> Depth {
        self.markets.get(usize::from(market)).map_or_else(Depth::default, |entry| entry.book.depth(limit))
    }

    /// Best price of a side and the quantity there.
    pub fn best(&self, market: MarketId, side: Side) -> Option<(Price, Amount)> {
        self.markets.get(usize::from(market))?.book.best(side).map(|(price, level)| (price, level.quantity))
    }

    /// Quantity of a book's level; 0 without an order at that price.
    pub fn level(&self, market: MarketId, side: Side, price: Price) -> Amount {
        self.markets.get(usize::from(market)).map_or(0, |entry| entry.book.quantity_at(side, price))
    }

    pub fn last_price(&self, market: MarketId) -> Option<Price> {
        self.markets.get(usize::from(market)).map(|entry| entry.book.last_price).filter(|price| *price > 0)
    }

    /// Volume-weighted, over the market's `average_minutes`.
    pub fn average_price(&self, market: MarketId) -> Option<Price> {
        let entry = self.markets.get(usize::from(market))?;
        entry.book.average_price(entry.market.filters.average_minutes, self.now)
    }

    /// The reference of the PRICE_RANGE rule: the average price, or before the first trade the operator's price if set.
    pub fn reference_price(&self, market: MarketId, time: Time) -> Option<Price> {
        let entry = self.markets.get(usize::from(market))?;
        let set = entry.market.protection.reference_price;
        let average = entry.book.average_price(entry.market.filters.average_minutes, time);
        average.or((set > 0).then_some(set))
    }

    /// When a market paused by its circuit breaker resumes; `None`: it is not paused, or waits for an operator.
    pub fn paused_until(&self, market: MarketId) -> Option<Time> {
        self.markets.get(usize::from(market)).map(|entry| entry.paused_until).filter(|until| *until > 0)
    }

    /// Whether the market's circuit breaker pauses it, for a time or until an operator resumes it.
    pub fn is_paused(&self, market: MarketId) -> bool {
        self.markets.get(usize::from(market)).is_some_and(|entry| entry.tripped)
    }

    /// Triggered and pending orders that wait for their turn on a market.
    pub fn queued_orders(&self, market: MarketId) -> usize {
        self.markets.get(usize::from(market)).map_or(0, |entry| entry.book.queued)
    }

    /// The account's commission rates on the market.
    pub fn commission(&self, account: AccountId, market: MarketId) -> Commission {
        let own = self.accounts.get(account as usize).and_then(|entry| entry.account.commission);
        own.or_else(|| self.market(market).map(|market| market.commission)).unwrap_or_default()
    }

    /// Sequence of the last event that touched the market's book (`lastUpdateId`).
    pub fn market_sequence(&self, market: MarketId) -> u64 {
        self.markets.get(usize::from(market)).map_or(0, |entry| entry.book.sequence)
    }

    /// Sum over all accounts, free and locked, of each asset. A sum other than zero means that money was created or lost.
    pub fn trial_balance(&self) -> Vec<(AssetId, Amount)> {
        let mut sums = vec![0; self.assets.len()];
        for (asset, balance) in self.accounts.iter().flat_map(|entry| entry.balances.iter()) {
            sums[usize::from(asset)] += balance.free + balance.locked;
        }
        self.assets.iter().map(|asset| asset.id).zip(sums).collect()
    }
}
