//! Tests of two servers on one database: the follower is ready, serves reads and forwards commands to the leader.

use reqwest::Method;
use serde_json::Value;

use crate::{
    eventually::{eventually, until},
    exchange::{Answer, Exchange, Trader},
    replica::{TestReplica, database, number},
    test_app::TestApp,
};

/// A leader with markets, and a follower that is connected to it.
struct Pair {
    leader: Exchange,
    follower: TestApp,
}

impl Pair {
    async fn start() -> Self {
        let leader = Exchange::start().await;
        let follower = TestApp::on(leader.app.database_url.clone(), |settings| {
            settings.rate_limits =
                exchange::config::RateLimits { weight_1m: u32::MAX, orders_10s: u32::MAX, orders_1d: u32::MAX };
        })
        .await;
        assert!(!follower.engine.is_leader() && follower.health.is_ready());
        until("the follower is connected", || async { leader.app.engine.followers() == 1 }).await;
        Self { leader, follower }
    }

    /// A trader whose key the follower knows.
    async fn trader(&self, reference: &str) -> Trader<'_> {
        let trader = self.leader.trader(reference).await;
        until("the follower knows the key", || async {
            self.ask(&trader, Method::GET, "/api/v3/account", "").await.error().0 == 200
        })
        .await;
        trader
    }

    /// A signed request to the follower.
    async fn ask(&self, trader: &Trader<'_>, method: Method, path: &str, parameters: &str) -> Answer {
        let url = format!("{}{path}?{}", self.follower.api, trader.sign(parameters));
        let reply = self.follower.http.request(method, url).header("X-MBX-APIKEY", &trader.api_key).send().await.unwrap();
        let (status, headers) = (reply.status(), reply.headers().clone());
        Answer { status, headers, body: reply.json().await.unwrap() }
    }

    fn metric(app: &TestApp, name: &str) -> impl Future<Output = String> {
        let asked = app.http.get(format!("{}/metrics", app.admin)).send();
        let name = format!("{name} ");
        async move {
            let text = asked.await.unwrap().text().await.unwrap();
            text.lines().find_map(|line| line.strip_prefix(&name)).unwrap_or_default().to_owned()
        }
    }
}

const LIMIT: &str = "symbol=BTCUSDT&type=LIMIT&timeInForce=GTC&newOrderRespType=FULL";

