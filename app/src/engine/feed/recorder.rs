//! This module turns the effects of one event into the changes of [`super`]. It must not change the state.

use exchange_core::{
    AmendmentRecord, OrderList, State, TradeRecord, Transfer,
    event::Event,
    money::Time,
    order::{AccountId, AssetId, ClientId, MarketId, Order, OrderId, OrderListId, OrderStatus, Side, TimeInForce},
};
use parking_lot::MutexGuard;
use smallvec::SmallVec;
use tokio::sync::Notify;

use super::{
    AccountChange, AccountEvent, Execution, Inner, LastTrade, Legs, OrderReport, PENDING_MAX, Prevention, Touched, public,
};

/// The event in progress, as far as its order changes depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Placed { rests: bool },
    Triggered { rests: bool },
    Trade,
    Prevented { maker: OrderId },
    Closed,
    Amended,
    Other,
}

/// Records one batch while it is folded.
pub struct Recorder<'a> {
    inner: MutexGuard<'a, Inner>,
    wake: &'a Notify,
    recorded: bool,
    kind: Kind,
    /// Of this event.
    trade: Option<TradeRecord>,
    orders: SmallVec<[Order; 2]>,
    lists: SmallVec<[OrderList; 1]>,
    touched: Touched,
    /// The legs of the lists whose order this event may close.
    legs: SmallVec<[(OrderListId, Legs); 2]>,
    /// Pending reports that an `OrderClosed` right after them completes: a market order's last fill has its final status only
    /// after it. By their position.
    incomplete: SmallVec<[(OrderId, usize); 2]>,
    /// A list whose orders are being placed.
    placing: Option<(u64, Time, OrderList)>,
    prevented: Option<exchange_core::event::MatchPrevented>,
    /// Client id before the amendment of this event.
    original_client_id: Option<ClientId>,
    sequence: u64,
    now: Time,
}

impl<'a> Recorder<'a> {
    pub(super) fn new(inner: MutexGuard<'a, Inner>, wake: &'a Notify, state: &State) -> Self {
        let (sequence, now) = (state.sequence(), state.now());
        Self {
            inner,
            wake,
            recorded: false,
            kind: Kind::Other,
            trade: None,
            orders: SmallVec::new(),
            lists: SmallVec::new(),
            touched: Touched::default(),
            legs: SmallVec::new(),
            incomplete: SmallVec::new(),
            placing: None,
            prevented: None,
            original_client_id: None,
            sequence,
            now,
        }
    }

    /// Before the event is applied.
    pub fn before(&mut self, state: &State, event: &Event) {
        (self.prevented, self.original_client_id) = (None, None);
        self.kind = match event {
            Event::OrderPlaced(placed) => Kind::Placed { rests: placed.rests },
            Event::ExtendedOrderPlaced(order) => Kind::Placed { rests: order.placed.rests },
            Event::OrderTriggered { rests, .. } | Event::PendingActivated { rests, .. } => Kind::Triggered { rests: *rests },
            Event::Trade(trade) => {
                self.note_legs(state, trade.taker);
                self.note_legs(state, trade.maker);
                Kind::Trade
            }
            Event::MatchPrevented(prevented)
            | Event::MatchDecremented(exchange_core::event::MatchDecremented { prevented, .. }) => {
                self.prevented = Some(prevented.clone());
                Kind::Prevented { maker: prevented.maker }
            }
            Event::OrderAmended { .. } => Kind::Amended,
            Event::OrderClosed { order, .. } => {
                self.note_legs(state, *order);
                Kind::Closed
            }
            _ => Kind::Other,
        };
        if self.placing.as_ref().is_some_and(|(.., list)| !places_into(event, list.id)) {
            self.end_placing(state);
        }
        if !matches!(event, Event::OrderClosed { .. }) {
            self.incomplete.clear();
        }
    }

    fn note_legs(&mut self, state: &State, order: OrderId) {
        if self.inner.accounts.is_empty() {
            return;
        }
        if let Some(order) = state.order(order)
            && order.list != 0
            && self.watches(order.account)
        {
            self.legs.push((order.list, state.list_legs(order.list).iter().copied().collect()));
        }
    }

