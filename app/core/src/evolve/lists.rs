//! This module applies the events of order lists: placed, a pending order's turn, and the end of one of its orders.

use super::{book, hold_asset};
use crate::effects::Effects;
use crate::ledger::Bucket::{Free, Locked};
use crate::money::Amount;
use crate::order::{AccountId, ClientId, Contingency, MarketId, Order, OrderListId, OrderStatus};
use crate::orders::Slot;
use crate::state::{OrderList, State};
use smallvec::SmallVec;

impl State {
    pub(super) fn list_placed(
        &mut self,
        id: OrderListId,
        account: AccountId,
        market: MarketId,
        client_id: ClientId,
        contingency: Contingency,
    ) {
        self.last_list = self.last_list.max(id);
        let (orders, now) = (SmallVec::new(), self.now);
        self.add_list(OrderList { id, account, market, client_id, contingency, orders, done: false, created: now, updated: now });
    }

    /// A pending order leaves the queue.
    #[inline(never)]
    pub(super) fn activated(&mut self, slot: Slot, hold: Amount, rests: bool, effects: &mut impl Effects) {
        let Order { account, market, kind, .. } = *self.orders.get(slot);
        book(&mut self.markets, market, self.sequence).stop_waiting(&mut self.orders, slot);
        self.note_work(market);
        let order = self.orders.get_mut(slot);
        order.status = OrderStatus::New;
        order.updated = self.now;
        order.hold += hold;
        if !kind.is_algo() {
            order.working = true;
            order.working_since = self.now;
        }
        let asset = hold_asset(&self.markets, self.orders.get(slot));
        self.transfer(asset, hold, (account, Free), (account, Locked), effects);
        let book = book(&mut self.markets, market, self.sequence);
        if kind.is_algo() {
            book.start_waiting(&mut self.orders, slot, self.sequence, self.now);
        } else if rests {
            book.rest(&mut self.orders, slot);
        }
        effects.order_changed(self.orders.get(slot));
    }

    pub(super) fn order_of_list_closed(&mut self, id: u64, status: OrderStatus, effects: &mut impl Effects) {
        let Some(list) = self.lists.get_mut(&id) else { return };
        if status == OrderStatus::Filled && list.contingency == Contingency::Oto {
            let (book, orders) = (&mut self.markets[usize::from(list.market)].book, &mut self.orders);
            for order in &list.orders {
                if let Some(slot) = orders.slot(*order) {
                    book.queue_pending(orders, slot);
                }
            }
            let market = list.market;
            self.note_work(market);
        }
        let Some(list) = self.lists.get_mut(&id) else { return };
        list.updated = self.now;
        list.done = list.orders.iter().all(|order| self.orders.slot(*order).is_none());
        if list.done
            && let Some(list) = self.remove_list(id)
        {
            effects.list_changed(&list);
        }
    }
}
