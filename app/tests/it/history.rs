//! Tests of history, with the tables containing all of it, part of it or none: compared with a fold of the journal itself.

use std::collections::BTreeMap;

use exchange::engine::Engine;
use exchange_core::{
    AmendmentRecord, Effects, OrderList, State, TradeRecord, batch,
    command::{AmendOrder, Command, NewOco, NewOrder, OcoLeg},
    market_data::{AggregateTrade, Candle, Interval, PublicTrade},
    money::{Decimal, SCALE},
    order::{AccountId, ClientId, MarketId, Order, OrderType, Side, StpMode, TimeInForce},
};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection, PgPool, Row};

use crate::{
    eventually::until,
    exchange::{Exchange, Trader},
    proxy::{Proxy, server_of},
    test_app::TestApp,
    worker::test_worker::TestWorker,
};

/// Everything in the journal, newest state of each.
#[derive(Default)]
struct Journal {
    state: State,
    told: Told,
}

#[derive(Default)]
struct Told {
    orders: BTreeMap<u64, Order>,
    lists: BTreeMap<u64, OrderList>,
    trades: Vec<TradeRecord>,
    amendments: BTreeMap<u64, Vec<AmendmentRecord>>,
}

impl Effects for Told {
    fn amended(&mut self, amendment: &AmendmentRecord) {
        self.amendments.entry(amendment.order).or_default().push(amendment.clone());
    }

    fn order_changed(&mut self, order: &Order) {
        self.orders.insert(order.id, *order);
    }

    fn list_changed(&mut self, list: &OrderList) {
        self.lists.insert(list.id, list.clone());
    }

    fn traded(&mut self, trade: &TradeRecord) {
        self.trades.push(trade.clone());
    }
}

impl Journal {
    async fn read(pool: &PgPool) -> Self {
        let mut journal = Self::default();
        for row in sqlx::query("SELECT payload FROM journal ORDER BY first_seq").fetch_all(pool).await.unwrap() {
            for event in batch::decode(row.get(0)).unwrap() {
                journal.state.evolve_with(&event, &mut journal.told);
                if let Some(list) = event.placed_list() {
                    journal.told.lists.insert(list, journal.state.list(list).unwrap().clone());
                }
            }
        }
        // By now open lists have the ids of their orders.
        for account in journal.state.accounts() {
            for list in journal.state.open_lists(account.id) {
                journal.told.lists.insert(list.id, list.clone());
            }
        }
        journal
    }

    fn orders(&self, account: AccountId, market: MarketId) -> Vec<Value> {
        let own = self.told.orders.values().filter(|order| order.account == account && order.market == market);
        own.map(|order| {
            json!([
                order.id,
                order.status.text(),
                order.client_id.as_str(),
                Decimal::from(order.executed).to_string(),
                order.created / 1000,
                order.updated / 1000
            ])
        })
        .collect()
    }

    /// Rows of the amendments of an order, and the client ids that it no longer has.
    fn amendments(&self, order: u64) -> (Vec<Value>, Vec<ClientId>) {
        let own = self.told.amendments.get(&order).into_iter().flatten();
        let row = |amendment: &AmendmentRecord| {
            let [before, after] = [amendment.original_quantity, amendment.quantity].map(|q| Decimal::from(q).to_string());
            let ids = [amendment.original_client_id, amendment.client_id];
            json!([amendment.execution, ids[0].as_str(), ids[1].as_str(), before, after, amendment.time / 1000])
        };
        let left = own.clone().filter(|amendment| amendment.original_client_id != amendment.client_id);
        (own.clone().map(row).collect(), left.map(|amendment| amendment.original_client_id).collect())
    }

    fn account_trades(&self, account: AccountId, market: MarketId) -> Vec<Value> {
        let sides = self.told.trades.iter().filter(|trade| trade.market == market).flat_map(|trade| {
            let bought = (trade.buyer == account).then(|| json!([trade.trade, trade.buyer_order, true, trade.buyer_is_maker]));
            let sold = (trade.seller == account).then(|| json!([trade.trade, trade.seller_order, false, !trade.buyer_is_maker]));
            [bought, sold].into_iter().flatten()
        });
        sides.collect()
    }

