//! This module encodes the whole state as bytes, in one fixed order: equal states produce equal bytes. It must not store a
//! snapshot.

use crate::batch::checksum;
use crate::book::MinuteVolume;
use crate::codec::{ByteDecoder, ByteEncoder, DecodeError, Sink};
use crate::command::AccountRights;
use crate::event::{
    AMENDMENT_LEVEL, FEATURE_LEVEL, FIRST_FEATURE_LEVEL, FORWARDING_LEVEL, ICEBERG_LEVEL, OTO_LEVEL, TRAILING_LEVEL,
};
use crate::fields::{client_id, decode_commission_option, encode_commission_option};
use crate::ledger::Balance;
use crate::limits::{ExchangeLimits, MarketLimits};
use crate::market::{Asset, Commission, Filters, Market, MarketStatus};
use crate::order::{Contingency, ExpiryReason, Order, OrderStatus, OrderType, Side, StpMode, TimeInForce};
use crate::order_count::OrderCount;
use crate::orders::{ChainLink, NONE, Slot};
use crate::protection::{Breaker, PriceRange, Protection};
use crate::state::{MarketEntry, OrderList, State};
use crate::trailing::Trailing;
use smallvec::SmallVec;

/// Newest version of these bytes. Versions 2 to 7 add the fields of feature levels 2 to 7. A state of a lower level is written in its
/// version, which an earlier release reads.
pub const SNAPSHOT_FORMAT: u8 = 7;
const SIXTH_FORMAT: u8 = 6;
const FIFTH_FORMAT: u8 = 5;
const FOURTH_FORMAT: u8 = 4;
const THIRD_FORMAT: u8 = 3;
const SECOND_FORMAT: u8 = 2;
const FIRST_FORMAT: u8 = 1;

