//! This module decides cancels: of one order, of all, of a list, and cancel-replace. It must not expire orders (see `matching`).

use super::Decision;
use crate::command::{CancelOrder, CancelReplaceMode, CancelReplaced, CancelRestriction, Canceled, ListReport, NewOrder, Placed};
use crate::market::MarketStatus;
use crate::order::{AccountId, ClientId, ExpiryReason, MarketId, OrderId, OrderListId, OrderStatus};
use crate::orders::Slot;
use crate::refusal::Refusal;
use crate::state::OrderList;
use smallvec::SmallVec;

impl Decision<'_> {
    pub(super) fn cancel(&mut self, cancel: &CancelOrder) -> Result<Canceled, Refusal> {
        self.may_cancel(cancel.account, cancel.market)?;
        let slot = self.find(cancel.account, cancel.market, cancel.order, cancel.client_id)?;
        let order = self.state.orders.get(slot);
        let allowed = match cancel.restriction {
            None => true,
            Some(CancelRestriction::OnlyNew) => order.status == OrderStatus::New,
            Some(CancelRestriction::OnlyPartiallyFilled) => order.status == OrderStatus::PartiallyFilled,
        };
        if !allowed {
            return Err(Refusal::CancelRestricted);
        }
        Ok(self.cancel_found(slot))
    }

    fn may_cancel(&self, account: AccountId, market: MarketId) -> Result<(), Refusal> {
        let status = self.market(market)?.status;
        self.state.trading_account(account)?;
        if matches!(status, MarketStatus::Halt | MarketStatus::Break) { Err(Refusal::MarketClosed) } else { Ok(()) }
    }

    /// The open order with this id or client id; the client id of an order found by id must match.
    pub(super) fn find(
        &self,
        account: AccountId,
        market: MarketId,
        id: Option<OrderId>,
        client_id: Option<ClientId>,
    ) -> Result<Slot, Refusal> {
        let orders = &self.state.orders;
        let slot = match (id, &client_id) {
            (Some(id), _) => orders.slot(id),
            (None, Some(client_id)) => orders.slot_by_client_id(account, market, client_id),
            (None, None) => None,
        };
        let slot = slot.ok_or(Refusal::UnknownOrder)?;
        let order = orders.get(slot);
        if order.account != account || order.market != market {
            return Err(Refusal::UnknownOrder);
        }
        match client_id {
            Some(client_id) if client_id != order.client_id => Err(Refusal::ClientOrderIdMismatch),
            _ => Ok(slot),
        }
    }

    /// Cancels an open order, including the whole list that contains it.
    pub(super) fn cancel_found(&mut self, slot: Slot) -> Canceled {
        let list = match self.state.orders.get(slot).list {
            0 => None,
            list => self.state.list(list).cloned(),
        };
        match list {
            Some(list) => Canceled::List(self.cancel_whole(&list)),
            None => {
                self.close(slot, OrderStatus::Canceled, ExpiryReason::None);
                Canceled::Order(Box::new(self.shown(slot)))
            }
        }
    }

    fn cancel_whole(&mut self, list: &OrderList) -> ListReport {
        let open: SmallVec<[Slot; 2]> = list.orders.iter().filter_map(|id| self.state.orders.slot(*id)).collect();
        // Read before the list ends: it contains legs that ended earlier too.
        let legs = self.state.list_legs(list.id).to_vec();
        if let Some(first) = open.first() {
            self.close(*first, OrderStatus::Canceled, ExpiryReason::None);
        }
        let done = self.state.list(list.id).is_none();
        let orders = open.iter().map(|slot| Placed::quiet(self.shown(*slot))).collect();
        let contingency = list.contingency;
        ListReport { list: list.id, client_id: list.client_id, market: list.market, contingency, done, legs, orders }
    }

    /// One decision, so that the reply shows each order right after its cancel. Costs the account's open orders on the market, at
    /// most its MAX_NUM_ORDERS. An operator's cancels have no such bound and run in chunks.
    pub(super) fn cancel_all(&mut self, account: AccountId, market: MarketId) -> Result<Vec<Canceled>, Refusal> {
        self.may_cancel(account, market)?;
        let canceled = self.cancel_open(account, Some(market));
        if canceled.is_empty() { Err(Refusal::UnknownOrder) } else { Ok(canceled) }
    }

    /// Every open order of the account by rising id, with lists as units.
    pub(super) fn cancel_open(&mut self, account: AccountId, market: Option<MarketId>) -> Vec<Canceled> {
        let open: Vec<OrderId> = self.state.open_orders(account, market).iter().map(|order| order.id).collect();
        let mut canceled = Vec::with_capacity(open.len());
        for id in open {
            // Already canceled together with its list.
            if let Some(slot) = self.state.orders.slot(id) {
                canceled.push(self.cancel_found(slot));
            }
        }
        canceled
    }

    pub(super) fn cancel_list(
        &mut self,
        account: AccountId,
        market: MarketId,
        id: Option<OrderListId>,
        client_id: Option<ClientId>,
    ) -> Result<ListReport, Refusal> {
        self.may_cancel(account, market)?;
        let list = match (id, &client_id) {
            (Some(id), _) => self.state.list(id),
            (None, Some(client_id)) => self.state.list_by_client_id(account, market, client_id),
            (None, None) => None,
        };
        let list = list.filter(|list| list.account == account && list.market == market).ok_or(Refusal::UnknownOrder)?;
        if client_id.is_some_and(|client_id| client_id != list.client_id) {
            return Err(Refusal::ClientOrderIdMismatch);
        }
        let list = list.clone();
        Ok(self.cancel_whole(&list))
    }

    /// Checks the filters of the new order before any cancel; a failure there refuses the whole command.
    pub(super) fn cancel_replace(
        &mut self,
        cancel: &CancelOrder,
        new: &NewOrder,
        mode: CancelReplaceMode,
    ) -> Result<CancelReplaced, Refusal> {
        let market = self.market(new.market)?;
        let account = self.state.trading_account(new.account)?;
        if market.status != MarketStatus::Trading {
            return Err(Refusal::MarketClosed);
        }
        self.state.check_filters(new, market, account, 1, self.time)?;
        let canceled = self.cancel(cancel);
        let new = match (&canceled, mode) {
            (Err(_), CancelReplaceMode::StopOnFailure) => None,
            _ => Some(self.place(new)),
        };
        Ok(CancelReplaced { cancel: canceled, new })
    }
}
