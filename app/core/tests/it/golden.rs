//! Tests with journals written by earlier releases: this release must replay each to the state that it had then.
//!
//! A release that changes the written bytes adds a row and a file (run with `WRITE_GOLDEN=<release>`); an existing file must not
//! change.

#![expect(clippy::disallowed_methods, reason = "the journals of releases are files")]

use crate::support::{ALICE, BOB, CAROL, Exchange, MARKET, Random, SECOND, USDT, admin, filters, some_commission, units};
use exchange_core::command::{AccountRights, AdminAction};
use exchange_core::event::{Event, FEATURE_LEVEL};
use exchange_core::limits::{ExchangeLimits, MarketLimits};
use exchange_core::market::{Commission, Filters, MarketStatus};
use exchange_core::money::Amount;
use exchange_core::protection::{Breaker, PriceRange};
use exchange_core::{State, batch};
use rustc_hash::FxHashSet;
use std::mem::discriminant;
use std::path::PathBuf;

/// Journal, sequence and state hash at its end.
const RELEASES: &[(&str, u64, u64)] = &[
    ("0.1.0", 2287, 8796143481078),
    ("0.1.0-operator", 1959, 12027315539885),
    ("0.2.0-level-2", 2006, 1884001697053),
    ("0.3.0-level-3", 1552, 6708238990194),
    ("0.4.0-level-4", 2032, 9713441136463),
    ("0.5.0-level-5", 2802, 7040934064451),
    ("0.6.0-level-6", 3024, 22958918610104),
    ("0.7.0-level-7", 3152, 4769194339601),
];

/// Of [`Event`].
const EVENT_KINDS: usize = 35;

fn path(release: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/journal-{release}.bin"))
}

/// Customers' commands mixed with operators' actions. Together with the kinds that nothing emits yet, its events cover every
/// kind.
fn write(release: &str) {
    let mut random = Random(2_026);
    let mut exchange = Exchange::with(filters(), some_commission());
    let mut operator = operator_actions().into_iter();
    for step in 0..1_200 {
        exchange.now += random.below(2) as i64 * SECOND;
        let command = random.command(step / 2, step / 20);
        let _ = exchange.run(&command);
        if step % 100 == 50
            && let Some(action) = operator.next()
        {
            exchange.must(&admin(action));
        }
    }
    assert!(operator.next().is_none(), "every action was done");
    exchange.journal.extend([Event::CommandDone { id: u128::MAX - 7 }, Event::FeatureLevel(FEATURE_LEVEL)]);
    write_batches(release, &exchange);
}

fn operator_actions() -> Vec<AdminAction> {
    let rights = |trade| AccountRights { trade, withdraw: false, deposit: true };
    let tighter = Filters { min_quantity: units("0.002"), max_orders: 200, ..filters() };
    vec![
        AdminAction::SetFilters { market: MARKET, filters: tighter },
        AdminAction::SetMarketStatus { market: MARKET, status: MarketStatus::CancelOnly },
        AdminAction::SetMarketStatus { market: MARKET, status: MarketStatus::Trading },
        AdminAction::SetCommission { market: MARKET, commission: Commission::default() },
        AdminAction::SetAccountCommission { account: ALICE, commission: Some(some_commission()) },
        AdminAction::SetAccountCommission { account: BOB, commission: None },
        AdminAction::SetAccountRights { account: CAROL, rights: rights(false) },
        AdminAction::CancelAccountOrders { account: CAROL },
        AdminAction::SetAccountRights { account: CAROL, rights: rights(true) },
        AdminAction::Credit { account: ALICE, asset: USDT, amount: -Amount::from(units("12.5")), reference: "out-1".into() },
        AdminAction::Note { text: "an API key was made".into() },
    ]
}

/// Additions of feature level 2: stops that wait for their turn, cancels in chunks, protections.
fn write_level_2(release: &str) {
    let mut exchange = Exchange::with(filters(), some_commission());
    let mut random = Random(2_027);
    let percent = |text: &str| units(text);
    let range = PriceRange { bid_up: percent("1.1"), bid_down: percent("0.9"), ask_up: percent("1.1"), ask_down: percent("0.9") };
    exchange.must(&admin(AdminAction::SetReferencePrice { market: MARKET, price: units("100") }));
    exchange.must(&admin(AdminAction::SetPriceRange { market: MARKET, rule: Some(range) }));
    let breaker = Breaker { deviation: units("0.03"), pause: 30 * SECOND };
    exchange.must(&admin(AdminAction::SetBreaker { market: MARKET, breaker: Some(breaker) }));
    exchange.works = false;
    for step in 0..1_200 {
        exchange.now += random.below(3) as i64 * SECOND;
        let _ = exchange.run(&random.command(step / 2, step / 20));
        if random.chance(60) {
            exchange.work();
        }
    }
    exchange.must(&admin(AdminAction::SetPriceRange { market: MARKET, rule: None }));
    exchange.must(&admin(AdminAction::SetBreaker { market: MARKET, breaker: None }));
    exchange.must(&admin(AdminAction::DelistMarket { market: MARKET }));
    while exchange.work() {}
    write_batches(release, &exchange);
}

/// The addition of feature level 3: markers of forwarded commands, with both halves of a cancel-replace refused and not.
fn write_level_3(release: &str) {
    let mut exchange = Exchange::with(filters(), some_commission());
    let mut random = Random(2_028);
    for step in 0..600u64 {
        exchange.now += random.below(3) as i64 * SECOND;
        let command = random.command(step / 2, step / 20);
        while exchange.state.must_wait(&command) && exchange.work() {}
        let id = u128::from(step) << 64 | 7;
        let _ = exchange.state.decide_forwarded(id, &command, exchange.now, &mut exchange.journal);
        while exchange.work() {}
    }
    write_batches(release, &exchange);
}

