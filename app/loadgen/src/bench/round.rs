//! This module runs one arm's part of a round: both closed loops, and their costs. It must not use another arm.

use super::arm::{ArmPlace, Cost};
use super::{FEW, MANY};
use crate::client::Credentials;
use crate::load::{self, LoadResult};
use crate::workload::Workload;
use anyhow::Result;
use std::ops::Range;

/// Connections of the loop over the WebSocket API.
const SOCKETS: usize = 8;

pub struct Round {
    pub few: LoadResult,
    pub many: LoadResult,
    /// Until the last acknowledgement of each loop. The worker's time is counted separately.
    pub acknowledged: Cost,
    /// Until the tables contain everything.
    pub projected: Cost,
}

/// Orders `first` to `first + 2 * orders`, half over few connections, half over many.
pub async fn closed(place: &ArmPlace, credentials: &[Credentials], workload: Workload, first: u64, orders: u64) -> Result<Round> {
    let before = place.cost().await?;
    let few = load::closed(place.address, credentials, workload, FEW, first..first + orders).await?;
    let many = load::closed(place.address, credentials, workload, MANY, first + orders..first + 2 * orders).await?;
    let acknowledged = place.cost().await? - before;
    place.projected().await?;
    let projected = place.cost().await? - before;
    Ok(Round { few, many, acknowledged, projected })
}

/// Orders over the WebSocket API of the exchange, and their costs until the tables contain them.
pub async fn socket(
    place: &ArmPlace,
    credentials: &[Credentials],
    workload: Workload,
    numbers: Range<u64>,
) -> Result<(LoadResult, Cost)> {
    let before = place.cost().await?;
    let measured = load::socket(place.address, credentials, workload, (SOCKETS, MANY / SOCKETS), numbers).await?;
    place.projected().await?;
    let cost = place.cost().await? - before;
    println!("  {:<14} {:>8.0}/s at {MANY} in flight", "ours, socket", measured.rate());
    Ok((measured, cost))
}

impl Round {
    pub const fn orders(&self) -> u64 {
        self.few.orders + self.many.orders
    }

    /// Microseconds of processor time per order until the last acknowledgement, without the worker's part.
    pub fn acknowledged_us(&self) -> f64 {
        let cost = &self.acknowledged;
        (cost.server + cost.postgres + cost.generator).as_secs_f64() * 1e6 / self.orders() as f64
    }

    /// Microseconds of processor time per order until the tables contain it, everything included.
    pub fn projected_us(&self) -> f64 {
        self.projected.total().as_secs_f64() * 1e6 / self.orders() as f64
    }

    /// A progress line for a person.
    pub fn line(&self, name: &str) -> String {
        let each = |time: std::time::Duration| time.as_secs_f64() * 1e6 / self.orders() as f64;
        let cost = &self.projected;
        format!(
            "{name:<14} {:>8.0}/s at {FEW}, {:>8.0}/s at {MANY}; us per order: {:>6.1} (server {:.1}, postgres {:.1}, worker {:.1}, generator {:.1})",
            self.few.rate(),
            self.many.rate(),
            self.projected_us(),
            each(cost.server),
            each(cost.postgres),
            each(cost.worker),
            each(cost.generator),
        )
    }
}