/// What an answer says, without the numbers that differ from order to order.
fn shape(answer: &Value) -> Vec<String> {
    answer.as_object().unwrap().keys().cloned().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_read_on_a_follower_sees_the_callers_own_writes() {
    let pair = Pair::start().await;
    let trader = pair.trader("reader").await;
    for number in 0..60 {
        let order = format!("{LIMIT}&side=BUY&price={}&quantity=0.1", 100 + number);
        let placed = trader.post("/api/v3/order", &order).await.ok();
        let open = pair.ask(&trader, Method::GET, "/api/v3/openOrders", "symbol=BTCUSDT").await.ok();
        let ids: Vec<_> = open.as_array().unwrap().iter().map(|order| order["orderId"].as_u64()).collect();
        assert!(ids.contains(&placed["orderId"].as_u64()), "order {number} is missing");
    }
    assert!(Pair::metric(&pair.follower, "exchange_follower_pushed_batches_total").await.parse::<u64>().unwrap() > 50);
    assert_eq!(Pair::metric(&pair.follower, "exchange_follower_linked").await, "1");
    assert_eq!(Pair::metric(&pair.leader.app, "exchange_follower_connections").await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_reaches_a_follower_gets_the_leaders_answer() {
    let pair = Pair::start().await;
    let (maker, taker) = (pair.trader("maker").await, pair.trader("taker").await);
    let post = |trader, path: &'static str, parameters: String| {
        let pair = &pair;
        async move { pair.ask(trader, Method::POST, path, &parameters).await }
    };
    let direct = maker.post("/api/v3/order", &format!("{LIMIT}&side=SELL&price=100&quantity=1")).await.ok();
    let forwarded = post(&maker, "/api/v3/order", format!("{LIMIT}&side=SELL&price=101&quantity=1")).await;
    assert_eq!(forwarded.header("x-mbx-order-count-10s"), Some("2"), "both servers' orders count");
    let forwarded = forwarded.ok();
    assert_eq!((shape(&direct), &direct["status"]), (shape(&forwarded), &forwarded["status"]));
    let filled = post(&taker, "/api/v3/order", format!("{LIMIT}&side=BUY&price=101&quantity=1.5")).await.ok();
    let fills: Vec<_> = filled["fills"].as_array().unwrap().iter().map(|fill| (&fill["price"], &fill["qty"])).collect();
    assert_eq!(filled["status"], "FILLED");
    assert_eq!(fills.len(), 2, "{filled}");
    let refused = post(&taker, "/api/v3/order", format!("{LIMIT}&side=SELL&price=105&quantity=9000")).await;
    assert_eq!(refused.error(), (400, -2010, "Account has insufficient balance for requested action."));
    let unknown = pair.ask(&taker, Method::DELETE, "/api/v3/order", "symbol=BTCUSDT&orderId=4711").await;
    assert_eq!(unknown.error(), (400, -2011, "Unknown order sent."));

    let resting = post(&maker, "/api/v3/order", format!("{LIMIT}&side=SELL&price=120&quantity=1")).await.ok();
    let replace =
        format!("{LIMIT}&side=SELL&price=121&quantity=1&cancelReplaceMode=STOP_ON_FAILURE&cancelOrderId={}", resting["orderId"]);
    let replaced = post(&maker, "/api/v3/order/cancelReplace", replace.clone()).await.ok();
    assert_eq!((&replaced["cancelResult"], &replaced["newOrderResult"]), (&"SUCCESS".into(), &"SUCCESS".into()));
    // The order is gone: both halves fail and no event is written.
    let failed = post(&maker, "/api/v3/order/cancelReplace", replace).await;
    assert_eq!(failed.error().1, -2022, "{}", failed.body);
    let halves = format!(
        "{LIMIT}&side=SELL&price=121&quantity=9000&cancelReplaceMode=ALLOW_FAILURE&cancelOrderId={}",
        replaced["newOrderResponse"]["orderId"]
    );
    let partial = post(&maker, "/api/v3/order/cancelReplace", halves).await;
    assert_eq!((partial.status.as_u16(), partial.error().1), (409, -2021), "{}", partial.body);
    let oco = "symbol=BTCUSDT&side=SELL&quantity=1&aboveType=LIMIT_MAKER&abovePrice=150&belowType=STOP_LOSS&belowStopPrice=50";
    let list = post(&maker, "/api/v3/orderList/oco", oco.into()).await.ok();
    let ended = pair
        .ask(&maker, Method::DELETE, "/api/v3/orderList", &format!("symbol=BTCUSDT&orderListId={}", list["orderListId"]))
        .await
        .ok();
    assert_eq!((&ended["listStatusType"], ended["orderReports"].as_array().unwrap().len()), (&"ALL_DONE".into(), 2));
    let all = pair.ask(&maker, Method::DELETE, "/api/v3/openOrders", "symbol=BTCUSDT").await.ok();
    assert_eq!(all.as_array().unwrap().len(), 1);

    assert_eq!(maker.balance("BTC").await, ("98.50000000".into(), "0.00000000".into()));
    until("both have the same state at the same sequence", || async {
        let [one, other] = [&pair.leader.app, &pair.follower].map(|app| app.engine.committed().read().state.clone());
        let same = one.sequence() == other.sequence();
        assert!(!same || one.hash() == other.hash(), "the states differ at sequence {}", one.sequence());
        same
    })
    .await;
}

/// The leader hands the lead over while clients of both servers trade: every order is acknowledged, and none is executed twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_handover_under_load_fails_no_command() {
    let Pair { leader, follower } = Pair::start().await;
    let pair = Pair { leader, follower };
    let trader = pair.trader("trader").await;
    const CLIENTS: u32 = 8;
    const ORDERS: u32 = 160;
    let engine = pair.follower.engine.clone();
    let (account, market) = (trader.account, 0);
    let place = move |number: u32| {
        use exchange_core::{
            command::{Command, NewOrder},
            money::SCALE,
            order::{ClientId, OrderType, Side, StpMode, TimeInForce},
        };
        Command::Place(NewOrder {
            account,
            market,
            side: Side::Buy,
            kind: OrderType::Limit,
            time_in_force: TimeInForce::Gtc,
            stp: StpMode::None,
            price: i64::from(100 + number % 900) * SCALE,
            stop_price: 0,
            quantity: SCALE / 10,
            quote_order_quantity: 0,
            iceberg: 0,
            trailing_delta: 0,
            client_id: ClientId::new(&format!("order-{number}")).unwrap(),
        })
    };
    let mut running = tokio::task::JoinSet::new();
    let direct = pair.leader.app.engine.clone();
    for client in 0..CLIENTS {
        let engine = if client % 2 == 0 { engine.clone() } else { direct.clone() };
        running.spawn(async move {
            let mut answers = Vec::new();
            for number in 0..ORDERS / CLIENTS {
                answers.push(engine.submit(place(client * ORDERS + number), None).await);
            }
            answers
        });
    }
    until("some are placed", || async {
        pair.leader.app.engine.committed().read().state.open_orders(account, Some(0)).len() > 20
    })
    .await;
    pair.leader.app.shutdown.begin("the test hands over");
    let mut ids = std::collections::BTreeSet::new();
    while let Some(answers) = running.join_next().await {
        for answer in answers.unwrap() {
            let reply = answer.expect("no command fails in a handover");
            let exchange_core::command::Outcome::Placed(placed) = reply.outcome else { panic!("a placed order") };
            assert!(ids.insert(placed.order.id), "one answer per order");
        }
    }
    assert_eq!(ids.len(), ORDERS as usize);
    assert!(pair.follower.engine.is_leader());
    let open = pair.follower.engine.committed().read().state.open_orders(account, Some(0)).len();
    assert_eq!(open, ORDERS as usize, "each order is executed once");
}

#[tokio::test]
async fn a_follower_too_far_behind_is_not_ready_and_says_by_how_much() {
    let url = database().await;
    let leader = TestReplica::leading(&url).await;
    leader.create_account("one").await.unwrap();
    let proxy = crate::proxy::Proxy::start(crate::proxy::server_of(&url)).await;
    let follower = TestReplica::start(&proxy.url(&url));
    until("it follows and is ready", || async { follower.account("one").is_some() && follower.health.is_ready() }).await;
    proxy.stall();
    let reason = eventually("it is not ready", || async { follower.reason("following") }).await;
    assert!(!follower.health.is_ready());
    assert!(reason.contains("sequences and 5") && reason.contains("EXCHANGE_FOLLOWER_LAG_MAX (5 s)"), "{reason}");
    assert!(follower.account("one").is_some(), "reads continue");
    proxy.resume();
    until("it is ready again", || async { follower.health.is_ready() }).await;
    assert_eq!(number(&url, "SELECT epoch FROM head").await, 1);
    follower.end().await;
    leader.end().await;
}

/// A day, and more than the bound of the clock.
#[tokio::test(flavor = "multi_thread")]
async fn a_follower_with_a_wrong_clock_refuses_no_request_of_a_right_client() {
    let pair = Pair::start().await;
    let trader = pair.trader("right").await;
    for step in [86_400_000_000, -3_000_000] {
        pair.follower.engine.clock().step(step);
        let order = format!("{LIMIT}&side=BUY&price=100&quantity=0.1");
        pair.ask(&trader, Method::POST, "/api/v3/order", &order).await.ok();
        pair.ask(&trader, Method::GET, "/api/v3/account", "").await.ok();
        let reply: Value =
            pair.follower.http.get(format!("{}/api/v3/time", pair.follower.api)).send().await.unwrap().json().await.unwrap();
        let off = reply["serverTime"].as_i64().unwrap() - i64::try_from(crate::exchange::now()).unwrap();
        assert!(off.abs() < 2_500, "a step of {step} µs: the time that clients see is {off} ms off");
    }
}
