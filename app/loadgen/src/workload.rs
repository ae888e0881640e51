//! This module is the one workload of every order arm: order number n is the same on every machine and in every arm. It must not
//! contain a cancel, or an order that is refused.
//!
//! 100 accounts, 3 markets, LIMIT GTC orders around a fixed mid. About half of them match each other near it, and the rest wait
//! away from it, like most orders of a real market. Accounts have large balances and the markets' MAX_NUM_ORDERS is high, so that
//! every order is accepted in any order of arrival.

use crate::random::Random;
use exchange_core::money::{Decimal, Price, Quantity, SCALE};
use exchange_core::order::Side;
use std::fmt::Write;

pub const ACCOUNTS: u32 = 100;
/// Base asset, price of the mid in quote units; the quote asset is [`QUOTE`].
pub const MARKETS: [(&str, i64); 3] = [("BTC", 60_000), ("ETH", 3_000), ("BNB", 600)];
pub const QUOTE: &str = "USDT";
/// Initial balance of each account in each asset, in units.
pub const FUNDS: i64 = 1_000_000_000;
const TICK: Price = SCALE / 100;
/// Limit in ticks: orders are at most this far beyond the mid, and at most this far before it.
const BEYOND: i64 = 15;
const BEFORE: i64 = 5;
/// Percentage of the orders that are placed near the mid; the result is at least 0.4 trades per order.
const NEAR: u64 = 50;
/// Distance of the other orders before the mid in ticks: minimum and maximum.
const AWAY: (i64, i64) = (20, 220);
/// Quantity in thousandths: minimum and maximum.
const QUANTITY: (i64, i64) = (10, 100);

/// One order of the workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkloadOrder {
    pub number: u64,
    /// 0 to [`ACCOUNTS`] - 1.
    pub account: u32,
    /// Index into [`MARKETS`].
    pub market: usize,
    pub side: Side,
    pub price: Price,
    pub quantity: Quantity,
}

/// The workload of a seed.
#[derive(Debug, Clone, Copy)]
pub struct Workload {
    seed: u64,
}

impl Workload {
    pub const fn new(seed: u64) -> Self {
        Self { seed }
    }

    pub const fn order(&self, number: u64) -> WorkloadOrder {
        let mut random = Random::new(self.seed ^ number.wrapping_mul(0xd134_2543_de82_ef95));
        let market = random.below(MARKETS.len() as u64) as usize;
        let buys = random.chance(50);
        let ticks = if random.chance(NEAR) { random.between(-BEFORE, BEYOND) } else { -random.between(AWAY.0, AWAY.1) };
        let offset = ticks * TICK;
        let mid = MARKETS[market].1 * SCALE;
        WorkloadOrder {
            number,
            account: random.below(ACCOUNTS as u64) as u32,
            market,
            side: if buys { Side::Buy } else { Side::Sell },
            price: if buys { mid + offset } else { mid - offset },
            quantity: random.between(QUANTITY.0, QUANTITY.1) * SCALE / 1000,
        }
    }
}

impl WorkloadOrder {
    /// Writes the parameters of `POST /api/v3/order` into `text`, in ccxt's form.
    pub fn parameters(&self, text: &mut String) {
        text.clear();
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "symbol={}{QUOTE}&side={}&type=LIMIT&timeInForce=GTC&quantity={}&price={}&newClientOrderId=x-TKT5PX2F{:022x}&newOrderRespType=FULL",
            MARKETS[self.market].0,
            self.side,
            Decimal::from(self.quantity),
            Decimal::from(self.price),
            self.number,
        );
    }
}

/// An account's API key and secret: letters and digits from a fixed seed. Use them only for servers that exist for one run.
pub fn key(account: u32) -> (String, String) {
    let mut random = Random::new(0x6b65_7973 + u64::from(account));
    let mut text = || (0..4).map(|_| format!("{:016x}", random.next())).collect::<String>();
    (text(), text())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core_bench::stream;
    use crate::foundation;
    use exchange_core::command::{Command, NewOrder};
    use exchange_core::event::Event;
    use exchange_core::market::Market;
    use exchange_core::order::{ClientId, OrderType, TimeInForce};

    /// Checked with the core itself: every order is accepted, and there are at least 0.4 trades per order.
    #[test]
    fn orders_are_accepted_and_most_trade() {
        let mut state = foundation::lay(u32::MAX, stream::START, &mut Vec::new()).unwrap();
        let (mut events, mut text) = (Vec::new(), String::new());
        let workload = Workload::new(1);
        const ORDERS: u64 = 40_000;
        for number in 0..ORDERS {
            let order = workload.order(number);
            order.parameters(&mut text);
            let id = text.split_once("newClientOrderId=").unwrap().1.split('&').next().unwrap();
            let new = NewOrder {
                account: order.account + foundation::FIRST_ACCOUNT,
                market: order.market as u16,
                side: order.side,
                kind: OrderType::Limit,
                time_in_force: TimeInForce::Gtc,
                stp: Market::DEFAULT_STP,
                price: order.price,
                stop_price: 0,
                quantity: order.quantity,
                quote_order_quantity: 0,
                iceberg: 0,
                trailing_delta: 0,
                client_id: ClientId::new(id).unwrap(),
            };
            state.decide(&Command::Place(new), stream::START + number as i64, &mut events).unwrap();
        }
        let trades = events.iter().filter(|event| matches!(event, Event::Trade(_))).count() as u64;
        assert!(trades * 10 >= ORDERS * 4, "{trades} trades of {ORDERS} orders");
        assert!(state.open_order_count() as u64 <= ORDERS * 6 / 10, "{} rest", state.open_order_count());
    }
}
