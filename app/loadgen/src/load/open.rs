//! The open loop: orders are due at a fixed rate whatever the server does, and latency counts from the moment an order was due, so
//! that a slow server is not asked less and its waiting is not left out (coordinated omission). Never: a rate that gives way.

use super::{Measured, Sender, histogram};
use crate::client::Credentials;
use crate::workload::Workload;
use anyhow::Result;
use futures::future::try_join_all;
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};
use tokio::time::sleep_until;

/// Sends the orders with these numbers at `rate` a second over `connections` connections, all on this thread.
///
/// # Errors
/// When an order is not accepted or a connection is lost.
pub async fn run(
    address: SocketAddr,
    credentials: &[Credentials],
    workload: Workload,
    connections: usize,
    rate: f64,
    numbers: Range<u64>,
) -> Result<Measured> {
    let opening = (0..connections).map(|_| Sender::open(address, credentials, workload));
    let senders = try_join_all(opening).await?;
    let (next, latency) = (Cell::new(0), RefCell::new(histogram()?));
    let (begun, orders) = (Instant::now(), numbers.end - numbers.start);
    let sending = senders.into_iter().map(|mut sender| {
        let (next, latency, first) = (&next, &latency, numbers.start);
        async move {
            while next.get() < orders {
                let index: u64 = next.replace(next.get() + 1);
                // Free connections wait for the next due moments in turn; when none is free the order is late, and it counts.
                let mut due = begun + Duration::from_secs_f64(index as f64 / rate);
                if due > Instant::now() {
                    sleep_until(due.into()).await;
                    // The timer wakes on whole milliseconds: that is this generator's lateness, not the server's.
                    due = Instant::now();
                }
                sender.order(first + index).await?;
                latency.borrow_mut().saturating_record(due.elapsed().as_micros() as u64);
            }
            anyhow::Ok(())
        }
    });
    try_join_all(sending).await?;
    Ok(Measured { elapsed: begun.elapsed(), orders, latency: latency.into_inner() })
}
