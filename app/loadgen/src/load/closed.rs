//! This module is the closed loop: every connection sends its next order after the answer to the last one. It must not pause.

use super::{LoadResult, Sender, histogram};
use crate::client::Credentials;
use crate::workload::Workload;
use anyhow::Result;
use futures::future::try_join_all;
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Instant;

/// Sends the orders with these numbers over `connections` connections, all on this thread.
///
/// # Errors
///
/// Returns an error if an order is not accepted or a connection is lost.
pub async fn run(
    address: SocketAddr,
    credentials: &[Credentials],
    workload: Workload,
    connections: usize,
    numbers: Range<u64>,
) -> Result<LoadResult> {
    let opening = (0..connections).map(|_| Sender::open(address, credentials, workload));
    let senders = try_join_all(opening).await?;
    let (next, latency) = (Cell::new(numbers.start), RefCell::new(histogram()?));
    let begun = Instant::now();
    let sending = senders.into_iter().map(|mut sender| {
        let (next, latency, end) = (&next, &latency, numbers.end);
        async move {
            while next.get() < end {
                let number = next.replace(next.get() + 1);
                let sent = Instant::now();
                sender.order(number).await?;
                latency.borrow_mut().saturating_record(sent.elapsed().as_micros() as u64);
            }
            anyhow::Ok(())
        }
    });
    try_join_all(sending).await?;
    Ok(LoadResult { elapsed: begun.elapsed(), orders: numbers.end - numbers.start, latency: latency.into_inner() })
}
