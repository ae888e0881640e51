//! This module is the only place where state changes: it applies the stated effects of one event. It must not contain a rule that
//! could refuse.
//!
//! Events come from a decision or from a journal with a valid checksum, so their references exist. An order or account that is
//! missing is skipped; a missing market or asset is a bug.

mod lists;
mod operator;

use crate::book::Book;
use crate::command::{AccountRights, Extras};
use crate::effects::{AmendmentRecord, Effects, PreventedRecord, TradeRecord};
use crate::event::{Event, FORWARDING_LEVEL, MatchPrevented, OrderPlaced, Trade};
use crate::ledger::{Bucket, CUSTODY, FEES, Transfer};
use crate::limits::MarketLimits;
use crate::market::{Asset, Market, MarketStatus};
use crate::money::{Amount, Price, Quantity, notional};
use crate::order::{AccountId, AssetId, ClientId, Contingency, ExpiryReason, MarketId, Order, OrderStatus, Side};
use crate::order_count::{MAKER_FIRST_FILL, OrderCount, TAKER_FIRST_FILL};
use crate::orders::Slot;
use crate::protection::Protection;
use crate::state::{MarketEntry, State};

use Bucket::{Free, Locked};

impl State {
    /// Applies one event.
    #[inline(always)]
    pub fn evolve(&mut self, event: &Event) {
        self.evolve_with(event, &mut ());
    }

    /// Applies one event and reports its effects to `effects`. Inlined, because a caller that knows the event's kind needs only
    /// one arm.
    #[inline(always)]
    pub fn evolve_with(&mut self, event: &Event, effects: &mut impl Effects) {
        self.sequence += 1;
        match event {
            Event::Clock(time) => self.now = *time,
            Event::OrderPlaced(placed) => self.order_placed(placed, false, Extras::default(), effects),
            Event::ExtendedOrderPlaced(order) => {
                let extras = Extras { iceberg: order.iceberg, trailing_delta: order.trailing_delta };
                self.order_placed(&order.placed, order.pending, extras, effects);
            }
            Event::Trade(trade) => self.traded(trade, effects),
            Event::MatchPrevented(prevented) => self.match_prevented(prevented, [0, 0], effects),
            Event::MatchDecremented(e) => {
                self.match_prevented(&e.prevented, [e.taker_released, e.maker_released], effects);
            }
            Event::OrderClosed { order, status, reason } => {
                if let Some(slot) = self.orders.slot(*order) {
                    self.close(slot, *status, *reason, effects);
                }
            }
            Event::OrderTriggered { order, hold, rests } => {
                if let Some(slot) = self.orders.slot(*order) {
                    self.triggered(slot, *hold, *rests, effects);
                }
            }
            Event::PendingActivated { order, hold, rests } => {
                if let Some(slot) = self.orders.slot(*order) {
                    self.activated(slot, *hold, *rests, effects);
                }
            }
            Event::OrderRested { order } => {
                if let Some(slot) = self.orders.slot(*order) {
                    let market = self.orders.get(slot).market;
                    book(&mut self.markets, market, self.sequence).rest(&mut self.orders, slot);
                }
            }
            Event::OrderAmended { order, quantity, client_id, released } => {
                if let Some(slot) = self.orders.slot(*order) {
                    self.amended(slot, *quantity, *client_id, *released, effects);
                }
            }
            Event::ListPlaced { list, account, market, client_id } => {
                self.list_placed(*list, *account, *market, *client_id, Contingency::Oco);
            }
            Event::OtoPlaced { list, account, market, client_id } => {
                self.list_placed(*list, *account, *market, *client_id, Contingency::Oto);
            }
            Event::OperatorActed { .. } | Event::CommandDone { .. } | Event::CommandExecuted(_) => {}
            Event::FeatureLevel(level) => self.feature_level = *level,
            Event::AssetCreated { asset, code } => self.add_asset(Asset { id: *asset, code: code.clone() }),
            Event::MarketCreated { market, symbol, base, quote, filters, commission } => {
                self.market_by_symbol.insert(symbol.clone(), *market);
                let market = Market {
                    id: *market,
                    symbol: symbol.clone(),
                    base: *base,
                    quote: *quote,
                    status: MarketStatus::Trading,
                    filters: (**filters).clone(),
                    commission: *commission,
                    protection: Protection::default(),
                    limits: MarketLimits::default(),
                };
                self.markets.push(MarketEntry::new(market));
            }
            Event::FiltersSet { market, filters } => {
                if let Some(entry) = self.markets.get_mut(usize::from(*market)) {
                    entry.market.filters = (**filters).clone();
                }
            }
            Event::MarketStatusSet { market, status } => self.set_status(*market, *status, None),
            Event::CommissionSet { market, commission } => {
                if let Some(entry) = self.markets.get_mut(usize::from(*market)) {
                    entry.market.commission = *commission;
                }
            }
            Event::AccountCommissionSet { account, commission } => {
                if let Some(entry) = self.accounts.get_mut(*account as usize) {
                    entry.account.commission = *commission;
                    entry.account.updated = self.now;
                }
            }
            Event::AccountCreated { account, reference } => {
                self.add_account(*account, reference.clone(), AccountRights { trade: true, withdraw: true, deposit: true });
            }
            Event::AccountRightsSet { account, rights } => {
                if let Some(entry) = self.accounts.get_mut(*account as usize) {
                    entry.account.rights = *rights;
                    entry.account.updated = self.now;
                }
            }
            Event::Credited { account, asset, amount, reference } => {
                self.credits.insert(reference.clone(), (*account, *asset, *amount));
                let (from, to) = if *amount > 0 { (CUSTODY, *account) } else { (*account, CUSTODY) };
                self.transfer(*asset, amount.abs(), (from, Free), (to, Free), effects);
            }
            Event::StopsReached { .. }
            | Event::CancelAllBegun { .. }
            | Event::CancelAllDone { .. }
            | Event::PriceRangeSet { .. }
            | Event::ReferencePriceSet { .. }
            | Event::BreakerSet { .. }
            | Event::MarketLimitsSet { .. }
            | Event::ExchangeLimitsSet(_)
            | Event::MarketPaused { .. }
            | Event::TimeSetBack(_) => self.operated(event),
        }
    }

