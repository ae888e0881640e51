//! This module is one client: it places, cancels and replaces orders, each with a new id, and records every answer. It must not
//! check the answers.

use super::record::{Log, Record, order_id};
use crate::client::{Api, ApiReply, CallError, Credentials, HttpMethod};
use crate::random::Random;
use crate::workload::{MARKETS, QUOTE, Workload, key};
use anyhow::Result;
use exchange_core::money::Decimal;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::sleep;

/// Pause after an answer that reports an unavailable exchange.
const PAUSE: Duration = Duration::from_millis(20);
/// Open orders that a client stores for later cancels.
const REMEMBERED: usize = 50;

pub struct SoakClient {
    account: u32,
    addresses: watch::Receiver<SocketAddr>,
    stopped: watch::Receiver<bool>,
    log: Arc<Log>,
    api: Api,
    random: Random,
    workload: Workload,
    sent: u64,
    /// Market and id of orders that were open in their last answer.
    open: Vec<(usize, u64)>,
}

impl SoakClient {
    pub fn new(
        account: u32,
        addresses: watch::Receiver<SocketAddr>,
        log: Arc<Log>,
        mut random: Random,
        stopped: watch::Receiver<bool>,
    ) -> Result<Self> {
        let (api_key, secret) = key(account);
        let api = Api::new(*addresses.borrow(), Some(Credentials::new(&api_key, &secret)?));
        let workload = Workload::new(random.next());
        Ok(Self { account, addresses, stopped, log, api, random, workload, sent: 0, open: Vec::new() })
    }

    /// Trades until the stop.
    pub async fn run(mut self) {
        while !*self.stopped.borrow() {
            if self.addresses.has_changed().unwrap_or(false) {
                let address = *self.addresses.borrow_and_update();
                self.api.move_to(address);
            }
            let away = match self.random.below(100) {
                0..70 => self.place().await,
                70..88 => self.cancel().await,
                _ => self.replace().await,
            };
            if away {
                sleep(PAUSE).await;
            }
        }
    }

    /// Parameters of a new order, its market and its id.
    fn order(&mut self) -> (String, usize, String) {
        self.sent += 1;
        let order = self.workload.order(self.sent);
        let client_id = format!("soak-{}-{}", self.account, self.sent);
        let (symbol, quantity) = (symbol(order.market), Decimal::from(order.quantity));
        let terms = match self.random.below(10) {
            0 => "type=MARKET".to_owned(),
            1 => format!("type=LIMIT&timeInForce=IOC&price={}", Decimal::from(order.price)),
            _ => format!("type=LIMIT&timeInForce=GTC&price={}", Decimal::from(order.price)),
        };
        let side = order.side;
        let text =
            format!("symbol={symbol}&side={side}&{terms}&quantity={quantity}&newClientOrderId={client_id}&newOrderRespType=FULL");
        (text, order.market, client_id)
    }

    /// True if the exchange was unavailable.
    async fn place(&mut self) -> bool {
        let (parameters, market, client_id) = self.order();
        match self.api.signed(HttpMethod::Post, "/api/v3/order", &parameters).await {
            Ok(reply) => {
                self.placed(market, client_id, &reply);
                false
            }
            Err(error) => self.not_placed(client_id, &error),
        }
    }

    async fn cancel(&mut self) -> bool {
        let Some((market, order)) = self.any_open() else { return false };
        let parameters = format!("symbol={}&orderId={order}", symbol(market));
        match self.api.signed(HttpMethod::Delete, "/api/v3/order", &parameters).await {
            Ok(_) => {
                self.log.add(Record::Canceled { account: self.account, market, order });
                false
            }
            Err(error) => is_away(&error),
        }
    }

    async fn replace(&mut self) -> bool {
        let Some((market, order)) = self.any_open() else { return false };
        let (parameters, _, client_id) = self.order();
        // The new order uses the market of the old one, as the API requires.
        let rest = parameters.split_once('&').map_or("", |(_, rest)| rest);
        let parameters = format!("symbol={}&{rest}&cancelReplaceMode=STOP_ON_FAILURE&cancelOrderId={order}", symbol(market));
        match self.api.signed(HttpMethod::Post, "/api/v3/order/cancelReplace", &parameters).await {
            Ok(reply) => {
                self.log.add(Record::Canceled { account: self.account, market, order });
                self.placed(market, client_id, &reply["newOrderResponse"]);
                false
            }
            Err(error) => self.not_placed(client_id, &error),
        }
    }

    fn any_open(&mut self) -> Option<(usize, u64)> {
        let index = self.random.below(self.open.len() as u64) as usize;
        (index < self.open.len()).then(|| self.open.swap_remove(index))
    }

    fn placed(&mut self, market: usize, client_id: String, reply: &ApiReply) {
        let order = order_id(reply);
        if matches!(reply["status"].as_str(), Some("NEW" | "PARTIALLY_FILLED")) && self.open.len() < REMEMBERED {
            self.open.push((market, order));
        }
        self.log.add(Record::placed(self.account, market, client_id, reply));
    }

    fn not_placed(&self, client_id: String, error: &CallError) -> bool {
        let account = self.account;
        self.log.add(match error {
            CallError::Refused { .. } => Record::Refused { account, client_id },
            CallError::Unknown(_) => Record::Unknown { account, client_id },
        });
        is_away(error)
    }
}

/// No answer, or an answer about the exchange's state instead of the order.
fn is_away(error: &CallError) -> bool {
    !matches!(error, CallError::Refused { status: 400..500, .. })
}

pub fn symbol(market: usize) -> String {
    format!("{}{QUOTE}", MARKETS[market].0)
}
