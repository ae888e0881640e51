//! Tests of three servers as processes under load: the leader is killed, paused and asked to stop, and every server is restarted
//! behind nginx.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::{net::TcpListener, task::JoinSet};

use crate::{
    eventually::until,
    exchange::{hmac_hex, now},
    nginx::{self, Nginx, UNLIMITED},
    processes::{Process, admin},
    replica::database,
};

/// Clients that place orders, each with one request at a time.
const CLIENTS: u32 = 6;

pub struct Key {
    pub api_key: String,
    pub secret: String,
}

impl Key {
    pub fn sign(&self, parameters: &str) -> String {
        let payload = format!("{parameters}&recvWindow=30000&timestamp={}", now());
        format!("{payload}&signature={}", hmac_hex(&self.secret, &payload))
    }
}

/// A market, and an account with money and a key.
pub async fn market(url: &str) -> Key {
    for asset in ["BTC", "USDT"] {
        admin(url, &["asset", "create", asset]).await;
    }
    admin(url, &["market", "create", "BTCUSDT", "--base", "BTC", "--quote", "USDT", "--max-orders", "100000"]).await;
    let created = admin(url, &["account", "create", "trader"]).await;
    let account = created["account"].to_string();
    admin(url, &["credit", &account, "USDT", "900000000", "--reference", "first"]).await;
    let key = admin(url, &["api-key", "create", &account]).await;
    let text = |member: &str| key[member].as_str().unwrap().to_owned();
    Key { api_key: text("apiKey"), secret: text("secretKey") }
}

/// What clients saw.
#[derive(Default)]
pub struct Seen {
    number: AtomicU64,
    acknowledged: Mutex<BTreeSet<String>>,
    pub failed: Mutex<Vec<String>>,
    /// The longest time between two acknowledgements.
    last: Mutex<Option<Instant>>,
    gap: Mutex<Duration>,
    pub stop: AtomicBool,
}

impl Seen {
    fn acknowledge(&self, id: String) {
        self.acknowledged.lock().unwrap().insert(id);
        let mut last = self.last.lock().unwrap();
        if let Some(before) = last.replace(Instant::now()) {
            let mut gap = self.gap.lock().unwrap();
            *gap = (*gap).max(before.elapsed());
        }
    }

    pub fn count(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    /// Returns once clients have seen `more` acknowledgements.
    pub async fn goes_on(&self, more: usize) {
        let target = self.count() + more;
        until("orders are acknowledged", || async { self.count() >= target }).await;
    }

    /// The longest gap since the last call.
    pub fn take_gap(&self) -> Duration {
        std::mem::take(&mut *self.gap.lock().unwrap())
    }
}

/// Places orders that rest, each with its own client order id, and reads each back.
pub fn load(apis: &[String], key: &Arc<Key>, seen: &Arc<Seen>) -> JoinSet<()> {
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let api = apis[client as usize % apis.len()].clone();
        let (key, seen) = (Arc::clone(key), Arc::clone(seen));
        clients.spawn(async move {
            let http = reqwest::Client::builder().timeout(Duration::from_secs(20)).build().unwrap();
            while !seen.stop.load(Ordering::Relaxed) {
                let number = seen.number.fetch_add(1, Ordering::Relaxed);
                let id = format!("order-{number}");
                let price = 100 + number % 500;
                let order = format!(
                    "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price={price}&quantity=0.1&newClientOrderId={id}"
                );
                match ask(&http, reqwest::Method::POST, &api, "/api/v3/order", &order, &key).await {
                    Ok(placed) => {
                        assert_eq!(placed["clientOrderId"], id.as_str());
                        seen.acknowledge(id.clone());
                    }
                    Err(failure) => {
                        seen.failed.lock().unwrap().push(format!("{id} at {api}: {failure}"));
                        continue;
                    }
                }
                let query = format!("symbol=BTCUSDT&origClientOrderId={id}");
                if let Err(failure) = ask(&http, reqwest::Method::GET, &api, "/api/v3/order", &query, &key).await {
                    seen.failed.lock().unwrap().push(format!("read of {id} at {api}: {failure}"));
                }
            }
        });
    }
    clients
}

pub async fn ask(
    http: &reqwest::Client,
    method: reqwest::Method,
    api: &str,
    path: &str,
    parameters: &str,
    key: &Key,
) -> Result<Value, String> {
    let url = format!("{api}{path}?{}", key.sign(parameters));
    let request = http.request(method, url).header("X-MBX-APIKEY", &key.api_key);
    let reply = request.send().await.map_err(|error| format!("{error:?}"))?;
    let status = reply.status();
    let text = reply.text().await.map_err(|error| error.to_string())?;
    if !status.is_success() {
        return Err(format!("{status}: {text}"));
    }
    serde_json::from_str(&text).map_err(|error| error.to_string())
}

pub const LIMITS: [(&str, &str); 4] = [
    ("EXCHANGE_RATE_LIMIT_WEIGHT_1M", "4000000000"),
    ("EXCHANGE_RATE_LIMIT_ORDERS_10S", "4000000000"),
    ("EXCHANGE_RATE_LIMIT_ORDERS_1D", "4000000000"),
    ("EXCHANGE_DRAIN", "4s"),
];

