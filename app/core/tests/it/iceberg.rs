//! Tests of iceberg orders: what the book shows, the loss of priority when the next part is shown, and their filters.

use crate::support::{
    ALICE, BOB, BTC, CAROL, Exchange, MARKET, USDT, admin, check_invariants, client_id, filters, leg, pair, replay, units,
};
use exchange_core::command::{AdminAction, AmendOrder, Command, NewOrder, NewOto, OcoLeg, Outcome, PendingOrders};
use exchange_core::event::Event;
use exchange_core::limits::{ExchangeLimits, ICEBERG_PARTS, MarketLimits};
use exchange_core::order::{OrderStatus, OrderType, Side, StpMode, TimeInForce};
use exchange_core::{State, batch};

use Side::{Buy, Sell};

fn iceberg(e: &mut Exchange, account: u32, side: Side, price: &str, quantity: &str, part: &str) -> NewOrder {
    NewOrder { iceberg: units(part), ..e.limit(account, side, price, quantity) }
}

fn place_iceberg(e: &mut Exchange, account: u32, side: Side, price: &str, quantity: &str, part: &str) -> u64 {
    let order = iceberg(e, account, side, price, quantity, part);
    e.place(order).order.id
}

/// Makers and quantities of the trades since `begun`.
fn trades(e: &Exchange, begun: usize) -> Vec<(u64, i64)> {
    let trade = |event: &Event| match event {
        Event::Trade(trade) => Some((trade.maker, trade.quantity)),
        _ => None,
    };
    e.journal[begun..].iter().filter_map(trade).collect()
}

fn refused(e: &mut Exchange, order: NewOrder) -> (i32, String) {
    let begun = e.journal.len();
    let refusal = e.run(&Command::Place(order)).expect_err("refused");
    assert_eq!(e.journal.len(), begun, "a refusal has no effect");
    (refusal.code(), refusal.to_string())
}

#[test]
fn the_next_part_joins_the_end_of_the_queue() {
    let mut e = Exchange::new();
    let hidden = place_iceberg(&mut e, ALICE, Sell, "100", "5", "2");
    let plain = e.place_limit(BOB, Sell, "100", "1").order.id;
    assert_eq!(e.book(), "100 x 3 | ");
    let begun = e.journal.len();
    let placed = e.place_limit(CAROL, Buy, "100", "4.5");
    assert_eq!(placed.order.status, OrderStatus::Filled);
    let [part, one, half] = ["2", "1", "0.5"].map(units);
    let expected = vec![(hidden, part), (plain, one), (hidden, units("1.5"))];
    assert_eq!(trades(&e, begun), expected, "the second part trades after the order that arrived later");
    assert_eq!((e.book(), e.state.order(hidden).unwrap().shown), ("100 x 0.5 | ".into(), half), "the rest of the second part");
    e.place_limit(CAROL, Buy, "100", "0.5");
    assert_eq!(e.book(), "100 x 1 | ", "the last part is smaller");
    e.place_limit(CAROL, Buy, "100", "2");
    assert_eq!(e.book(), " | 100 x 1");
    assert!(e.state.order(hidden).is_none());
    check_invariants(&e.state);
}

#[test]
fn a_taker_matches_the_whole_quantity() {
    let mut e = Exchange::new();
    place_iceberg(&mut e, ALICE, Sell, "100", "5", "1");
    e.place_limit(BOB, Sell, "100", "1");
    let fok = |e: &mut Exchange, quantity: &str| {
        let order = NewOrder { time_in_force: TimeInForce::Fok, ..e.limit(CAROL, Buy, "100", quantity) };
        e.place(order).order.status
    };
    assert_eq!(fok(&mut e, "6.001"), OrderStatus::Expired);
    assert_eq!(fok(&mut e, "6"), OrderStatus::Filled);
    // A market order's hold comes from a walk over the book.
    place_iceberg(&mut e, ALICE, Sell, "100", "5", "1");
    e.place_limit(BOB, Sell, "101", "1");
    let market = NewOrder { quantity: units("5.5"), ..e.order(CAROL, Buy, OrderType::Market) };
    let placed = e.place(market);
    assert_eq!((placed.order.status, { placed.order.executed_quote }), (OrderStatus::Filled, units("550.5").into()));
    place_iceberg(&mut e, ALICE, Sell, "100", "5", "1");
    let by_quote = NewOrder { quote_order_quantity: units("450").into(), ..e.order(CAROL, Buy, OrderType::Market) };
    let placed = e.place(by_quote);
    assert_eq!((placed.order.status, { placed.order.executed }), (OrderStatus::Filled, units("4.5")));
    // As a taker, an iceberg order trades at once, and then rests with its first part.
    place_iceberg(&mut e, CAROL, Buy, "100", "10", "2");
    assert_eq!(e.book(), "101 x 0.5 | 100 x 2");
    check_invariants(&e.state);
}

