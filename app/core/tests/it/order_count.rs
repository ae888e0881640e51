//! Tests of the unfilled-order counts in the state.

use crate::support::{ALICE, BOB, Exchange, SECOND, filters, replay};
use exchange_core::{State, market::Commission, order::Side};

/// Counts of unfilled orders are part of the state: a replay and a snapshot have them. Below level 3 nothing is counted.
#[test]
fn unfilled_orders_are_counted_and_first_fills_subtract() {
    let counts = |state: &State, account, now| {
        let count = state.order_count(account, now);
        (count.ten_seconds, count.one_day)
    };
    let mut e = Exchange::new();
    for _ in 0..7 {
        e.place_limit(ALICE, Side::Sell, "100", "1");
    }
    assert_eq!(counts(&e.state, ALICE, e.now), (7, 7));
    e.place_limit(BOB, Side::Buy, "100", "0.5");
    assert_eq!(counts(&e.state, ALICE, e.now), (2, 2), "the maker's first fill subtracts five");
    assert_eq!(counts(&e.state, BOB, e.now), (0, 0), "the taker's first fill subtracts its own order");
    e.place_limit(BOB, Side::Buy, "100", "0.5");
    assert_eq!(counts(&e.state, ALICE, e.now), (2, 2), "a later fill of the same order subtracts nothing");
    let mut bytes = Vec::new();
    e.state.encode(&mut bytes);
    for state in [replay(&e.journal), State::decode(&bytes).unwrap()] {
        assert_eq!(counts(&state, ALICE, e.now), (2, 2));
    }
    assert_eq!(counts(&e.state, ALICE, e.now + 10 * SECOND), (0, 2));

    let mut earlier = Exchange::of_level_1(filters(), Commission::default());
    earlier.place_limit(ALICE, Side::Sell, "100", "1");
    assert_eq!(counts(&earlier.state, ALICE, earlier.now), (0, 0));
}
