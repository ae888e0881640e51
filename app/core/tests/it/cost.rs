//! Tests that a command's cost is at most linear in what it touches. They count visited elements, not time, so a slow machine does
//! not matter.

use crate::support::{ALICE, BOB, BTC, CAROL, Exchange, MARKET, USDT, admin, client_id, filters, leg, pair, units};
use Side::{Buy, Sell};
use exchange_core::command::{
    AdminAction, AmendOrder, CancelOrder, CancelReplaceMode, Command, NewOco, NewOrder, NewOto, Outcome, PendingOrders,
};
use exchange_core::limits::MarketLimits;
use exchange_core::market::{Commission, Filters, MarketStatus};
use exchange_core::order::{OrderId, OrderType, Side, StpMode, TimeInForce};

const SMALL: usize = 100;
const LARGE: usize = 10 * SMALL;
/// A linear cost gives 10, a quadratic one 100.
const RATIO_MAX: u64 = 12;

fn wide() -> Filters {
    Filters { max_orders: 100_000, max_algo_orders: 100_000, ..filters() }
}

/// Alice, Bob and Carol with more money than their orders need; the last price is 100.
fn exchange() -> Exchange {
    let mut e = Exchange::with(wide(), Commission::default());
    for account in [ALICE, BOB, CAROL] {
        e.credit(account, BTC, "1000000");
        e.credit(account, USDT, "100000000");
    }
    e.place_limit(ALICE, Sell, "100", "1");
    e.place_limit(BOB, Buy, "100", "1");
    e
}

/// Compares what `run` visits after `prepare` at both sizes.
fn is_linear(name: &str, prepare: impl Fn(&mut Exchange, usize), run: impl Fn(&mut Exchange, usize)) {
    let visits = |size: usize| {
        let mut e = exchange();
        prepare(&mut e, size);
        let before = exchange_core::visited()?;
        run(&mut e, size);
        Some(exchange_core::visited()? - before)
    };
    let (Some(small), Some(large)) = (visits(SMALL), visits(LARGE)) else {
        println!("skipped: this build does not count visits; run it with debug assertions");
        return;
    };
    assert!(small >= SMALL as u64, "{name}: {small} visits of {SMALL} elements: a loop does not count them");
    assert!(large <= RATIO_MAX * small, "{name}: {SMALL} cost {small} visits, {LARGE} cost {large}");
}

fn stop(e: &mut Exchange, side: Side, kind: OrderType, stop_price: &str) -> OrderId {
    let order = e.order(ALICE, side, kind);
    let price = if kind.has_price() { units(stop_price) } else { 0 };
    e.place(NewOrder { price, stop_price: units(stop_price), quantity: units("0.01"), ..order }).order.id
}

/// One trade reaches every stop, and each finds one bid (or ask) to trade with.
#[test]
fn a_cascade_of_every_type_and_side_is_linear() {
    let kinds = [
        (OrderType::StopLoss, Sell),
        (OrderType::StopLossLimit, Sell),
        (OrderType::StopLoss, Buy),
        (OrderType::StopLossLimit, Buy),
        (OrderType::TakeProfit, Sell),
        (OrderType::TakeProfitLimit, Sell),
        (OrderType::TakeProfit, Buy),
        (OrderType::TakeProfitLimit, Buy),
    ];
    for (kind, side) in kinds {
        let stop_price = if kind.triggers_above(side) { "105" } else { "95" };
        let prepare = |e: &mut Exchange, size: usize| {
            for _ in 0..size {
                stop(e, side, kind, stop_price);
                let maker = if side == Sell { "90" } else { "110" };
                e.place_limit(BOB, side.opposite(), maker, "0.01");
            }
            let (maker, taker) = if stop_price == "95" { (Buy, Sell) } else { (Sell, Buy) };
            e.place_limit(BOB, maker, stop_price, "0.01");
            let order = e.limit(CAROL, taker, stop_price, "0.01");
            e.works = false;
            e.place(order);
            assert_eq!(e.state.queued_orders(MARKET), size);
        };
        is_linear(&format!("{kind:?} {side:?}"), prepare, |e, _| while e.work() {});
    }
}