    fn lists(&self, account: AccountId) -> Vec<Value> {
        let own = self.told.lists.values().filter(|list| list.account == account);
        own.map(|list| {
            let orders: Vec<Value> = list.orders.iter().map(|id| json!([id, self.told.orders[id].client_id.as_str()])).collect();
            json!([list.id, if list.done { "ALL_DONE" } else { "EXECUTING" }, list.client_id.as_str(), orders])
        })
        .collect()
    }

    fn public_trades(&self, market: MarketId) -> Vec<Value> {
        let all = self.told.trades.iter().filter(|trade| trade.market == market);
        all.map(|trade| json!([trade.trade, Decimal::from(trade.price).to_string(), Decimal::from(trade.quantity).to_string()]))
            .collect()
    }

    fn aggregates(&self, market: MarketId) -> Vec<Value> {
        let mut sums: BTreeMap<u64, (u64, u64, i64)> = BTreeMap::new();
        for trade in self.told.trades.iter().filter(|trade| trade.market == market) {
            let sum = sums.entry(trade.aggregate).or_insert((trade.trade, trade.trade, 0));
            (sum.1, sum.2) = (trade.trade, sum.2 + trade.quantity);
        }
        sums.into_iter().map(|(id, (first, last, sum))| json!([id, first, last, Decimal::from(sum).to_string()])).collect()
    }
}

fn rows(body: &Value, columns: &[&str]) -> Vec<Value> {
    let row = |item: &Value| Value::Array(columns.iter().map(|name| item[*name].clone()).collect());
    body.as_array().unwrap().iter().map(row).collect()
}

const ORDER: &[&str] = &["orderId", "status", "clientOrderId", "executedQty", "time", "updateTime"];
const AMENDMENT: &[&str] = &["executionId", "origClientOrderId", "newClientOrderId", "origQty", "newQty", "time"];
const TRADE: &[&str] = &["id", "orderId", "isBuyer", "isMaker"];

/// The answers of the API, compared with the journal.
struct Check<'a> {
    trader: &'a Trader<'a>,
    journal: Journal,
    /// The account is the one that amends.
    amends: bool,
}

