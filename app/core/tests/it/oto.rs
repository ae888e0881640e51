//! Tests of OTO and OTOCO lists: which orders lock funds, when pending orders are placed, and how each list ends.

use crate::support::{ALICE, BOB, BTC, Exchange, MARKET, USDT, client_id, units};
use exchange_core::State;
use exchange_core::command::{
    AmendOrder, CancelOrder, Canceled, Command, ListReport, NewOrder, NewOto, Outcome, PendingOrders, Placed,
};
use exchange_core::event::{Event, FEATURE_LEVEL};
use exchange_core::market::MarketStatus;
use exchange_core::order::{Contingency, ExpiryReason, Order, OrderStatus, OrderType, Side, StpMode, TimeInForce};

/// Last event of each order: its status and reason.
fn ends(exchange: &Exchange, from: usize) -> Vec<(u64, OrderStatus, ExpiryReason)> {
    let closed = |event: &Event| match event {
        Event::OrderClosed { order, status, reason } => Some((*order, *status, *reason)),
        _ => None,
    };
    exchange.journal[from..].iter().filter_map(closed).collect()
}

fn list(exchange: &mut Exchange, working: NewOrder, pending: PendingOrders) -> ListReport {
    let new = NewOto { list_client_id: client_id("list"), working, pending };
    match exchange.must(&Command::PlaceOto(Box::new(new))) {
        Outcome::List(report) => report,
        other => panic!("not a list: {other:?}"),
    }
}

fn statuses(report: &ListReport) -> Vec<OrderStatus> {
    report.orders.iter().map(|placed: &Placed| placed.order.status).collect()
}

/// A last price of 100, from a trade of two others.
fn traded_at_100() -> Exchange {
    let mut exchange = Exchange::new();
    exchange.place_limit(BOB, Side::Sell, "100", "1");
    exchange.place_limit(crate::support::CAROL, Side::Buy, "100", "1");
    exchange
}

/// Buys 2 at 99, then sells them by a pair: 110 or the stop at 90.
fn bracket(exchange: &mut Exchange) -> ListReport {
    let working = exchange.limit(ALICE, Side::Buy, "99", "2");
    let above =
        NewOrder { price: units("110"), quantity: units("2"), ..exchange.order(ALICE, Side::Sell, OrderType::LimitMaker) };
    let below =
        NewOrder { stop_price: units("90"), quantity: units("2"), ..exchange.order(ALICE, Side::Sell, OrderType::StopLoss) };
    list(exchange, working, PendingOrders::Pair { above, below })
}

fn order(state: &State, id: u64) -> Order {
    *state.order(id).unwrap_or_else(|| panic!("order {id} is open"))
}

#[test]
fn only_the_working_order_locks_funds() {
    let mut exchange = traded_at_100();
    let report = bracket(&mut exchange);
    assert_eq!(report.contingency, Contingency::Oto);
    assert_eq!(statuses(&report), [OrderStatus::New, OrderStatus::PendingNew, OrderStatus::PendingNew]);
    assert_eq!((exchange.balance(ALICE, USDT), exchange.balance(ALICE, BTC)), ("999802/198".into(), "1000/0".into()));
    assert_eq!(exchange.book(), " | 99 x 2", "pending orders are not on the book");
    assert_eq!(exchange.state.open_orders(ALICE, None).len(), 3, "they count as open orders");
    let pending = order(&exchange.state, report.legs[1].0);
    assert_eq!((pending.working, pending.working_since, pending.hold), (false, 0, 0));
}

#[test]
fn pending_orders_are_placed_when_the_working_one_is_filled() {
    let mut exchange = traded_at_100();
    let report = bracket(&mut exchange);
    exchange.place_limit(BOB, Side::Sell, "99", "0.5");
    let [working, above, below] = [0, 1, 2].map(|leg| report.legs[leg].0);
    assert_eq!(order(&exchange.state, working).status, OrderStatus::PartiallyFilled);
    assert_eq!(order(&exchange.state, above).status, OrderStatus::PendingNew, "a part is not enough");
    exchange.place_limit(BOB, Side::Sell, "99", "1.5");
    assert!(exchange.state.order(working).is_none());
    let (above, below) = (order(&exchange.state, above), order(&exchange.state, below));
    assert_eq!((above.status, above.working), (OrderStatus::New, true));
    assert_eq!((below.status, below.working), (OrderStatus::New, false), "a stop waits for its price");
    assert_eq!((above.hold, below.hold), (units("2").into(), 0), "one hold for both");
    assert_eq!(exchange.book(), "110 x 2 | ");
    assert!(!exchange.state.list(report.list).expect("open").done);
    // From here on it is an OCO pair: one trades, the other ends.
    let begun = exchange.journal.len();
    exchange.place_limit(BOB, Side::Buy, "110", "2");
    assert_eq!(ends(&exchange, begun), [(below.id, OrderStatus::Expired, ExpiryReason::OcoTrigger)]);
    assert!(exchange.state.list(report.list).is_none(), "the list is done");
}

