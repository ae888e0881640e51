//! Tests of the feed: what it records, in which order, and what it does without room.

use super::*;
use crate::engine::committed::Committed;
use exchange_core::{
    command::{AdminAction, CancelOrder, Command, NewOrder, Operator},
    event::Event,
    market::{Commission, Filters},
    market_data::MarketData,
    money::SCALE,
    order::{OrderStatus, OrderType, StpMode, TimeInForce},
};

const MAKER: AccountId = 2;
const TAKER: AccountId = 3;

/// A deciding state, and the fold of its events in batches of one command.
struct World {
    state: State,
    committed: Committed,
    now: Time,
    number: u32,
}

impl World {
    fn new() -> Self {
        let committed = Committed::new(State::new(), MarketData::new(), 0);
        let mut world = Self { state: State::new(), committed, now: 1_700_000_000_000_000, number: 0 };
        let operator = Operator { actor: "test".into(), reason: "test".into() };
        let mut admin = |action| world.run(&Command::Admin { operator: operator.clone(), action });
        for code in ["BTC", "USDT"] {
            admin(AdminAction::CreateAsset { code: code.into() });
        }
        let (filters, commission) = (Filters::default(), Commission { maker: 100_000, taker: 200_000 });
        admin(AdminAction::CreateMarket { symbol: "BTCUSDT".into(), base: 0, quote: 1, filters, commission });
        for account in [MAKER, TAKER] {
            admin(AdminAction::CreateAccount { reference: account.to_string().into() });
            for asset in [0, 1] {
                let (amount, reference) = (1_000_000 * i128::from(SCALE), format!("{account} {asset}").into());
                admin(AdminAction::Credit { account, asset, amount, reference });
            }
        }
        world
    }

    fn run(&mut self, command: &Command) -> Vec<Event> {
        self.now += 1_000_000;
        let mut events = Vec::new();
        self.state.decide(command, self.now, &mut events).unwrap();
        self.committed.apply(&events);
        events
    }

    fn order(&mut self, account: AccountId, side: Side, price: i64, quantity: i64) -> NewOrder {
        self.number += 1;
        NewOrder {
            account,
            market: 0,
            side,
            kind: OrderType::Limit,
            time_in_force: TimeInForce::Gtc,
            stp: StpMode::None,
            price: price * SCALE,
            stop_price: 0,
            quantity: quantity * SCALE,
            quote_order_quantity: 0,
            iceberg: 0,
            trailing_delta: 0,
            client_id: ClientId::new(&self.number.to_string()).unwrap(),
        }
    }

    fn place(&mut self, account: AccountId, side: Side, price: i64, quantity: i64) {
        let order = self.order(account, side, price, quantity);
        self.run(&Command::Place(order));
    }

    fn levels(&self) -> Vec<LevelKey> {
        let mut levels = Vec::new();
        self.committed.feed().take_levels(0, Speed::Fast, &mut levels);
        levels.sort_unstable();
        levels
    }

    fn reports(&self) -> Vec<(Execution, OrderStatus, Quantity)> {
        let changes = self.committed.feed().take().accounts;
        let reports = changes.iter().filter_map(|event| match &event.change {
            AccountChange::Order(report) => Some((report.execution, report.order.status, report.order.executed / SCALE)),
            _ => None,
        });
        reports.collect()
    }
}

#[test]
fn only_what_is_watched_is_recorded() {
    let mut world = World::new();
    world.place(MAKER, Side::Sell, 100, 2);
    world.place(TAKER, Side::Buy, 100, 1);
    let changes = world.committed.feed().take();
    assert!(changes.trades.is_empty() && changes.accounts.is_empty() && !changes.lost);

    world.committed.feed().watch_trades(0, true);
    world.committed.feed().watch_account(MAKER, true);
    world.place(TAKER, Side::Buy, 100, 1);
    let changes = world.committed.feed().take();
    assert_eq!(changes.trades.len(), 1);
    assert!(!changes.accounts.is_empty() && changes.accounts.iter().all(|event| event.account == MAKER));
    world.committed.feed().watch_trades(0, false);
    world.committed.feed().watch_account(MAKER, false);
    world.place(MAKER, Side::Sell, 100, 1);
    assert!(world.committed.feed().take().accounts.is_empty());
}