    pub fn transfer(&mut self, transfer: &Transfer) {
        for (account, _) in [transfer.debit, transfer.credit] {
            if self.watches(account) {
                let assets = self.touched.entry(account).or_default();
                if !assets.contains(&transfer.asset) {
                    assets.push(transfer.asset);
                }
            }
        }
    }

    pub fn order_changed(&mut self, order: &Order) {
        let on_book = match self.kind {
            Kind::Placed { rests } | Kind::Triggered { rests } => rests,
            // The level of a trade is that of its maker.
            Kind::Trade => false,
            Kind::Prevented { maker } => order.id == maker,
            Kind::Closed => order.kind.has_price() && order.working && order.time_in_force == TimeInForce::Gtc,
            Kind::Amended | Kind::Other => order.kind.has_price() && order.working,
        };
        if on_book {
            self.level(order.market, order.side, order.price);
        }
        if self.watches(order.account) {
            self.orders.push(*order);
        }
    }

    pub const fn amended(&mut self, amendment: &AmendmentRecord) {
        self.original_client_id = Some(amendment.original_client_id);
    }

    pub fn list_changed(&mut self, list: &OrderList) {
        if self.watches(list.account) {
            self.lists.push(list.clone());
        }
    }

    pub fn traded(&mut self, trade: &TradeRecord) {
        let maker_side = if trade.buyer_is_maker { Side::Buy } else { Side::Sell };
        self.level(trade.market, maker_side, trade.price);
        if self.inner.markets.get(usize::from(trade.market)).is_some_and(|market| market.trades) {
            self.recorded = true;
            if self.inner.pending.trades.len() >= PENDING_MAX {
                self.inner.lose();
            }
            self.inner.pending.trades.push((trade.market, public(trade)));
        }
        self.trade = Some(trade.clone());
    }

    /// After the event was applied.
    pub fn after(&mut self, state: &State, event: &Event) {
        (self.sequence, self.now) = (state.sequence(), state.now());
        if let Event::OrderRested { order } = event
            && let Some(order) = state.order(*order)
        {
            self.level(order.market, order.side, order.price);
        }
        if !self.inner.accounts.is_empty() {
            self.account_changes(state, event);
        }
        self.trade = None;
        self.legs.clear();
    }

    fn account_changes(&mut self, state: &State, event: &Event) {
        for order in std::mem::take(&mut self.orders) {
            self.report(state, event, &order);
        }
        for list in std::mem::take(&mut self.lists) {
            if list.done {
                self.end_placing(state);
                let legs = self.legs.iter().find(|(id, _)| *id == list.id).map(|(_, legs)| legs.clone()).unwrap_or_default();
                let change = AccountChange::List { list: Box::new(list.clone()), legs, renamed: false };
                self.push(list.account, change);
            } else if self.kind == Kind::Amended {
                let legs = state.list_legs(list.id).iter().copied().collect();
                self.push(list.account, AccountChange::List { list: Box::new(list), legs, renamed: true });
            } else if matches!(self.kind, Kind::Placed { .. }) {
                self.placing = Some((self.sequence, self.now, list));
            }
        }
        if let Event::Credited { account, asset, amount, .. } = event
            && self.watches(*account)
        {
            self.push(*account, AccountChange::Credited { asset: *asset, amount: *amount });
        }
        let mut touched: SmallVec<[(AccountId, SmallVec<[AssetId; 2]>); 4]> = self.touched.drain().collect();
        touched.sort_unstable();
        for (account, mut assets) in touched {
            assets.sort_unstable();
            let balances = assets.into_iter().map(|asset| (asset, state.balance(account, asset))).collect();
            self.push(account, AccountChange::Balances(balances));
        }
    }