#[test]
fn a_working_order_filled_at_once_is_shown_with_pending_orders() {
    let mut exchange = traded_at_100();
    exchange.works = false;
    exchange.place_limit(BOB, Side::Sell, "101", "1");
    let working = exchange.limit(ALICE, Side::Buy, "101", "1");
    let pending = NewOrder { quantity: units("1"), ..exchange.order(ALICE, Side::Sell, OrderType::Market) };
    let report = list(&mut exchange, working, PendingOrders::One(pending));
    assert_eq!(statuses(&report), [OrderStatus::Filled, OrderStatus::PendingNew]);
    assert_eq!((report.orders[0].fills.len(), report.done), (1, false));
    assert_eq!(exchange.state.queued_orders(MARKET), 1);
    exchange.place_limit(crate::support::CAROL, Side::Buy, "98", "1");
    let sold = exchange.state.balance(ALICE, BTC).free;
    assert_eq!(sold, units("1001").into(), "the queue ran before the bid came: the market order found nothing");
    assert!(exchange.state.list(report.list).is_none());
}

#[test]
fn the_queue_survives_a_halt_and_a_snapshot() {
    let mut exchange = traded_at_100();
    exchange.works = false;
    let report = bracket(&mut exchange);
    let before = State::decode(&bytes(&exchange.state)).expect("a snapshot with pending orders");
    assert_eq!(before.hash(), exchange.state.hash());
    exchange.place_limit(BOB, Side::Sell, "99", "2");
    exchange.set_status(MarketStatus::Halt);
    assert!(!exchange.work(), "a halted market does not place them");
    exchange.state = State::decode(&bytes(&exchange.state)).expect("a snapshot with a queue");
    exchange.set_status(MarketStatus::Trading);
    assert!(exchange.work() && !exchange.work(), "one turn for the pair");
    assert_eq!(order(&exchange.state, report.legs[1].0).status, OrderStatus::New);
    assert_eq!(crate::support::replay(&exchange.journal).hash(), exchange.state.hash());
}

fn bytes(state: &State) -> Vec<u8> {
    let mut bytes = Vec::new();
    state.encode(&mut bytes);
    bytes
}

#[test]
fn a_working_order_that_ends_unfilled_ends_the_list() {
    let mut exchange = traded_at_100();
    for (working_tif, reason) in
        [(TimeInForce::Ioc, ExpiryReason::UnfilledIocQuantity), (TimeInForce::Fok, ExpiryReason::UnfilledFok)]
    {
        let working = NewOrder { time_in_force: working_tif, ..exchange.limit(ALICE, Side::Buy, "99", "1") };
        let pending = exchange.limit(ALICE, Side::Sell, "105", "1");
        let begun = exchange.journal.len();
        let report = list(&mut exchange, working, PendingOrders::One(pending));
        assert_eq!((statuses(&report), report.done), (vec![OrderStatus::Expired, OrderStatus::Expired], true));
        assert_eq!(report.legs.len(), 2, "an ended list still names its orders");
        let [first, second] = [0, 1].map(|leg| report.legs[leg].0);
        let expected = [(first, OrderStatus::Expired, reason), (second, OrderStatus::Expired, ExpiryReason::OtoPhaseOneExpired)];
        assert_eq!(ends(&exchange, begun), expected);
    }
}

/// Self-trade prevention expires a working maker, which was not filled.
#[test]
fn a_working_order_that_stp_expires_ends_the_list() {
    let mut exchange = traded_at_100();
    let report = bracket(&mut exchange);
    let taker = NewOrder { stp: StpMode::ExpireMaker, ..exchange.limit(ALICE, Side::Sell, "99", "1") };
    exchange.place(taker);
    assert!(exchange.state.list(report.list).is_none());
    let reason = |id: u64| ends(&exchange, 0).iter().find(|end| end.0 == id).map(|end| (end.1, end.2));
    assert_eq!(reason(report.legs[0].0), Some((OrderStatus::ExpiredInMatch, ExpiryReason::None)));
    assert_eq!(reason(report.legs[1].0), Some((OrderStatus::Expired, ExpiryReason::OtoPhaseOneExpired)));
}

#[test]
fn canceling_any_order_of_the_list_cancels_all() {
    for leg in 0..3 {
        let mut exchange = traded_at_100();
        let report = bracket(&mut exchange);
        let cancel =
            CancelOrder { account: ALICE, market: MARKET, order: Some(report.legs[leg].0), client_id: None, restriction: None };
        let Outcome::Canceled(Canceled::List(ended)) = exchange.must(&Command::Cancel(cancel)) else { panic!("a list") };
        assert_eq!((statuses(&ended), ended.done), (vec![OrderStatus::Canceled; 3], true));
        assert_eq!((ended.contingency, &ended.legs), (Contingency::Oto, &report.legs));
        assert_eq!(exchange.balance(ALICE, USDT), "1000000/0");
    }
}

