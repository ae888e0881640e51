//! This module is one client of the fault script: it places and cancels orders on any replica, retries by client order id, and reads
//! its orders back from other replicas. It must not check against the journal.
//!
//! - A retry follows the documented procedure: wait until the request's recvWindow has passed, ask for the order by its id, and send it
//!   again only if it does not exist. A request that arrives later is refused by its timestamp.

use super::client::symbol;
use super::record::{Log, Record, number, order_id};
use crate::client::{Api, ApiReply, CallError, Credentials, HttpMethod};
use crate::random::Random;
use crate::workload::{Workload, WorkloadOrder, key};
use anyhow::Result;
use exchange_core::money::Decimal;
use exchange_core::order::Side;
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
/// A multiple of every market's tick, in 10⁻⁸.
const PENDING_STEP: i64 = exchange_core::money::SCALE / 100;
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

/// One placement, with the client ids of its orders.
struct OrderRequest {
    path: &'static str,
    parameters: String,
    client_ids: Vec<String>,
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

    /// An order, of which one of ten trails the price, or an order list with pending orders.
    async fn place(&mut self) {
        self.sent += 1;
        let order = self.workload.order(self.sent);
        let request = match self.random.below(100) {
            0..12 => self.list(&order),
            12..22 => self.trailing(&order),
            _ => self.limit(&order),
        };
        self.submit(order.market, request).await;
    }

    fn client_id(&self, name: &str) -> String {
        format!("fault-{}-{}{name}", self.account, self.sent)
    }

    fn limit(&mut self, order: &WorkloadOrder) -> OrderRequest {
        // The book shows a third or less of an iceberg order at a time.
        let part = order.quantity / 3 / ICEBERG_STEP * ICEBERG_STEP;
        let terms = match self.random.below(100) {
            0..20 => "IOC".to_owned(),
            20..40 if part > 0 => format!("GTC&icebergQty={}", Decimal::from(part)),
            _ => "GTC".to_owned(),
        };
        self.single(order, &format!("type=LIMIT&timeInForce={terms}"))
    }

    /// It follows the price from its placement, or from the trade that reaches its stop price.
    fn trailing(&mut self, order: &WorkloadOrder) -> OrderRequest {
        let delta = self.random.between(10, 40);
        self.single(order, &format!("type=STOP_LOSS_LIMIT&timeInForce=GTC&trailingDelta={delta}"))
    }

    fn single(&self, order: &WorkloadOrder, terms: &str) -> OrderRequest {
        let client_id = self.client_id("");
        let parameters = format!(
            "symbol={}&side={}&{terms}&price={}&quantity={}&newClientOrderId={client_id}&newOrderRespType=FULL&recvWindow={}",
            symbol(order.market),
            order.side,
            Decimal::from(order.price),
            Decimal::from(order.quantity),
            WINDOW.as_millis()
        );
        OrderRequest { path: "/api/v3/order", parameters, client_ids: vec![client_id] }
    }

    /// A working limit order, and an order or a pair of the other side that is placed when it is filled.
    fn list(&mut self, order: &WorkloadOrder) -> OrderRequest {
        let (working, first, second) = (self.client_id("w"), self.client_id("p"), self.client_id("q"));
        let (price, quantity) = (Decimal::from(order.price), Decimal::from(order.quantity));
        let away = |hundredths: i64| Decimal::from(order.price / 100 * hundredths / PENDING_STEP * PENDING_STEP);
        let pair = order.side == Side::Buy && self.random.chance(50);
        let (path, pending) = if pair {
            let pending = format!(
                "pendingAboveType=LIMIT_MAKER&pendingAbovePrice={}&pendingAboveClientOrderId={first}&pendingBelowType=STOP_LOSS_LIMIT\
                 &pendingBelowTimeInForce=GTC&pendingBelowPrice={}&pendingBelowTrailingDelta=20&pendingBelowClientOrderId={second}",
                away(110),
                away(95)
            );
            ("/api/v3/orderList/otoco", pending)
        } else {
            let away = away(if order.side == Side::Buy { 101 } else { 99 });
            let pending = format!("pendingType=LIMIT&pendingTimeInForce=GTC&pendingPrice={away}&pendingClientOrderId={first}");
            ("/api/v3/orderList/oto", pending)
        };
        let parameters = format!(
            "symbol={}&listClientOrderId={}&workingType=LIMIT&workingTimeInForce=GTC&workingSide={}&workingPrice={price}\
             &workingQuantity={quantity}&workingClientOrderId={working}&pendingSide={}&pendingQuantity={quantity}&{pending}&recvWindow={}",
            symbol(order.market),
            self.client_id("l"),
            order.side,
            order.side.opposite(),
            WINDOW.as_millis()
        );
        let client_ids = if pair { vec![working, first, second] } else { vec![working, first] };
        OrderRequest { path, parameters, client_ids }
    }

    /// Sends until there is an outcome. The first client order id shows whether the request was executed.
    async fn submit(&mut self, market: usize, request: OrderRequest) {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            let sent = Instant::now();
            match self.api.signed(HttpMethod::Post, request.path, &request.parameters).await {
                Ok(reply) => return self.acknowledged(market, request, &reply),
                Err(CallError::Refused { message, .. }) if message == "Duplicate order sent." => return self.found(request),
                // A definite refusal of the exchange, or a replica that executed nothing.
                Err(CallError::Refused { status: 400.., code, .. }) if !matches!(code, -1001 | -1008 | -1021) => {
                    let refused = |client_id| Record::Refused { account: self.account, client_id };
                    return request.client_ids.into_iter().for_each(|client_id| self.log.add(refused(client_id)));
                }
                Err(CallError::Refused { .. }) => {}
                Err(CallError::Unknown(_)) => {
                    self.log.add_failure();
                    sleep_until((sent + WINDOW + PAUSE).into()).await;
                    if self.exists(market, &request.client_ids[0], end).await {
                        return self.found(request);
                    }
                }
            }
            sleep(PAUSE).await;
            self.move_on();
        }
        let unknown = |client_id| Record::Unknown { account: self.account, client_id };
        request.client_ids.into_iter().for_each(|client_id| self.log.add(unknown(client_id)));
    }

    /// Every order of the request was placed, according to an answer.
    fn found(&self, request: OrderRequest) {
        let exists = |client_id| Record::Exists { account: self.account, client_id };
        request.client_ids.into_iter().for_each(|client_id| self.log.add(exists(client_id)));
    }

    fn acknowledged(&mut self, market: usize, mut request: OrderRequest, reply: &ApiReply) {
        if request.client_ids.len() == 1 {
            return self.placed(market, request.client_ids.remove(0), reply);
        }
        for report in reply["orderReports"].as_array().into_iter().flatten() {
            if self.open.len() < REMEMBERED {
                self.open.push_back(Known { market, order: order_id(report), executed: number(&report["executedQty"]) });
            }
        }
        let listed = |client_id| Record::Listed { account: self.account, client_id };
        request.client_ids.into_iter().for_each(|client_id| self.log.add(listed(client_id)));
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
