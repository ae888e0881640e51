//! This module decides lists of a working order and the orders that wait for it (OTO and OTOCO), and places the pending orders once
//! the working order is filled. It must not end a list (see `Decision::close`).
//!
//! - Only the working order locks funds when the list is placed. A pending order locks its own when its turn comes.
//! - A filled working order moves the pending orders to the market's queue, where each turn is a separate decision (see `work`). A
//!   working order that fills at once is therefore reported with pending orders that are still `PENDING_NEW`.
//! - A pending order that cannot be placed then expires with the reason REJECTED; an OCO pair is placed or rejected as a unit.

use super::order_list::check_pair;
use super::place::Terms;
use super::{Decision, Traded};
use crate::command::{ListReport, NewOrder, NewOto, PendingOrders, Placed};
use crate::event::{Event, ExtendedOrder, OTO_LEVEL};
use crate::order::{Contingency, ExpiryReason, Order, OrderId, OrderListId, OrderStatus, OrderType};
use crate::orders::Slot;
use crate::refusal::Refusal;
use smallvec::SmallVec;

impl Decision<'_> {
    pub(super) fn place_oto(&mut self, new: &NewOto) -> Result<ListReport, Refusal> {
        let NewOto { list_client_id: client_id, working, pending } = new;
        self.market(working.market)?;
        if self.state.feature_level < OTO_LEVEL {
            return Err(Refusal::OtoNotSupported);
        }
        let pending_orders = pending.orders();
        check_shape(working, pending)?;
        let orders: SmallVec<[&NewOrder; 3]> = std::iter::once(working).chain(pending_orders.iter().copied()).collect();
        for order in &orders {
            self.may_place(order, orders.len() as u32)?;
        }
        self.check_list_count(working.account, working.market)?;
        let repeated = |at: usize| orders[..at].iter().any(|earlier| earlier.client_id == orders[at].client_id);
        if (1..orders.len()).any(repeated) || self.state.list_by_client_id(working.account, working.market, client_id).is_some() {
            return Err(Refusal::DuplicateClientOrderId);
        }
        let terms = self.terms(working)?;
        self.afford(working.account, working.market, working.side, terms.hold)?;

        let list = self.state.last_list + 1;
        let (account, market) = (working.account, working.market);
        self.emit(Event::OtoPlaced { list, account, market, client_id: *client_id });
        let (rests, end, unfillable) = (terms.rests, terms.end, terms.unfillable);
        let slot = self.emit_placed(working, terms, list);
        self.told = self.state.last_order;
        let pending_slots: SmallVec<[Slot; 2]> = pending_orders.iter().map(|order| self.emit_pending(order, list)).collect();
        let legs = self.state.list_legs(list).to_vec();
        let mut range = Traded::NOTHING;
        if unfillable {
            self.close(slot, OrderStatus::Expired, ExpiryReason::UnfilledFok);
        } else if !rests {
            self.take(slot, end, &mut range);
        }
        let mut orders = vec![Placed {
            order: self.shown(slot),
            fills: std::mem::take(&mut self.fills),
            prevented: std::mem::take(&mut self.prevented),
        }];
        orders.extend(pending_slots.iter().map(|slot| Placed::quiet(self.shown(*slot))));
        let done = self.state.list(list).is_none();
        self.after_trades(market, range);
        Ok(ListReport { list, client_id: *client_id, market, contingency: Contingency::Oto, done, legs, orders })
    }

    fn emit_pending(&mut self, new: &NewOrder, list: OrderListId) -> Slot {
        let placed = self.placed(new, Terms::open(new.quantity), list);
        self.emit(Event::ExtendedOrderPlaced(Box::new(ExtendedOrder {
            placed,
            pending: true,
            iceberg: new.iceberg,
            trailing_delta: new.trailing_delta,
        })));
        self.state.orders.recent()
    }

    /// The turn of a pending order, or of a pending pair, whose working order is filled.
    pub(super) fn activate(&mut self, slot: Slot, range: &mut Traded) {
        let first = *self.state.orders.get(slot);
        let second = self.partners(slot).first().and_then(|id| self.state.orders.slot(*id));
        match second {
            None => match self.pending_terms(&first) {
                Ok(terms) => self.activate_one(slot, &terms, range),
                Err(_) => self.reject(&[first.id]),
            },
            Some(other) => {
                let second = *self.state.orders.get(other);
                match self.pending_pair_terms(&first, &second) {
                    Ok([above, below]) => {
                        self.activate_one(slot, &above, range);
                        self.activate_one(other, &below, range);
                    }
                    Err(_) => self.reject(&[first.id, second.id]),
                }
            }
        }
    }

    fn activate_one(&mut self, slot: Slot, terms: &Terms, range: &mut Traded) {
        let Order { id: order, kind, .. } = *self.state.orders.get(slot);
        self.state.orders.expect(slot);
        self.emit(Event::PendingActivated { order, hold: terms.hold, rests: terms.rests });
        if terms.unfillable {
            self.close(slot, OrderStatus::Expired, ExpiryReason::UnfilledFok);
        } else if !terms.rests && !kind.is_algo() {
            self.take(slot, terms.end, range);
        }
    }

    fn reject(&mut self, orders: &[OrderId]) {
        for order in orders {
            self.emit(Event::OrderClosed { order: *order, status: OrderStatus::Expired, reason: ExpiryReason::Rejected });
        }
    }

    fn pending_terms(&self, order: &Order) -> Result<Terms, Refusal> {
        let new = as_new(order);
        self.may_activate(&new)?;
        let terms = self.terms(&new)?;
        self.afford(new.account, new.market, new.side, terms.hold)?;
        Ok(terms)
    }

    fn pending_pair_terms(&self, above: &Order, below: &Order) -> Result<[Terms; 2], Refusal> {
        let (above, below) = (as_new(above), as_new(below));
        self.may_activate(&above)?;
        self.may_activate(&below)?;
        check_pair(&above, &below, self.state.last_price(above.market))?;
        self.pair_terms(&above, &below)
    }

    /// The checks that may have another result than when the list was placed. The order is counted already.
    fn may_activate(&self, new: &NewOrder) -> Result<(), Refusal> {
        self.state.trading_account(new.account)?;
        self.state.check_values(new, self.market(new.market)?, self.time)
    }
}

/// Which orders a list may contain. The edge refuses the types of an OCO pair with separate codes.
fn check_shape(working: &NewOrder, pending: &PendingOrders) -> Result<(), Refusal> {
    let together = |order: &NewOrder| (order.account, order.market) == (working.account, working.market);
    let legal = matches!(working.kind, OrderType::Limit | OrderType::LimitMaker)
        && pending.orders().into_iter().all(|order| together(order) && order.quote_order_quantity == 0);
    if !legal {
        return Err(Refusal::UnsupportedCombination);
    }
    match pending {
        PendingOrders::One(_) => Ok(()),
        PendingOrders::Pair { above, below } if (above.side, above.quantity) != (below.side, below.quantity) => {
            Err(Refusal::UnsupportedCombination)
        }
        // The last price counts when the pair is placed.
        PendingOrders::Pair { above, below } => check_pair(above, below, None),
    }
}

fn as_new(order: &Order) -> NewOrder {
    NewOrder {
        account: order.account,
        market: order.market,
        side: order.side,
        kind: order.kind,
        time_in_force: order.time_in_force,
        stp: order.stp,
        price: order.price,
        stop_price: order.stop_price,
        quantity: order.quantity,
        quote_order_quantity: 0,
        iceberg: order.iceberg,
        trailing_delta: order.trailing_delta,
        client_id: order.client_id,
    }
}