/// Every acknowledged order is open once, and no order is open that nobody acknowledged, except `unknown`.
pub async fn check(api: &str, key: &Key, seen: &Seen, unknown: bool) {
    let http = reqwest::Client::new();
    let open = ask(&http, reqwest::Method::GET, api, "/api/v3/openOrders", "symbol=BTCUSDT", key).await.unwrap();
    let ids: Vec<String> =
        open.as_array().unwrap().iter().map(|order| order["clientOrderId"].as_str().unwrap().to_owned()).collect();
    let unique: BTreeSet<String> = ids.iter().cloned().collect();
    let acknowledged = seen.acknowledged.lock().unwrap();
    assert_eq!(ids.len(), unique.len(), "an order was executed twice");
    let lost: Vec<_> = acknowledged.difference(&unique).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    if !unknown {
        assert_eq!(unique.len(), acknowledged.len(), "executed and not acknowledged");
    }
}

/// Clients use the two followers. Their commands survive the end of the leader: each is acknowledged once.
#[tokio::test(flavor = "multi_thread")]
async fn the_leader_is_killed_and_paused_and_its_followers_fail_no_command() {
    let url = database().await;
    let mut leader = Process::serve_with(&url, &LIMITS).await;
    leader.leads().await;
    let key = Arc::new(market(&url).await);
    let (second, third) = (Process::serve_with(&url, &LIMITS).await, Process::serve_with(&url, &LIMITS).await);
    let (apis, seen) = ([second.api.clone(), third.api.clone()], Arc::new(Seen::default()));
    for process in [&second, &third] {
        process.stands_by().await;
        knows(&process.api, &key).await;
    }
    let mut clients = load(&apis, &key, &seen);
    seen.goes_on(100).await;

    seen.take_gap();
    leader.signal("-KILL");
    leader.child.wait().await.unwrap();
    seen.goes_on(100).await;
    let killed = seen.take_gap();

    let led = |process: &Process| process.api.clone();
    let paused = if is_leader(&second).await { &second } else { &third };
    let other = if std::ptr::eq(paused, &second) { &third } else { &second };
    paused.signal("-STOP");
    other.leads().await;
    // Clients of the paused server wait: only the other's go on.
    seen.goes_on(50).await;
    let stopped = seen.take_gap();
    paused.signal("-CONT");
    paused.stands_by().await;
    seen.goes_on(100).await;
    seen.stop.store(true, Ordering::Relaxed);
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
    println!("killed: {killed:?} without an acknowledgement; paused: {stopped:?}; {} orders", seen.count());
    // Only clients of the paused server may have failed: it answered late, or its own batch was in doubt.
    let failed: Vec<String> = seen.failed.lock().unwrap().iter().filter(|text| !text.contains(&led(paused))).cloned().collect();
    let complaints = [second.complaints(), third.complaints()];
    assert!(failed.is_empty(), "{failed:#?}\n{complaints:#?}");
    for api in &apis {
        check(api, &key, &seen, true).await;
    }
    assert!(killed < Duration::from_secs(8) && stopped < Duration::from_secs(15), "killed {killed:?}, paused {stopped:?}");
}

async fn is_leader(process: &Process) -> bool {
    process.stands_by_now().await.is_none()
}

/// The server knows the new key.
pub async fn knows(api: &str, key: &Key) {
    let http = reqwest::Client::new();
    until("the server knows the key", || async {
        ask(&http, reqwest::Method::GET, api, "/api/v3/account", "omitZeroBalances=true", key).await.is_ok()
    })
    .await;
}

pub async fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

/// Every server is asked to stop and started again, one after the other, as a rolling update does.
#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_behind_nginx_fails_no_request() {
    if nginx::is_missing() {
        return;
    }
    let url = database().await;
    let (ports, mut servers) = ([free_port().await, free_port().await, free_port().await], Vec::new());
    servers.push(start(&url, ports[0]).await);
    servers[0].leads().await;
    for port in &ports[1..] {
        servers.push(start(&url, *port).await);
    }
    let key = Arc::new(market(&url).await);
    for server in &servers[1..] {
        server.stands_by().await;
    }
    for server in &servers {
        knows(&server.api, &key).await;
    }
    let nginx = Nginx::start(&ports, UNLIMITED).await;
    let seen = Arc::new(Seen::default());
    let mut clients = load(std::slice::from_ref(&nginx.api), &key, &seen);
    seen.goes_on(100).await;
    seen.take_gap();
    let mut complaints = Vec::new();
    for (index, port) in ports.iter().enumerate() {
        servers[index].signal("-TERM");
        assert!(servers[index].child.wait().await.unwrap().success());
        complaints.push(servers[index].complaints());
        servers[index] = start(&url, *port).await;
        until("it is ready", || async { servers[index].is_ready().await }).await;
        knows(&servers[index].api, &key).await;
        seen.goes_on(50).await;
    }
    seen.stop.store(true, Ordering::Relaxed);
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
    let failed = seen.failed.lock().unwrap().clone();
    println!("{} orders, longest time without an acknowledgement {:?}", seen.count(), seen.take_gap());
    complaints.extend(servers.iter().map(Process::complaints));
    assert!(failed.is_empty(), "{} requests failed: {:#?}\n{complaints:#?}", failed.len(), &failed[..failed.len().min(10)]);
    for server in &servers {
        check(&server.api, &key, &seen, false).await;
    }
    nginx.end().await;
}

pub async fn start(url: &str, port: u16) -> Process {
    let listen = format!("127.0.0.1:{port}");
    let mut settings = LIMITS.to_vec();
    settings.extend([("EXCHANGE_HTTP_LISTEN", listen.as_str()), ("EXCHANGE_TRUSTED_PROXIES", "127.0.0.0/8")]);
    Process::serve_with(url, &settings).await
}
