//! Tests of each order type, time in force, prevention mode and list, with the book drawn as a table: `asks, high to low | bids`.

use crate::support::{ALICE, BOB, BTC, CAROL, Exchange, MARKET, USDT, client_id, filters, short, some_commission, units};
use Side::{Buy, Sell};
use exchange_core::command::{CancelOrder, CancelReplaceMode, Canceled, Command, NewOco, NewOrder, OcoLeg, Outcome, Placed};
use exchange_core::event::Event;
use exchange_core::order::{ExpiryReason, Fill, OrderStatus, OrderType, Side, StpMode, TimeInForce};
use exchange_core::{FEES, money};

/// "STATUS executed@price,executed@price"
fn told(placed: &Placed) -> String {
    let fill = |f: &Fill| format!("{}@{}", short(f.quantity.into()), short(f.price.into()));
    let fills: Vec<String> = placed.fills.iter().map(fill).collect();
    format!("{} {}", placed.order.status, fills.join(",")).trim_end().to_owned()
}

fn book_of(rows: &[(u32, Side, &str, &str)]) -> Exchange {
    let mut exchange = Exchange::new();
    for (account, side, price, quantity) in rows {
        exchange.place_limit(*account, *side, price, quantity);
    }
    exchange
}

#[test]
fn a_taker_meets_price_then_time() {
    let mut e = book_of(&[(ALICE, Sell, "101", "1"), (BOB, Sell, "100", "1"), (ALICE, Sell, "100", "2"), (BOB, Buy, "99", "1")]);
    assert_eq!(e.book(), "101 x 1, 100 x 3 | 99 x 1");
    let placed = e.place_limit(CAROL, Buy, "101", "3.5");
    assert_eq!(told(&placed), "FILLED 1@100,2@100,0.5@101");
    assert_eq!(e.book(), "101 x 0.5 | 99 x 1");
    // Bob was first at 100 and is filled; the difference to his limit is free again.
    assert_eq!((e.balance(CAROL, USDT), e.balance(CAROL, BTC)), ("999649.5/0".into(), "1003.5/0".into()));
    assert_eq!(e.balance(ALICE, BTC), "997/0.5");
}

#[test]
fn times_in_force() {
    let rows = [(ALICE, Sell, "100", "1"), (ALICE, Sell, "102", "1")];
    let cases = [
        (TimeInForce::Gtc, "101", "3", "PARTIALLY_FILLED 1@100", "102 x 1 | 101 x 2", ExpiryReason::None),
        (TimeInForce::Ioc, "101", "3", "EXPIRED 1@100", "102 x 1 | ", ExpiryReason::UnfilledIocQuantity),
        (TimeInForce::Fok, "101", "3", "EXPIRED", "102 x 1, 100 x 1 | ", ExpiryReason::UnfilledFok),
        (TimeInForce::Fok, "102", "2", "FILLED 1@100,1@102", " | ", ExpiryReason::None),
        (TimeInForce::Ioc, "99", "1", "EXPIRED", "102 x 1, 100 x 1 | ", ExpiryReason::UnfilledIocQuantity),
    ];
    for (time_in_force, price, quantity, says, book, reason) in cases {
        let mut e = book_of(&rows);
        let order = NewOrder { time_in_force, ..e.limit(BOB, Buy, price, quantity) };
        let placed = e.place(order);
        assert_eq!((told(&placed).as_str(), e.book().as_str()), (says, book), "{time_in_force} {price}");
        assert_eq!(placed.order.expiry_reason, reason);
        let locked = if time_in_force == TimeInForce::Gtc { "202" } else { "0" };
        assert!(e.balance(BOB, USDT).ends_with(&format!("/{locked}")), "{}", e.balance(BOB, USDT));
    }
}

#[test]
fn market_orders() {
    let rows = [(ALICE, Sell, "100", "1"), (ALICE, Sell, "110", "1"), (ALICE, Buy, "90", "2")];
    // side, quantity, quoteOrderQty, reply, executed quote
    let cases = [
        (Buy, "1.5", "0", "FILLED 1@100,0.5@110", "155"),
        (Buy, "5", "0", "EXPIRED 1@100,1@110", "210"),
        (Sell, "1", "0", "FILLED 1@90", "90"),
        (Buy, "0", "155.05", "FILLED 1@100,0.5@110", "155"),
        (Buy, "0", "100.1", "FILLED 1@100", "100"),
        (Sell, "0", "45", "FILLED 0.5@90", "45"),
        (Buy, "0", "1000", "EXPIRED 1@100,1@110", "210"),
    ];
    for (side, quantity, quote, says, value) in cases {
        let mut e = book_of(&rows);
        let order = e.order(BOB, side, OrderType::Market);
        let (quantity, quote_order_quantity) = (units(quantity), units(quote).into());
        let placed = e.place(NewOrder { quantity, quote_order_quantity, ..order });
        assert_eq!(told(&placed), says, "{side} {quantity} {quote}");
        assert_eq!(short(placed.order.executed_quote), value);
        assert!(e.balance(BOB, USDT).ends_with("/0") && e.balance(BOB, BTC).ends_with("/0"), "nothing stays locked");
    }
    let mut empty = Exchange::new();
    let order = empty.order(BOB, Buy, OrderType::Market);
    let placed = empty.place(NewOrder { quantity: units("1"), ..order });
    assert_eq!((told(&placed).as_str(), placed.order.expiry_reason), ("EXPIRED", ExpiryReason::InsufficientLiquidity));
}