impl Check<'_> {
    async fn get(&self, path: &str, query: &str) -> Value {
        self.trader.get(&format!("/api/v3/{path}"), query).await.ok()
    }

    /// Sends every kind of query.
    async fn all(&self) {
        let account = self.trader.account;
        for (market, symbol) in [(0, "BTCUSDT"), (1, "BNBUSDT")] {
            let orders = self.journal.orders(account, market);
            let asked = async |query: &str| rows(&self.get("allOrders", &format!("symbol={symbol}&{query}")).await, ORDER);
            assert_eq!(asked("limit=1000").await, orders[orders.len().saturating_sub(1000)..]);
            assert_eq!(asked("limit=3").await, orders[orders.len().saturating_sub(3)..]);
            if let Some(middle) = orders.get(orders.len() / 2) {
                let from = orders.len() / 2;
                assert_eq!(asked(&format!("orderId={}&limit=4", middle[0])).await, orders[from..(from + 4).min(orders.len())]);
                let since = orders.iter().filter(|order| order[4].as_i64() >= middle[4].as_i64()).take(4);
                assert_eq!(asked(&format!("startTime={}&limit=4", middle[4])).await, since.cloned().collect::<Vec<_>>());
                let mut until: Vec<Value> =
                    orders.iter().filter(|order| order[4].as_i64() <= middle[4].as_i64()).cloned().collect();
                until.drain(..until.len().saturating_sub(4));
                assert_eq!(asked(&format!("endTime={}&limit=4", middle[4])).await, until);
                for order in [&orders[0], middle, &orders[orders.len() - 1]] {
                    let by_id = self.get("order", &format!("symbol={symbol}&orderId={}", order[0])).await;
                    assert_eq!(rows(&json!([by_id]), ORDER)[0], *order);
                    let client_id = order[2].as_str().unwrap();
                    let last = orders.iter().rfind(|other| other[2] == order[2]).unwrap();
                    let by_client_id = self.get("order", &format!("symbol={symbol}&origClientOrderId={client_id}")).await;
                    assert_eq!(rows(&json!([by_client_id]), ORDER)[0], *last);
                }
            }

            let mut amended = 0;
            for order in &orders {
                let (expected, left) = self.journal.amendments(order[0].as_u64().unwrap());
                if expected.is_empty() {
                    continue;
                }
                let query = format!("symbol={symbol}&orderId={}", order[0]);
                let asked = async |more: &str| rows(&self.get("order/amendments", &format!("{query}{more}")).await, AMENDMENT);
                assert_eq!(asked("").await, expected);
                let last = &expected[expected.len() - 1];
                assert_eq!(asked(&format!("&fromExecutionId={}", last[0])).await, std::slice::from_ref(last));
                for client_id in left {
                    let query = format!("symbol={symbol}&origClientOrderId={}", client_id.as_str());
                    assert_eq!(self.trader.get("/api/v3/order", &query).await.error().1, -2013, "{client_id:?} is of no order");
                }
                amended += 1;
            }
            assert!(amended > 0 || orders.is_empty() || market == 1 || !self.amends, "the test amends orders");

            let trades = self.journal.account_trades(account, market);
            let asked = async |query: &str| rows(&self.get("myTrades", &format!("symbol={symbol}&{query}")).await, TRADE);
            assert_eq!(asked("limit=1000").await, trades[trades.len().saturating_sub(1000)..]);
            assert_eq!(asked("limit=2").await, trades[trades.len().saturating_sub(2)..]);
            assert_eq!(asked("fromId=1&limit=7").await, trades[..7.min(trades.len())]);
            if let Some(one) = trades.get(trades.len() / 2) {
                let of_order: Vec<Value> = trades.iter().filter(|trade| trade[1] == one[1]).cloned().collect();
                assert_eq!(asked(&format!("orderId={}", one[1])).await, of_order);
            }

            let trades = self.journal.public_trades(market);
            let columns = ["id", "price", "qty"];
            let asked =
                async |query: &str| rows(&self.get("historicalTrades", &format!("symbol={symbol}&{query}")).await, &columns);
            assert_eq!(asked("limit=1000").await, trades[trades.len().saturating_sub(1000)..]);
            assert_eq!(asked("fromId=1&limit=1000").await, trades[..1000.min(trades.len())]);
            assert_eq!(asked("fromId=3&limit=2").await, trades[2.min(trades.len())..4.min(trades.len())]);
            let aggregates = self.journal.aggregates(market);
            let columns = ["a", "f", "l", "q"];
            let asked = async |query: &str| rows(&self.get("aggTrades", &format!("symbol={symbol}&{query}")).await, &columns);
            assert_eq!(asked("limit=1000").await, aggregates[aggregates.len().saturating_sub(1000)..]);
            assert_eq!(asked("fromId=1&limit=1000").await, aggregates[..1000.min(aggregates.len())]);
            assert_eq!(asked("startTime=1&limit=5").await, aggregates[..5.min(aggregates.len())]);
            let volume =
                |body: &Value| -> i64 { body.as_array().unwrap().iter().map(|candle| candle[8].as_i64().unwrap()).sum() };
            let candles = self.get("klines", &format!("symbol={symbol}&interval=1m&startTime=1")).await;
            assert_eq!(volume(&candles), trades.len() as i64);
        }
        let lists = self.journal.lists(account);
        let asked = async |query: &str| -> Vec<Value> {
            let body = self.get("allOrderList", query).await;
            let pairs = |list: &Value| rows(&list["orders"], &["orderId", "clientOrderId"]);
            let row =
                |list: &Value| json!([list["orderListId"], list["listOrderStatus"], list["listClientOrderId"], pairs(list)]);
            body.as_array().unwrap().iter().map(row).collect()
        };
        assert_eq!(asked("limit=1000").await, lists);
        assert_eq!(asked("limit=1").await, lists[lists.len().saturating_sub(1)..]);
        for list in &lists {
            assert_eq!(asked(&format!("fromId={}&limit=1", list[0])).await, std::slice::from_ref(list));
            let one = self.get("orderList", &format!("orderListId={}", list[0])).await;
            assert_eq!((&one["listOrderStatus"], one["orders"].as_array().map(Vec::len)), (&list[1], Some(2)));
        }
    }
}

