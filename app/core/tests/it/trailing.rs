//! Tests of trailing stop orders: the scenarios of Binance's FAQ, their filter, lists, and the cost of a trade.

use crate::support::{
    ALICE, BOB, BTC, CAROL, Exchange, MARKET, USDT, admin, check_invariants, client_id, filters, leg, pair, replay, units,
};
use exchange_core::command::{AdminAction, CancelOrder, Command, NewOco, NewOrder, OcoLeg, Outcome};
use exchange_core::event::Event;
use exchange_core::limits::MarketLimits;
use exchange_core::order::{OrderType, Side};
use exchange_core::{State, batch};

use OrderType::{StopLoss, StopLossLimit, TakeProfitLimit};
use Side::{Buy, Sell};

/// One trade at `price`.
fn trade(e: &mut Exchange, price: &str) {
    e.place_limit(BOB, Sell, price, "0.002");
    e.place_limit(CAROL, Buy, price, "0.002");
}

/// "0": without a stop price.
fn trailing(e: &mut Exchange, side: Side, kind: OrderType, terms: [&str; 2], delta: u32) -> NewOrder {
    let [stop_price, price] = terms.map(units);
    NewOrder { stop_price, price, quantity: units("0.1"), trailing_delta: delta, ..e.order(ALICE, side, kind) }
}

