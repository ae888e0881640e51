//! Tests of operators' protections of a market: PRICE_RANGE, the circuit breaker, halts of all markets, cancels in chunks,
//! delisting.

use crate::support::{ALICE, BOB, BTC, CAROL, Exchange, MARKET, SECOND, USDT, admin, check_invariants, filters, replay, units};
use Side::{Buy, Sell};
use exchange_core::command::{AdminAction, CancelOrder, Command, NewOrder, Outcome};
use exchange_core::event::Event;
use exchange_core::market::{Commission, Filters, MarketStatus};
use exchange_core::order::{ExpiryReason, MarketId, OrderStatus, OrderType, Side, StpMode, TimeInForce};
use exchange_core::protection::{Breaker, PriceRange};

fn set_range(e: &mut Exchange, up: &str, down: &str) {
    let rule = PriceRange { bid_up: units(up), bid_down: units(down), ask_up: units(up), ask_down: units(down) };
    e.must(&admin(AdminAction::SetPriceRange { market: MARKET, rule: Some(rule) }));
}

fn set_reference(e: &mut Exchange, price: &str) {
    e.must(&admin(AdminAction::SetReferencePrice { market: MARKET, price: units(price) }));
}

/// Asks 1 at each of 100, 105, 111; bids 1 at each of 99, 95, 89. Reference price 100, range 0.9 to 1.1; nothing traded.
fn ranged() -> Exchange {
    let mut e = Exchange::new();
    set_reference(&mut e, "100");
    set_range(&mut e, "1.1", "0.9");
    for price in ["100", "105", "111"] {
        e.place_limit(BOB, Sell, price, "1");
    }
    for price in ["99", "95", "89"] {
        e.place_limit(BOB, Buy, price, "1");
    }
    e
}

#[test]
fn an_order_stops_at_the_edge_of_the_price_range() {
    type Change = fn(NewOrder) -> NewOrder;
    let market: Change = |o| NewOrder { kind: OrderType::Market, price: 0, ..o };
    let by_quote: Change = |o| NewOrder { quantity: 0, quote_order_quantity: units("900").into(), ..market_of(o) };
    let limit: Change = |o| o;
    let ioc: Change = |o| NewOrder { time_in_force: TimeInForce::Ioc, ..o };
    let rows: [(&str, Side, Change, &str); 6] = [
        ("a market buy", Buy, market, "2"),
        ("a market sell", Sell, market, "2"),
        ("a market buy by quote", Buy, by_quote, "2"),
        ("a limit that stays", Buy, limit, "2"),
        ("a limit that does not", Buy, ioc, "2"),
        ("a limit sell", Sell, limit, "2"),
    ];
    for (name, side, change, executed) in rows {
        let mut e = ranged();
        let price = if side == Buy { "120" } else { "80" };
        let order = change(e.limit(CAROL, side, price, "3"));
        let order = e.place(order).order;
        assert_eq!((order.status, order.executed), (OrderStatus::Expired, units(executed)), "{name}");
        assert_eq!(order.expiry_reason, ExpiryReason::PriceRangeExceeded, "{name}");
        assert_eq!(order.expiry_reason.text(), "EXECUTION_RULE_PRICE_RANGE_EXCEEDED");
        assert!(e.balance(CAROL, BTC).ends_with("/0") && e.balance(CAROL, USDT).ends_with("/0"), "{name}: nothing stays locked");
        check_invariants(&e.state);
    }
}

fn market_of(o: NewOrder) -> NewOrder {
    NewOrder { kind: OrderType::Market, price: 0, ..o }
}

#[test]
fn the_price_range_does_not_touch_what_lies_inside() {
    let mut e = ranged();
    let order = NewOrder { kind: OrderType::Market, price: 0, ..e.limit(CAROL, Buy, "1", "2") };
    assert_eq!(e.place(order).order.status, OrderStatus::Filled);
    // Both bounds are inclusive, and a limit order that matches nothing rests at any price.
    let mut e = ranged();
    e.place_limit(BOB, Sell, "110", "1");
    let order = NewOrder { kind: OrderType::Market, price: 0, ..e.limit(CAROL, Buy, "1", "3") };
    assert_eq!(e.place(order).order.status, OrderStatus::Filled, "100, 105, and 110 exactly");
    assert_eq!(e.place_limit(CAROL, Sell, "400", "1").order.status, OrderStatus::New);
}

