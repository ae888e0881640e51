//! This module is the open loop: orders are due at a fixed rate, independent of the server. Latency counts from the time at which
//! an order was due, so that a slow server receives no fewer requests and its delays are counted (coordinated omission). The rate
//! must not adapt.

use super::{LoadResult, Sender, histogram};
use crate::client::Credentials;
use crate::workload::Workload;
use anyhow::Result;
use futures::future::try_join_all;
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// Sends the orders with these numbers at `rate` per second over `connections` connections, all on this thread.
///
/// # Errors
///
/// Returns an error if an order is not accepted or a connection is lost.
pub async fn run(
    address: SocketAddr,
    credentials: &[Credentials],
    workload: Workload,
    connections: usize,
    rate: f64,
    numbers: Range<u64>,
) -> Result<LoadResult> {
    let opening = (0..connections).map(|_| Sender::open(address, credentials, workload));
    let senders = try_join_all(opening).await?;
    let (next, latency) = (Cell::new(0), RefCell::new(histogram()?));
    let (begun, orders) = (Instant::now(), numbers.end - numbers.start);
    let due_at = move |index: u64| begun + Duration::from_secs_f64(index as f64 / rate);
    let due = pace(orders, due_at)?;
    let sending = senders.into_iter().map(|mut sender| {
        let (next, latency, due, first) = (&next, &latency, &due, numbers.start);
        async move {
            while next.get() < orders {
                let index: u64 = next.replace(next.get() + 1);
                // Free connections wait for due times in turn. If none is free, the order is late, and the delay counts.
                due.acquire().await?.forget();
                sender.order(first + index).await?;
                latency.borrow_mut().saturating_record(due_at(index).elapsed().as_micros() as u64);
            }
            anyhow::Ok(())
        }
    });
    try_join_all(sending).await?;
    Ok(LoadResult { elapsed: begun.elapsed(), orders, latency: latency.into_inner() })
}

/// Issues a permit for each order at its due time from a dedicated thread: the runtime's timer has a resolution of whole
/// milliseconds and would send the orders in bursts.
fn pace(orders: u64, due_at: impl Fn(u64) -> Instant + Send + 'static) -> Result<Arc<Semaphore>> {
    let due = Arc::new(Semaphore::new(0));
    let permits = Arc::clone(&due);
    std::thread::Builder::new().name("pace".into()).spawn(move || {
        for index in 0..orders {
            std::thread::sleep(due_at(index).saturating_duration_since(Instant::now()));
            permits.add_permits(1);
        }
    })?;
    Ok(due)
}