    #[inline(never)]
    fn order_placed(&mut self, e: &OrderPlaced, pending: bool, extras: Extras, effects: &mut impl Effects) {
        self.last_order = self.last_order.max(e.order);
        let waits = e.kind.is_algo() || pending;
        let order = Order {
            id: e.order,
            account: e.account,
            market: e.market,
            side: e.side,
            kind: e.kind,
            time_in_force: e.time_in_force,
            stp: e.stp,
            status: if pending { OrderStatus::PendingNew } else { OrderStatus::New },
            expiry_reason: ExpiryReason::None,
            working: !waits,
            price: e.price,
            stop_price: e.stop_price,
            quantity: e.quantity,
            executed: 0,
            prevented: 0,
            prevented_match: 0,
            quote_order_quantity: e.quote_order_quantity,
            iceberg: extras.iceberg,
            shown: 0,
            trailing_delta: extras.trailing_delta,
            tracking_since: 0,
            executed_quote: 0,
            hold: e.hold,
            list: e.list,
            client_id: e.client_id,
            created: self.now,
            updated: self.now,
            working_since: if waits { 0 } else { self.now },
        };
        if e.hold > 0 {
            let asset = hold_asset(&self.markets, &order);
            self.transfer(asset, e.hold, (e.account, Free), (e.account, Locked), effects);
        }
        let slot = self.orders.insert(order);
        if let Some(entry) = self.accounts.get_mut(e.account as usize) {
            if self.feature_level >= FORWARDING_LEVEL {
                entry.count.add(1, self.now);
            }
            entry.add_open(&mut self.orders, slot);
        }
        if waits {
            if let Some(entry) = self.markets.get_mut(usize::from(e.market)) {
                if pending {
                    entry.book.pending.insert(e.order, slot);
                } else {
                    entry.book.start_waiting(&mut self.orders, slot, self.sequence, self.now);
                }
            }
        } else if e.rests {
            book(&mut self.markets, e.market, self.sequence).rest(&mut self.orders, slot);
        }
        effects.order_changed(self.orders.get(slot));
        if e.list != 0
            && let Some(list) = self.lists.get_mut(&e.list)
        {
            list.orders.push(e.order);
            self.list_legs.entry(e.list).or_default().push((e.order, e.client_id));
            list.updated = self.now;
            effects.list_changed(list);
        }
    }