#[test]
fn a_pending_order_that_cannot_be_placed_is_rejected() {
    // Sells more than the account has: its funds count when its turn comes, not when the list is placed.
    let mut exchange = traded_at_100();
    let working = exchange.limit(ALICE, Side::Buy, "99", "1");
    let pending = exchange.limit(ALICE, Side::Sell, "105", "1002");
    let report = list(&mut exchange, working, PendingOrders::One(pending));
    let begun = exchange.journal.len();
    exchange.place_limit(BOB, Side::Sell, "99", "1");
    assert_eq!(ends(&exchange, begun), [(report.legs[1].0, OrderStatus::Expired, ExpiryReason::Rejected)]);
    assert!(exchange.state.list(report.list).is_none());

    // A pair whose prices the market has passed is rejected as a unit.
    let mut exchange = traded_at_100();
    let report = bracket(&mut exchange);
    exchange.place_limit(BOB, Side::Buy, "85", "5");
    let begun = exchange.journal.len();
    exchange.place_limit(BOB, Side::Sell, "85", "7");
    let rejected = [1, 2].map(|leg| (report.legs[leg].0, OrderStatus::Expired, ExpiryReason::Rejected));
    assert_eq!(ends(&exchange, begun), [rejected[0], rejected[1]], "the last price is 85, below the stop");
}

#[test]
fn working_and_pending_orders_are_amended_separately() {
    let mut exchange = traded_at_100();
    let report = bracket(&mut exchange);
    let mut amend = |leg: usize, quantity: &str| {
        let command = Command::Amend(AmendOrder {
            account: ALICE,
            market: MARKET,
            order: Some(report.legs[leg].0),
            client_id: None,
            new_client_id: report.legs[leg].1,
            quantity: units(quantity),
        });
        exchange.must(&command);
        [0, 1, 2].map(|leg| order(&exchange.state, report.legs[leg].0).quantity)
    };
    assert_eq!(amend(0, "1.5"), [units("1.5"), units("2"), units("2")]);
    assert_eq!(amend(2, "1"), [units("1.5"), units("1"), units("1")], "a pending pair has one quantity");
    assert_eq!(exchange.balance(ALICE, USDT), "999851.5/148.5");
}

#[test]
fn lists_that_no_rule_allows_are_refused() {
    let mut exchange = traded_at_100();
    let working = exchange.limit(ALICE, Side::Buy, "99", "1");
    let pending = exchange.limit(ALICE, Side::Sell, "105", "1");
    let market = NewOrder { kind: OrderType::Market, price: 0, ..pending.clone() };
    let by_quote = NewOrder { quantity: 0, quote_order_quantity: units("10").into(), ..market.clone() };
    let stop = NewOrder { kind: OrderType::StopLoss, price: 0, stop_price: units("90"), ..pending.clone() };
    let maker = |price: &str| NewOrder { kind: OrderType::LimitMaker, price: units(price), ..pending.clone() };
    let renamed = |order: &NewOrder| NewOrder { client_id: client_id("other"), ..order.clone() };
    let combination = "Unsupported order combination.";
    let pair = |above: NewOrder, below: &NewOrder| PendingOrders::Pair { above, below: renamed(below) };
    let other_quantity = NewOrder { quantity: units("2"), ..stop.clone() };
    let rows = [
        (market.clone(), PendingOrders::One(pending.clone()), combination),
        (working.clone(), PendingOrders::One(by_quote), combination),
        (working.clone(), PendingOrders::One(NewOrder { account: BOB, ..pending.clone() }), combination),
        (working.clone(), pair(maker("110"), &other_quantity), combination),
        (working.clone(), pair(market.clone(), &stop), combination),
        (working.clone(), pair(maker("80"), &stop), "The relationship of the prices for the orders is not correct."),
        (
            working.clone(),
            PendingOrders::One(NewOrder { client_id: working.client_id, ..pending.clone() }),
            "Duplicate order sent.",
        ),
        (working.clone(), PendingOrders::One(NewOrder { price: 1, ..pending.clone() }), "Filter failure: PRICE_FILTER"),
        (
            NewOrder { quantity: units("2000"), ..maker("101") },
            PendingOrders::One(renamed(&pending)),
            "Account has insufficient balance for requested action.",
        ),
    ];
    for (working, pending, text) in rows {
        let begun = exchange.journal.len();
        let new = NewOto { list_client_id: client_id("list"), working, pending };
        let refused = exchange.run(&Command::PlaceOto(Box::new(new))).expect_err(text);
        assert_eq!(refused.to_string(), text);
        assert!(exchange.journal[begun..].is_empty(), "a refusal has no effect");
    }
}

#[test]
fn lists_with_pending_orders_need_feature_level_5() {
    let mut exchange = traded_at_100();
    bracket(&mut exchange);
    let begun = exchange.journal.iter().position(|event| event.placed_list().is_some()).expect("a list");
    assert_eq!((FEATURE_LEVEL, exchange_core::batch::level(&exchange.journal[begun..])), (7, 5));
    let mut old = Exchange::of_level_1(crate::support::filters(), Default::default());
    let working = old.limit(ALICE, Side::Buy, "99", "1");
    let pending = old.limit(ALICE, Side::Sell, "105", "1");
    let new = NewOto { list_client_id: client_id("list"), working, pending: PendingOrders::One(pending) };
    let refused = old.run(&Command::PlaceOto(Box::new(new))).expect_err("level 1");
    assert_eq!(refused.to_string(), "OTO orders are not supported for this symbol.");
}
