//! Tests that compare the fast exchange and the naive one under the same random commands: equal answers, books and balances after
//! every command.

use crate::naive::{Naive, Shown};
use crate::support::{ALICE, BOB, BTC, CAROL, Exchange, MARKET, Random, SECOND, USDT, admin, filters, some_commission, units};
use exchange_core::command::{AdminAction, Canceled, Command, ListReport, Outcome};
use exchange_core::limits::{ExchangeLimits, MarketLimits};
use exchange_core::market::Filters;
use exchange_core::money::Amount;
use exchange_core::order::{Order, Side};
use std::collections::BTreeMap;

fn order(o: &Order) -> (u64, &'static str, i64, i128) {
    (o.id, o.status.text(), o.executed, o.executed_quote)
}

fn list(report: &ListReport) -> Shown {
    report.orders.iter().map(|placed| order(&placed.order)).collect()
}

fn canceled(canceled: &Canceled) -> Shown {
    match canceled {
        Canceled::Order(o) => vec![order(o)],
        Canceled::List(report) => list(report),
    }
}

fn shown(outcome: &Outcome) -> Shown {
    match outcome {
        Outcome::Placed(placed) => vec![order(&placed.order)],
        Outcome::Canceled(one) => canceled(one),
        Outcome::CanceledAll(all) => all.iter().flat_map(canceled).collect(),
        Outcome::CancelReplaced(both) => {
            let cancel = both.cancel.as_ref().map(canceled).unwrap_or_default();
            let new = both.new.as_ref().and_then(|new| new.as_ref().ok());
            cancel.into_iter().chain(new.map(|placed| order(&placed.order))).collect()
        }
        Outcome::List(report) => list(report),
        Outcome::Amended(amended) => vec![order(&amended.order)],
        _ => Vec::new(),
    }
}

fn compare(seed: u64, step: usize, command: &Command, fast: &Exchange, slow: &Naive) {
    let at = || format!("seed {seed}, step {step}, after {command:?}");
    for account in [ALICE, BOB, CAROL, exchange_core::FEES] {
        for asset in [BTC, USDT] {
            let balance = fast.state.balance(account, asset);
            let naive = slow.balances.get(&(account, asset)).copied().unwrap_or_default();
            assert_eq!((balance.free, balance.locked), naive, "account {account} asset {asset}, {}", at());
        }
    }
    let mut open: Vec<_> = slow
        .open
        .iter()
        .map(|o| {
            (
                o.id,
                o.new.quantity,
                o.new.client_id,
                o.amendments,
                o.executed,
                o.prevented,
                o.hold,
                o.waiting || o.pending,
                o.shown,
                o.best.is_some(),
            )
        })
        .collect();
    open.sort_unstable_by_key(|o| o.0);
    let mut real: Vec<_> = [ALICE, BOB, CAROL]
        .iter()
        .flat_map(|account| fast.state.open_orders(*account, None))
        .map(|o| {
            let amendments = fast.state.amendments(o.id) as usize;
            (
                o.id,
                o.quantity,
                o.client_id,
                amendments,
                o.executed,
                o.prevented,
                o.hold,
                !o.working,
                o.shown,
                o.tracking_since > 0,
            )
        })
        .collect();
    real.sort_unstable_by_key(|o| o.0);
    assert_eq!(real, open, "open orders, {}", at());
    let depth = fast.state.depth(MARKET, usize::MAX);
    for (side, levels) in [(Side::Buy, depth.bids), (Side::Sell, depth.asks)] {
        let mut naive: BTreeMap<i64, Amount> = BTreeMap::new();
        for o in slow.open.iter().filter(|o| o.arrived.is_some() && o.new.side == side) {
            *naive.entry(o.new.price).or_default() += Amount::from(o.visible());
        }
        let mut levels = levels;
        levels.sort_unstable();
        assert_eq!(levels, naive.into_iter().collect::<Vec<_>>(), "{side} levels, {}", at());
    }
    assert_eq!(fast.state.last_price(MARKET).unwrap_or(0), slow.last_price(), "last price, {}", at());
}

/// With this filter the operator's filters apply too.
const TIGHT_ALGO_ORDERS: u32 = 3;

/// When triggered orders run.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Pace {
    /// In the decision that reached them: feature level 1.
    AtOnce,
    /// All, after each command.
    Drained,
    /// Some of them, between commands: other commands, including cancels, run first.
    Some,
}

