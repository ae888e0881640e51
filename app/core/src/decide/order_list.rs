//! This module decides OCO lists: two orders of which one may trade. It must not end a list (see `Decision::close`).
//!
//! Only one leg can ever trade, so the list locks only one hold, the larger of the two needs. The hold belongs to the leg that is
//! not the stop loss. When the stop triggers, one decision first ends the other leg and then locks the stop's own need.

use super::Decision;
use super::place::Terms;
use crate::command::{ListReport, NewOco, NewOrder, OcoLeg, Placed};
use crate::event::Event;
use crate::money::Price;
use crate::order::{Contingency, OrderType, Side};
use crate::refusal::Refusal;

impl Decision<'_> {
    pub(super) fn place_oco(&mut self, new: &NewOco) -> Result<ListReport, Refusal> {
        let order = |leg: &OcoLeg| NewOrder {
            account: new.account,
            market: new.market,
            side: new.side,
            kind: leg.kind,
            time_in_force: leg.time_in_force,
            stp: new.stp,
            price: leg.price,
            stop_price: leg.stop_price,
            quantity: new.quantity,
            quote_order_quantity: 0,
            iceberg: leg.iceberg,
            trailing_delta: leg.trailing_delta,
            client_id: leg.client_id,
        };
        let (above, below) = (order(&new.above), order(&new.below));
        for leg in [&above, &below] {
            self.may_place(leg, 2)?;
        }
        self.check_list_count(new.account, new.market)?;
        if above.client_id == below.client_id
            || self.state.list_by_client_id(new.account, new.market, &new.list_client_id).is_some()
        {
            return Err(Refusal::DuplicateClientOrderId);
        }
        check_pair(&above, &below, self.state.last_price(new.market))?;
        let [above_terms, below_terms] = self.pair_terms(&above, &below)?;

        let list = self.state.last_list + 1;
        self.emit(Event::ListPlaced { list, account: new.account, market: new.market, client_id: new.list_client_id });
        let legs: [(&NewOrder, Terms); 2] = [(&below, below_terms), (&above, above_terms)];
        let slots = legs.map(|(leg, terms)| self.emit_placed(leg, terms, list));
        let orders = slots.map(|slot| Placed::quiet(self.shown(slot))).into();
        let legs = self.state.list_legs(list).to_vec();
        let contingency = Contingency::Oco;
        let (client_id, market) = (new.list_client_id, new.market);
        Ok(ListReport { list, client_id, market, contingency, done: false, legs, orders })
    }

    /// Terms of both orders of a pair, with their one hold, which the account has.
    pub(super) fn pair_terms(&self, above: &NewOrder, below: &NewOrder) -> Result<[Terms; 2], Refusal> {
        let (mut above_terms, mut below_terms) = (self.terms(above)?, self.terms(below)?);
        let hold = above_terms.hold.max(below_terms.hold);
        self.afford(above.account, above.market, above.side, hold)?;
        (above_terms.hold, below_terms.hold) = if is_stop(above.kind) { (0, hold) } else { (hold, 0) };
        Ok([above_terms, below_terms])
    }
}

const fn is_stop(kind: OrderType) -> bool {
    matches!(kind, OrderType::StopLoss | OrderType::StopLossLimit)
}

const fn no_stop(leg: &NewOrder) -> bool {
    leg.trailing_delta > 0 && leg.stop_price == 0
}

/// The upper order must be above the last price and the lower one below it.
pub(super) fn check_pair(above: &NewOrder, below: &NewOrder, last: Option<Price>) -> Result<(), Refusal> {
    // The last price bounds a limit leg by its price and a waiting leg by its stop price; TAKE_PROFIT_LIMIT by both.
    let bounds = |leg: &NewOrder| match leg.kind {
        OrderType::LimitMaker => (leg.price, leg.price),
        OrderType::TakeProfitLimit => (leg.price.min(leg.stop_price), leg.price.max(leg.stop_price)),
        _ => (leg.stop_price, leg.stop_price),
    };
    // A trailing leg without a stop price has no bound: it follows the price.
    let (high, low) = (bounds(above).0, bounds(below).1);
    let (free_above, free_below) = (no_stop(above), no_stop(below));
    let apart = free_above || free_below || high > low;
    let ordered = apart && last.is_none_or(|last| (free_above || high > last) && (free_below || last > low));
    let limit_leg_side = match above.side {
        Side::Buy => below.kind,
        Side::Sell => above.kind,
    };
    // The edge refuses these with separate codes; here they would break the rule for the hold.
    let in_pair = |kind| matches!(kind, OrderType::LimitMaker) || kind.is_algo();
    if is_stop(limit_leg_side) || is_stop(above.kind) == is_stop(below.kind) || !in_pair(above.kind) || !in_pair(below.kind) {
        return Err(Refusal::UnsupportedCombination);
    }
    if ordered { Ok(()) } else { Err(Refusal::PriceRelationship) }
}
