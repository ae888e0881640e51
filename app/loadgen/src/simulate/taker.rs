//! This module is a taker: it trades against the makers with every kind of order, and sometimes places orders that wait for a
//! price. It must not place a ladder.

use super::market::text;
use super::participant::{CallResult, Participant};
use std::collections::VecDeque;

/// Value of one order in quote units: minimum and maximum.
const VALUE: (i64, i64) = (20, 1_500);
/// Waiting orders and lists per market above which the oldest is canceled: below MAX_NUM_ALGO_ORDERS.
const WAITING_MAX: usize = 3;
/// Distance of waiting orders from the fair price, relative.
const FAR: f64 = 0.002;
/// How far an immediate limit order is beyond the fair price, relative.
const REACH: f64 = 0.001;

/// Orders to cancel later.
enum Waiting {
    Order(u64),
    List(u64),
}

pub(super) struct SimulatedTaker {
    participant: Participant,
    waiting: Vec<VecDeque<Waiting>>,
}

impl SimulatedTaker {
    pub fn new(participant: Participant) -> Self {
        let markets = participant.shared.markets.len();
        Self { participant, waiting: (0..markets).map(|_| VecDeque::new()).collect() }
    }

    pub async fn run(mut self) {
        self.participant.clear().await;
        loop {
            self.participant.turn().await;
            let market = self.participant.any_market();
            if self.waiting[market].len() > WAITING_MAX {
                self.cancel_oldest(market).await;
                continue;
            }
            let buy = self.participant.random.chance(50);
            match self.participant.random.below(100) {
                0..45 => self.send(market, buy, "MARKET").await,
                45..60 => self.send(market, buy, "QUOTE").await,
                60..80 => self.send(market, buy, "IOC").await,
                80..84 => self.send(market, buy, "FOK").await,
                84..87 => self.send(market, buy, "LIMIT_MAKER").await,
                87..90 => self.send(market, buy, "ICEBERG").await,
                90..94 => self.send(market, buy, "STOP_LOSS_LIMIT").await,
                94..97 => self.send(market, buy, "TAKE_PROFIT").await,
                97..99 => self.send_oco(market, buy).await,
                _ => self.send_otoco(market, buy).await,
            }
        }
    }

    async fn cancel_oldest(&mut self, market: usize) {
        let symbol = self.participant.shared.markets[market].symbol.clone();
        match self.waiting[market].pop_front() {
            Some(Waiting::Order(id)) => {
                self.participant.delete("/api/v3/order", &format!("symbol={symbol}&orderId={id}")).await;
            }
            Some(Waiting::List(id)) => {
                self.participant.delete("/api/v3/orderList", &format!("symbol={symbol}&orderListId={id}")).await;
            }
            None => {}
        }
    }

    async fn send(&mut self, market: usize, buy: bool, kind: &str) {
        let fair = self.participant.shared.fair(market);
        let value = self.participant.random.between(VALUE.0, VALUE.1);
        let rules = &self.participant.shared.markets[market];
        let quantity = text(rules.quantity(value as f64, rules.price(fair)));
        // Higher for a buyer, lower for a seller.
        let beyond = |distance: f64| if buy { fair * (1.0 + distance) } else { fair * (1.0 - distance) };
        let price = |distance: f64| text(rules.price(beyond(distance)));
        let limit = |force: &str| format!("type=LIMIT&timeInForce={force}&quantity={quantity}&price={}", price(REACH));
        let terms = match kind {
            "QUOTE" => format!("type=MARKET&quoteOrderQty={value}"),
            "IOC" | "FOK" => limit(kind),
            "LIMIT_MAKER" => format!("type=LIMIT_MAKER&quantity={quantity}&price={}", price(-FAR)),
            "ICEBERG" => {
                let part = text(rules.quantity(value as f64 / 4.0, rules.price(fair)));
                format!("type=LIMIT_MAKER&quantity={quantity}&price={}&icebergQty={part}", price(-FAR))
            }
            "STOP_LOSS_LIMIT" => {
                let (stop, price) = (price(FAR), price(FAR + REACH));
                format!("type=STOP_LOSS_LIMIT&timeInForce=GTC&quantity={quantity}&stopPrice={stop}&price={price}")
            }
            "TAKE_PROFIT" => format!("type=TAKE_PROFIT&quantity={quantity}&stopPrice={}", price(-FAR)),
            _ => format!("type=MARKET&quantity={quantity}"),
        };
        let parameters = format!("symbol={}&side={}&{terms}", rules.symbol, side(buy));
        if let CallResult::Done(reply) = self.participant.post("/api/v3/order", &parameters).await
            && matches!(kind, "LIMIT_MAKER" | "ICEBERG" | "STOP_LOSS_LIMIT" | "TAKE_PROFIT")
            && let Some(id) = reply["orderId"].as_u64()
        {
            self.waiting[market].push_back(Waiting::Order(id));
        }
    }

