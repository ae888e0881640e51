//! This module decides whether an order may be placed, and with what hold. The order of the refusals is the order of the checks.
//! It must not match.

use super::matching::{End, Enough, MatchingTaker, Want, fills, walk};
use super::{Decision, Traded};
use crate::command::{NewOrder, Placed};
use crate::event::{DECREMENT_LEVEL, Event, ExtendedOrder, ICEBERG_LEVEL, OrderPlaced, TRAILING_LEVEL};
use crate::market::{Filters, Market, MarketStatus};
use crate::money::{Amount, Price, Quantity, SCALE, Time, notional};
use crate::order::{AccountId, ExpiryReason, MarketId, OrderListId, OrderStatus, OrderType, Side, StpMode, TimeInForce};
use crate::orders::Slot;
use crate::refusal::{Filter, Refusal};
use crate::state::{AccountEntry, State};

/// The hold and the initial state of an order that may be placed.
pub(super) struct Terms {
    /// The ordered quantity, or the walk's result for `quoteOrderQty`.
    pub quantity: Quantity,
    pub hold: Amount,
    /// Rests on the book immediately.
    pub rests: bool,
    /// MARKET: the reason why the order ends.
    pub end: End,
    /// FOK that cannot be filled: accepted, and expired immediately.
    pub unfillable: bool,
}

impl Terms {
    /// Terms that lock nothing yet: of a pending order, and before the checks of another.
    pub const fn open(quantity: Quantity) -> Self {
        Self { quantity, hold: 0, rests: false, end: End::Book, unfillable: false }
    }
}

impl State {
    /// The check of a test order: every refusal except for funds and the book. `now` in µs.
    pub fn check_order(&self, new: &NewOrder, now: Time) -> Result<(), Refusal> {
        self.may_place(new, 1, now.max(self.now))
    }

    /// All checks except funds and the book: account, market, filters, client id. `count` orders are placed together.
    fn may_place(&self, new: &NewOrder, count: u32, time: Time) -> Result<(), Refusal> {
        let market = self.market(new.market).ok_or(Refusal::UnknownSymbol)?;
        let account = self.trading_account(new.account)?;
        if market.status != MarketStatus::Trading {
            return Err(Refusal::MarketClosed);
        }
        if new.stp == StpMode::Decrement && self.feature_level < DECREMENT_LEVEL {
            return Err(Refusal::StpNotAllowed);
        }
        if new.iceberg > 0 && self.feature_level < ICEBERG_LEVEL {
            return Err(Refusal::IcebergNotSupported);
        }
        if new.trailing_delta > 0 && self.feature_level < TRAILING_LEVEL {
            return Err(Refusal::TrailingNotSupported);
        }
        self.check_filters(new, market, account, count, time)?;
        if self.order_by_client_id(new.account, new.market, &new.client_id).is_some() {
            return Err(Refusal::DuplicateClientOrderId);
        }
        Ok(())
    }

    pub(super) fn trading_account(&self, id: AccountId) -> Result<&AccountEntry, Refusal> {
        let account = self.accounts.get(id as usize).ok_or(Refusal::UnknownAccount)?;
        if account.account.rights.trade { Ok(account) } else { Err(Refusal::AccountDisabled) }
    }

    /// The filters, in the order of exchangeInfo.
    pub(super) fn check_filters(
        &self,
        new: &NewOrder,
        market: &Market,
        account: &AccountEntry,
        count: u32,
        time: Time,
    ) -> Result<(), Refusal> {
        self.check_values(new, market, time)?;
        let filters = &market.filters;
        let (open, algo) = account.orders_on(market.id).map_or((0, 0), |orders| (orders.open, orders.algo));
        refuse(open.saturating_add(count) > filters.max_orders, Filter::MaxNumOrders)?;
        refuse(new.kind.is_algo() && algo >= filters.max_algo_orders, Filter::MaxNumAlgoOrders)?;
        if new.iceberg > 0 {
            let (icebergs, most) = (account.orders_on(market.id).map_or(0, |orders| orders.icebergs), market.limits.max_icebergs);
            refuse(most > 0 && icebergs >= most, Filter::MaxNumIcebergOrders)?;
        }
        self.check_limits(new, market, account, count)
    }

