//! This module measures the cost of a cascade: stops at one price, all reached by one order. It must not use a server.
//!
//! The measurement covers the work of the leader's thread: the order that reaches them, each triggered order as a separate
//! decision, encoding and checksum. Each stop sells to one resting bid.

use super::stream;
use crate::foundation::{self, FIRST_ACCOUNT};
use crate::measure::{median, processor};
use crate::workload::{ACCOUNTS, MARKETS};
use anyhow::{Context, Result, ensure};
use exchange_core::command::{Command, NewOrder};
use exchange_core::event::Event;
use exchange_core::money::{Price, SCALE, Time};
use exchange_core::order::{AccountId, ClientId, OrderType, Side, StpMode, TimeInForce};
use exchange_core::{State, batch};
use std::hint::black_box;

/// Stops of the two cascades that are compared.
pub const SMALL: u32 = 1_000;
pub const LARGE: u32 = 10_000;
/// Number of price levels with bids.
const LEVELS: i64 = 100;
const QUANTITY: i64 = SCALE / 100;
const CENT: Price = SCALE / 100;

/// Processor time of the large cascade in milliseconds, and its ratio to the small one's.
#[derive(Debug, Clone, Copy)]
pub struct CascadeFigures {
    pub large_ms: f64,
    pub large_over_small: f64,
}

/// Runs of the large and the small cascade in one measurement: the clock of processor time is coarser than one run.
const LARGE_RUNS: usize = 20;
const SMALL_RUNS: usize = 200;

/// Medians over `rounds`, alternating the two cascades.
pub fn run(rounds: usize) -> Result<CascadeFigures> {
    let (small, large) = (before(SMALL)?, before(LARGE)?);
    let (mut small_ms, mut large_ms) = (Vec::new(), Vec::new());
    for _ in 0..rounds.max(3) {
        small_ms.push(cascades(&small, SMALL, SMALL_RUNS)?);
        large_ms.push(cascades(&large, LARGE, LARGE_RUNS)?);
    }
    Ok(CascadeFigures { large_ms: median(&large_ms), large_over_small: median(&large_ms) / median(&small_ms) })
}

/// Milliseconds of this thread's processor time for one cascade, the mean of `runs`.
fn cascades(state: &State, stops: u32, runs: usize) -> Result<f64> {
    let states = vec![state.clone(); runs];
    let mut after = Vec::with_capacity(runs);
    let start = processor::of_this_thread()?;
    for state in states {
        after.push(cascade(state, stops)?);
    }
    let spent = processor::of_this_thread()? - start;
    // Not measured: freeing the whole state is not part of a cascade.
    drop(black_box(after));
    Ok(spent.as_secs_f64() * 1e3 / runs as f64)
}

fn order(number: u64, account: AccountId, side: Side, kind: OrderType, price: Price) -> Result<Command> {
    let client_id = ClientId::new(&format!("cascade-{number}")).context("a client order id of the benchmark")?;
    let waits = kind == OrderType::StopLoss;
    Ok(Command::Place(NewOrder {
        account,
        market: 0,
        side,
        kind,
        time_in_force: TimeInForce::Gtc,
        stp: StpMode::None,
        price: if waits { 0 } else { price },
        stop_price: if waits { price } else { 0 },
        quantity: QUANTITY,
        quote_order_quantity: 0,
        iceberg: 0,
        trailing_delta: 0,
        client_id,
    }))
}

/// A state with `stops` waiting at one price, a bid for each below it, and one at it.
fn before(stops: u32) -> Result<State> {
    let mut state = foundation::lay(u32::MAX, stream::START, &mut Vec::new())?;
    let mid = MARKETS[0].1 * SCALE;
    let stop_price = mid - CENT;
    let mut events = Vec::new();
    let mut number = 0;
    let mut place = |account: u32, side, kind, price| -> Result<()> {
        number += 1;
        let command = order(number, FIRST_ACCOUNT + account % ACCOUNTS, side, kind, price)?;
        state.decide(&command, stream::START, &mut events).context("setting up the cascade")?;
        events.clear();
        Ok(())
    };
    place(0, Side::Sell, OrderType::Limit, mid)?;
    place(1, Side::Buy, OrderType::Limit, mid)?;
    place(1, Side::Buy, OrderType::Limit, stop_price)?;
    for stop in 0..stops {
        place(stop + 1, Side::Buy, OrderType::Limit, stop_price - (1 + i64::from(stop) % LEVELS) * CENT)?;
        place(stop, Side::Sell, OrderType::StopLoss, stop_price)?;
    }
    Ok(state)
}

fn cascade(mut state: State, stops: u32) -> Result<State> {
    let now: Time = stream::START + 1;
    let price = MARKETS[0].1 * SCALE - CENT;
    let command = order(0, FIRST_ACCOUNT, Side::Sell, OrderType::Limit, price)?;
    let (mut events, mut bytes): (Vec<Event>, Vec<u8>) = (Vec::new(), Vec::new());
    state.decide(&command, now, &mut events).context("reaching the stops")?;
    let mut triggered = 0;
    loop {
        let more = state.work(now, &mut events);
        triggered += u32::from(more);
        // About the number of events of one commit.
        if !more || events.len() >= super::BATCH * 64 {
            bytes.clear();
            batch::encode(&events, &mut bytes);
            black_box(batch::checksum(&bytes));
            events.clear();
        }
        if !more {
            break;
        }
    }
    ensure!(triggered == stops, "{triggered} of {stops} stops ran");
    Ok(state)
}
