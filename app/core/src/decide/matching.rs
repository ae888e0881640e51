//! This module matches a taker against the book: price-time priority and self-trade prevention. It must not decide whether an
//! order may be placed, or which waiting orders its trades trigger (see `triggers`).

use super::{Decision, Traded};
use crate::event::{Event, MatchDecremented, MatchPrevented, Trade};
use crate::money::{Amount, Price, Quantity, SCALE, Time, commission, floor_to, notional};
use crate::order::{AccountId, ExpiryReason, Fill, MarketId, Order, OrderStatus, PreventedMatch, Side, StpMode, TimeInForce};
use crate::orders::{ChainLink, NONE, Slot};
use crate::protection::Bounds;
use crate::state::State;
use smallvec::SmallVec;

/// The taker's limits; it stops at the first one it reaches.
#[derive(Clone, Copy)]
pub(super) struct Want {
    pub quantity: Quantity,
    pub quote: Amount,
}

impl Want {
    pub const fn quantity(quantity: Quantity) -> Self {
        Self { quantity, quote: Amount::MAX }
    }

    pub const fn quote(quote: Amount) -> Self {
        Self { quantity: Quantity::MAX, quote }
    }
}

/// Why a walk or a taker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The wanted quantity was filled.
    Wanted,
    /// The book was exhausted, or an order of the same account prevents further trades.
    Book,
    /// The PRICE_RANGE rule: the next price is outside the range.
    Range,
}

/// The result of walking the book.
pub(super) struct Walk {
    pub quantity: Quantity,
    pub quote: Amount,
    pub end: End,
}

/// A taker in the view of the book.
#[derive(Clone, Copy)]
pub(super) struct MatchingTaker {
    pub market: MarketId,
    pub account: AccountId,
    pub side: Side,
    pub stp: StpMode,
    /// 0: any price.
    pub limit: Price,
    pub bounds: Bounds,
}

/// The walk stops early above either limit: the order is refused anyway.
#[derive(Clone, Copy)]
pub(super) struct Enough {
    pub quantity: Quantity,
    pub quote: Amount,
}

impl Enough {
    pub const NEVER: Self = Self { quantity: Quantity::MAX, quote: Amount::MAX };
}

/// The largest number of lots that `budget` of quote asset buys at `price`.
fn affordable(budget: Amount, price: Price, step: Quantity) -> Quantity {
    if budget == Amount::MAX {
        return Quantity::MAX;
    }
    let whole = budget.saturating_mul(Amount::from(SCALE)) / Amount::from(price);
    floor_to(Quantity::try_from(whole).unwrap_or(Quantity::MAX), step)
}

/// True when `price` is no worse than the taker's limit.
#[inline]
fn acceptable(side: Side, limit: Price, price: Price) -> bool {
    limit == 0
        || match side {
            Side::Buy => price <= limit,
            Side::Sell => price >= limit,
        }
}

/// Computes a taker's fills without changing the book. Costs the orders that the taker would match, at most `enough` of them.
pub(super) fn walk(state: &State, taker: &MatchingTaker, want: Want, enough: Enough) -> Walk {
    let entry = &state.markets[usize::from(taker.market)];
    let step = entry.market.filters.step_size;
    let mut got = Walk { quantity: 0, quote: 0, end: End::Book };
    for (price, level) in entry.book.levels(taker.side.opposite()) {
        if !acceptable(taker.side, taker.limit, price) {
            break;
        }
        if !taker.bounds.contain(price) {
            got.end = End::Range;
            break;
        }
        let mut slot = level.chain.first;
        // Parts that iceberg orders do not show yet: behind everything that the level shows.
        let mut hidden: Amount = 0;
        loop {
            if slot == NONE {
                let mut open = want.quantity - got.quantity;
                open = open.min(affordable(want.quote.saturating_sub(got.quote), price, step));
                let take = Amount::from(open).min(hidden) as Quantity;
                got.quantity += take;
                got.quote += notional(price, take);
                if hidden > 0 && take == open {
                    got.end = End::Wanted;
                    return got;
                }
                break;
            }
            let maker = state.orders.get(slot);
            slot = state.orders.next(slot, ChainLink::Level);
            if maker.account == taker.account {
                match taker.stp {
                    // The hold of a decremented quantity is released when it is decremented.
                    StpMode::None | StpMode::Decrement => {}
                    StpMode::ExpireMaker => continue,
                    StpMode::ExpireTaker | StpMode::ExpireBoth => return got,
                }
            }
            let open = (want.quantity - got.quantity).min(affordable(want.quote.saturating_sub(got.quote), price, step));
            let take = open.min(maker.visible());
            hidden += Amount::from(maker.remaining() - maker.visible());
            got.quantity += take;
            got.quote += notional(price, take);
            if take == open {
                got.end = End::Wanted;
                return got;
            }
            if got.quantity > enough.quantity || got.quote > enough.quote {
                return got;
            }
        }
    }
    got
}

