//! Tests of many stops reached by one trade: each runs as a separate decision, other commands run in between, and no order is
//! lost.

use crate::support::{
    ALICE, BOB, BTC, CAROL, Exchange, MARKET, SECOND, USDT, admin, check_invariants, filters, leg, pair, replay, units,
};
use Side::{Buy, Sell};
use exchange_core::State;
use exchange_core::command::{AdminAction, CancelOrder, CancelReplaceMode, Canceled, Command, NewOrder, Outcome};
use exchange_core::event::Event;
use exchange_core::market::{Commission, Filters, MarketStatus};
use exchange_core::order::{ExpiryReason, MarketId, OrderId, OrderType, Side, StpMode, TimeInForce};

/// Bids at 90; Alice's `stops` STOP_LOSS SELL orders at 95, reached by one trade at 90. None of them has run.
fn reached(stops: usize) -> (Exchange, Vec<OrderId>) {
    let wide = Filters { max_orders: 100_000, max_algo_orders: 100_000, ..filters() };
    let mut e = Exchange::with(wide, Commission::default());
    e.works = false;
    e.place_limit(ALICE, Sell, "100", "1");
    e.place_limit(BOB, Buy, "100", "1");
    e.place_limit(BOB, Buy, "90", "900");
    let ids = (0..stops).map(|_| stop(&mut e, "95", "0.01")).collect();
    e.place_limit(CAROL, Sell, "90", "1");
    (e, ids)
}

fn stop(e: &mut Exchange, price: &str, quantity: &str) -> OrderId {
    let order = e.order(ALICE, Sell, OrderType::StopLoss);
    e.place(NewOrder { stop_price: units(price), quantity: units(quantity), ..order }).order.id
}

fn cancel(e: &mut Exchange, order: OrderId) -> Outcome {
    let (order, client_id, restriction) = (Some(order), None, None);
    e.must(&Command::Cancel(CancelOrder { account: ALICE, market: MARKET, order, client_id, restriction }))
}

fn triggered(events: &[Event]) -> Vec<OrderId> {
    let ids = events.iter().filter_map(|event| match event {
        Event::OrderTriggered { order, .. } => Some(*order),
        _ => None,
    });
    ids.collect()
}

#[test]
fn each_reached_stop_is_a_decision_of_its_own() {
    let (mut e, ids) = reached(2_000);
    assert_eq!((triggered(&e.journal).len(), e.state.queued_orders(MARKET)), (0, 2_000), "the trade queues them by one event");
    let events = e.journal.len();
    for (number, id) in ids.iter().enumerate() {
        let before = e.journal.len();
        assert!(e.work());
        assert_eq!(triggered(&e.journal[before..]), [*id], "step {number}");
    }
    assert!(!e.work() && !e.state.has_work(e.now));
    assert!(e.journal.len() - events <= 4 * 2_000, "events in proportion to the stops");
    assert_eq!(e.balance(ALICE, BTC), "979/0", "2,000 x 0.01 sold, and 1 before");
    check_invariants(&e.state);
}

#[test]
fn a_queued_stop_can_be_canceled_every_way() {
    let (mut e, ids) = reached(40);
    assert!(matches!(cancel(&mut e, ids[0]), Outcome::Canceled(Canceled::Order(_))));
    assert!(matches!(cancel(&mut e, ids[7]), Outcome::Canceled(Canceled::Order(_))));
    assert_eq!(e.state.queued_orders(MARKET), 38);
    e.work();
    let first = triggered(&e.journal);
    assert_eq!(first, [ids[1]], "the oldest that is left");
    e.must(&Command::CancelAll { account: ALICE, market: MARKET });
    assert_eq!((e.state.queued_orders(MARKET), e.state.has_work(e.now)), (0, false));
    assert_eq!(e.balance(ALICE, BTC), "998.99/0");
    check_invariants(&e.state);
}

#[test]
fn queued_stops_run_before_the_next_order_of_their_market() {
    let (mut e, ids) = reached(3);
    let command = Command::Place(e.limit(BOB, Buy, "90", "1"));
    assert!(e.state.must_wait(&command));
    // A caller that does not wait gets the same sequence.
    let mut events = Vec::new();
    e.state.decide(&command, e.now, &mut events).unwrap();
    assert_eq!(triggered(&events), ids);
    assert!(matches!(events.last(), Some(Event::OrderPlaced(_))));
}

#[test]
fn other_markets_and_ticks_come_in_between() {
    let (mut e, _) = reached(10);
    let (symbol, filters) = ("BTCUSDT2".into(), filters());
    e.must(&admin(AdminAction::CreateMarket { symbol, base: BTC, quote: USDT, filters, commission: Commission::default() }));
    e.work();
    let other = NewOrder { market: 1, ..e.limit(CAROL, Buy, "50", "1") };
    assert!(!e.state.must_wait(&Command::Place(other.clone())));
    e.must(&Command::Place(other));
    e.must(&Command::Tick);
    assert_eq!(e.state.queued_orders(MARKET), 9);
}