/// Filters that an operator added, and that refuse often.
fn add_limits(fast: &mut Exchange, slow: &mut Naive) {
    slow.market_limits = MarketLimits {
        max_position: units("1010"),
        max_lists: 3,
        iceberg_parts: 20,
        max_icebergs: 2,
        max_amends: 2,
        trailing_above: [40, 300],
        trailing_below: [20, 0],
    };
    slow.limits = ExchangeLimits { max_orders: 11, max_algo_orders: 2, max_lists: 2, max_icebergs: 1 };
    fast.must(&admin(AdminAction::SetMarketLimits { market: MARKET, limits: slow.market_limits }));
    fast.must(&admin(AdminAction::SetExchangeLimits { limits: slow.limits }));
}

/// Runs both for `steps` commands; returns the number of accepted commands, of trades and of amendments.
fn run(seed: u64, steps: usize, filters: Filters, pace: Pace) -> (usize, usize, usize) {
    let mut random = Random(seed);
    let mut fast = match pace {
        Pace::AtOnce => Exchange::of_level_1(filters.clone(), some_commission()),
        _ => Exchange::with(filters.clone(), some_commission()),
    };
    fast.works = pace == Pace::Drained;
    let limited = filters.max_algo_orders == TIGHT_ALGO_ORDERS;
    let mut slow = Naive::new(filters, some_commission());
    if limited {
        add_limits(&mut fast, &mut slow);
    }
    slow.newest_level = pace != Pace::AtOnce;
    for account in [ALICE, BOB, CAROL] {
        slow.balances.insert((account, BTC), (units("1000").into(), 0));
        slow.balances.insert((account, USDT), (units("1000000").into(), 0));
    }
    let (mut accepted, mut amended) = (0, 0);
    for step in 0..steps {
        let command = random.command(slow.last_id, slow.last_list);
        fast.now += random.below(3) as i64 * 10 * SECOND;
        let answer = fast.run(&command);
        let naive = slow.run(&command, fast.now);
        let steps = if pace == Pace::Some { random.below(4) as usize } else { usize::MAX };
        for _ in 0..steps {
            let more = slow.step(fast.now);
            if pace == Pace::Some {
                assert_eq!(fast.work(), more, "seed {seed}, step {step}: queued work");
            }
            if !more {
                break;
            }
        }
        accepted += usize::from(answer.is_ok());
        amended += usize::from(matches!(answer, Ok(Outcome::Amended(_))));
        let answer = answer.as_ref().map(shown).map_err(ToString::to_string);
        assert_eq!(answer, naive, "seed {seed}, step {step}, {command:?}");
        compare(seed, step, &command, &fast, &slow);
    }
    (accepted, slow.trades.len(), amended)
}

#[test]
fn the_fast_exchange_does_what_the_slow_one_does() {
    for pace in [Pace::AtOnce, Pace::Drained, Pace::Some] {
        let (mut accepted, mut trades, mut amendments) = (0, 0, 0);
        for seed in 0..40 {
            let (more, traded, amended) = run(seed, 800, filters(), pace);
            accepted += more;
            trades += traded;
            amendments += amended;
        }
        assert_eq!(amendments > 80, pace != Pace::AtOnce, "{pace:?}: {amendments} amendments");
        assert!(accepted > 10_000 && trades > 3_000, "{pace:?} does something: {accepted} accepted, {trades} trades");
    }
}

#[test]
fn also_where_filters_refuse_often() {
    let tight = Filters {
        max_orders: 12,
        max_algo_orders: TIGHT_ALGO_ORDERS,
        min_notional: units("60").into(),
        max_notional: units("250").into(),
        apply_max_to_market: true,
        bid_multiplier_up: units("1.05"),
        bid_multiplier_down: units("0.95"),
        ask_multiplier_up: units("1.06"),
        ask_multiplier_down: units("0.94"),
        market_min_quantity: units("0.7"),
        market_max_quantity: units("1.9"),
        market_step_size: units("0.002"),
        average_minutes: 2,
        ..filters()
    };
    for seed in 1_000..1_030 {
        let (accepted, ..) = run(seed, 600, tight.clone(), if seed % 2 == 0 { Pace::Drained } else { Pace::Some });
        assert!(accepted > 45, "seed {seed}: {accepted} accepted");
    }
}
