//! A taker meets the book: price-time priority, self-trade prevention, and the waiting orders that its trades set off. Never:
//! whether an order may be placed.

use super::{Decision, PriceRange};
use crate::event::{Event, MatchPrevented, Trade};
use crate::money::{Amount, Price, Quantity, SCALE, commission, floor_to, notional};
use crate::order::{AccountId, ExpiryReason, Fill, MarketId, Order, OrderId, OrderStatus, OrderType, Side, StpMode, TimeInForce};
use crate::orders::{Link, NONE, Slot};
use crate::state::State;
use std::collections::VecDeque;

/// How much a taker wants; it stops at whichever is reached first.
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

/// What the book would give.
pub(super) struct Walk {
    pub quantity: Quantity,
    pub quote: Amount,
    /// The book ended before the want did.
    pub exhausted: bool,
}

/// The largest lot that `budget` of quote asset buys at `price`.
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

/// Asks the book what a taker would get, changing nothing. A `limit` of 0 takes any price.
pub(super) fn walk(
    state: &State,
    market: MarketId,
    account: AccountId,
    side: Side,
    stp: StpMode,
    limit: Price,
    want: Want,
) -> Walk {
    let entry = &state.markets[usize::from(market)];
    let step = entry.market.filters.step_size;
    let mut got = Walk { quantity: 0, quote: 0, exhausted: true };
    for (price, level) in entry.book.levels(side.opposite()) {
        if !acceptable(side, limit, price) {
            break;
        }
        let mut slot = level.chain.first;
        while slot != NONE {
            let maker = state.orders.get(slot);
            slot = state.orders.next(slot, Link::Level);
            if maker.account == account {
                match stp {
                    StpMode::None => {}
                    StpMode::ExpireMaker => continue,
                    StpMode::ExpireTaker | StpMode::ExpireBoth => return got,
                }
            }
            let open = (want.quantity - got.quantity).min(affordable(want.quote.saturating_sub(got.quote), price, step));
            let take = open.min(maker.remaining());
            got.quantity += take;
            got.quote += notional(price, take);
            if take == open {
                got.exhausted = false;
                return got;
            }
        }
    }
    got
}