/// Each triggered stop trades at the stop price of the next one.
#[test]
fn a_chain_of_stops_is_linear() {
    let price = |number: usize| format!("{:.2}", 99.0 - number as f64 * 0.01);
    let prepare = |e: &mut Exchange, size: usize| {
        for number in 0..size {
            stop(e, Sell, OrderType::StopLoss, &price(number));
            e.place_limit(BOB, Buy, &price(number), "0.01");
        }
    };
    let run = |e: &mut Exchange, _| {
        e.place_limit(CAROL, Sell, &price(0), "0.01");
        assert_eq!(e.state.queued_orders(MARKET), 0);
    };
    is_linear("chain", prepare, run);
}

/// At the level of the first release one decision runs them all.
#[test]
fn a_cascade_at_feature_level_1_is_linear() {
    let visits = |size: usize| {
        let mut e = Exchange::of_level_1(wide(), Commission::default());
        e.place_limit(ALICE, Sell, "100", "1");
        e.place_limit(BOB, Buy, "100", "1");
        e.place_limit(BOB, Buy, "90", "500");
        (0..size).for_each(|_| _ = stop(&mut e, Sell, OrderType::StopLoss, "95"));
        let before = exchange_core::visited()?;
        e.place_limit(CAROL, Sell, "90", "1");
        Some(exchange_core::visited()? - before)
    };
    let (Some(small), Some(large)) = (visits(SMALL), visits(LARGE)) else {
        println!("skipped: this build does not count visits; run it with debug assertions");
        return;
    };
    assert!(small >= SMALL as u64 && large <= RATIO_MAX * small, "{SMALL} cost {small} visits, {LARGE} cost {large}");
}

/// A pair below and above the last price, far enough from it that nothing trades.
fn oco(number: usize) -> NewOco {
    let id = |name: &str| format!("{name}-{number}");
    let above = leg(OrderType::LimitMaker, "120", "0", &id("above"));
    let below = leg(OrderType::StopLoss, "0", "95", &id("below"));
    NewOco { list_client_id: client_id(&id("list")), ..pair(Sell, "0.01", above, below) }
}

#[test]
fn order_lists_are_placed_triggered_and_canceled_in_linear_time() {
    let place = |e: &mut Exchange, size: usize| {
        for number in 0..size {
            e.must(&Command::PlaceOco(oco(number)));
        }
    };
    is_linear("place lists", |_, _| {}, place);
    let cancel = |e: &mut Exchange, size: usize| {
        for number in 0..size {
            let client_id = Some(client_id(&format!("list-{number}")));
            e.must(&Command::CancelList { account: ALICE, market: MARKET, list: None, client_id });
        }
    };
    is_linear("cancel lists", place, cancel);
    let trigger = |e: &mut Exchange, _| {
        e.place_limit(BOB, Buy, "90", "500");
        e.place_limit(CAROL, Sell, "90", "1");
        assert_eq!(e.state.open_lists(ALICE).len(), 0);
    };
    is_linear("trigger lists", place, trigger);
}

/// One taker fills every working order; each has a pending pair.
#[test]
fn pending_orders_of_filled_lists_are_placed_in_linear_time() {
    let prepare = |e: &mut Exchange, size: usize| {
        for number in 0..size {
            let NewOco { side, quantity, above, below, list_client_id, .. } = oco(number);
            let order = |leg: exchange_core::command::OcoLeg| NewOrder {
                account: ALICE,
                market: MARKET,
                side,
                kind: leg.kind,
                time_in_force: leg.time_in_force,
                stp: StpMode::None,
                price: leg.price,
                stop_price: leg.stop_price,
                iceberg: leg.iceberg,
                trailing_delta: leg.trailing_delta,
                quantity,
                quote_order_quantity: 0,
                client_id: leg.client_id,
            };
            let working = e.limit(ALICE, Buy, "99", "0.01");
            let pending = PendingOrders::Pair { above: order(above), below: order(below) };
            e.must(&Command::PlaceOto(Box::new(NewOto { list_client_id, working, pending })));
        }
    };
    let run = |e: &mut Exchange, size: usize| {
        e.place_limit(CAROL, Sell, "99", &format!("{:.2}", size as f64 / 100.0));
        assert_eq!(e.state.open_orders(ALICE, None).len(), 2 * size);
    };
    is_linear("pending pairs", prepare, run);
}