    fn report(&mut self, state: &State, event: &Event, order: &Order) {
        let original_client_id = self.original_client_id;
        let mut report =
            OrderReport { order: *order, execution: Execution::Replaced, trade: None, prevention: None, original_client_id };
        match event {
            Event::OrderPlaced(_)
            | Event::ExtendedOrderPlaced(_)
            | Event::OrderTriggered { .. }
            | Event::PendingActivated { .. } => report.execution = Execution::New,
            // The trade reached the stop price of another order, which tracks the price from now on: not an event of its account.
            Event::Trade(trade) if ![trade.taker, trade.maker].contains(&{ order.id }) => return,
            Event::Trade(_) => {
                report.execution = Execution::Trade;
                report.trade = self.trade.as_ref().map(|trade| side_of(state, trade, order));
                // A market order by quoteOrderQty is closed by the next event, which decides its final status.
                if order.status.is_open() && order.quote_order_quantity != 0 {
                    return self.push_incomplete(report);
                }
            }
            Event::MatchPrevented(_) | Event::MatchDecremented(_) => {
                report.execution = Execution::TradePrevention;
                report.prevention = self.prevented.as_ref().map(|prevented| {
                    let is_maker = order.id == prevented.maker;
                    Prevention {
                        counter_order: if is_maker { prevented.taker } else { prevented.maker },
                        price: prevented.price,
                        quantity: if is_maker { prevented.maker_quantity } else { prevented.taker_quantity },
                    }
                });
                return self.push_incomplete(report);
            }
            Event::OrderClosed { order: id, status, .. } => return self.closed(*id, *status, report),
            _ => {}
        }
        self.push_report(report);
    }

    /// The end of an order: it completes the report right before it, or is a report itself.
    fn closed(&mut self, id: OrderId, status: OrderStatus, mut report: OrderReport) {
        if let Some(index) = self.incomplete.iter().position(|(order, _)| *order == id) {
            let (_, at) = self.incomplete.remove(index);
            if let Some(AccountChange::Order(before)) = self.inner.pending.accounts.get_mut(at).map(|event| &mut event.change) {
                let completes = match before.execution {
                    Execution::TradePrevention => status == OrderStatus::ExpiredInMatch,
                    _ => status == OrderStatus::Filled,
                };
                if completes {
                    before.order = report.order;
                    return;
                }
            }
        }
        report.execution = match status {
            OrderStatus::Canceled => Execution::Canceled,
            OrderStatus::ExpiredInMatch => Execution::TradePrevention,
            OrderStatus::Filled => Execution::Trade,
            _ => Execution::Expired,
        };
        self.push_report(report);
    }

    fn push_incomplete(&mut self, report: OrderReport) {
        self.push_report(report);
        self.incomplete.push((report.order.id, self.inner.pending.accounts.len() - 1));
    }

    fn end_placing(&mut self, state: &State) {
        if let Some((sequence, time, list)) = self.placing.take() {
            let legs = state.list_legs(list.id).iter().copied().collect();
            self.push_at(sequence, time, list.account, AccountChange::List { list: Box::new(list), legs, renamed: false });
        }
    }

    fn push_report(&mut self, report: OrderReport) {
        let account = report.order.account;
        self.push(account, AccountChange::Order(Box::new(report)));
    }

    fn push(&mut self, account: AccountId, change: AccountChange) {
        self.push_at(self.sequence, self.now, account, change);
    }

    fn push_at(&mut self, sequence: u64, time: Time, account: AccountId, change: AccountChange) {
        self.recorded = true;
        if self.inner.pending.accounts.len() >= PENDING_MAX {
            self.inner.lose();
            self.incomplete.clear();
        }
        self.inner.pending.accounts.push(AccountEvent { sequence, time, account, change });
    }

    fn watches(&self, account: AccountId) -> bool {
        !self.inner.accounts.is_empty() && self.inner.accounts.contains(&account)
    }

    fn level(&mut self, market: MarketId, side: Side, price: i64) {
        if let Some(watched) = self.inner.markets.get_mut(usize::from(market)) {
            for levels in watched.levels.iter_mut().flatten() {
                levels.insert((side, price));
            }
        }
    }

    /// After the batch.
    pub fn end(mut self, state: &State) {
        self.end_placing(state);
        if self.recorded || self.inner.wakes {
            self.wake.notify_one();
        }
    }
}

/// Whether the event adds an order to the list.
fn places_into(event: &Event, list: OrderListId) -> bool {
    event.placed().is_some_and(|placed| placed.list == list)
}

fn side_of(state: &State, trade: &TradeRecord, order: &Order) -> LastTrade {
    let buys = order.id == trade.buyer_order;
    let market = state.market(trade.market);
    let asset = market.map_or(0, |market| if buys { market.base } else { market.quote });
    LastTrade {
        trade: trade.trade,
        price: trade.price,
        quantity: trade.quantity,
        quote: trade.quote,
        commission: if buys { trade.buyer_commission } else { trade.seller_commission },
        commission_asset: asset,
        is_maker: buys == trade.buyer_is_maker,
    }
}