impl State {
    /// Appends the state's bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut w = ByteEncoder(out);
        let first = self.feature_level == FIRST_FEATURE_LEVEL;
        let counts = self.feature_level >= FORWARDING_LEVEL;
        let amends = self.feature_level >= AMENDMENT_LEVEL;
        let pends = self.feature_level >= OTO_LEVEL;
        let trails = self.feature_level >= TRAILING_LEVEL;
        w.u8(match self.feature_level {
            ..=FIRST_FEATURE_LEVEL => FIRST_FORMAT,
            2 => SECOND_FORMAT,
            FORWARDING_LEVEL => THIRD_FORMAT,
            AMENDMENT_LEVEL => FOURTH_FORMAT,
            OTO_LEVEL => FIFTH_FORMAT,
            ICEBERG_LEVEL => SIXTH_FORMAT,
            _ => SNAPSHOT_FORMAT,
        });
        if !first {
            w.u64(self.feature_level.into());
        }
        w.u64(self.sequence);
        w.i64(self.now);
        w.u64(self.last_order);
        w.u64(self.last_list);
        w.u64(self.assets.len() as u64);
        for asset in &self.assets {
            w.text(&asset.code);
        }
        w.u64(self.accounts.len() as u64);
        for entry in &self.accounts {
            let account = &entry.account;
            w.text(&account.reference);
            account.rights.encode(&mut w);
            encode_commission_option(account.commission.as_ref(), &mut w);
            w.i64(account.created);
            w.i64(account.updated);
            w.u64(entry.balances.iter().count() as u64);
            for (asset, balance) in entry.balances.iter() {
                w.u64(asset.into());
                w.amount(balance.free);
                w.amount(balance.locked);
            }
        }
        w.u64(self.lists.len() as u64);
        for list in self.lists.values() {
            w.u64(list.id);
            w.u64(list.account.into());
            w.u64(list.market.into());
            w.text(list.client_id.as_str());
            w.i64(list.created);
            w.i64(list.updated);
            if pends {
                w.u8(list.contingency as u8);
            }
            w.u64(list.orders.len() as u64);
            for order in &list.orders {
                w.u64(*order);
            }
        }
        w.u64(self.credits.len() as u64);
        for (reference, (account, asset, amount)) in &self.credits {
            w.text(reference);
            w.u64((*account).into());
            w.u64((*asset).into());
            w.amount(*amount);
        }
        w.u64(self.markets.len() as u64);
        for entry in &self.markets {
            self.encode_market(entry, &mut w);
            if !first {
                self.encode_market_of_level_2(entry, &mut w);
            }
            if pends {
                self.encode_pending(entry, &mut w);
                entry.market.limits.encode(self.feature_level, &mut w);
            }
            if trails {
                entry.book.trailing.encode(&mut w, |slot, w| self.encode_order(slot, w));
            }
        }
        if !first {
            w.u64(self.clearing_accounts.len() as u64);
            for (account, through) in &self.clearing_accounts {
                w.u64((*account).into());
                w.u64(*through);
            }
            for list in self.lists.keys() {
                let legs = self.list_legs(*list);
                w.u64(legs.len() as u64);
                for (order, client_id) in legs {
                    w.u64(*order);
                    w.text(client_id.as_str());
                }
            }
        }
        if counts {
            for OrderCount { window, day, ten_seconds, one_day } in self.accounts.iter().map(|entry| entry.count) {
                w.i64(window);
                w.i64(day);
                w.u64(ten_seconds.into());
                w.u64(one_day.into());
            }
        }
        if amends {
            w.u64(self.amendments.len() as u64);
            for (order, count) in &self.amendments {
                w.u64(*order);
                w.u64((*count).into());
            }
        }
        if pends {
            self.limits.encode(self.feature_level, &mut w);
        }
    }

    fn encode_order(&self, slot: Slot, w: &mut ByteEncoder<impl Sink>) {
        let order = self.orders.get(slot);
        encode_order(order, w);
        if self.feature_level >= ICEBERG_LEVEL {
            w.i64(order.iceberg);
            w.i64(order.shown);
        }
        if self.feature_level >= TRAILING_LEVEL {
            w.u64(order.trailing_delta.into());
            w.i64(order.tracking_since);
        }
    }

    fn encode_pending(&self, entry: &MarketEntry, w: &mut ByteEncoder<impl Sink>) {
        w.u64(entry.book.pending.len() as u64);
        for slot in entry.book.pending.values() {
            self.encode_order(*slot, w);
        }
    }

    fn encode_market_of_level_2(&self, entry: &MarketEntry, w: &mut ByteEncoder<impl Sink>) {
        let protection = &entry.market.protection;
        w.bool(protection.price_range.is_some());
        protection.price_range.iter().for_each(|rule| rule.encode(w));
        w.i64(protection.reference_price);
        w.bool(protection.breaker.is_some());
        protection.breaker.iter().for_each(|breaker| breaker.encode(w));
        w.bool(entry.tripped);
        w.i64(entry.paused_until);
        w.u64(entry.clearing);
        let mut slot = entry.book.next_queued().unwrap_or(NONE);
        while slot != NONE {
            w.bool(true);
            self.encode_order(slot, w);
            slot = self.orders.next(slot, ChainLink::Level);
        }
        w.bool(false);
    }

    fn encode_market(&self, entry: &MarketEntry, w: &mut ByteEncoder<impl Sink>) {
        let MarketEntry { market, book, .. } = entry;
        w.text(&market.symbol);
        w.u64(market.base.into());
        w.u64(market.quote.into());
        w.u8(market.status as u8);
        market.filters.encode(w);
        market.commission.encode(w);
        w.i64(book.last_price);
        w.u64(book.last_trade);
        w.u64(book.last_aggregate);
        w.u64(book.aggregate_of.0);
        w.i64(book.aggregate_of.1);
        w.u64(book.last_prevented_match);
        w.u64(book.sequence);
        w.u64(book.minutes.len() as u64);
        for minute in &book.minutes {
            w.i64(minute.minute);
            w.amount(minute.quote);
            w.amount(minute.base);
        }
        // Resting orders level by level in queue order: pushing them back in this order rebuilds every queue.
        for side in [Side::Buy, Side::Sell] {
            for (_, level) in book.levels(side) {
                let mut slot = level.chain.first;
                while slot != NONE {
                    w.bool(true);
                    self.encode_order(slot, w);
                    slot = self.orders.next(slot, ChainLink::Level);
                }
            }
        }
        for slot in book.above.slots().chain(book.below.slots()) {
            w.bool(true);
            self.encode_order(slot, w);
        }
        w.bool(false);
    }

    /// Reads the output of [`Self::encode`]; trailing bytes are an error.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = ByteDecoder::new(bytes);
        let format = r.u8()?;
        if !(FIRST_FORMAT..=SNAPSHOT_FORMAT).contains(&format) {
            return Err(DecodeError { at: 0, expected: "snapshot format 1 to 7: run the release that wrote it" });
        }
        let mut state = Self::new();
        if format > FIRST_FORMAT {
            state.feature_level = r.u32()?;
            if state.feature_level > FEATURE_LEVEL {
                return Err(r.error("a feature level that this release knows: run the newer release"));
            }
        }
        state.accounts.clear();
        state.account_by_reference.clear();
        state.sequence = r.u64()?;
        state.now = r.i64()?;
        state.last_order = r.u64()?;
        state.last_list = r.u64()?;
        for id in 0..r.u16()? {
            state.add_asset(Asset { id, code: r.text()?.into() });
        }
        for id in 0..r.u32()? {
            let reference = r.text()?.into();
            state.add_account(id, reference, AccountRights::decode(&mut r)?);
            let entry = &mut state.accounts[id as usize];
            entry.account.commission = decode_commission_option(&mut r)?;
            entry.account.created = r.i64()?;
            entry.account.updated = r.i64()?;
            for _ in 0..r.u64()? {
                let asset = r.u16()?;
                *entry.balances.get_mut(asset) = Balance { free: r.amount()?, locked: r.amount()? };
            }
        }
        for _ in 0..r.u64()? {
            let mut list = OrderList {
                id: r.u64()?,
                account: r.u32()?,
                market: r.u16()?,
                client_id: client_id(&mut r)?,
                contingency: Contingency::Oco,
                orders: SmallVec::new(),
                done: false,
                created: r.i64()?,
                updated: r.i64()?,
            };
            if format > FOURTH_FORMAT {
                list.contingency = Contingency::from_code(r.u8()?).ok_or(r.error("a contingency type"))?;
            }
            for _ in 0..r.u64()? {
                list.orders.push(r.u64()?);
            }
            state.add_list(list);
        }
        for _ in 0..r.u64()? {
            let reference = r.text()?.into();
            state.credits.insert(reference, (r.u32()?, r.u16()?, r.amount()?));
        }
        for id in 0..r.u16()? {
            state.decode_market(id, format, &mut r)?;
        }
        if format > FIRST_FORMAT {
            for _ in 0..r.u64()? {
                state.clearing_accounts.insert(r.u32()?, r.u64()?);
            }
        }
        state.decode_list_legs(format, &mut r)?;
        if format > SECOND_FORMAT {
            for entry in &mut state.accounts {
                let (window, day, ten_seconds, one_day) = (r.i64()?, r.i64()?, r.u32()?, r.u32()?);
                entry.count = OrderCount { window, day, ten_seconds, one_day };
            }
        }
        if format > THIRD_FORMAT {
            for _ in 0..r.u64()? {
                state.amendments.insert(r.u64()?, r.u32()?);
            }
        }
        if format > FOURTH_FORMAT {
            state.limits = ExchangeLimits::decode(state.feature_level, &mut r)?;
        }
        if r.is_empty() { Ok(state) } else { Err(r.error("the end of the snapshot")) }
    }

    fn decode_list_legs(&mut self, format: u8, r: &mut ByteDecoder<'_>) -> Result<(), DecodeError> {
        for list in self.lists.values() {
            let legs = self.list_legs.entry(list.id).or_default();
            if format == FIRST_FORMAT {
                let open = list.orders.iter().filter_map(|id| self.orders.slot(*id));
                legs.extend(open.map(|slot| self.orders.get(slot)).map(|order| (order.id, order.client_id)));
            } else {
                for _ in 0..r.u64()? {
                    legs.push((r.u64()?, client_id(r)?));
                }
            }
        }
        Ok(())
    }

    fn decode_market(&mut self, id: u16, format: u8, r: &mut ByteDecoder<'_>) -> Result<(), DecodeError> {
        let market = Market {
            id,
            symbol: r.text()?.into(),
            base: r.u16()?,
            quote: r.u16()?,
            status: MarketStatus::from_code(r.u8()?).ok_or(r.error("a market status"))?,
            filters: Filters::decode(r)?,
            commission: Commission::decode(r)?,
            protection: Protection::default(),
            limits: MarketLimits::default(),
        };
        let mut entry = MarketEntry::new(market);
        let book = &mut entry.book;
        book.last_price = r.i64()?;
        book.last_trade = r.u64()?;
        book.last_aggregate = r.u64()?;
        book.aggregate_of = (r.u64()?, r.i64()?);
        book.last_prevented_match = r.u64()?;
        book.sequence = r.u64()?;
        for _ in 0..r.u64()? {
            book.minutes.push_back(MinuteVolume { minute: r.i64()?, quote: r.amount()?, base: r.amount()? });
        }
        self.market_by_symbol.insert(entry.market.symbol.clone(), id);
        let mut by_account = Vec::new();
        while r.bool()? {
            let order = decode_order(id, format, r)?;
            let (order_id, account, kind, side, stop_price, working) =
                (order.id, order.account, order.kind, order.side, order.stop_price, order.working);
            let slot = self.orders.insert(order);
            if working {
                book.rest(&mut self.orders, slot);
            } else {
                book.waiting_mut(kind, side).insert(stop_price, order_id, slot);
            }
            by_account.push((order_id, account, slot));
        }
        if format > FIRST_FORMAT {
            let protection = &mut entry.market.protection;
            protection.price_range = if r.bool()? { Some(PriceRange::decode(r)?) } else { None };
            protection.reference_price = r.i64()?;
            protection.breaker = if r.bool()? { Some(Breaker::decode(r)?) } else { None };
            entry.tripped = r.bool()?;
            entry.paused_until = r.i64()?;
            entry.clearing = r.u64()?;
            while r.bool()? {
                let order = decode_order(id, format, r)?;
                let slot = self.orders.insert(order);
                book.push_queued(&mut self.orders, slot);
                by_account.push((order.id, order.account, slot));
            }
        }
        if format > FOURTH_FORMAT {
            for _ in 0..r.u64()? {
                let order = decode_order(id, format, r)?;
                let slot = self.orders.insert(order);
                book.pending.insert(order.id, slot);
                by_account.push((order.id, order.account, slot));
            }
            entry.market.limits = MarketLimits::decode(self.feature_level, r)?;
        }
        if format > SIXTH_FORMAT {
            book.trailing = Trailing::decode(r, |r| {
                let order = decode_order(id, format, r)?;
                let slot = self.orders.insert(order);
                by_account.push((order.id, order.account, slot));
                Ok((order, slot))
            })?;
        }
        // An account's chain is in order of placement.
        by_account.sort_unstable();
        for (_, account, slot) in by_account {
            let owner = self.accounts.get_mut(account as usize).ok_or(r.error("orders of known accounts"))?;
            owner.add_open(&mut self.orders, slot);
        }
        if entry.paused_until > 0 {
            self.pauses.insert((entry.paused_until, id));
        }
        self.markets.push(entry);
        self.note_work(id);
        Ok(())
    }

    /// A fingerprint of the state: equal for replicas at the same sequence.
    pub fn hash(&self) -> u64 {
        let mut bytes = Vec::new();
        self.encode(&mut bytes);
        (bytes.len() as u64) << 32 | u64::from(checksum(&bytes))
    }
}

