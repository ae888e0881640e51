//! A book rebuilt from a snapshot and diffs equals the served one at every update id, under load.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use exchange::db::journal;
use exchange_core::{
    State, batch,
    command::{Command, NewOrder},
    event::Event,
    money::SCALE,
    order::{AccountId, ClientId, OrderType, Side, StpMode, TimeInForce},
};
use futures::StreamExt;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::Value;

use crate::{exchange::Exchange, socket::Socket};

const SEED: u64 = 7;
/// Diffs that each book applies.
const DIFFS: usize = 25;

/// A side of a book: price to quantity, as texts of the API.
type Levels = BTreeMap<String, String>;

/// A book as a client rebuilds it.
struct Book {
    last: u64,
    sides: [Levels; 2],
}

impl Book {
    async fn snapshot(exchange: &Exchange) -> Self {
        let depth = exchange.public("/api/v3/depth", "symbol=BTCUSDT&limit=5000").await.ok();
        let side = |name: &str| depth[name].as_array().unwrap().iter().map(level).collect();
        Self { last: depth["lastUpdateId"].as_u64().unwrap(), sides: [side("bids"), side("asks")] }
    }

    /// The documented procedure; false: the event is older than the snapshot.
    fn apply(&mut self, event: &Value) -> bool {
        let (first, last) = (event["U"].as_u64().unwrap(), event["u"].as_u64().unwrap());
        if last <= self.last {
            return false;
        }
        assert!(first <= self.last + 1, "missed events between {} and {first}", self.last);
        for (side, name) in self.sides.iter_mut().zip(["b", "a"]) {
            for (price, quantity) in event[name].as_array().unwrap().iter().map(level) {
                if quantity == "0.00000000" {
                    side.remove(&price)
                } else {
                    side.insert(price, quantity)
                };
            }
        }
        self.last = last;
        true
    }
}

fn level(level: &Value) -> (String, String) {
    (level[0].as_str().unwrap().to_owned(), level[1].as_str().unwrap().to_owned())
}

/// The journal up to a sequence, by a second fold of its own.
struct Journal {
    state: State,
    events: Vec<Event>,
}

impl Journal {
    async fn read(exchange: &Exchange) -> Self {
        let mut connection = exchange.app.pool.acquire().await.unwrap();
        let end = exchange.app.engine.committed().read().state.sequence() as i64;
        let mut events = Vec::new();
        let mut stored = journal::stream(&mut connection, 0, end);
        while let Some(row) = stored.next().await.transpose().unwrap() {
            events.extend(batch::decode(row.payload().unwrap()).unwrap());
        }
        Self { state: State::new(), events }
    }

    fn book_at(&mut self, sequence: u64) -> [Levels; 2] {
        while self.state.sequence() < sequence {
            self.state.evolve(&self.events[self.state.sequence() as usize]);
        }
        let depth = self.state.depth(0, usize::MAX);
        let shown = |amount: i128| exchange_core::money::Decimal(amount).to_string();
        [depth.bids, depth.asks]
            .map(|side| side.into_iter().map(|(price, quantity)| (shown(price.into()), shown(quantity))).collect())
    }
}

/// Random orders and cancels until `stop`.
async fn load(exchange: &Exchange, account: AccountId, seed: u64, stop: &AtomicBool) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        let command = if random.random_ratio(1, 5) {
            Command::CancelAll { account, market: 0 }
        } else {
            let kinds = [OrderType::Limit, OrderType::Limit, OrderType::Limit, OrderType::LimitMaker, OrderType::Market];
            let kind = kinds[random.random_range(0..kinds.len())];
            let times = [TimeInForce::Gtc, TimeInForce::Gtc, TimeInForce::Ioc, TimeInForce::Fok];
            let time_in_force =
                if kind == OrderType::Limit { times[random.random_range(0..times.len())] } else { TimeInForce::Gtc };
            let quantity = random.random_range(1..=50) * SCALE / 100;
            let hides = kind != OrderType::Market && time_in_force == TimeInForce::Gtc && quantity > SCALE / 25;
            let iceberg = if hides && random.random_ratio(1, 3) { SCALE / 25 } else { 0 };
            let modes = [StpMode::None, StpMode::ExpireTaker, StpMode::ExpireMaker, StpMode::ExpireBoth];
            Command::Place(NewOrder {
                account,
                market: 0,
                side: if random.random() { Side::Buy } else { Side::Sell },
                kind,
                time_in_force,
                stp: modes[random.random_range(0..modes.len())],
                price: if kind == OrderType::Market { 0 } else { random.random_range(90..=110) * SCALE },
                stop_price: 0,
                quantity,
                quote_order_quantity: 0,
                iceberg,
                trailing_delta: 0,
                client_id: ClientId::new(&format!("{seed}-{number}")).unwrap(),
            })
        };
        // Refusals are part of the load.
        let _ = exchange.app.engine.submit(command, None).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuilt_book_equals_the_served_one_at_every_update() {
    let exchange = Exchange::start().await;
    let mut accounts = Vec::new();
    for name in ["ada", "bob", "cyd", "dan"] {
        accounts.push(exchange.trader(name).await.account);
    }
    let stop = AtomicBool::new(false);
    let books = async {
        let (fast, slow) = (watch(&exchange, "btcusdt@depth@100ms", DIFFS), watch(&exchange, "btcusdt@depth", 3));
        let late = async {
            // Somebody who joins a stream that has subscribers.
            tokio::time::sleep(Duration::from_millis(350)).await;
            watch(&exchange, "btcusdt@depth@100ms", DIFFS / 2).await
        };
        let seen = tokio::join!(fast, slow, late);
        stop.store(true, Ordering::Relaxed);
        [seen.0, seen.1, seen.2]
    };
    let loads = futures::future::join_all(
        accounts.iter().enumerate().map(|(index, account)| load(&exchange, *account, SEED + index as u64, &stop)),
    );
    let (seen, _) = tokio::join!(books, loads);
    for states in seen {
        let mut journal = Journal::read(&exchange).await;
        assert!(states.windows(2).all(|pair| pair[0].last < pair[1].last));
        for book in &states {
            assert_eq!(journal.book_at(book.last), book.sides, "at update {}", book.last);
        }
    }
}

/// The book after the snapshot's first diff and each later one.
async fn watch(exchange: &Exchange, stream: &str, diffs: usize) -> Vec<Book> {
    let mut socket = Socket::open(&exchange.app, &format!("/ws/{stream}")).await;
    let mut events = vec![socket.json().await];
    // A snapshot that is older than the first event is useless: fetch again.
    let mut book = loop {
        let book = Book::snapshot(exchange).await;
        if book.last + 1 >= events[0]["U"].as_u64().unwrap() {
            break book;
        }
    };
    let mut seen = vec![Book { last: book.last, sides: book.sides.clone() }];
    let mut before: Option<u64> = None;
    while seen.len() < diffs {
        if events.is_empty() {
            events.push(socket.json().await);
        }
        for event in events.drain(..) {
            let first = event["U"].as_u64().unwrap();
            assert!(before.is_none_or(|before| first == before + 1), "U is the previous u + 1");
            before = event["u"].as_u64();
            if book.apply(&event) {
                seen.push(Book { last: book.last, sides: book.sides.clone() });
            }
        }
    }
    seen
}