/// Places the order at a last price of 40,000, trades at each price, and returns the price at which it triggered.
fn triggered_at(side: Side, kind: OrderType, terms: [&str; 2], delta: u32, prices: &[&'static str]) -> Option<&'static str> {
    let mut e = Exchange::with(exchange_core::market::Filters { average_minutes: 1, ..filters() }, Default::default());
    trade(&mut e, "40000");
    let order = trailing(&mut e, side, kind, terms, delta);
    let id = e.place(order).order.id;
    let tracks = e.state.order(id).unwrap().tracking_since > 0;
    assert_eq!(tracks, terms[0] == "0", "with a stop price it tracks later");
    for price in prices {
        trade(&mut e, price);
        if e.state.order(id).is_none_or(|order| order.working) {
            check_invariants(&e.state);
            return Some(price);
        }
        let mut bytes = Vec::new();
        e.state.encode(&mut bytes);
        let restored = State::decode(&bytes).expect("a snapshot");
        assert_eq!((restored.hash(), replay(&e.journal).hash()), (e.state.hash(), e.state.hash()));
        e.state = restored;
    }
    None
}

/// trailing-stop-faq.md, scenarios A to E.
#[test]
fn the_documented_scenarios_trigger_where_documented() {
    let a = ["37000", "44000", "46000", "42000", "44099.99", "44100"];
    assert_eq!(triggered_at(Buy, StopLossLimit, ["44000", "45000"], 500, &a), Some("44100"));
    let b = ["41500", "39000", "37000", "41000", "36900.01", "36900"];
    assert_eq!(triggered_at(Sell, StopLossLimit, ["39000", "38000"], 1_000, &b), Some("36900"));
    let c = ["42000", "38000", "37000", "39000", "38000", "40144.99", "40145"];
    assert_eq!(triggered_at(Buy, TakeProfitLimit, ["38000", "38500"], 850, &c), Some("40145"));
    let d = ["41500", "39000", "42000", "45000", "44000", "46500", "43012.51", "43012.5"];
    assert_eq!(triggered_at(Sell, TakeProfitLimit, ["42000", "41000"], 750, &d), Some("43012.5"));
    let e = ["42000", "39500", "45500", "42315.01", "42315"];
    assert_eq!(triggered_at(Sell, StopLossLimit, ["0", "39000"], 700, &e), Some("42315"));
    assert_eq!(
        triggered_at(Sell, StopLossLimit, ["0", "39000"], 700, &["37200"]),
        Some("37200"),
        "from the price at its placement"
    );
    assert_eq!(triggered_at(Buy, StopLoss, ["0", "0"], 100, &["39000", "39389", "39390"]), Some("39390"));
}

#[test]
fn each_order_follows_the_extreme_since_it_tracks() {
    let mut e = Exchange::new();
    trade(&mut e, "100");
    let mut placed = Vec::new();
    for (price, delta) in [("110", 500), ("105", 500), ("103", 300), ("104", 100)] {
        trade(&mut e, price);
        let order = trailing(&mut e, Sell, StopLossLimit, ["0", "200"], delta);
        placed.push(e.place(order).order.id);
    }
    let working = |e: &Exchange| placed.iter().map(|id| e.state.order(*id).is_some_and(|o| o.working)).collect::<Vec<_>>();
    // Triggers: 110 x 0.95 = 104.5 has triggered at 103; 105 x 0.95 = 99.75; 104 x 0.97 = 100.88; 104 x 0.99 = 102.96.
    assert_eq!(working(&e), [true, false, false, false]);
    trade(&mut e, "102.96");
    assert_eq!(working(&e), [true, false, false, true]);
    // A cancel in the middle leaves the others as they are.
    let cancel = CancelOrder { account: ALICE, market: MARKET, order: Some(placed[1]), client_id: None, restriction: None };
    e.must(&Command::Cancel(cancel));
    trade(&mut e, "100.88");
    assert_eq!(working(&e), [true, false, true, true]);
    check_invariants(&e.state);
}

#[test]
fn an_oco_may_have_a_trailing_leg_without_a_stop_price() {
    let mut e = Exchange::new();
    trade(&mut e, "100");
    let above = leg(OrderType::LimitMaker, "120", "0", "above");
    let below = OcoLeg { trailing_delta: 200, ..leg(StopLossLimit, "90", "0", "below") };
    let Outcome::List(list) = e.must(&Command::PlaceOco(pair(Sell, "1", above, below))) else { panic!("a list") };
    trade(&mut e, "110");
    trade(&mut e, "107.8");
    let [below, above] = [list.legs[0].0, list.legs[1].0];
    assert!(e.state.order(above).is_none() && e.state.order(below).is_some_and(|order| order.working));
    assert_eq!(e.balance(ALICE, BTC), "999/1");
    let above = OcoLeg { price: units("99"), ..leg(OrderType::LimitMaker, "99", "0", "x") };
    let below = OcoLeg { trailing_delta: 200, ..leg(StopLossLimit, "90", "0", "y") };
    let refusal = e
        .run(&Command::PlaceOco(NewOco { list_client_id: client_id("other"), ..pair(Sell, "1", above, below) }))
        .expect_err("below the last price");
    assert_eq!(refusal.to_string(), "The relationship of the prices for the orders is not correct.");
    check_invariants(&e.state);
}

#[test]
fn each_reason_to_refuse_a_trailing_order_has_its_text() {
    let mut e = Exchange::new();
    trade(&mut e, "100");
    let refused = |e: &mut Exchange, order: NewOrder| e.run(&Command::Place(order)).expect_err("refused").to_string();
    for delta in [1, 9, 2_001, u32::MAX] {
        let order = trailing(&mut e, Sell, StopLoss, ["0", "0"], delta);
        assert_eq!(refused(&mut e, order), "Filter failure: TRAILING_DELTA", "{delta}");
    }
    let limits = MarketLimits { trailing_above: [50, 60], trailing_below: [0, 9_999], ..Default::default() };
    e.must(&admin(AdminAction::SetMarketLimits { market: MARKET, limits }));
    for (side, kind, delta, fits) in [
        (Buy, StopLoss, 49, false),
        (Buy, StopLoss, 60, true),
        (Sell, StopLoss, 9_999, true),
        (Sell, OrderType::TakeProfit, 61, false),
    ] {
        let order = trailing(&mut e, side, kind, ["0", "0"], delta);
        assert_eq!(e.run(&Command::Place(order)).is_ok(), fits, "{side} {kind} {delta}");
    }
    let order = trailing(&mut e, Sell, StopLoss, ["100", "0"], 100);
    assert_eq!(refused(&mut e, order), "Order would trigger immediately.");
    let limit = NewOrder { trailing_delta: 100, ..e.limit(ALICE, Buy, "90", "1") };
    assert_eq!(refused(&mut e, limit), "Unsupported order combination.");
    for (trailing_above, sent) in [([70, 60], "70 to 60"), ([0, 10_000], "10 to 10000"), ([3_000, 0], "3000 to 2000")] {
        let limits = MarketLimits { trailing_above, ..Default::default() };
        let refusal =
            e.run(&admin(AdminAction::SetMarketLimits { market: MARKET, limits })).expect_err("a bad filter").to_string();
        assert!(refusal.starts_with("trailingAboveDelta must be") && refusal.ends_with(sent), "{refusal}");
    }
    let mut old = Exchange::of_level_1(filters(), Default::default());
    let order = trailing(&mut old, Sell, StopLoss, ["90", "0"], 100);
    assert_eq!(refused(&mut old, order), "Trailing stop orders are not supported for this symbol.");
    let mut e = Exchange::new();
    let begun = e.journal.len();
    let order = trailing(&mut e, Sell, StopLoss, ["0", "0"], 100);
    e.place(order);
    assert_eq!(batch::level(&e.journal[begun..]), 7);
    // Before the first trade it has no price to follow; the first trade is one.
    trade(&mut e, "100");
    trade(&mut e, "99.01");
    assert_eq!(e.state.open_orders(ALICE, None).len(), 1);
    trade(&mut e, "99");
    assert!(e.journal.iter().any(|event| matches!(event, Event::OrderTriggered { .. })));
    assert_eq!(e.balance(ALICE, USDT), "1000000/0", "there was no bid");
}

/// A rising market moves the extreme of every order that tracks it.
#[test]
fn a_fall_triggers_exactly_the_small_deltas() {
    let open = exchange_core::market::Filters { max_algo_orders: 10_000, max_orders: 10_000, ..filters() };
    let mut e = Exchange::with(open, Default::default());
    trade(&mut e, "100");
    for delta in 10..2_000 {
        let order = trailing(&mut e, Sell, StopLossLimit, ["0", "200"], delta);
        e.place(NewOrder { quantity: units("0.002"), ..order });
        if delta % 100 == 0 {
            trade(&mut e, &format!("{}", 100 + delta / 100));
        }
    }
    let working = |e: &Exchange| e.state.open_orders(ALICE, None).iter().filter(|order| order.working).count();
    assert_eq!((working(&e), e.state.open_orders(ALICE, None).len()), (0, 1_990));
    trade(&mut e, "117.81");
    let expected = (10..2_000).filter(|delta| 11_781 * 10_000 <= 11_900 * (10_000 - delta)).count();
    assert_eq!((working(&e), expected), (91, 91), "deltas of 10 to 100: one percent below 119");
    check_invariants(&e.state);
}

/// A journal of the previous release stays readable for it until an operator raises the level.
#[test]
fn trailing_orders_need_feature_level_7() {
    let mut e = Exchange::of_level_1(filters(), Default::default());
    trade(&mut e, "100");
    let unsupported = "Trailing stop orders are not supported for this symbol.";
    for level in [1, 6] {
        if level > 1 {
            let event = Event::FeatureLevel(level);
            e.state.evolve(&event);
            e.journal.push(event);
        }
        let order = trailing(&mut e, Sell, StopLoss, ["0", "0"], 100);
        assert_eq!(e.run(&Command::Place(order)).expect_err("an earlier level").to_string(), unsupported);
        e.place_limit(ALICE, Buy, "90", "2");
        let mut bytes = Vec::new();
        e.state.encode(&mut bytes);
        assert_eq!((u32::from(bytes[0]), batch::level(&e.journal)), (level, level));
        let restored = State::decode(&bytes).expect("a snapshot of the earlier level");
        assert_eq!(restored.hash(), e.state.hash());
    }
    let set = |limits| admin(AdminAction::SetMarketLimits { market: MARKET, limits });
    let newest = MarketLimits { trailing_below: [50, 0], ..Default::default() };
    assert!(e.run(&set(newest)).expect_err("level 6").to_string().contains("feature-level set 7"));
    e.must(&set(MarketLimits { max_amends: 3, ..Default::default() }));
    assert_eq!(batch::level(&e.journal), 6, "a filter of level 6 is written as before");
    let mut e = Exchange::new();
    e.must(&set(newest));
    assert_eq!(e.state.market(MARKET).map(|market| market.limits.trailing(false)), Some([50, 2_000]));
    assert_eq!(replay(&e.journal).hash(), e.state.hash());
}

/// The leader of the previous release reads a forwarded command without a trailing order.
#[test]
fn forwarded_orders_without_a_delta_have_their_earlier_bytes() {
    let mut e = Exchange::new();
    let bytes = |order: NewOrder| {
        let mut bytes = Vec::new();
        assert!(Command::Place(order).encode(&mut bytes));
        bytes
    };
    let limit = e.limit(ALICE, Buy, "90", "1");
    assert_eq!(bytes(limit.clone())[0], 1);
    assert_eq!(bytes(NewOrder { iceberg: units("0.1"), ..limit })[0], 9);
    let trails = trailing(&mut e, Sell, StopLoss, ["0", "0"], 100);
    assert_eq!(bytes(trails.clone())[0], 10);
    assert_eq!(Command::decode(&bytes(trails.clone())).ok(), Some(Command::Place(trails)));
}
