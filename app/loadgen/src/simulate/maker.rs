//! This module is a market maker: a ladder of limit orders per side on every market, moved with the fair price. It must not trade
//! actively.

use super::market::{MarketView, text};
use super::participant::{CallResult, Participant};
use exchange_core::money::{Price, parse};
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

/// Levels per side of all makers together.
const LEVELS: usize = 16;
/// Half of the spread, and the distance between two levels, relative to the price.
const HALF_SPREAD: f64 = 0.000_1;
const GAP: f64 = 0.000_1;
/// Value of one order in quote units: minimum and maximum.
const VALUE: (i64, i64) = (200, 4_000);
/// Interval between two reads of the maker's open orders.
const LOOK: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, PartialEq)]
struct Standing {
    id: u64,
    buy: bool,
    price: Price,
}

pub(super) struct Maker {
    participant: Participant,
    /// This maker's levels are every `makers`-th, starting with `number`.
    number: usize,
    makers: usize,
    standing: Vec<Vec<Standing>>,
    looked: Vec<Option<Instant>>,
}

/// The next action on one market.
#[derive(Debug, PartialEq)]
enum Step {
    Move(Standing, bool, Price),
    Place(bool, Price),
    Cancel(Standing),
    Rest,
}

/// Wanted prices, best first.
fn ladder(market: &MarketView, fair: f64, buy: bool, levels: impl Iterator<Item = usize>) -> Vec<Price> {
    let gap = (fair * GAP).max(market.tick as f64);
    let prices = levels.map(|level| {
        let distance = fair * HALF_SPREAD + level as f64 * gap;
        if buy { market.price(fair - distance) } else { market.price(fair + distance) + market.tick }
    });
    prices.collect()
}

/// The most urgent action: cancel a misplaced order, or place a missing one.
fn step(market: &MarketView, fair: f64, standing: &[Standing], levels: impl Iterator<Item = usize> + Clone) -> Step {
    let tolerance = ((fair * GAP) as Price / 2).max(market.tick);
    let near = |one: Price, other: Price| (one - other).abs() <= tolerance;
    let wanted: Vec<(bool, Price)> = [true, false]
        .into_iter()
        .flat_map(|buy| ladder(market, fair, buy, levels.clone()).into_iter().map(move |price| (buy, price)))
        .collect();
    let misplaced =
        standing.iter().find(|order| !wanted.iter().any(|(buy, price)| *buy == order.buy && near(*price, order.price)));
    let missing = wanted.iter().find(|(buy, price)| !standing.iter().any(|order| order.buy == *buy && near(*price, order.price)));
    match (misplaced, missing) {
        (Some(order), Some((buy, price))) => Step::Move(order.clone(), *buy, *price),
        (Some(order), None) => Step::Cancel(order.clone()),
        (None, Some((buy, price))) => Step::Place(*buy, *price),
        (None, None) => Step::Rest,
    }
}

impl Maker {
    pub fn new(participant: Participant, number: usize, makers: usize) -> Self {
        let markets = participant.shared.markets.len();
        Self { participant, number, makers, standing: vec![Vec::new(); markets], looked: vec![None; markets] }
    }

    pub async fn run(mut self) {
        self.participant.clear().await;
        loop {
            self.participant.turn().await;
            let first = self.participant.any_market();
            // The first market that needs an action, starting at a random one.
            for offset in 0..self.standing.len() {
                let market = (first + offset) % self.standing.len();
                if self.attend(market).await {
                    break;
                }
            }
        }
    }

    /// Sends at most one order or cancel; false if no action was needed.
    async fn attend(&mut self, market: usize) -> bool {
        if self.looked[market].is_none_or(|looked| looked.elapsed() > LOOK) {
            self.standing[market] = self.participant.open_orders(market).await.iter().filter_map(standing).collect();
            self.looked[market] = Some(Instant::now());
        }
        let (fair, rules) = (self.participant.shared.fair(market), &self.participant.shared.markets[market]);
        let levels = (self.number..LEVELS).step_by(self.makers);
        let (path, parameters) = match step(rules, fair, &self.standing[market], levels) {
            Step::Rest => return false,
            Step::Cancel(order) => {
                self.standing[market].retain(|other| *other != order);
                let parameters = format!("symbol={}&orderId={}", rules.symbol, order.id);
                if matches!(self.participant.delete("/api/v3/order", &parameters).await, CallResult::Lost) {
                    self.looked[market] = None;
                }
                return true;
            }
            Step::Place(buy, price) => ("/api/v3/order", self.order(market, buy, price)),
            Step::Move(order, buy, price) => {
                self.standing[market].retain(|other| *other != order);
                let new = self.order(market, buy, price);
                let cancel = format!("&cancelReplaceMode=ALLOW_FAILURE&cancelOrderId={}", order.id);
                ("/api/v3/order/cancelReplace", new + &cancel)
            }
        };
        match self.participant.post(path, &parameters).await {
            CallResult::Done(reply) => {
                let placed = if reply["newOrderResponse"].is_object() { &reply["newOrderResponse"] } else { &reply };
                self.standing[market].extend(standing(placed));
            }
            // After a partial failure too, read the open orders again.
            CallResult::Refused | CallResult::Lost => self.looked[market] = None,
        }
        true
    }

    fn order(&mut self, market: usize, buy: bool, price: Price) -> String {
        let value = self.participant.random.between(VALUE.0, VALUE.1) as f64;
        let rules = &self.participant.shared.markets[market];
        let (side, quantity) = (if buy { "BUY" } else { "SELL" }, text(rules.quantity(value, price)));
        let price = text(price);
        format!("symbol={}&side={side}&type=LIMIT&timeInForce=GTC&quantity={quantity}&price={price}", rules.symbol)
    }
}

/// An open order, from a reply.
fn standing(reply: &Value) -> Option<Standing> {
    let open = matches!(reply["status"].as_str()?, "NEW" | "PARTIALLY_FILLED");
    let price = parse(reply["price"].as_str()?).ok()?;
    open.then_some(Standing { id: reply["orderId"].as_u64()?, buy: reply["side"] == "BUY", price })
}

#[cfg(test)]
mod tests {
    use super::*;
    use exchange_core::money::SCALE;

    #[test]
    fn a_ladder_is_built_held_and_moved() {
        let market = MarketView {
            symbol: "BTCUSDT".into(),
            tick: SCALE / 100,
            step: 1_000,
            min_quantity: 1_000,
            min_notional: 5 * SCALE,
            opening: 60_000 * SCALE,
        };
        let (mut fair, mut standing) = (60_000.0 * SCALE as f64, Vec::new());
        let mut moves = 0;
        for round in 0..60 {
            match step(&market, fair, &standing, (0..8).step_by(2)) {
                Step::Place(buy, price) => standing.push(Standing { id: round, buy, price }),
                Step::Move(order, buy, price) => {
                    moves += 1;
                    standing.retain(|other| *other != order);
                    standing.push(Standing { id: round, buy, price });
                }
                Step::Cancel(order) => standing.retain(|other| *other != order),
                Step::Rest if moves > 0 => break,
                Step::Rest => fair *= 1.001,
            }
        }
        assert_eq!(standing.iter().filter(|order| order.buy).count(), 4);
        assert_eq!(standing.len(), 8);
        assert!(moves > 0);
        assert!(standing.iter().all(|order| order.buy == ((order.price as f64) < fair)));
    }
}