    fn triggered(&mut self, slot: Slot, hold: Amount, rests: bool, effects: &mut impl Effects) {
        let order = self.orders.get_mut(slot);
        order.working = true;
        order.working_since = self.now;
        order.updated = self.now;
        order.hold += hold;
        let (account, market) = (order.account, order.market);
        let asset = hold_asset(&self.markets, self.orders.get(slot));
        if hold > 0 {
            self.transfer(asset, hold, (account, Free), (account, Locked), effects);
        }
        let was_queued = self.orders.is_queued(slot);
        let book = book(&mut self.markets, market, self.sequence);
        book.stop_waiting(&mut self.orders, slot);
        if rests {
            book.rest(&mut self.orders, slot);
        }
        if was_queued {
            self.note_work(market);
        }
        effects.order_changed(self.orders.get(slot));
    }

    #[inline(never)]
    fn amended(&mut self, slot: Slot, quantity: Quantity, client_id: ClientId, released: Amount, effects: &mut impl Effects) {
        let before = *self.orders.get(slot);
        effects.amended(&AmendmentRecord {
            execution: self.sequence,
            account: before.account,
            market: before.market,
            order: before.id,
            original_client_id: before.client_id,
            client_id,
            original_quantity: before.quantity,
            quantity,
            time: self.now,
        });
        let order = self.orders.get_mut(slot);
        order.quantity = quantity;
        order.hold -= released;
        order.updated = self.now;
        self.bought_less(&before, before.quantity - quantity);
        let book = book(&mut self.markets, before.market, self.sequence);
        if self.orders.is_resting(slot) {
            // The part that an iceberg order shows decreases only if the rest is less.
            let visible = before.shown.min(self.orders.get(slot).remaining());
            book.shrink(&mut self.orders, slot, before.quantity - quantity, visible);
        }
        if released > 0 {
            let asset = hold_asset(&self.markets, &before);
            self.transfer(asset, released, (before.account, Locked), (before.account, Free), effects);
        }
        *self.amendments.entry(before.id).or_default() += 1;
        let renamed = before.client_id != client_id;
        if renamed {
            self.orders.rename(slot, client_id);
        }
        effects.order_changed(self.orders.get(slot));
        if renamed && let Some(list) = self.lists.get_mut(&{ before.list }) {
            let legs = self.list_legs.get_mut(&list.id).into_iter().flatten();
            legs.filter(|leg| leg.0 == before.id).for_each(|leg| leg.1 = client_id);
            list.updated = self.now;
            effects.list_changed(list);
        }
    }