#[test]
fn commissions_are_taken_from_what_is_received() {
    let mut e = Exchange::with(filters(), some_commission());
    e.place_limit(ALICE, Sell, "100", "1");
    let placed = e.place_limit(BOB, Buy, "100", "1");
    // The taker buys: 0.2 % of 1 BTC; the maker sells: 0.1 % of 100 USDT.
    assert_eq!((placed.fills[0].commission, placed.fills[0].commission_asset), (units("0.002").into(), BTC));
    assert_eq!((e.balance(BOB, BTC), e.balance(ALICE, USDT)), ("1000.998/0".into(), "1000099.9/0".into()));
    assert_eq!((e.balance(FEES, BTC), e.balance(FEES, USDT)), ("0.002/0".into(), "0.1/0".into()));
    e.must(&crate::support::admin(exchange_core::command::AdminAction::SetAccountCommission {
        account: BOB,
        commission: Some(Default::default()),
    }));
    e.place_limit(ALICE, Sell, "100", "1");
    let commission = e.place_limit(BOB, Buy, "100", "1").fills[0].commission;
    assert_eq!(commission, 0, "custom rates");
}

#[test]
fn self_trade_prevention_follows_the_taker() {
    // The maker's own mode does not matter. Taker: 2 BTC against its own 1 at 100, then Bob's 1 at 101.
    let cases = [
        (StpMode::None, "FILLED 1@100,1@101", " | ", "FILLED"),
        (StpMode::ExpireTaker, "EXPIRED_IN_MATCH", "101 x 1, 100 x 1 | ", "NEW"),
        (StpMode::ExpireMaker, "PARTIALLY_FILLED 1@101", " | 101 x 1", "EXPIRED_IN_MATCH"),
        (StpMode::ExpireBoth, "EXPIRED_IN_MATCH", "101 x 1 | ", "EXPIRED_IN_MATCH"),
    ];
    for (stp, says, book, maker_status) in cases {
        let mut e = book_of(&[(ALICE, Sell, "100", "1"), (BOB, Sell, "101", "1")]);
        let maker = e.state.open_orders(ALICE, None)[0].id;
        let order = NewOrder { stp, ..e.limit(ALICE, Buy, "101", "2") };
        let placed = e.place(order);
        assert_eq!((told(&placed).as_str(), e.book().as_str()), (says, book), "{stp}");
        let still_open = e.state.order(maker).is_some();
        assert_eq!(still_open, maker_status == "NEW", "{stp}");
        let prevented = e.journal.iter().filter(|event| matches!(event, Event::MatchPrevented(_))).count();
        assert_eq!(prevented, usize::from(stp != StpMode::None));
        if stp == StpMode::ExpireTaker {
            assert_eq!((placed.order.prevented, placed.order.prevented_match), (units("2"), 1));
        }
    }
}

fn stop(e: &mut Exchange, account: u32, side: Side, kind: OrderType, stop_price: &str, price: &str, quantity: &str) -> u64 {
    let order = e.order(account, side, kind);
    let (stop_price, price, quantity) = (units(stop_price), units(price), units(quantity));
    e.place(NewOrder { stop_price, price, quantity, ..order }).order.id
}

