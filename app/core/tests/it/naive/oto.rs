//! This module is the naive exchange's lists of a working order with orders that wait for it.

use super::{Answer, Naive, Shown, refuse};
use exchange_core::command::{NewOrder, NewOto, PendingOrders};
use exchange_core::order::OrderType;

/// Lowest and highest price that places the order in a pair.
fn reach(o: &NewOrder) -> (i64, i64) {
    match o.kind {
        // Whichever bound is asked for, it holds.
        _ if o.trailing_delta > 0 && o.stop_price == 0 => (i64::MAX, 0),
        OrderType::LimitMaker => (o.price, o.price),
        OrderType::TakeProfitLimit => (o.price.min(o.stop_price), o.price.max(o.stop_price)),
        _ => (o.stop_price, o.stop_price),
    }
}

const BAD_PRICES: &str = "The relationship of the prices for the orders is not correct.";

impl Naive {
    pub(super) fn oto(&mut self, oto: &NewOto) -> Answer {
        if !self.newest_level {
            return refuse("OTO orders are not supported for this symbol.");
        }
        let working = oto.working.clone();
        let waiting: Vec<NewOrder> = match &oto.pending {
            PendingOrders::One(one) => vec![one.clone()],
            PendingOrders::Pair { above, below } => vec![above.clone(), below.clone()],
        };
        if let [above, below] = &waiting[..]
            && reach(above).0 <= reach(below).1
        {
            return refuse(BAD_PRICES);
        }
        let all: Vec<&NewOrder> = [&working].into_iter().chain(&waiting).collect();
        for order in &all {
            self.check(order, all.len())?;
        }
        self.check_list_count(working.account)?;
        let mut ids: Vec<&str> = all.iter().map(|o| o.client_id.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        if ids.len() < all.len() || self.lists.iter().any(|l| l.1 == working.account && l.2 == oto.list_client_id) {
            return refuse("Duplicate order sent.");
        }
        let (quantity, hold, _) = self.terms(&working)?;
        if self.balance(working.account, Self::asset(working.side)).0 < hold {
            return refuse("Account has insufficient balance for requested action.");
        }
        self.last_list += 1;
        let list = self.last_list;
        self.lists.push((list, working.account, oto.list_client_id));
        let first = self.add(working, quantity, hold, list);
        let mut shown = vec![first];
        for order in waiting {
            let quantity = order.quantity;
            let id = self.add(order, quantity, 0, list);
            let me = self.find(id).unwrap();
            (self.open[me].waiting, self.open[me].pending, self.open[me].status) = (false, true, "PENDING_NEW");
            self.open[me].best = None;
            shown.push(id);
        }
        let mark = self.trades.len();
        self.take(first, false);
        let shown: Shown = shown.into_iter().map(|id| self.show(id)).collect();
        self.reach(mark);
        Ok(shown)
    }

    /// The working order of `list`, or an order of a pair, ended.
    pub(super) fn end_of_working(&mut self, list: u64, status: &'static str) {
        let waiting: Vec<u64> = self.open.iter().filter(|o| o.list == list && o.pending).map(|o| o.id).collect();
        for id in waiting {
            match status {
                "FILLED" => self.queue.push(id),
                "CANCELED" => self.end(id, "CANCELED"),
                _ => self.end(id, "EXPIRED"),
            }
        }
    }

    /// The turn of a pending order whose working order is filled.
    pub(super) fn activate(&mut self, id: u64) {
        let list = self.open[self.find(id).unwrap()].list;
        let ids: Vec<u64> = self.open.iter().filter(|o| o.list == list && o.pending).map(|o| o.id).collect();
        self.queue.retain(|queued| !ids.contains(queued));
        let mut orders: Vec<NewOrder> = ids.iter().map(|id| self.open[self.find(*id).unwrap()].new.clone()).collect();
        let Ok(holds) = self.placeable(&orders) else {
            for id in ids {
                self.end(id, "EXPIRED");
            }
            return;
        };
        let mark = self.trades.len();
        for (id, hold) in ids.into_iter().zip(holds) {
            let new = orders.remove(0);
            let balance = self.balance(new.account, Self::asset(new.side));
            balance.0 -= hold;
            balance.1 += hold;
            let me = self.find(id).unwrap();
            let order = &mut self.open[me];
            (order.hold, order.pending, order.status) = (hold, false, "NEW");
            if new.kind.is_algo() {
                let last = self.last_price();
                let order = &mut self.open[me];
                order.best = (new.trailing_delta > 0 && new.stop_price == 0 && last > 0).then_some(last);
                order.waiting = true;
            } else {
                self.take(id, false);
            }
        }
        self.reach(mark);
    }

    /// The hold of each order, if all of them can be placed now.
    fn placeable(&mut self, orders: &[NewOrder]) -> Result<Vec<i128>, String> {
        for order in orders {
            self.check_values(order)?;
        }
        let last = self.last_price();
        if let [above, below] = orders
            && (reach(above).0 <= reach(below).1 || reach(above).0 <= last || reach(below).1 >= last)
        {
            return refuse(BAD_PRICES);
        }
        let mut holds: Vec<i128> = orders.iter().map(|o| self.terms(o).map(|terms| terms.1)).collect::<Result<_, _>>()?;
        let most = holds.iter().copied().max().unwrap();
        if let [_, _] = orders {
            let limit_like = |o: &NewOrder| !matches!(o.kind, OrderType::StopLoss | OrderType::StopLossLimit);
            holds = orders.iter().map(|o| if limit_like(o) { most } else { 0 }).collect();
        }
        if self.balance(orders[0].account, Self::asset(orders[0].side)).0 < most {
            return refuse("Account has insufficient balance for requested action.");
        }
        Ok(holds)
    }
}