    #[inline(never)]
    fn traded(&mut self, e: &Trade, effects: &mut impl Effects) {
        let (Some(taker), Some(maker)) = (self.orders.slot(e.taker), self.orders.slot(e.maker)) else { return };
        let quote = notional(e.price, e.quantity);
        let taker_side = self.orders.get(taker).side;
        let book = book(&mut self.markets, e.market, self.sequence);
        if self.orders.get(maker).iceberg == 0 {
            book.reduce(taker_side.opposite(), e.price, e.quantity);
        }
        book.traded(e.price, e.quantity, quote, self.now);
        book.last_trade = e.trade;
        book.last_aggregate = e.aggregate;
        book.aggregate_of = (e.taker, e.price);

        let (buy, sell, buyer_commission, seller_commission) = match taker_side {
            Side::Buy => (taker, maker, e.taker_commission, e.maker_commission),
            Side::Sell => (maker, taker, e.maker_commission, e.taker_commission),
        };
        let now = self.now;
        let execute = |order: &mut Order| {
            order.executed += e.quantity;
            order.executed_quote += quote;
            order.updated = now;
            order.status = OrderStatus::PartiallyFilled;
        };
        let counts = self.feature_level >= FORWARDING_LEVEL;
        let first_fill = |order: &Order, count: &mut OrderCount| {
            if counts && order.executed == e.quantity {
                count.subtract(if order.id == e.maker { MAKER_FIRST_FILL } else { TAKER_FIRST_FILL }, now);
            }
        };
        let order = self.orders.get_mut(buy);
        execute(order);
        // A limit order locked its own price; the difference to a better trade price is free immediately.
        let used = if order.kind.has_price() { notional(order.price, e.quantity).min(order.hold) } else { quote };
        order.hold -= used;
        let (buyer, buyer_order) = (order.account, order.id);
        let order = self.orders.get_mut(sell);
        execute(order);
        order.hold -= Amount::from(e.quantity);
        let (seller, seller_order) = (order.account, order.id);
        if self.orders.get(maker).iceberg > 0 {
            self.iceberg_traded(maker, e.quantity);
        }

        let market = &self.markets[usize::from(e.market)].market;
        let (base_asset, quote_asset) = (market.base, market.quote);
        // The result of the transfers below, account by account: each balance is looked up once.
        let base = Amount::from(e.quantity);
        if let Some(entry) = self.accounts.get_mut(buyer as usize) {
            let paid = entry.balances.get_mut(quote_asset);
            paid.locked -= used;
            paid.free += used - quote;
            first_fill(self.orders.get(buy), &mut entry.count);
            entry.orders_on_mut(e.market).buying -= base;
            entry.balances.get_mut(base_asset).free += base - buyer_commission;
        }
        if let Some(entry) = self.accounts.get_mut(seller as usize) {
            entry.balances.get_mut(base_asset).locked -= base;
            first_fill(self.orders.get(sell), &mut entry.count);
            entry.balances.get_mut(quote_asset).free += quote - seller_commission;
        }
        if let Some(entry) = self.accounts.get_mut(FEES as usize)
            && (buyer_commission, seller_commission) != (0, 0)
        {
            entry.balances.get_mut(base_asset).free += buyer_commission;
            entry.balances.get_mut(quote_asset).free += seller_commission;
        }
        for (asset, amount, debit, credit) in [
            (quote_asset, quote, (buyer, Locked), (seller, Free)),
            (quote_asset, used - quote, (buyer, Locked), (buyer, Free)),
            (base_asset, base, (seller, Locked), (buyer, Free)),
            (base_asset, buyer_commission, (buyer, Free), (FEES, Free)),
            (quote_asset, seller_commission, (seller, Free), (FEES, Free)),
        ] {
            if amount != 0 {
                effects.transfer(Transfer { asset, amount, debit, credit });
            }
        }
        effects.traded(&TradeRecord {
            market: e.market,
            trade: e.trade,
            aggregate: e.aggregate,
            price: e.price,
            quantity: e.quantity,
            quote,
            time: now,
            buyer_is_maker: taker_side == Side::Sell,
            buyer_order,
            seller_order,
            buyer,
            seller,
            buyer_commission,
            seller_commission,
        });
        for slot in [maker, taker] {
            let order = self.orders.get(slot);
            // A separate event ends a MARKET order by quoteOrderQty: it knows whether the book was exhausted.
            if order.remaining() == 0 && order.quote_order_quantity == 0 {
                self.close(slot, OrderStatus::Filled, ExpiryReason::None, effects);
            } else {
                effects.order_changed(order);
            }
        }
        if !self.markets[usize::from(e.market)].book.trailing.is_empty() {
            self.track(e.market, e.price, effects);
        }
    }

    /// Trailing stop orders whose stop price a trade reached begin to track the price.
    #[cold]
    #[inline(never)]
    fn track(&mut self, market: MarketId, price: Price, effects: &mut impl Effects) {
        let began = book(&mut self.markets, market, self.sequence).trailing.traded(price, self.sequence, &self.orders);
        for slot in began {
            self.orders.get_mut(slot).tracking_since = self.now;
            effects.order_changed(self.orders.get(slot));
        }
    }

    /// A part of a resting iceberg order traded; its remainder is the one after the trade.
    #[cold]
    #[inline(never)]
    fn iceberg_traded(&mut self, maker: Slot, quantity: Quantity) {
        let Order { market, shown, .. } = *self.orders.get(maker);
        book(&mut self.markets, market, self.sequence).shrink(&mut self.orders, maker, quantity, (shown - quantity).max(0));
    }

