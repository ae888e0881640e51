//! This module measures the memory of a resting order: a million of them, in a separate process. It must not estimate from type
//! sizes.

use super::stream::{self, CommandStream};
use crate::foundation;
use crate::measure::memory::resident;
use anyhow::{Context, Result, ensure};
use exchange_core::State;
use std::process::Command;

/// Number of resting orders.
pub const ORDERS: usize = 1_000_000;
/// Distance from the mid: some thousand price levels per side.
const TICKS: i64 = 5_000;

/// Fills a state with `orders` and returns the growth of resident memory, in bytes per order.
///
/// The caller's process must have done nothing else: memory retained by the allocator would hide the growth.
pub fn bytes_per_resting_order(seed: u64, orders: usize) -> Result<f64> {
    let mut generator = CommandStream::new(foundation::lay(u32::MAX, stream::START, &mut Vec::new())?, seed);
    let before = resident()?;
    for _ in 0..orders {
        let command = generator.resting(TICKS)?;
        generator.place_unlisted(&command)?;
    }
    let after = resident()?;
    let state: &State = generator.state();
    ensure!(state.open_order_count() == orders, "{} of {orders} orders rest", state.open_order_count());
    Ok(after.saturating_sub(before) as f64 / orders as f64)
}

/// The same, in a new process of this program.
pub fn in_a_fresh_process(seed: u64, orders: usize) -> Result<f64> {
    let program = std::env::current_exe().context("finding this program")?;
    let arguments = ["bench", "memory", "--seed", &seed.to_string(), "--orders", &orders.to_string()];
    let output = Command::new(program).args(arguments).output().context("starting the memory measurement")?;
    ensure!(output.status.success(), "the memory measurement failed: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    text.trim().parse().with_context(|| format!("the memory measurement answered {text:?}"))
}
