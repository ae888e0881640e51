//! Tests of every refusal, one row each, in the order of the checks: a command with two errors is refused for the earlier one.

use crate::support::{ALICE, BOB, Exchange, MARKET, USDT, admin, client_id, filters, units};
use Side::{Buy, Sell};
use exchange_core::command::{AccountRights, AdminAction, CancelOrder, CancelRestriction, Command, NewOco, NewOrder, OcoLeg};
use exchange_core::market::{Commission, Filters, MarketStatus};
use exchange_core::order::{OrderType, Side, StpMode, TimeInForce};

/// 100.00 traded; bids 99, asks 101; Bob holds client id "taken" and is at his limit of open stops.
fn exchange() -> Exchange {
    let filters = Filters {
        max_orders: 4,
        max_algo_orders: 1,
        min_notional: units("10").into(),
        max_notional: units("50000").into(),
        bid_multiplier_up: units("2"),
        bid_multiplier_down: units("0.1"),
        ask_multiplier_up: units("3"),
        ask_multiplier_down: units("0.5"),
        market_max_quantity: units("300"),
        max_price: units("10000"),
        max_quantity: units("5000"),
        ..filters()
    };
    let mut e = Exchange::with(filters, Commission::default());
    e.place_limit(ALICE, Sell, "100", "1");
    e.place_limit(BOB, Buy, "100", "1");
    e.place_limit(ALICE, Sell, "101", "1");
    e.place_limit(ALICE, Buy, "99", "1");
    let taken = NewOrder { client_id: client_id("taken"), ..e.limit(BOB, Buy, "50", "1") };
    e.place(taken);
    e
}

#[test]
fn orders_in_order_of_precedence() {
    let market = |quantity: &str, quote: &str, o: NewOrder| NewOrder {
        kind: OrderType::Market,
        price: 0,
        quantity: units(quantity),
        quote_order_quantity: units(quote).into(),
        ..o
    };
    type Change = Box<dyn Fn(NewOrder) -> NewOrder>;
    let price = |text: &'static str| -> Change { Box::new(move |o| NewOrder { price: units(text), ..o }) };
    let quantity = |text: &'static str| -> Change { Box::new(move |o| NewOrder { quantity: units(text), ..o }) };
    let stop = |kind: OrderType, side: Side, stop: &'static str, price: &'static str| -> Change {
        Box::new(move |o| NewOrder { kind, side, stop_price: units(stop), price: units(price), ..o })
    };
    // The base order of the rows: Bob buys 1 at 98, which would be accepted.
    let rows: Vec<(&str, Change, i32, &str)> = vec![
        ("unknown market", Box::new(|o| NewOrder { market: 9, price: 1, ..o }), -1121, "Invalid symbol."),
        ("price below the smallest", price("0"), -1013, "Filter failure: PRICE_FILTER"),
        ("price above the largest", price("10000.01"), -1013, "Filter failure: PRICE_FILTER"),
        ("price off the tick", price("98.001"), -1013, "Filter failure: PRICE_FILTER"),
        ("stop price off the tick", stop(OrderType::StopLossLimit, Buy, "105.001", "98"), -1013, "Filter failure: PRICE_FILTER"),
        ("price before lot", Box::new(|o| NewOrder { price: 1, quantity: 1, ..o }), -1013, "Filter failure: PRICE_FILTER"),
        ("quantity too small", quantity("0"), -1013, "Filter failure: LOT_SIZE"),
        ("quantity too large", quantity("5000.001"), -1013, "Filter failure: LOT_SIZE"),
        ("quantity off the lot", quantity("1.0001"), -1013, "Filter failure: LOT_SIZE"),
        ("market quantity", Box::new(move |o| market("300.001", "0", o)), -1013, "Filter failure: MARKET_LOT_SIZE"),
        ("price far above the average", price("200.01"), -1013, "Filter failure: PERCENT_PRICE_BY_SIDE"),
        ("buy far below it", price("0.01"), -1013, "Filter failure: PERCENT_PRICE_BY_SIDE"),
        (
            "sell far above it",
            Box::new(|o| NewOrder { side: Sell, price: units("300.01"), ..o }),
            -1013,
            "Filter failure: PERCENT_PRICE_BY_SIDE",
        ),
        (
            "sell far below it",
            Box::new(|o| NewOrder { side: Sell, price: units("49.99"), ..o }),
            -1013,
            "Filter failure: PERCENT_PRICE_BY_SIDE",
        ),
        ("too little value", quantity("0.1"), -1013, "Filter failure: NOTIONAL"),
        ("too much value", quantity("511"), -1013, "Filter failure: NOTIONAL"),
        ("too little quote quantity", Box::new(move |o| market("0", "9.99", o)), -1013, "Filter failure: NOTIONAL"),
        ("duplicate client id", Box::new(|o| NewOrder { client_id: client_id("taken"), ..o }), -2010, "Duplicate order sent."),
        (
            "duplicate before balance",
            Box::new(|o| NewOrder { client_id: client_id("taken"), quantity: units("500"), ..o }),
            -2010,
            "Duplicate order sent.",
        ),
        (
            "post-only that would match",
            Box::new(|o| NewOrder { kind: OrderType::LimitMaker, price: units("101"), ..o }),
            -2010,
            "Order would immediately match and take.",
        ),
        ("stop already reached", stop(OrderType::StopLossLimit, Buy, "100", "98"), -2010, "Order would trigger immediately."),
        (
            "take profit already reached",
            stop(OrderType::TakeProfitLimit, Sell, "100", "98"),
            -2010,
            "Order would trigger immediately.",
        ),
    ];
    for (name, change, code, text) in rows {
        let mut e = exchange();
        let order = e.limit(BOB, Buy, "98", "1");
        let (hash, length) = (e.state.hash(), e.journal.len());
        let refusal = e.run(&Command::Place(change(order))).expect_err(name);
        assert_eq!((refusal.code(), refusal.to_string().as_str()), (code, text), "{name}");
        assert_eq!((e.state.hash(), e.journal.len()), (hash, length), "{name}: no effect");
    }
    let mut e = exchange();
    let order = e.limit(BOB, Buy, "98", "1");
    e.place(order);
}