#[test]
fn self_trade_prevention_ends_the_whole_maker() {
    let mut e = Exchange::new();
    let own = place_iceberg(&mut e, ALICE, Sell, "100", "5", "1");
    e.place_limit(BOB, Sell, "100", "1");
    let taker = NewOrder { stp: StpMode::ExpireMaker, ..e.limit(ALICE, Buy, "100", "1") };
    assert_eq!(e.place(taker).order.status, OrderStatus::Filled);
    assert!(e.state.order(own).is_none() && e.book() == " | ");
    assert_eq!(e.balance(ALICE, BTC), "1001/0", "the hold of the hidden parts is free too");
    // DECREMENT prevents a match with what the book shows; then the next part is shown.
    let own = place_iceberg(&mut e, ALICE, Sell, "100", "5", "1");
    let taker = NewOrder { stp: StpMode::Decrement, ..e.limit(ALICE, Buy, "100", "1.5") };
    assert_eq!(e.place(taker).order.status, OrderStatus::ExpiredInMatch);
    let order = e.state.order(own).unwrap();
    assert_eq!((order.remaining(), order.shown, e.book()), (units("3.5"), units("0.5"), "100 x 0.5 | ".into()));
    // A FOK order stops at its own order: the hidden parts of the others are behind it.
    let mut e = Exchange::new();
    place_iceberg(&mut e, BOB, Sell, "100", "5", "1");
    e.place_limit(ALICE, Sell, "100", "1");
    let fok = |quantity: &str, e: &mut Exchange| {
        let terms = e.limit(ALICE, Buy, "100", quantity);
        e.place(NewOrder { stp: StpMode::ExpireTaker, time_in_force: TimeInForce::Fok, ..terms }).order.status
    };
    assert_eq!(fok("1.001", &mut e), OrderStatus::Expired);
    assert_eq!(fok("1", &mut e), OrderStatus::Filled);
    check_invariants(&e.state);
}

/// order_amend_keep_priority.md: the visible quantity changes only if the new quantity is below it.
#[test]
fn an_amendment_hides_less_before_it_shows_less() {
    let mut e = Exchange::new();
    let order = place_iceberg(&mut e, ALICE, Buy, "100", "5", "2");
    e.place_limit(BOB, Buy, "100", "1");
    e.place_limit(CAROL, Sell, "100", "0.5");
    let amend = |e: &mut Exchange, quantity: &str| {
        let new_client_id = client_id("amended");
        let (quantity, order) = (units(quantity), Some(order));
        e.must(&Command::Amend(AmendOrder { account: ALICE, market: MARKET, order, client_id: None, new_client_id, quantity }));
    };
    amend(&mut e, "3");
    assert_eq!((e.book(), e.balance(ALICE, USDT)), (" | 100 x 2.5".into(), "999700/250".into()));
    amend(&mut e, "1.2");
    assert_eq!((e.book(), e.balance(ALICE, USDT)), (" | 100 x 1.7".into(), "999880/70".into()));
    let begun = e.journal.len();
    e.place_limit(CAROL, Sell, "100", "0.7");
    assert_eq!(trades(&e, begun), [(order, units("0.7"))], "it retains its place in the queue");
    assert_eq!(e.book(), " | 100 x 1");
    check_invariants(&e.state);
}

#[test]
fn stops_and_lists_may_be_icebergs() {
    let mut e = Exchange::new();
    e.place_limit(ALICE, Buy, "100", "1");
    e.place_limit(BOB, Sell, "100", "1");
    let above = OcoLeg { iceberg: units("0.3"), ..leg(OrderType::LimitMaker, "120", "0", "above") };
    let below = OcoLeg { iceberg: units("0.2"), ..leg(OrderType::StopLossLimit, "80", "90", "below") };
    let Outcome::List(_) = e.must(&Command::PlaceOco(pair(Sell, "1", above, below))) else { panic!("a list") };
    assert_eq!(e.book(), "120 x 0.3 | ");
    e.place_limit(BOB, Buy, "90", "0.1");
    e.place_limit(CAROL, Sell, "90", "0.1");
    assert_eq!(e.book(), "80 x 0.2 | ", "the triggered leg shows its part");
    let working = iceberg(&mut e, ALICE, Buy, "70", "1", "0.4");
    let pending = iceberg(&mut e, ALICE, Sell, "130", "1", "0.1");
    let new = NewOto { list_client_id: client_id("oto"), working, pending: PendingOrders::One(pending) };
    e.must(&Command::PlaceOto(Box::new(new)));
    assert_eq!(e.book(), "80 x 0.2 | 70 x 0.4");
    e.place_limit(BOB, Sell, "70", "1");
    assert_eq!(e.book(), "130 x 0.1, 80 x 0.2 | ");
    let mut bytes = Vec::new();
    e.state.encode(&mut bytes);
    for state in [replay(&e.journal), State::decode(&bytes).expect("a snapshot")] {
        assert_eq!((state.hash(), state.depth(MARKET, 9)), (e.state.hash(), e.state.depth(MARKET, 9)));
    }
    check_invariants(&e.state);
}

