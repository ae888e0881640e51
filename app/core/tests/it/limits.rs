//! Tests of the filters that an operator may add: MAX_POSITION, MAX_NUM_ORDER_LISTS, and the filters of one account over all markets.

use crate::support::{ALICE, BOB, BTC, Exchange, MARKET, USDT, admin, filters, leg, pair, replay, units};
use exchange_core::State;
use exchange_core::command::{AdminAction, Command, NewOrder};
use exchange_core::event::Event;
use exchange_core::limits::{ExchangeLimits, MarketLimits};
use exchange_core::order::{OrderType, Side};

fn set(exchange: &mut Exchange, max_position: &str, max_lists: u32) {
    let limits = MarketLimits { max_position: units(max_position), max_lists, ..Default::default() };
    exchange.must(&admin(AdminAction::SetMarketLimits { market: MARKET, limits }));
}

fn refused(exchange: &mut Exchange, order: NewOrder) -> String {
    let begun = exchange.journal.len();
    let refusal = exchange.run(&Command::Place(order)).expect_err("a filter").to_string();
    assert_eq!(exchange.journal.len(), begun, "a refusal has no effect");
    refusal
}

#[test]
fn a_position_counts_balances_and_open_buys() {
    let mut exchange = Exchange::new();
    set(&mut exchange, "1002", 0);
    exchange.place_limit(ALICE, Side::Sell, "110", "400");
    exchange.place_limit(ALICE, Side::Buy, "90", "1.5");
    let over = exchange.limit(ALICE, Side::Buy, "90", "0.6");
    assert_eq!(refused(&mut exchange, over), "Filter failure: MAX_POSITION", "1000 held, 1.5 open, 0.6 new");
    // An executed part is in the balance, and counts once.
    exchange.place_limit(BOB, Side::Sell, "90", "1");
    let fits = exchange.limit(ALICE, Side::Buy, "90", "0.5");
    exchange.place(fits);
    let sell = exchange.limit(ALICE, Side::Sell, "120", "1");
    exchange.place(sell);
    let market = NewOrder { quote_order_quantity: units("50").into(), ..exchange.order(ALICE, Side::Buy, OrderType::Market) };
    exchange.place_limit(BOB, Side::Sell, "100", "1");
    assert!(exchange.run(&Command::Place(market)).is_ok(), "its quantity is not known before the match");
    set(&mut exchange, "0", 0);
    exchange.place_limit(ALICE, Side::Buy, "90", "50");
}

#[test]
fn counts_of_an_account_hold_over_all_markets() {
    let mut exchange = Exchange::new();
    let other = AdminAction::CreateMarket {
        symbol: "BTCEUR".into(),
        base: BTC,
        quote: USDT,
        filters: filters(),
        commission: Default::default(),
    };
    exchange.must(&admin(other));
    let limits = ExchangeLimits { max_orders: 3, max_algo_orders: 1, max_lists: 1, ..Default::default() };
    exchange.must(&admin(AdminAction::SetExchangeLimits { limits }));
    let on = |order: NewOrder| NewOrder { market: MARKET + 1, ..order };
    let stop = |exchange: &mut Exchange| {
        let order = exchange.order(ALICE, Side::Sell, OrderType::StopLoss);
        NewOrder { stop_price: units("90"), quantity: units("1"), ..order }
    };
    let first = stop(&mut exchange);
    exchange.place(on(first));
    let second = stop(&mut exchange);
    assert_eq!(refused(&mut exchange, second), "Filter failure: EXCHANGE_MAX_NUM_ALGO_ORDERS");
    exchange.place_limit(ALICE, Side::Buy, "90", "1");
    let (above, below) = (leg(OrderType::LimitMaker, "110", "0", "a"), leg(OrderType::StopLossLimit, "89", "90", "b"));
    let list = Command::PlaceOco(pair(Side::Sell, "1", above, below));
    assert_eq!(exchange.run(&list).expect_err("two more").to_string(), "Filter failure: EXCHANGE_MAX_NUM_ORDERS");
    let last = exchange.limit(ALICE, Side::Buy, "90", "1");
    exchange.place(on(last));
    let full = exchange.limit(ALICE, Side::Buy, "90", "1");
    assert_eq!(refused(&mut exchange, full), "Filter failure: EXCHANGE_MAX_NUM_ORDERS");
    let bobs = exchange.limit(BOB, Side::Buy, "90", "1");
    exchange.place(bobs);
    // The counts come back from a snapshot, and fall when an order ends.
    let mut bytes = Vec::new();
    exchange.state.encode(&mut bytes);
    exchange.state = State::decode(&bytes).expect("a snapshot");
    let full = exchange.limit(ALICE, Side::Buy, "90", "1");
    assert_eq!(refused(&mut exchange, full.clone()), "Filter failure: EXCHANGE_MAX_NUM_ORDERS");
    exchange.must(&Command::CancelAll { account: ALICE, market: MARKET });
    exchange.place(full);
    assert_eq!(replay(&exchange.journal).hash(), exchange.state.hash());
}

