//! This module is the naive exchange's stop orders, those that trail the price included.

use super::{Naive, ONE};
use exchange_core::command::NewOrder;
use exchange_core::order::{OrderType, Side};

/// Whether a trade at `price` meets the order's stop price.
fn reaches(new: &NewOrder, price: i64) -> bool {
    let up = matches!(
        (new.kind, new.side),
        (OrderType::StopLoss | OrderType::StopLossLimit, Side::Buy)
            | (OrderType::TakeProfit | OrderType::TakeProfitLimit, Side::Sell)
    );
    if up { price >= new.stop_price } else { price <= new.stop_price }
}

impl Naive {
    /// What one trade means for each trailing stop order.
    pub(super) fn track(&mut self, price: i64) {
        for order in self.open.iter_mut().filter(|o| o.waiting && o.new.trailing_delta > 0 && !o.hit) {
            let delta = i128::from(order.new.trailing_delta);
            let (now, sells) = (i128::from(price) * 10_000, order.new.side == Side::Sell);
            let Some(best) = order.best else {
                if order.new.stop_price == 0 || reaches(&order.new, price) {
                    order.best = Some(price);
                }
                continue;
            };
            order.hit = match sells {
                true => now <= i128::from(best) * (10_000 - delta),
                false => now >= i128::from(best) * (10_000 + delta),
            };
            order.best = Some(if sells { best.max(price) } else { best.min(price) });
        }
    }

    /// Queues the waiting orders reached by trades since `mark`, oldest first.
    pub(super) fn reach(&mut self, mark: usize) {
        let mut reached: Vec<u64> = Vec::new();
        for order in self.open.iter().filter(|o| o.waiting && !self.queue.contains(&o.id)) {
            let hit = match order.new.trailing_delta {
                0 => self.trades[mark..].iter().any(|t| reaches(&order.new, t.0)),
                _ => order.hit,
            };
            if hit {
                reached.push(order.id);
            }
        }
        reached.sort_unstable();
        self.queue.extend(reached);
    }

    /// Triggers the first order of the queue, and queues those that its trades reach. False: the queue was empty.
    pub fn step(&mut self, now: i64) -> bool {
        self.now = now;
        let id = loop {
            if self.queue.is_empty() {
                return false;
            }
            let id = self.queue.remove(0);
            if self.find(id).is_some_and(|i| self.open[i].waiting || self.open[i].pending) {
                break id;
            }
        };
        if self.open[self.find(id).unwrap()].pending {
            self.activate(id);
            return true;
        }
        let mark = self.trades.len();
        self.end_others(id, "EXPIRED");
        let me = self.find(id).unwrap();
        let (new, hold) = (self.open[me].new.clone(), self.open[me].hold);
        let free = self.balance(new.account, Self::asset(new.side)).0;
        let need = match (new.side, new.kind.has_price()) {
            (Side::Sell, _) => new.quantity.into(),
            (Side::Buy, true) => i128::from(new.price) * i128::from(new.quantity) / ONE,
            (Side::Buy, false) => self.preview(&new, new.quantity, Some(hold + free)).1,
        };
        let more = (need - hold).max(0).min(free);
        let balance = self.balance(new.account, Self::asset(new.side));
        balance.0 -= more;
        balance.1 += more;
        self.open[me].hold += more;
        self.open[me].waiting = false;
        self.take(id, false);
        self.reach(mark);
        true
    }
}