#[test]
fn fill_or_kill_counts_only_what_lies_in_range() {
    for (quantity, status) in [("2", OrderStatus::Filled), ("3", OrderStatus::Expired)] {
        let mut e = ranged();
        let order = NewOrder { time_in_force: TimeInForce::Fok, ..e.limit(CAROL, Buy, "120", quantity) };
        let placed = e.place(order);
        assert_eq!((placed.order.status, placed.fills.is_empty()), (status, status == OrderStatus::Expired), "{quantity}");
    }
}

#[test]
fn a_triggered_order_stops_at_the_edge_too() {
    let mut e = Exchange::new();
    for (account, side) in [(BOB, Sell), (CAROL, Buy)] {
        e.place_limit(account, side, "100", "5");
    }
    set_range(&mut e, "1.05", "0.95");
    for price in ["97", "96", "80"] {
        e.place_limit(BOB, Buy, price, "1");
    }
    let order = e.order(ALICE, Sell, OrderType::StopLoss);
    let stop = e.place(NewOrder { stop_price: units("98"), quantity: units("2"), ..order }).order.id;
    e.place_limit(CAROL, Sell, "97", "0.5");
    assert_eq!(e.state.order(stop), None);
    let closed = e.journal.iter().find_map(|event| match event {
        Event::OrderClosed { order, status, reason } if *order == stop => Some((*status, *reason)),
        _ => None,
    });
    assert_eq!(closed, Some((OrderStatus::Expired, ExpiryReason::PriceRangeExceeded)));
    assert_eq!(e.balance(ALICE, BTC), "998.5/0", "0.5 at 97 and 1 at 96; not at 80");
}

#[test]
fn without_a_reference_price_or_a_rule_any_price_executes() {
    let mut e = Exchange::new();
    set_range(&mut e, "1.1", "0.9");
    assert_eq!(e.state.reference_price(MARKET, e.now), None);
    e.place_limit(BOB, Sell, "500", "1");
    e.place_limit(CAROL, Buy, "500", "1");
    assert_eq!(e.state.reference_price(MARKET, e.now), Some(units("500")), "the average, once it exists");
    set_reference(&mut e, "1");
    assert_eq!(
        e.state.reference_price(MARKET, e.now),
        Some(units("500")),
        "the operator's price counts only before the first trade"
    );
    let mut e = ranged();
    e.must(&admin(AdminAction::SetPriceRange { market: MARKET, rule: None }));
    let order = NewOrder { kind: OrderType::Market, price: 0, ..e.limit(CAROL, Buy, "1", "3") };
    assert_eq!(e.place(order).order.status, OrderStatus::Filled);
}

fn with_breaker(deviation: &str, pause: i64) -> Exchange {
    let mut e = Exchange::new();
    for (account, side) in [(BOB, Sell), (CAROL, Buy)] {
        e.place_limit(account, side, "100", "5");
    }
    let breaker = Some(Breaker { deviation: units(deviation), pause });
    e.must(&admin(AdminAction::SetBreaker { market: MARKET, breaker }));
    e.now += 60 * SECOND;
    e
}

#[test]
fn a_circuit_breaker_pauses_and_lets_cancels_pass() {
    let mut e = with_breaker("0.1", 30 * SECOND);
    for price in ["95", "89"] {
        e.place_limit(BOB, Buy, price, "1");
    }
    e.place_limit(ALICE, Sell, "95", "1");
    assert_eq!(e.state.market(MARKET).unwrap().status, MarketStatus::Trading, "5 % is within 10 %");
    e.place_limit(ALICE, Sell, "89", "0.5");
    assert_eq!(e.state.market(MARKET).unwrap().status, MarketStatus::CancelOnly, "11 % is not");
    let order = e.limit(CAROL, Buy, "90", "1");
    assert_eq!(e.run(&Command::Place(order.clone())).unwrap_err().to_string(), "Market is closed.");
    e.must(&Command::CancelAll { account: BOB, market: MARKET });
    assert!(e.state.paused_until(MARKET).is_some() && !e.state.has_work(e.now));
    e.now += 30 * SECOND;
    assert!(e.state.has_work(e.now), "the next tick of the clock resumes it");
    e.must(&Command::Tick);
    assert_eq!(e.state.market(MARKET).unwrap().status, MarketStatus::Trading);
    e.place(order);
    assert_eq!(replay(&e.journal).hash(), e.state.hash());
}