#[test]
fn cancels_of_everything_are_linear() {
    let prepare = |e: &mut Exchange, size: usize| {
        for number in 0..size {
            stop(e, Sell, OrderType::StopLoss, "95");
            e.place_limit(ALICE, Sell, &format!("{:.2}", 110.0 + number as f64 * 0.01), "0.01");
            e.must(&Command::PlaceOco(oco(number)));
        }
    };
    is_linear("an account on one market", prepare, |e, _| _ = e.must(&Command::CancelAll { account: ALICE, market: MARKET }));
    let account = |e: &mut Exchange, _| _ = e.must(&admin(AdminAction::CancelAccountOrders { account: ALICE }));
    is_linear("an account", prepare, account);
    let market = |e: &mut Exchange, _| {
        e.set_status(MarketStatus::Halt);
        e.must(&admin(AdminAction::CancelMarketOrders { market: MARKET }));
        assert_eq!(e.state.open_order_count(), 0);
    };
    is_linear("a market", prepare, market);
    let queued = |e: &mut Exchange, size: usize| {
        prepare(e, size);
        e.works = false;
        e.place_limit(BOB, Buy, "90", "500");
        e.place_limit(CAROL, Sell, "90", "1");
        assert_eq!(e.state.queued_orders(MARKET), 2 * size);
    };
    is_linear("an account in a cascade", queued, |e, _| _ = e.must(&Command::CancelAll { account: ALICE, market: MARKET }));
}

/// `size` commands, while `size` other orders of the account wait or rest.
#[test]
fn commands_cost_the_same_for_any_number_of_other_orders() {
    let prepare = |e: &mut Exchange, size: usize| {
        for number in 0..size {
            stop(e, Sell, OrderType::StopLoss, "95");
            let order = e.limit(ALICE, Sell, "110", "0.02");
            e.place(NewOrder { client_id: client_id(&format!("rest-{number}")), ..order });
        }
    };
    let found = |number: usize| Some(client_id(&format!("rest-{number}")));
    let replace = |e: &mut Exchange, size: usize| {
        for number in 0..size {
            let (order, client_id, restriction) = (None, found(number), None);
            let cancel = CancelOrder { account: ALICE, market: MARKET, order, client_id, restriction };
            let new = e.limit(ALICE, Sell, "111", "0.01");
            let both = e.must(&Command::CancelReplace { cancel, new, mode: CancelReplaceMode::StopOnFailure });
            assert!(matches!(both, Outcome::CancelReplaced(both) if both.cancel.is_ok()));
        }
    };
    is_linear("cancel-replace", prepare, replace);
    let amend = |e: &mut Exchange, size: usize| {
        for number in 0..size {
            let (order, client_id, new_client_id) = (None, found(number), client_id(&format!("amended-{number}")));
            e.must(&Command::Amend(AmendOrder {
                account: ALICE,
                market: MARKET,
                order,
                client_id,
                new_client_id,
                quantity: units("0.01"),
            }));
        }
    };
    is_linear("amend", prepare, amend);
}