fn encode_order(o: &Order, w: &mut ByteEncoder<impl Sink>) {
    w.u64(o.id);
    w.u64(o.account.into());
    for code in [o.side as u8, o.kind as u8, o.time_in_force as u8, o.stp as u8, o.status as u8, o.expiry_reason as u8] {
        w.u8(code);
    }
    w.bool(o.working);
    for value in [o.price, o.stop_price, o.quantity, o.executed, o.prevented] {
        w.i64(value);
    }
    w.u64(o.prevented_match);
    for value in [o.quote_order_quantity, o.executed_quote, o.hold] {
        w.amount(value);
    }
    w.u64(o.list);
    w.text(o.client_id.as_str());
    for time in [o.created, o.updated, o.working_since] {
        w.i64(time);
    }
}

fn decode_order(market: u16, format: u8, r: &mut ByteDecoder<'_>) -> Result<Order, DecodeError> {
    let mut order = Order {
        id: r.u64()?,
        account: r.u32()?,
        market,
        side: Side::from_code(r.u8()?).ok_or(r.error("a side"))?,
        kind: OrderType::from_code(r.u8()?).ok_or(r.error("an order type"))?,
        time_in_force: TimeInForce::from_code(r.u8()?).ok_or(r.error("a time in force"))?,
        stp: StpMode::from_code(r.u8()?).ok_or(r.error("a self-trade prevention mode"))?,
        status: OrderStatus::from_code(r.u8()?).ok_or(r.error("an order status"))?,
        expiry_reason: ExpiryReason::from_code(r.u8()?).ok_or(r.error("an expiry reason"))?,
        working: r.bool()?,
        price: r.i64()?,
        stop_price: r.i64()?,
        quantity: r.i64()?,
        executed: r.i64()?,
        prevented: r.i64()?,
        prevented_match: r.u64()?,
        quote_order_quantity: r.amount()?,
        iceberg: 0,
        shown: 0,
        trailing_delta: 0,
        tracking_since: 0,
        executed_quote: r.amount()?,
        hold: r.amount()?,
        list: r.u64()?,
        client_id: client_id(r)?,
        created: r.i64()?,
        updated: r.i64()?,
        working_since: r.i64()?,
    };
    if format > FIFTH_FORMAT {
        (order.iceberg, order.shown) = (r.i64()?, r.i64()?);
    }
    if format > SIXTH_FORMAT {
        (order.trailing_delta, order.tracking_since) = (r.u32()?, r.i64()?);
    }
    Ok(order)
}