#[test]
fn a_breaker_stops_a_cascade_and_the_queue_waits() {
    let mut e = with_breaker("0.1", 30 * SECOND);
    for price in ["98", "88", "80", "70"] {
        e.place_limit(BOB, Buy, price, "1");
    }
    for _ in 0..3 {
        let order = e.order(ALICE, Sell, OrderType::StopLoss);
        e.place(NewOrder { stop_price: units("99"), quantity: units("1"), ..order });
    }
    e.place_limit(CAROL, Sell, "98", "1");
    // The first stop sold at 88: the market pauses and two stops wait. Without the breaker the last would sell at 70.
    assert_eq!((e.state.last_price(MARKET), e.state.queued_orders(MARKET)), (Some(units("88")), 2));
    e.must(&Command::CancelAll { account: ALICE, market: MARKET });
    assert_eq!((e.state.queued_orders(MARKET), e.balance(ALICE, BTC).as_str()), (0, "999/0"));
}

#[test]
fn a_breaker_without_a_pause_waits_for_an_operator() {
    let mut e = with_breaker("0.1", 0);
    e.place_limit(BOB, Buy, "80", "1");
    e.place_limit(ALICE, Sell, "80", "1");
    assert_eq!((e.state.market(MARKET).unwrap().status, e.state.paused_until(MARKET)), (MarketStatus::CancelOnly, None));
    e.now += 86_400 * SECOND;
    assert!(!e.work());
    e.set_status(MarketStatus::Trading);
    assert_eq!(e.state.market(MARKET).unwrap().status, MarketStatus::Trading);
}

#[test]
fn an_operators_halt_outlives_a_pause() {
    let mut e = with_breaker("0.1", 30 * SECOND);
    e.place_limit(BOB, Buy, "80", "1");
    e.place_limit(ALICE, Sell, "80", "1");
    e.set_status(MarketStatus::Halt);
    e.now += 60 * SECOND;
    assert!(!e.work());
    assert_eq!(e.state.market(MARKET).unwrap().status, MarketStatus::Halt);
}