#[test]
fn self_trade_prevention_is_linear_in_every_mode() {
    let prepare = |e: &mut Exchange, size: usize| {
        for _ in 0..size {
            e.place_limit(ALICE, Sell, "101", "0.01");
        }
    };
    for stp in [StpMode::None, StpMode::ExpireMaker, StpMode::Decrement] {
        let run = |e: &mut Exchange, size: usize| {
            let order = e.limit(ALICE, Buy, "101", &format!("{:.2}", size as f64 / 100.0));
            e.place(NewOrder { stp, ..order });
            assert_eq!(e.state.level(MARKET, Sell, units("101")), 0);
        };
        is_linear(&format!("{stp:?}"), prepare, run);
    }
    for stp in [StpMode::None, StpMode::ExpireMaker, StpMode::ExpireTaker, StpMode::ExpireBoth, StpMode::Decrement] {
        let run = |e: &mut Exchange, _| {
            let order = e.limit(ALICE, Buy, "200", "1000");
            e.place(NewOrder { stp, time_in_force: TimeInForce::Fok, ..order });
        };
        let levels = |e: &mut Exchange, size: usize| {
            for number in 0..size {
                let own = format!("{:.2}", 110.0 + number as f64 * 0.01);
                e.place_limit(ALICE, Sell, &own, "0.01");
                e.place_limit(BOB, Sell, &format!("{:.2}", 100.01 + number as f64 * 0.01), "0.01");
            }
        };
        is_linear(&format!("FOK {stp:?}"), levels, run);
    }
}

/// The filter needs the account's open buys on every placement.
#[test]
fn a_position_is_checked_without_a_walk_over_open_orders() {
    let prepare = |e: &mut Exchange, _| {
        let limits = MarketLimits { max_position: units("10000000"), max_lists: 100_000, ..MarketLimits::default() };
        e.must(&admin(AdminAction::SetMarketLimits { market: MARKET, limits }));
    };
    let run = |e: &mut Exchange, size: usize| {
        for _ in 0..size {
            e.place_limit(ALICE, Buy, "90", "0.01");
        }
    };
    is_linear("MAX_POSITION", prepare, run);
}

/// One trade at `price`.
fn trade(e: &mut Exchange, price: &str) {
    e.place_limit(BOB, Sell, price, "0.01");
    e.place_limit(CAROL, Buy, price, "0.01");
}

/// Trailing sells of which each follows another extreme: 110, 109.99 and so on. They trigger at a fall by a fifth, so at 88 or below.
fn falling_extremes(e: &mut Exchange, size: usize) {
    for number in 0..size {
        trade(e, &format!("{:.2}", 110.0 - number as f64 * 0.01));
        let order = e.order(ALICE, Sell, OrderType::StopLoss);
        e.place(NewOrder { quantity: units("0.01"), trailing_delta: 2_000, ..order });
    }
    trade(e, "99");
}

#[test]
fn a_trade_costs_the_same_for_any_number_of_trailing_orders() {
    let run = |e: &mut Exchange, size: usize| (0..size).for_each(|number| trade(e, ["99", "98"][number % 2]));
    is_linear("trades that move past nothing", falling_extremes, run);
}

/// A trade above every extreme merges the groups of all orders: each group was made by one placement. The next trades at new highs
/// find one group.
#[test]
fn new_highs_cost_what_placements_have_paid() {
    is_linear("one trade past every extreme", falling_extremes, |e, _| trade(e, "111"));
    let run = |e: &mut Exchange, size: usize| {
        for number in 0..size {
            trade(e, &format!("{:.2}", 111.0 + number as f64 * 0.01));
            trade(e, "110");
        }
    };
    is_linear("many new highs", falling_extremes, run);
}

#[test]
fn a_fall_that_triggers_every_trailing_order_is_linear() {
    let prepare = |e: &mut Exchange, size: usize| {
        falling_extremes(e, size);
        e.place_limit(BOB, Buy, "79", "500");
    };
    let run = |e: &mut Exchange, _| {
        trade(e, "79.2");
        while e.work() {}
        assert_eq!(e.state.open_orders(ALICE, None).len(), 0, "79.2 is a fifth below 99");
    };
    is_linear("a fall past every trigger", prepare, run);
}

#[test]
fn a_trade_that_activates_trailing_orders_is_linear() {
    let prepare = |e: &mut Exchange, size: usize| {
        for _ in 0..size {
            let order = e.order(ALICE, Sell, OrderType::TakeProfit);
            e.place(NewOrder { stop_price: units("105"), quantity: units("0.01"), trailing_delta: 500, ..order });
        }
    };
    is_linear("an activation", prepare, |e, _| trade(e, "105"));
}
