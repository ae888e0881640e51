//! This module decides amendments: a smaller quantity for an open order, which retains its place in the queue. It must not
//! change a price.
//!
//! - Only one order of an OCO pair can ever trade, so both have the same quantity: an amendment changes both. The working order of a
//!   list and its pending orders are amended separately.
//! - The hold falls to the need of the remaining quantity. A pair has one hold, for the larger of its two needs.

use super::Decision;
use super::place::{check_lot, check_value};
use crate::command::{AmendOrder, Amended, ListReport};
use crate::event::{AMENDMENT_LEVEL, Event};
use crate::market::MarketStatus;
use crate::money::{Amount, Quantity, notional};
use crate::order::{Order, OrderId, OrderType, Side};
use crate::refusal::{Filter, Refusal};
use smallvec::SmallVec;

impl Decision<'_> {
    pub(super) fn amend(&mut self, amend: &AmendOrder) -> Result<Amended, Refusal> {
        let market = self.market(amend.market)?;
        self.state.trading_account(amend.account)?;
        if self.state.feature_level < AMENDMENT_LEVEL {
            return Err(Refusal::AmendNotSupported);
        }
        if market.status != MarketStatus::Trading {
            return Err(Refusal::MarketClosed);
        }
        let slot = self.find(amend.account, amend.market, amend.order, amend.client_id)?;
        let before = *self.state.orders.get(slot);
        let others = self.partners(slot);
        self.check_amendment(&before, amend)?;

        let orders = || std::iter::once(&before).chain(others.iter().filter_map(|id| self.state.order(*id)));
        let need = orders().map(|order| need(order, amend.quantity)).max().unwrap_or(0);
        let amended: SmallVec<[(OrderId, Event); 2]> = orders()
            .map(|order| {
                let client_id = if order.id == before.id { amend.new_client_id } else { order.client_id };
                let released = (order.hold - need).max(0);
                (order.id, Event::OrderAmended { order: order.id, quantity: amend.quantity, client_id, released })
            })
            .collect();
        let mut execution = 0;
        for (id, event) in amended {
            self.emit(event);
            if id == before.id {
                execution = self.state.sequence;
            }
        }
        let list = self.state.list(before.list).map(|list| ListReport {
            list: list.id,
            client_id: list.client_id,
            market: list.market,
            contingency: list.contingency,
            done: false,
            legs: self.state.list_legs(list.id).to_vec(),
            orders: Vec::new(),
        });
        Ok(Amended { execution, order: self.shown(slot), original_client_id: before.client_id, list })
    }

    fn check_amendment(&self, order: &Order, amend: &AmendOrder) -> Result<(), Refusal> {
        let quantity = amend.quantity;
        if quantity == order.quantity {
            return Err(Refusal::AmendChangesNothing);
        }
        if quantity > order.quantity {
            return Err(Refusal::AmendIncreases);
        }
        let market = self.market(order.market)?;
        let filters = &market.filters;
        let as_market = !order.kind.has_price();
        check_lot(filters, quantity, as_market)?;
        let price = match order.kind {
            // Pending: it has no price, and its value is checked once more when it is placed.
            OrderType::Market => self.state.average(order.market, self.time),
            _ if order.has_no_price() => self.state.average(order.market, self.time),
            _ if as_market => Some(order.stop_price),
            _ => Some(order.price),
        };
        price.map_or(Ok(()), |price| check_value(filters, notional(price, quantity), as_market))?;
        if quantity <= order.executed + order.prevented {
            return Err(Refusal::AmendBelowExecuted);
        }
        if self.state.amendments(order.id) >= market.limits.amends() {
            return Err(Refusal::Filter(Filter::MaxNumOrderAmends));
        }
        let holder = self.state.order_by_client_id(amend.account, amend.market, &amend.new_client_id);
        if holder.is_some_and(|holder| holder.id != order.id) {
            return Err(Refusal::DuplicateClientOrderId);
        }
        Ok(())
    }
}

/// The amount that the order may still use once its quantity is `quantity`. Each later trade rounds down, so their sum does not
/// exceed it.
fn need(order: &Order, quantity: Quantity) -> Amount {
    let remaining = quantity - order.executed - order.prevented;
    match order.side {
        Side::Sell => Amount::from(remaining),
        Side::Buy if order.has_no_price() => order.hold * Amount::from(remaining) / Amount::from(order.remaining()),
        Side::Buy => notional(if order.kind.has_price() { order.price } else { order.stop_price }, remaining),
    }
}