/// Whether the book fills `quantity` immediately. Costs one walk over the levels by their sums and over the account's own orders
/// on the market. If self-trade prevention ends the taker, it also costs the orders of one level before the account's own.
pub(super) fn fills(state: &State, taker: &MatchingTaker, quantity: Quantity) -> bool {
    let entry = &state.markets[usize::from(taker.market)];
    let open_to = |price: Price| acceptable(taker.side, taker.limit, price) && taker.bounds.contain(price);
    let own = if taker.stp == StpMode::None { SmallVec::new() } else { own_resting(state, taker) };
    let closer = |one: Price, other: Price| if taker.side == Side::Buy { one < other } else { one > other };
    let nearest = own.iter().map(|(price, _)| *price).reduce(|one, other| if closer(other, one) { other } else { one });
    // A decremented order cannot be filled completely either.
    let ends_at_own = matches!(taker.stp, StpMode::ExpireTaker | StpMode::ExpireBoth | StpMode::Decrement);
    // Only the maker expires: skip the account's own orders.
    let passed_over: Amount = own.iter().filter(|(price, _)| open_to(*price)).map(|(_, left)| Amount::from(*left)).sum();
    let mut missing = Amount::from(quantity) + if ends_at_own { 0 } else { passed_over };
    for (price, level) in entry.book.levels(taker.side.opposite()).take_while(|(price, _)| open_to(*price)) {
        if ends_at_own && nearest == Some(price) {
            let mut slot = level.chain.first;
            while slot != NONE && missing > 0 && state.orders.get(slot).account != taker.account {
                missing -= Amount::from(state.orders.get(slot).visible());
                slot = state.orders.next(slot, ChainLink::Level);
            }
            break;
        }
        missing -= level.quantity + entry.book.hidden_at(taker.side.opposite(), price);
        if missing <= 0 {
            break;
        }
    }
    missing <= 0
}

/// Price and remainder of the account's resting orders on the opposite side: a walk over its open orders on the market, at most
/// MAX_NUM_ORDERS.
fn own_resting(state: &State, taker: &MatchingTaker) -> SmallVec<[(Price, Quantity); 8]> {
    let mut own = SmallVec::new();
    let Some(entry) = state.accounts.get(taker.account as usize).and_then(|entry| entry.orders_on(taker.market)) else {
        return own;
    };
    let mut slot = entry.chain.first;
    while slot != NONE {
        let order = state.orders.get(slot);
        if order.side != taker.side && state.orders.is_resting(slot) {
            own.push((order.price, order.remaining()));
        }
        slot = state.orders.next(slot, ChainLink::Account);
    }
    own
}

impl State {
    /// Prices at which the PRICE_RANGE rule lets a taker execute that starts at `time`.
    #[inline]
    pub(super) fn bounds(&self, market: MarketId, side: Side, time: Time) -> Bounds {
        match &self.markets[usize::from(market)].market.protection.price_range {
            None => Bounds::ANY,
            Some(rule) => self.reference_price(market, time).map_or(Bounds::ANY, |reference| rule.bounds(side, reference)),
        }
    }
}

