//! Scenarios of the self-trade prevention mode DECREMENT: both orders lose the quantity that would have traded.

use crate::support::{ALICE, BOB, BTC, Exchange, MARKET, USDT, check_invariants, filters, leg, pair, units};
use exchange_core::batch;
use exchange_core::command::{Command, NewOrder, Outcome, Placed};
use exchange_core::event::Event;
use exchange_core::market::Commission;
use exchange_core::order::{OrderStatus, OrderType, PreventedMatch, Side, StpMode, TimeInForce};

fn decrementing(e: &mut Exchange, side: Side, price: &str, quantity: &str) -> NewOrder {
    NewOrder { stp: StpMode::Decrement, ..e.limit(ALICE, side, price, quantity) }
}

fn prevented(placed: &Placed) -> (OrderStatus, i64, i64) {
    (placed.order.status, placed.order.prevented, placed.order.executed)
}

/// Scenario G of the documentation of self-trade prevention.
#[test]
fn the_smaller_taker_expires_and_the_maker_loses_as_much() {
    let mut e = Exchange::new();
    let maker = e.place_limit(ALICE, Side::Buy, "2", "6").order.id;
    let taker = decrementing(&mut e, Side::Sell, "2", "2");
    let placed = e.place(taker);
    assert_eq!(prevented(&placed), (OrderStatus::ExpiredInMatch, units("2"), 0));
    let two = units("2");
    let reported = PreventedMatch { id: 1, maker, price: two, taker_quantity: two, maker_quantity: two };
    assert_eq!(placed.prevented, [reported]);
    let left = *e.state.order(maker).unwrap();
    assert_eq!((left.status, { left.prevented }, { left.prevented_match }), (OrderStatus::New, units("2"), 1));
    assert_eq!(
        (e.book(), e.balance(ALICE, USDT), e.balance(ALICE, BTC)),
        (" | 2 x 4".into(), "999992/8".into(), "1000/0".into())
    );
    assert_eq!(e.state.last_price(MARKET), None, "nothing traded");
    check_invariants(&e.state);
}

#[test]
fn the_larger_taker_goes_on_and_rests() {
    let mut e = Exchange::new();
    let maker = e.place_limit(ALICE, Side::Sell, "100", "1").order.id;
    e.place_limit(BOB, Side::Sell, "101", "1");
    let taker = decrementing(&mut e, Side::Buy, "102", "5");
    let placed = e.place(taker);
    assert_eq!(prevented(&placed), (OrderStatus::PartiallyFilled, units("1"), units("1")));
    assert!(e.state.order(maker).is_none());
    // 3 remain at 102; what was prevented and the better price are free again.
    assert_eq!((e.book(), e.balance(ALICE, USDT)), (" | 102 x 3".into(), "999593/306".into()));
    assert_eq!(e.balance(ALICE, BTC), "1001/0");
    check_invariants(&e.state);
}

#[test]
fn equal_orders_both_expire() {
    let mut e = Exchange::new();
    e.place_limit(ALICE, Side::Buy, "100", "1");
    let taker = decrementing(&mut e, Side::Sell, "100", "1");
    assert_eq!(prevented(&e.place(taker)).0, OrderStatus::ExpiredInMatch);
    assert_eq!((e.book(), e.balance(ALICE, USDT)), (" | ".into(), "1000000/0".into()));
    check_invariants(&e.state);
}

#[test]
fn market_orders_get_their_hold_back() {
    let mut e = Exchange::new();
    e.place_limit(ALICE, Side::Sell, "100", "1");
    e.place_limit(BOB, Side::Sell, "110", "1");
    let by_quantity =
        NewOrder { quantity: units("1.5"), stp: StpMode::Decrement, ..e.order(ALICE, Side::Buy, OrderType::Market) };
    let placed = e.place(by_quantity);
    assert_eq!(prevented(&placed), (OrderStatus::Filled, units("1"), units("0.5")));
    assert_eq!(e.balance(ALICE, USDT), "999945/0");
    e.place_limit(ALICE, Side::Sell, "100", "1");
    let by_quote = NewOrder {
        quote_order_quantity: units("60").into(),
        stp: StpMode::Decrement,
        ..e.order(ALICE, Side::Buy, OrderType::Market)
    };
    let placed = e.place(by_quote);
    assert_eq!(prevented(&placed), (OrderStatus::ExpiredInMatch, units("0.6"), 0));
    assert_eq!((e.balance(ALICE, USDT), e.book()), ("999945/0".into(), "110 x 0.5, 100 x 0.4 | ".into()));
    check_invariants(&e.state);
}

#[test]
fn fill_or_kill_expires_if_an_own_order_is_in_the_way() {
    let mut e = Exchange::new();
    e.place_limit(BOB, Side::Sell, "100", "1");
    e.place_limit(ALICE, Side::Sell, "100", "1");
    e.place_limit(BOB, Side::Sell, "100", "1");
    for (quantity, status) in [("2", OrderStatus::Expired), ("1", OrderStatus::Filled)] {
        let order = decrementing(&mut e, Side::Buy, "100", quantity);
        let placed = e.place(NewOrder { time_in_force: TimeInForce::Fok, ..order });
        assert_eq!((placed.order.status, { placed.order.prevented }), (status, 0), "{quantity}");
    }
    check_invariants(&e.state);
}

#[test]
fn a_decremented_leg_ends_the_other_leg() {
    let mut e = Exchange::new();
    e.place_limit(ALICE, Side::Buy, "100", "1");
    e.place_limit(BOB, Side::Sell, "100", "1");
    let oco =
        pair(Side::Sell, "3", leg(OrderType::LimitMaker, "120", "0", "above"), leg(OrderType::StopLoss, "0", "90", "below"));
    let Outcome::List(list) = e.must(&Command::PlaceOco(oco)) else { panic!("a list") };
    let taker = decrementing(&mut e, Side::Buy, "120", "1");
    e.place(taker);
    let [below, above] = [list.legs[0].0, list.legs[1].0];
    assert!(e.state.order(below).is_none(), "as a trade would");
    assert_eq!(e.state.order(above).map(|order| order.remaining()), Some(units("2")));
    assert_eq!(e.balance(ALICE, BTC), "999/2");
    check_invariants(&e.state);
}

#[test]
fn decrement_needs_feature_level_4() {
    let mut earlier = Exchange::of_level_1(filters(), Commission::default());
    let order = decrementing(&mut earlier, Side::Buy, "100", "1");
    let refusal = earlier.run(&Command::Place(order)).expect_err("refused");
    let text = "This symbol does not allow the specified self-trade prevention mode.";
    assert_eq!((refusal.code(), refusal.to_string().as_str()), (-1013, text));
    let mut e = Exchange::new();
    let begun = e.journal.len();
    let order = decrementing(&mut e, Side::Buy, "100", "1");
    e.place(order);
    assert_eq!(batch::level(&e.journal[begun..]), 4);
    let decremented = |event: &&Event| matches!(event, Event::MatchDecremented(_));
    e.place_limit(ALICE, Side::Sell, "101", "1");
    let order = decrementing(&mut e, Side::Buy, "101", "1");
    e.place(order);
    assert_eq!(e.journal.iter().filter(decremented).map(Event::level).collect::<Vec<_>>(), [4]);
}
