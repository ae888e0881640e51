//! This module is the naive exchange's OCO pairs.

use super::{Answer, Naive, refuse};
use exchange_core::command::{NewOco, NewOrder};
use exchange_core::order::OrderType;

impl Naive {
    pub(super) fn oco(&mut self, oco: &NewOco) -> Answer {
        let leg = |leg: &exchange_core::command::OcoLeg| NewOrder {
            account: oco.account,
            market: oco.market,
            side: oco.side,
            kind: leg.kind,
            time_in_force: leg.time_in_force,
            stp: oco.stp,
            price: leg.price,
            stop_price: leg.stop_price,
            quantity: oco.quantity,
            quote_order_quantity: 0,
            iceberg: leg.iceberg,
            trailing_delta: leg.trailing_delta,
            client_id: leg.client_id,
        };
        let (above, below) = (leg(&oco.above), leg(&oco.below));
        self.check(&above, 2)?;
        self.check(&below, 2)?;
        self.check_list_count(oco.account)?;
        let list_taken = self.lists.iter().any(|l| l.1 == oco.account && l.2 == oco.list_client_id);
        if above.client_id == below.client_id || list_taken {
            return refuse("Duplicate order sent.");
        }
        let prices = |o: &NewOrder| match o.kind {
            _ if o.trailing_delta > 0 && o.stop_price == 0 => Vec::new(),
            OrderType::LimitMaker => vec![o.price],
            OrderType::TakeProfitLimit => vec![o.price, o.stop_price],
            _ => vec![o.stop_price],
        };
        let last = self.last_price();
        let low = prices(&above).into_iter().min().unwrap_or(i64::MAX);
        let high = prices(&below).into_iter().max().unwrap_or(0);
        if low <= high || (last != 0 && (low <= last || high >= last)) {
            return refuse("The relationship of the prices for the orders is not correct.");
        }
        let (one, two) = (self.terms(&above)?.1, self.terms(&below)?.1);
        let hold = one.max(two);
        if self.balance(oco.account, Self::asset(oco.side)).0 < hold {
            return refuse("Account has insufficient balance for requested action.");
        }
        self.last_list += 1;
        let list = self.last_list;
        self.lists.push((list, oco.account, oco.list_client_id));
        let mut shown = Vec::new();
        for leg in [below, above] {
            let is_stop = matches!(leg.kind, OrderType::StopLoss | OrderType::StopLossLimit);
            let quantity = leg.quantity;
            let rests = leg.kind == OrderType::LimitMaker;
            let id = self.add(leg, quantity, if is_stop { 0 } else { hold }, list);
            if rests {
                let me = self.find(id).unwrap();
                self.arrive(me);
            }
            shown.push(self.show(id));
        }
        Ok(shown)
    }
}