#[test]
fn open_order_lists_are_counted() {
    let mut exchange = Exchange::new();
    set(&mut exchange, "0", 1);
    let list = |name: &str| {
        let (above, below) =
            (leg(OrderType::LimitMaker, "110", "0", &format!("{name}-a")), leg(OrderType::StopLoss, "0", "90", name));
        let mut new = pair(Side::Sell, "1", above, below);
        new.list_client_id = crate::support::client_id(name);
        Command::PlaceOco(new)
    };
    exchange.must(&list("first"));
    assert_eq!(exchange.run(&list("second")).expect_err("one").to_string(), "Filter failure: MAX_NUM_ORDER_LISTS");
    exchange.must(&Command::CancelAll { account: ALICE, market: MARKET });
    exchange.must(&list("second"));
    set(&mut exchange, "0", 0);
    let limits = ExchangeLimits { max_lists: 1, ..ExchangeLimits::default() };
    exchange.must(&admin(AdminAction::SetExchangeLimits { limits }));
    assert_eq!(exchange.run(&list("third")).expect_err("one").to_string(), "Filter failure: EXCHANGE_MAX_NUM_ORDER_LISTS");
}

#[test]
fn operators_add_filters_from_level_5_on() {
    let mut exchange = Exchange::new();
    set(&mut exchange, "12.5", 3);
    let note = exchange.journal.iter().rev().find_map(|event| match event {
        Event::OperatorActed { action, .. } => Some(action.to_string()),
        _ => None,
    });
    assert_eq!(note.as_deref(), Some("set limits of BTCUSDT: maxPosition 12.50000000, maxNumOrderLists 3"));
    let negative = MarketLimits { max_position: -1, ..Default::default() };
    let refusal = exchange.run(&admin(AdminAction::SetMarketLimits { market: MARKET, limits: negative })).expect_err("below 0");
    assert_eq!(refusal.to_string(), "maxPosition must be above 0, or 0 for no such filter");
    let mut old = Exchange::of_level_1(filters(), Default::default());
    let refusal = old.run(&admin(AdminAction::SetExchangeLimits { limits: ExchangeLimits::default() })).expect_err("level 1");
    assert!(refusal.to_string().starts_with("this needs feature level 5"), "{refusal}");
}

#[test]
fn a_position_below_the_smallest_order_is_refused() {
    let mut exchange = Exchange::new();
    let limits = MarketLimits { max_position: filters().min_quantity - 1, ..MarketLimits::default() };
    let refusal = exchange.run(&admin(AdminAction::SetMarketLimits { market: MARKET, limits })).unwrap_err().to_string();
    assert!(refusal.contains("is below minQty 0.00100000"), "{refusal}");
    set(&mut exchange, "0.001", 0);
}
