//! This module is the index of the orders that wait for a price on one side of it. It must not know which trades reach an order.
//!
//! - A look-up costs the logarithm of the waiting orders, and a walk only the orders that it returns.
//! - Every walk counts its elements (see `visits`): a walk over all waiting orders per triggered order would be quadratic.

use crate::money::Price;
use crate::order::OrderId;
use crate::orders::Slot;
use crate::visits::visit;
use std::collections::BTreeMap;
use std::ops::RangeBounds;

/// Waiting orders by stop price, then by age.
#[derive(Debug, Clone, Default)]
pub(crate) struct WaitingOrders(BTreeMap<(Price, OrderId), Slot>);

impl WaitingOrders {
    pub fn insert(&mut self, stop_price: Price, id: OrderId, slot: Slot) {
        self.0.insert((stop_price, id), slot);
    }

    /// True: the order waited here.
    pub fn remove(&mut self, stop_price: Price, id: OrderId) -> bool {
        self.0.remove(&(stop_price, id)).is_some()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The lowest stop price.
    pub fn lowest(&self) -> Option<Price> {
        self.0.first_key_value().map(|((price, _), _)| *price)
    }

    /// The highest stop price.
    pub fn highest(&self) -> Option<Price> {
        self.0.last_key_value().map(|((price, _), _)| *price)
    }

    /// Takes the order with the lowest stop price, if that is at most `price`.
    pub fn pop_to(&mut self, price: Price) -> Option<(OrderId, Slot)> {
        let entry = self.0.first_entry().filter(|entry| entry.key().0 <= price)?;
        visit();
        let ((_, id), slot) = entry.remove_entry();
        Some((id, slot))
    }

    /// Takes the order with the highest stop price, if that is at least `price`.
    pub fn pop_from(&mut self, price: Price) -> Option<(OrderId, Slot)> {
        let entry = self.0.last_entry().filter(|entry| entry.key().0 >= price)?;
        visit();
        let ((_, id), slot) = entry.remove_entry();
        Some((id, slot))
    }

    /// The orders of a range.
    pub fn ids(&self, range: impl RangeBounds<(Price, OrderId)>) -> impl Iterator<Item = OrderId> {
        self.0.range(range).inspect(|_| visit()).map(|((_, id), _)| *id)
    }

    /// Every order, by stop price.
    pub fn slots(&self) -> impl Iterator<Item = Slot> {
        self.0.values().inspect(|_| visit()).copied()
    }
}