    /// The filters of prices, quantities and values.
    pub(super) fn check_values(&self, new: &NewOrder, market: &Market, time: Time) -> Result<(), Refusal> {
        let filters = &market.filters;
        let as_market = !new.kind.has_price();

        let price_fault = |price: Price| off_grid(price, filters.min_price, filters.max_price, filters.tick_size);
        refuse(new.kind.has_price() && price_fault(new.price), Filter::Price)?;
        let without_stop = new.trailing_delta > 0 && new.stop_price == 0;
        refuse(new.kind.is_algo() && !without_stop && price_fault(new.stop_price), Filter::Price)?;
        if new.quote_order_quantity == 0 {
            check_lot(filters, new.quantity, as_market)?;
        }
        let average = self.average(market.id, time);
        if let Some(average) = average
            && new.kind.has_price()
        {
            let (up, down) = match new.side {
                Side::Buy => (filters.bid_multiplier_up, filters.bid_multiplier_down),
                Side::Sell => (filters.ask_multiplier_up, filters.ask_multiplier_down),
            };
            let scaled = Amount::from(new.price) * Amount::from(SCALE);
            let average = Amount::from(average);
            refuse(scaled > average * Amount::from(up) || scaled < average * Amount::from(down), Filter::PercentPriceBySide)?;
        }
        // A MARKET order has no price, so its value uses the average; a stop without a limit uses its stop price.
        let value = match new.kind {
            OrderType::Market if new.quote_order_quantity > 0 => Some(new.quote_order_quantity),
            OrderType::Market => average.map(|average| notional(average, new.quantity)),
            OrderType::StopLoss | OrderType::TakeProfit if without_stop => average.map(|average| notional(average, new.quantity)),
            OrderType::StopLoss | OrderType::TakeProfit => Some(notional(new.stop_price, new.quantity)),
            _ => Some(notional(new.price, new.quantity)),
        };
        if let Some(value) = value {
            check_value(filters, value, as_market)?;
        }
        if new.iceberg > 0 {
            check_iceberg(new, market)?;
        }
        if new.trailing_delta > 0 { check_trailing(new, market) } else { Ok(()) }
    }

    pub(super) fn average(&self, market: MarketId, time: Time) -> Option<Price> {
        let entry = &self.markets[usize::from(market)];
        entry.book.average_price(entry.market.filters.average_minutes, time)
    }
}

pub(super) const fn refuse(bad: bool, filter: Filter) -> Result<(), Refusal> {
    if bad { Err(Refusal::Filter(filter)) } else { Ok(()) }
}

#[inline]
const fn off_grid(value: i64, low: i64, high: i64, step: i64) -> bool {
    value < low || value > high || (step > 0 && value % step != 0)
}

/// LOT_SIZE, and MARKET_LOT_SIZE for a type without a limit price.
#[inline]
pub(super) const fn check_lot(filters: &Filters, quantity: Quantity, as_market: bool) -> Result<(), Refusal> {
    if off_grid(quantity, filters.min_quantity, filters.max_quantity, filters.step_size) {
        return Err(Refusal::Filter(Filter::LotSize));
    }
    let (low, high, step) = (filters.market_min_quantity, filters.market_max_quantity, filters.market_step_size);
    if as_market && off_grid(quantity, low, high, step) {
        return Err(Refusal::Filter(Filter::MarketLotSize));
    }
    Ok(())
}

/// An iceberg order rests on the book with a part of its quantity: LOT_SIZE and ICEBERG_PARTS.
fn check_iceberg(new: &NewOrder, market: &Market) -> Result<(), Refusal> {
    let NewOrder { iceberg, quantity, .. } = *new;
    if !new.kind.has_price() || new.time_in_force != TimeInForce::Gtc {
        return Err(Refusal::UnsupportedCombination);
    }
    if iceberg >= quantity {
        return Err(Refusal::IcebergExceedsQuantity);
    }
    check_lot(&market.filters, iceberg, false)?;
    // Ceiling of quantity / iceberg.
    let parts = (quantity - 1) / iceberg + 1;
    refuse(parts > i64::from(market.limits.parts()), Filter::IcebergParts)
}

