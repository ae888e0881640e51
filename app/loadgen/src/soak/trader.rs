//! This module is one client of the fault script: it places and cancels orders on any replica, retries by client order id, and reads
//! its orders back from other replicas. It must not check against the journal.
//!
//! - A retry follows the documented procedure: wait until the request's recvWindow has passed, ask for the order by its id, and send it
//!   again only if it does not exist. A request that arrives later is refused by its timestamp.

use super::client::symbol;
use super::record::{Log, Record, number, order_id};
use crate::client::{Api, ApiReply, CallError, Credentials, HttpMethod};
use crate::random::Random;
use crate::workload::{Workload, key};
use anyhow::Result;
use exchange_core::money::Decimal;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::time::{sleep, sleep_until};

/// recvWindow of every order; longer than a takeover.
const WINDOW: Duration = Duration::from_secs(5);
/// Longest wait for the outcome of one order: longer than the longest fault.
const PATIENCE: Duration = Duration::from_secs(120);
/// Pause after an answer that reports an unavailable replica.
const PAUSE: Duration = Duration::from_millis(50);
/// Pause between two requests, so that a run lasts and its journal stays short.
const THINK: Duration = Duration::from_millis(25);
/// A multiple of every market's lot, in 10⁻⁸.
const ICEBERG_STEP: i64 = exchange_core::money::SCALE / 1_000;
/// Orders that are read back and cancelled.
const REMEMBERED: usize = 30;

/// Addresses of the replicas' APIs.
pub type Addresses = watch::Receiver<Vec<SocketAddr>>;

pub struct Trader {
    account: u32,
    addresses: Addresses,
    stopped: watch::Receiver<bool>,
    log: Arc<Log>,
    api: Api,
    /// Replica of the next request.
    at: usize,
    /// The only replica that it uses; `None`: any.
    home: Option<usize>,
    random: Random,
    workload: Workload,
    sent: u64,
    open: VecDeque<Known>,
}

/// An acknowledged order, with the largest executed quantity that any replica showed.
#[derive(Debug, Clone)]
struct Known {
    market: usize,
    order: u64,
    executed: i64,
}

impl Trader {
    pub fn new(
        account: u32,
        addresses: Addresses,
        log: Arc<Log>,
        mut random: Random,
        stopped: watch::Receiver<bool>,
    ) -> Result<Self> {
        let (api_key, secret) = key(account);
        let first = addresses.borrow().first().copied().unwrap_or(SocketAddr::from(([127, 0, 0, 1], 1)));
        let api = Api::new(first, Some(Credentials::new(&api_key, &secret)?));
        let (workload, open) = (Workload::new(random.next()), VecDeque::new());
        Ok(Self { account, addresses, stopped, log, api, at: 0, home: None, random, workload, sent: 0, open })
    }

    /// Uses only replica number `at`. While that one is paused, no other waits for it, so the clients of the others show how long the
    /// exchange itself is unavailable.
    #[must_use]
    pub fn at_home(mut self, at: usize) -> Self {
        self.home = Some(at);
        self
    }

    /// Trades until the stop.
    pub async fn run(mut self) {
        while !*self.stopped.borrow() {
            self.move_on();
            match self.random.below(100) {
                0..60 => self.place().await,
                60..75 => self.cancel().await,
                _ => self.read_back().await,
            }
            sleep(THINK).await;
        }
    }

    /// Any replica, at random, or the home.
    fn move_on(&mut self) {
        let moved = self.addresses.has_changed().unwrap_or(false);
        let addresses = self.addresses.borrow_and_update().clone();
        let any = self.random.below(addresses.len() as u64) as usize;
        let at = self.home.unwrap_or(any);
        if at != self.at || moved {
            self.at = at;
            if let Some(address) = addresses.get(at) {
                self.api.move_to(*address);
            }
        }
    }

