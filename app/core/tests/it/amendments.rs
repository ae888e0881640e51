//! Scenarios of amendments: a smaller quantity in place, with priority, hold, client id and the orders of a pair.

use crate::support::{ALICE, BOB, BTC, Exchange, MARKET, USDT, check_invariants, client_id, filters, leg, pair, replay, units};
use exchange_core::command::{AmendOrder, Amended, CancelOrder, Command, Outcome};
use exchange_core::event::Event;
use exchange_core::limits::ORDER_AMENDS;
use exchange_core::market::{Commission, MarketStatus};
use exchange_core::order::{AccountId, OrderId, OrderStatus, OrderType, Side};
use exchange_core::{State, batch};

fn amend(account: AccountId, order: OrderId, quantity: &str, new_client_id: &str) -> AmendOrder {
    AmendOrder {
        account,
        market: MARKET,
        order: Some(order),
        client_id: None,
        new_client_id: client_id(new_client_id),
        quantity: units(quantity),
    }
}

fn done(e: &mut Exchange, amend: AmendOrder) -> Amended {
    match e.must(&Command::Amend(amend)) {
        Outcome::Amended(amended) => *amended,
        other => panic!("not an amendment: {other:?}"),
    }
}

fn refused(e: &mut Exchange, amend: AmendOrder) -> (i32, String) {
    let before = (e.state.hash(), e.journal.len());
    let refusal = e.run(&Command::Amend(amend)).expect_err("refused");
    assert_eq!((e.state.hash(), e.journal.len()), before, "a refusal changes nothing");
    (refusal.code(), refusal.to_string())
}

#[test]
fn an_amended_order_trades_before_later_ones() {
    let mut e = Exchange::new();
    let order = e.place_limit(ALICE, Side::Buy, "100", "5").order;
    let first = order.id;
    let second = e.place_limit(BOB, Side::Buy, "100", "4").order.id;
    assert_eq!(e.balance(ALICE, USDT), "999500/500");
    let amended = done(&mut e, amend(ALICE, first, "2", "renamed"));
    assert_eq!((amended.execution, amended.original_client_id), (e.state.sequence(), order.client_id));
    assert_eq!((amended.order.quantity, amended.order.client_id.as_str()), (units("2"), "renamed"));
    assert_eq!(amended.list, None);
    assert_eq!((e.book(), e.balance(ALICE, USDT)), (" | 100 x 6".to_owned(), "999800/200".to_owned()));

    e.place_limit(BOB, Side::Sell, "100", "3");
    assert!(e.state.order(first).is_none(), "the amended order is first in the queue and was filled");
    assert_eq!(e.state.order(second).map(|order| order.executed), Some(units("1")));
    assert_eq!((e.balance(ALICE, USDT), e.balance(ALICE, BTC)), ("999800/0".to_owned(), "1002/0".to_owned()));
    check_invariants(&e.state);
}

#[test]
fn the_old_client_id_is_free_and_the_new_one_is_taken() {
    let mut e = Exchange::new();
    let order = e.limit(ALICE, Side::Sell, "110", "1");
    let old = order.client_id;
    let id = e.place(order).order.id;
    done(&mut e, amend(ALICE, id, "0.9", "new"));
    assert!(e.state.order_by_client_id(ALICE, MARKET, &old).is_none());
    let by_new = AmendOrder { order: None, client_id: Some(client_id("new")), ..amend(ALICE, 0, "0.8", "new") };
    assert_eq!(done(&mut e, by_new).order.id, id, "the current id can be sent again");
    let mut again = e.limit(ALICE, Side::Sell, "111", "1");
    again.client_id = old;
    let other = e.place(again).order.id;
    assert_eq!(refused(&mut e, amend(ALICE, other, "0.5", "new")), (-2010, "Duplicate order sent.".to_owned()));
    let wrong = AmendOrder { client_id: Some(old), ..amend(ALICE, id, "0.5", "x") };
    assert_eq!(refused(&mut e, wrong).0, -2039);
    let by_old = CancelOrder { account: ALICE, market: MARKET, order: None, client_id: Some(old), restriction: None };
    e.must(&Command::Cancel(by_old));
    assert!(e.state.order(other).is_none() && e.state.order(id).is_some(), "the old id names its new order");
}

#[test]
fn a_partly_filled_order_is_amended_down_to_above_its_fills() {
    let mut e = Exchange::new();
    let id = e.place_limit(ALICE, Side::Buy, "100", "5").order.id;
    e.place_limit(BOB, Side::Sell, "90", "2");
    let below = (-2038, "Order amend (quantity not above the executed quantity) is not supported.".to_owned());
    for quantity in ["2", "1"] {
        assert_eq!(refused(&mut e, amend(ALICE, id, quantity, "x")), below);
    }
    let amended = done(&mut e, amend(ALICE, id, "2.5", "x"));
    assert_eq!((amended.order.status, amended.order.hold), (OrderStatus::PartiallyFilled, units("50").into()));
    assert_eq!((e.book(), e.balance(ALICE, USDT)), (" | 100 x 0.5".to_owned(), "999750/50".to_owned()));
    check_invariants(&e.state);
}

