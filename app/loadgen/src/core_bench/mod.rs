//! This module measures the pure core: one thread, no I/O. It must not use a server.
//!
//! One operation is: deciding a command (filters, client id, hold, matching), applying its events, creating the reply's value,
//! encoding its events into the batch, and the batch's checksum.

pub mod cascade;
pub mod memory;
pub mod stream;

use crate::foundation;
use crate::measure::{median, processor};
use anyhow::{Result, bail};
use exchange_core::command::Command;
use exchange_core::{State, batch};
use hdrhistogram::Histogram;
use std::hint::black_box;
use std::time::Instant;

/// Commands per journal batch in this benchmark, all decided with one clock reading.
pub const BATCH: usize = 64;
/// Orders on the books before the measurement starts.
pub const WARM: usize = 20_000;

/// Size of the measurement.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub rounds: usize,
    pub commands: usize,
}

impl Size {
    pub const FULL: Self = Self { rounds: 7, commands: 600_000 };
    pub const QUICK: Self = Self { rounds: 2, commands: 60_000 };
}

/// Medians over the rounds.
#[derive(Debug, Clone, Copy)]
pub struct CoreFigures {
    /// Million operations per second of processor time.
    pub mops_per_cpu_second: f64,
    /// Latency of one decision, from a separate pass that times each decision.
    pub p50_ns: f64,
    pub p99_ns: f64,
    pub events_per_command: f64,
    pub bytes_per_command: f64,
    /// Million events per second of processor time: decoded from a batch and applied.
    pub replay_mevents_per_cpu_second: f64,
}

struct MeasuredRound {
    cpu_seconds: f64,
    events: usize,
    bytes: usize,
    batches: Vec<Vec<u8>>,
}

/// Runs the commands in batches, as the leader does.
fn decide_all(state: &mut State, commands: &[Command], keep: bool) -> Result<MeasuredRound> {
    let (mut events, mut bytes) = (Vec::with_capacity(BATCH * 8), Vec::with_capacity(BATCH * 1024));
    let mut round = MeasuredRound { cpu_seconds: 0.0, events: 0, bytes: 0, batches: Vec::new() };
    let (mut refused, mut replies) = (0, Vec::with_capacity(BATCH));
    let start = processor::of_this_thread()?;
    for (number, chunk) in commands.chunks(BATCH).enumerate() {
        let now = stream::START + number as i64 * 25;
        for command in chunk {
            replies.push(state.decide(command, now, &mut events));
        }
        batch::encode(&events, &mut bytes);
        black_box(batch::checksum(&bytes));
        // Hold the replies until the batch ends, as the leader does until it is durable.
        refused += black_box(&replies).iter().filter(|reply| reply.is_err()).count();
        replies.clear();
        round.events += events.len();
        round.bytes += bytes.len();
        if keep {
            round.batches.push(bytes.clone());
        }
        events.clear();
        bytes.clear();
    }
    round.cpu_seconds = (processor::of_this_thread()? - start).as_secs_f64();
    if refused > 0 {
        bail!("{refused} commands of the core's benchmark were refused; every one must be accepted");
    }
    Ok(round)
}

fn latencies(state: &mut State, commands: &[Command]) -> Result<Histogram<u64>> {
    let mut histogram = Histogram::new(3)?;
    let (mut events, mut bytes) = (Vec::with_capacity(BATCH * 8), Vec::with_capacity(BATCH * 1024));
    for (number, command) in commands.iter().enumerate() {
        let now = stream::START + (number / BATCH) as i64 * 25;
        events.clear();
        bytes.clear();
        let start = Instant::now();
        black_box(state.decide(command, now, &mut events)).ok();
        batch::encode(&events, &mut bytes);
        histogram.record(start.elapsed().as_nanos() as u64)?;
    }
    Ok(histogram)
}

fn replay(mut state: State, batches: &[Vec<u8>]) -> Result<f64> {
    let start = processor::of_this_thread()?;
    for bytes in batches {
        black_box(batch::checksum(bytes));
        for event in batch::decode(bytes)? {
            state.evolve(&event);
        }
    }
    black_box(&state);
    Ok((processor::of_this_thread()? - start).as_secs_f64())
}

/// Runs the measurement.
pub fn run(seed: u64, size: Size) -> Result<CoreFigures> {
    let mut generator = stream::CommandStream::new(foundation::lay(u32::MAX, stream::START, &mut Vec::new())?, seed);
    for _ in 0..WARM {
        let command = generator.resting(1_000)?;
        generator.apply(&command)?;
    }
    let warm = generator.state().clone();
    let commands = (0..size.commands).map(|_| generator.draw()).collect::<Result<Vec<_>>>()?;
    let (mut rates, mut p50, mut p99, mut replays) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut events, mut bytes) = (0, 0);
    for _ in 0..size.rounds {
        let mut state = warm.clone();
        let round = decide_all(&mut state, &commands, false)?;
        if state.open_order_count() != generator.state().open_order_count() {
            bail!("two runs of the same commands ended with different books");
        }
        rates.push(commands.len() as f64 / round.cpu_seconds / 1e6);
        (events, bytes) = (round.events, round.bytes);
        let histogram = latencies(&mut warm.clone(), &commands)?;
        p50.push(histogram.value_at_quantile(0.5) as f64);
        p99.push(histogram.value_at_quantile(0.99) as f64);
        let kept = decide_all(&mut warm.clone(), &commands, true)?;
        replays.push(kept.events as f64 / replay(warm.clone(), &kept.batches)? / 1e6);
    }
    let commands = commands.len() as f64;
    Ok(CoreFigures {
        mops_per_cpu_second: median(&rates),
        p50_ns: median(&p50),
        p99_ns: median(&p99),
        events_per_command: events as f64 / commands,
        bytes_per_command: bytes as f64 / commands,
        replay_mevents_per_cpu_second: median(&replays),
    })
}