    /// `released` are the amounts that taker and maker get back.
    fn match_prevented(&mut self, e: &MatchPrevented, released: [Amount; 2], effects: &mut impl Effects) {
        book(&mut self.markets, e.market, self.sequence).last_prevented_match = e.prevented_match;
        if let Some(taker) = self.order(e.taker) {
            effects.prevented(&PreventedRecord {
                sequence: self.sequence,
                market: e.market,
                prevented_match: e.prevented_match,
                account: taker.account,
                taker: e.taker,
                maker: e.maker,
                stp: taker.stp,
                price: e.price,
                taker_quantity: e.taker_quantity,
                maker_quantity: e.maker_quantity,
                time: self.now,
            });
        }
        for (id, quantity, released) in [(e.taker, e.taker_quantity, released[0]), (e.maker, e.maker_quantity, released[1])] {
            if quantity == 0 {
                continue;
            }
            let Some(slot) = self.orders.slot(id) else { continue };
            let order = self.orders.get_mut(slot);
            order.prevented += quantity;
            order.prevented_match = e.prevented_match;
            order.updated = self.now;
            order.hold -= released;
            let order = *order;
            let Order { account, shown, .. } = order;
            self.bought_less(&order, quantity);
            if id == e.maker {
                let book = book(&mut self.markets, e.market, self.sequence);
                book.shrink(&mut self.orders, slot, quantity, (shown - quantity).max(0));
            }
            let asset = hold_asset(&self.markets, self.orders.get(slot));
            self.transfer(asset, released, (account, Locked), (account, Free), effects);
            effects.order_changed(self.orders.get(slot));
        }
    }

    /// The remainder of an open order decreased by `quantity` without a trade.
    fn bought_less(&mut self, order: &Order, quantity: Quantity) {
        if order.side == Side::Buy
            && let Some(entry) = self.accounts.get_mut(order.account as usize)
        {
            entry.orders_on_mut(order.market).buying -= Amount::from(quantity);
        }
    }

    /// Ends an order: removes it from its chains, frees its hold, and ends its list if it was the last one.
    fn close(&mut self, slot: Slot, status: OrderStatus, reason: ExpiryReason, effects: &mut impl Effects) {
        let order = self.orders.get_mut(slot);
        order.status = status;
        order.expiry_reason = reason;
        order.updated = self.now;
        let released = order.hold;
        order.hold = 0;
        let (account, market, list, working) = (order.account, order.market, order.list, order.working);
        if released > 0 {
            let asset = hold_asset(&self.markets, self.orders.get(slot));
            self.transfer(asset, released, (account, Locked), (account, Free), effects);
        }
        let book = book(&mut self.markets, market, self.sequence);
        if !working {
            let was_queued = self.orders.is_queued(slot);
            book.stop_waiting(&mut self.orders, slot);
            if was_queued {
                self.note_work(market);
            }
        } else if self.orders.is_resting(slot) {
            book.remove(&mut self.orders, slot);
        }
        if let Some(entry) = self.accounts.get_mut(account as usize) {
            entry.remove_open(&mut self.orders, slot);
        }
        effects.order_changed(self.orders.get(slot));
        if !self.amendments.is_empty() {
            self.amendments.remove(&self.orders.get(slot).id);
        }
        self.orders.remove(slot);
        if list != 0 {
            self.order_of_list_closed(list, status, effects);
        }
    }

    #[inline]
    fn transfer(
        &mut self,
        asset: AssetId,
        amount: Amount,
        debit: (AccountId, Bucket),
        credit: (AccountId, Bucket),
        effects: &mut impl Effects,
    ) {
        if amount == 0 {
            return;
        }
        for ((account, bucket), signed) in [(debit, -amount), (credit, amount)] {
            if let Some(entry) = self.accounts.get_mut(account as usize) {
                *entry.balances.get_mut(asset).bucket(bucket) += signed;
            }
        }
        effects.transfer(Transfer { asset, amount, debit, credit });
    }
}

/// The book of an event, with the event's sequence recorded in it.
#[inline]
fn book(markets: &mut [MarketEntry], market: u16, sequence: u64) -> &mut Book {
    let book = &mut markets[usize::from(market)].book;
    book.sequence = sequence;
    book
}

/// The asset that an order locks: the quote asset of a buy, the base asset of a sell.
#[inline]
pub(crate) fn hold_asset(markets: &[MarketEntry], order: &Order) -> AssetId {
    let market = &markets[usize::from(order.market)].market;
    match order.side {
        Side::Buy => market.quote,
        Side::Sell => market.base,
    }
}
