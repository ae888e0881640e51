//! This module rebuilds the answer to a forwarded command from its events, while a follower applies them. It must not decide.
//!
//! - The result is equal to the decision's outcome: a test compares the two for random commands.
//! - The marker [`CommandExecuted`] ends the command's events and contains the parts that no event shows.

use crate::command::{Amended, CancelReplaceMode, CancelReplaced, Canceled, Command, ListReport, Outcome, Placed};
use crate::effects::{AmendmentRecord, Effects, PreventedRecord, TradeRecord};
use crate::event::{CommandExecuted, Event};
use crate::order::{AccountId, ClientId, Contingency, Fill, MarketId, Order, OrderId, OrderListId, OrderStatus, PreventedMatch};
use crate::refusal::Refusal;
use crate::state::State;
use smallvec::SmallVec;

/// One answer in progress. Call [`Self::before`] before each of the command's events, pass the event's effects, then
/// [`Self::finish`].
#[derive(Debug)]
pub struct Rebuild<'a> {
    command: &'a Command,
    /// Orders that the command placed, as last seen.
    placed: SmallVec<[Placement; 2]>,
    trades: SmallVec<[TradeRecord; 2]>,
    prevented: Vec<PreventedRecord>,
    /// Orders that the command canceled, in that order.
    canceled: Vec<Order>,
    /// Lists with canceled orders, as they were before.
    lists: SmallVec<[ListBefore; 1]>,
    /// The list that the command placed.
    list: Option<OrderListId>,
    /// The command's first amendment, and its order afterwards: the order that it names.
    amended: Option<(AmendmentRecord, Option<Order>)>,
}

#[derive(Debug)]
struct Placement {
    id: OrderId,
    client_id: ClientId,
    order: Option<Order>,
}

#[derive(Debug)]
struct ListBefore {
    id: OrderListId,
    client_id: ClientId,
    market: MarketId,
    contingency: Contingency,
    open: SmallVec<[OrderId; 2]>,
    legs: Vec<(OrderId, ClientId)>,
}

impl<'a> Rebuild<'a> {
    pub fn new(command: &'a Command) -> Self {
        Self {
            command,
            placed: SmallVec::new(),
            trades: SmallVec::new(),
            prevented: Vec::new(),
            canceled: Vec::new(),
            lists: SmallVec::new(),
            list: None,
            amended: None,
        }
    }

    /// Reads the parts that `event` is about to remove from `state`.
    pub fn before(&mut self, state: &State, event: &Event) {
        match event {
            Event::ListPlaced { list, .. } | Event::OtoPlaced { list, .. } => self.list = Some(*list),
            Event::OrderClosed { order, status: OrderStatus::Canceled, .. } => {
                let list = state.order(*order).map_or(0, |order| order.list);
                if list != 0
                    && self.lists.iter().all(|before| before.id != list)
                    && let Some(before) = state.list(list)
                {
                    self.lists.push(ListBefore {
                        id: list,
                        client_id: before.client_id,
                        market: before.market,
                        contingency: before.contingency,
                        open: before.orders.iter().copied().filter(|id| state.order(*id).is_some()).collect(),
                        legs: state.list_legs(list).to_vec(),
                    });
                }
            }
            _ => {
                if let Some(placed) = event.placed()
                    && self.places(placed.account, placed.market, placed.client_id)
                {
                    self.placed.push(Placement { id: placed.order, client_id: placed.client_id, order: None });
                }
            }
        }
    }

    fn places(&self, account: AccountId, market: MarketId, client_id: ClientId) -> bool {
        match self.command {
            Command::Place(new) | Command::CancelReplace { new, .. } => {
                (new.account, new.market, new.client_id) == (account, market, client_id)
            }
            Command::PlaceOco(new) => {
                (new.account, new.market) == (account, market)
                    && (new.above.client_id == client_id || new.below.client_id == client_id)
            }
            Command::PlaceOto(new) => {
                let orders = std::iter::once(&new.working).chain(new.pending.orders());
                (new.working.account, new.working.market) == (account, market)
                    && orders.into_iter().any(|order| order.client_id == client_id)
            }
            _ => false,
        }
    }