fn add_market(e: &mut Exchange, symbol: &str) -> MarketId {
    let (symbol, filters) = (symbol.into(), filters());
    match e.must(&admin(AdminAction::CreateMarket { symbol, base: BTC, quote: USDT, filters, commission: Commission::default() }))
    {
        Outcome::MarketCreated(market) => market,
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_command_halts_and_resumes_every_market() {
    let mut e = Exchange::new();
    let (second, third) = (add_market(&mut e, "SECOND"), add_market(&mut e, "THIRD"));
    e.must(&admin(AdminAction::SetMarketStatus { market: second, status: MarketStatus::Halt }));
    e.must(&admin(AdminAction::DelistMarket { market: third }));
    let set = |status, except: &[MarketId]| admin(AdminAction::SetEveryMarketStatus { status, except: except.to_vec() });
    let statuses = |e: &Exchange| e.state.markets().map(|market| market.status).collect::<Vec<_>>();
    use MarketStatus::{Break, Halt, Trading};
    let before = e.journal.len();
    assert_eq!(e.must(&set(Halt, &[])), Outcome::StatusChanged(vec![MARKET]));
    assert_eq!(e.journal.len() - before, 3, "the time, who, and one event for each market that changed");
    assert_eq!(statuses(&e), [Halt, Halt, Break]);
    assert_eq!(e.must(&set(Trading, &[second])), Outcome::StatusChanged(vec![MARKET]));
    assert_eq!(statuses(&e), [Trading, Halt, Break]);
}

#[test]
fn a_markets_orders_go_in_chunks() {
    let wide = Filters { max_orders: 10_000, max_algo_orders: 10_000, ..filters() };
    let mut e = Exchange::with(wide, Commission::default());
    for (account, side) in [(BOB, Sell), (CAROL, Buy)] {
        e.place_limit(account, side, "100", "5");
    }
    for number in 0..400 {
        e.place_limit(BOB, Buy, "90", "0.01");
        e.place_limit(ALICE, Sell, "110", "0.01");
        let order = e.order(CAROL, if number % 2 == 0 { Sell } else { Buy }, OrderType::StopLoss);
        let stop_price = units(if number % 2 == 0 { "50" } else { "150" });
        e.place(NewOrder { stop_price, quantity: units("0.01"), ..order });
    }
    let clear = admin(AdminAction::CancelMarketOrders { market: MARKET });
    assert!(e.run(&clear).unwrap_err().to_string().contains("halt it first"));
    e.set_status(MarketStatus::Halt);
    e.works = false;
    e.must(&clear);
    assert_eq!(e.state.open_order_count(), 1_200, "the command itself cancels none");
    let resume = admin(AdminAction::SetMarketStatus { market: MARKET, status: MarketStatus::Trading });
    assert!(e.run(&resume).unwrap_err().to_string().contains("still being canceled"));
    let mut steps = 0;
    loop {
        let before = e.state.open_order_count();
        if !e.work() {
            break;
        }
        assert!(before - e.state.open_order_count() <= 500);
        steps += 1;
    }
    assert_eq!((steps, e.state.open_order_count()), (3, 0));
    assert_eq!(e.balance(CAROL, BTC), "1005/0");
    e.must(&resume);
    assert_eq!(replay(&e.journal).hash(), e.state.hash());
}

#[test]
fn an_accounts_many_orders_go_in_chunks_up_to_the_command() {
    let wide = Filters { max_orders: 10_000, ..filters() };
    let mut e = Exchange::with(wide, Commission::default());
    for _ in 0..1_100 {
        e.place_limit(BOB, Buy, "90", "0.01");
    }
    e.works = false;
    let outcome = e.must(&admin(AdminAction::CancelAccountOrders { account: BOB }));
    assert_eq!(outcome, Outcome::CancelQueued(Some(1_100)));
    e.work();
    let later = e.place_limit(BOB, Buy, "80", "1").order.id;
    let mut bytes = Vec::new();
    e.state.encode(&mut bytes);
    e.state = exchange_core::State::decode(&bytes).expect("a snapshot decodes");
    while e.work() {}
    let left: Vec<_> = e.state.open_orders(BOB, None).iter().map(|order| order.id).collect();
    assert_eq!(left, [later], "an order placed after the command stays");
}

#[test]
fn a_delisted_market_never_comes_back() {
    let mut e = Exchange::new();
    let placed = e.place_limit(BOB, Buy, "90", "1").order.id;
    e.works = false;
    e.must(&admin(AdminAction::DelistMarket { market: MARKET }));
    let cancel = CancelOrder { account: BOB, market: MARKET, order: Some(placed), client_id: None, restriction: None };
    assert_eq!(e.run(&Command::Cancel(cancel)).unwrap_err().to_string(), "Market is closed.");
    while e.work() {}
    assert_eq!((e.state.open_order_count(), e.balance(BOB, USDT).as_str()), (0, "1000000/0"));
    let resume = admin(AdminAction::SetMarketStatus { market: MARKET, status: MarketStatus::Trading });
    assert!(e.run(&resume).unwrap_err().to_string().contains("delisted for good"));
    assert_eq!(e.must(&admin(AdminAction::DelistMarket { market: MARKET })), Outcome::Done);
}

#[test]
fn rules_that_cannot_be_right_are_refused() {
    let mut e = Exchange::new();
    let range = |bid_up: &str, bid_down: &str| {
        let (ask_up, ask_down) = (units("1.1"), units("0.9"));
        let rule = Some(PriceRange { bid_up: units(bid_up), bid_down: units(bid_down), ask_up, ask_down });
        AdminAction::SetPriceRange { market: MARKET, rule }
    };
    let breaker = |deviation: &str, pause| AdminAction::SetBreaker {
        market: MARKET,
        breaker: Some(Breaker { deviation: units(deviation), pause }),
    };
    let rows = [
        (range("0.9", "0.5"), "bidLimitMultUp must be 0 (not set) or at least 1"),
        (range("2", "1.1"), "bidLimitMultDown must not be above 1"),
        (range("1000.1", "0.5"), "must be 0 to 1000"),
        (breaker("0", 1), "deviation must be above 0"),
        (breaker("0.1", -1), "pause must be 0"),
        (breaker("0.1", 86_400 * SECOND + 1), "to 86400 seconds"),
        (AdminAction::SetReferencePrice { market: MARKET, price: 1 }, "from minPrice to maxPrice"),
        (AdminAction::SetMarketStatus { market: MARKET, status: MarketStatus::Break }, "market delist"),
    ];
    for (action, says) in rows {
        let before = e.journal.len();
        let refused = e.run(&admin(action.clone())).unwrap_err().to_string();
        assert!(refused.contains(says), "{action:?}: {refused}");
        assert_eq!(e.journal.len(), before);
    }
}

/// These filters are valid individually; together they refuse every order, or every MARKET order.
#[test]
fn filters_that_refuse_every_order_together_are_refused() {
    let rows = [
        (Filters { min_quantity: units("2"), market_max_quantity: units("1"), ..filters() }, "no MARKET order can pass"),
        (Filters { market_min_quantity: units("20000"), market_max_quantity: units("30000"), ..filters() }, "no MARKET order"),
        (Filters { market_step_size: units("7"), market_max_quantity: units("5"), ..filters() }, "no MARKET order can pass"),
        (Filters { max_quantity: units("0.5"), market_min_quantity: units("0.6"), ..filters() }, "no MARKET order can pass"),
        (
            Filters {
                step_size: units("0.003"),
                market_step_size: units("0.007"),
                market_max_quantity: units("0.02"),
                min_quantity: units("0.003"),
                ..filters()
            },
            "multiples of 0.02100000",
        ),
        (
            Filters { max_price: units("1"), max_quantity: units("10"), min_notional: units("11").into(), ..filters() },
            "no order can reach",
        ),
        (
            Filters { max_price: units("1"), market_max_quantity: units("10"), min_notional: units("11").into(), ..filters() },
            "no MARKET order can reach",
        ),
        (
            Filters { min_price: units("100"), min_quantity: units("1"), max_notional: units("50").into(), ..filters() },
            "every order exceeds",
        ),
        (
            Filters {
                min_price: units("100"),
                market_min_quantity: units("1"),
                max_notional: units("50").into(),
                apply_max_to_market: true,
                ..filters()
            },
            "every MARKET order exceeds",
        ),
        (Filters { bid_multiplier_up: 0, bid_multiplier_down: 0, ..filters() }, "bidMultiplierUp must be above 0"),
        (
            Filters { ask_multiplier_up: units("1"), ask_multiplier_down: units("1"), ..filters() },
            "askMultiplierUp must be above askMultiplierDown",
        ),
        (
            Filters {
                min_price: units("1"),
                tick_size: units("1"),
                min_quantity: units("1"),
                step_size: units("1"),
                min_notional: units("1.5").into(),
                max_notional: units("1.9").into(),
                ..filters()
            },
            "no order can pass NOTIONAL",
        ),
    ];
    for (filters, says) in rows {
        let mut e = Exchange::new();
        let create = AdminAction::CreateMarket {
            symbol: "OTHER".into(),
            base: BTC,
            quote: USDT,
            filters: filters.clone(),
            commission: Commission::default(),
        };
        for action in [create, AdminAction::SetFilters { market: MARKET, filters: filters.clone() }] {
            let refused = e.run(&admin(action)).map(drop).map_err(|refusal| refusal.to_string());
            assert!(refused.as_ref().is_err_and(|text| text.contains(says)), "{says}: {refused:?}");
        }
    }
}

#[test]
fn the_journal_says_which_values_an_operator_set() {
    let mut e = Exchange::new();
    let created: Vec<&str> = actions(&e);
    assert!(
        created
            .iter()
            .any(|a| a.starts_with("create market BTCUSDT: minPrice 0.01000000, ") && a.contains("maxNumAlgoOrders 100"))
    );
    e.set_filters(Filters { max_orders: 7, min_quantity: units("0.002"), ..filters() });
    let text = "set filters of BTCUSDT: minQty 0.00100000 -> 0.00200000, maxNumOrders 1000 -> 7";
    assert_eq!(actions(&e).last(), Some(&text));
    set_range(&mut e, "1.1", "0.9");
    let text = "set PRICE_RANGE of BTCUSDT: bid 0.90000000 to 1.10000000, ask 0.90000000 to 1.10000000";
    assert_eq!(actions(&e).last(), Some(&text));
}

fn actions(e: &Exchange) -> Vec<&str> {
    fn action(event: &Event) -> Option<&str> {
        match event {
            Event::OperatorActed { action, .. } => Some(action),
            _ => None,
        }
    }
    e.journal.iter().filter_map(action).collect()
}

/// As by quantity: an order of which the range leaves nothing expires, and is not refused for a lack of liquidity.
#[test]
fn a_market_order_by_quote_outside_the_range_expires() {
    for (side, stp) in [(Buy, StpMode::None), (Sell, StpMode::ExpireMaker)] {
        let mut e = Exchange::new();
        set_reference(&mut e, "100");
        set_range(&mut e, "1.1", "0.9");
        e.place_limit(BOB, Sell, "120", "1");
        e.place_limit(BOB, Buy, "80", "1");
        let order = NewOrder { stp, quote_order_quantity: units("900").into(), ..e.order(CAROL, side, OrderType::Market) };
        let order = e.place(order).order;
        assert_eq!((order.status, order.executed), (OrderStatus::Expired, 0), "{side:?}");
        assert_eq!(order.expiry_reason, ExpiryReason::PriceRangeExceeded, "{side:?}");
        assert_eq!((e.balance(CAROL, BTC), e.balance(CAROL, USDT)), ("1000/0".into(), "1000000/0".into()));
        check_invariants(&e.state);
        assert_eq!(replay(&e.journal).hash(), e.state.hash());
    }
}

/// The pause of a circuit breaker ends by itself; a status that an operator sets for every market does not.
#[test]
fn cancel_only_for_every_market_outlasts_a_pause() {
    let mut e = with_breaker("0.1", 30 * SECOND);
    e.place_limit(BOB, Buy, "88", "1");
    e.place_limit(ALICE, Sell, "88", "1");
    assert!(e.state.is_paused(MARKET));
    let set = |status| admin(AdminAction::SetEveryMarketStatus { status, except: Vec::new() });
    assert_eq!(e.must(&set(MarketStatus::CancelOnly)), Outcome::StatusChanged(vec![MARKET]));
    assert_eq!((e.state.is_paused(MARKET), e.state.paused_until(MARKET)), (false, None));
    e.now += 31 * SECOND;
    while e.work() {}
    assert_eq!(e.state.market(MARKET).unwrap().status, MarketStatus::CancelOnly);
    assert_eq!(e.must(&set(MarketStatus::CancelOnly)), Outcome::StatusChanged(Vec::new()));
}

#[test]
fn filters_and_fees_of_a_delisted_market_cannot_be_set() {
    let mut e = Exchange::new();
    e.must(&admin(AdminAction::DelistMarket { market: MARKET }));
    for action in [
        AdminAction::SetFilters { market: MARKET, filters: filters() },
        AdminAction::SetCommission { market: MARKET, commission: Commission::default() },
    ] {
        let refusal = e.run(&admin(action)).unwrap_err().to_string();
        assert!(refusal.contains("is delisted for good"), "{refusal}");
    }
}
