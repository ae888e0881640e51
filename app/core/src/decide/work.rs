//! This module runs queued work (triggered and pending orders, an operator's cancels) in steps that are separate decisions. It must not
//! decide a customer's command.
//!
//! - The queues are in the state: a new leader, or a restored snapshot, resumes at the same point.
//! - A step is bounded: one triggered order, or at most [`CANCEL_CHUNK`] cancels. Other markets' commands run in between.
//! - A market that is not trading holds its queue; its orders can be canceled. An operator's cancels run in any status.
//! - A paused market resumes here at the end of its pause.

use super::{Decision, Traded};
use crate::command::Command;
use crate::event::Event;
use crate::market::MarketStatus;
use crate::money::Time;
use crate::order::{AccountId, MarketId, OrderId, OrderStatus};
use crate::orders::{NONE, Slot};
use crate::protection::CancelScope;
use crate::state::State;

/// Orders that one step of an operator's cancels ends; a list is a unit.
pub const CANCEL_CHUNK: usize = 500;

impl State {
    /// Whether [`Self::work`] has work at `now` (µs). Costs at most one check per market with a queue.
    pub fn has_work(&self, now: Time) -> bool {
        !self.clearing_accounts.is_empty() || self.resumes(now).is_some() || self.next_busy().is_some()
    }

    /// Runs one step of the queued work; its events are applied and appended to `out`. False: the queue was empty.
    pub fn work(&mut self, now: Time, out: &mut Vec<Event>) -> bool {
        let mut decision = Decision::new(self, now, out);
        if let Some(market) = decision.state.resumes(now) {
            decision.emit(Event::MarketStatusSet { market, status: MarketStatus::Trading });
        } else if let Some(account) = decision.state.clearing_accounts.keys().next().copied() {
            decision.clear_account(account);
        } else if let Some(market) = decision.state.next_busy() {
            decision.state.last_busy = market;
            if decision.state.markets[usize::from(market)].clearing > 0 {
                decision.clear_market(market);
            } else {
                decision.run_next(market);
            }
        } else {
            return false;
        }
        true
    }

    /// Whether `command` must wait for queued work of its market: triggered orders run before the market's next order.
    #[inline]
    pub fn must_wait(&self, command: &Command) -> bool {
        !self.busy_markets.is_empty() && self.waits_for_queue(command)
    }

    fn waits_for_queue(&self, command: &Command) -> bool {
        let entry = command.places_on().and_then(|market| self.markets.get(usize::from(market)));
        entry.is_some_and(|entry| entry.runs_queue())
    }

    fn resumes(&self, now: Time) -> Option<MarketId> {
        self.pauses.first().filter(|(until, _)| *until <= now.max(self.now)).map(|(_, market)| *market)
    }

    /// The next market whose work may run, round-robin.
    fn next_busy(&self) -> Option<MarketId> {
        let runs = |market: &&MarketId| {
            let entry = &self.markets[usize::from(**market)];
            entry.clearing > 0 || entry.runs_queue()
        };
        let after = self.busy_markets.range(self.last_busy.saturating_add(1)..).find(runs);
        after.or_else(|| self.busy_markets.iter().find(runs)).copied()
    }
}

impl crate::state::MarketEntry {
    fn runs_queue(&self) -> bool {
        self.book.queued > 0 && self.market.status == MarketStatus::Trading
    }
}

impl Decision<'_> {
    pub(super) fn run_queue_before(&mut self, command: &Command) {
        while self.state.must_wait(command) {
            let Some(market) = command.places_on() else { return };
            self.run_next(market);
        }
    }

    /// Triggers, or places, the oldest order of the market's queue.
    fn run_next(&mut self, market: MarketId) {
        let entry = &mut self.state.markets[usize::from(market)];
        let Some(slot) = entry.book.next_queued() else { return };
        entry.book.remember_average(entry.market.filters.average_minutes, self.time);
        let mut range = Traded::NOTHING;
        if self.state.orders.get(slot).status == OrderStatus::PendingNew {
            self.activate(slot, &mut range);
        } else {
            self.trigger(slot, &mut range);
        }
        self.after_trades(market, range);
    }

    fn clear_market(&mut self, market: MarketId) {
        for _ in 0..CANCEL_CHUNK {
            let Some(slot) = self.state.markets[usize::from(market)].book.any_order() else {
                return self.emit(Event::CancelAllDone { scope: CancelScope::Market(market) });
            };
            self.cancel_found(slot);
        }
    }

    fn clear_account(&mut self, account: AccountId) {
        let through = self.state.clearing_accounts.get(&account).copied().unwrap_or(0);
        let mut room = CANCEL_CHUNK;
        // Chains are in order of placement: the first order after the operator's command ends the market's part.
        let markets = self.state.accounts.get(account as usize).map_or(0, |entry| entry.orders.len());
        for index in 0..markets {
            while let Some(slot) = self.first_of(account, index, through) {
                if room == 0 {
                    return;
                }
                self.cancel_found(slot);
                room -= 1;
            }
        }
        self.emit(Event::CancelAllDone { scope: CancelScope::Account(account) });
    }

    /// The account's oldest open order on its market number `index`, unless it was placed after `through`.
    fn first_of(&self, account: AccountId, index: usize, through: OrderId) -> Option<Slot> {
        let first = self.state.accounts.get(account as usize)?.orders.get(index)?.chain.first;
        (first != NONE && self.state.orders.get(first).id <= through).then_some(first)
    }
}