    /// The outcome, once the last event before the marker is applied to `state`. `None`: the events are not those of the command.
    pub fn finish(self, state: &State, executed: &CommandExecuted) -> Option<Outcome> {
        Some(match self.command {
            Command::Place(_) => Outcome::Placed(Box::new(self.placed(state)?)),
            Command::Cancel(_) => Outcome::Canceled(self.canceled(state).pop()?),
            Command::CancelAll { .. } => Outcome::CanceledAll(self.canceled(state)),
            Command::CancelList { .. } => match self.canceled(state).pop()? {
                Canceled::List(report) => Outcome::List(report),
                Canceled::Order(_) => return None,
            },
            Command::CancelReplace { mode, .. } => Outcome::CancelReplaced(Box::new(self.replaced(state, *mode, executed)?)),
            Command::PlaceOco(new) => {
                let list = self.list?;
                let orders = self.placed.iter().filter_map(|placement| self.shown(state, placement));
                let orders = orders.map(Placed::quiet).collect();
                Outcome::List(self.placed_list(state, list, new.list_client_id, new.market, Contingency::Oco, orders))
            }
            Command::PlaceOto(new) => {
                let working = self.placed(state)?;
                let pending = self.placed.iter().skip(1).filter_map(|placement| self.shown(state, placement));
                let orders = std::iter::once(working).chain(pending.map(Placed::quiet)).collect();
                let (client_id, market) = (new.list_client_id, new.working.market);
                Outcome::List(self.placed_list(state, self.list?, client_id, market, Contingency::Oto, orders))
            }
            Command::Amend(_) => Outcome::Amended(Box::new(self.amended(state)?)),
            Command::Admin { .. } | Command::Tick => return None,
        })
    }

    fn placed_list(
        &self,
        state: &State,
        list: OrderListId,
        client_id: ClientId,
        market: MarketId,
        contingency: Contingency,
        orders: Vec<Placed>,
    ) -> ListReport {
        // The list may have ended already, so its orders come from the events.
        let legs = self.placed.iter().map(|placement| (placement.id, placement.client_id)).collect();
        ListReport { list, client_id, market, contingency, done: state.list(list).is_none(), legs, orders }
    }

    fn amended(&self, state: &State) -> Option<Amended> {
        let (amendment, order) = self.amended.as_ref()?;
        let order = (*order)?;
        let list = state.list(order.list).map(|list| ListReport {
            list: list.id,
            client_id: list.client_id,
            market: list.market,
            contingency: list.contingency,
            done: false,
            legs: state.list_legs(list.id).to_vec(),
            orders: Vec::new(),
        });
        Some(Amended { execution: amendment.execution, order, original_client_id: amendment.original_client_id, list })
    }

    fn replaced(&self, state: &State, mode: CancelReplaceMode, executed: &CommandExecuted) -> Option<CancelReplaced> {
        let cancel = match &executed.cancel_refused {
            Some(refusal) => Err(refusal.clone()),
            None => Ok(self.canceled(state).pop()?),
        };
        let new = match (&cancel, mode, &executed.new_refused) {
            (Err(_), CancelReplaceMode::StopOnFailure, _) => None,
            (_, _, Some(refusal)) => Some(Err(refusal.clone())),
            _ => Some(Ok(self.placed(state)?)),
        };
        Some(CancelReplaced { cancel, new })
    }

    /// The order right after the command: open in the state, or as it ended.
    fn shown(&self, state: &State, placement: &Placement) -> Option<Order> {
        state.order(placement.id).copied().or(placement.order)
    }