    async fn place(&mut self) {
        self.sent += 1;
        let order = self.workload.order(self.sent);
        let client_id = format!("fault-{}-{}", self.account, self.sent);
        let price = Decimal::from(order.price);
        // The book shows a third or less of an iceberg order at a time.
        let part = order.quantity / 3 / ICEBERG_STEP * ICEBERG_STEP;
        let terms = match self.random.below(100) {
            0..20 => "IOC".to_owned(),
            20..40 if part > 0 => format!("GTC&icebergQty={}", Decimal::from(part)),
            _ => "GTC".to_owned(),
        };
        let parameters = format!(
            "symbol={}&side={}&type=LIMIT&timeInForce={terms}&price={price}&quantity={}&newClientOrderId={client_id}\
             &newOrderRespType=FULL&recvWindow={}",
            symbol(order.market),
            order.side,
            Decimal::from(order.quantity),
            WINDOW.as_millis()
        );
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            let sent = Instant::now();
            match self.api.signed(HttpMethod::Post, "/api/v3/order", &parameters).await {
                Ok(reply) => return self.placed(order.market, client_id, &reply),
                Err(CallError::Refused { message, .. }) if message == "Duplicate order sent." => {
                    return self.log.add(Record::Exists { account: self.account, client_id });
                }
                // A definite refusal of the exchange, or a replica that executed nothing.
                Err(CallError::Refused { status: 400.., code, .. }) if !matches!(code, -1001 | -1008 | -1021) => {
                    return self.log.add(Record::Refused { account: self.account, client_id });
                }
                Err(CallError::Refused { .. }) => {}
                Err(CallError::Unknown(_)) => {
                    self.log.add_failure();
                    sleep_until((sent + WINDOW + PAUSE).into()).await;
                    if self.exists(order.market, &client_id, end).await {
                        return self.log.add(Record::Exists { account: self.account, client_id });
                    }
                }
            }
            sleep(PAUSE).await;
            self.move_on();
        }
        self.log.add(Record::Unknown { account: self.account, client_id });
    }

    /// Whether the exchange has the order, according to any replica that answers.
    async fn exists(&mut self, market: usize, client_id: &str, end: Instant) -> bool {
        let parameters = format!("symbol={}&origClientOrderId={client_id}", symbol(market));
        while Instant::now() < end {
            self.move_on();
            match self.api.signed(HttpMethod::Get, "/api/v3/order", &parameters).await {
                Ok(_) => return true,
                Err(error) if error.code() == -2013 => return false,
                Err(_) => sleep(PAUSE).await,
            }
        }
        false
    }

    async fn cancel(&mut self) {
        let Some(Known { market, order, .. }) = self.any_open() else { return };
        let parameters = format!("symbol={}&orderId={order}", symbol(market));
        match self.api.signed(HttpMethod::Delete, "/api/v3/order", &parameters).await {
            Ok(_) => self.log.add(Record::Canceled { account: self.account, market, order }),
            Err(CallError::Unknown(_)) => self.log.add_failure(),
            Err(_) => {}
        }
    }

    /// A signed read on any replica includes everything that this client was answered before, and never goes back.
    async fn read_back(&mut self) {
        let Some(mut known) = self.any_open() else { return };
        let parameters = format!("symbol={}&orderId={}", symbol(known.market), known.order);
        match self.api.signed(HttpMethod::Get, "/api/v3/order", &parameters).await {
            Ok(reply) => {
                let executed = number(&reply["executedQty"]);
                if executed < known.executed {
                    let text = format!("order {} had executed {}, and later {executed}", known.order, known.executed);
                    self.log.add(Record::Violation(text));
                }
                known.executed = executed;
                if matches!(reply["status"].as_str(), Some("NEW" | "PARTIALLY_FILLED")) {
                    self.open.push_back(known);
                }
            }
            Err(error) if error.code() == -2013 => {
                let text = format!("order {} was acknowledged, and a later signed read does not have it", known.order);
                self.log.add(Record::Violation(text));
            }
            Err(_) => self.open.push_back(known),
        }
    }

    fn any_open(&mut self) -> Option<Known> {
        let index = self.random.below(self.open.len() as u64) as usize;
        self.open.swap_remove_back(index)
    }

    fn placed(&mut self, market: usize, client_id: String, reply: &ApiReply) {
        let order = order_id(reply);
        if self.open.len() < REMEMBERED {
            self.open.push_back(Known { market, order, executed: number(&reply["executedQty"]) });
        }
        self.log.add(Record::placed(self.account, market, client_id, reply));
    }
}