#[test]
fn counts_funds_and_liquidity() {
    let refused = |e: &mut Exchange, order: NewOrder| {
        let refusal = e.run(&Command::Place(order)).expect_err("refused");
        (refusal.code(), refusal.to_string())
    };
    let mut e = exchange();
    for _ in 0..3 {
        e.place_limit(BOB, Buy, "60", "1");
    }
    let order = e.limit(BOB, Buy, "60", "1");
    assert_eq!(refused(&mut e, order), (-1013, "Filter failure: MAX_NUM_ORDERS".into()));

    let mut e = exchange();
    let stop =
        |e: &mut Exchange| NewOrder { kind: OrderType::StopLossLimit, stop_price: units("110"), ..e.limit(BOB, Buy, "98", "1") };
    let order = stop(&mut e);
    e.place(order);
    let order = stop(&mut e);
    assert_eq!(refused(&mut e, order), (-1013, "Filter failure: MAX_NUM_ALGO_ORDERS".into()));

    let poor = (-2010, "Account has insufficient balance for requested action.".to_owned());
    let mut e = exchange();
    let all = i128::from(units("999850"));
    e.must(&admin(AdminAction::Credit {
        account: BOB,
        asset: USDT,
        amount: -i128::from(units("999800")),
        reference: "out".into(),
    }));
    let order = e.limit(BOB, Buy, "98", "1");
    assert_eq!(refused(&mut e, order), poor);
    let order = e.limit(BOB, Sell, "102", "1");
    e.place(order);
    let withdraw = admin(AdminAction::Credit { account: BOB, asset: USDT, amount: -all, reference: "more".into() });
    assert_eq!(e.run(&withdraw).expect_err("the book has less").to_string(), poor.1);

    let mut e = Exchange::new();
    let order = NewOrder { quote_order_quantity: units("20").into(), ..e.order(BOB, Buy, OrderType::Market) };
    let text = "Order book liquidity is less than symbol minimum quantity.";
    assert_eq!(refused(&mut e, order.clone()), (-2010, text.into()));
    e.place_limit(ALICE, Sell, "30000", "1");
    let text = "Order book liquidity is less than `LOT_SIZE` filter minimum quantity.";
    assert_eq!(refused(&mut e, order), (-2010, text.into()));

    // Filters on lots also apply to the quantity that a quote amount buys: 20 and 202 at 101.
    let lots = Filters { market_min_quantity: units("0.2"), market_max_quantity: units("1.9"), ..filters() };
    let mut e = Exchange::with(lots, Commission::default());
    e.place_limit(ALICE, Sell, "101", "10");
    for (quote, code, text) in [
        ("20", -2010, "Order book liquidity is less than `MARKET_LOT_SIZE` filter minimum quantity."),
        ("202", -1013, "Filter failure: MARKET_LOT_SIZE"),
    ] {
        let order = NewOrder { quote_order_quantity: units(quote).into(), ..e.order(BOB, Buy, OrderType::Market) };
        assert_eq!(refused(&mut e, order), (code, text.into()));
    }
    e.set_filters(Filters { max_quantity: units("1.5"), ..filters() });
    let order = NewOrder { quote_order_quantity: units("202").into(), ..e.order(BOB, Buy, OrderType::Market) };
    assert_eq!(refused(&mut e, order), (-1013, "Filter failure: LOT_SIZE".into()));
}