impl Decision<'_> {
    /// Matches the order against the book and handles its remainder. Adds the traded prices to `range`. `foreseen` is the end of
    /// the walk that set a quantity by `quoteOrderQty`.
    pub(super) fn take(&mut self, slot: Slot, foreseen: End, range: &mut Traded) {
        let Order { id, market, side, kind, account, stp, price: limit, time_in_force, .. } = *self.state.orders.get(slot);
        let by_quote = self.state.orders.get(slot).quote_order_quantity > 0;
        let entry = &self.state.markets[usize::from(market)];
        let (base, quote, step) = (entry.market.base, entry.market.quote, entry.market.filters.step_size);
        let taker_rate = self.state.commission(account, market).taker;
        let bounds = self.state.bounds(market, side, self.time);
        let mut end = foreseen;
        self.state.orders.expect(slot);

        loop {
            let taker = self.state.orders.get(slot);
            let (remaining, hold) = (taker.remaining(), taker.hold);
            if remaining == 0 || !taker.status.is_open() {
                break;
            }
            let book = &self.state.markets[usize::from(market)].book;
            let Some((price, level)) = book.best(side.opposite()) else { break };
            if !acceptable(side, limit, price) {
                break;
            }
            if !bounds.contain(price) {
                end = End::Range;
                break;
            }
            let maker_slot = level.chain.first;
            let maker = self.state.orders.get(maker_slot);
            let own = maker.account == account;
            if own && !matches!(stp, StpMode::None | StpMode::Decrement) {
                self.prevent(slot, maker_slot, price);
                continue;
            }
            let mut quantity = remaining.min(maker.visible());
            if side == Side::Buy && !kind.has_price() && notional(price, quantity) > hold {
                quantity = affordable(hold, price, step).min(quantity);
                if quantity == 0 {
                    break;
                }
            }
            if own && stp == StpMode::Decrement {
                self.decrement(slot, maker_slot, price, quantity);
                continue;
            }
            let (maker_id, maker_account, maker_list) = (maker.id, maker.account, maker.list);
            let value = notional(price, quantity);
            let (taker_gets, maker_gets, paid_in) = match side {
                Side::Buy => (Amount::from(quantity), value, base),
                Side::Sell => (value, Amount::from(quantity), quote),
            };
            let taker_commission = commission(taker_gets, taker_rate);
            let maker_commission = commission(maker_gets, self.state.commission(maker_account, market).maker);
            let trade = book.last_trade + 1;
            let aggregate = book.last_aggregate + u64::from(book.aggregate_of != (id, price));
            if maker_list != 0 {
                self.close_siblings(maker_slot);
            }
            self.emit(Event::Trade(Trade {
                market,
                trade,
                aggregate,
                taker: id,
                maker: maker_id,
                price,
                quantity,
                taker_commission,
                maker_commission,
            }));
            range.add(price);
            if self.told == id {
                self.fills.push(Fill { trade, price, quantity, commission: taker_commission, commission_asset: paid_in });
            }
        }
        // Ended by its last trade or by self-trade prevention: its slot is not reused before this point.
        let order = self.state.orders.get(slot);
        if !order.status.is_open() {
            return;
        }
        let left = order.remaining();
        // The quantity of a MARKET order by quoteOrderQty comes from the walk; a rest of the budget below one lot counts as
        // filled.
        let filled = by_quote && left == 0 && foreseen == End::Wanted;
        let reason = match (kind.has_price(), time_in_force) {
            _ if filled => return self.close(slot, OrderStatus::Filled, ExpiryReason::None),
            _ if end == End::Range => ExpiryReason::PriceRangeExceeded,
            (true, TimeInForce::Gtc) => return self.emit(Event::OrderRested { order: id }),
            (true, TimeInForce::Ioc) => ExpiryReason::UnfilledIocQuantity,
            (true, TimeInForce::Fok) => ExpiryReason::UnfilledFok,
            (false, _) => ExpiryReason::InsufficientLiquidity,
        };
        self.close(slot, OrderStatus::Expired, reason);
    }

    /// Prevents a trade of `quantity` between two orders of one account: both lose it. As with a trade, the maker ends the other
    /// orders of its list.
    fn decrement(&mut self, taker_slot: Slot, maker_slot: Slot, price: Price, quantity: Quantity) {
        let (taker, maker) = (*self.state.orders.get(taker_slot), *self.state.orders.get(maker_slot));
        self.close_siblings(maker_slot);
        let released = |order: &Order| match order.side {
            Side::Sell => Amount::from(quantity),
            Side::Buy => notional(if order.kind.has_price() { order.price } else { price }, quantity).min(order.hold),
        };
        let prevented = MatchPrevented {
            market: taker.market,
            prevented_match: self.state.markets[usize::from(taker.market)].book.last_prevented_match + 1,
            taker: taker.id,
            maker: maker.id,
            price,
            taker_quantity: quantity,
            maker_quantity: quantity,
        };
        self.report_prevented(&prevented);
        self.emit(Event::MatchDecremented(MatchDecremented {
            prevented,
            taker_released: released(&taker),
            maker_released: released(&maker),
        }));
        for slot in [maker_slot, taker_slot] {
            if self.state.orders.get(slot).remaining() == 0 {
                self.close(slot, OrderStatus::ExpiredInMatch, ExpiryReason::None);
            }
        }
    }

    /// Adds the match to the reply of its taker.
    fn report_prevented(&mut self, e: &MatchPrevented) {
        if self.told == e.taker {
            let MatchPrevented { prevented_match: id, maker, price, taker_quantity, maker_quantity, .. } = *e;
            self.prevented.push(PreventedMatch { id, maker, price, taker_quantity, maker_quantity });
        }
    }

    /// Prevents a trade between two orders of one account, in the taker's mode.
    fn prevent(&mut self, taker_slot: Slot, maker_slot: Slot, price: Price) {
        let (taker, maker) = (self.state.orders.get(taker_slot), self.state.orders.get(maker_slot));
        let (market, stp) = (taker.market, taker.stp);
        let prevented_match = self.state.markets[usize::from(market)].book.last_prevented_match + 1;
        let expires_taker = matches!(stp, StpMode::ExpireTaker | StpMode::ExpireBoth);
        let expires_maker = matches!(stp, StpMode::ExpireMaker | StpMode::ExpireBoth);
        let prevented = MatchPrevented {
            market,
            prevented_match,
            taker: taker.id,
            maker: maker.id,
            price,
            taker_quantity: if expires_taker { taker.remaining() } else { 0 },
            maker_quantity: if expires_maker { maker.remaining() } else { 0 },
        };
        self.report_prevented(&prevented);
        self.emit(Event::MatchPrevented(prevented));
        for (expires, slot) in [(expires_maker, maker_slot), (expires_taker, taker_slot)] {
            if expires {
                self.close(slot, OrderStatus::ExpiredInMatch, ExpiryReason::None);
            }
        }
    }
}