#[test]
fn busy_markets_take_turns() {
    let (mut e, _) = reached(4);
    let (symbol, filters) = ("BTCUSDT2".into(), filters());
    e.must(&admin(AdminAction::CreateMarket { symbol, base: BTC, quote: USDT, filters, commission: Commission::default() }));
    let on_second = |order: NewOrder| Command::Place(NewOrder { market: 1, ..order });
    for (account, side, price) in [(ALICE, Sell, "100"), (BOB, Buy, "100"), (BOB, Buy, "90")] {
        let order = e.limit(account, side, price, "1");
        e.must(&on_second(order));
    }
    for _ in 0..2 {
        let order = e.order(ALICE, Sell, OrderType::StopLoss);
        e.must(&on_second(NewOrder { stop_price: units("95"), quantity: units("0.01"), ..order }));
    }
    let order = e.limit(CAROL, Sell, "90", "0.1");
    e.must(&on_second(order));
    let markets: Vec<MarketId> = (0..6)
        .map(|_| {
            let before = [e.state.queued_orders(0), e.state.queued_orders(1)];
            e.work();
            MarketId::from(e.state.queued_orders(0) == before[0])
        })
        .collect();
    assert_eq!(markets, [1, 0, 1, 0, 0, 0]);
}

#[test]
fn a_new_leader_goes_on_with_the_queue() {
    let (mut e, ids) = reached(6);
    e.work();
    cancel(&mut e, ids[3]);
    let mut bytes = Vec::new();
    e.state.encode(&mut bytes);
    let mut from_snapshot = State::decode(&bytes).expect("a snapshot decodes");
    let mut from_journal = replay(&e.journal);
    assert_eq!(from_snapshot.hash(), from_journal.hash());
    let rest = |state: &mut State| {
        let mut events = Vec::new();
        while state.work(e.now, &mut events) {}
        events
    };
    let (one, other) = (rest(&mut from_snapshot), rest(&mut from_journal));
    assert_eq!(one, other);
    assert_eq!(triggered(&one), [ids[1], ids[2], ids[4], ids[5]]);
}

#[test]
fn a_halt_holds_the_queue_and_a_resume_goes_on() {
    let (mut e, ids) = reached(5);
    e.work();
    let before = e.journal.len();
    e.set_status(MarketStatus::Halt);
    assert!(!e.work(), "nothing runs on a halted market");
    assert_eq!(e.journal.len() - before, 3, "the time, who halted it, and the halt");
    e.set_status(MarketStatus::CancelOnly);
    assert!(!e.work());
    cancel(&mut e, ids[2]);
    e.set_status(MarketStatus::Trading);
    while e.work() {}
    assert_eq!(triggered(&e.journal), [ids[0], ids[1], ids[3], ids[4]]);
}

#[test]
fn a_stop_reached_by_a_queued_stop_comes_after_the_queue() {
    let (mut e, _) = reached(3);
    while e.work() {}
    e.must(&Command::CancelAll { account: BOB, market: MARKET });
    e.place_limit(BOB, Buy, "84", "0.02");
    e.place_limit(BOB, Buy, "79", "1");
    let deep = stop(&mut e, "80", "0.01");
    let shallow = stop(&mut e, "85", "0.01");
    e.place_limit(CAROL, Sell, "84", "0.02");
    assert_eq!(e.state.queued_orders(MARKET), 1, "only the stop at 85");
    e.work();
    assert_eq!((triggered(&e.journal).last(), e.state.queued_orders(MARKET)), (Some(&shallow), 1), "its trade at 79 reached 80");
    e.work();
    assert_eq!(triggered(&e.journal).last(), Some(&deep));
}

fn oco(e: &mut Exchange) -> (u64, Vec<OrderId>) {
    let oco = pair(Sell, "2", leg(OrderType::LimitMaker, "105", "0", "above"), leg(OrderType::StopLoss, "0", "95", "below"));
    match e.must(&Command::PlaceOco(oco)) {
        Outcome::List(list) => (list.list, list.orders.iter().map(|placed| placed.order.id).collect()),
        other => panic!("{other:?}"),
    }
}

/// An exchange whose last price is 100. Alice has a pair whose stop leg is reached and queued.
fn queued_pair() -> (Exchange, u64, Vec<OrderId>) {
    let mut e = Exchange::new();
    e.works = false;
    e.place_limit(BOB, Sell, "100", "1");
    e.place_limit(CAROL, Buy, "100", "1");
    e.place_limit(BOB, Buy, "90", "50");
    let (list, legs) = oco(&mut e);
    e.place_limit(CAROL, Sell, "90", "1");
    assert_eq!(e.state.queued_orders(MARKET), 1);
    (e, list, legs)
}

#[test]
fn a_queued_leg_and_its_pair_end_together() {
    let (mut e, list, legs) = queued_pair();
    // The limit leg is on the book until the stop's turn: canceling either leg cancels both.
    cancel(&mut e, legs[1]);
    assert_eq!((e.state.queued_orders(MARKET), e.state.list(list)), (0, None));
    assert_eq!(e.balance(ALICE, BTC), "1000/0");

    let (mut e, list, _) = queued_pair();
    let by_list = Command::CancelList { account: ALICE, market: MARKET, list: Some(list), client_id: None };
    assert!(matches!(e.must(&by_list), Outcome::List(report) if report.done && report.orders.len() == 2));
    assert_eq!((e.state.queued_orders(MARKET), e.balance(ALICE, BTC).as_str()), (0, "1000/0"));

    let (mut e, list, _) = queued_pair();
    e.work();
    assert_eq!((e.state.list(list), e.balance(ALICE, BTC).as_str()), (None, "998/0"), "the stop ran, the limit leg ended");
}