#[test]
fn stops_wait_for_their_price_and_then_work() {
    let mut e = book_of(&[(ALICE, Sell, "100", "1"), (BOB, Buy, "100", "1"), (BOB, Buy, "90", "5"), (ALICE, Buy, "80", "5")]);
    let loss = stop(&mut e, CAROL, Sell, OrderType::StopLoss, "95", "0", "2");
    let limit = stop(&mut e, CAROL, Sell, OrderType::StopLossLimit, "91", "89", "4");
    let profit = stop(&mut e, CAROL, Buy, OrderType::TakeProfitLimit, "92", "93", "1");
    assert_eq!(e.balance(CAROL, BTC), "994/6");
    assert_eq!(e.book(), " | 90 x 5, 80 x 5", "waiting orders are not on the book");
    // A trade at 90 triggers all three, oldest first; the rest of the sell limit rests at 89 after the others traded.
    let placed = e.place_limit(ALICE, Sell, "90", "1");
    assert_eq!(told(&placed), "FILLED 1@90");
    assert_eq!(e.state.order(loss), None, "market order, filled 2@90");
    let left = e.state.order(limit).expect("rests");
    assert_eq!((short(left.executed.into()), left.working), ("3".into(), true));
    assert_eq!(e.state.order(profit), None, "it bought 1 of that limit's rest at 89");
    assert_eq!(e.book(), "89 x 1 | 80 x 5");
    assert_eq!(e.balance(CAROL, USDT), format!("{}/0", 1_000_000 + 180 + 180));
}

#[test]
fn a_stop_sets_off_the_next() {
    let mut e = book_of(&[
        (ALICE, Sell, "100", "1"),
        (BOB, Buy, "100", "1"),
        (BOB, Buy, "99", "1"),
        (BOB, Buy, "98", "1"),
        (BOB, Buy, "97", "9"),
    ]);
    let first = stop(&mut e, ALICE, Sell, OrderType::StopLoss, "99", "0", "1");
    let second = stop(&mut e, ALICE, Sell, OrderType::StopLoss, "98", "0", "1");
    e.place_limit(CAROL, Sell, "99", "1");
    assert_eq!((e.state.order(first), e.state.order(second)), (None, None));
    assert_eq!(e.state.last_price(MARKET), Some(units("97")));
}

#[test]
fn a_stopped_market_buy_takes_what_it_can_afford() {
    let mut e =
        book_of(&[(ALICE, Sell, "100", "1"), (BOB, Buy, "100", "1"), (ALICE, Sell, "110", "10"), (ALICE, Sell, "500", "100")]);
    // Locked at its stop price: 105 x 100; the book asks 110 and then 500.
    let id = stop(&mut e, CAROL, Buy, OrderType::StopLoss, "105", "0", "100");
    assert_eq!(e.balance(CAROL, USDT), "989500/10500");
    e.place_limit(BOB, Buy, "110", "1");
    assert_eq!(e.state.order(id), None);
    assert_eq!(e.balance(CAROL, BTC), "1100/0", "9 at 110 and 91 at 500, paid from what was free too");
    assert_eq!(e.balance(CAROL, USDT), format!("{}/0", 1_000_000 - 9 * 110 - 91 * 500));
}

fn oco(e: &mut Exchange, account: u32, side: Side, above: (OrderType, &str, &str), below: (OrderType, &str, &str)) -> Command {
    let id = e.limit(account, side, "1", "1").client_id;
    let leg = |(kind, price, stop_price): (OrderType, &str, &str), name: &str| OcoLeg {
        kind,
        price: units(price),
        stop_price: units(stop_price),
        time_in_force: TimeInForce::Gtc,
        iceberg: 0,
        trailing_delta: 0,
        client_id: client_id(&format!("{}-{name}", id.as_str())),
    };
    let (above, below) = (leg(above, "above"), leg(below, "below"));
    let list_client_id = client_id(&format!("{}-list", id.as_str()));
    Command::PlaceOco(NewOco {
        account,
        market: MARKET,
        side,
        quantity: units("2"),
        stp: StpMode::None,
        list_client_id,
        above,
        below,
    })
}