#[test]
fn exactly_the_levels_that_changed_are_collected() {
    let mut world = World::new();
    world.committed.feed().watch_levels(0, Speed::Fast, true);
    world.place(MAKER, Side::Sell, 101, 1);
    world.place(MAKER, Side::Sell, 100, 1);
    assert_eq!(world.levels(), [(Side::Sell, 100 * SCALE), (Side::Sell, 101 * SCALE)]);
    // It takes one level, a part of the next one, and rests nowhere.
    let mut taker = world.order(TAKER, Side::Buy, 105, 3);
    taker.time_in_force = TimeInForce::Ioc;
    world.run(&Command::Place(taker));
    assert_eq!(world.levels(), [(Side::Sell, 100 * SCALE), (Side::Sell, 101 * SCALE)]);
    world.place(MAKER, Side::Sell, 100, 1);
    world.levels();
    // It takes what there is and the rest stays on the book.
    world.place(TAKER, Side::Buy, 100, 2);
    assert_eq!(world.levels(), [(Side::Buy, 100 * SCALE), (Side::Sell, 100 * SCALE)]);
    world.run(&Command::CancelAll { account: TAKER, market: 0 });
    assert_eq!(world.levels(), [(Side::Buy, 100 * SCALE)]);
}

#[test]
fn an_order_is_reported_from_its_placing_to_its_end() {
    let mut world = World::new();
    world.committed.feed().watch_account(TAKER, true);
    world.place(MAKER, Side::Sell, 100, 1);
    world.place(TAKER, Side::Buy, 100, 3);
    let order = world.state.open_orders(TAKER, None)[0].id;
    let (client_id, restriction) = (None, None);
    world.run(&Command::Cancel(CancelOrder { account: TAKER, market: 0, order: Some(order), client_id, restriction }));
    let expected = [
        (Execution::New, OrderStatus::New, 0),
        (Execution::Trade, OrderStatus::PartiallyFilled, 1),
        (Execution::Canceled, OrderStatus::Canceled, 1),
    ];
    assert_eq!(world.reports(), expected);
}

#[test]
fn a_market_order_by_quote_is_filled_by_its_last_trade() {
    let mut world = World::new();
    world.committed.feed().watch_account(TAKER, true);
    world.place(MAKER, Side::Sell, 100, 1);
    world.place(MAKER, Side::Sell, 101, 5);
    let mut order = world.order(TAKER, Side::Buy, 0, 0);
    (order.kind, order.quote_order_quantity) = (OrderType::Market, 302 * i128::from(SCALE));
    world.run(&Command::Place(order));
    let expected = [
        (Execution::New, OrderStatus::New, 0),
        (Execution::Trade, OrderStatus::PartiallyFilled, 1),
        (Execution::Trade, OrderStatus::Filled, 3),
    ];
    assert_eq!(world.reports(), expected);
}

#[test]
fn a_prevented_trade_is_one_report_with_its_counter_order() {
    let mut world = World::new();
    world.committed.feed().watch_account(TAKER, true);
    world.place(TAKER, Side::Sell, 100, 1);
    let mut order = world.order(TAKER, Side::Buy, 100, 1);
    order.stp = StpMode::ExpireMaker;
    world.run(&Command::Place(order));
    let changes = world.committed.feed().take().accounts;
    let prevented: Vec<_> = changes
        .iter()
        .filter_map(|event| match &event.change {
            AccountChange::Order(report) if report.execution == Execution::TradePrevention => Some(report.clone()),
            _ => None,
        })
        .collect();
    let [report] = prevented.as_slice() else { panic!("{prevented:?}") };
    assert_eq!((report.order.status, report.order.side), (OrderStatus::ExpiredInMatch, Side::Sell));
    let prevention = report.prevention.unwrap();
    assert_eq!((prevention.price, prevention.quantity), (100 * SCALE, SCALE));
    assert_ne!(prevention.counter_order, report.order.id);
}

#[test]
fn a_rebuilt_state_loses_every_subscription() {
    let mut world = World::new();
    world.committed.feed().watch_account(TAKER, true);
    world.committed.feed().watch_levels(0, Speed::Fast, true);
    world.place(TAKER, Side::Buy, 100, 1);
    world.committed.restart(State::new(), MarketData::new(), 0);
    let changes = world.committed.feed().take();
    assert!(changes.lost && changes.accounts.is_empty());
    assert!(world.levels().is_empty());
    assert!(!world.committed.feed().take().lost, "reported once");
}

#[test]
fn what_does_not_fit_is_lost_as_a_whole() {
    let mut world = World::new();
    world.committed.feed().watch_trades(0, true);
    world.place(MAKER, Side::Sell, 100, 2);
    let filler = PublicTrade { trade: 0, aggregate: 0, price: 1, quantity: 1, quote: 1, time: 1, buyer_is_maker: false };
    world.committed.feed().inner.lock().pending.trades = vec![(0, filler); PENDING_MAX];
    world.place(TAKER, Side::Buy, 100, 1);
    let changes = world.committed.feed().take();
    assert!(changes.lost && changes.trades.len() <= 1);
}