    /// A limit order on the near side of the price and a stop on the far one.
    async fn send_oco(&mut self, market: usize, buy: bool) {
        let pair = self.pair(market, buy, ["above", "below"]);
        let Pair { symbol, quantity, legs, .. } = pair;
        let parameters = format!("symbol={symbol}&side={}&quantity={quantity}&{legs}", side(buy));
        self.send_list(market, "/api/v3/orderList/oco", &parameters).await;
    }

    /// Enters at the market, and leaves by a pair around it once the entry is filled.
    async fn send_otoco(&mut self, market: usize, buy: bool) {
        let pair = self.pair(market, !buy, ["pendingAbove", "pendingBelow"]);
        let Pair { symbol, quantity, legs, entry } = pair;
        let parameters = format!(
            "symbol={symbol}&workingType=LIMIT&workingTimeInForce=GTC&workingSide={}&workingPrice={entry}&workingQuantity={quantity}\
             &pendingSide={}&pendingQuantity={quantity}&{legs}",
            side(buy),
            side(!buy)
        );
        self.send_list(market, "/api/v3/orderList/otoco", &parameters).await;
    }

    /// A stop and a limit order of one side around the fair price, by the prefixes of their parameters.
    fn pair(&mut self, market: usize, buy: bool, [above, below]: [&str; 2]) -> Pair {
        let fair = self.participant.shared.fair(market);
        let value = self.participant.random.between(VALUE.0, VALUE.1);
        let rules = &self.participant.shared.markets[market];
        let price = |factor: f64| text(rules.price(fair * factor));
        let limit = |leg: &str, price: String| format!("{leg}Type=LIMIT_MAKER&{leg}Price={price}");
        let stop = |leg: &str, price: String| format!("{leg}Type=STOP_LOSS&{leg}StopPrice={price}");
        let (high, low) = (price(1.0 + FAR), price(1.0 - FAR));
        let legs = if buy { [stop(above, high), limit(below, low)] } else { [limit(above, high), stop(below, low)] };
        Pair {
            symbol: rules.symbol.clone(),
            quantity: text(rules.quantity(value as f64, rules.price(fair))),
            legs: legs.join("&"),
            entry: price(if buy { 1.0 - REACH } else { 1.0 + REACH }),
        }
    }

    async fn send_list(&mut self, market: usize, path: &str, parameters: &str) {
        if let CallResult::Done(reply) = self.participant.post(path, parameters).await
            && let Some(id) = reply["orderListId"].as_u64()
        {
            self.waiting[market].push_back(Waiting::List(id));
        }
    }
}

/// The parameters of a pair.
struct Pair {
    symbol: String,
    quantity: String,
    legs: String,
    /// Price of an order of the other side that trades at once.
    entry: String,
}

const fn side(buy: bool) -> &'static str {
    if buy { "BUY" } else { "SELL" }
}