/// Additions of feature level 4: amendments, of single orders and of pairs, and decremented orders.
fn write_level_4(release: &str) {
    let mut exchange = Exchange::with(filters(), some_commission());
    let mut random = Random(2_029);
    for step in 0..1_200 {
        exchange.now += random.below(3) as i64 * SECOND;
        let _ = exchange.run(&random.command(step / 2, step / 20));
    }
    write_batches(release, &exchange);
}

/// Additions of feature level 5: orders that wait for the working order of their list, with every end of such a list, and
/// filters that an operator added.
fn write_level_5(release: &str) {
    let mut exchange = Exchange::with(filters(), some_commission());
    exchange.works = false;
    let limits = ExchangeLimits { max_orders: 60, max_algo_orders: 40, max_lists: 9, ..Default::default() };
    exchange.must(&admin(AdminAction::SetExchangeLimits { limits }));
    let limits = MarketLimits { max_position: units("2000"), max_lists: 8, ..Default::default() };
    exchange.must(&admin(AdminAction::SetMarketLimits { market: MARKET, limits }));
    run_commands(&mut exchange, Random(2_030));
    write_batches(release, &exchange);
}

/// Additions of feature level 6: iceberg orders, alone and in lists, and the filters of that level.
fn write_level_6(release: &str) {
    let mut exchange = Exchange::with(filters(), some_commission());
    exchange.works = false;
    let limits = ExchangeLimits { max_icebergs: 40, ..Default::default() };
    exchange.must(&admin(AdminAction::SetExchangeLimits { limits }));
    let limits = MarketLimits { iceberg_parts: 30, max_icebergs: 20, max_amends: 3, ..Default::default() };
    exchange.must(&admin(AdminAction::SetMarketLimits { market: MARKET, limits }));
    run_commands(&mut exchange, Random(2_031));
    write_batches(release, &exchange);
}

/// Additions of feature level 7: trailing stop orders, alone and in lists, and their filter.
fn write_level_7(release: &str) {
    let mut exchange = Exchange::with(filters(), some_commission());
    exchange.works = false;
    let limits = MarketLimits { trailing_above: [20, 400], trailing_below: [0, 300], ..Default::default() };
    exchange.must(&admin(AdminAction::SetMarketLimits { market: MARKET, limits }));
    run_commands(&mut exchange, Random(2_032));
    write_batches(release, &exchange);
}

/// Random commands, with a queue that is not always empty.
fn run_commands(exchange: &mut Exchange, mut random: Random) {
    for _ in 0..1_500 {
        exchange.now += random.below(3) as i64 * SECOND;
        let (orders, lists) = (exchange.last_order(), exchange.last_list());
        let _ = exchange.run(&random.command(orders, lists));
        if random.chance(60) {
            exchange.work();
        }
    }
}

/// Batches, each preceded by its length (4 bytes, little endian).
fn write_batches(release: &str, exchange: &Exchange) {
    let mut file = Vec::new();
    for chunk in exchange.journal.chunks(50) {
        let mut bytes = Vec::new();
        batch::encode(chunk, &mut bytes);
        file.extend((bytes.len() as u32).to_le_bytes());
        file.extend(bytes);
    }
    std::fs::create_dir_all(path(release).parent().expect("a folder")).expect("made");
    std::fs::write(path(release), file).expect("written");
}

#[test]
fn every_release_is_replayed() {
    if let Ok(release) = std::env::var("WRITE_GOLDEN") {
        match release.rsplit_once("-level-") {
            Some((_, "2")) => write_level_2(&release),
            Some((_, "3")) => write_level_3(&release),
            Some((_, "4")) => write_level_4(&release),
            Some((_, "5")) => write_level_5(&release),
            Some((_, "6")) => write_level_6(&release),
            Some((_, "7")) => write_level_7(&release),
            _ => write(&release),
        }
    }
    let mut kinds = FxHashSet::default();
    for (release, sequence, hash) in RELEASES {
        let file = std::fs::read(path(release)).unwrap_or_else(|e| panic!("the golden journal of {release}: {e}"));
        let mut rest = file.as_slice();
        let mut state = State::new();
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            let (bytes, next) = after.split_at(u32::from_le_bytes(*length) as usize);
            for event in batch::decode(bytes).unwrap_or_else(|e| panic!("{release}: {e}")) {
                kinds.insert(discriminant(&event));
                state.evolve(&event);
            }
            rest = next;
        }
        assert_eq!((state.sequence(), state.hash()), (*sequence, *hash), "release {release}");
    }
    assert_eq!(
        kinds.len(),
        EVENT_KINDS,
        "no release's journal contains this kind, so a change to it is not detected: write one that does"
    );
}

#[test]
fn a_higher_feature_level_is_refused() {
    let encoded = |event: Event| {
        let mut bytes = Vec::new();
        batch::encode(&[event], &mut bytes);
        bytes
    };
    assert!(batch::decode(&encoded(Event::FeatureLevel(FEATURE_LEVEL))).is_ok());
    let later = "a feature level that this release knows: run the newer release";
    let refused = batch::decode(&encoded(Event::FeatureLevel(FEATURE_LEVEL + 1))).expect_err("as an event");
    assert_eq!(refused.expected, later);
    let mut header = encoded(Event::Clock(1));
    header[1] = FEATURE_LEVEL as u8 + 1;
    assert_eq!(batch::decode(&header).expect_err("in the header").expected, later);
    let mut unknown = encoded(Event::Clock(1));
    unknown[3] = 99;
    assert_eq!(
        batch::decode(&unknown).expect_err("a kind").expected,
        "an event kind that this release knows: run the release that wrote it"
    );
}