/// Creates one of each: fills, cancels, expiries, a pair that ended and one that stays open, a trade with itself.
async fn act(exchange: &Exchange, one: AccountId, other: AccountId, round: u32) {
    let submit = async |command| exchange.app.engine.submit(command, None).await.map(|_| ()).unwrap_or_default();
    let place = |account, side, price: i64, quantity: i64, time_in_force, stp| {
        Command::Place(NewOrder {
            account,
            market: 0,
            side,
            kind: OrderType::Limit,
            time_in_force,
            stp,
            price: price * SCALE,
            stop_price: 0,
            quantity: quantity * SCALE / 10,
            quote_order_quantity: 0,
            iceberg: 0,
            trailing_delta: 0,
            client_id: ClientId::new(&format!("{side}-{price}-{round}-{stp}")).unwrap(),
        })
    };
    let (gtc, none) = (TimeInForce::Gtc, StpMode::None);
    submit(place(one, Side::Sell, 100, 5, gtc, none)).await;
    submit(place(one, Side::Sell, 101, 5, gtc, none)).await;
    submit(place(other, Side::Buy, 101, 7, gtc, none)).await;
    submit(place(other, Side::Buy, 105, 9, TimeInForce::Ioc, none)).await;
    submit(place(one, Side::Buy, 90, 5, gtc, none)).await;
    let amend = |client_id: &str, new_client_id: &str, quantity| {
        let [client_id, new_client_id] = [client_id, new_client_id].map(|name| ClientId::new(name).unwrap());
        Command::Amend(AmendOrder { account: one, market: 0, order: None, client_id: Some(client_id), new_client_id, quantity })
    };
    let (placed, renamed) = (format!("BUY-90-{round}-NONE"), format!("bought-{round}"));
    submit(amend(&placed, &renamed, SCALE * 4 / 10)).await;
    submit(amend(&renamed, &renamed, SCALE * 3 / 10)).await;
    submit(place(one, Side::Sell, 90, 2, gtc, none)).await;
    submit(place(one, Side::Sell, 90, 1, gtc, StpMode::ExpireTaker)).await;
    let leg = |kind, price: i64, stop: i64, name: &str| OcoLeg {
        kind,
        price: price * SCALE,
        stop_price: stop * SCALE,
        time_in_force: gtc,
        iceberg: 0,
        trailing_delta: 0,
        client_id: ClientId::new(&format!("{name}-{round}")).unwrap(),
    };
    submit(Command::PlaceOco(NewOco {
        account: one,
        market: 0,
        side: Side::Sell,
        quantity: SCALE / 10,
        stp: none,
        list_client_id: ClientId::new(&format!("pair-{round}")).unwrap(),
        above: leg(OrderType::LimitMaker, 120, 0, "above"),
        below: leg(OrderType::StopLossLimit, 60, 61, "below"),
    }))
    .await;
    submit(amend(&format!("above-{round}"), &format!("amended-{round}"), SCALE / 20)).await;
    if round.is_multiple_of(2) {
        let client_id = ClientId::new(&format!("pair-{round}"));
        submit(Command::CancelList { account: one, market: 0, list: None, client_id }).await;
    }
    if round.is_multiple_of(3) {
        submit(Command::CancelAll { account: other, market: 0 }).await;
    }
}

/// More trades on BNBUSDT than fit into memory.
async fn many_trades(exchange: &Exchange, one: AccountId, other: AccountId) {
    let order = |account, side, number: u32| {
        let command = Command::Place(NewOrder {
            account,
            market: 1,
            side,
            kind: OrderType::Limit,
            time_in_force: TimeInForce::Gtc,
            stp: StpMode::None,
            price: if side == Side::Buy { 104 } else { i64::from(100 + number % 5) } * SCALE,
            stop_price: 0,
            quantity: SCALE / 20,
            quote_order_quantity: 0,
            iceberg: 0,
            trailing_delta: 0,
            client_id: ClientId::new(&format!("many-{side}-{number}")).unwrap(),
        });
        async move { exchange.app.engine.submit(command, None).await.unwrap() }
    };
    for part in 0..12 {
        // Place sells, a hundred at a time, then take them with as many buys.
        for (account, side) in [(one, Side::Sell), (other, Side::Buy)] {
            futures::future::join_all((part * 100..part * 100 + 100).map(|number| order(account, side, number))).await;
        }
    }
}