#[test]
fn a_queued_stop_runs_before_it_can_be_replaced() {
    let (mut e, ids) = reached(1);
    let (order, client_id, restriction) = (Some(ids[0]), None, None);
    let cancel = CancelOrder { account: ALICE, market: MARKET, order, client_id, restriction };
    let new = e.limit(ALICE, Sell, "120", "0.01");
    let replace = Command::CancelReplace { cancel, new, mode: CancelReplaceMode::StopOnFailure };
    assert!(matches!(e.must(&replace), Outcome::CancelReplaced(both) if both.cancel.is_err() && both.new.is_none()));
    assert_eq!(triggered(&e.journal), ids);
}

#[test]
fn a_list_that_ends_names_the_leg_that_ended_before() {
    let mut e = Exchange::new();
    e.place_limit(BOB, Sell, "100", "1");
    e.place_limit(CAROL, Buy, "100", "1");
    let (list, legs) = oco(&mut e);
    // The limit leg trades a part: the stop leg ends immediately.
    e.place_limit(BOB, Buy, "105", "0.5");
    let mut bytes = Vec::new();
    e.state.encode(&mut bytes);
    e.state = State::decode(&bytes).expect("a snapshot decodes");
    match cancel(&mut e, legs[1]) {
        Outcome::Canceled(Canceled::List(report)) => {
            let names: Vec<_> = report.legs.iter().map(|(id, client_id)| (*id, client_id.as_str().to_owned())).collect();
            assert_eq!(names, [(legs[0], "below".into()), (legs[1], "above".into())]);
            assert_eq!((report.list, report.done, report.orders.len()), (list, true, 1));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_level_of_the_previous_release_writes_what_it_reads() {
    let mut e = Exchange::of_level_1(filters(), Commission::default());
    e.place_limit(ALICE, Sell, "100", "1");
    e.place_limit(BOB, Buy, "100", "1");
    e.place_limit(BOB, Buy, "90", "10");
    let ids: Vec<OrderId> = (0..5).map(|_| stop(&mut e, "95", "0.01")).collect();
    e.place_limit(CAROL, Sell, "90", "1");
    assert_eq!(triggered(&e.journal), ids, "all in the decision that reached them");
    assert!(e.journal.iter().all(|event| event.level() == 1));
    let mut bytes = Vec::new();
    e.state.encode(&mut bytes);
    assert_eq!(bytes[0], 1, "a snapshot of the first format");
    let refused = e.run(&admin(AdminAction::SetPriceRange { market: MARKET, rule: None })).unwrap_err();
    assert!(refused.to_string().contains("feature-level set 2"), "{refused}");
    e.must(&admin(AdminAction::SetFeatureLevel { level: 2 }));
    e.must(&admin(AdminAction::SetPriceRange { market: MARKET, rule: None }));
    for level in [1, exchange_core::event::FEATURE_LEVEL + 1] {
        assert!(e.run(&admin(AdminAction::SetFeatureLevel { level })).is_err(), "level {level}");
    }
}

/// FOK by level sums: Alice's own orders count according to her prevention mode.
#[test]
fn fill_or_kill_counts_own_orders_as_prevention_does() {
    // Asks: Bob 1 at 100, then at 101 Bob 1, Alice 1, Carol 1. Alice buys with a limit of 101.
    let cases = [
        (StpMode::None, "4", true),
        (StpMode::None, "4.001", false),
        (StpMode::ExpireMaker, "3", true),
        (StpMode::ExpireMaker, "3.001", false),
        (StpMode::ExpireTaker, "2", true),
        (StpMode::ExpireTaker, "2.001", false),
        (StpMode::ExpireBoth, "2", true),
        (StpMode::ExpireBoth, "2.001", false),
    ];
    for (stp, quantity, fills) in cases {
        let mut e = Exchange::new();
        for (account, price) in [(BOB, "100"), (BOB, "101"), (ALICE, "101"), (CAROL, "101"), (ALICE, "102")] {
            e.place_limit(account, Sell, price, "1");
        }
        let order = e.limit(ALICE, Buy, "101", quantity);
        let placed = e.place(NewOrder { stp, time_in_force: TimeInForce::Fok, ..order });
        let reason = if fills { ExpiryReason::None } else { ExpiryReason::UnfilledFok };
        assert_eq!((placed.order.expiry_reason, placed.fills.is_empty()), (reason, !fills), "{stp} {quantity}");
    }
}

#[test]
fn a_clock_that_stands_still_changes_nothing() {
    let (mut e, _) = reached(3);
    e.now -= 10 * SECOND;
    while e.work() {}
    assert_eq!(e.state.queued_orders(MARKET), 0);
    check_invariants(&e.state);
}
