//! This module is the naive exchange's filters, those that an operator may add included.

use super::{Naive, ONE, refuse};
use crate::support::BTC;
use exchange_core::command::NewOrder;
use exchange_core::order::{AccountId, OrderType, Side, TimeInForce};

impl Naive {
    pub(super) fn check_filters(&self, new: &NewOrder, count: usize) -> Result<(), String> {
        self.check_values(new)?;
        let f = &self.filters;
        let mine = || self.open.iter().filter(|o| o.new.account == new.account);
        if mine().count() + count > f.max_orders as usize {
            return refuse("Filter failure: MAX_NUM_ORDERS");
        }
        if new.kind.is_algo() && mine().filter(|o| o.new.kind.is_algo()).count() >= f.max_algo_orders as usize {
            return refuse("Filter failure: MAX_NUM_ALGO_ORDERS");
        }
        let icebergs = mine().filter(|o| o.new.iceberg > 0).count();
        let most = self.market_limits.max_icebergs as usize;
        if new.iceberg > 0 && most != 0 && icebergs >= most {
            return refuse("Filter failure: MAX_NUM_ICEBERG_ORDERS");
        }
        self.check_limits(new, count)
    }

    pub(super) fn check_values(&self, new: &NewOrder) -> Result<(), String> {
        let f = &self.filters;
        let failure = |name: &str| refuse(&format!("Filter failure: {name}"));
        let outside = |v: i64, low: i64, high: i64, step: i64| v < low || v > high || (step != 0 && v % step != 0);
        let follows = new.trailing_delta > 0 && new.stop_price == 0;
        for price in [(new.kind.has_price(), new.price), (new.kind.is_algo() && !follows, new.stop_price)] {
            if price.0 && outside(price.1, f.min_price, f.max_price, f.tick_size) {
                return failure("PRICE_FILTER");
            }
        }
        let by_quote = new.quote_order_quantity != 0;
        if !by_quote && outside(new.quantity, f.min_quantity, f.max_quantity, f.step_size) {
            return failure("LOT_SIZE");
        }
        let market_like = !new.kind.has_price();
        if !by_quote && market_like && outside(new.quantity, f.market_min_quantity, f.market_max_quantity, f.market_step_size) {
            return failure("MARKET_LOT_SIZE");
        }
        let average = self.average();
        if let (Some(average), false) = (average, market_like) {
            let (up, down) = if new.side == Side::Buy {
                (f.bid_multiplier_up, f.bid_multiplier_down)
            } else {
                (f.ask_multiplier_up, f.ask_multiplier_down)
            };
            let price = i128::from(new.price) * ONE;
            if price > average * i128::from(up) || price < average * i128::from(down) {
                return failure("PERCENT_PRICE_BY_SIDE");
            }
        }
        let at = |price: i128| price * i128::from(new.quantity) / ONE;
        let value = match new.kind {
            OrderType::Market if by_quote => Some(new.quote_order_quantity),
            OrderType::Market => average.map(at),
            OrderType::StopLoss | OrderType::TakeProfit if follows => average.map(at),
            OrderType::StopLoss | OrderType::TakeProfit => Some(at(new.stop_price.into())),
            _ => Some(at(new.price.into())),
        };
        match value {
            Some(0) => return refuse("Price * QTY is zero or less."),
            Some(v) if v < f.min_notional && (!market_like || f.apply_min_to_market) => return failure("NOTIONAL"),
            Some(v) if v > f.max_notional && (!market_like || f.apply_max_to_market) => return failure("NOTIONAL"),
            _ => {}
        }
        self.check_iceberg(new)?;
        if new.trailing_delta == 0 {
            return Ok(());
        }
        if !new.kind.is_algo() {
            return refuse("Unsupported order combination.");
        }
        let stop_loss = matches!(new.kind, OrderType::StopLoss | OrderType::StopLossLimit);
        let own = if stop_loss == (new.side == Side::Buy) {
            self.market_limits.trailing_above
        } else {
            self.market_limits.trailing_below
        };
        let (least, most) = (if own[0] == 0 { 10 } else { own[0] }, if own[1] == 0 { 2_000 } else { own[1] });
        if (least..=most).contains(&new.trailing_delta) { Ok(()) } else { failure("TRAILING_DELTA") }
    }

    fn check_iceberg(&self, new: &NewOrder) -> Result<(), String> {
        let f = &self.filters;
        let failure = |name: &str| refuse(&format!("Filter failure: {name}"));
        let outside = |v: i64, low: i64, high: i64, step: i64| v < low || v > high || (step != 0 && v % step != 0);
        let market_like = !new.kind.has_price();
        if new.iceberg == 0 {
            return Ok(());
        }
        if market_like || new.time_in_force != TimeInForce::Gtc {
            return refuse("Unsupported order combination.");
        }
        if new.quantity <= new.iceberg {
            return refuse("IcebergQty exceeds QTY.");
        }
        if outside(new.iceberg, f.min_quantity, f.max_quantity, f.step_size) {
            return failure("LOT_SIZE");
        }
        let (mut parts, mut left) = (0, new.quantity);
        while left > 0 {
            left -= new.iceberg;
            parts += 1;
        }
        let most = if self.market_limits.iceberg_parts == 0 { 100 } else { self.market_limits.iceberg_parts };
        if parts > most { failure("ICEBERG_PARTS") } else { Ok(()) }
    }

    fn check_limits(&self, new: &NewOrder, count: usize) -> Result<(), String> {
        let mine = || self.open.iter().filter(|o| o.new.account == new.account);
        let (most, limits) = (self.market_limits.max_position, self.limits);
        let (free, locked) = self.balances.get(&(new.account, BTC)).copied().unwrap_or_default();
        let coming: i128 = mine().filter(|o| o.new.side == Side::Buy).map(|o| i128::from(o.left())).sum();
        if most != 0 && new.side == Side::Buy && free + locked + coming + i128::from(new.quantity) > most.into() {
            return refuse("Filter failure: MAX_POSITION");
        }
        if limits.max_orders != 0 && mine().count() + count > limits.max_orders as usize {
            return refuse("Filter failure: EXCHANGE_MAX_NUM_ORDERS");
        }
        let algo = mine().filter(|o| o.new.kind.is_algo()).count();
        if limits.max_algo_orders != 0 && new.kind.is_algo() && algo >= limits.max_algo_orders as usize {
            return refuse("Filter failure: EXCHANGE_MAX_NUM_ALGO_ORDERS");
        }
        let icebergs = mine().filter(|o| o.new.iceberg > 0).count();
        if limits.max_icebergs != 0 && new.iceberg > 0 && icebergs >= limits.max_icebergs as usize {
            return refuse("Filter failure: EXCHANGE_MAX_NUM_ICEBERG_ORDERS");
        }
        Ok(())
    }

    pub(super) fn check_list_count(&self, account: AccountId) -> Result<(), String> {
        let own = self.lists.iter().filter(|l| l.1 == account).count();
        for (most, name) in
            [(self.market_limits.max_lists, "MAX_NUM_ORDER_LISTS"), (self.limits.max_lists, "EXCHANGE_MAX_NUM_ORDER_LISTS")]
        {
            if most != 0 && own >= most as usize {
                return refuse(&format!("Filter failure: {name}"));
            }
        }
        Ok(())
    }
}