#[test]
fn one_leg_of_an_oco_ends_the_other() {
    let rows = [(ALICE, Sell, "100", "1"), (BOB, Buy, "100", "1"), (BOB, Buy, "95", "5")];
    let pair = |e: &mut Exchange| {
        let command = oco(e, CAROL, Sell, (OrderType::LimitMaker, "105", "0"), (OrderType::StopLossLimit, "94", "96"));
        match e.must(&command) {
            Outcome::List(report) => report,
            other => panic!("{other:?}"),
        }
    };
    let mut e = book_of(&rows);
    let list = pair(&mut e);
    assert_eq!(e.balance(CAROL, BTC), "998/2", "one hold for two orders");
    assert_eq!(list.orders.iter().map(|o| o.order.kind).collect::<Vec<_>>(), [OrderType::StopLossLimit, OrderType::LimitMaker]);
    // The maker leg trades a part: the stop ends immediately.
    e.place_limit(ALICE, Buy, "105", "0.5");
    assert_eq!(e.state.open_orders(CAROL, None).len(), 1);
    assert!(!e.state.list(list.list).expect("one leg is open").done);
    assert_eq!(e.balance(CAROL, BTC), "998/1.5");
    e.place_limit(ALICE, Buy, "105", "1.5");
    assert_eq!((e.state.list(list.list), e.balance(CAROL, BTC).as_str()), (None, "998/0"));

    // The stop triggers at 95 <= 96: the maker leg ends, the stop locks its own need and sells above its limit of 94.
    let mut e = book_of(&rows);
    let list = pair(&mut e);
    e.place_limit(ALICE, Sell, "95", "1");
    assert_eq!((e.state.open_orders(CAROL, None).len(), e.state.list(list.list)), (0, None));
    assert_eq!((e.balance(CAROL, BTC), e.balance(CAROL, USDT)), ("998/0".into(), "1000190/0".into()));

    // Canceling a leg cancels the list.
    let mut e = book_of(&rows);
    let list = pair(&mut e);
    let order = Some(list.orders[1].order.id);
    let cancel = CancelOrder { account: CAROL, market: MARKET, order, client_id: None, restriction: None };
    match e.must(&Command::Cancel(cancel)) {
        Outcome::Canceled(Canceled::List(report)) => {
            assert!(report.done && report.orders.iter().all(|o| o.order.status == OrderStatus::Canceled));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(e.balance(CAROL, BTC), "1000/0");
}

#[test]
fn cancel_replace_modes() {
    let modes = [(CancelReplaceMode::StopOnFailure, false), (CancelReplaceMode::AllowFailure, true)];
    for (mode, placed_all_the_same) in modes {
        let mut e = book_of(&[(ALICE, Buy, "99", "1")]);
        let id = e.state.open_orders(ALICE, None)[0].id;
        let cancel =
            |order| CancelOrder { account: ALICE, market: MARKET, order: Some(order), client_id: None, restriction: None };
        let new = e.limit(ALICE, Buy, "98", "1");
        let both = Command::CancelReplace { cancel: cancel(id), new, mode };
        assert!(matches!(e.must(&both), Outcome::CancelReplaced(r) if r.cancel.is_ok() && matches!(&r.new, Some(Ok(_)))));
        assert_eq!(e.book(), " | 98 x 1");
        let new = e.limit(ALICE, Buy, "97", "1");
        let unknown = Command::CancelReplace { cancel: cancel(id), new, mode };
        assert!(
            matches!(e.must(&unknown), Outcome::CancelReplaced(r) if r.cancel.is_err() && r.new.is_some() == placed_all_the_same)
        );
        // The new order needs more than the balance: only the cancel succeeds.
        let id = e.state.open_orders(ALICE, None)[0].id;
        let new = e.limit(ALICE, Buy, "97", "8000");
        let poor = Command::CancelReplace {
            cancel: cancel(id),
            new: NewOrder { quantity: units("9000"), price: units("400"), ..new },
            mode,
        };
        assert!(matches!(e.must(&poor), Outcome::CancelReplaced(r) if r.cancel.is_ok() && matches!(&r.new, Some(Err(_)))));
    }
}

#[test]
fn aggregates_join_trades_of_one_taker_at_one_price() {
    let mut e = book_of(&[(ALICE, Sell, "100", "1"), (BOB, Sell, "100", "1"), (ALICE, Sell, "101", "1")]);
    e.place_limit(CAROL, Buy, "101", "3");
    let aggregates: Vec<_> = e
        .journal
        .iter()
        .filter_map(|event| match event {
            Event::Trade(t) => Some((t.trade, t.aggregate)),
            _ => None,
        })
        .collect();
    assert_eq!(aggregates, [(1, 1), (2, 1), (3, 2)]);
}

#[test]
fn operators_act_once_and_by_name() {
    use exchange_core::command::AdminAction;
    let mut e = Exchange::new();
    let credit = |amount: &str| {
        let amount = units(amount).into();
        crate::support::admin(AdminAction::Credit { account: ALICE, asset: BTC, amount, reference: "deposit-7".into() })
    };
    e.must(&credit("5"));
    let length = e.journal.len();
    e.must(&credit("5"));
    assert_eq!((e.journal.len(), e.balance(ALICE, BTC).as_str()), (length, "1005/0"), "the same reference again does nothing");
    assert!(e.run(&credit("6")).is_err(), "the same reference for another credit is an error");
    let acted =
        e.journal.iter().filter(|event| matches!(event, Event::OperatorActed { actor, .. } if &**actor == "test")).count();
    assert_eq!(acted, 3 + 3 + 6 + 1, "every action has an actor and a reason");
    let total: money::Amount = e.state.trial_balance().iter().map(|(_, sum)| sum).sum();
    assert_eq!(total, 0);
}