/// TRAILING_DELTA.
fn check_trailing(new: &NewOrder, market: &Market) -> Result<(), Refusal> {
    if !new.kind.is_algo() {
        return Err(Refusal::UnsupportedCombination);
    }
    let [low, high] = market.limits.trailing(new.kind.triggers_above(new.side));
    refuse(new.trailing_delta < low || new.trailing_delta > high, Filter::TrailingDelta)
}

/// NOTIONAL.
#[inline]
pub(super) const fn check_value(filters: &Filters, value: Amount, as_market: bool) -> Result<(), Refusal> {
    if value == 0 {
        return Err(Refusal::ZeroNotional);
    }
    let low = value < filters.min_notional && (!as_market || filters.apply_min_to_market);
    let high = value > filters.max_notional && (!as_market || filters.apply_max_to_market);
    if low || high { Err(Refusal::Filter(Filter::Notional)) } else { Ok(()) }
}

impl Decision<'_> {
    pub(super) fn place(&mut self, new: &NewOrder) -> Result<Placed, Refusal> {
        self.may_place(new, 1)?;
        let terms = self.terms(new)?;
        self.afford(new.account, new.market, new.side, terms.hold)?;
        Ok(self.open(new, terms))
    }

    /// As [`State::may_place`], at the decision's time.
    pub(super) fn may_place(&mut self, new: &NewOrder, count: u32) -> Result<(), Refusal> {
        if let Some(entry) = self.state.markets.get_mut(usize::from(new.market)) {
            entry.book.remember_average(entry.market.filters.average_minutes, self.time);
        }
        self.state.may_place(new, count, self.time)
    }

    /// Checks against the book: post-only, stop and fill-or-kill rules, and the hold.
    pub(super) fn terms(&self, new: &NewOrder) -> Result<Terms, Refusal> {
        let entry = &self.state.markets[usize::from(new.market)];
        let mut terms = Terms::open(new.quantity);
        let NewOrder { market, account, side, stp, price: limit, .. } = *new;
        let taker = || MatchingTaker { market, account, side, stp, limit, bounds: self.state.bounds(market, side, self.time) };
        let by_price = |price: Price| match new.side {
            Side::Buy => notional(price, new.quantity),
            Side::Sell => Amount::from(new.quantity),
        };
        match new.kind {
            OrderType::Limit | OrderType::LimitMaker => {
                let crosses = entry.book.crosses(new.side, new.price);
                if crosses && new.kind == OrderType::LimitMaker {
                    return Err(Refusal::WouldTakeLiquidity);
                }
                terms.hold = by_price(new.price);
                terms.rests = !crosses && new.time_in_force == TimeInForce::Gtc;
                if new.time_in_force == TimeInForce::Fok {
                    terms.unfillable = !fills(self.state, &taker(), new.quantity);
                }
            }
            OrderType::StopLoss | OrderType::StopLossLimit | OrderType::TakeProfit | OrderType::TakeProfitLimit => {
                let last = entry.book.last_price;
                let reached = if new.kind.triggers_above(new.side) { new.stop_price <= last } else { new.stop_price >= last };
                if last > 0 && reached && new.stop_price > 0 {
                    return Err(Refusal::WouldTriggerImmediately);
                }
                // Without any price: for the last one. The rest of its need is locked when it triggers.
                let stop = if new.stop_price > 0 { new.stop_price } else { last };
                terms.hold = by_price(if new.kind.has_price() { new.price } else { stop });
            }
            OrderType::Market => {
                let by_quote = new.quote_order_quantity > 0;
                let want = if by_quote { Want::quote(new.quote_order_quantity) } else { Want::quantity(new.quantity) };
                let filters = &entry.market.filters;
                if !by_quote && new.side == Side::Sell {
                    // The hold is the asset that it sells, so the book is not needed.
                    terms.hold = new.quantity.into();
                    return Ok(terms);
                }
                // Stop the walk early if its result is refused anyway: a refusal must not cost the whole book.
                let enough = if by_quote {
                    let largest = filters.max_quantity.max(filters.market_max_quantity);
                    let quantity = largest.max(filters.min_quantity).max(filters.market_min_quantity);
                    Enough { quantity, ..Enough::NEVER }
                } else {
                    let quote = self.state.balance(new.account, entry.market.quote).free;
                    Enough { quote, ..Enough::NEVER }
                };
                let got = walk(self.state, &MatchingTaker { limit: 0, ..taker() }, want, enough);
                if by_quote {
                    if entry.book.best(new.side.opposite()).is_none() {
                        return Err(Refusal::EmptyBook);
                    }
                    // What PRICE_RANGE leaves, even nothing, expires as that of an order by quantity does.
                    let short = got.end != End::Range;
                    if short && got.quantity < filters.min_quantity {
                        return Err(Refusal::LiquidityBelowLotSize);
                    }
                    if short && got.quantity < filters.market_min_quantity {
                        return Err(Refusal::LiquidityBelowMarketLotSize);
                    }
                    if got.quantity > filters.max_quantity {
                        return Err(Refusal::Filter(Filter::LotSize));
                    }
                    if got.quantity > filters.market_max_quantity {
                        return Err(Refusal::Filter(Filter::MarketLotSize));
                    }
                    terms.quantity = got.quantity;
                }
                terms.end = got.end;
                terms.hold = match new.side {
                    Side::Buy => got.quote,
                    Side::Sell => Amount::from(terms.quantity),
                };
            }
        }
        Ok(terms)
    }

    /// Whether `hold` is free.
    pub(super) fn afford(&self, account: AccountId, market: MarketId, side: Side, hold: Amount) -> Result<(), Refusal> {
        let market = self.market(market)?;
        let asset = match side {
            Side::Buy => market.quote,
            Side::Sell => market.base,
        };
        if self.state.balance(account, asset).free < hold { Err(Refusal::InsufficientBalance) } else { Ok(()) }
    }

    /// Places and matches the order, then handles the orders that its trades triggered. Nothing can refuse from here on.
    fn open(&mut self, new: &NewOrder, terms: Terms) -> Placed {
        let (rests, end, unfillable) = (terms.rests, terms.end, terms.unfillable);
        let slot = self.emit_placed(new, terms, 0);
        self.told = self.state.last_order;
        let mut range = Traded::NOTHING;
        if unfillable {
            self.close(slot, OrderStatus::Expired, ExpiryReason::UnfilledFok);
        } else if !rests && !new.kind.is_algo() {
            self.take(slot, end, &mut range);
        }
        // The reply shows the order right after its own placement.
        let placed = Placed {
            order: self.shown(slot),
            fills: std::mem::take(&mut self.fills),
            prevented: std::mem::take(&mut self.prevented),
        };
        self.after_trades(new.market, range);
        placed
    }

    /// Places the order and returns its state.
    pub(super) fn emit_placed(&mut self, new: &NewOrder, terms: Terms, list: OrderListId) -> Slot {
        let placed = self.placed(new, terms, list);
        let NewOrder { iceberg, trailing_delta, .. } = *new;
        if iceberg > 0 || trailing_delta > 0 {
            let extended = ExtendedOrder { placed, pending: false, iceberg, trailing_delta };
            self.emit(Event::ExtendedOrderPlaced(Box::new(extended)));
        } else {
            self.emit(Event::OrderPlaced(placed));
        }
        self.state.orders.recent()
    }

    pub(super) const fn placed(&self, new: &NewOrder, terms: Terms, list: OrderListId) -> OrderPlaced {
        OrderPlaced {
            order: self.state.last_order + 1,
            account: new.account,
            market: new.market,
            side: new.side,
            kind: new.kind,
            time_in_force: new.time_in_force,
            stp: new.stp,
            price: new.price,
            stop_price: new.stop_price,
            quantity: terms.quantity,
            quote_order_quantity: new.quote_order_quantity,
            hold: terms.hold,
            list,
            client_id: new.client_id,
            rests: terms.rests,
        }
    }
}