#[test]
fn market_states_and_frozen_accounts() {
    let mut e = exchange();
    let id = e.state.open_orders(BOB, None)[0].id;
    let cancel =
        Command::Cancel(CancelOrder { account: BOB, market: MARKET, order: Some(id), client_id: None, restriction: None });
    let place = |e: &mut Exchange| Command::Place(e.limit(BOB, Buy, "98", "1"));
    for (status, may_place, may_cancel) in [(MarketStatus::Halt, false, false), (MarketStatus::CancelOnly, false, true)] {
        e.set_status(status);
        let command = place(&mut e);
        assert_eq!(e.run(&command).map_err(|r| r.to_string()).is_ok(), may_place);
        let mut copy = e.state.clone();
        let answer = copy.decide(&cancel, e.now, &mut Vec::new());
        assert_eq!(answer.map_err(|r| r.to_string()).err().as_deref(), (!may_cancel).then_some("Market is closed."), "{status}");
    }
    e.set_status(MarketStatus::Trading);
    let rights = AccountRights { trade: false, withdraw: true, deposit: true };
    e.must(&admin(AdminAction::SetAccountRights { account: BOB, rights }));
    let command = place(&mut e);
    for command in [command, cancel] {
        assert_eq!(e.run(&command).expect_err("frozen").to_string(), "This account may not place or cancel orders.");
    }
    e.must(&admin(AdminAction::CancelAccountOrders { account: BOB }));
    assert!(e.state.open_orders(BOB, None).is_empty(), "the operator may");
}

#[test]
fn cancels() {
    let mut e = exchange();
    let id = e.state.open_orders(BOB, None)[0].id;
    let cancel = |account, order, client: Option<&str>, restriction| CancelOrder {
        account,
        market: MARKET,
        order,
        client_id: client.map(client_id),
        restriction,
    };
    let rows = [
        (cancel(BOB, Some(9_999), None, None), -2011, "Unknown order sent."),
        (cancel(ALICE, Some(id), None, None), -2011, "Unknown order sent."),
        (cancel(BOB, None, Some("nobody"), None), -2011, "Unknown order sent."),
        (cancel(BOB, Some(id), Some("other"), None), -2039, "Client order ID is not correct for this order ID."),
        (
            cancel(BOB, Some(id), None, Some(CancelRestriction::OnlyPartiallyFilled)),
            -2011,
            "Order was not canceled due to cancel restrictions.",
        ),
    ];
    for (cancel, code, text) in rows {
        let refusal = e.run(&Command::Cancel(cancel)).expect_err(text);
        assert_eq!((refusal.code(), refusal.to_string().as_str()), (code, text));
    }
    e.must(&Command::Cancel(cancel(BOB, Some(id), Some("taken"), Some(CancelRestriction::OnlyNew))));
    let refusal = e.run(&Command::CancelAll { account: BOB, market: MARKET }).expect_err("nothing is open");
    assert_eq!(refusal.code(), -2011);
}

