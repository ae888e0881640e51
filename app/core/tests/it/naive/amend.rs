//! This module is the naive exchange's amendments.

use super::{Answer, Naive, ONE, Open, refuse};
use exchange_core::command::{AmendOrder, NewOrder};
use exchange_core::order::{OrderType, Side};

impl Naive {
    pub(super) fn amend(&mut self, amend: &AmendOrder) -> Answer {
        if !self.newest_level {
            return refuse("Order amend is not supported for this symbol.");
        }
        let mine = |o: &Open| o.new.account == amend.account;
        let found = self.open.iter().position(|o| match amend.order {
            Some(id) => mine(o) && o.id == id,
            None => mine(o) && Some(o.new.client_id) == amend.client_id,
        });
        let Some(index) = found else { return refuse("Unknown order sent.") };
        let order = self.open[index].clone();
        if amend.client_id.is_some_and(|id| id != order.new.client_id) {
            return refuse("Client order ID is not correct for this order ID.");
        }
        if amend.quantity == order.new.quantity {
            return refuse("The requested action would change no state; rejecting");
        }
        if amend.quantity > order.new.quantity {
            return refuse("Order amend (quantity increase) is not supported.");
        }
        self.check_amended_size(&order.new, amend.quantity)?;
        if order.executed + order.prevented >= amend.quantity {
            return refuse("Order amend (quantity not above the executed quantity) is not supported.");
        }
        let most = if self.market_limits.max_amends == 0 { 10 } else { self.market_limits.max_amends };
        if order.amendments >= most as usize {
            return refuse("Filter failure: MAX_NUM_ORDER_AMENDS");
        }
        let taken = |o: &Open| mine(o) && o.id != order.id && o.new.client_id == amend.new_client_id;
        if self.open.iter().any(taken) {
            return refuse("Duplicate order sent.");
        }
        let in_pair = |o: &&Open| o.id == order.id || (o.list != 0 && o.list == order.list && o.pending == order.pending);
        let pair: Vec<u64> = self.open.iter().filter(in_pair).map(|o| o.id).collect();
        let mut most = 0;
        for id in &pair {
            let me = self.find(*id).unwrap();
            self.open[me].new.quantity = amend.quantity;
            self.open[me].amendments += 1;
            let left = self.open[me].left();
            self.open[me].shown = self.open[me].shown.min(left);
            let o = &self.open[me];
            let price = if o.new.kind.has_price() { o.new.price } else { o.new.stop_price };
            let left = i128::from(o.left());
            let before = left + i128::from(order.new.quantity - amend.quantity);
            most = most.max(match o.new.side {
                Side::Sell => left,
                Side::Buy if price == 0 => o.hold * left / before,
                Side::Buy => i128::from(price) * left / ONE,
            });
        }
        for id in &pair {
            let me = self.find(*id).unwrap();
            let less = (self.open[me].hold - most).max(0);
            self.open[me].hold -= less;
            let balance = self.balance(amend.account, Self::asset(order.new.side));
            balance.1 -= less;
            balance.0 += less;
        }
        let me = self.find(order.id).unwrap();
        self.open[me].new.client_id = amend.new_client_id;
        Ok(vec![self.show(order.id)])
    }

    fn check_amended_size(&self, new: &NewOrder, quantity: i64) -> Result<(), String> {
        let f = &self.filters;
        let fits = |low: i64, high: i64, step: i64| quantity >= low && quantity <= high && (step == 0 || quantity % step == 0);
        let by_stop = !new.kind.has_price();
        if !fits(f.min_quantity, f.max_quantity, f.step_size) {
            return refuse("Filter failure: LOT_SIZE");
        }
        if by_stop && !fits(f.market_min_quantity, f.market_max_quantity, f.market_step_size) {
            return refuse("Filter failure: MARKET_LOT_SIZE");
        }
        let price = match (new.kind, by_stop) {
            (OrderType::Market, _) => self.average(),
            (_, true) if new.stop_price == 0 => self.average(),
            (_, true) => Some(new.stop_price.into()),
            (_, false) => Some(new.price.into()),
        };
        let Some(price) = price else { return Ok(()) };
        let worth = price * i128::from(quantity) / ONE;
        if worth == 0 {
            return refuse("Price * QTY is zero or less.");
        }
        let small = worth < f.min_notional && (!by_stop || f.apply_min_to_market);
        let large = worth > f.max_notional && (!by_stop || f.apply_max_to_market);
        if small || large { refuse("Filter failure: NOTIONAL") } else { Ok(()) }
    }
}