    fn placed(&self, state: &State) -> Option<Placed> {
        let placement = self.placed.first()?;
        let order = self.shown(state, placement)?;
        let market = state.market(order.market)?;
        let as_taker = |trade: &&TradeRecord| {
            let taker = if trade.buyer_is_maker { trade.seller_order } else { trade.buyer_order };
            taker == placement.id
        };
        let fills = self.trades.iter().filter(as_taker).map(|trade| {
            let (commission, commission_asset) = match trade.buyer_is_maker {
                true => (trade.seller_commission, market.quote),
                false => (trade.buyer_commission, market.base),
            };
            Fill { trade: trade.trade, price: trade.price, quantity: trade.quantity, commission, commission_asset }
        });
        let own = self.prevented.iter().filter(|record| record.taker == placement.id);
        let prevented = own.map(|record| PreventedMatch {
            id: record.prevented_match,
            maker: record.maker,
            price: record.price,
            taker_quantity: record.taker_quantity,
            maker_quantity: record.maker_quantity,
        });
        Some(Placed { order, fills: fills.collect(), prevented: prevented.collect() })
    }

    /// Canceled orders in order, with lists as units.
    fn canceled(&self, state: &State) -> Vec<Canceled> {
        let mut reported: SmallVec<[OrderListId; 2]> = SmallVec::new();
        let mut reports = Vec::new();
        for order in &self.canceled {
            if order.list == 0 {
                reports.push(Canceled::Order(Box::new(*order)));
            } else if !reported.contains(&{ order.list }) {
                reported.push(order.list);
                reports.extend(self.lists.iter().find(|before| before.id == order.list).map(|before| self.report(state, before)));
            }
        }
        reports
    }

    fn report(&self, state: &State, before: &ListBefore) -> Canceled {
        let ended = before.open.iter().filter_map(|id| self.canceled.iter().find(|order| order.id == *id));
        Canceled::List(ListReport {
            list: before.id,
            client_id: before.client_id,
            market: before.market,
            contingency: before.contingency,
            done: state.list(before.id).is_none(),
            legs: before.legs.clone(),
            orders: ended.map(|order| Placed::quiet(*order)).collect(),
        })
    }
}

impl Effects for Rebuild<'_> {
    fn order_changed(&mut self, order: &Order) {
        if let Some(placement) = self.placed.iter_mut().find(|placement| placement.id == order.id) {
            placement.order = Some(*order);
        }
        if order.status == OrderStatus::Canceled {
            self.canceled.push(*order);
        }
        if let Some((amendment, after)) = &mut self.amended
            && amendment.order == order.id
        {
            *after = Some(*order);
        }
    }

    fn prevented(&mut self, prevented: &PreventedRecord) {
        self.prevented.push(prevented.clone());
    }

    fn amended(&mut self, amendment: &AmendmentRecord) {
        if self.amended.is_none() {
            self.amended = Some((amendment.clone(), None));
        }
    }

    fn traded(&mut self, trade: &TradeRecord) {
        self.trades.push(trade.clone());
    }
}

impl State {
    /// As [`Self::decide`], for a command that a follower forwarded: the events end with the marker that contains `id`. A refused
    /// command leaves no marker.
    pub fn decide_forwarded(
        &mut self,
        id: u128,
        command: &Command,
        now: crate::money::Time,
        out: &mut Vec<Event>,
    ) -> Result<Outcome, Refusal> {
        let before = out.len();
        let outcome = self.decide(command, now, out)?;
        let events = (out.len() - before) as u32;
        if events > 0 {
            let (cancel_refused, new_refused) = match &outcome {
                Outcome::CancelReplaced(both) => {
                    (both.cancel.as_ref().err().cloned(), both.new.as_ref().and_then(|new| new.as_ref().err()).cloned())
                }
                _ => (None, None),
            };
            let marker = Event::CommandExecuted(CommandExecuted { id, events, cancel_refused, new_refused });
            self.evolve(&marker);
            out.push(marker);
        }
        Ok(outcome)
    }
}
