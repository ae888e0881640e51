//! This module turns a command into events, or into a refusal that changes nothing. It must not change state except by an event.
//!
//! A decision emits an event and applies it immediately, so the next step sees its effects. All checks that can refuse run before
//! the first event. Exception: each half of a cancel-replace may succeed alone, as the API documents.

mod admin;
mod amend;
mod cancel;
mod limits;
mod matching;
mod order_list;
mod oto;
mod place;
mod protect;
mod triggers;
mod work;

pub use admin::TEXT_MAX;

use crate::command::{Command, Outcome};
use crate::event::{Event, FEATURE_LEVEL};
use crate::market::Market;
use crate::money::{Price, Time};
use crate::order::{ExpiryReason, Fill, MarketId, Order, OrderId, OrderStatus, PreventedMatch};
use crate::orders::Slot;
use crate::refusal::Refusal;
use crate::state::State;
use smallvec::SmallVec;

impl State {
    /// Decides `command` at `now` (µs). On success its events are applied and appended to `out`; a refusal has no effect. Journal
    /// time never runs backwards: an older `now` counts as the last journal time.
    ///
    /// The caller must first run queued work while [`Self::must_wait`] is true; this function runs the rest of that work before
    /// the command.
    pub fn decide(&mut self, command: &Command, now: Time, out: &mut Vec<Event>) -> Result<Outcome, Refusal> {
        let mut decision = Decision::new(self, now, out);
        decision.run_queue_before(command);
        match command {
            Command::Place(new) => decision.place(new).map(|placed| Outcome::Placed(Box::new(placed))),
            Command::Cancel(cancel) => decision.cancel(cancel).map(Outcome::Canceled),
            Command::CancelAll { account, market } => decision.cancel_all(*account, *market).map(Outcome::CanceledAll),
            Command::CancelReplace { cancel, new, mode } => {
                decision.cancel_replace(cancel, new, *mode).map(|both| Outcome::CancelReplaced(Box::new(both)))
            }
            Command::PlaceOco(new) => decision.place_oco(new).map(Outcome::List),
            Command::PlaceOto(new) => decision.place_oto(new).map(Outcome::List),
            Command::Amend(amend) => decision.amend(amend).map(|amended| Outcome::Amended(Box::new(amended))),
            Command::CancelList { account, market, list, client_id } => {
                decision.cancel_list(*account, *market, *list, *client_id).map(Outcome::List)
            }
            Command::Admin { operator, action } => decision.admin(operator, action),
            Command::Tick => {
                decision.start();
                Ok(Outcome::Done)
            }
        }
    }
}

struct Decision<'a> {
    state: &'a mut State,
    out: &'a mut Vec<Event>,
    time: Time,
    /// The shell's clock, which may be behind journal time.
    clock: Time,
    /// The order whose executions as a taker the reply contains, and those executions.
    told: OrderId,
    fills: SmallVec<[Fill; 2]>,
    prevented: Vec<PreventedMatch>,
}

/// Lowest and highest price of one taker's trades.
#[derive(Clone, Copy)]
struct Traded {
    low: Price,
    high: Price,
}

impl Traded {
    const NOTHING: Self = Self { low: Price::MAX, high: 0 };

    fn add(&mut self, price: Price) {
        self.low = self.low.min(price);
        self.high = self.high.max(price);
    }
}

impl<'a> Decision<'a> {
    fn new(state: &'a mut State, now: Time, out: &'a mut Vec<Event>) -> Self {
        Self { clock: now, time: now.max(state.now), state, out, told: 0, fills: SmallVec::new(), prevented: Vec::new() }
    }
}

impl Decision<'_> {
    /// Advances journal time to the command's. A new journal starts at the newest feature level, because no earlier release reads
    /// it.
    #[inline]
    fn start(&mut self) {
        if self.state.sequence == 0 {
            let level = Event::FeatureLevel(FEATURE_LEVEL);
            self.state.evolve(&level);
            self.out.push(level);
        }
        if self.time > self.state.now {
            let clock = Event::Clock(self.time);
            self.state.evolve(&clock);
            self.out.push(clock);
        }
    }

    /// Inlined: every caller passes a known kind of event, which removes the match.
    #[inline(always)]
    fn emit(&mut self, event: Event) {
        self.start();
        self.state.evolve(&event);
        self.out.push(event);
    }

    /// The current order, or its state when it ended: no order is inserted between its end and the reply.
    fn shown(&self, slot: Slot) -> Order {
        *self.state.orders.get(slot)
    }

    /// Ends an order and, if it belongs to a list, the rest of the list.
    fn close(&mut self, slot: Slot, status: OrderStatus, reason: ExpiryReason) {
        let siblings = self.siblings(slot);
        let Order { id: order, status: before, .. } = *self.state.orders.get(slot);
        self.state.orders.expect(slot);
        self.emit(Event::OrderClosed { order, status, reason });
        for sibling in siblings {
            let pends = self.state.order(sibling).is_some_and(|other| other.status == OrderStatus::PendingNew);
            let (status, reason) = match status {
                OrderStatus::Canceled => (OrderStatus::Canceled, ExpiryReason::None),
                _ if pends && before != OrderStatus::PendingNew => (OrderStatus::Expired, ExpiryReason::OtoPhaseOneExpired),
                _ => (OrderStatus::Expired, ExpiryReason::OcoTrigger),
            };
            self.emit(Event::OrderClosed { order: sibling, status, reason });
        }
    }

    /// Ends the other order of an OCO pair: it must not trade once this one trades or is active.
    fn close_siblings(&mut self, slot: Slot) {
        for order in self.partners(slot) {
            self.emit(Event::OrderClosed { order, status: OrderStatus::Expired, reason: ExpiryReason::OcoTrigger });
        }
    }

    /// The other open order of an OCO pair. A working order and the orders that wait for it are not partners.
    fn partners(&self, slot: Slot) -> SmallVec<[OrderId; 2]> {
        let mut partners = self.siblings(slot);
        if !partners.is_empty() {
            let pends = |order: &Order| order.status == OrderStatus::PendingNew;
            let own = pends(self.state.orders.get(slot));
            partners.retain(|id| self.state.order(*id).is_some_and(|other| pends(other) == own));
        }
        partners
    }

    #[inline]
    fn siblings(&self, slot: Slot) -> SmallVec<[OrderId; 2]> {
        let Order { id, list, .. } = self.state.orders.get(slot);
        if *list == 0 {
            return SmallVec::new();
        }
        let all = self.state.lists.get(list).into_iter().flat_map(|list| list.orders.iter().copied());
        all.filter(|other| other != id && self.state.order(*other).is_some()).collect()
    }

    fn market(&self, market: MarketId) -> Result<&Market, Refusal> {
        self.state.market(market).ok_or(Refusal::UnknownSymbol)
    }
}
