//! This module applies settings of operators and their consequences: protections, market states, cancel-all, reached stops, and time.
//! It must not place or match an order.

use super::book;
use crate::event::Event;
use crate::market::MarketStatus;
use crate::money::Time;
use crate::order::{MarketId, OrderId};
use crate::protection::{CancelScope, Protection};
use crate::state::State;

impl State {
    /// Operator settings, their consequences, and reached stops: rare compared with orders and trades.
    #[cold]
    #[inline(never)]
    pub(super) fn operated(&mut self, event: &Event) {
        match event {
            Event::StopsReached { market, low, high } => {
                book(&mut self.markets, *market, self.sequence).queue_reached(&mut self.orders, *low, *high);
                self.note_work(*market);
            }
            Event::CancelAllBegun { scope: CancelScope::Account(account), through } => {
                self.clearing_accounts.insert(*account, *through);
            }
            Event::CancelAllDone { scope: CancelScope::Account(account) } => _ = self.clearing_accounts.remove(account),
            Event::CancelAllBegun { scope: CancelScope::Market(market), through } => self.set_clearing(*market, *through),
            Event::CancelAllDone { scope: CancelScope::Market(market) } => self.set_clearing(*market, 0),
            Event::PriceRangeSet { market, rule } => self.protect(*market, |protection| protection.price_range = *rule),
            Event::ReferencePriceSet { market, price } => self.protect(*market, |protection| protection.reference_price = *price),
            Event::BreakerSet { market, breaker } => self.protect(*market, |protection| protection.breaker = *breaker),
            Event::MarketLimitsSet { market, limits } => {
                if let Some(entry) = self.markets.get_mut(usize::from(*market)) {
                    entry.market.limits = *limits;
                }
            }
            Event::ExchangeLimitsSet(limits) => self.limits = *limits,
            Event::TimeSetBack(time) => self.set_time_back(*time),
            Event::MarketPaused { market, until } => self.set_status(*market, MarketStatus::CancelOnly, Some(*until)),
            _ => {}
        }
    }

    /// Excludes minutes after the new time from the average, and ends a pause that would end after it.
    fn set_time_back(&mut self, time: Time) {
        self.now = time;
        for market in 0..self.markets.len() {
            let entry = &mut self.markets[market];
            entry.book.forget_minutes_after(time);
            if entry.paused_until > time {
                self.pauses.remove(&(entry.paused_until, entry.market.id));
                entry.paused_until = time;
                self.pauses.insert((time, entry.market.id));
            }
        }
    }

    fn protect(&mut self, market: MarketId, change: impl FnOnce(&mut Protection)) {
        if let Some(entry) = self.markets.get_mut(usize::from(market)) {
            change(&mut entry.market.protection);
        }
    }

    pub(super) fn set_status(&mut self, market: MarketId, status: MarketStatus, paused: Option<Time>) {
        let Some(entry) = self.markets.get_mut(usize::from(market)) else { return };
        self.pauses.remove(&(entry.paused_until, market));
        entry.market.status = status;
        entry.tripped = paused.is_some();
        entry.paused_until = paused.unwrap_or(0);
        if entry.paused_until > 0 {
            self.pauses.insert((entry.paused_until, market));
        }
    }

    fn set_clearing(&mut self, market: MarketId, through: OrderId) {
        if let Some(entry) = self.markets.get_mut(usize::from(market)) {
            entry.clearing = through;
            self.note_work(market);
        }
    }

    /// Updates whether the market has queued work.
    pub(crate) fn note_work(&mut self, market: MarketId) {
        let entry = &self.markets[usize::from(market)];
        if entry.book.queued > 0 || entry.clearing > 0 {
            self.busy_markets.insert(market);
        } else {
            self.busy_markets.remove(&market);
        }
    }
}