#[test]
fn both_orders_of_a_pair_are_amended() {
    let mut e = Exchange::new();
    e.place_limit(ALICE, Side::Buy, "100", "1");
    e.place_limit(BOB, Side::Sell, "100", "1");
    let oco = pair(
        Side::Buy,
        "3",
        leg(OrderType::StopLossLimit, "120", "110", "above"),
        leg(OrderType::LimitMaker, "90", "0", "below"),
    );
    let Outcome::List(list) = e.must(&Command::PlaceOco(oco)) else { panic!("a list") };
    let [below, above] = [list.legs[0].0, list.legs[1].0];
    let held = e.state.balance(ALICE, USDT).locked;
    assert_eq!(held, units("360").into(), "for the larger need");
    let amended = done(&mut e, amend(ALICE, above, "2", "renamed"));
    let legs = amended.list.as_ref().map(|list| list.legs.clone());
    assert_eq!(legs, Some(vec![(below, client_id("below")), (above, client_id("renamed"))]));
    for id in [below, above] {
        assert_eq!(e.state.order(id).map(|order| order.quantity), Some(units("2")));
        assert_eq!(e.state.amendments(id), 1);
    }
    assert_eq!((e.state.balance(ALICE, USDT).locked, e.book()), (units("240").into(), " | 90 x 2".to_owned()));
    assert_eq!(e.state.list_legs(list.list)[1], (above, client_id("renamed")));
    // The stop triggers with the smaller quantity.
    e.place_limit(BOB, Side::Sell, "115", "5");
    e.place_limit(BOB, Side::Buy, "115", "1");
    assert!(e.state.order(above).is_none(), "filled");
    assert_eq!(e.balance(ALICE, BTC), "1003/0");
    check_invariants(&e.state);
}

#[test]
fn a_waiting_stop_can_be_amended() {
    let mut e = Exchange::new();
    let mut stop = e.order(ALICE, Side::Buy, OrderType::StopLoss);
    (stop.stop_price, stop.quantity) = (units("110"), units("2"));
    let id = e.place(stop).order.id;
    assert_eq!(e.balance(ALICE, USDT), "999780/220");
    assert!(!done(&mut e, amend(ALICE, id, "0.5", "x")).order.working);
    assert_eq!(e.balance(ALICE, USDT), "999945/55");
    check_invariants(&e.state);
}

#[test]
fn each_reason_to_refuse_has_its_text() {
    let mut e = Exchange::new();
    let id = e.place_limit(ALICE, Side::Buy, "100", "1").order.id;
    let text = |code, text: &str| (code, text.to_owned());
    assert_eq!(refused(&mut e, amend(BOB, id, "0.5", "x")), text(-2011, "Unknown order sent."));
    assert_eq!(refused(&mut e, amend(ALICE, id + 1, "0.5", "x")), text(-2011, "Unknown order sent."));
    assert_eq!(refused(&mut e, amend(ALICE, id, "1", "x")), text(-2038, "The requested action would change no state; rejecting"));
    assert_eq!(refused(&mut e, amend(ALICE, id, "1.1", "x")), text(-2038, "Order amend (quantity increase) is not supported."));
    assert_eq!(refused(&mut e, amend(ALICE, id, "0.9999", "x")), text(-1013, "Filter failure: LOT_SIZE"));
    assert_eq!(refused(&mut e, amend(ALICE, id, "0", "x")), text(-1013, "Filter failure: LOT_SIZE"));
    e.set_filters(exchange_core::market::Filters { min_notional: units("50").into(), ..filters() });
    assert_eq!(refused(&mut e, amend(ALICE, id, "0.4", "x")), text(-1013, "Filter failure: NOTIONAL"));
    for status in [MarketStatus::Halt, MarketStatus::CancelOnly] {
        e.set_status(status);
        assert_eq!(refused(&mut e, amend(ALICE, id, "0.9", "x")), text(-1013, "Market is closed."));
    }
    e.set_status(MarketStatus::Trading);
    for step in 1..=ORDER_AMENDS {
        let quantity = format!("0.{}", 999 - step);
        done(&mut e, amend(ALICE, id, &quantity, "x"));
    }
    assert_eq!(refused(&mut e, amend(ALICE, id, "0.9", "x")), text(-1013, "Filter failure: MAX_NUM_ORDER_AMENDS"));
    let mut bytes = Vec::new();
    e.state.encode(&mut bytes);
    for state in [replay(&e.journal), State::decode(&bytes).unwrap()] {
        assert_eq!((state.hash(), state.amendments(id)), (e.state.hash(), ORDER_AMENDS));
    }
}

/// A journal of the previous release stays readable for it until an operator raises the level.
#[test]
fn amendments_need_feature_level_4() {
    let mut e = Exchange::of_level_1(filters(), Commission::default());
    for level in [1, 3] {
        if level > 1 {
            let event = Event::FeatureLevel(level);
            e.state.evolve(&event);
            e.journal.push(event);
        }
        let id = e.place_limit(ALICE, Side::Buy, "100", "1").order.id;
        let unsupported = (-2038, "Order amend is not supported for this symbol.".to_owned());
        assert_eq!(refused(&mut e, amend(ALICE, id, "0.5", "x")), unsupported);
        let mut bytes = Vec::new();
        e.state.encode(&mut bytes);
        assert_eq!((u32::from(bytes[0]), batch::level(&e.journal)), (level, level));
    }
    let mut e = Exchange::new();
    let id = e.place_limit(ALICE, Side::Buy, "100", "1").order.id;
    let begun = e.journal.len();
    done(&mut e, amend(ALICE, id, "0.5", "x"));
    assert_eq!(batch::level(&e.journal[begun..]), 4);
}