impl Decision<'_> {
    /// Matches the order against the book and settles what becomes of its remainder. Adds the prices traded to `range`.
    pub(super) fn take(&mut self, slot: Slot, exhausted: bool, range: &mut PriceRange) {
        let Order { id, market, side, kind, account, stp, price: limit, time_in_force, .. } = *self.state.orders.get(slot);
        let by_quote = self.state.orders.get(slot).quote_order_quantity > 0;
        let entry = &self.state.markets[usize::from(market)];
        let (base, quote, step) = (entry.market.base, entry.market.quote, entry.market.filters.step_size);
        let taker_rate = self.state.commission(account, market).taker;
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
            let maker_slot = level.chain.first;
            let maker = self.state.orders.get(maker_slot);
            if maker.account == account && stp != StpMode::None {
                self.prevent(slot, maker_slot, price);
                continue;
            }
            let mut quantity = remaining.min(maker.remaining());
            if side == Side::Buy && !kind.has_price() && notional(price, quantity) > hold {
                quantity = affordable(hold, price, step).min(quantity);
                if quantity == 0 {
                    break;
                }
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
        // Ended by its last trade or by self-trade prevention: no slot is used again before this.
        let order = self.state.orders.get(slot);
        if !order.status.is_open() {
            return;
        }
        let left = order.remaining();
        match kind {
            OrderType::Limit | OrderType::LimitMaker | OrderType::StopLossLimit | OrderType::TakeProfitLimit => {
                match time_in_force {
                    TimeInForce::Gtc => self.emit(Event::OrderRested { order: id }),
                    TimeInForce::Ioc => self.close(slot, OrderStatus::Expired, ExpiryReason::UnfilledIocQuantity),
                    TimeInForce::Fok => self.close(slot, OrderStatus::Expired, ExpiryReason::UnfilledFok),
                }
            }
            // By quoteOrderQty the quantity is what the book gave; the budget's last part of a lot counts as filled.
            OrderType::Market | OrderType::StopLoss | OrderType::TakeProfit if by_quote && left == 0 && !exhausted => {
                self.close(slot, OrderStatus::Filled, ExpiryReason::None);
            }
            OrderType::Market | OrderType::StopLoss | OrderType::TakeProfit => {
                self.close(slot, OrderStatus::Expired, ExpiryReason::InsufficientLiquidity);
            }
        }
    }

    /// Keeps two orders of one account apart, as the taker's mode says.
    fn prevent(&mut self, taker_slot: Slot, maker_slot: Slot, price: Price) {
        let (taker, maker) = (self.state.orders.get(taker_slot), self.state.orders.get(maker_slot));
        let (market, stp) = (taker.market, taker.stp);
        let prevented_match = self.state.markets[usize::from(market)].book.last_prevented_match + 1;
        let expires_taker = matches!(stp, StpMode::ExpireTaker | StpMode::ExpireBoth);
        let expires_maker = matches!(stp, StpMode::ExpireMaker | StpMode::ExpireBoth);
        self.emit(Event::MatchPrevented(MatchPrevented {
            market,
            prevented_match,
            taker: taker.id,
            maker: maker.id,
            price,
            taker_quantity: if expires_taker { taker.remaining() } else { 0 },
            maker_quantity: if expires_maker { maker.remaining() } else { 0 },
        }));
        for (expires, slot) in [(expires_maker, maker_slot), (expires_taker, taker_slot)] {
            if expires {
                self.close(slot, OrderStatus::ExpiredInMatch, ExpiryReason::None);
            }
        }
    }

    /// Sets off the waiting orders whose price was reached, oldest first within what one taker reached, and those that their own
    /// trades reach in turn. Ends: each order is set off once.
    pub(super) fn run_triggers(&mut self, market: MarketId, mut range: PriceRange) {
        let mut reached: VecDeque<OrderId> = VecDeque::new();
        loop {
            self.collect_reached(market, range, &mut reached);
            let Some(id) = reached.pop_front() else { return };
            range = PriceRange::EMPTY;
            if let Some(slot) = self.state.orders.slot(id)
                && !self.state.orders.get(slot).working
            {
                self.trigger(slot, &mut range);
            }
        }
    }

    fn collect_reached(&self, market: MarketId, range: PriceRange, reached: &mut VecDeque<OrderId>) {
        let book = &self.state.markets[usize::from(market)].book;
        if range.high == 0 || (book.above.is_empty() && book.below.is_empty()) {
            return;
        }
        let above = book.above.range(..=(range.high, OrderId::MAX)).map(|((_, id), _)| *id);
        let below = book.below.range((range.low, 0)..).map(|((_, id), _)| *id);
        let mut found: Vec<OrderId> = above.chain(below).filter(|id| !reached.contains(id)).collect();
        found.sort_unstable();
        reached.extend(found);
    }

    fn trigger(&mut self, slot: Slot, range: &mut PriceRange) {
        self.close_siblings(slot);
        let order = *self.state.orders.get(slot);
        let entry = &self.state.markets[usize::from(order.market)];
        let asset = crate::evolve::hold_asset(&self.state.markets, &order);
        let free = self.state.balance(order.account, asset).free;
        let fok = order.time_in_force == TimeInForce::Fok && order.kind.has_price();
        let crosses = !order.kind.has_price() || entry.book.crosses(order.side, order.price);
        let look = |limit, want| walk(self.state, order.market, order.account, order.side, order.stp, limit, want);
        // Locked already, except for an OCO's second leg and for a market buy that costs more than its stop price.
        let need = match (order.side, order.kind.has_price()) {
            (Side::Sell, _) => Amount::from(order.quantity),
            (Side::Buy, true) => notional(order.price, order.quantity),
            (Side::Buy, false) => look(0, Want { quantity: order.quantity, quote: order.hold.saturating_add(free.max(0)) }).quote,
        };
        let hold = (need - order.hold).clamp(0, free.max(0));
        let unfillable = fok && look(order.price, Want::quantity(order.quantity)).quantity < order.quantity;
        let rests = !crosses && order.time_in_force == TimeInForce::Gtc;
        self.emit(Event::OrderTriggered { order: order.id, hold, rests });
        if unfillable {
            self.close(slot, OrderStatus::Expired, ExpiryReason::UnfilledFok);
        } else if !rests {
            self.take(slot, false, range);
        }
    }
}