#[test]
fn operators_are_told_what_is_wrong() {
    let create = |filters| {
        admin(AdminAction::CreateMarket { symbol: "X".into(), base: 0, quote: USDT, filters, commission: Commission::default() })
    };
    let rows = [
        (
            create(Filters { tick_size: 1, step_size: 1, ..filters() }),
            "tickSize x stepSize must be a multiple of 0.00000001: choose a coarser tickSize or stepSize",
        ),
        (admin(AdminAction::CreateAsset { code: "btc".into() }), "asset must be 1 to 10 characters of A-Z and 0-9"),
        (
            admin(AdminAction::CreateAccount { reference: "".into() }),
            "reference must be 1 to 200 bytes without control characters",
        ),
    ];
    for (command, text) in rows {
        let refusal = Exchange::new().run(&command).expect_err(text).to_string();
        assert_eq!(refusal, text);
    }
}

#[test]
fn what_only_a_mistaken_caller_asks() {
    let mut e = Exchange::new();
    let mut refused = |command: &Command| {
        let refusal = e.run(command).expect_err("refused");
        (refusal.code(), refusal.to_string())
    };
    let order = Exchange::new().limit(9, Buy, "98", "1");
    assert_eq!(refused(&Command::Place(order)), (-1130, "Data sent for parameter 'account' is not valid.".into()));
    let credit =
        |asset, amount| admin(AdminAction::Credit { account: BOB, asset, amount, reference: format!("r{asset}").into() });
    assert_eq!(refused(&credit(9, 1)), (-1130, "Data sent for parameter 'asset' is not valid.".into()));
    let (code, text) = refused(&credit(USDT, i128::MAX));
    assert!(code == -1130 && text.starts_with("amount must not be 0 and at most "), "{code} {text}");
}

#[test]
fn order_lists() {
    let oco = |e: &mut Exchange| NewOco {
        account: BOB,
        market: MARKET,
        side: Sell,
        quantity: units("1"),
        stp: StpMode::None,
        list_client_id: client_id(&format!("list{}", e.journal.len())),
        above: OcoLeg { kind: OrderType::LimitMaker, ..leg("110", "0", &format!("a{}", e.journal.len())) },
        below: OcoLeg { kind: OrderType::StopLossLimit, ..leg("90", "90", &format!("b{}", e.journal.len())) },
    };
    let mut e = exchange();
    let right = oco(&mut e);
    let rows: [(&str, NewOco, i32, &str); 4] = [
        (
            "the limit below the stop",
            NewOco { above: OcoLeg { price: units("89"), ..right.above.clone() }, ..right.clone() },
            -2010,
            "The relationship of the prices for the orders is not correct.",
        ),
        (
            "two stops on one side",
            NewOco {
                above: OcoLeg { kind: OrderType::StopLossLimit, stop_price: units("110"), ..right.above.clone() },
                ..right.clone()
            },
            -1014,
            "Unsupported order combination.",
        ),
        (
            "a leg's client id is taken",
            NewOco { above: OcoLeg { client_id: client_id("taken"), ..right.above.clone() }, ..right.clone() },
            -2010,
            "Duplicate order sent.",
        ),
        (
            "one client id for both legs",
            NewOco { below: OcoLeg { client_id: right.above.client_id, ..right.below.clone() }, ..right.clone() },
            -2010,
            "Duplicate order sent.",
        ),
    ];
    for (name, list, code, text) in rows {
        let (hash, length) = (e.state.hash(), e.journal.len());
        let refusal = e.run(&Command::PlaceOco(list)).expect_err(name);
        assert_eq!((refusal.code(), refusal.to_string().as_str()), (code, text), "{name}");
        assert_eq!((e.state.hash(), e.journal.len()), (hash, length), "{name}: no effect");
    }
    let mut e = Exchange::new();
    e.must(&Command::PlaceOco(right.clone()));
    let again = NewOco { list_client_id: right.list_client_id, ..oco(&mut e) };
    let refusal = e.run(&Command::PlaceOco(again)).expect_err("the list's client id is taken");
    assert_eq!((refusal.code(), refusal.to_string().as_str()), (-2010, "Duplicate order sent."));
}

fn leg(price: &str, stop_price: &str, id: &str) -> OcoLeg {
    OcoLeg {
        kind: OrderType::LimitMaker,
        price: units(price),
        stop_price: units(stop_price),
        time_in_force: TimeInForce::Gtc,
        iceberg: 0,
        trailing_delta: 0,
        client_id: client_id(id),
    }
}