async fn check(trader: &Trader<'_>) {
    let journal = Journal::read(&trader.exchange.app.pool).await;
    let amends = journal.told.amendments.values().flatten().any(|amendment| amendment.account == trader.account);
    Check { trader, journal, amends }.all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn history_is_what_happened_however_far_the_tables_are() {
    let exchange = Exchange::start().await;
    let (trader, other) = (exchange.trader("one").await, exchange.trader("other").await);
    let engine = exchange.app.engine.clone();
    let sequence = || engine.committed().read().state.sequence();

    // No projector runs: everything is in memory.
    for round in 0..4 {
        act(&exchange, trader.account, other.account, round).await;
    }
    check(&trader).await;

    // The projector runs during the activity.
    let worker = TestWorker::start(&exchange.app.database_url, None);
    for round in 4..8 {
        act(&exchange, trader.account, other.account, round).await;
        check(&trader).await;
    }
    many_trades(&exchange, trader.account, other.account).await;
    check(&other).await;

    // Memory has dropped the events that the tables contain.
    let target = sequence();
    until("memory forgets what the tables hold", || async { engine.committed().read().tail.floor() >= target }).await;
    check(&trader).await;
    check(&other).await;

    // The projector is paused: tables below, memory above.
    worker.end().await;
    for round in 8..11 {
        act(&exchange, trader.account, other.account, round).await;
    }
    check(&trader).await;
    check(&other).await;
    let journal = Journal::read(&exchange.app.pool).await;
    assert!(journal.public_trades(1).len() > 1100 && journal.lists(trader.account).len() > 8, "the test does something");

    // A server that starts on the same tables and journal returns the same market data.
    let before = market_data(&exchange.app.engine);
    let (target, url) = (sequence(), exchange.app.database_url.clone());
    exchange.app.end().await;
    let again = TestApp::on(url, |_| {}).await;
    assert!(again.engine.committed().read().state.sequence() >= target);
    assert_eq!(market_data(&again.engine), before);
    again.end().await;
}

type MarketData = Vec<(Vec<PublicTrade>, Vec<AggregateTrade>, Vec<Candle>, Vec<Candle>)>;

/// Answers that do not change with time.
fn market_data(engine: &Engine) -> MarketData {
    let committed = engine.committed().read();
    let data = &committed.market_data;
    let of = |market| {
        let history = data.market(market).unwrap();
        let candles = |interval| data.stored_candles(market, interval);
        let (trades, aggregates) = (history.trades().iter().copied(), history.aggregates().iter().copied());
        (trades.collect(), aggregates.collect(), candles(Interval::Minutes1), candles(Interval::Month1))
    };
    vec![of(0), of(1)]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_account_asks_wrongly() {
    let exchange = Exchange::start().await;
    let trader = exchange.poor_trader("one").await;
    let rows = [
        ("allOrders", "", -1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."),
        ("allOrders", "symbol=NOSUCH", -1121, "Invalid symbol."),
        ("allOrders", "symbol=BTCUSDT&startTime=1&endTime=86400003", -1127, "More than 24 hours between startTime and endTime."),
        ("myTrades", "symbol=BTCUSDT&startTime=1&endTime=86400003", -1127, "More than 24 hours between startTime and endTime."),
        ("myTrades", "symbol=BTCUSDT&orderId=1&startTime=1", -1128, "Combination of optional parameters invalid."),
        ("myTrades", "symbol=BTCUSDT&fromId=1&endTime=1", -1128, "Combination of optional parameters invalid."),
        ("allOrderList", "fromId=1&startTime=1", -1128, "Combination of optional parameters invalid."),
        ("order", "symbol=BTCUSDT&orderId=77", -2013, "Order does not exist."),
        ("orderList", "orderListId=77", -2013, "Order list does not exist."),
    ];
    for (path, query, code, text) in rows {
        let answer = trader.get(&format!("/api/v3/{path}"), query).await;
        assert_eq!(answer.error(), (400, code, text), "{path}?{query}");
    }
    for path in ["allOrders?symbol=BTCUSDT&startTime=1&endTime=86400001", "myTrades?symbol=BTCUSDT", "allOrderList?"] {
        let (path, query) = path.split_once('?').unwrap();
        assert_eq!(trader.get(&format!("/api/v3/{path}"), query).await.ok(), json!([]));
    }
}

/// 1,600 one-minute candles, every other minute, the last of them an hour before `$1`; number n closes at n and counts n trades.
const OLD_CANDLES: &str = "INSERT INTO candles (market, interval, open_time, open, high, low, close, trades, first_trade, \
    last_trade, volume, quote_volume, taker_volume, taker_quote_volume) SELECT 0, 0, ($1 / 60000000 - 60 - 2 * (1600 - n)) * 60000000, \
    n, n, n, n, n, n, n, n, n, n, n FROM generate_series(1, 1600) AS n";

/// The candles of a longer interval, of length `$2`, of [`OLD_CANDLES`]; the one of the journal's trade exists already.
const OLD_SUMS: &str = "INSERT INTO candles (market, interval, open_time, open, high, low, close, trades, first_trade, \
    last_trade, volume, quote_volume, taker_volume, taker_quote_volume) \
    SELECT 0, $1, open_time / $2 * $2, min(open), max(high), min(low), max(close), sum(trades), min(first_trade), \
    max(last_trade), sum(volume), sum(quote_volume), sum(taker_volume), sum(taker_quote_volume) FROM candles \
    WHERE interval = 0 AND open_time / $2 < (SELECT max(open_time) / $2 FROM candles WHERE interval = 0) GROUP BY 3";

#[tokio::test(flavor = "multi_thread")]
async fn candles_older_than_memory_come_from_the_tables_while_these_are_there() {
    let exchange = Exchange::start().await;
    let database_url = exchange.app.database_url.clone();
    {
        let (maker, taker) = (exchange.trader("maker").await, exchange.trader("taker").await);
        maker.limit("SELL", "100.00", "1").await;
        taker.limit("BUY", "100.00", "1").await;
    }
    let traded_at = exchange.app.engine.committed().read().market_data.market(0).unwrap().trades()[0].time;
    let worker = TestWorker::start(&database_url, None);
    let target = exchange.app.engine.committed().read().state.sequence();
    worker.reaches(&database_url, target).await;
    worker.end().await;
    exchange.app.end().await;
    let mut connection = PgConnection::connect(&database_url).await.unwrap();
    sqlx::query(OLD_CANDLES).bind(traded_at).execute(&mut connection).await.unwrap();
    for (interval, length) in [(3i16, 900_000_000i64), (5, 3_600_000_000)] {
        sqlx::query(OLD_SUMS).bind(interval).bind(length).execute(&mut connection).await.unwrap();
    }

    let proxy = Proxy::start(server_of(&database_url)).await;
    let app = TestApp::on(proxy.url(&database_url), |_| {}).await;
    let minute = |number: i64| (traded_at / 60_000_000 - 60 - 2 * (1_600 - number)) * 60_000;
    let ask = async |query: String| {
        let address = format!("{}/api/v3/klines?symbol=BTCUSDT&interval=1m&{query}", app.api);
        let response = app.http.get(address).send().await.unwrap();
        (response.status().as_u16(), serde_json::from_slice::<Value>(&response.bytes().await.unwrap()).unwrap())
    };
    // (open time, close price, trades) of each candle: between two candles with trades is one that repeats the close.
    let expected = |from: i64, limit: usize| -> Vec<Value> {
        let candle = |number: i64, filled: bool| {
            let close = Decimal::from(number).to_string();
            json!([minute(number) + if filled { 0 } else { 60_000 }, close, if filled { number } else { 0 }])
        };
        (from..).flat_map(|number| [candle(number, true), candle(number, false)]).take(limit).collect()
    };
    let shown = |body: &Value| -> Vec<Value> {
        body.as_array().unwrap().iter().map(|candle| json!([candle[0], candle[4], candle[8]])).collect()
    };
    // Memory contains 1,500 of the 1,601: the first rows come from the tables, these from both, and those from memory.
    for (from, limit) in [(1, 11), (90, 40), (400, 1000)] {
        let (status, body) = ask(format!("startTime={}&limit={limit}", minute(from))).await;
        assert_eq!((status, shown(&body)), (200, expected(from, limit)), "from {from}");
    }
    // Ranges that start at a minute without a trade, and the newest before an end.
    let (_, body) = ask(format!("startTime={}&limit=4", minute(7) + 1)).await;
    assert_eq!(shown(&body), expected(7, 5)[1..]);
    let (_, body) = ask(format!("endTime={}&limit=4", minute(9))).await;
    assert_eq!(shown(&body), expected(7, 5)[1..]);
    // No candle precedes the first.
    let (_, body) = ask("startTime=1&limit=3".to_owned()).await;
    assert_eq!(shown(&body), expected(1, 3));

    // Hours of another time zone: quarters from memory, and minutes of both.
    let zoned = async |query: String| {
        let address = format!("{}/api/v3/klines?symbol=BTCUSDT&interval=1h&timeZone=0:10&{query}", app.api);
        let body: Value = serde_json::from_slice(&app.http.get(address).send().await.unwrap().bytes().await.unwrap()).unwrap();
        let rows = body.as_array().unwrap_or_else(|| panic!("{body}"));
        let row = |row: &Value| json!([row[0], row[6], row[1], row[4], row[8]]);
        rows.iter().map(row).collect::<Vec<Value>>()
    };
    let summed = |open: i64, limit: i64| -> Vec<Value> {
        let hour = |open: i64| {
            let inside: Vec<i64> = (1..=1_600).filter(|number| (open..open + 3_600_000).contains(&minute(*number))).collect();
            let price = |number: Option<&i64>| Decimal::from(*number.unwrap()).to_string();
            json!([open, open + 3_599_999, price(inside.first()), price(inside.last()), inside.iter().sum::<i64>()])
        };
        (0..limit).map(|number| hour(open + number * 3_600_000)).collect()
    };
    let hour_of = |time: i64| (time + 600_000) / 3_600_000 * 3_600_000 - 600_000;
    assert_eq!(zoned("startTime=1&limit=6".to_owned()).await, summed(hour_of(minute(1)), 6), "from the first trade on");
    for (from, limit) in [(35, 3), (400, 30)] {
        let open = hour_of(minute(from));
        assert_eq!(zoned(format!("startTime={open}&limit={limit}")).await, summed(open, limit), "from {from}");
        let end = open + limit * 3_600_000 - 1;
        assert_eq!(zoned(format!("endTime={end}&limit={limit}")).await, summed(open, limit), "to {from}");
    }

    // A window of two days is in memory; one of three also needs older minutes of the tables.
    let ticker = async |size: &str| {
        let address = format!("{}/api/v3/ticker?symbol=BTCUSDT&windowSize={size}", app.api);
        let response = app.http.get(address).send().await.unwrap();
        (response.status().as_u16(), serde_json::from_slice::<Value>(&response.bytes().await.unwrap()).unwrap())
    };
    for size in ["1d", "2d", "3d"] {
        let (status, window) = ticker(size).await;
        let open = window["openTime"].as_i64().unwrap();
        // Candle number n has n trades; the trade of the journal follows them.
        let first = (1..=1_600).find(|number| minute(*number) >= open).unwrap();
        let trades: i64 = (first..=1_600).sum::<i64>() + 1;
        assert_eq!(
            (status, window["count"].as_i64(), &window["lastPrice"]),
            (200, Some(trades), &json!("100.00000000")),
            "{size}"
        );
        assert_eq!(window["openPrice"], Decimal::from(first).to_string());
    }

    // PostgreSQL is lost: reads from memory continue, reads that need the tables are 503.
    proxy.stall();
    let (status, body) = ask(format!("startTime={}&limit=3", minute(400))).await;
    assert_eq!((status, shown(&body)), (200, expected(400, 3)));
    let (status, body) = ask(format!("startTime={}&limit=3", minute(1))).await;
    assert_eq!((status, &body["code"]), (503, &json!(-1001)), "{body}");
    for path in
        ["depth?symbol=BTCUSDT", "trades?symbol=BTCUSDT", "ticker/24hr", "exchangeInfo", "historicalTrades?symbol=BTCUSDT"]
    {
        let response = app.http.get(format!("{}/api/v3/{path}", app.api)).send().await.unwrap();
        assert_eq!(response.status().as_u16(), 200, "{path}");
    }
    proxy.resume();
    until("the tables are read again", || async { ask(format!("startTime={}&limit=3", minute(1))).await.0 == 200 }).await;
    app.end().await;
}