#[test]
fn each_reason_to_refuse_an_iceberg_has_its_text() {
    let mut e = Exchange::new();
    let text = |code, text: &str| (code, text.to_owned());
    let good = iceberg(&mut e, ALICE, Buy, "100", "10", "1");
    let with = |part: &str| NewOrder { iceberg: units(part), ..good.clone() };
    assert_eq!(refused(&mut e, with("10")), text(-2010, "IcebergQty exceeds QTY."));
    assert_eq!(refused(&mut e, with("10.001")), text(-2010, "IcebergQty exceeds QTY."));
    assert_eq!(refused(&mut e, with("0.0001")), text(-1013, "Filter failure: LOT_SIZE"));
    assert_eq!(refused(&mut e, with("0.0995")), text(-1013, "Filter failure: LOT_SIZE"), "below the step");
    assert_eq!(refused(&mut e, with("0.099")), text(-1013, "Filter failure: ICEBERG_PARTS"), "102 parts");
    assert_eq!(ICEBERG_PARTS, 100);
    let order = with("0.1");
    e.place(order);
    for time_in_force in [TimeInForce::Ioc, TimeInForce::Fok] {
        let order = NewOrder { time_in_force, client_id: client_id("x"), ..good.clone() };
        assert_eq!(refused(&mut e, order), text(-1014, "Unsupported order combination."));
    }
    let market = NewOrder { iceberg: units("1"), quantity: units("2"), ..e.order(ALICE, Buy, OrderType::Market) };
    assert_eq!(refused(&mut e, market), text(-1014, "Unsupported order combination."));

    let limits = MarketLimits { iceberg_parts: 5, max_icebergs: 1, ..Default::default() };
    e.must(&admin(AdminAction::SetMarketLimits { market: MARKET, limits }));
    let order = iceberg(&mut e, ALICE, Buy, "100", "10", "2");
    assert_eq!(refused(&mut e, order.clone()), text(-1013, "Filter failure: MAX_NUM_ICEBERG_ORDERS"));
    e.must(&Command::CancelAll { account: ALICE, market: MARKET });
    let over = iceberg(&mut e, ALICE, Buy, "100", "10.001", "2");
    assert_eq!(refused(&mut e, over), text(-1013, "Filter failure: ICEBERG_PARTS"));
    e.place(order.clone());
    e.must(&admin(AdminAction::SetMarketLimits { market: MARKET, limits: MarketLimits::default() }));
    let limits = ExchangeLimits { max_icebergs: 1, ..Default::default() };
    e.must(&admin(AdminAction::SetExchangeLimits { limits }));
    let order = NewOrder { client_id: client_id("y"), ..order };
    assert_eq!(refused(&mut e, order), text(-1013, "Filter failure: EXCHANGE_MAX_NUM_ICEBERG_ORDERS"));
    for iceberg_parts in [1, 1_001] {
        let limits = MarketLimits { iceberg_parts, ..Default::default() };
        let refusal = e.run(&admin(AdminAction::SetMarketLimits { market: MARKET, limits })).expect_err("out of range");
        assert!(refusal.to_string().ends_with(&format!("sent: {iceberg_parts}")), "{refusal}");
    }
}

/// A journal of the previous release stays readable for it until an operator raises the level.
#[test]
fn iceberg_orders_need_feature_level_6() {
    let mut e = Exchange::of_level_1(filters(), Default::default());
    for level in [1, 5] {
        if level > 1 {
            let event = Event::FeatureLevel(level);
            e.state.evolve(&event);
            e.journal.push(event);
        }
        let order = iceberg(&mut e, ALICE, Buy, "100", "2", "1");
        let unsupported = (-2010, "Iceberg orders are not supported for this symbol.".to_owned());
        assert_eq!(refused(&mut e, order), unsupported);
        e.place_limit(ALICE, Buy, "100", "2");
        let mut bytes = Vec::new();
        e.state.encode(&mut bytes);
        assert_eq!((u32::from(bytes[0]), batch::level(&e.journal)), (level, level));
    }
    let newest = MarketLimits { max_amends: 3, ..Default::default() };
    let set = |limits| admin(AdminAction::SetMarketLimits { market: MARKET, limits });
    assert!(e.run(&set(newest)).expect_err("level 5").to_string().contains("feature-level set 6"));
    e.must(&set(MarketLimits { max_lists: 3, ..Default::default() }));
    assert_eq!(batch::level(&e.journal), 5, "a filter of level 5 is written as before");
    let mut e = Exchange::new();
    let begun = e.journal.len();
    place_iceberg(&mut e, ALICE, Buy, "100", "2", "1");
    assert_eq!(batch::level(&e.journal[begun..]), 6);
    e.must(&set(newest));
    assert_eq!(e.state.market(MARKET).map(|market| market.limits.amends()), Some(3));
    assert_eq!(replay(&e.journal).hash(), e.state.hash());
}
